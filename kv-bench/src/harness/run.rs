//! A run: every scenario for every engine, repetition after repetition. Each measurement is
//! appended to a file as one line, so a run that was stopped can go on.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{
    child::{self, Outcome, Task},
    engine::{Engine, Result},
    host::{self, Processors},
    scenarios::{SCENARIOS, Scale, Scenario},
};

/// A measurement counts as disturbed if other processes used more than this fraction of the
/// machine's processors meanwhile. The kernel threads that write to the disk stay below it.
pub const OTHERS_MAX: f64 = 0.1;

/// What a run measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// How much is measured.
    pub scale: Scale,
    /// The names of the workloads.
    pub workloads: Vec<String>,
    /// The names of the engines.
    pub engines: Vec<String>,
    /// A cgroup in which processes of limited memory may be put.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
}

/// The first line of the run's file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// What the run measures.
    pub plan: Plan,
    /// The number of measurements.
    pub measurements: usize,
    /// The command that started the run.
    pub command: String,
    /// When the run started, in UTC.
    pub started: String,
    /// The version that was measured.
    pub version: String,
    /// The machine, line by line.
    pub machine: Vec<String>,
}

/// A further line of the file: one measurement of a scenario for an engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The scenario's name.
    pub scenario: String,
    /// The engine's name.
    pub engine: String,
    /// The repetition, counted from 0.
    pub repetition: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The fraction of the machine's processors that other processes used meanwhile.
    pub others: f64,
}

impl Record {
    /// Whether other processes used so much of the machine that the figures may be wrong.
    pub fn is_disturbed(&self) -> bool {
        self.others > OTHERS_MAX && !self.outcome.found.samples.is_empty()
    }
}

/// A run, complete or not.
pub struct Run {
    /// What is measured, where and when.
    pub header: Header,
    /// The measurements so far.
    pub records: Vec<Record>,
    directory: PathBuf,
    /// The length of the file up to the last complete line.
    bytes: usize,
}

/// A measurement that a plan asks for.
#[derive(Clone, Copy)]
struct Item<'a> {
    scenario: &'static Scenario,
    engine: &'a dyn Engine,
    repetition: u64,
}

impl Run {
    /// Starts a run in a directory. It replaces the run that is there.
    ///
    /// # Errors
    /// If the directory does not exist, or its file cannot be written.
    pub fn begin(directory: &Path, plan: Plan, command: String, engines: &[&'static dyn Engine]) -> Result<Self> {
        let header = Header {
            measurements: items(&plan, engines).len(),
            plan,
            command,
            started: host::now().unwrap_or_default(),
            version: version(),
            machine: host::describe(directory),
        };
        let line = line(&header)?;
        fs::write(file(directory), &line)?;
        Ok(Self { header, records: Vec::new(), directory: directory.to_owned(), bytes: line.len() })
    }

    /// Why the run cannot continue with a plan: the new figures would not be comparable with the
    /// old ones. `None` if it can.
    pub fn differs(&self, plan: &Plan) -> Option<&'static str> {
        let differences = [
            (self.header.plan != *plan, "it measures something else"),
            (self.header.version != version(), "the code has changed since"),
            (self.header.machine != host::describe(&self.directory), "it was made on another machine"),
        ];
        differences.into_iter().find_map(|(differs, how)| differs.then_some(how))
    }

    /// A run with these records.
    #[cfg(test)]
    pub fn recorded(header: Header, records: Vec<Record>) -> Self {
        Self { header, records, directory: PathBuf::new(), bytes: 0 }
    }

