//! `headwater bench`: whole paths, from a log to views, measured in CPU rather than in seconds, which holds on a noisy
//! machine. The rows of every path are digested, and the digests must agree: a figure without a right digest is no figure.
//!
//! With a profile whose log is Kafka, the paths are from there into each of the profile's stores, on topics and stores of the
//! run's own, and the digests are compared with that of the same events on the embedded path.

mod by_hand;
mod figure;
mod load;
mod meter;
mod null;
mod path;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use headwater_engine::declare::config::{LogConfig, StoreConfig};
use headwater_engine::project::Project;
use headwater_http::telemetry;
use headwater_log::Log;
use headwater_schemas::registry::Registry;
use headwater_views::{SqliteOptions, Store};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use crate::against::scratch::Scratch;
use crate::context::{Context, PROJECT_FILE};
use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::note;
use figure::Figure;
use load::Load;
use path::Source;

/// What every name begins with that is made on servers.
const PREFIX: &str = "headwater-bench";

/// Measure whole paths: events in a log to rows in a store
#[derive(Debug, Args)]
#[command(
    long_about = "Writes generated events to a log of its own in a temporary folder, then folds them into each kind of \
                  store, and prints for each: events a second, CPU-seconds a million events, rows written a million events, \
                  peak memory, and the digest of all rows. The digests of a load must agree. `log` is reading the log and \
                  nothing else, which all others do too; of `null`, what decoding and folding took is told apart. Use an optimised build: `make bench`.\n\n\
                  With a profile whose log is Kafka, the events are also written there, and folded from there into each \
                  store of the profile. Topics, schemas and keyspaces are made for the run, under names that begin with \
                  headwater-bench-, and dropped after it.",
    after_help = "Examples:\n  headwater bench\n  headwater bench --events 1000000 --load orders --store null\n  \
                  headwater bench --config deploy/dev/headwater.yaml --rounds 3\n  headwater bench --json"
)]
pub(crate) struct Bench {
    /// How many events
    #[arg(long, value_name = "COUNT", default_value_t = 200_000)]
    events: usize,

    /// Which events; `orders` and `documents` unless given
    #[arg(long, value_name = "LOAD")]
    load: Vec<Load>,

    /// Which stores; all unless given
    #[arg(long, value_name = "KIND")]
    store: Vec<Kind>,

    /// How often each path is measured
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    rounds: usize,

    /// The program of `benches/`, which does to the same events what a loop written by hand does, for comparison
    #[arg(long, value_name = "PROGRAM")]
    by_hand: Option<PathBuf>,
}

/// Where the rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Nothing is folded: the log is read
    Log,
    /// Nowhere, save what the fold reads back: decode and fold alone
    Null,
    /// SQLite files, through the runner
    Sqlite,
    /// A store in memory, through the runner
    Memory,
    /// The profile's Postgres, through the runner
    Postgres,
    /// The profile's Cassandra, through the runner
    Cassandra,
}

/// The kinds that need no profile.
const OWN: [Kind; 4] = [Kind::Log, Kind::Null, Kind::Sqlite, Kind::Memory];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Null => "null",
            Kind::Sqlite => "sqlite",
            Kind::Memory => "memory",
            Kind::Postgres => "postgres",
            Kind::Cassandra => "cassandra",
        }
    }

    fn of(config: &StoreConfig) -> Self {
        match config {
            StoreConfig::Sqlite(_) => Kind::Sqlite,
            StoreConfig::Postgres(_) => Kind::Postgres,
            StoreConfig::Cassandra(_) => Kind::Cassandra,
        }
    }
}

/// What a run has.
struct Ground<'g> {
    bench: &'g Bench,
    context: &'g Context,
    project: &'g Project,
    /// For the embedded logs and stores.
    folder: &'g Path,
    registry: Registry,
    metrics: PrometheusHandle,
}

impl Bench {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        if cfg!(debug_assertions) {
            note("This is a development build: its figures say little. Use `make bench`.");
        }
        let folder = std::env::temp_dir().join(format!("headwater-bench-{}", std::process::id()));
        let stop = interrupt::token()?;
        let profile = context.config.clone().unwrap_or_else(|| context.dir.join(PROJECT_FILE));
        let mut scratch = match &project.config.log {
            LogConfig::Embedded(_) => None,
            LogConfig::Kafka(_) => Some(Scratch::open(&project, &profile, 0, PREFIX).await?),
        };
        let answer = tokio::select! {
            answer = self.measure(context, &project, &folder, scratch.as_mut()) => answer,
            () = stop.cancelled() => Ok(Answer::Interrupted),
        };
        if let Some(scratch) = scratch {
            scratch.drop_all().await?;
        }
        // It is in the system's temporary folder: what cannot be removed now goes with that.
        let _ = std::fs::remove_dir_all(&folder);
        answer
    }

    async fn measure(
        &self,
        context: &Context,
        project: &Project,
        folder: &Path,
        mut scratch: Option<&mut Scratch>,
    ) -> Result<Answer, Failure> {
        let cannot = |error: &dyn std::error::Error| Failure::because("the bench's own log cannot be made", error);
        let registry = Registry::open_embedded(&folder.join("log")).await.map_err(|error| cannot(&error))?;
        let metrics = telemetry::metrics().map_err(|error| cannot(&error))?;
        let ground = Ground { bench: self, context, project, folder, registry, metrics };
        let loads = if self.load.is_empty() { &Load::USUAL[..] } else { &self.load };
        let mut figures = Vec::new();
        for (number, &load) in loads.iter().enumerate() {
            match scratch.as_deref_mut() {
                None => ground.embedded(load, &OWN, &mut figures).await?,
                Some(scratch) => {
                    ground.servers(load, number, scratch, &mut figures).await?;
                    // What all others are compared with; last, for it leaves the process large.
                    ground.embedded(load, &[Kind::Sqlite], &mut figures).await?;
                }
            }
        }
        figure::report(context, &figures)
    }

    fn wants(&self, kind: Kind) -> bool {
        self.store.is_empty() || self.store.contains(&kind)
    }
}

