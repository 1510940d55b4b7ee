//! The log under test, and how records are made and read back.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use headwater_dev_servers::Servers;
use headwater_log::{Header, KafkaOptions, Log, NewRecord, Offset, Partition, Record, TopicInfo, TopicSpec};
use tempfile::TempDir;

/// What a wait may take before the test fails. Nothing waits for it to pass.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) struct Subject {
    pub(crate) log: Log,
    folder: Option<TempDir>,
    /// What names begin with, where tests share a log.
    prefix: Option<String>,
}

impl Subject {
    pub(crate) fn memory() -> Subject {
        Subject { log: Log::memory(), folder: None, prefix: None }
    }

    pub(crate) async fn sqlite() -> Subject {
        let folder = TempDir::new().unwrap();
        Subject { log: Log::open_embedded(folder.path()).await.unwrap(), folder: Some(folder), prefix: None }
    }

    pub(crate) async fn kafka() -> Subject {
        Subject { log: connected().await, folder: None, prefix: Some(headwater_dev_servers::fresh_name("conformance")) }
    }

    /// A topic's or a group's name, which no other test has.
    pub(crate) fn name(&self, name: &str) -> &'static str {
        // Leaked, for a few bytes a test, so that tasks may have it.
        match &self.prefix {
            Some(prefix) => format!("{prefix}.{name}").leak(),
            None => name.to_owned().leak(),
        }
    }

    /// Whether this test gave this name.
    pub(crate) fn owns(&self, name: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix))
    }

    /// Times that a record may have: Kafka takes none before 1970, and none far in the future.
    pub(crate) fn timestamps_ms(&self) -> [i64; 7] {
        match self.log {
            Log::Kafka(_) => [1, 2, DAY_MS, 7, 6, 5, 4],
            _ => [-5, 0, i64::MAX, 7, 6, 5, 4],
        }
    }

    /// Closes and opens what outlives its handle.
    pub(crate) async fn reopen(&mut self) {
        if let Some(folder) = &self.folder {
            self.log.close().await;
            self.log = Log::open_embedded(folder.path()).await.unwrap();
        }
        if let Log::Kafka(_) = self.log {
            self.log.close().await;
            self.log = connected().await;
        }
    }

    pub(crate) async fn topic(&self, name: &str, partitions: u32) -> TopicInfo {
        self.log.ensure_topic(&spec(name, partitions, None)).await.unwrap()
    }

    /// All records of a partition, read a few at a time.
    pub(crate) async fn all(&self, topic: &str, partition: Partition) -> Vec<Record> {
        let mut from = self.log.extents(topic).await.unwrap()[partition.0 as usize].earliest;
        let mut records = Vec::new();
        loop {
            let some = self.log.read(topic, partition, from, 7, 1 << 20).await.unwrap();
            let Some(last) = some.last() else { return records };
            from = last.offset.next();
            records.extend(some);
        }
    }
}

/// A log in the cluster that all tests share.
async fn connected() -> Log {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    let servers = SERVERS.get_or_init(|| headwater_dev_servers::start(&["kafka"]));
    Log::connect_kafka(KafkaOptions::new(&servers.kafka.bootstrap)).await.unwrap()
}

pub(crate) fn spec(name: &str, partitions: u32, retention_days: Option<u32>) -> TopicSpec {
    TopicSpec { name: name.into(), partitions, retention_days, compact: false }
}

pub(crate) fn record(key: &str, payload: impl Into<Bytes>) -> NewRecord {
    NewRecord { key: Some(Bytes::copy_from_slice(key.as_bytes())), payload: Some(payload.into()), ..Default::default() }
}

pub(crate) fn at(partition: i32, payload: impl Into<Bytes>) -> NewRecord {
    NewRecord { partition: Some(Partition(partition)), payload: Some(payload.into()), ..Default::default() }
}

pub(crate) fn header(name: &str, value: impl Into<Bytes>) -> Header {
    Header { name: name.into(), value: value.into() }
}

pub(crate) fn offsets(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.offset.0).collect()
}

pub(crate) fn range(earliest: i64, end: i64) -> (Offset, Offset) {
    (Offset(earliest), Offset(end))
}

/// Fails the test where this takes longer than the deadline.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("this should have happened long ago")
}
