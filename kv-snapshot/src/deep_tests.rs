//! Parts and checkpoints that are wrong and have all checksums right: what a bug or a flipped bit
//! in memory may leave. Only deep verification finds them.
#![expect(clippy::disallowed_methods, reason = "files are forged behind the file layer's back")]

use std::{fs, ops::Bound, path::Path, sync::Arc};

use kv_core::{Change, Changes, CheckpointHead, CheckpointId, Checkpointer, CollectionId, Cursor, Epoch, LogId, Lsn};
use kv_vfs::{OsVfs, Vfs};
use tempfile::TempDir;

use crate::{
    DeepReport, Effort, MmapCheckpointer, SnapshotOptions,
    format::{
        content::ContentHasher,
        manifest::{Manifest, Origins, PartRef},
        names,
    },
    inventory::Inventory,
    read::{checkpoint::read_manifest, cursor::PartCursor, part::Part},
    verify::{verify, verify_deep},
    write::part_writer::PartWriter,
};

const COLLECTION: CollectionId = CollectionId { lsn: Lsn(1), index: 0 };
const DROPPED: CollectionId = CollectionId { lsn: Lsn(1), index: 1 };

type Entry = (CollectionId, Vec<u8>, Option<Vec<u8>>);

struct List {
    head: CheckpointHead,
    entries: Vec<Entry>,
    next: usize,
}

impl Changes for List {
    fn head(&self) -> &CheckpointHead {
        &self.head
    }

    fn next(&mut self) -> kv_core::Result<Option<Change<'_>>> {
        let entry = self.entries.get(self.next);
        self.next += 1;
        Ok(entry.map(|(collection, key, value)| Change { collection: *collection, key, value: value.as_deref() }))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

struct Scene {
    directory: TempDir,
    vfs: Arc<dyn Vfs>,
    checkpointer: MmapCheckpointer,
    newest: Option<CheckpointId>,
}

impl Scene {
    /// A stack of six parts. The oldest alone is large, so that the others can be merged above it.
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let vfs: Arc<dyn Vfs> = OsVfs::open(directory.path()).unwrap();
        let options = SnapshotOptions { class_bytes: 48 << 10, ..SnapshotOptions::default() };
        let checkpointer = MmapCheckpointer::open_with(vfs.clone(), options).unwrap();
        let mut scene = Self { directory, vfs, checkpointer, newest: None };
        let name = |id: CollectionId| (CollectionId::NAMES, id.to_key().to_vec(), Some(b"name".to_vec()));
        let filler = |id: CollectionId| (0..200_u8).map(move |n| (id, vec![n], Some(vec![n; 200])));
        let names = [COLLECTION, DROPPED].map(name).into_iter();
        scene.write(names.chain(filler(COLLECTION)).chain(filler(DROPPED)).collect());
        for round in 1..6_u8 {
            let puts = (0..20).map(|n| (COLLECTION, vec![n], Some(vec![round; 3])));
            let mut entries: Vec<Entry> = puts.collect();
            entries[usize::from(round)].2 = None;
            entries.push((COLLECTION, vec![20 + round], None));
            entries.push((DROPPED, vec![round], Some(b"x".to_vec())));
            scene.write(entries);
        }
        scene
    }

    fn write(&mut self, entries: Vec<Entry>) {
        let lsn = Lsn(self.newest.map_or(2, |id| id.lsn.0 + 1));
        let head = CheckpointHead { epoch: Epoch(1), lsn, log_id: LogId(9) };
        let written = self.checkpointer.write(self.newest, &mut List { head, entries, next: 0 }).unwrap();
        self.newest = Some(written.id());
    }

    fn merge(&mut self, effort: Effort) {
        let merged = self.checkpointer.maintain(effort, &|| false).unwrap().unwrap();
        self.newest = Some(merged.id());
    }

    fn manifests(&self) -> Vec<Manifest> {
        let ids = Inventory::read(&*self.vfs).unwrap().manifests;
        ids.into_iter().map(|id| read_manifest(&*self.vfs, &names::manifest(id), id).unwrap()).collect()
    }

    /// The number of the part that the last merge made.
    fn merged(&self) -> u64 {
        let newest = &self.manifests()[0].parts;
        newest.iter().find(|part| part.origins != Origins::itself(part.seq)).unwrap().seq
    }

    fn deep(&self) -> DeepReport {
        assert!(verify(&*self.vfs).unwrap().is_clean(), "all checksums are right");
        let before = fs::read_dir(self.directory.path()).unwrap().count();
        let report = verify_deep(&self.vfs).unwrap();
        assert_eq!(fs::read_dir(self.directory.path()).unwrap().count(), before);
        report
    }

    /// Writes part `seq` again with other entries, and all manifests that name it. With `digest`
    /// the digest of the content is made right as well.
    fn forge(&self, seq: u64, digest: bool, change: impl FnOnce(&mut Vec<Entry>)) {
        let part = Arc::new(Part::open(&*self.vfs, &names::part(seq)).unwrap());
        let mut entries = entries_of(&part);
        let before = entries.clone();
        change(&mut entries);
        assert_ne!(entries, before);
        let manifests = self.manifests();
        let named = manifests.iter().flat_map(|manifest| &manifest.parts).find(|part| part.seq == seq).unwrap();
        let forged = self.rewrite(&part, named, &entries, digest);
        for mut manifest in manifests {
            manifest.parts.iter_mut().filter(|part| part.seq == seq).for_each(|part| *part = forged);
            fs::write(self.path(&names::manifest(manifest.id)), manifest.encode().unwrap()).unwrap();
        }
    }