    /// The last run in a directory, if there is one. An incomplete last line is ignored.
    ///
    /// # Errors
    /// If the file cannot be read or parsed.
    pub fn last(directory: &Path) -> Result<Option<Self>> {
        let path = file(directory);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => Self::read(directory, &text?).map(Some).map_err(|error| {
                format!("cannot understand {}: {error}; --fresh starts a new run", path.display()).into()
            }),
        }
    }

    fn read(directory: &Path, text: &str) -> Result<Self> {
        let mut lines = text.split_inclusive('\n');
        let header = lines.next().ok_or("the file of the last run is empty")?;
        let mut run = Self {
            header: serde_json::from_str(header)?,
            records: Vec::new(),
            directory: directory.to_owned(),
            bytes: header.len(),
        };
        for line in lines.take_while(|line| line.ends_with('\n')) {
            run.records.push(serde_json::from_str(line)?);
            run.bytes += line.len();
        }
        Ok(run)
    }

    /// Whether everything has been measured.
    pub fn is_complete(&self) -> bool {
        self.records.len() >= self.header.measurements
    }

    fn missing<'a>(&self, engines: &[&'a dyn Engine]) -> Vec<Item<'a>> {
        let mut items = items(&self.header.plan, engines);
        items.retain(|item| !self.records.iter().any(|record| item.is(record)));
        items
    }

    /// Makes the measurements that are missing. `progress` is called with a line before each
    /// measurement, and with its error or disturbance after it.
    ///
    /// # Errors
    /// If a record cannot be written. A failure of an engine is part of its record.
    pub fn go_on(&mut self, engines: &[&'static dyn Engine], mut progress: impl FnMut(&str)) -> Result {
        // Drops an incomplete last line.
        OpenOptions::new().write(true).open(file(&self.directory))?.set_len(self.bytes as u64)?;
        let (missing, done) = (self.missing(engines), self.records.len());
        let all = done + missing.len();
        for (at, item) in missing.into_iter().enumerate() {
            let Item { scenario, engine, repetition } = item;
            progress(&format!("[{:3} of {all}] {} {} {}", done + at + 1, scenario.name, engine.name(), repetition + 1));
            let record = self.measure(item)?;
            self.keep(&record)?;
            if let Some(error) = &record.outcome.error {
                progress(&format!("    {error}"));
            }
            if record.is_disturbed() {
                progress(&format!("    disturbed: other processes used {:.0} % of the machine", record.others * 100.0));
            }
            self.records.push(record);
        }
        Ok(())
    }

    fn measure(&self, Item { scenario, engine, repetition }: Item<'_>) -> Result<Record> {
        let plan = &self.header.plan;
        let directory = self.directory.join("data");
        remove(&directory)?;
        let wanted = scenario.workloads.iter().map(|workload| (*workload).to_owned());
        let wanted: Vec<String> = wanted.filter(|workload| plan.workloads.contains(workload)).collect();
        let (mut outcome, mut others, mut capacity) = (Outcome::default(), 0.0, 0.0);
        for step in 0..scenario.steps.len() {
            let task = Task {
                scenario: scenario.name.to_owned(),
                step,
                engine: engine.name().to_owned(),
                repetition,
                scale: plan.scale,
                wanted: wanted.clone(),
                cgroup: plan.cgroup.clone(),
                directory: directory.clone(),
            };
            let (before, start) = (Processors::now()?, Instant::now());
            let step = child::run(&task)?;
            if !step.kill {
                // The processor time of a killed child and its descendants is not known.
                others += Processors::now()?.others_since(before);
                capacity += start.elapsed().as_secs_f64() * thread::available_parallelism()?.get() as f64;
            }
            outcome.found.append(step.found);
            if step.error.is_some() {
                outcome = Outcome { error: step.error, unsupported: step.unsupported, ..outcome };
                break;
            }
        }
        remove(&directory)?;
        // Waits for the removal to finish, so that it does not slow the next measurement down.
        rustix::fs::syncfs(File::open(&self.directory)?)?;
        let (scenario, engine) = (scenario.name.to_owned(), engine.name().to_owned());
        Ok(Record { scenario, engine, repetition, outcome, others: others / capacity })
    }

    fn keep(&mut self, record: &Record) -> Result {
        let line = line(record)?;
        OpenOptions::new().append(true).open(file(&self.directory))?.write_all(&line)?;
        self.bytes += line.len();
        Ok(())
    }
}

impl Item<'_> {
    fn is(&self, record: &Record) -> bool {
        (self.scenario.name, self.engine.name(), self.repetition)
            == (&*record.scenario, &*record.engine, record.repetition)
    }
}

/// All measurements of a plan, in order. Engines take turns within a scenario, and each repetition
/// starts with a different engine.
fn items<'a>(plan: &Plan, engines: &[&'a dyn Engine]) -> Vec<Item<'a>> {
    let engines: Vec<&dyn Engine> =
        engines.iter().copied().filter(|engine| plan.engines.iter().any(|name| name == engine.name())).collect();
    let scenarios: Vec<&'static Scenario> = SCENARIOS
        .iter()
        .filter(|scenario| {
            scenario.workloads.iter().any(|workload| plan.workloads.iter().any(|wanted| wanted == workload))
        })
        .filter(|scenario| plan.scale.entries(scenario.size) > 0)
        .collect();
    let mut items = Vec::new();
    for repetition in 0..plan.scale.repetitions {
        for scenario in scenarios.iter().filter(|scenario| repetition == 0 || !scenario.once) {
            let turned = (0..engines.len()).map(|at| engines[(at + repetition as usize) % engines.len()]);
            items.extend(turned.filter(|engine| (scenario.takes)(*engine)).map(|engine| Item {
                scenario,
                engine,
                repetition,
            }));
        }
    }
    items
}

/// Locks a directory for one run, and creates it if it does not exist. The lock is held until the
/// file is dropped.
///
/// # Errors
/// If another run holds the lock.
pub fn lock(directory: &Path) -> Result<File> {
    fs::create_dir_all(directory)?;
    let file = File::create(directory.join("lock"))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => format!("another run measures in {}", directory.display()),
        TryLockError::Error(error) => format!("cannot lock {}: {error}", directory.display()),
    })?;
    Ok(file)
}

/// The version of this project, and the commit if it is known.
fn version() -> String {
    let commit = host::commit().map_or_else(String::new, |commit| format!(", commit {commit}"));
    format!("{}{commit}", env!("CARGO_PKG_VERSION"))
}

fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

fn file(directory: &Path) -> PathBuf {
    directory.join("runs.jsonl")
}

fn remove(directory: &Path) -> Result {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
