//! Redis: the machine's `redis-server` with its append-only file, a process of its own at the other end of a loopback connection.

mod server;

use std::path::Path;

use redis::{Connection, cmd, pipe};

use self::server::Server;
use crate::compare::engine::{Database, Engine, Level, Promise, Result, Role, Session, Unsupported};

/// How many entries are asked for at once when all are.
const SCAN_ENTRIES: usize = 1000;

/// Redis with an append-only file that is flushed before each answer, or every second.
pub struct Redis;

impl Engine for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let version = server::version().unwrap_or_else(|| "of unknown version".to_owned());
        format!(
            "Redis {version} by redis 1, appendonly yes, appendfsync {}, save off, a connection on 127.0.0.1 for each thread",
            appendfsync(level)
        )
    }

    /// With `everysec`, what was acknowledged may be kept from the kernel for up to two seconds while an earlier flush goes on.
    fn promise(&self, level: Level) -> Option<Promise> {
        Some(match level {
            Level::Disk => Promise::Disk,
            Level::Process => Promise::Later,
        })
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        Ok(Box::new(Opened { server: Server::start(directory, appendfsync(level))?, level }))
    }
}

fn appendfsync(level: Level) -> &'static str {
    match level {
        Level::Disk => "always",
        Level::Process => "everysec",
    }
}

struct Opened {
    server: Server,
    level: Level,
}

impl Database for Opened {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Calls(self.server.connect()?)))
    }

    /// Redis 7.0 cannot be asked for a flush. But a write under `always` is answered after the file is flushed, with whatever was
    /// written before. It goes to a database of its own.
    fn sync(&self) -> Result {
        if self.level == Level::Process {
            let mut connection = self.server.connect()?;
            cmd("SELECT").arg(1).exec(&mut connection)?;
            set_appendfsync(&mut connection, "always")?;
            cmd("SET").arg("synced").arg("").exec(&mut connection)?;
            set_appendfsync(&mut connection, appendfsync(self.level))?;
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result {
        self.server.rewrite_log()
    }

    /// The server and, while it rewrites its file, the child that does so. A page that neither has changed since is in both: use
    /// proportional sizes.
    fn processes(&self) -> Vec<u32> {
        self.server.processes()
    }

    fn close(self: Box<Self>) -> Result {
        self.server.shut_down()
    }
}

fn set_appendfsync(connection: &mut Connection, policy: &str) -> Result {
    Ok(cmd("CONFIG").arg("SET").arg("appendfsync").arg(policy).exec(connection)?)
}

struct Calls(Connection);

impl Session for Calls {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result {
        Ok(cmd("SET").arg(key).arg(value).exec(&mut self.0)?)
    }

    fn put_batch(&mut self, entries: &[(&[u8], &[u8])]) -> Result {
        let mut set = cmd("MSET");
        for (key, value) in entries {
            set.arg(key).arg(value);
        }
        Ok(set.exec(&mut self.0)?)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result {
        let value: Option<Vec<u8>> = cmd("GET").arg(key).query(&mut self.0)?;
        if let Some(value) = value {
            read(&value);
        }
        Ok(())
    }

    /// Optimistic locking, in two round trips.
    fn update(&mut self, key: &[u8], change: &mut dyn FnMut(&mut Vec<u8>)) -> Result {
        loop {
            let (value,): (Option<Vec<u8>>,) =
                pipe().cmd("WATCH").arg(key).ignore().cmd("GET").arg(key).query(&mut self.0)?;
            let mut value = value.unwrap_or_default();
            change(&mut value);
            let done: Option<()> = pipe().atomic().cmd("SET").arg(key).arg(value).ignore().query(&mut self.0)?;
            if done.is_some() {
                return Ok(()); // and if not, another connection has written the key
            }
        }
    }

    fn scan(&mut self, from: &[u8], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result {
        if !from.is_empty() {
            return Err(Unsupported("the keys of Redis have no order").into());
        }
        let mut cursor = 0;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) =
                cmd("SCAN").arg(cursor).arg("COUNT").arg(SCAN_ENTRIES).query(&mut self.0)?;
            if !self.read_all(&keys, read)? || next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl Calls {
    /// Whether `read` wants more.
    fn read_all(&mut self, keys: &[Vec<u8>], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<bool> {
        if keys.is_empty() {
            return Ok(true);
        }
        let values: Vec<Option<Vec<u8>>> = cmd("MGET").arg(keys).query(&mut self.0)?;
        Ok(keys.iter().zip(values).all(|(key, value)| value.is_none_or(|value| read(key, &value))))
    }
}
