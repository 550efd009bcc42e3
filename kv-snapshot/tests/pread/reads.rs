//! What holds for checkpoints that are read through a cache only.

use std::{
    fs,
    io::ErrorKind,
    ops::Bound,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kv_core::{Checkpoint, CheckpointId, Checkpointer, Effort, Error, ReadCacheStats, Result};
use kv_snapshot::{MmapCheckpointer, Reader, SnapshotOptions};
use kv_testkit::{
    fork,
    sim::SimDisk,
    vfs::{Event, Fault, Kind, TestVfs},
};
use kv_vfs::{Access, OsVfs};
use tempfile::TempDir;

use crate::support::{State, collection, compare, open, options, test_vfs};

const BLOCK: u64 = 4096;

/// Two parts of about 50 blocks each, and values of several blocks.
struct Scene {
    directory: TempDir,
    vfs: Arc<TestVfs>,
    checkpointer: MmapCheckpointer,
    newest: Arc<dyn Checkpoint>,
    state: State,
}

fn key(round: u32, n: u32) -> Vec<u8> {
    format!("key {n:05} {round}").into_bytes()
}

impl Scene {
    fn new() -> Self {
        Self::with(options())
    }

    fn with(options: SnapshotOptions) -> Self {
        let directory = TempDir::new().unwrap();
        let vfs = test_vfs(directory.path());
        let checkpointer = MmapCheckpointer::open_with(vfs.clone(), options).unwrap();
        let mut state = State::default();
        let mut newest: Option<Arc<dyn Checkpoint>> = None;
        for round in 0..2 {
            (0..1000).for_each(|n| state.put(1, &key(round, n), &[n as u8; 150]));
            state.put(1, &key(round, 500), &[9; 20_000]);
            state.put(2, b"empty", b"");
            newest = Some(checkpointer.write(newest.map(|newest| newest.id()), &mut state.take()).unwrap());
        }
        Self { directory, vfs, checkpointer, newest: newest.unwrap(), state }
    }

    fn cache(&self) -> ReadCacheStats {
        self.checkpointer.read_cache().unwrap()
    }

    fn part(&self, number: u64) -> PathBuf {
        self.directory.path().join(format!("{number:016x}.part"))
    }

    fn compare(&self) -> Result<()> {
        compare(&*self.newest, &self.state.collections)
    }

    /// Reads the entries of one collection in order. Returns how many there are before an error.
    fn scan(&self) -> (u32, Result<()>) {
        let mut cursor = self.newest.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
        let mut count = 0;
        loop {
            match cursor.advance() {
                Ok(true) => count += 1,
                Ok(false) => return (count, Ok(())),
                Err(error) => return (count, Err(error)),
            }
        }
    }

    /// Every read of this block of a part fails from now on.
    fn make_unreadable(&self, part: u64, block: u64) {
        let path = format!("{part:016x}.part");
        let of_block = move |event: &Event| {
            let read = event.offset..event.offset + event.bytes as u64;
            event.kind == Kind::Read && event.path == path && read.contains(&(block * BLOCK))
        };
        self.vfs.fail(Fault::when(of_block).for_ever());
    }

    /// Damages the value of a key. Returns the block in which that lies.
    fn damage(&self, round: u32, n: u32) -> u64 {
        let part = self.part(u64::from(round) + 1);
        let mut bad = fs::read(&part).unwrap();
        let key = key(round, n);
        let at = bad.windows(key.len()).position(|bytes| bytes == key).unwrap();
        bad[at + key.len()] ^= 1;
        fs::write(&part, bad).unwrap();
        (at + key.len()) as u64 / BLOCK
    }
}

/// Where the damage is that a read met.
fn place(result: &Result<()>) -> Option<u64> {
    match result {
        Err(Error::Corrupt { offset, .. }) => *offset,
        _ => None,
    }
}

fn is_damage<T>(result: Result<T>) -> bool {
    matches!(result.map(drop), Err(Error::Corrupt { .. }))
}

/// In no step of the life of checkpoints.
#[test]
fn nothing_is_ever_mapped() {
    let directory = TempDir::new().unwrap();
    let vfs = test_vfs(directory.path());
    vfs.fail(Fault::on(Kind::Map).for_ever());
    let mut checkpointer = open(vfs.clone()).unwrap();
    let mut state = State::default();
    let mut newest: Option<Arc<dyn Checkpoint>> = None;
    for round in 0..10_u32 {
        (0..200).for_each(|n| state.put(1, &key(n % 3, 7 * n), &round.to_le_bytes()));
        newest = Some(checkpointer.write(newest.map(|newest| newest.id()), &mut state.take()).unwrap());
        if round % 3 == 2 {
            let merged = checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
            Checkpointer::verify(&checkpointer, merged.id(), &|| false).unwrap();
            newest = Some(merged);
        }
        let newest = newest.as_ref().unwrap();
        compare(&**newest, &state.collections).unwrap();
        assert_eq!(newest.scrub(0, u64::MAX).unwrap(), None);
        assert!(checkpointer.verify().unwrap().is_clean());
        checkpointer = open(vfs.clone()).unwrap();
        compare(&*checkpointer.open(newest.id()).unwrap(), &state.collections).unwrap();
    }
    for id in checkpointer.list().unwrap().into_iter().skip(1) {
        checkpointer.remove(id).unwrap();
    }
    assert_eq!(vfs.count(Kind::Map), 0);
}

#[test]
fn the_cache_stays_within_its_bound_and_says_what_it_did() {
    for cache_bytes in [0, 5000, 40_000, 1 << 20] {
        let scene = Scene::with(SnapshotOptions { reader: Reader::Pread { cache_bytes }, ..options() });
        let before = scene.cache();
        assert_eq!(before.limit, cache_bytes);
        for (key, value) in &scene.state.collections[&collection(1)] {
            assert_eq!(scene.newest.get(collection(1), key).unwrap().unwrap(), value);
            assert!(scene.cache().bytes <= cache_bytes, "{:?}", scene.cache());
        }
        scene.compare().unwrap();
        let after = scene.cache();
        assert!(after.bytes <= cache_bytes && after.misses > before.misses, "{after:?}");
        match cache_bytes {
            0 => assert_eq!((after.bytes, after.hits), (0, 0)),
            _ => assert!(after.bytes >= BLOCK && after.hits > before.hits, "{after:?}"),
        }
    }
}

/// What is mapped has no cache.
#[test]
fn a_mapped_reader_has_no_cache() {
    let directory = TempDir::new().unwrap();
    assert_eq!(MmapCheckpointer::open(test_vfs(directory.path())).unwrap().read_cache(), None);
}

/// Neither a scan nor a merge pushes out what is read again and again.
#[test]
fn scans_and_merges_leave_the_cache_as_it_is() {
    let reader = Reader::Pread { cache_bytes: 100_000 };
    let scene = Scene::with(SnapshotOptions { reader, ..options() });
    let read_some = || {
        for n in [3, 4, 5] {
            assert!(scene.newest.get(collection(1), &key(0, n)).unwrap().is_some());
        }
    };
    (0..3).for_each(|_| read_some());
    for _ in 0..3 {
        assert_eq!(scene.scan().0, 2000);
        let mut cursor = scene.newest.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
        while cursor.retreat().unwrap() {}
    }
    scene.checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
    let before = scene.cache().misses;
    read_some();
    assert_eq!(scene.cache().misses, before);
}

/// A long scan reads in large pieces, a short one little.
#[test]
fn a_cursor_reads_ahead() {
    let scene = Scene::new();
    let blocks = (1..=2).map(|number| fs::metadata(scene.part(number)).unwrap().len() / BLOCK).sum::<u64>();
    let reads_of = |read: &dyn Fn()| {
        let before = scene.vfs.count(Kind::Read);
        read();
        scene.vfs.count(Kind::Read) - before
    };
    assert!(blocks > 80, "{blocks}");
    let forwards = reads_of(&|| assert_eq!(scene.scan().0, 2000));
    let backwards = reads_of(&|| {
        let mut cursor = scene.newest.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
        while cursor.retreat().unwrap() {}
    });
    assert!(forwards < blocks / 3 && backwards < blocks / 3, "{forwards}, {backwards} of {blocks}");
    let short = || {
        let (first, last) = (key(0, 100), key(0, 102));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let mut cursor = scene.newest.range(collection(1), bounds.0, bounds.1).unwrap();
        while cursor.advance().unwrap() {}
    };
    short();
    assert!(reads_of(&short) <= 4, "what is near was read before");
}

/// Each step goes from one end to the other, so what is read ahead would be of no use.
#[test]
fn a_cursor_that_is_taken_from_both_ends_reads_little() {
    let directory = TempDir::new().unwrap();
    let vfs = test_vfs(directory.path());
    let mut state = State::default();
    (0..3000).for_each(|n| state.put(1, &key(0, n), &[n as u8; 150]));
    let written = open(vfs.clone()).unwrap().write(None, &mut state.take()).unwrap();
    let read = Arc::new(AtomicU64::new(0));
    let counted = read.clone();
    vfs.fail(Fault::when(move |event| {
        if event.kind == Kind::Read {
            counted.fetch_add(event.bytes as u64, Ordering::Relaxed);
        }
        false
    }));
    let mut cursor = written.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
    let mut count = 0;
    while cursor.advance().unwrap() {
        count += 1 + u32::from(cursor.retreat().unwrap());
    }
    let (read, length) = (read.load(Ordering::Relaxed), written.stats().bytes);
    assert!(count == 3000 && read < 5 * length, "{count}: {read} bytes of a part of {length}");
}

/// An entry that lies before damage, or before a sector that cannot be read, is not lost to the
/// reading ahead, in either direction.
#[test]
fn reading_ahead_does_not_bring_damage_forward() {
    for is_readable in [true, false] {
        let scene = Scene::new();
        let block = scene.damage(0, 700);
        if !is_readable {
            scene.make_unreadable(1, block);
        }
        let (count, read) = scene.scan();
        assert!((1300..1400).contains(&count), "{count}");
        assert_eq!(is_damage(read), is_readable);
        let mut cursor = scene.newest.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
        let mut count = 0;
        while cursor.retreat().is_ok_and(|moved| moved) {
            count += 1;
        }
        assert!((500..600).contains(&count), "{count}");
        assert!(cursor.key().is_empty() && !cursor.advance().unwrap() && !cursor.retreat().unwrap());
        assert!(scene.checkpointer.damage().is_some());
        let failures = scene.vfs.failures();
        assert!(failures <= 20, "{failures}: it is read for each block before it");
    }
}

/// Everything before the end of a file that was cut short is read, in either direction, and the
/// error names the place where it ends.
#[test]
fn reading_ahead_does_not_bring_the_end_of_a_cut_file_forward() {
    let scene = Scene::new();
    let part = fs::read(scene.part(1)).unwrap();
    let end_of = |n: u32| {
        let key = key(0, n);
        part.windows(key.len()).position(|bytes| bytes == key).unwrap() as u64 + key.len() as u64 + 150
    };
    for cut in [end_of(700), end_of(700) / BLOCK * BLOCK] {
        fs::write(scene.part(1), &part[..cut as usize]).unwrap();
        // Blocks are verified as a whole.
        let whole = (501..1000).find(|n| end_of(*n) > cut / BLOCK * BLOCK).unwrap();
        let (count, read) = scene.scan();
        assert_eq!(count, 2 * whole - 1, "the entries of both parts, but one of the other part");
        assert_eq!(place(&read), Some(cut));
        let mut cursor = scene.newest.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
        let read = (0..2000).try_for_each(|_| cursor.retreat().map(drop));
        assert_eq!(place(&read), Some(cut.max(end_of(999) / BLOCK * BLOCK)));
    }
}

/// Whichever read fails: the error is that of the disk, and the same read succeeds once the disk
/// does. If it is the disk that failed, the next opening examines the part.
#[test]
fn a_read_that_fails_is_an_error_and_may_be_damage() {
    for (errors, n) in (1..).step_by(7).enumerate() {
        let scene = Scene::new();
        let is_of_disk = errors.is_multiple_of(2);
        let kind = if is_of_disk { ErrorKind::Other } else { ErrorKind::OutOfMemory };
        scene.vfs.fail(Fault::on(Kind::Read).nth(n).outlasts_repeating().with(kind));
        let read = scene.compare();
        if scene.vfs.failures() == 0 {
            assert!(errors > 20, "{errors} of {n}");
            return;
        }
        assert!(matches!(read, Err(Error::Io { .. })), "read {n}: {read:?}");
        assert_eq!(scene.checkpointer.damage().is_some(), is_of_disk, "read {n}");
        scene.compare().unwrap();
        let checkpointer = open(scene.vfs.clone()).unwrap();
        let examined = checkpointer.open(scene.newest.id()).unwrap();
        assert!(checkpointer.damage().is_none(), "read {n}");
        compare(&*examined, &scene.state.collections).unwrap();
    }
}

/// Has each read from a file, or one in `step` of them, fail once after a new opening, and calls
/// `run` with that: nothing may count as damage. Calls `before` first, and then opens the
/// checkpointer again. Returns a number above that of the reads, by at most `step`.
fn at_each_failure(step: usize, before: fn(&Scene), run: fn(&MmapCheckpointer, CheckpointId, &State)) -> u64 {
    for n in (1..).step_by(step) {
        let scene = Scene::new();
        before(&scene);
        let Scene { directory: _directory, vfs, checkpointer, newest, state } = scene;
        let id = newest.id();
        drop((newest, checkpointer)); // which have the lock
        let checkpointer = open(vfs.clone()).unwrap();
        let failures = vfs.failures();
        vfs.fail(Fault::on_reads().nth(n));
        run(&checkpointer, id, &state);
        assert!(checkpointer.damage().is_none(), "operation {n}");
        if vfs.failures() == failures {
            return n;
        }
    }
    unreachable!("each run has an end")
}

/// A failure of the disk that passes shows nowhere, whichever operation fails.
#[test]
fn what_fails_once_is_neither_an_error_nor_damage() {
    let run = |checkpointer: &MmapCheckpointer, id, state: &State| {
        let newest = checkpointer.open(id).unwrap();
        compare(&*newest, &state.collections).unwrap();
        assert_eq!(newest.scrub(0, u64::MAX).unwrap(), None);
        Checkpointer::verify(checkpointer, id, &|| false).unwrap();
        assert!(checkpointer.verify().unwrap().is_clean());
        let merged = checkpointer.maintain(Effort::Full, &|| false).unwrap().unwrap();
        compare(&*merged, &state.collections).unwrap();
    };
    let operations = at_each_failure(11, |_| (), run);
    assert!(operations > 200, "only {operations} operations");
}

/// A sector that a verification cannot read keeps what could replace it, as one that a read meets.
#[test]
fn a_verification_notes_what_it_cannot_read() {
    let scene = Scene::new();
    scene.make_unreadable(1, 5);
    let verified = Checkpointer::verify(&scene.checkpointer, scene.newest.id(), &|| false);
    assert!(matches!(verified, Err(Error::Io { .. })), "{verified:?}");
    assert!(scene.checkpointer.damage().is_some());
    let older = scene.checkpointer.list().unwrap()[1];
    assert!(is_damage(scene.checkpointer.remove(older)));
}

/// The examination of a part that has a flag. Whichever of its operations fails once, the part is
/// found to be intact.
#[test]
fn what_fails_once_while_a_part_is_examined_is_no_damage() {
    let flag = |scene: &Scene| {
        scene.vfs.fail(Fault::on(Kind::Read).for_ever());
        assert!(scene.newest.scrub(0, 1).is_err() && scene.checkpointer.damage().is_some());
        scene.vfs.heal();
    };
    let operations = at_each_failure(1, flag, |checkpointer, id, _| drop(checkpointer.open(id).unwrap()));
    assert!(operations > 8, "only {operations} operations");
}

/// A part of the disk that cannot be read ends neither a read elsewhere nor a patrol, which finds
/// the damage behind it.
#[test]
fn what_cannot_be_read_does_not_hide_damage() {
    let scene = Scene::new();
    scene.damage(0, 900);
    scene.make_unreadable(1, 5);
    assert!(is_damage(scene.newest.scrub(0, u64::MAX)));
    assert!(scene.checkpointer.damage().is_some());
    let (count, read) = scene.scan();
    assert!(matches!(read, Err(Error::Io { .. })) && count > 10, "{count}: {read:?}");
    assert!(scene.newest.get(collection(1), &key(0, 999)).unwrap().is_some());
}

/// Nor does it hide damage to the footer of the same part, or to another part.
#[test]
fn what_cannot_be_read_does_not_hide_a_damaged_footer() {
    for number in [1, 2] {
        let scene = Scene::new();
        let mut part = fs::read(scene.part(number)).unwrap();
        *part.last_mut().unwrap() ^= 1;
        fs::write(scene.part(number), part).unwrap();
        scene.make_unreadable(2, 5);
        let scrubbed = scene.newest.scrub(0, u64::MAX);
        assert!(is_damage(scrubbed), "part {number}");
    }
}

#[test]
fn short_reads_are_continued() {
    let disk = SimDisk::new(1);
    let checkpointer = open(disk.vfs()).unwrap();
    let mut state = State::default();
    (0..300).for_each(|n| state.put(1, &key(0, n), &[n as u8; 150]));
    state.put(1, b"large", &[9; 20_000]);
    disk.fail(Fault::on(Kind::Read).short().for_ever());
    let written = checkpointer.write(None, &mut state.take()).unwrap();
    compare(&*written, &state.collections).unwrap();
    assert_eq!(written.scrub(0, u64::MAX).unwrap(), None);
    assert!(checkpointer.verify().unwrap().is_clean());
    let part = disk.vfs().open("0000000000000001.part", Access::Read).unwrap();
    assert_eq!(part.read_at(&mut [0; 8], 0).unwrap(), 4, "all reads were short");
}

/// A mapped file that is cut short ends the process. Here it is damage, which leaves a flag.
#[test]
fn a_file_that_is_cut_short_is_damaged() {
    let scene = Scene::new();
    let length = fs::metadata(scene.part(1)).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(scene.part(1)).unwrap();
    file.set_len(length / 2).unwrap();
    assert!(is_damage(scene.compare()));
    assert!(is_damage(scene.newest.scrub(0, u64::MAX)));
    assert!(scene.directory.path().join("0000000000000001.part.damaged").exists());
}

/// Other checkpoints take the place of those that are open, with the same names and numbers.
#[test]
fn a_block_belongs_to_its_part_whatever_number_that_has() {
    let reader = Reader::Pread { cache_bytes: 4 << 20 };
    let scene = Scene::with(SnapshotOptions { reader, ..options() });
    scene.compare().unwrap();
    let other = TempDir::new().unwrap();
    let other_vfs = TestVfs::with_seed(OsVfs::open(other.path()).unwrap(), 5);
    let checkpointer = open(other_vfs).unwrap();
    let mut state = State::default();
    let mut newest = None;
    for round in 0..2 {
        (0..1000).for_each(|n| state.put(1, &key(round, n), &[!(n as u8); 150]));
        state.put(1, &key(round, 500), &[8; 20_000]);
        state.put(2, b"empty", b"");
        newest = Some(checkpointer.write(newest, &mut state.take()).unwrap().id());
    }
    assert_eq!(newest, Some(scene.newest.id()));
    for file in fs::read_dir(other.path()).unwrap().map(|file| file.unwrap()) {
        let to = scene.directory.path().join(file.file_name());
        let _ = fs::remove_file(&to); // the open file stays what it is
        fs::copy(file.path(), to).unwrap();
    }
    let replaced = scene.checkpointer.open(newest.unwrap()).unwrap();
    compare(&*replaced, &state.collections).unwrap();
    scene.compare().unwrap();
}

/// A value keeps its bytes when the checkpoint, its file and the cache are gone.
#[test]
fn a_handle_keeps_its_bytes() {
    let Scene { directory, vfs, checkpointer, newest, state } = Scene::new();
    let entries = &state.collections[&collection(1)];
    let mut values = Vec::new();
    let mut cursor = newest.range(collection(1), Bound::Unbounded, Bound::Unbounded).unwrap();
    while cursor.advance().unwrap() {
        let got = newest.get(collection(1), cursor.key()).unwrap().unwrap();
        values.push((cursor.key_handle(), cursor.value_handle(), got));
    }
    drop((cursor, newest, checkpointer, vfs, directory));
    assert_eq!(values.len(), entries.len());
    for (key, value, got) in values {
        assert_eq!(entries[&*key], value);
        assert_eq!(got, value);
    }
}

#[test]
fn a_child_reads_without_the_cache() {
    let scene = Scene::new();
    scene.compare().unwrap();
    match fork::fork() {
        None => fork::end(|| {
            scene.compare().unwrap();
            assert_eq!(scene.cache().bytes, 0);
        }),
        Some(child) => assert_eq!(child.wait(), Ok(())),
    }
    assert!(scene.cache().bytes > 0);
}