    fn rewrite(&self, part: &Part, named: &PartRef, entries: &[Entry], digest: bool) -> PartRef {
        let header = part.header();
        let mut writer = PartWriter::new(self.vfs.create("forged").unwrap(), header.store, header.identity).unwrap();
        let mut content = ContentHasher::default();
        let mut collection = None;
        for (id, key, value) in entries {
            if collection != Some(*id) {
                writer.start_collection(*id, 0, &mut || Ok(())).unwrap();
                collection = Some(*id);
            }
            writer.insert(key, value.as_deref()).unwrap();
            content.add(*id, key, value.as_deref());
        }
        let summary = writer.finish(&mut || Ok(())).unwrap();
        fs::rename(self.path("forged"), self.path(&names::part(named.seq))).unwrap();
        PartRef {
            summary,
            entries: entries.len() as u64,
            tombstones: entries.iter().filter(|(_, _, value)| value.is_none()).count() as u64,
            content: if digest { content.digest() } else { named.content },
            ..*named
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}

fn entries_of(part: &Arc<Part>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for section in part.sections() {
        let mut cursor = PartCursor::new(part.clone(), *section, Bound::Unbounded, Bound::Unbounded).unwrap();
        while cursor.advance().unwrap() {
            let value = (!cursor.is_tombstone()).then(|| cursor.value().to_vec());
            entries.push((section.id, cursor.key().to_vec(), value));
        }
    }
    entries
}

type Forgery = (&'static str, fn(&mut Vec<Entry>));

/// Every way in which a part can be wrong, made to the first entry that suits.
fn forgeries() -> [Forgery; 5] {
    fn find(entries: &[Entry], is_put: bool) -> usize {
        entries.iter().position(|entry| entry.0 == COLLECTION && entry.2.is_some() == is_put).unwrap()
    }
    [
        ("another value", |entries| {
            let at = find(entries, true);
            entries[at].2 = Some(b"other".to_vec());
        }),
        ("a missing entry", |entries| drop(entries.remove(find(entries, true)))),
        ("a missing tombstone", |entries| drop(entries.remove(find(entries, false)))),
        ("a tombstone that is an empty value", |entries| {
            let at = find(entries, false);
            entries[at].2 = Some(Vec::new());
        }),
        ("another entry", |entries| {
            let mut added = entries[find(entries, true)].clone();
            added.1.push(0);
            let at = entries.iter().position(|entry| (&entry.0, &entry.1) > (&added.0, &added.1)).unwrap();
            entries.insert(at, added);
        }),
    ]
}

#[test]
fn sound_checkpoints_are_found_to_be_sound_however_they_were_merged() {
    let mut scene = Scene::new();
    let report = scene.deep();
    assert_eq!((report.parts, report.merges, report.findings.len(), report.unchecked.len()), (6, 0, 0, 0));
    scene.merge(Effort::Needed);
    let report = scene.deep();
    assert_eq!((report.parts, report.merges, report.findings.len(), report.unchecked.len()), (7, 1, 0, 0));
    // Its entries are left out of the next merge, which goes down to the bottom.
    scene.write(vec![(CollectionId::NAMES, DROPPED.to_key().to_vec(), None)]);
    scene.merge(Effort::Full);
    let report = scene.deep();
    assert_eq!((report.merges, report.findings.len(), report.unchecked.len()), (2, 0, 0), "{report:?}");
    let newest = scene.newest.unwrap();
    for id in scene.checkpointer.list().unwrap() {
        if id != newest {
            scene.checkpointer.remove(id).unwrap();
        }
    }
    let report = scene.deep();
    assert_eq!((report.parts, report.merges, report.findings.len(), report.unchecked.len()), (1, 0, 0, 1));
    assert!(report.unchecked[0].contains("was not compared"), "{report:?}");
}

/// Checksums and digest of the file are right, but the digest of the content tells.
#[test]
fn a_part_that_does_not_hold_what_was_to_be_written_is_found() {
    for (what, forgery) in forgeries() {
        let scene = Scene::new();
        scene.forge(3, false, forgery);
        let report = scene.deep();
        assert_eq!((report.parts, report.findings.len()), (5, 1), "{what}: {report:?}");
        let error = report.findings[0].to_string();
        assert!(error.contains("0000000000000003.part") && error.contains("to be written"), "{what}: {error}");
    }
}

/// Even the digest of the content is right: the merge itself was wrong.
#[test]
fn a_merged_part_that_is_not_what_it_was_merged_from_is_found() {
    for (what, forgery) in forgeries() {
        let mut scene = Scene::new();
        scene.merge(Effort::Needed);
        scene.forge(scene.merged(), true, forgery);
        let report = scene.deep();
        assert_eq!((report.parts, report.merges, report.findings.len()), (7, 0, 1), "{what}: {report:?}");
        let error = report.findings[0].to_string();
        assert!(error.contains("merged from") && error.contains(" of collection 1.0 differs"), "{what}: {error}");
    }
}

/// Where a merge leaves tombstones out, and where the last of several merges is wrong.
#[test]
fn a_wrong_part_at_the_bottom_is_found_after_two_merges() {
    for (what, forgery) in forgeries().into_iter().filter(|(what, _)| !what.contains("tombstone")) {
        let mut scene = Scene::new();
        scene.merge(Effort::Needed);
        scene.merge(Effort::Full);
        let ids = scene.checkpointer.list().unwrap();
        scene.checkpointer.remove(ids[1]).unwrap(); // only the sources of both merges remain
        scene.forge(scene.merged(), true, forgery);
        let report = scene.deep();
        assert_eq!((report.merges, report.findings.len()), (0, 1), "{what}: {report:?}");
        assert!(report.findings[0].to_string().contains("merged from"), "{what}: {report:?}");
    }
}
