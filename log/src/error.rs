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

    /// The broker knows the user or the program, and does not let it: wrong credentials, a certificate that nobody here
    /// signed, a right that is missing.
    #[error("the log denies access: {cause}; check its user, password and certificates, and the rights of the user")]
    Denied { cause: String },

    /// The log cannot be reached as it is configured, whatever the time.
    #[error("the log is configured wrongly: {cause}")]
    Misconfigured { cause: String },

    /// The record has something that this log cannot hold.
    #[error("a record for topic {topic} cannot be written: {reason}")]
    Unwritable { topic: String, reason: String },

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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn messages_say_where_what_and_what_to_do() {
        let topic = || "document".to_owned();
        let out_of_range = |wanted| LogError::OffsetOutOfRange {
            topic: topic(),
            partition: Partition(3),
            wanted: Offset(wanted),
            earliest: Offset(10),
            end: Offset(20),
        };
        let limit = "max_record_bytes";
        let errors = [
            LogError::Unavailable { cause: "cannot append to data/log.db: database is locked".into() },
            out_of_range(2),
            out_of_range(21),
            LogError::unknown("document"),
            LogError::UnknownPartition { topic: topic(), partition: Partition(10), partitions: 10 },
            LogError::TopicRecreated {
                topic: topic(),
                expected: TopicId(Uuid::from_u128(1)),
                found: TopicId(Uuid::from_u128(2)),
            },
            LogError::PartitionsDiffer { topic: topic(), declared: 4, existing: 3 },
            LogError::InvalidTopic { topic: "a b".into(), reason: "its name contains ' '".into() },
            LogError::TooLarge { topic: topic(), what: "its bytes are", limit, allowed: 1_048_576, found: 2_000_000 },
            LogError::NotAssigned { topic: topic(), partition: Partition(1) },
            LogError::NewerVersion { path: "data/log.db".into(), found: 9, supported: 1 },
            LogError::Corrupt { path: "data/log.db".into(), cause: "file is not a database".into() },
            LogError::Denied { cause: "Broker: Topic authorization failed, appending to topic document".into() },
            LogError::Misconfigured { cause: "kafka.extra may not set acks".into() },
            LogError::Unwritable { topic: topic(), reason: "its timestamp is before 1970".into() },
            LogError::Closed,
        ];
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        the log is unavailable: cannot append to data/log.db: database is locked; it works again once that has passed
        partition 3 of topic document has no offset 2: it holds 10 up to 20; retention has removed what came before; the history can no longer be read from there
        partition 3 of topic document has no offset 21: it holds 10 up to 20; it was never written, so the position comes from another log
        there is no topic document in the log; it must be created first
        topic document has no partition 10: its 10 partitions count from 0
        topic document was deleted and created again: its id was 00000000-0000-0000-0000-000000000001, and is 00000000-0000-0000-0000-000000000002
        topic document has 3 partitions in the log, but 4 are declared; declare 3, or use a new topic
        topic "a b" cannot be created: its name contains ' '
        a record for topic document is too large: its bytes are 2000000, and max_record_bytes allows 1048576
        partition 1 of topic document is not assigned to this consumer
        data/log.db was written by a newer Headwater (version 9 of the file, this one knows up to 1); use that Headwater or a newer one
        data/log.db is damaged or is not a Headwater log: file is not a database; stop Headwater, then restore the file from a backup, or move it away to start with an empty log
        the log denies access: Broker: Topic authorization failed, appending to topic document; check its user, password and certificates, and the rights of the user
        the log is configured wrongly: kafka.extra may not set acks
        a record for topic document cannot be written: its timestamp is before 1970
        the log is closed
        "#);
    }
}
