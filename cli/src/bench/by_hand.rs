//! The loop that is written by hand (`benches/`), run as a process of its own on the same topic, and in the same schema or
//! keyspace as the path just measured. It is told where by its standard input, so that no other process sees a password.

use std::path::Path;
use std::process::Stdio;

use headwater_engine::declare::config::{LogConfig, StoreConfig};
use headwater_engine::project::Project;
use headwater_log::{KafkaOptions, KafkaSecurity};
use headwater_runner::Settings;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Kind;
use super::figure::{Figure, Maker};
use super::path::Source;
use crate::environment;
use crate::failure::Failure;
use crate::output::note;

/// Where it writes to.
pub(super) struct Place<'p> {
    pub(super) project: &'p Project,
    /// The store's name in the profile.
    pub(super) name: &'p str,
    /// The scratch store.
    pub(super) config: &'p StoreConfig,
}

/// What it prints.
#[derive(Deserialize)]
struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    peak_rss_mb: f64,
    rows_written: u64,
    digest: String,
}

/// Runs it; nothing, where it has no loop for this store.
pub(super) async fn measure(
    program: &Path,
    source: &Source,
    kind: Kind,
    place: &Place<'_>,
) -> Result<Option<Figure>, Failure> {
    let Some(store) = store(place)? else { return Ok(None) };
    note(format!("The same into {}, by hand…", kind.name()));
    let cannot = |error: std::io::Error| Failure::because(format!("{} cannot be run", program.display()), &error);
    let order = order(source, place.project, store)?;
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| cannot(error).mend("Build it: cargo build --release --package headwater-benches"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(order.to_string().as_bytes()).await.map_err(cannot)?;
    }
    let output = child.wait_with_output().await.map_err(cannot)?;
    if !output.status.success() {
        return Err(Failure::new(format!("{} failed: {}", program.display(), output.status)));
    }
    let measured: Measured = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::because(format!("{} prints no figures", program.display()), &error))?;
    let million = source.events as f64 / 1e6;
    Ok(Some(Figure {
        load: source.load,
        log: source.kind,
        store: kind,
        by: Maker::ByHand,
        events: source.events,
        seconds: measured.seconds,
        events_per_second: source.events as f64 / measured.seconds,
        cpu_seconds_per_million: measured.cpu_seconds / million,
        fold_cpu_seconds_per_million: None,
        rows_written_per_million: measured.rows_written as f64 / million,
        peak_rss_mb: measured.peak_rss_mb,
        digest: Some(measured.digest),
    }))
}

fn order(source: &Source, project: &Project, store: Json) -> Result<Json, Failure> {
    let LogConfig::Kafka(kafka) = &project.config.log else {
        return Err(Failure::new("the loop written by hand reads Kafka only"));
    };
    let options = environment::kafka_options(project, kafka)?;
    let missing = || Failure::new("the load has no event");
    let topic = &source.topology.topics.first().ok_or_else(missing)?.topic;
    let schema = &topic.events.first().ok_or_else(missing)?.schema;
    Ok(json!({
        "kafka": kafka_settings(&options),
        "topic": topic.name,
        "partitions": topic.partitions,
        "schema": &*schema.text,
        "batch_records": Settings::default().batch_records,
        "store": store,
    }))
}

/// How the cluster is reached, in librdkafka's words.
fn kafka_settings(options: &KafkaOptions) -> Json {
    let mut settings = json!({ "bootstrap.servers": options.brokers });
    let ca_file = match &options.security {
        KafkaSecurity::Plain => None,
        KafkaSecurity::Ssl { ca_file, .. } => {
            settings["security.protocol"] = json!("ssl");
            ca_file.as_ref()
        }
        KafkaSecurity::SaslSsl { mechanism, user, password, ca_file } => {
            settings["security.protocol"] = json!("sasl_ssl");
            settings["sasl.mechanism"] = json!(mechanism);
            settings["sasl.username"] = json!(user);
            settings["sasl.password"] = json!(password.expose_secret());
            ca_file.as_ref()
        }
    };
    if let Some(file) = ca_file {
        settings["ssl.ca.location"] = json!(file);
    }
    settings
}

fn store(place: &Place<'_>) -> Result<Option<Json>, Failure> {
    Ok(match place.config {
        StoreConfig::Sqlite(_) => None,
        StoreConfig::Postgres(postgres) => {
            let options = environment::postgres_options(place.project, place.name, postgres)?;
            Some(json!({ "postgres": { "url": options.url.expose_secret(), "schema": options.schema } }))
        }
        StoreConfig::Cassandra(cassandra) => {
            let options = environment::cassandra_options(place.project, place.name, cassandra)?;
            let login = options.login.as_ref().map(|(user, password)| (user, password.expose_secret()));
            Some(json!({ "cassandra": {
                "nodes": options.nodes,
                "keyspace": options.keyspace,
                "login": login,
                "ca_file": options.ca_file,
                "concurrency": options.concurrency,
            } }))
        }
    })
}
