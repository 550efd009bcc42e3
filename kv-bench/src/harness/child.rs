//! Runs each step of a scenario in a child process: the parent's side, and the child's.

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
    scenarios::{self, Bench, Findings, Scale, Size},
};

/// The first argument of a child. The second is its [`Task`], as JSON.
pub const ARGUMENT: &str = "measure";

const POLL_INTERVAL: Duration = Duration::from_millis(5);
const KILL_TIME_MAX: Duration = Duration::from_secs(30);
/// A step that takes longer is killed, and counts as failed. A step of the largest size may take
/// [`HUGE_TIMES`] as long.
const TIME_MAX: Duration = Duration::from_secs(20 * 60);
const HUGE_TIMES: u32 = 6;

/// What a child must do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The scenario's name.
    pub scenario: String,
    /// The index of the step in the scenario.
    pub step: usize,
    /// The engine's name.
    pub engine: String,
    /// The repetition.
    pub repetition: u64,
    /// How much is measured.
    pub scale: Scale,
    /// The names of the workloads that are wanted.
    pub wanted: Vec<String>,
    /// A cgroup in which a process of limited memory may be put.
    pub cgroup: Option<PathBuf>,
    /// Where the child may write: the database and the outcome.
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
    /// The figures.
    pub found: Findings,
    /// Why the step failed.
    pub error: Option<String>,
    /// Whether it failed because the engine lacks a call, or is not installed here.
    pub unsupported: bool,
    /// Whether the child is waiting to be killed with the database open.
    pub kill: bool,
}

/// Carries out the task in this process.
///
/// # Errors
/// If the task cannot be parsed, or the outcome cannot be written. A failure of the engine is part
/// of the outcome.
pub fn measure(engines: &[&'static dyn Engine], task: &str) -> Result {
    // The child must not outlive a parent that is killed.
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
        entries: task.scale.entries(scenario.size),
        seed: task.repetition + 1,
        wanted: task.wanted.clone(),
        cgroup: task.cgroup.clone(),
        found: Findings::default(),
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

/// Carries out the task in a child process, and returns how it ended.
///
/// # Errors
/// If the child cannot be started. What fails in the child is part of the outcome.
pub fn run(task: &Task) -> Result<Outcome> {
    fs::create_dir_all(&task.directory)?;
    let _ = fs::remove_file(task.outcome());
    // The program that is running, even if a build has replaced its file since.
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

/// Waits until the child has ended, and returns its status. `None` if the child waits to be killed
/// or has taken too long.
fn wait(child: &mut Child, task: &Task) -> Result<Option<ExitStatus>> {
    let is_huge = scenarios::named(&task.scenario).is_some_and(|scenario| scenario.size == Size::Huge);
    let time_max = if is_huge { HUGE_TIMES * TIME_MAX } else { TIME_MAX };
    let start = Instant::now();
    while start.elapsed() < time_max && !read(task).is_some_and(|outcome| outcome.kill) {
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

/// Kills the child and all its descendants, and waits until they are gone.
fn kill(child: &mut Child) -> Result {
    let processes = descendants(child.id());
    for process in &processes {
        if let Some(process) = Pid::from_raw(*process as i32) {
            let _ = kill_process(process, Signal::KILL); // it may have ended already
        }
    }
    child.wait()?;
    let start = Instant::now();
    while processes.iter().any(|process| is_running(*process)) {
        if start.elapsed() > KILL_TIME_MAX {
            return Err(format!("the processes {processes:?} were killed, and still run").into());
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Whether the process is alive. A zombie is not: it only waits for its parent to reap it.
fn is_running(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// The process and all its descendants, the process first.
fn descendants(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    all.extend(children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(descendants));
    all
}