impl Ground<'_> {
    /// From a log of the run's own into files, into memory, and nowhere.
    async fn embedded(&self, load: Load, kinds: &[Kind], figures: &mut Vec<Figure>) -> Result<(), Failure> {
        let topology = load.topology(self.context, self.folder)?;
        let ids = load.register(&topology, &self.registry).await?;
        // A log of its own: loads have topics of one name.
        let log = Log::open_embedded(&self.folder.join(format!("log-{}", load.name()))).await;
        let log = log.map_err(|error| Failure::because("a log for the bench cannot be made", &error))?;
        let (registry, metrics) = (self.registry.clone(), self.metrics.clone());
        let events = self.bench.events;
        let source = Source { load, topology, log, registry, events, metrics, ids, kind: "embedded", groups: None };
        note(format!("Writing {events} events of {} to an embedded log…", load.name()));
        load.make_topics(&source).await?;
        load.fill(&source).await?;
        let is_reference = kinds.len() == 1;
        for &kind in kinds.iter().filter(|kind| is_reference || self.bench.wants(**kind)) {
            let rounds = if is_reference { 1 } else { self.bench.rounds };
            for round in 0..rounds {
                let store = match kind {
                    Kind::Memory => Some(Store::memory()),
                    Kind::Sqlite => Some(self.sqlite(load, round).await?),
                    _ => None,
                };
                figures.push(path::measure(&source, kind, store.as_ref()).await?);
                if let Some(store) = store {
                    store.close().await;
                }
            }
        }
        source.log.close().await;
        Ok(())
    }

    async fn sqlite(&self, load: Load, round: usize) -> Result<Store, Failure> {
        let options = SqliteOptions::new(self.folder.join(format!("{}-{round}.db", load.name())));
        Store::open_sqlite(options).await.map_err(|error| Failure::because("the store cannot be opened", &error))
    }

    /// From the profile's log into its stores, and nowhere.
    async fn servers(
        &self,
        load: Load,
        number: usize,
        scratch: &mut Scratch,
        figures: &mut Vec<Figure>,
    ) -> Result<(), Failure> {
        let bench = self.bench;
        let declared = load.topology(self.context, self.folder)?;
        let topics: Vec<_> = declared.topics.iter().map(|plan| plan.topic.clone()).collect();
        let ids = scratch.register(&topics).await?;
        scratch.make_topics(&topics.iter().map(|topic| (number, topic)).collect::<Vec<_>>()).await?;
        let defect = || Failure::new("a topology is in use twice: this is a defect of headwater");
        let topology = scratch.renamed(number, declared).ok_or_else(defect)?;
        let (log, registry, metrics) = (scratch.log().clone(), scratch.registry().clone(), self.metrics.clone());
        let (events, groups) = (bench.events, Some(scratch.groups().clone()));
        let source = Source { load, topology, log, registry, events, metrics, ids, kind: "kafka", groups };
        note(format!("Writing {} events of {} to Kafka…", bench.events, load.name()));
        load.fill(&source).await?;
        let stores: Vec<Kind> = self.project.config.stores.iter().map(|(_, config)| Kind::of(config)).collect();
        for round in 0..bench.rounds {
            for kind in [Kind::Log, Kind::Null].into_iter().filter(|kind| bench.wants(*kind)) {
                figures.push(path::measure(&source, kind, None).await?);
            }
            for (index, kind) in stores.iter().enumerate().filter(|(_, kind)| bench.wants(**kind)) {
                let lane = number * bench.rounds + round;
                let (config, store) = scratch.make_store(self.project, lane, index).await?;
                figures.push(path::measure(&source, *kind, Some(&store)).await?);
                if let (Load::Orders, Some(program)) = (load, &bench.by_hand) {
                    let name = &self.project.config.stores[index].0;
                    let place = by_hand::Place { project: self.project, name, config: &config };
                    figures.extend(by_hand::measure(program, &source, *kind, &place).await?);
                }
            }
        }
        Ok(())
    }
}
