//! What can go wrong in the log, separated by what a caller can do about it.
//!
//! Only [`LogError::Unavailable`] is worth trying again; every other variant stays until someone acts.

use std::path::PathBuf;

use crate::record::{Offset, Partition, TopicId};

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Locked, out of disk, out of reach. Wait and try again. After an append, whether the record was written is not known:
    /// look for it ([`crate::Log::find_header`]) before writing it again, where twice would be wrong.
    #[error("the log is unavailable: {cause}; it works again once that has passed")]
    Unavailable { cause: String },

    /// The partition does not hold this offset. Below `earliest`, retention has removed it; above `end`, it was never
    /// written, so the position belongs to another log.
    #[error(
        "partition {partition} of topic {topic} has no offset {wanted}: it holds {earliest} up to {end}; {}",
        out_of_range_hint(*wanted, *earliest)
    )]
    OffsetOutOfRange { topic: String, partition: Partition, wanted: Offset, earliest: Offset, end: Offset },

    #[error("there is no topic {topic} in the log; it must be created first")]
    UnknownTopic { topic: String },

    #[error("topic {topic} has no partition {partition}: its {partitions} partitions count from 0")]
    UnknownPartition { topic: String, partition: Partition, partitions: u32 },

    /// The topic that a consumer reads was deleted and created again: its positions mean nothing any more.
    #[error("topic {topic} was deleted and created again: its id was {}, and is {}", expected.0, found.0)]
    TopicRecreated { topic: String, expected: TopicId, found: TopicId },

    /// Changing the count would move keys to other partitions and break their order.
    #[error(
        "topic {topic} has {existing} partitions in the log, but {declared} are declared; declare {existing}, or use a new topic"
    )]
    PartitionsDiffer { topic: String, declared: u32, existing: u32 },

    #[error("topic {topic:?} cannot be created: {reason}")]
    InvalidTopic { topic: String, reason: String },

    /// `limit` names the field of [`crate::Limits`].
    #[error("a record for topic {topic} is too large: {what} {found}, and {limit} allows {allowed}")]
    TooLarge { topic: String, what: &'static str, limit: &'static str, allowed: usize, found: usize },

    #[error("partition {partition} of topic {topic} is not assigned to this consumer")]
    NotAssigned { topic: String, partition: Partition },

    #[error(
        "{} was written by a newer Headwater (version {found} of the file, this one knows up to {supported}); use that Headwater or a newer one",
        path.display()
    )]
    NewerVersion { path: PathBuf, found: i64, supported: i64 },

    /// The file is not what the log wrote. Nothing here repairs it.
    #[error(
        "{} is damaged or is not a Headwater log: {cause}; stop Headwater, then restore the file from a backup, or move it away to start with an empty log",
        path.display()
    )]
    Corrupt { path: PathBuf, cause: String },

    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// Whether the same call may succeed later with nobody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, LogError::Unavailable { .. })
    }

    pub(crate) fn unknown(topic: &str) -> LogError {
        LogError::UnknownTopic { topic: topic.to_owned() }
    }
}

fn out_of_range_hint(wanted: Offset, earliest: Offset) -> &'static str {
    if wanted < earliest {
        "retention has removed what came before; the history can no longer be read from there"
    } else {
        "it was never written, so the position comes from another log"
    }
}
