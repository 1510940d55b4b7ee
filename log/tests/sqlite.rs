//! What only a file can go through: several processes, locks, full disks, damage, other versions.

#![allow(clippy::unwrap_used)] // the functions that tests call are tests, which clippy does not see

use std::path::Path;
use std::time::Duration;

use headwater_log::{Log, LogError, NewRecord, Offset, Partition, SqliteOptions, TopicSpec};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const P0: Partition = Partition(0);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("this should have happened long ago")
}

fn spec(name: &str, partitions: u32, retention_days: Option<u32>) -> TopicSpec {
    TopicSpec { name: name.into(), partitions, retention_days, compact: false }
}

fn record(payload: impl Into<bytes::Bytes>) -> NewRecord {
    NewRecord { payload: Some(payload.into()), partition: Some(P0), ..Default::default() }
}

/// Another program's connection to the file.
async fn raw(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("log.db"));
    options.busy_timeout(Duration::from_secs(5)).create_if_missing(true).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
}

async fn opened(folder: &Path, options: SqliteOptions) -> Log {
    let log = Log::open_embedded_with(folder, options).await.unwrap();
    log.ensure_topic(&spec("t", 1, Some(1))).await.unwrap();
    log
}

fn impatient() -> SqliteOptions {
    SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_append_at_once_and_lose_nothing() {
    const EACH: i64 = 400;
    let folder = TempDir::new().unwrap();
    let (a, b) = tokio::join!(Log::open_embedded(folder.path()), Log::open_embedded(folder.path()));
    let logs = [a.unwrap(), b.unwrap()];
    let two = spec("t", 2, None);
    let (a, b) = tokio::join!(logs[0].ensure_topic(&two), logs[1].ensure_topic(&two));
    assert_eq!(a.unwrap(), b.unwrap());
    let writers = (0..2 * EACH).map(|i| {
        let log = logs[(i % 2) as usize].clone();
        tokio::spawn(async move {
            let partition = Some(Partition((i / 2 % 2) as i32));
            let appended = log.append("t", NewRecord { partition, ..record(i.to_string()) }).await.unwrap();
            (appended, i)
        })
    });
    let mut acknowledged: Vec<_> =
        within(futures::future::join_all(writers)).await.into_iter().map(Result::unwrap).collect();
    acknowledged.sort_by_key(|(at, _)| (at.partition, at.offset));
    for log in logs {
        let mut found = Vec::new();
        for partition in [P0, Partition(1)] {
            let records = log.read("t", partition, Offset(0), usize::MAX, usize::MAX).await.unwrap();
            assert_eq!(records.len() as i64, EACH);
            found.extend(records.into_iter().map(|record| (partition, record.offset, record.payload.unwrap())));
        }
        for ((at, i), (partition, offset, payload)) in acknowledged.iter().zip(found) {
            assert_eq!((at.partition, at.offset, i.to_string().as_bytes()), (partition, offset, &payload[..]));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_does_is_noticed() {
    let folder = TempDir::new().unwrap();
    let here = opened(folder.path(), SqliteOptions::default()).await;
    let there = opened(folder.path(), SqliteOptions::default()).await;
    let mut consumer = here.consumer("g", &["t".into()]).await.unwrap();
    consumer.next().await.unwrap();
    consumer.start("t", P0, Offset(0)).await.unwrap();
    for i in 0..5 {
        let log = here.clone();
        let waiting = tokio::spawn(async move { log.wait("t", P0, Offset(i)).await });
        let consuming = tokio::spawn(async move {
            let delivery = consumer.next().await.unwrap();
            (consumer, delivery)
        });
        there.append("t", record(i.to_string())).await.unwrap();
        within(waiting).await.unwrap().unwrap();
        let (again, delivery) = within(consuming).await.unwrap();
        consumer = again;
        let headwater_log::Delivery::Records { records, .. } = delivery else { panic!("{delivery:?}") };
        assert_eq!(records[0].offset, Offset(i));
    }
    // The topic is another one now; nothing kept in memory hides that.
    there.delete_topic("t").await.unwrap();
    there.ensure_topic(&spec("t", 1, None)).await.unwrap();
    there.append("t", record("new")).await.unwrap();
    let read = here.read("t", P0, Offset(0), 10, 1000).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].payload.as_deref(), Some(&b"new"[..]));
    assert!(matches!(within(consumer.next()).await, Err(LogError::TopicRecreated { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_file_is_unavailable_and_works_again_after() {
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path(), impatient()).await;
    log.append("t", record("before")).await.unwrap();
    let mut other = raw(folder.path()).await;
    run(&mut other, "begin immediate").await;
    for _ in 0..3 {
        let error = log.append("t", record("refused")).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("log.db") && error.to_string().contains("locked"), "{error}");
    }
    let error = log.ensure_topic(&spec("u", 1, None)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    // Reading goes on meanwhile, on connections that are new too, and so does opening.
    let reads = (0..20).map(|_| log.read("t", P0, Offset(0), 10, 100));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.unwrap().len(), 1);
    }
    let second = Log::open_embedded_with(folder.path(), impatient()).await.unwrap();
    assert_eq!(second.read("t", P0, Offset(0), 10, 100).await.unwrap().len(), 1);
    second.close().await;
    run(&mut other, "rollback").await;
    assert_eq!(log.append("t", record("after")).await.unwrap().offset, Offset(1));
    log.ensure_topic(&spec("u", 1, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_writes_nothing_by_halves_and_works_again_with_room() {
    let folder = TempDir::new().unwrap();
    let options = SqliteOptions { max_file_bytes: Some(400 << 10), ..SqliteOptions::default() };
    let log = opened(folder.path(), options).await;
    let old = |bytes: usize| NewRecord { timestamp_ms: Some(0), ..record(vec![7; bytes]) };
    let mut written = 0;
    let refused = loop {
        match log.append("t", old(10_000)).await {
            Ok(at) => {
                assert_eq!(at.offset, Offset(written));
                written += 1;
            }
            Err(error) => break error,
        }
        assert!(written < 50, "the bound is not kept");
    };
    assert!(written > 10 && refused.is_transient(), "{written}: {refused:?}");
    assert!(refused.to_string().contains("full"), "{refused}");
    // A batch that does not fit leaves none of its records.
    assert!(log.append_all("t", vec![old(1_000); 60]).await.unwrap_err().is_transient());
    assert_eq!(log.extents("t").await.unwrap()[0].end, Offset(written));
    let read = log.read("t", P0, Offset(0), usize::MAX, usize::MAX).await.unwrap();
    assert_eq!(read.len() as i64, written);
    assert!(read.iter().all(|record| record.payload.as_deref() == Some(&[7; 10_000])));

    assert_eq!(log.enforce_retention(2 * DAY_MS).await.unwrap() as i64, written);
    assert_eq!(log.append("t", old(10_000)).await.unwrap().offset, Offset(written));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_gives_the_disk_back() {
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path(), SqliteOptions::default()).await;
    let bytes = || std::fs::metadata(folder.path().join("log.db")).unwrap().len();
    let old = NewRecord { timestamp_ms: Some(0), ..record(vec![7; 40_000]) };
    log.append_all("t", vec![old; 500]).await.unwrap();
    log.close().await;
    assert!(bytes() > 20_000_000);
    assert!(!folder.path().join("log.db-wal").exists());

    let log = opened(folder.path(), SqliteOptions::default()).await;
    assert_eq!(log.enforce_retention(2 * DAY_MS).await, Ok(500));
    assert_eq!(log.append("t", record("next")).await.unwrap().offset, Offset(500));
    log.close().await;
    assert!(bytes() < 200_000, "{}", bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_was_interrupted_is_finished_later() {
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path(), SqliteOptions::default()).await;
    log.append_all("t", vec![record("x"); 1_500]).await.unwrap();
    let mut other = raw(folder.path()).await;
    // What a deletion does first.
    run(&mut other, "delete from topics where name = 't'").await;
    assert!(matches!(log.append("t", record("x")).await, Err(LogError::UnknownTopic { .. })));
    assert!(matches!(log.read("t", P0, Offset(0), 1, 1).await, Err(LogError::UnknownTopic { .. })));
    log.ensure_topic(&spec("t", 1, None)).await.unwrap();
    log.append("t", record("new")).await.unwrap();
    assert_eq!(log.enforce_retention(0).await, Ok(0));
    let rows: i64 = sqlx::query_scalar("select count(*) from records").fetch_one(&mut other).await.unwrap();
    let slots: i64 = sqlx::query_scalar("select count(*) from partitions").fetch_one(&mut other).await.unwrap();
    assert_eq!((rows, slots), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_something_else_or_of_a_newer_version_is_refused() {
    async fn refusal(folder: &Path) -> LogError {
        Log::open_embedded_with(folder, impatient()).await.unwrap_err()
    }
    let folder = TempDir::new().unwrap();
    opened(folder.path(), SqliteOptions::default()).await.close().await;
    run(&mut raw(folder.path()).await, "pragma user_version = 99").await;
    let error = refusal(folder.path()).await;
    assert!(matches!(&error, LogError::NewerVersion { found: 99, supported: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("log.db was written by a newer Headwater"), "{error}");

    let folder = TempDir::new().unwrap();
    let mut other = raw(folder.path()).await;
    run(&mut other, "pragma journal_mode = wal").await;
    run(&mut other, "create table customers (id integer primary key)").await;
    other.close().await.unwrap();
    let error = refusal(folder.path()).await;
    assert!(matches!(&error, LogError::Corrupt { .. }) && error.to_string().contains("something else"), "{error:?}");

    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("log.db"), vec![b'?'; 9_000]).unwrap();
    let error = refusal(folder.path()).await;
    assert!(matches!(&error, LogError::Corrupt { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(folder.path().to_str().unwrap()) && text.contains("restore the file from a backup"),
        "{text}"
    );

    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("data"), "a file where the folder should be").unwrap();
    let error = refusal(&folder.path().join("data")).await;
    assert!(error.is_transient() && error.to_string().contains("folder"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_named_and_never_skipped() {
    // Damaged pages.
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path(), SqliteOptions::default()).await;
    log.append_all("t", vec![record(vec![7; 1_000]); 500]).await.unwrap();
    log.close().await;
    let path = folder.path().join("log.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let log = Log::open_embedded(folder.path()).await.unwrap();
    let error = log.read("t", P0, Offset(0), usize::MAX, usize::MAX).await.unwrap_err();
    assert!(matches!(&error, LogError::Corrupt { .. }), "{error:?}");
    log.close().await;

    // A record that someone took away.
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path(), SqliteOptions::default()).await;
    log.append_all("t", vec![record("x"); 9]).await.unwrap();
    run(&mut raw(folder.path()).await, "delete from records where id & 0xff = 4").await;
    let error = log.read("t", P0, Offset(0), 9, 99).await.unwrap_err();
    assert!(matches!(&error, LogError::Corrupt { .. }) && error.to_string().contains("is missing"), "{error:?}");
    assert_eq!(log.read("t", P0, Offset(5), 9, 99).await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_append_leaves_the_log_whole() {
    let folder = TempDir::new().unwrap();
    let log = opened(folder.path(), SqliteOptions::default()).await;
    for i in 0..200 {
        // Dropped after so many polls: before it is queued, while it waits, while it is written.
        let mut append = Box::pin(log.append("t", record("dropped")));
        for _ in 0..i % 5 {
            if futures::poll!(append.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(append);
        log.append("t", record("kept")).await.unwrap();
    }
    let end = log.extents("t").await.unwrap()[0].end;
    let read = log.read("t", P0, Offset(0), usize::MAX, usize::MAX).await.unwrap();
    assert_eq!(read.len() as i64, end.0);
    assert_eq!(read.iter().filter(|record| record.payload.as_deref() == Some(b"kept")).count(), 200);
}
