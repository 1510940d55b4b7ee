//! One path, from a log that holds the events to the rows.

use std::sync::Arc;
use std::time::Duration;

use headwater_engine::plan::Topology;
use headwater_log::{Extent, Log};
use headwater_runner::{Job, Settings};
use headwater_schemas::registry::Registry;
use headwater_views::Store;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use super::figure::{Figure, Maker, digest};
use super::load::Load;
use super::meter::{Measured, Meter};
use super::{Kind, null};
use crate::against::scratch::{Groups, Ids};
use crate::failure::Failure;

/// The runner's counter of rows put and deleted.
const ROWS_WRITTEN: &str = "headwater_runner_rows_written_total{";

/// What another process's commit, or a lost notice of one, may cost.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What every path starts from.
pub(super) struct Source {
    pub(super) load: Load,
    pub(super) topology: Arc<Topology>,
    pub(super) log: Log,
    pub(super) registry: Registry,
    pub(super) events: usize,
    pub(super) metrics: PrometheusHandle,
    pub(super) ids: Ids,
    /// Of the log.
    pub(super) kind: &'static str,
    /// Where groups are noted that are to be forgotten.
    pub(super) groups: Option<Groups>,
}

impl Source {
    /// Where each topic ends, by the topology's.
    pub(super) async fn ends(&self) -> Result<Vec<Vec<Extent>>, Failure> {
        let mut ends = Vec::new();
        for plan in &self.topology.topics {
            let extents = self.log.extents(&plan.topic.name).await;
            ends.push(extents.map_err(|error| Failure::because("the log's ends cannot be read", &error))?);
        }
        Ok(ends)
    }
}

/// Measures a path: into the store, or where there is none, as the kind says.
pub(super) async fn measure(source: &Source, kind: Kind, store: Option<&Store>) -> Result<Figure, Failure> {
    crate::output::note(format!("Folding {} into {}…", source.load.name(), kind.name()));
    let Some(store) = store else {
        let meter = Meter::start();
        if kind == Kind::Log {
            null::read(source).await?;
            return Ok(figure(source, kind, meter.stop(), 0, None));
        }
        let rows = null::fold(source, false).await?;
        let (measured, written) = (meter.stop(), rows.written);
        let folding = rows.folding.as_secs_f64() * 1e6 / source.events as f64;
        drop(rows);
        // Folded again for it: the rows kept for that are no part of any figure.
        let digest = digest(null::fold(source, true).await?.tables());
        let figure = figure(source, kind, measured, written, Some(digest));
        return Ok(Figure { fold_cpu_seconds_per_million: Some(folding), ..figure });
    };
    through_the_runner(source, kind, store).await
}

async fn through_the_runner(source: &Source, kind: Kind, store: &Store) -> Result<Figure, Failure> {
    let topology = &source.topology;
    let generation = headwater_runner::deploy(store, topology).await;
    let generation = generation.map_err(|error| Failure::because("the topology cannot be deployed", &error))?;
    if let Some(groups) = &source.groups {
        groups.note(topology, generation);
    }
    let job = Job {
        topology: topology.clone(),
        generation,
        log: source.log.clone(),
        store: store.clone(),
        registry: source.registry.clone(),
        settings: Settings::default(),
    };
    let ends = source.ends().await?;
    let stop = CancellationToken::new();
    let before = rows_written(source);
    let meter = Meter::start();
    let worker = tokio::spawn(headwater_runner::run(job, stop.clone(), |_| ()));
    until_level(source, store, generation, &ends).await?;
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
    let rows = tables.iter().map(|(name, rows)| (*name, rows.iter().collect()));
    Ok(figure(source, kind, measured, rows_written(source) - before, Some(digest(rows))))
}

/// What the runner has counted so far.
fn rows_written(source: &Source) -> u64 {
    let metrics = source.metrics.render();
    let counts = metrics.lines().filter(|line| line.starts_with(ROWS_WRITTEN));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Waits until the views reflect the whole log. Asks the store after its commits only, for what it costs to ask is measured.
async fn until_level(source: &Source, store: &Store, generation: u32, ends: &[Vec<Extent>]) -> Result<(), Failure> {
    let mut changed = store.changed();
    loop {
        changed.borrow_and_update();
        let positions = store.positions(&source.topology.name, generation).await;
        let positions = positions.map_err(|error| Failure::because("the positions cannot be read", &error))?;
        let is_passed = |topic: &str, extent: &Extent| {
            let stored = positions.iter().find(|it| it.topic == topic && it.partition == extent.partition.0);
            extent.end.0 == extent.earliest.0 || stored.is_some_and(|stored| stored.next >= extent.end.0)
        };
        let topics = source.topology.topics.iter().map(|plan| plan.topic.name.as_str()).zip(ends);
        if topics.into_iter().all(|(topic, extents)| extents.iter().all(|extent| is_passed(topic, extent))) {
            return Ok(());
        }
        // Nobody may tell any more: then it is looked after this time.
        let _ = tokio::time::timeout(LOOK_AGAIN, changed.changed()).await;
    }
}

fn figure(source: &Source, kind: Kind, measured: Measured, written: u64, digest: Option<String>) -> Figure {
    let million = source.events as f64 / 1e6;
    Figure {
        load: source.load,
        log: source.kind,
        store: kind,
        by: Maker::Headwater,
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
