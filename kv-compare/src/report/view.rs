//! The results of a workload, arranged for display.

use kv_bench::harness::{
    engine::{Level, Promise, Role},
    summary::{Curve, Figure, Ratio, Rival, Summary},
    workloads::{Metric, Workload},
};

/// A workload and all its results.
pub struct View<'a> {
    pub name: &'a str,
    pub title: &'a str,
    /// What the workload does. Empty if the workload is not in the catalogue.
    pub what: &'a str,
    pub level: Option<Level>,
    /// The promise that a figure needs to be compared.
    pub asked: Promise,
    /// The metric of the chart.
    pub metric: Metric,
    pub ratio: Option<&'a Ratio>,
    pub curves: Vec<&'a Curve>,
    /// The title of the workload whose limit this is, if it is another workload.
    pub limit_of: Option<&'a str>,
    figures: Vec<&'a Figure>,
    summary: &'a Summary,
}

/// A group of figures that are shown together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Our engine, and the peers with the promise that was asked for.
    Ranked,
    /// The machine.
    Limit,
    /// Engines with another promise.
    Other,
    /// Parts of engines.
    Part,
    /// Maps in memory.
    Ceiling,
}

impl Section {
    pub const ALL: [Section; 5] = [Section::Ranked, Section::Limit, Section::Other, Section::Part, Section::Ceiling];

    /// The heading in a chart.
    pub fn heading(self) -> &'static str {
        match self {
            Section::Ranked => "",
            Section::Limit => "The machine itself: the limit",
            Section::Other => "Keep something else: not compared",
            Section::Part => "Parts, measured alone",
            Section::Ceiling => "Maps in memory: store nothing",
        }
    }
}

/// A figure in the metric of the chart.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub figure: &'a Figure,
    pub role: Role,
    /// Memory that maps files, in a chart of the memory that does not.
    pub mapped: Option<f64>,
}

impl<'a> View<'a> {
    /// All workloads that have figures or curves. Those of the catalogue come first, in its order.
    pub fn all(summary: &'a Summary, catalogue: &[Workload]) -> Vec<View<'a>> {
        let mut names = Vec::new();
        let known = catalogue.iter().map(|workload| workload.name).filter(|name| mentions(summary, name));
        let measured = summary.results.iter().map(|figure| figure.workload.as_str());
        let curved = summary.curves.iter().map(|curve| curve.workload.as_str());
        for name in known.chain(measured).chain(curved) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.into_iter().map(|name| View::new(summary, catalogue, name)).collect()
    }

    fn new(summary: &'a Summary, catalogue: &[Workload], name: &'a str) -> View<'a> {
        let find = |name: &str| catalogue.iter().find(|workload| workload.name == name);
        let known = find(name);
        let figures: Vec<_> = summary.results.iter().filter(|figure| figure.workload == name).collect();
        let metric = known.map(|workload| workload.headline).or(figures.first().map(|figure| figure.metric));
        let ours = figures.iter().find(|figure| role(summary, &figure.engine) == Role::Ours);
        let asked =
            known.map(|workload| workload.level.into()).or(ours.or(figures.first()).map(|figure| figure.promise));
        let limit = known.and_then(|workload| workload.limit).filter(|limit| *limit != name);
        View {
            name,
            title: known.map_or(name, |workload| workload.title),
            what: known.map_or("", |workload| workload.what),
            level: known.map(|workload| workload.level),
            asked: asked.unwrap_or(Promise::Process),
            metric: metric.unwrap_or(Metric::Rate),
            ratio: summary.ratios.iter().find(|ratio| ratio.workload == name),
            curves: summary.curves.iter().filter(|curve| curve.workload == name).collect(),
            limit_of: limit.map(|limit| find(limit).map_or(limit, |workload| workload.title)),
            figures,
            summary,
        }
    }

