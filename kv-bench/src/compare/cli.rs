//! The command line of the comparison.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;

use super::{
    child,
    engine::{Engine, Result},
    report,
    run::{self, Plan, Run},
    scenarios::Scale,
    summarize::summarize,
    summary::Summary,
    workloads::{self, WORKLOADS},
};

const FULL: Scale = Scale { entries: 1_000_000, large_entries: 10_000_000, seconds: 1.0, repetitions: 3 };
/// Enough to see that everything works, and who is far ahead.
const QUICK: Scale = Scale { entries: 50_000, large_entries: 0, seconds: 0.15, repetitions: 1 };

/// Measures kv and its peers on the same work, in turns, and writes a report.
#[derive(Parser)]
#[command(name = "compare", version)]
struct Arguments {
    /// Measure little, once: enough to see who is far ahead, in less than three minutes
    #[arg(long)]
    quick: bool,
    /// Only these workloads, separated by commas; a name's beginning stands for all that go on from it after a hyphen
    #[arg(long, value_name = "WORKLOAD", value_delimiter = ',')]
    only: Vec<String>,
    /// Only these engines, separated by commas
    #[arg(long, value_name = "ENGINE", value_delimiter = ',')]
    engines: Vec<String>,
    /// Write the figures to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Begin anew, though the last run was stopped and could go on
    #[arg(long)]
    fresh: bool,
    /// Measure nothing: write the report of the last run again, as far as that came
    #[arg(long, conflicts_with_all = ["quick", "only", "engines", "fresh", "entries", "large_entries", "seconds", "repetitions"])]
    report: bool,
    /// List the workloads and the engines of this build, and do nothing
    #[arg(long)]
    list: bool,
    /// How many entries the stores hold
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(100..))]
    entries: Option<u64>,
    /// How many entries the large stores hold; 0 for none
    #[arg(long, value_name = "N")]
    large_entries: Option<u64>,
    /// For how long what has no end by itself is measured
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<f64>,
    /// How often everything is measured
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    repetitions: Option<u64>,
    /// Where the report goes, and the databases while they are measured: a directory on the disk to be measured
    #[arg(long, value_name = "DIRECTORY", default_value = "target/compare")]
    output: PathBuf,
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if seconds > 0.0 && seconds <= 60.0 { Ok(seconds) } else { Err("above 0, and 60 at most".to_owned()) }
}

/// Does what the command line says with these engines, whose names must differ. The one that is [`Role::Ours`](super::engine::Role::Ours) is held
/// against the others.
pub fn main(engines: &[&'static dyn Engine]) -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let done = match &*arguments {
        [_, argument, task] if argument == child::ARGUMENT => child::measure(engines, task),
        _ => Arguments::parse().run(engines),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn run(&self, engines: &[&'static dyn Engine]) -> Result {
        if self.list {
            list(engines);
            return Ok(());
        }
        let run = if self.report { self.last(engines)? } else { self.measure(engines)? };
        let summary = summarize(&run, engines);
        report::write(&summary, &self.output)?;
        if let Some(file) = &self.json {
            fs::copy(self.output.join("compare.json"), file)
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        show(&summary, &self.output);
        Ok(())
    }

    fn measure(&self, engines: &[&'static dyn Engine]) -> Result<Run> {
        let plan = self.plan(engines)?;
        let _lock = run::lock(&self.output)?;
        let last = if self.fresh { None } else { Run::last(&self.output)? };
        let mut run = match last.filter(|last| !last.is_complete()) {
            Some(last) => {
                self.can_go_on(&last, &plan)?;
                say(&format!("going on with the run of {}; --fresh begins anew", last.header.started));
                last
            }
            None => Run::begin(&self.output, plan, self.command(), engines)?,
        };
        run.go_on(engines, say)?;
        Ok(run)
    }

    /// A run that was stopped is not given up unless that is wished.
    fn can_go_on(&self, last: &Run, plan: &Plan) -> Result {
        let Some(difference) = last.differs(plan) else { return Ok(()) };
        Err(format!(
            "the run of {} in {} was stopped, and this cannot go on with it: {difference}. Finish it with `{}`, or begin anew with \
             --fresh; --output keeps both",
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
        let workloads = WORKLOADS.iter().map(|workload| workload.name);
        Ok(Plan {
            scale: self.scale(),
            workloads: workloads.filter(|name| self.only.is_empty() || selected(name)).map(str::to_owned).collect(),
            engines: names.into_iter().filter(|name| wanted(name)).map(str::to_owned).collect(),
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

    /// As a user would type it.
    fn command(&self) -> String {
        let program = env::args().next().map(PathBuf::from);
        let program = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let mut command = match program.as_deref() {
            Some("compare") | None => "cargo xtask compare".to_owned(),
            Some(other) => other.to_owned(),
        };
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
        command
    }
}

fn list(engines: &[&'static dyn Engine]) {
    say("workloads:");
    for workload in WORKLOADS {
        say(&format!("  {:20} {}: {}", workload.name, workload.title, workload.what));
    }
    say("engines:");
    for engine in engines {
        say(&format!("  {:20} {:?}", engine.name(), engine.role()));
    }
}

fn show(summary: &Summary, directory: &Path) {
    for ratio in &summary.ratios {
        let rival = |rival: &Option<super::summary::Rival>| {
            rival.as_ref().map_or_else(|| "-".to_owned(), |rival| format!("{:.2} of {}", rival.ratio, rival.engine))
        };
        say(&format!("{:20} {:30} {}", ratio.workload, rival(&ratio.best_peer), rival(&ratio.limit)));
    }
    say(&format!("the report: {}", directory.join("index.html").display()));
}

/// Prints a line. An hour's work does not end because nobody listens any more.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
