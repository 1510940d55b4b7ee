//! The log as everyone else sees it: a closed enum, and one match a method.
//!
//! Adding a backend means adding a variant and letting the compiler find the places.

use std::path::Path;

use tokio::sync::watch;

use crate::consumer::Consumer;
use crate::error::LogError;
use crate::kafka::{KafkaLog, KafkaOptions};
use crate::memory::MemoryLog;
use crate::record::{Appended, Extent, NewRecord, Offset, Partition, Record, TopicId};
use crate::sqlite::{SqliteLog, SqliteOptions};
use crate::topic::{GroupOffset, TopicInfo, TopicSpec};

/// A handle on a log. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub enum Log {
    /// One SQLite file in a folder: the embedded default.
    Sqlite(SqliteLog),
    /// Gone with its last handle: for tests.
    Memory(MemoryLog),
    /// A Kafka cluster.
    Kafka(KafkaLog),
}

/// What to read: from `from`, at most `max_records` and about `max_bytes`, and of the topic with this id if one is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetch<'a> {
    pub(crate) topic: &'a str,
    pub(crate) id: Option<TopicId>,
    pub(crate) partition: Partition,
    pub(crate) from: Offset,
    pub(crate) max_records: usize,
    /// A record that would go beyond is left for the next fetch, unless it is the first.
    pub(crate) max_bytes: usize,
}

/// What must not be there yet for a record to be written: one at or after `from` whose `header` has the same value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Once {
    pub(crate) header: &'static str,
    pub(crate) from: Offset,
}

/// What a fetch found.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    /// Where to go on. Past the last record, and past a gap that follows it up to the end.
    pub(crate) next: Offset,
    pub(crate) end: Offset,
}

impl Log {
    /// Opens the embedded log `log.db` in this folder, creating both if need be. Several processes may have it open.
    /// Must be called within a tokio runtime, which runs the log's own tasks.
    pub async fn open_embedded(folder: &Path) -> Result<Log, LogError> {
        Log::open_embedded_with(folder, SqliteOptions::default()).await
    }

    pub async fn open_embedded_with(folder: &Path, options: SqliteOptions) -> Result<Log, LogError> {
        SqliteLog::open(folder, options).await.map(Log::Sqlite)
    }

    /// Connects to a Kafka cluster, and waits until a broker has answered. Within a tokio runtime.
    pub async fn connect_kafka(options: KafkaOptions) -> Result<Log, LogError> {
        KafkaLog::connect(options).await.map(Log::Kafka)
    }

    /// A log in memory, with the default limits.
    pub fn memory() -> Log {
        Log::Memory(MemoryLog::default())
    }

