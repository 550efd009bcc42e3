//! A second, plain decoder, which gives the meaning of records. It follows the table in kv-core's
//! `operation.rs`.

use std::collections::BTreeMap;

use kv_vfs::little_endian::{get_u16, get_u32, get_u64};

use super::Entries;

/// A collection's identity: position and index of the operation that created it.
type Id = (u64, u32);

/// The content after all records so far.
#[derive(Debug, Default)]
pub(super) struct Model {
    names: BTreeMap<String, Id>,
    entries: BTreeMap<Id, Entries>,
}

struct Operation<'a> {
    kind: u8,
    id: Id,
    key: &'a [u8],
    value: &'a [u8],
}

impl Model {
    /// Applies a record, whole or not at all; `None` if it is not valid.
    pub(super) fn apply(&mut self, record: &[u8], lsn: u64) -> Option<()> {
        let operations = operations(record)?;
        for (index, Operation { kind, id, key, value }) in (0..).zip(operations) {
            let id = if id.0 == 0 { (lsn, id.1) } else { id };
            match kind {
                1 => drop(self.entries.entry(id).or_default().insert(key.to_vec(), value.to_vec())),
                2 => drop(self.entries.entry(id).or_default().remove(key)),
                3 => drop(self.names.insert(name(key)?.to_owned(), (lsn, index))),
                _ => drop(self.names.remove(name(key)?)),
            }
        }
        Some(())
    }

    /// Every collection that has a name. If records gave the same name to several collections, the
    /// last one has it.
    pub(super) fn content(&self) -> BTreeMap<String, Entries> {
        let entries = |id| self.entries.get(id).cloned().unwrap_or_default();
        self.names.iter().map(|(name, id)| (name.clone(), entries(id))).collect()
    }
}

fn operations(record: &[u8]) -> Option<Vec<Operation<'_>>> {
    let (header, mut rest) = record.split_at_checked(8)?;
    if header[..4] != [1, 0, 0, 0] {
        return None;
    }
    let mut operations = Vec::new();
    for _ in 0..get_u32(header, 4) {
        let (fixed, behind) = rest.split_at_checked(20)?;
        let (kind, named, index) = (fixed[0], get_u64(fixed, 8), get_u32(fixed, 16));
        let (key, behind) = behind.split_at_checked(get_u16(fixed, 2).into())?;
        let (value, behind) = behind.split_at_checked(get_u32(fixed, 4) as usize)?;
        let sound = fixed[1] == 0
            && (1..=4).contains(&kind)
            && !key.is_empty()
            && (kind == 1 || value.is_empty())
            && (kind != 3 || (named, index) == (0, 0))
            && (kind < 3 || name(key).is_some());
        if !sound {
            return None;
        }
        operations.push(Operation { kind, id: (named, index), key, value });
        rest = behind;
    }
    rest.is_empty().then_some(operations)
}

fn name(key: &[u8]) -> Option<&str> {
    str::from_utf8(key).ok().filter(|name| name.len() <= kv_core::NAME_BYTES_MAX)
}
