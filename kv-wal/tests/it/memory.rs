//! A disk in memory, fast enough to open a log a hundred thousand times, and to cut its power.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock},
};

use bytes::Bytes;
use kv_vfs::{Access, Error, File, Lock, Result, Vfs};

/// Name and content of every file.
pub type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// One directory. It remembers what was synced and what was not.
#[derive(Debug)]
pub struct MemoryVfs {
    path: PathBuf,
    files: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    /// The names and their files at the last sync of the directory.
    synced: Mutex<BTreeMap<String, Arc<MemoryFile>>>,
    locked: Arc<Mutex<bool>>,
    random: Mutex<fastrand::Rng>,
}

impl MemoryVfs {
    pub fn new(files: &Files) -> Arc<Self> {
        let open = |(name, bytes): (&String, &Arc<Vec<u8>>)| (name.clone(), MemoryFile::new(name, Arc::clone(bytes)));
        let names: BTreeMap<_, _> = files.iter().map(open).collect();
        Arc::new(Self {
            path: PathBuf::from("memory"),
            files: Mutex::new(names.clone()),
            synced: Mutex::new(names),
            locked: Arc::default(),
            random: Mutex::new(fastrand::Rng::with_seed(files.len() as u64)),
        })
    }

    /// The files as a killed process would leave them now.
    pub fn files(&self) -> Files {
        let files = self.files.lock().unwrap();
        files.iter().map(|(name, file)| (name.clone(), Arc::clone(&file.bytes.read().unwrap()))).collect()
    }

    /// The files as a power cut could leave them now: each name old or new, each unsynced sector
    /// written or not.
    pub fn cut_power(&self, rng: &mut fastrand::Rng) -> Files {
        let (files, synced) = (self.files.lock().unwrap(), self.synced.lock().unwrap());
        let names: BTreeSet<_> = files.keys().chain(synced.keys()).collect();
        let (renamed, kept) = (rng.f64(), rng.choice([0.0, 0.1, 0.5, 0.9, 1.0]).unwrap());
        let mut left = Files::new();
        for name in names {
            let file = if rng.f64() < renamed { files.get(name) } else { synced.get(name) };
            if let Some(file) = file {
                left.insert(name.clone(), Arc::new(file.cut_power(rng, kept)));
            }
        }
        left
    }

    fn find(&self, operation: &'static str, name: &str) -> Result<Arc<MemoryFile>> {
        let found = self.files.lock().unwrap().get(name).cloned();
        found.ok_or_else(|| Error::new(operation, self.path.join(name), io::ErrorKind::NotFound))
    }
}

struct Held(Arc<Mutex<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = false;
    }
}

impl Vfs for MemoryVfs {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self, name: &str, _access: Access) -> Result<Arc<dyn File>> {
        self.find("open", name).map(|file| file as Arc<dyn File>)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        let mut files = self.files.lock().unwrap();
        if files.contains_key(name) {
            return Err(Error::new("create", self.path.join(name), io::ErrorKind::AlreadyExists));
        }
        let file = MemoryFile::new(name, Arc::default());
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let file = self.find("rename", from)?;
        let mut files = self.files.lock().unwrap();
        files.remove(from);
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.find("remove", name)?;
        self.files.lock().unwrap().remove(name);
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }

    fn sync_directory(&self) -> Result<()> {
        *self.synced.lock().unwrap() = self.files.lock().unwrap().clone();
        Ok(())
    }

    fn open_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        Err(Error::new("open directory", self.path.join(name), io::ErrorKind::Unsupported))
    }

    fn create_directory(&self, name: &str) -> Result<Arc<dyn Vfs>> {
        self.open_directory(name)
    }

    fn is_in_place(&self) -> bool {
        true
    }

    fn try_lock(&self, _name: &str, _access: Access) -> Result<Option<Lock>> {
        let was_locked = std::mem::replace(&mut *self.locked.lock().unwrap(), true);
        Ok((!was_locked).then(|| Lock::new(Held(Arc::clone(&self.locked)))))
    }

    fn block_bytes(&self) -> u32 {
        4096
    }

    fn random(&self) -> Result<u128> {
        Ok(self.random.lock().unwrap().u128(..))
    }
}

#[derive(Debug)]
struct MemoryFile {
    path: PathBuf,
    bytes: RwLock<Arc<Vec<u8>>>,
    synced: Mutex<Arc<Vec<u8>>>,
    /// Sectors that were written since then, once for each write.
    unsynced: Mutex<Vec<(usize, Vec<u8>)>>,
}

/// The unit that a disk writes completely or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

impl MemoryFile {
    fn new(name: &str, bytes: Arc<Vec<u8>>) -> Arc<Self> {
        let synced = Mutex::new(Arc::clone(&bytes));
        let path = Path::new("memory").join(name);
        Arc::new(Self { path, bytes: RwLock::new(bytes), synced, unsynced: Mutex::default() })
    }

    fn cut_power(&self, rng: &mut fastrand::Rng, kept: f64) -> Vec<u8> {
        let mut bytes = self.synced.lock().unwrap().to_vec();
        for (at, sector) in &*self.unsynced.lock().unwrap() {
            if rng.f64() < kept {
                bytes.resize(bytes.len().max(at + sector.len()), 0);
                bytes[*at..at + sector.len()].copy_from_slice(sector);
            }
        }
        bytes
    }
}

impl File for MemoryFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let bytes = self.bytes.read().unwrap();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        let mut file = self.bytes.write().unwrap();
        let file = Arc::make_mut(&mut file);
        let end = offset as usize + bytes.len();
        file.resize(file.len().max(end), 0);
        file[offset as usize..end].copy_from_slice(bytes);
        let mut unsynced = self.unsynced.lock().unwrap();
        let mut at = offset as usize;
        while at < end {
            let next = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
            unsynced.push((at, file[at..next].to_vec()));
            at = next;
        }
        Ok(bytes.len())
    }

    fn sync_data(&self) -> Result<()> {
        *self.synced.lock().unwrap() = Arc::clone(&self.bytes.read().unwrap());
        self.unsynced.lock().unwrap().clear();
        Ok(())
    }

    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.bytes.read().unwrap().len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        Arc::make_mut(&mut *self.bytes.write().unwrap()).resize(len as usize, 0);
        Ok(())
    }

    fn map(&self) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.bytes.read().unwrap()))
    }
}
