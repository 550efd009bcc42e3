//! The decoder of the ORIGIN file, in the directory of a valid store.

use std::sync::Arc;

use bytes::Bytes;
use kv_core::Error;
use kv_vfs::{
    little_endian::{get_u128, put_u64},
    preamble::Preamble,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    assertions::{check, must_succeed},
    format_file::{COMPATIBLE, STORE_ID_AT, base, options},
};

const NAME: &str = "ORIGIN";
const BYTES: usize = 80;

/// The whole file: as it is, and with its checksum corrected.
pub(crate) fn origin(input: &[u8]) {
    try_origin(&Bytes::copy_from_slice(input));
    if input.len() >= BYTES {
        let mut file = input[..BYTES].to_vec();
        let checksum = xxh3_64(&file[16..]);
        put_u64(&mut file, 8, checksum);
        try_origin(&file.into());
    }
}

/// Whatever the file holds, the store opens: it only informs.
fn try_origin(file: &Bytes) {
    let folder = base().copy();
    folder.put(NAME, file.clone());
    let verification = kv_store::verify_in(Arc::clone(&folder) as _);
    match verification {
        Ok(verification) if verification.damage.is_empty() => {
            assert_eq!(file[..BYTES], written_again(file), "what is accepted is what is written");
        }
        Ok(verification) => verification.damage.iter().for_each(|damage| check(damage, &folder)),
        Err(other) => assert!(matches!(other, Error::OlderVersion { .. } | Error::NewerVersion { .. }), "{other:?}"),
    }
    let store = must_succeed(options(false).open_in(folder as _));
    assert_eq!(must_succeed(store.collections()).len(), 1);
}

/// The same file, made as the code makes it, for this store. That code knows no compatible
/// features.
fn written_again(file: &[u8]) -> Vec<u8> {
    let mut again = file[..BYTES].to_vec();
    let log_id = get_u128(&base().bytes("FORMAT"), STORE_ID_AT);
    Preamble { magic: *b"kvorigin", version: 1, incompatible_known: 0 }.seal(&mut again, 0, log_id);
    if again[COMPATIBLE] != file[COMPATIBLE] {
        assert_eq!(get_u128(file, STORE_ID_AT), log_id);
        again.copy_from_slice(&file[..BYTES]);
    }
    again
}

/// The inputs to start from.
pub(crate) fn seeds(_: &str) -> Vec<crate::Seed> {
    let fields: Vec<u8> = (0..BYTES as u8).collect();
    vec![(
        "sound".to_owned(),
        written_again(&fields[..32].iter().chain(&[0; 8]).chain(&fields[40..]).copied().collect::<Vec<_>>()),
    )]
}
