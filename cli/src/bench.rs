//! `headwater bench`: whole paths, from a log to views, measured in CPU rather than in seconds, which holds on a noisy
//! machine. The rows of every path are digested, and the digests must agree: a figure without a right digest is no figure.

mod load;
mod meter;
mod null;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_engine::table::Row;
use headwater_http::telemetry;
use headwater_log::Log;
use headwater_runner::{Job, Settings};
use headwater_schemas::registry::Registry;
use headwater_views::{SqliteOptions, Store};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::note;
use load::Load;
use meter::Meter;

/// The runner's counter of rows put and deleted.
const ROWS_WRITTEN: &str = "headwater_runner_rows_written_total{";

/// Measure whole paths: events in a log to rows in a store
#[derive(Debug, Args)]
#[command(
    long_about = "Writes generated events to a log of its own in a temporary folder, then folds them into each kind of \
                  store, and prints for each: events a second, CPU-seconds a million events, rows written a million events, \
                  peak memory, and the digest of all rows. The digests of a load must agree. `log` is reading the log and \
                  nothing else, which all others do too; of `null`, what decoding and folding took is told apart. Use an optimised build: `make bench`.",
    after_help = "Examples:\n  headwater bench\n  headwater bench --events 1000000 --load orders --store null\n  headwater bench --json"
)]
pub(crate) struct Bench {
    /// How many events
    #[arg(long, value_name = "COUNT", default_value_t = 200_000)]
    events: usize,

    /// Which events; all unless given
    #[arg(long, value_name = "LOAD")]
    load: Vec<Load>,

    /// Which stores; all unless given
    #[arg(long, value_name = "KIND")]
    store: Vec<Kind>,
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
}

#[derive(Debug, Serialize)]
struct Figure {
    load: Load,
    store: Kind,
    events: usize,
    seconds: f64,
    events_per_second: f64,
    cpu_seconds_per_million: f64,
    /// Of these, what decoding and folding took; known where they run alone on their thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    fold_cpu_seconds_per_million: Option<f64>,
    rows_written_per_million: f64,
    peak_rss_mb: f64,
    /// None where nothing is folded.
    digest: Option<String>,
}

/// What every path starts from.
struct Source {
    load: Load,
    topology: Arc<Topology>,
    log: Log,
    registry: Registry,
    events: usize,
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
        let answer = tokio::select! {
            answer = self.measure(context, &project, &folder) => answer,
            () = stop.cancelled() => Ok(Answer::Interrupted),
        };
        // It is in the system's temporary folder: what cannot be removed now goes with that.
        let _ = std::fs::remove_dir_all(&folder);
        answer
    }

    async fn measure(&self, context: &Context, project: &Project, folder: &Path) -> Result<Answer, Failure> {
        let cannot = |error: &dyn std::error::Error| Failure::because("the bench's own log cannot be made", error);
        let log = Log::open_embedded(&folder.join("log")).await.map_err(|error| cannot(&error))?;
        let registry = Registry::open_embedded(&folder.join("log")).await.map_err(|error| cannot(&error))?;
        let metrics = telemetry::metrics().map_err(|error| cannot(&error))?;
        let loads = if self.load.is_empty() { Load::value_variants() } else { &self.load };
        let kinds = if self.store.is_empty() { Kind::value_variants() } else { &self.store };
        let mut figures = Vec::new();
        for &load in loads {
            let topology = load.topology(project, folder)?;
            let (log, registry, metrics) = (log.clone(), registry.clone(), metrics.clone());
            let source = Source { load, topology, log, registry, events: self.events, metrics };
            note(format!("Writing {} events of {} to a log…", self.events, load.name()));
            load.fill(&source).await?;
            let first = figures.len();
            for &kind in kinds {
                note(format!("Folding {} into {}…", load.name(), kind.name()));
                figures.push(one(&source, kind, folder).await?);
            }
            // Digested last, and folded again for it: the rows kept for that are no part of any figure.
            if let Some(null) = figures[first..].iter_mut().find(|figure| figure.store == Kind::Null) {
                null.digest = Some(digest(null::fold(&source, true).await?.tables()));
            }
        }
        log.close().await;
        report(context, &figures)
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Null => "null",
            Kind::Sqlite => "sqlite",
            Kind::Memory => "memory",
        }
    }
}

