//! What was measured, and how it is told.

use headwater_engine::table::Row;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Kind;
use super::load::Load;
use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::output::note;

/// What took the events to the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Maker {
    Headwater,
    ByHand,
}

impl Maker {
    fn name(self) -> &'static str {
        match self {
            Maker::Headwater => "headwater",
            Maker::ByHand => "by hand",
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) load: Load,
    pub(super) log: &'static str,
    pub(super) store: Kind,
    pub(super) by: Maker,
    pub(super) events: usize,
    pub(super) seconds: f64,
    pub(super) events_per_second: f64,
    pub(super) cpu_seconds_per_million: f64,
    /// Of these, what decoding and folding took; known where they run alone on their thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fold_cpu_seconds_per_million: Option<f64>,
    pub(super) rows_written_per_million: f64,
    pub(super) peak_rss_mb: f64,
    /// None where nothing is folded.
    pub(super) digest: Option<String>,
}

/// Headwater's CPU time for the work of the loop written by hand.
#[derive(Debug, PartialEq, Serialize)]
struct Ratio {
    load: Load,
    store: Kind,
    /// The mean of all rounds, over that of the others.
    cpu: f64,
}

/// Of the visible values of every row of every view, in whatever order they come: the hashes of the rows are added up.
pub(super) fn digest<'r>(tables: impl Iterator<Item = (&'r str, Vec<&'r Row>)>) -> String {
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

fn ratios(figures: &[Figure]) -> Vec<Ratio> {
    let mean = |load, store, by| {
        let of = |figure: &&Figure| (figure.load, figure.store, figure.by) == (load, store, by);
        let costs: Vec<f64> = figures.iter().filter(of).map(|figure| figure.cpu_seconds_per_million).collect();
        (!costs.is_empty()).then(|| costs.iter().sum::<f64>() / costs.len() as f64)
    };
    let mut ratios: Vec<Ratio> = Vec::new();
    for figure in figures {
        let (load, store) = (figure.load, figure.store);
        let (Some(own), Some(by_hand)) = (mean(load, store, Maker::Headwater), mean(load, store, Maker::ByHand)) else {
            continue;
        };
        let ratio = Ratio { load, store, cpu: own / by_hand };
        if !ratios.contains(&ratio) {
            ratios.push(ratio);
        }
    }
    ratios
}

pub(super) fn report(context: &Context, figures: &[Figure]) -> Result<Answer, Failure> {
    let mut out = context.output();
    let ratios = ratios(figures);
    if context.json {
        out.value(&serde_json::json!({ "paths": figures, "ratios": ratios }))?;
    } else {
        let head =
            ["LOAD", "LOG", "STORE", "BY", "EVENTS", "EVENTS/S", "CPU S/M", "FOLD S/M", "ROWS/M", "PEAK MB", "DIGEST"];
        out.table(&head, &figures.iter().map(cells).collect::<Vec<_>>())?;
        for ratio in ratios {
            let (load, store, cpu) = (ratio.load.name(), ratio.store.name(), ratio.cpu);
            out.line(format!("{load} into {store}: {cpu:.2} times the CPU of the loop written by hand"))?;
        }
    }
    out.flush()?;
    let agree = figures.iter().all(|figure| {
        let of_load = figures.iter().filter(|other| other.load == figure.load && other.digest.is_some());
        figure.digest.is_none() || of_load.into_iter().all(|other| other.digest == figure.digest)
    });
    if !agree {
        note("The digests differ: the stores do not hold the same rows, and none of these figures counts.");
    }
    Ok(if agree { Answer::Yes } else { Answer::No })
}

fn cells(figure: &Figure) -> Vec<String> {
    vec![
        figure.load.name().to_owned(),
        figure.log.to_owned(),
        figure.store.name().to_owned(),
        figure.by.name().to_owned(),
        figure.events.to_string(),
        format!("{:.0}", figure.events_per_second),
        format!("{:.2}", figure.cpu_seconds_per_million),
        figure.fold_cpu_seconds_per_million.map(|folding| format!("{folding:.2}")).unwrap_or_default(),
        format!("{:.0}", figure.rows_written_per_million),
        format!("{:.0}", figure.peak_rss_mb),
        figure.digest.clone().unwrap_or_default(),
    ]
}
