//! Measures a log: appends by one caller and by many, and reading it all back.
//!
//! `cargo run -p headwater-log --example throughput [FOLDER | kafka:HOST:PORT]`: the folder should be on the disk to measure,
//! and is given a new `log.db` in a folder of its own; the cluster is given a topic, which is deleted in the end. Each append
//! waits for the disk or the broker, so the first figure is mostly its sync or the producer's linger.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use headwater_log::{Delivery, Header, KafkaOptions, Log, NewRecord, Offset, TopicSpec};

const PARTITIONS: u32 = 10;
const PAYLOAD_BYTES: usize = 300;

fn record(i: usize) -> NewRecord {
    NewRecord {
        key: Some(format!("document-{}", i % 5_000).into()),
        payload: Some(vec![b'x'; PAYLOAD_BYTES].into()),
        headers: vec![Header { name: "ce_id".into(), value: format!("{i:036}").into() }],
        ..NewRecord::default()
    }
}

async fn appends(log: &Log, topic: &str, callers: usize, each: usize) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (log, topic) = (log.clone(), topic.to_owned());
        tasks.spawn(async move {
            for i in 0..each {
                log.append(&topic, record(caller * each + i)).await?;
            }
            Ok::<_, headwater_log::LogError>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    report(&format!("append, {callers} callers"), callers * each, began);
    Ok(())
}

fn report(what: &str, records: usize, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{what:24} {records:8} records  {seconds:7.3} s  {:9.0} records/s", records as f64 / seconds);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1);
    if let Some(brokers) = place.as_deref().and_then(|place| place.strip_prefix("kafka:")) {
        let log = Log::connect_kafka(KafkaOptions::new(brokers)).await?;
        let topic = format!("throughput_{}", std::process::id());
        measure(&log, &topic).await?;
        log.delete_topic(&topic).await?;
        log.close().await;
        return Ok(());
    }
    let parent = place.map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::Builder::new().prefix("headwater-log-").tempdir_in(parent)?;
    let log = Log::open_embedded(folder.path()).await?;
    let total = measure(&log, "t").await?;
    let bytes = std::fs::metadata(folder.path().join("log.db"))?.len();
    println!("{:.0} bytes of file a record of {} bytes", bytes as f64 / total as f64, record(0).size());
    log.close().await;
    Ok(())
}

/// Answers how many records were written and read.
async fn measure(log: &Log, topic: &str) -> Result<usize, Box<dyn Error>> {
    log.ensure_topic(&TopicSpec { name: topic.into(), partitions: PARTITIONS, retention_days: None, compact: false })
        .await?;
    appends(log, topic, 1, 500).await?;
    appends(log, topic, 10, 200).await?;
    appends(log, topic, 100, 100).await?;
    appends(log, topic, 1_000, 100).await?;
    let began = Instant::now();
    log.append_all(topic, (0..200_000).map(record).collect()).await?;
    report("append_all", 200_000, began);

    let total: i64 = log.extents(topic).await?.iter().map(|extent| extent.end.0).sum();
    let total = usize::try_from(total)?;
    let mut consumer = log.consumer(&format!("{topic}.g"), &[topic.into()]).await?;
    let mut began = Instant::now();
    let mut read = 0;
    while read < total {
        match consumer.next().await? {
            Delivery::Assigned(partitions) => {
                began = Instant::now();
                for (topic, partition) in partitions {
                    consumer.start(&topic, partition, Offset(0)).await?;
                }
            }
            Delivery::Records { records, .. } => read += records.len(),
            Delivery::Revoked(_) => {}
        }
    }
    report("consume", read, began);
    Ok(total)
}
