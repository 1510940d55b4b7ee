//! Measures the embedded log: appends by one caller and by many, and reading it all back.
//!
//! `cargo run -p headwater-log --example throughput [FOLDER]`: the folder should be on the disk to measure, and is given a
//! new `log.db` in a folder of its own. Each append waits for the disk, so the first figure is mostly its sync.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use headwater_log::{Delivery, Header, Log, NewRecord, Offset, TopicSpec};

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

async fn appends(log: &Log, callers: usize, each: usize) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let log = log.clone();
        tasks.spawn(async move {
            for i in 0..each {
                log.append("t", record(caller * each + i)).await?;
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
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::Builder::new().prefix("headwater-log-").tempdir_in(parent)?;
    let log = Log::open_embedded(folder.path()).await?;
    log.ensure_topic(&TopicSpec { name: "t".into(), partitions: PARTITIONS, retention_days: None }).await?;

    appends(&log, 1, 500).await?;
    appends(&log, 10, 200).await?;
    appends(&log, 100, 100).await?;
    appends(&log, 1_000, 100).await?;
    let began = Instant::now();
    log.append_all("t", (0..200_000).map(record).collect()).await?;
    report("append_all", 200_000, began);

    let total: i64 = log.extents("t").await?.iter().map(|extent| extent.end.0).sum();
    let mut consumer = log.consumer("g", &["t".into()]).await?;
    let began = Instant::now();
    let mut read = 0;
    while read < usize::try_from(total)? {
        match consumer.next().await? {
            Delivery::Assigned(partitions) => {
                for (topic, partition) in partitions {
                    consumer.start(&topic, partition, Offset(0)).await?;
                }
            }
            Delivery::Records { records, .. } => read += records.len(),
            Delivery::Revoked(_) => {}
        }
    }
    report("consume", read, began);
    let bytes = std::fs::metadata(folder.path().join("log.db"))?.len();
    println!("{:.0} bytes of file a record of {} bytes", bytes as f64 / total as f64, record(0).size());
    log.close().await;
    Ok(())
}