    /// Creates the topic, or compares it with the one that exists: the partition count must be the same, and the retention
    /// becomes what is declared.
    pub async fn ensure_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        match self {
            Log::Sqlite(log) => log.ensure_topic(spec).await,
            Log::Memory(log) => log.ensure_topic(spec),
            Log::Kafka(log) => log.ensure_topic(spec).await,
        }
    }

    /// The topic as the log has it now.
    pub async fn topic(&self, name: &str) -> Result<TopicInfo, LogError> {
        match self {
            Log::Sqlite(log) => log.topic(name).await,
            Log::Memory(log) => log.topic(name),
            Log::Kafka(log) => log.topic(name).await,
        }
    }

    /// All topics, by name.
    pub async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        match self {
            Log::Sqlite(log) => log.topics().await,
            Log::Memory(log) => Ok(log.topics()),
            Log::Kafka(log) => log.topics().await,
        }
    }

    /// Deletes the topic with all its records and group offsets. One created afterwards under this name has another id.
    pub async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        match self {
            Log::Sqlite(log) => log.delete_topic(name).await,
            Log::Memory(log) => log.delete_topic(name),
            Log::Kafka(log) => log.delete_topic(name).await,
        }
    }

    /// Writes a record and answers where it is, once it is durable. Appends that wait at the same time share one write.
    ///
    /// Dropping the future before it is done does not take the record back: it may be written all the same. So may that of
    /// an append that answers [`LogError::Unavailable`].
    pub async fn append(&self, topic: &str, record: NewRecord) -> Result<Appended, LogError> {
        match self {
            Log::Sqlite(log) => log.append(topic, record).await,
            Log::Memory(log) => log.append(topic, record),
            Log::Kafka(log) => log.append(topic, record).await,
        }
    }

    /// Writes the record, unless its partition has one from `from` on with the same value under this header: then answers
    /// where that one is. Looking and writing are one transaction, so among any number of callers one writes; in
    /// Kafka they are not, and what remains to be borne in mind is said at [`KafkaLog`]. `from` may
    /// lie before what retention has left: what is gone counts as not there. The record must have the header; for the rest,
    /// see [`Log::append`].
    pub async fn append_once(
        &self,
        topic: &str,
        record: NewRecord,
        header: &'static str,
        from: Offset,
    ) -> Result<Appended, LogError> {
        let once = Once { header, from };
        match self {
            Log::Sqlite(log) => log.append_once(topic, record, once).await,
            Log::Memory(log) => log.append_once(topic, record, once),
            Log::Kafka(log) => log.append_once(topic, record, once).await,
        }
    }

    /// Writes records in this order and answers where each is, once all are durable. This is not a transaction: on an error
    /// some of the first may have been written. None is written if any is too large.
    pub async fn append_all(&self, topic: &str, records: Vec<NewRecord>) -> Result<Vec<Appended>, LogError> {
        match self {
            Log::Sqlite(log) => log.append_all(topic, records).await,
            Log::Memory(log) => log.append_all(topic, records),
            Log::Kafka(log) => log.append_all(topic, records).await,
        }
    }

    /// Records of a partition in order, from `from` on: at most `max_records`, and no more than `max_bytes` of keys, payloads
    /// and headers, save that one record is answered if there is one. Empty at the end of the partition.
    pub async fn read(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let fetch = Fetch { topic, id: None, partition, from, max_records, max_bytes };
        Ok(self.fetch(fetch).await?.records)
    }

    /// What each partition of the topic holds, in the order of partitions.
    pub async fn extents(&self, topic: &str) -> Result<Vec<Extent>, LogError> {
        self.extents_of(topic, None).await
    }

    /// Resolves when the partition's end is greater than `past`: when the record at offset `past` can be read. Records that
    /// other processes write are noticed within some 20 ms. Dropping the future is harmless.
    pub async fn wait(&self, topic: &str, partition: Partition, past: Offset) -> Result<(), LogError> {
        if let Log::Kafka(log) = self {
            return log.wait(topic, partition, past).await;
        }
        let mut changed = self.changed();
        loop {
            // Marked as seen before looking, so that a record which lands in between wakes this up.
            changed.borrow_and_update();
            let info = self.topic(topic).await?;
            let index = info.index(partition)?;
            if self.extents_of(topic, Some(info.id)).await?.get(index).is_some_and(|extent| extent.end > past) {
                return Ok(());
            }
            changed.changed().await.map_err(|_| LogError::Closed)?;
        }
    }

    /// The first record from `from` on that has a header of this name and value, as of now. [`LogError::OffsetOutOfRange`]
    /// if `from` is no longer there: then not finding it would prove nothing.
    pub async fn find_header(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
        name: &str,
        value: &[u8],
    ) -> Result<Option<Record>, LogError> {
        match self {
            Log::Sqlite(log) => log.find_header(topic, partition, from, name, value).await,
            Log::Memory(log) => log.find_header(topic, partition, from, name, value),
            Log::Kafka(log) => log.find_header(topic, partition, from, name, value).await,
        }
    }

    /// Joins a consumer group that reads these topics. In the embedded log each member of a group gets all partitions: its
    /// views decide by compare-and-swap whose work counts. In Kafka a partition has one member at a time.
    pub async fn consumer(&self, group: &str, topics: &[String]) -> Result<Consumer, LogError> {
        Consumer::join(self.clone(), group, topics).await
    }

    /// Where the group's members have said that they are, by topic and partition.
    pub async fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>, LogError> {
        match self {
            Log::Sqlite(log) => log.group_offsets(group).await,
            Log::Memory(log) => Ok(log.group_offsets(group)),
            Log::Kafka(log) => log.group_offsets(group).await,
        }
    }

    /// Forgets these groups, which must have no members left: what they have committed is gone. One that is not there is no
    /// error.
    pub async fn delete_groups(&self, groups: &[String]) -> Result<(), LogError> {
        match self {
            Log::Sqlite(log) => log.delete_groups(groups).await,
            Log::Memory(log) => log.delete_groups(groups),
            Log::Kafka(log) => log.delete_groups(groups).await,
        }
    }

    /// Deletes what every topic's retention no longer keeps at this time (milliseconds since 1970): from the front of each
    /// partition, up to the first record that is young enough. Answers how many records went. Kafka does so by itself, when
    /// it sees fit, and answers 0.
    pub async fn enforce_retention(&self, now_ms: i64) -> Result<u64, LogError> {
        match self {
            Log::Sqlite(log) => log.enforce_retention(now_ms).await,
            Log::Memory(log) => Ok(log.enforce_retention(now_ms)),
            // The brokers do it themselves, by each topic's settings.
            Log::Kafka(_) => Ok(0),
        }
    }

    /// Finishes the appends that were accepted, and refuses all later calls with [`LogError::Closed`].
    pub async fn close(&self) {
        match self {
            Log::Sqlite(log) => log.close().await,
            Log::Memory(log) => log.close(),
            Log::Kafka(log) => log.close().await,
        }
    }

    pub(crate) async fn fetch(&self, fetch: Fetch<'_>) -> Result<Batch, LogError> {
        match self {
            Log::Sqlite(log) => log.fetch(fetch).await,
            Log::Memory(log) => log.fetch(fetch),
            Log::Kafka(log) => log.fetch(fetch).await,
        }
    }

    /// Extents of the topic, which must still be the one with this id, if one is given.
    pub(crate) async fn extents_of(&self, topic: &str, id: Option<TopicId>) -> Result<Vec<Extent>, LogError> {
        match self {
            Log::Sqlite(log) => log.extents(topic, id).await,
            Log::Memory(log) => log.extents(topic, id),
            Log::Kafka(log) => log.extents(topic, id).await,
        }
    }

    pub(crate) async fn commit_group(&self, group: &str, offsets: &[(TopicId, GroupOffset)]) -> Result<(), LogError> {
        match self {
            Log::Sqlite(log) => log.commit_group(group, offsets).await,
            Log::Memory(log) => log.commit_group(group, offsets),
            // Members commit for themselves.
            Log::Kafka(_) => Ok(()),
        }
    }

    /// Fires after something was appended, by this process or another.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        match self {
            Log::Sqlite(log) => log.changed(),
            Log::Memory(log) => log.changed(),
            Log::Kafka(log) => log.changed(),
        }
    }
}
