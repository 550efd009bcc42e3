//! A server of our own.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use kv_bench::harness::engine::{Result, Unsupported};
use redis::{Client, Connection, InfoDict, IntoConnectionInfo, cmd, io::tcp::TcpSettings};

/// The interval of polling.
const PAUSE: Duration = Duration::from_millis(1);

/// A running server. It is killed when this is dropped, and when the thread that started it ends.
pub(super) struct Server {
    program: &'static str,
    child: Child,
    client: Client,
}

impl Server {
    /// Starts a server on the files in `directory`, and returns when it has loaded them.
    pub(super) fn start(program: &'static str, directory: &Path, appendfsync: &str) -> Result<Self> {
        let port = free_port()?;
        let address = (Ipv4Addr::LOCALHOST.to_string(), port).into_connection_info()?;
        let client = Client::open(address.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
        if version(program).is_none() {
            return Err(Unsupported("its server is not installed here").into());
        }
        // setpriv makes the kernel kill the server when this process ends, in whatever way.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", program])
            .arg("--bind")
            .arg(Ipv4Addr::LOCALHOST.to_string())
            .arg("--port")
            .arg(port.to_string());
        command.arg("--dir").arg(directory).args(["--appendonly", "yes", "--appendfsync", appendfsync]);
        command.args(["--save", "", "--daemonize", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("cannot run setpriv, of util-linux: {error}"))?;
        let mut server = Self { program, child, client };
        server.wait_until_loaded()?;
        Ok(server)
    }

    fn wait_until_loaded(&mut self) -> Result {
        while !self.has_loaded()? {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} does not start: {status}", self.program).into());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// While the server loads, it refuses most commands, but not INFO.
    fn has_loaded(&self) -> Result<bool> {
        let Ok(mut connection) = self.connect() else { return Ok(false) };
        let Ok(()) = cmd("PING").exec(&mut connection) else { return Ok(false) };
        if info(&mut connection, "server", "process_id")? != self.child.id().to_string() {
            return Err("another server has taken the port".into());
        }
        Ok(true)
    }

    pub(super) fn connect(&self) -> Result<Connection> {
        Ok(self.client.get_connection()?)
    }

    /// Makes the server replace its history by the current data, and returns when that is done.
    pub(super) fn rewrite_log(&self) -> Result {
        let mut connection = self.connect()?;
        // The server runs one rewrite at a time, and may have started one itself.
        wait_for_rewrite(&mut connection)?;
        cmd("BGREWRITEAOF").exec(&mut connection)?;
        wait_for_rewrite(&mut connection)?;
        match info(&mut connection, "persistence", "aof_last_bgrewrite_status")?.as_str() {
            "ok" => Ok(()),
            status => Err(format!("the append-only file was not rewritten: {status}").into()),
        }
    }

    /// The server and its children.
    pub(super) fn processes(&self) -> Vec<u32> {
        let server = self.child.id();
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        [server].into_iter().chain(children).collect()
    }

    /// Makes the server flush its file and exit.
    pub(super) fn shut_down(mut self) -> Result {
        match cmd("SHUTDOWN").exec(&mut self.connect()?) {
            // The server refuses to shut down. If it does shut down, the connection ends without a
            // reply.
            Err(error) if !error.is_io_error() => return Err(error.into()),
            _ => {}
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", self.program).into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // no effect if it has ended
        let _ = self.child.wait();
    }
}

/// The version of a server, if it is installed.
pub(super) fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().find_map(|word| word.strip_prefix("v=")).map(str::to_owned)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn wait_for_rewrite(connection: &mut Connection) -> Result {
    for field in ["aof_rewrite_scheduled", "aof_rewrite_in_progress"] {
        while info(connection, "persistence", field)? != "0" {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn info(connection: &mut Connection, section: &str, field: &str) -> Result<String> {
    let info: InfoDict = cmd("INFO").arg(section).query(connection)?;
    info.get(field).ok_or_else(|| format!("the server does not report its {field}").into())
}