async fn one(source: &Source, kind: Kind, folder: &Path) -> Result<Figure, Failure> {
    let store = match kind {
        Kind::Log => {
            let meter = Meter::start();
            null::read(source).await?;
            return Ok(figure(source, kind, meter.stop(), 0, None));
        }
        Kind::Null => {
            let meter = Meter::start();
            let rows = null::fold(source, false).await?;
            let folding = rows.folding.as_secs_f64() * 1e6 / source.events as f64;
            let figure = figure(source, kind, meter.stop(), rows.written, None);
            return Ok(Figure { fold_cpu_seconds_per_million: Some(folding), ..figure });
        }
        Kind::Memory => Store::memory(),
        Kind::Sqlite => {
            let options = SqliteOptions::new(folder.join(format!("{}.db", source.load.name())));
            Store::open_sqlite(options).await.map_err(|error| Failure::because("the store cannot be opened", &error))?
        }
    };
    let topology = &source.topology;
    let generation = headwater_runner::deploy(&store, topology).await;
    let generation = generation.map_err(|error| Failure::because("the topology cannot be deployed", &error))?;
    let job = Job {
        topology: topology.clone(),
        generation,
        log: source.log.clone(),
        store: store.clone(),
        registry: source.registry.clone(),
        settings: Settings::default(),
    };
    let stop = CancellationToken::new();
    let before = rows_written(source);
    let meter = Meter::start();
    let worker = tokio::spawn(headwater_runner::run(job, stop.clone(), |_| ()));
    until_level(source, &store, generation).await?;
    let measured = meter.stop();
    stop.cancel();
    let ended = worker.await.map_err(|error| Failure::because("the worker failed", &error))?;
    ended.map_err(|error| Failure::because("the worker failed", &error))?;
    let mut tables = Vec::new();
    for view in &topology.views {
        let rows = store.table_rows(&view.table, generation, usize::MAX >> 1).await;
        let rows = rows.map_err(|error| Failure::because("the rows cannot be read back", &error))?;
        tables.push((view.table.name.as_str(), rows));
    }
    store.close().await;
    let rows = tables.iter().map(|(name, rows)| (*name, rows.iter().collect()));
    Ok(figure(source, kind, measured, rows_written(source) - before, Some(digest(rows))))
}

/// What the runner has counted so far.
fn rows_written(source: &Source) -> u64 {
    let metrics = source.metrics.render();
    let counts = metrics.lines().filter(|line| line.starts_with(ROWS_WRITTEN));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Waits until the views reflect the whole log.
async fn until_level(source: &Source, store: &Store, generation: u32) -> Result<(), Failure> {
    loop {
        let now_ms = chrono::Utc::now().timestamp_millis();
        let lag = headwater_runner::lag(&source.topology, generation, &source.log, store, now_ms).await;
        let lag = lag.map_err(|error| Failure::because("the lag cannot be read", &error))?;
        if lag.iter().all(|partition| partition.records == 0) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn figure(source: &Source, kind: Kind, measured: meter::Measured, written: u64, digest: Option<String>) -> Figure {
    let million = source.events as f64 / 1e6;
    Figure {
        load: source.load,
        store: kind,
        events: source.events,
        seconds: measured.seconds,
        events_per_second: source.events as f64 / measured.seconds,
        cpu_seconds_per_million: measured.cpu_seconds / million,
        fold_cpu_seconds_per_million: None,
        rows_written_per_million: written as f64 / million,
        peak_rss_mb: measured.peak_rss_mb,
        digest,
    }
}

/// Of the visible values of every row of every view, in whatever order they come: the hashes of the rows are added up.
fn digest<'r>(tables: impl Iterator<Item = (&'r str, Vec<&'r Row>)>) -> String {
    let mut sum = 0u128;
    for (name, rows) in tables {
        for row in rows {
            let hash = Sha256::digest(format!("{name}\0{:?}", row.values));
            let mut half = [0; 16];
            half.copy_from_slice(&hash[..16]);
            sum = sum.wrapping_add(u128::from_be_bytes(half));
        }
    }
    format!("{sum:032x}")
}

fn report(context: &Context, figures: &[Figure]) -> Result<Answer, Failure> {
    let mut out = context.output();
    if context.json {
        out.value(&figures)?;
    } else {
        let rows: Vec<Vec<String>> = figures
            .iter()
            .map(|figure| {
                vec![
                    figure.load.name().to_owned(),
                    figure.store.name().to_owned(),
                    figure.events.to_string(),
                    format!("{:.0}", figure.events_per_second),
                    format!("{:.2}", figure.cpu_seconds_per_million),
                    figure.fold_cpu_seconds_per_million.map(|folding| format!("{folding:.2}")).unwrap_or_default(),
                    format!("{:.0}", figure.rows_written_per_million),
                    format!("{:.0}", figure.peak_rss_mb),
                    figure.digest.clone().unwrap_or_default(),
                ]
            })
            .collect();
        out.table(
            &["LOAD", "STORE", "EVENTS", "EVENTS/S", "CPU S/M", "FOLD S/M", "ROWS/M", "PEAK MB", "DIGEST"],
            &rows,
        )?;
    }
    out.flush()?;
    let digested: Vec<&Figure> = figures.iter().filter(|figure| figure.digest.is_some()).collect();
    let agree = digested.windows(2).all(|pair| pair[0].load != pair[1].load || pair[0].digest == pair[1].digest);
    if !agree {
        note("The digests differ: the stores do not hold the same rows, and none of these figures counts.");
    }
    Ok(if agree { Answer::Yes } else { Answer::No })
}
