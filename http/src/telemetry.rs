//! Logs and metrics of a process: set up once, by the binary.
//!
//! Logs go to standard error: lines for people on a terminal, JSON elsewhere. `HEADWATER_LOG` filters them as `RUST_LOG`
//! does (`info` unless given). Lines written while a request is answered carry its method, route and trace id.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// The environment variable that filters logs.
pub const FILTER: &str = "HEADWATER_LOG";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Human,
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("{FILTER} is no filter: {0}; write a level, or `target=level` joined by commas")]
    Filter(#[from] ParseError),
    #[error("logs were set up before: {0}")]
    Logs(#[from] TryInitError),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] BuildError),
}

/// Sets up logs; `fallback` is the filter where [`FILTER`] says nothing.
pub fn logs(format: Format, fallback: &str) -> Result<(), TelemetryError> {
    let filter = std::env::var(FILTER).ok().filter(|filter| !filter.trim().is_empty());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(fallback))?;
    let human = match format {
        Format::Auto => std::io::stderr().is_terminal(),
        Format::Human => true,
        Format::Json => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if human {
        lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(())
}

/// Bounds of the buckets of every histogram of times, in seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// The same of histograms that count records.
const RECORDS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0];
const UPKEEP: Duration = Duration::from_secs(5);

/// Sets up metrics, and keeps their memory bounded from a task of the current runtime.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    let counted = Matcher::Suffix("_records".to_owned());
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS)?.set_buckets_for_metric(counted, &RECORDS)?;
    let handle = builder.install_recorder()?;
    describe();
    let kept = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            kept.run_upkeep();
        }
    });
    Ok(handle)
}

fn describe() {
    metrics::describe_counter!("headwater_http_requests_total", "Requests answered, by method, route and status.");
    metrics::describe_histogram!(
        "headwater_http_request_seconds",
        metrics::Unit::Seconds,
        "From a request's headers to its answer's, by method and route."
    );
}