    /// The heading of the group that the workload belongs to.
    pub fn group(&self) -> &'static str {
        let values = self.name.ends_with("-1k") || self.name.ends_with("-64k");
        let starts = |prefix: &str| self.name.starts_with(prefix);
        match self.name.split('-').next().unwrap_or_default() {
            _ if values => "Larger values",
            _ if self.name.contains("snapshot") => "Snapshots",
            "put" if starts("put-disk") => "Durable puts",
            "put" => "Puts that survive a killed process",
            "load" => "Loading",
            "get" => "Gets",
            "mixed" => "Reads and writes mixed",
            "iterate" | "range" | "prefix" => "Scans",
            "transact" => "Transactions",
            "queue" => "Queues",
            "open" | "close" => "Opening and closing",
            "memory" => "Memory",
            "disk" => "Disk",
            "checkpoint" | "writers" | "written" => "Checkpoints",
            _ => "Others",
        }
    }

    /// The rows of a section, the best first.
    pub fn section(&self, section: Section) -> Vec<Row<'a>> {
        let mut rows: Vec<_> = self.rows().filter(|row| self.section_of(row) == section).collect();
        rows.sort_by(|one, other| {
            let rising = one.figure.median.total_cmp(&other.figure.median);
            if self.metric.more_is_better() { rising.reverse() } else { rising }
        });
        rows
    }

    /// All figures in the metric of the chart.
    pub fn rows(&self) -> impl Iterator<Item = Row<'a>> {
        self.figures.iter().filter(|figure| figure.metric == self.metric).map(|figure| {
            let mapped = (self.metric == Metric::Anonymous).then(|| self.of(figure, Metric::Mapped)).flatten();
            Row { figure, role: self.role(&figure.engine), mapped: mapped.map(|mapped| mapped.median) }
        })
    }

    /// The metrics other than that of the chart.
    pub fn other_metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for figure in &self.figures {
            if figure.metric != self.metric && !metrics.contains(&figure.metric) {
                metrics.push(figure.metric);
            }
        }
        metrics
    }

    /// One figure for each engine and promise that has figures in other metrics.
    pub fn others(&self) -> Vec<&'a Figure> {
        let mut others: Vec<&Figure> = Vec::new();
        for figure in self.figures.iter().filter(|figure| figure.metric != self.metric) {
            if !others.iter().any(|other| (&other.engine, other.promise) == (&figure.engine, figure.promise)) {
                others.push(figure);
            }
        }
        others
    }

    /// The figure in another metric for the engine and promise of `figure`.
    pub fn of(&self, figure: &Figure, metric: Metric) -> Option<&'a Figure> {
        let same =
            |other: &&&Figure| (&other.engine, other.promise, other.metric) == (&figure.engine, figure.promise, metric);
        self.figures.iter().find(same).copied()
    }

    /// How many times better ours is, if the two are comparable.
    pub fn ratio_to(&self, row: &Row<'_>) -> Option<f64> {
        let ours = self.ours()?;
        let comparable = match row.role {
            // Otherwise the limit is a figure of another workload.
            Role::Limit => self.limit_of.is_none(),
            _ => row.figure.promise == ours.promise,
        };
        if row.role == Role::Ours || !comparable {
            return None;
        }
        let times = ours.median / row.figure.median;
        Some(if self.metric.more_is_better() { times } else { times.recip() }).filter(|ratio| ratio.is_finite())
    }

    /// The figure of our engine in the chart.
    pub fn ours(&self) -> Option<&'a Figure> {
        self.rows().find(|row| row.role == Role::Ours && row.figure.promise == self.asked).map(|row| row.figure)
    }

    /// The machine's limit, taken from this workload or from another one.
    pub fn limit(&self) -> Option<&'a Rival> {
        self.ratio.and_then(|ratio| ratio.limit.as_ref())
    }

    /// Whether the ranges of our repetitions and of a rival's overlap.
    pub fn overlaps(&self, rival: &Rival) -> bool {
        let theirs = self.rows().find(|row| row.figure.engine == rival.engine && row.figure.promise == self.asked);
        self.ours()
            .zip(theirs)
            .is_some_and(|(ours, theirs)| ours.min <= theirs.figure.max && theirs.figure.min <= ours.max)
    }

    /// The role of an engine.
    pub fn role(&self, engine: &str) -> Role {
        role(self.summary, engine)
    }

    /// The index of an engine among the peers.
    pub fn peer_number(&self, engine: &str) -> usize {
        let mut peers = self.summary.engines.iter().filter(|engine| engine.role == Role::Peer);
        peers.position(|peer| peer.name == engine).unwrap_or_default()
    }

    fn section_of(&self, row: &Row<'_>) -> Section {
        match row.role {
            Role::Limit => Section::Limit,
            Role::Part => Section::Part,
            Role::Ceiling => Section::Ceiling,
            Role::Ours | Role::Peer if row.figure.promise == self.asked => Section::Ranked,
            Role::Ours | Role::Peer => Section::Other,
        }
    }
}

/// How our engine compares with a rival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ahead,
    Even,
    Behind,
}

impl Verdict {
    /// The verdict on a ratio as it is shown: a ratio that reads "1.00×" is even.
    pub fn of(ratio: f64) -> Self {
        match ratio {
            ratio if ratio >= 1.005 => Verdict::Ahead,
            ratio if ratio < 0.995 => Verdict::Behind,
            _ => Verdict::Even,
        }
    }

    /// A sign that is clear without a colour.
    pub fn sign(self) -> &'static str {
        match self {
            Verdict::Ahead => "▲",
            Verdict::Even => "=",
            Verdict::Behind => "▼",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ahead => "ahead",
            Verdict::Even => "even",
            Verdict::Behind => "behind",
        }
    }
}

/// The role in words.
pub fn clause(role: Role) -> &'static str {
    match role {
        Role::Ours => "this project",
        Role::Part => "a part, measured alone",
        Role::Peer => "a peer",
        Role::Ceiling => "a map in memory: stores nothing",
        Role::Limit => "the machine itself: the limit",
    }
}

/// The role of an engine. An engine that is not listed counts as a peer.
fn role(summary: &Summary, engine: &str) -> Role {
    summary.engines.iter().find(|known| known.name == engine).map_or(Role::Peer, |known| known.role)
}

fn mentions(summary: &Summary, workload: &str) -> bool {
    summary.results.iter().any(|figure| figure.workload == workload)
        || summary.curves.iter().any(|curve| curve.workload == workload)
}
