use std::fs;

/// A process, told apart from every other that ever ran: also from a later one with the same
/// number.
///
/// It is what Linux's `/proc` says; where there is no such directory, nothing can be said of
/// processes.
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
    /// The boot of the machine that it runs under, a random number: another machine, and the same
    /// one after a restart, have another.
    pub boot: u128,
    /// The namespace that its number is of: containers number their processes each for themselves.
    pub namespace: u64,
    /// Its number.
    pub id: u32,
    /// When it started, in ticks of the kernel's clock since the boot.
    pub started: u64,
}

impl Process {
    /// This process. `None` where that cannot be found out.
    pub fn this() -> Option<Self> {
        Self::named("self")
    }

    /// The process of that number, if there is one and it has not ended.
    pub fn of(id: u32) -> Option<Self> {
        Self::named(&id.to_string())
    }

    /// Whether it is running. `false` also for a process of another boot or namespace, of which
    /// nothing is known here.
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

/// Number and start of a process that has not ended, from the text of its `stat`. See
/// proc_pid_stat(5).
fn parse_stat(stat: &str) -> Option<(u32, u64)> {
    let (before, after) = stat.rsplit_once(')')?; // the program's name may contain anything
    let id = before.split_once(' ')?.0.parse().ok()?;
    let mut fields = after.split_ascii_whitespace(); // from the third on
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?; // the twenty-second
    let has_ended = matches!(state, "Z" | "X" | "x"); // its parent has not asked for its result yet
    (!has_ended).then_some((id, started))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_alive_until_it_ends_though_its_parent_has_not_asked() {
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
    fn a_stat_is_read_whatever_the_program_is_called() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("12 (a) Z 7 (b)) {rest}")), Some((12, 4711)));
        assert_eq!(parse_stat(&format!("12 (a) {}", rest.replace('S', "Z"))), None);
        assert_eq!(parse_stat("12 (a) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }
}
