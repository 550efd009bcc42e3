//! The command line of a program that measures engines.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;

use super::{
    aggregate::aggregate,
    child,
    engine::{Engine, Result},
    number,
    run::{self, Plan, Run},
    scenarios::Scale,
    summary::{Figure, Rival, Summary},
    workloads::{self, WORKLOADS, When, Workload},
};

const FULL: Scale = Scale { entries: 1_000_000, large_entries: 10_000_000, seconds: 1.0, repetitions: 3 };
/// Enough to see that everything works, and which engine is far ahead.
const QUICK: Scale = Scale { entries: 50_000, large_entries: 0, seconds: 0.15, repetitions: 1 };

/// A program that measures engines.
pub struct Program<'a> {
    /// The engines, whose names must differ. The one whose role is
    /// [`Role::Ours`](super::engine::Role::Ours) is compared with the others.
    pub engines: &'a [&'static dyn Engine],
    /// The command that its users type, for the report. If `None`, it is the name of the program's
    /// file.
    pub invocation: Option<&'static str>,
    /// Writes a report into a directory, and returns the file to read first. If `None`, the figures
    /// are printed.
    pub write_report: Option<ReportWriter>,
}

type ReportWriter = fn(&Summary, &Path) -> Result<PathBuf>;

/// Measures engines as the command line says, and prints the figures. Their names must differ.
pub fn main(engines: &[&'static dyn Engine]) -> ExitCode {
    Program { engines, invocation: None, write_report: None }.main()
}

impl Program<'_> {
    /// Does what the command line says.
    pub fn main(&self) -> ExitCode {
        let arguments: Vec<String> = env::args().collect();
        let done = match &*arguments {
            [_, argument, task] if argument == child::ARGUMENT => child::measure(self.engines, task),
            _ => self.run(&Arguments::parse()),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run(&self, arguments: &Arguments) -> Result {
        if arguments.list {
            list(self.engines);
            return Ok(());
        }
        let run = if arguments.report { arguments.last(self.engines)? } else { self.measure(arguments)? };
        let summary = aggregate(&run, self.engines);
        let figures = summary.write(&arguments.output)?;
        if let Some(file) = &arguments.json {
            fs::copy(&figures, file).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        match self.write_report {
            Some(write_report) => {
                let report = write_report(&summary, &arguments.output)?;
                print_ratios(&summary);
                say(&format!("the report: {}", report.display()));
            }
            None => {
                print_figures(&summary);
                say(&format!("all figures: {}", figures.display()));
            }
        }
        Ok(())
    }

    fn measure(&self, arguments: &Arguments) -> Result<Run> {
        let plan = arguments.plan(self.engines)?;
        let _lock = run::lock(&arguments.output)?;
        let last = if arguments.fresh { None } else { Run::last(&arguments.output)? };
        let mut run = match last.filter(|last| !last.is_complete()) {
            Some(last) => {
                arguments.can_go_on(&last, &plan)?;
                say(&format!("going on with the run of {}; --fresh starts a new one", last.header.started));
                last
            }
            None => Run::begin(&arguments.output, plan, arguments.command(&self.invocation()), self.engines)?,
        };
        run.go_on(self.engines, say)?;
        Ok(run)
    }

    fn invocation(&self) -> String {
        let program = || {
            let path = env::args_os().next().map(PathBuf::from)?;
            Some(path.file_name()?.to_string_lossy().into_owned())
        };
        self.invocation.map(str::to_owned).or_else(program).unwrap_or_default()
    }
}

/// Measures engines on the same work, in turns, and writes down the figures.
#[derive(Parser)]
#[command(name = "compare", version)]
struct Arguments {
    /// Measure little, once: enough to see which engine is far ahead, in less than three minutes
    #[arg(long)]
    quick: bool,
    /// Only these workloads, separated by commas; a name's beginning stands for all names that
    /// continue it after a hyphen, except those that end in "-100m", which take very long
    #[arg(long, value_name = "WORKLOAD", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these engines, separated by commas
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    engines: Vec<String>,
    /// Write the figures to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Start a new run, even if the last one was stopped and could go on
    #[arg(long)]
    fresh: bool,
    /// Measure nothing: write the report of the last run again, even if that run is not complete
    #[arg(long, conflicts_with_all = ["quick", "only", "engines", "fresh", "entries", "large_entries", "seconds", "repetitions", "cgroup"])]
    report: bool,
    /// List the workloads and the engines of this build, and do nothing else
    #[arg(long)]
    list: bool,
    /// Number of entries in the stores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(100..))]
    entries: Option<u64>,
    /// Number of entries in the large stores; 0 leaves them out
    #[arg(long, value_name = "N")]
    large_entries: Option<u64>,
    /// Duration of each measurement that has no end of its own
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<f64>,
    /// How often everything is measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    repetitions: Option<u64>,
    /// A cgroup with the memory controller, made for this purpose, in which the program may make
    /// others: for gets from more data than memory holds
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,
    /// Where the report goes, and the databases during the run: a directory on the disk to be
    /// measured
    #[arg(long, value_name = "DIRECTORY", default_value = "target/compare")]
    output: PathBuf,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if seconds > 0.0 && seconds <= 60.0 { Ok(seconds) } else { Err("above 0, and 60 at most".to_owned()) }
}

impl Arguments {
    /// Fails unless the plan continues the stopped run. So its figures are not overwritten by
    /// accident.
    fn can_go_on(&self, last: &Run, plan: &Plan) -> Result {
        let Some(difference) = last.differs(plan) else { return Ok(()) };
        Err(format!(
            "the run of {} in {} was stopped, and this command cannot continue it: {difference}. Finish it with `{}`, or replace it \
             with --fresh; another --output keeps both",
            last.header.started,
            self.output.display(),
            last.header.command
        )
        .into())
    }

    fn last(&self, engines: &[&'static dyn Engine]) -> Result<Run> {
        let run = Run::last(&self.output)?.ok_or_else(|| format!("no run in {}", self.output.display()))?;
        let here: Vec<&str> = engines.iter().map(|engine| engine.name()).collect();
        let missing = run.header.plan.engines.iter().filter(|name| !here.contains(&name.as_str()));
        match &*missing.map(String::as_str).collect::<Vec<_>>() {
            [] => Ok(run),
            missing => Err(format!("the run has engines that this build lacks: {}", missing.join(", ")).into()),
        }
    }

    fn plan(&self, engines: &[&'static dyn Engine]) -> Result<Plan> {
        let names: Vec<&str> = engines.iter().map(|engine| engine.name()).collect();
        if let Some(unknown) = self.engines.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(format!("there is no engine {unknown:?} in this build; there are {}", names.join(", ")).into());
        }
        if let Some(unknown) = self.only.iter().find(|name| workloads::selected(name).next().is_none()) {
            let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
            return Err(format!("there is no workload {unknown:?}; there are {}", names.join(", ")).into());
        }
        let wanted = |name: &str| self.engines.is_empty() || self.engines.iter().any(|wanted| wanted == name);
        let selected =
            |name: &str| self.only.iter().flat_map(|only| workloads::selected(only)).any(|one| one.name == name);
        let usual = |workload: &Workload| match workload.when {
            When::Always | When::Limited => self.only.is_empty(),
            When::Unhurried => self.only.is_empty() && !self.quick,
            When::Named => false,
        };
        let workloads = WORKLOADS.iter().filter(|workload| usual(workload) || selected(workload.name));
        Ok(Plan {
            scale: self.scale(),
            workloads: workloads.map(|workload| workload.name.to_owned()).collect(),
            engines: names.into_iter().filter(|name| wanted(name)).map(str::to_owned).collect(),
            cgroup: self.cgroup.clone(),
        })
    }

    fn scale(&self) -> Scale {
        let usual = if self.quick { QUICK } else { FULL };
        Scale {
            entries: self.entries.unwrap_or(usual.entries),
            large_entries: self.large_entries.unwrap_or(usual.large_entries),
            seconds: self.seconds.unwrap_or(usual.seconds),
            repetitions: self.repetitions.unwrap_or(usual.repetitions),
        }
    }

    /// The command line, as a user would type it.
    fn command(&self, invocation: &str) -> String {
        let mut command = invocation.to_owned();
        if self.quick {
            command += " --quick";
        }
        for (option, values) in [("--only", &self.only), ("--engines", &self.engines)] {
            if !values.is_empty() {
                command += &format!(" {option} {}", values.join(","));
            }
        }
        let Scale { entries, large_entries, seconds, repetitions } = self.scale();
        let usual = if self.quick { QUICK } else { FULL };
        for (option, value, usual) in [
            ("--entries", entries as f64, usual.entries as f64),
            ("--large-entries", large_entries as f64, usual.large_entries as f64),
            ("--seconds", seconds, usual.seconds),
            ("--repetitions", repetitions as f64, usual.repetitions as f64),
        ] {
            if value != usual {
                command += &format!(" {option} {value}");
            }
        }
        if let Some(cgroup) = &self.cgroup {
            command += &format!(" --cgroup {}", cgroup.display());
        }
        command
    }
}

fn list(engines: &[&'static dyn Engine]) {
    say("workloads:");
    for workload in WORKLOADS {
        let when = match workload.when {
            When::Always => "",
            When::Unhurried => " (not with --quick)",
            When::Limited => " (needs --cgroup)",
            When::Named => " (only if named)",
        };
        say(&format!("  {:20} {}{when}: {}", workload.name, workload.title, workload.what));
    }
    say("engines:");
    for engine in engines {
        say(&format!("  {:20} {:?}", engine.name(), engine.role()));
    }
}

/// How many times better ours is than the best peer, and than the limit.
fn print_ratios(summary: &Summary) {
    for ratio in &summary.ratios {
        let rival = |rival: &Option<Rival>| {
            rival.as_ref().map_or_else(|| "-".to_owned(), |rival| format!("{:.2} of {}", rival.ratio, rival.engine))
        };
        say(&format!("{:20} {:30} {}", ratio.workload, rival(&ratio.best_peer), rival(&ratio.limit)));
    }
}

fn print_figures(summary: &Summary) {
    for Figure { workload, engine, promise, metric, unit, median, .. } in &summary.results {
        let (metric, median, promise) = (metric.name(), number::value(*median, unit), promise.name());
        say(&format!("{workload:20} {engine:20} {metric:18} {median:>12}  survives: {promise}"));
    }
    for note in &summary.notes {
        say(note);
    }
}

/// Prints a line. A closed pipe is ignored: it must not end a run of hours.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
