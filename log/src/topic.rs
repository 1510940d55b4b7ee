//! Topics: what is asked for, what there is, and which names are allowed.

use crate::error::LogError;
use crate::record::{Offset, Partition, TopicId};

/// Kafka's longest topic name, in bytes.
const MAX_NAME_BYTES: usize = 249;

/// More partitions than any embedded log has use for; it bounds what one query about a topic may return.
const MAX_PARTITIONS: u32 = 10_000;

/// A topic as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    /// From 1 to 10,000. Fixed once the topic exists.
    pub partitions: u32,
    /// Days that a record is kept, by its timestamp. None is for ever.
    pub retention_days: Option<u32>,
    /// Of each key, older records may go once there is a newer one. Kafka does it in its own time; the embedded log keeps
    /// them all, which whoever reads a compacted topic cannot tell.
    pub compact: bool,
}

/// A topic as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: String,
    pub id: TopicId,
    pub partitions: u32,
    pub retention_days: Option<u32>,
}

/// Where a consumer group has said that it is. For tools that show lag: positions that matter are kept by the consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupOffset {
    pub topic: String,
    pub partition: Partition,
    /// The next offset that the group will read.
    pub next: Offset,
}

impl TopicSpec {
    /// Kafka's rules for names, so that a topic can move to Kafka, and a sane number of partitions.
    pub(crate) fn validate(&self) -> Result<(), LogError> {
        let name = self.name.as_str();
        let refuse = |reason: String| Err(LogError::InvalidTopic { topic: name.to_owned(), reason });
        if name.is_empty() {
            return refuse("its name is empty".into());
        }
        if name == "." || name == ".." {
            return refuse("its name may not be \".\" or \"..\"".into());
        }
        if name.len() > MAX_NAME_BYTES {
            return refuse(format!("its name has {} characters, at most {MAX_NAME_BYTES} are allowed", name.len()));
        }
        if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
            return refuse(format!("its name contains {c:?}; letters, digits, '.', '_' and '-' are allowed"));
        }
        if self.partitions == 0 || self.partitions > MAX_PARTITIONS {
            return refuse(format!("it declares {} partitions; 1 to {MAX_PARTITIONS} are allowed", self.partitions));
        }
        Ok(())
    }

    /// Whether this declaration fits the topic that exists.
    pub(crate) fn fits(&self, existing: &TopicInfo) -> Result<(), LogError> {
        if existing.partitions == self.partitions {
            return Ok(());
        }
        Err(LogError::PartitionsDiffer {
            topic: self.name.clone(),
            declared: self.partitions,
            existing: existing.partitions,
        })
    }
}

impl TopicInfo {
    /// At this time, records with an older timestamp than this are beyond retention. None: records are kept for ever.
    pub(crate) fn cutoff_ms(&self, now_ms: i64) -> Option<i64> {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        self.retention_days.map(|days| now_ms.saturating_sub(i64::from(days) * DAY_MS))
    }

    /// The partition's place in per-partition lists.
    pub(crate) fn index(&self, partition: Partition) -> Result<usize, LogError> {
        match usize::try_from(partition.0) {
            Ok(index) if index < self.partitions as usize => Ok(index),
            _ => Err(LogError::UnknownPartition { topic: self.name.clone(), partition, partitions: self.partitions }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_partition_counts_follow_kafka() {
        let long = "x".repeat(250);
        let cases: &[(&str, u32, Option<&str>)] = &[
            ("document", 10, None),
            ("a.b_c-D9", 1, None),
            (&long[..249], 10_000, None),
            ("", 1, Some("empty")),
            (".", 1, Some("may not be")),
            ("..", 1, Some("may not be")),
            (&long, 1, Some("250 characters")),
            ("a b", 1, Some("' '")),
            ("a/b", 1, Some("'/'")),
            ("dökument", 1, Some("'ö'")),
            ("a", 0, Some("0 partitions")),
            ("a", 10_001, Some("10001 partitions")),
        ];
        for (name, partitions, expected) in cases {
            let spec =
                TopicSpec { name: (*name).into(), partitions: *partitions, retention_days: None, compact: false };
            match (spec.validate(), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{name:?}: {error}"),
                (found, _) => panic!("{name:?} with {partitions}: {found:?}"),
            }
        }
    }
}
