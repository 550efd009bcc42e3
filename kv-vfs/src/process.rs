use std::fs;

/// Identifies one process among all that ever ran, including a later one with the same number.
///
/// The information comes from Linux's `/proc`. Where that does not exist, no process is known.
///
/// ```
/// use kv_vfs::Process;
///
/// if let Some(this) = Process::this() {
///     assert!(this.is_alive() && this.id == std::process::id());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// A random number for the current boot of the machine. It is different on another machine, and
    /// on the same machine after a restart.
    pub boot: u128,
    /// The PID namespace in which `id` is valid: each container numbers its processes separately.
    pub namespace: u64,
    /// Its number (PID).
    pub id: u32,
    /// When it started, in ticks of the kernel's clock since the boot.
    pub started: u64,
}

impl Process {
    /// This process; `None` if `/proc` does not say.
    pub fn this() -> Option<Self> {
        Self::named("self")
    }

    /// The process with this number, if there is one and it has not ended.
    pub fn of(id: u32) -> Option<Self> {
        Self::named(&id.to_string())
    }

    /// Whether it is running. Returns `false` also for a process of another boot or namespace,
    /// which cannot be seen from here.
    pub fn is_alive(&self) -> bool {
        Self::of(self.id) == Some(*self)
    }

    fn named(name: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let (id, started) = parse_stat(&stat)?;
        Some(Self {
            boot: u128::from_str_radix(&boot.trim().replace('-', ""), 16).ok()?,
            namespace: namespace.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()?,
            id,
            started,
        })
    }
}

/// The number and the start of a process, from the text of its `stat` file; `None` if it has ended.
/// See proc_pid_stat(5).
fn parse_stat(stat: &str) -> Option<(u32, u64)> {
    let (before, after) = stat.rsplit_once(')')?; // the name before it may contain anything
    let id = before.split_once(' ')?.0.parse().ok()?;
    let mut fields = after.split_ascii_whitespace(); // from the third field on
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?; // the twenty-second field
    let has_ended = matches!(state, "Z" | "X" | "x"); // ended, but not reaped by its parent yet
    (!has_ended).then_some((id, started))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_ended_is_not_alive_even_before_it_is_reaped() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.is_alive() && process != Process::this().unwrap());
        assert!(!Process { started: process.started + 1, ..process }.is_alive(), "the number was used again");
        assert!(!Process { boot: process.boot ^ 1, ..process }.is_alive(), "before the machine was restarted");
        assert!(!Process { namespace: process.namespace ^ 1, ..process }.is_alive());
        drop(child.stdin.take());
        while process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn the_stat_file_is_parsed_whatever_the_name_of_the_program() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("12 (a) Z 7 (b)) {rest}")), Some((12, 4711)));
        assert_eq!(parse_stat(&format!("12 (a) {}", rest.replace('S', "Z"))), None);
        assert_eq!(parse_stat("12 (a) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }
}
