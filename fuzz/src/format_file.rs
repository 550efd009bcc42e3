//! The decoder of the FORMAT file, in the directory of a valid store.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use kv_core::Error;
use kv_store::Options;
use kv_vfs::{
    little_endian::{get_u128, put_u64},
    preamble::Preamble,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    assertions::{check, must_succeed},
    disk::Folder,
    noop_scheduler,
};

const NAME: &str = "FORMAT";
const BYTES: usize = 56;
pub(crate) const STORE_ID_AT: usize = 40;
pub(crate) const COMPATIBLE: std::ops::Range<usize> = 32..40;

/// The whole file: as it is, and with its checksum corrected.
pub(crate) fn format(input: &[u8]) {
    try_format(&Bytes::copy_from_slice(input));
    if input.len() >= BYTES {
        let mut file = input[..BYTES].to_vec();
        let checksum = xxh3_64(&file[16..]);
        put_u64(&mut file, 8, checksum);
        try_format(&file.into());
    }
}

fn try_format(file: &Bytes) {
    let folder = base().copy();
    folder.put(NAME, file.clone());
    let verification = kv_store::verify_in(Arc::clone(&folder) as _);
    match options(false).open_in(Arc::clone(&folder) as _) {
        Ok(store) => {
            assert!(verification.is_ok_and(|verification| verification.damage.is_empty()));
            assert_eq!(must_succeed(store.collections()).len(), 1);
            assert_eq!(file[..BYTES], written_again(file), "what is accepted is what is written");
        }
        Err(error) => {
            check(&error, &folder);
            let other = |error: &Error| matches!(error, Error::OlderVersion { .. } | Error::NewerVersion { .. });
            let found = verification.map_or_else(|error| other(&error), |found| !found.damage.is_empty());
            assert!(found, "a store that verifies does not open: {error:?}");
        }
    }
}

/// The same file, made by the code that writes it. That code knows no compatible features.
fn written_again(file: &[u8]) -> Vec<u8> {
    let mut again = file[..BYTES].to_vec();
    Preamble { magic: *b"kvstore1", version: 1, incompatible_known: 0 }.seal(
        &mut again,
        0,
        get_u128(file, STORE_ID_AT),
    );
    if again[COMPATIBLE] != file[COMPATIBLE] {
        again.copy_from_slice(&file[..BYTES]);
    }
    again
}

pub(crate) fn options(create: bool) -> Options {
    Options {
        create,
        store: noop_scheduler::store_options(),
        log: noop_scheduler::log_options(create),
        ..Options::default()
    }
}

/// The directory of a store with one collection.
pub(crate) fn base() -> &'static Arc<Folder> {
    static BASE: OnceLock<Arc<Folder>> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Folder::new();
        let store = must_succeed(options(true).open_in(Arc::clone(&folder) as _));
        must_succeed(store.create_collection("collection"));
        must_succeed(store.close());
        folder
    })
}

/// The inputs to start from.
pub(crate) fn seeds(_: &str) -> Vec<crate::Seed> {
    vec![("sound".to_owned(), base().bytes(NAME).into())]
}
