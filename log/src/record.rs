//! What the log holds and how its places are named: records, partitions, offsets, positions.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use uuid::Uuid;

use crate::error::LogError;

/// A partition of a topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub i32);

/// A place in a partition, from 0. Offsets ascend and may have gaps: records are counted, never subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub i64);

impl Offset {
    /// The place after this one: where a reader that has taken this record goes on.
    pub fn next(self) -> Self {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A topic's identity. A topic deleted and created again has another id, so positions in the old one are never taken for
/// positions in the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub Uuid);

/// A record as read from a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub offset: Offset,
    /// Milliseconds since 1970-01-01T00:00:00Z, given by the producer or taken at append.
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    /// None is a tombstone.
    pub payload: Option<Bytes>,
    pub headers: Vec<Header>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Bytes,
}

/// A record to append.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    pub key: Option<Bytes>,
    pub payload: Option<Bytes>,
    pub headers: Vec<Header>,
    /// None: the time of the append.
    pub timestamp_ms: Option<i64>,
    /// None: murmur2 of the key, as Kafka's default partitioner has it; without a key, any partition.
    pub partition: Option<Partition>,
}

/// Where an acknowledged record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Appended {
    pub topic: TopicId,
    pub partition: Partition,
    pub offset: Offset,
}

/// What a partition holds: offsets from `earliest`, up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub partition: Partition,
    pub earliest: Offset,
    pub end: Offset,
}

impl Record {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|header| header.name == name).map(|header| &header.value)
    }

    pub(crate) fn has_header(&self, name: &str, value: &[u8]) -> bool {
        self.headers.iter().any(|header| header.name == name && header.value == value)
    }
}

impl NewRecord {
    /// The value of the first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|header| header.name == name).map(|header| &header.value)
    }

    pub(crate) fn has_header(&self, name: &str, value: &[u8]) -> bool {
        self.headers.iter().any(|header| header.name == name && header.value == value)
    }
}

impl Extent {
    /// Whether a reader may start at this offset: from `earliest` up to and including `end`.
    pub(crate) fn check(&self, topic: &str, from: Offset) -> Result<(), LogError> {
        if from >= self.earliest && from <= self.end {
            return Ok(());
        }
        Err(LogError::OffsetOutOfRange {
            topic: topic.to_owned(),
            partition: self.partition,
            wanted: from,
            earliest: self.earliest,
            end: self.end,
        })
    }
}

/// The time of an append, in milliseconds since 1970, by the system's clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
