//! Redis and Valkey: the `redis-server` and the `valkey-server` that are installed, with their
//! append-only files, behind a loopback connection.

mod server;

use std::path::Path;

use kv_bench::harness::engine::{Database, Engine, Level, Promise, Result, Role, Session, Unsupported};
use redis::{Connection, cmd, pipe};

use self::server::Server;

/// The number of entries in one request of a scan.
const SCAN_ENTRIES: usize = 1000;

/// A server of the Redis protocol with an append-only file, which is flushed before each reply or
/// every second.
pub struct Redis {
    name: &'static str,
    /// The name as its makers write it.
    title: &'static str,
    program: &'static str,
}

/// The `redis-server` that is installed.
#[cfg(feature = "redis")]
pub static REDIS: Redis = Redis { name: "redis", title: "Redis", program: "redis-server" };

/// The `valkey-server` that is installed.
#[cfg(feature = "valkey")]
pub static VALKEY: Redis = Redis { name: "valkey", title: "Valkey", program: "valkey-server" };

impl Engine for Redis {
    fn name(&self) -> &'static str {
        self.name
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn settings(&self, level: Level) -> String {
        let version = server::version(self.program).unwrap_or_else(|| "of unknown version".to_owned());
        format!(
            "{} {version} by redis 1, appendonly yes, appendfsync {}, save off, a connection on 127.0.0.1 for each thread",
            self.title,
            appendfsync(level)
        )
    }

    /// With `everysec`, an acknowledged write may stay in the server for up to two seconds while an
    /// earlier flush runs.
    fn promise(&self, level: Level) -> Option<Promise> {
        Some(match level {
            Level::Disk => Promise::Disk,
            Level::Process => Promise::Later,
        })
    }

    fn open(&self, directory: &Path, level: Level) -> Result<Box<dyn Database>> {
        Ok(Box::new(Opened { server: Server::start(self.program, directory, appendfsync(level))?, level }))
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

    /// Redis 7.0 has no command that flushes. But with `always`, the reply to a write comes after a
    /// flush of the file, which covers all earlier writes. So this makes a write, to a database of
    /// its own.
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

    /// A rewrite of the file leaves nothing that is no longer needed.
    fn compact(&self) -> Result {
        self.checkpoint()
    }

    /// The server and, during a rewrite of its file, the child that does it. The two share
    /// unchanged pages, so their memory must be measured in proportional sizes.
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
                return Ok(()); // otherwise another connection has written the key
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
    /// Returns whether `read` wants more.
    fn read_all(&mut self, keys: &[Vec<u8>], read: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<bool> {
        if keys.is_empty() {
            return Ok(true);
        }
        let values: Vec<Option<Vec<u8>>> = cmd("MGET").arg(keys).query(&mut self.0)?;
        Ok(keys.iter().zip(values).all(|(key, value)| value.is_none_or(|value| read(key, &value))))
    }
}
