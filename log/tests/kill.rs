//! kill -9 at any moment loses nothing that was acknowledged.
//!
//! A child, this same test binary, appends from many tasks at once and prints what was acknowledged. The parent kills it in
//! the middle, opens the log again and looks for each acknowledged record, of this round and of all before.

#![allow(clippy::unwrap_used)] // the functions that tests call are tests, which clippy does not see

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use headwater_log::{Header, Log, NewRecord, Offset, Partition, TopicSpec};

const FOLDER: &str = "HEADWATER_LOG_TEST_FOLDER";
const ROUND: &str = "HEADWATER_LOG_TEST_ROUND";
const ROUNDS: u32 = 40;
const TASKS: u32 = 40;
const PARTITIONS: u32 = 3;

/// What the child writes under this name, which says all of it.
fn new_record(name: &str) -> NewRecord {
    let mut payload = name.repeat(1 + name.len() * 7 % 60);
    payload.truncate(1_500);
    NewRecord {
        key: Some(name.to_owned().into()),
        payload: Some(payload.into()),
        headers: vec![Header { name: "name".into(), value: name.to_owned().into() }],
        timestamp_ms: Some(name.len() as i64),
        partition: None,
    }
}

/// Does nothing unless the test below runs it.
#[test]
fn child() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Log::open_embedded(Path::new(&folder)).await.unwrap();
        let spec = TopicSpec { name: "t".into(), partitions: PARTITIONS, retention_days: None, compact: false };
        log.ensure_topic(&spec).await.unwrap();
        let tasks = (0..TASKS).map(|task| {
            let (log, round) = (log.clone(), round.clone());
            tokio::spawn(async move {
                for i in 0_u32.. {
                    let name = format!("{round}-{task}-{i}");
                    let at = log.append("t", new_record(&name)).await.unwrap();
                    let line = format!("ack {} {} {name}\n", at.partition, at.offset);
                    // One write, so that lines of tasks are not mixed. It fails when the parent has gone.
                    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            })
        });
        futures::future::join_all(tasks).await;
    });
}

/// Runs a child, kills it after so many acknowledgements, and answers all that it printed.
fn run_and_kill(folder: &Path, round: u32, after: usize) -> Vec<(Partition, Offset, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        if after == 0 {
            // The harness's first line comes before anything else: the log is being opened now, or created.
            child.kill().unwrap();
        }
        // The last line may have been cut off by the kill; other lines are the test harness's.
        let Some(ack) = line.strip_prefix("ack ").and_then(|rest| rest.strip_suffix('\n')) else { continue };
        let parts: Vec<&str> = ack.split(' ').collect();
        let [partition, offset, name] = parts[..] else { panic!("{line:?}") };
        acknowledged.push((Partition(partition.parse().unwrap()), Offset(offset.parse().unwrap()), name.to_owned()));
        if acknowledged.len() == after {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "round {round} ended by itself");
    assert!(acknowledged.len() >= after, "round {round} gave up after {} of {after}", acknowledged.len());
    acknowledged
}

#[tokio::test]
async fn kill_nine_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        // First while the file is being created, then in the middle of appends.
        let after = if round < 8 { 0 } else { rand::random_range(1..400) };
        for (partition, offset, name) in run_and_kill(folder.path(), round, after) {
            let other = acknowledged.insert((partition, offset), name);
            assert_eq!(other, None, "offset {offset} of partition {partition} was given twice");
        }
        let log = Log::open_embedded(folder.path()).await.unwrap();
        if acknowledged.is_empty() {
            log.close().await;
            continue;
        }
        let mut kept = BTreeMap::new();
        for partition in (0..PARTITIONS as i32).map(Partition) {
            let records = log.read("t", partition, Offset(0), usize::MAX, usize::MAX).await.unwrap();
            assert!((0..).zip(&records).all(|(offset, record)| record.offset == Offset(offset)));
            kept.extend(records.into_iter().map(|record| ((partition, record.offset), record)));
        }
        for (place, name) in &acknowledged {
            let record = kept.get(place).unwrap_or_else(|| panic!("round {round}: {name} was at {place:?}"));
            let given = new_record(name);
            assert_eq!((&record.key, &record.payload), (&given.key, &given.payload), "{name}");
            assert_eq!((&record.headers, Some(record.timestamp_ms)), (&given.headers, given.timestamp_ms), "{name}");
        }
        log.close().await;
    }
}
