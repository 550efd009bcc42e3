//! A directory that records what is done to it, fails when told to, and draws its random numbers from a counter.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use kv_vfs::{Access, Error, File, Lock, OsVfs, Result, Vfs};

#[derive(Debug, Default)]
struct State {
    trace: Vec<String>,
    /// Counts down to the operation that fails.
    fails_in: Option<u64>,
    /// Whether every operation after it fails too.
    dies: bool,
    randoms: u128,
}

impl State {
    fn step(state: &Mutex<Self>, operation: &'static str, name: &str) -> Result<()> {
        let mut state = state.lock().unwrap();
        state.trace.push(format!("{operation} {name}"));
        if let Some(left) = &mut state.fails_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                if !state.dies {
                    state.fails_in = None;
                }
                return Err(Error::new(operation, name, io::Error::other("planned")));
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub struct TestVfs {
    inner: Arc<OsVfs>,
    state: Arc<Mutex<State>>,
}

impl TestVfs {
    pub fn new(path: impl AsRef<Path>) -> Arc<Self> {
        Arc::new(Self { inner: OsVfs::create(path).unwrap(), state: Arc::default() })
    }

    /// Makes the n-th operation from now on fail, once.
    pub fn fail_nth(&self, n: u64) {
        self.state.lock().unwrap().fails_in = Some(n);
    }

    /// Makes the n-th operation from now on fail, and all that follow: as if the process were killed before it.
    pub fn die_at(&self, n: u64) {
        let mut state = self.state.lock().unwrap();
        state.fails_in = Some(n);
        state.dies = true;
    }

    /// Takes back a failure that has not happened, and says whether it had.
    pub fn failed(&self) -> bool {
        self.state.lock().unwrap().fails_in.take().is_none()
    }

    /// What was done since the last call, one operation a line; repetitions of reads and writes once.
    pub fn trace(&self) -> String {
        let mut trace = std::mem::take(&mut self.state.lock().unwrap().trace);
        trace.dedup();
        trace.join("\n")
    }

    fn step(&self, operation: &'static str, name: &str) -> Result<()> {
        State::step(&self.state, operation, name)
    }

    fn file(&self, name: &str, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(TestFile { inner, name: name.to_owned(), state: self.state.clone() })
    }
}

impl Vfs for TestVfs {
    fn path(&self) -> &Path {
        Path::new("test")
    }

    fn open(&self, name: &str, access: Access) -> Result<Arc<dyn File>> {
        self.step("open", name)?;
        self.inner.open(name, access).map(|file| self.file(name, file))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.step("create", name)?;
        self.inner.create(name).map(|file| self.file(name, file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.step("rename", &format!("{from} to {to}"))?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.step("remove", name)?;
        self.inner.remove(name)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.step("list", "")?;
        self.inner.list()
    }

    fn sync_directory(&self) -> Result<()> {
        self.step("sync directory", "")?;
        self.inner.sync_directory()
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.open_directory(name)
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.inner.create_directory(name)
    }

    fn try_lock(&self, name: &str) -> Result<Option<Lock>> {
        self.step("lock", name)?;
        self.inner.try_lock(name)
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes()
    }

    fn random(&self) -> Result<u128> {
        self.step("random", "")?;
        let mut state = self.state.lock().unwrap();
        state.randoms += 1;
        Ok(state.randoms.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }
}

#[derive(Debug)]
struct TestFile {
    inner: Arc<dyn File>,
    name: String,
    state: Arc<Mutex<State>>,
}

impl TestFile {
    fn step(&self, operation: &'static str) -> Result<()> {
        State::step(&self.state, operation, &self.name)
    }
}

impl File for TestFile {
    fn path(&self) -> &Path {
        Path::new(&self.name)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.step("read")?;
        self.inner.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        self.step("write")?;
        self.inner.write_at(bytes, offset)
    }

    fn sync_data(&self) -> Result<()> {
        self.step("sync")?;
        self.inner.sync_data()
    }

    fn drop_cache(&self) -> Result<()> {
        self.step("drop cache")?;
        self.inner.drop_cache()
    }

    fn len(&self) -> Result<u64> {
        self.step("measure")?;
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.step("resize")?;
        self.inner.set_len(len)
    }

    fn map(&self) -> Result<Bytes> {
        self.step("map")?;
        self.inner.map()
    }
}
