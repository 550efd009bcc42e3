//! Each step of a scenario runs in a process of its own: this starts it, and is what runs in it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::{
    engine::{Engine, Result, Unsupported},
    scenarios::{self, Bench, Found, Scale},
};

/// The first argument of such a process; the second is its [`Task`].
pub const ARGUMENT: &str = "measure";

const POLL_INTERVAL: Duration = Duration::from_millis(5);
const KILL_TIME_MAX: Duration = Duration::from_secs(30);
/// A step that takes longer has failed.
const TIME_MAX: Duration = Duration::from_secs(20 * 60);

/// What a process has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The scenario's name.
    pub scenario: String,
    /// The number of the step in it.
    pub step: usize,
    /// The engine's name.
    pub engine: String,
    /// The repetition.
    pub repetition: u64,
    /// How much is measured.
    pub scale: Scale,
    /// The names of the workloads that are wanted.
    pub wanted: Vec<String>,
    /// Where it may write: the database, and what it found.
    pub directory: PathBuf,
}

impl Task {
    fn database(&self) -> PathBuf {
        self.directory.join("database")
    }

    fn outcome(&self) -> PathBuf {
        self.directory.join("outcome.json")
    }

    fn errors(&self) -> PathBuf {
        self.directory.join("stderr")
    }
}

/// How a step ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it found.
    pub found: Found,
    /// Why it could not be done.
    pub error: Option<String>,
    /// Whether that is because the engine has no such thing, or cannot be had here.
    pub unsupported: bool,
    /// Whether the process has to be killed, with the database open.
    pub kill: bool,
}

/// Does the task in this process.
///
/// # Errors
/// If the task cannot be understood, or what was found cannot be written. What fails in the engine is in the outcome.
pub fn measure(engines: &[&'static dyn Engine], task: &str) -> Result {
    // Whoever stops the comparison stops its processes.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let task: Task = serde_json::from_str(task)?;
    let scenario = scenarios::named(&task.scenario).ok_or("no such scenario")?;
    let engine = *engines.iter().find(|engine| engine.name() == task.engine).ok_or("no such engine")?;
    let step = scenario.steps.get(task.step).ok_or("no such step")?;
    fs::create_dir_all(task.database())?;
    let mut bench = Bench {
        engine,
        directory: task.database(),
        scale: task.scale,
        entries: if scenario.large { task.scale.large_entries } else { task.scale.entries },
        seed: task.repetition + 1,
        wanted: task.wanted.clone(),
        found: Found::default(),
    };
    let done = step(&mut bench);
    let mut outcome = Outcome { found: bench.found, ..Outcome::default() };
    match &done {
        Ok(open) => outcome.kill = open.is_some(),
        Err(error) => {
            outcome.unsupported = error.is::<Unsupported>();
            outcome.error = Some(error.to_string());
        }
    }
    write(&outcome, &task.outcome())?;
    if outcome.kill {
        loop {
            thread::park();
        }
    }
    drop(done);
    Ok(())
}

fn write(outcome: &Outcome, path: &Path) -> Result {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, serde_json::to_vec(outcome)?)?;
    Ok(fs::rename(unfinished, path)?)
}

/// Does the task in a process of its own, and returns how it ended.
///
/// # Errors
/// If there can be no such process. What goes wrong in it is in the outcome.
pub fn run(task: &Task) -> Result<Outcome> {
    fs::create_dir_all(&task.directory)?;
    let _ = fs::remove_file(task.outcome());
    // This very program, also if a build has put another one in its place.
    let mut child = Command::new("/proc/self/exe")
        .arg(ARGUMENT)
        .arg(serde_json::to_string(task)?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(task.errors())?)
        .spawn()?;
    let ended = wait(&mut child, task);
    if !matches!(ended, Ok(Some(_))) {
        kill(&mut child)?;
    }
    let ended = ended?.map_or_else(|| "it had to be killed".to_owned(), |status| status.to_string());
    Ok(read(task).unwrap_or_else(|| {
        let errors = fs::read(task.errors()).unwrap_or_default();
        let error = Some(format!("{ended}: {}", String::from_utf8_lossy(&errors).trim()));
        Outcome { error, ..Outcome::default() }
    }))
}

/// Waits until the process has ended, and says how; `None` if it wants to be killed, or has to be.
fn wait(child: &mut Child, task: &Task) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < TIME_MAX && !read(task).is_some_and(|outcome| outcome.kill) {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(None)
}

fn read(task: &Task) -> Option<Outcome> {
    serde_json::from_slice(&fs::read(task.outcome()).ok()?).ok()
}

/// Kills the process and those that it has started, all at once, and waits until they are gone.
fn kill(child: &mut Child) -> Result {
    let processes = descendants(child.id());
    for process in &processes {
        if let Some(process) = Pid::from_raw(*process as i32) {
            let _ = kill_process(process, Signal::KILL); // it may have ended
        }
    }
    child.wait()?;
    let start = Instant::now();
    while processes.iter().any(|process| is_running(*process)) {
        if start.elapsed() > KILL_TIME_MAX {
            return Err(format!("the processes {processes:?} were killed and do not end").into());
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Whether it is more than an entry in the table of processes, which lasts until its parent has heard of its end.
fn is_running(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// The process and all that it has started, itself first.
fn descendants(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    all.extend(children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(descendants));
    all
}
