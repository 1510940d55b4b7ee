//! The event log: partitioned, durable, read from any offset. Kafka | SQLite (embedded) | memory (tests).
//!
//! The log is the only source of truth: a record is acknowledged when it is durable, and not before. Every backend keeps
//! the same promises, and one suite of tests (`tests/conformance.rs`) holds them to it:
//!
//! - records of one message key are in one partition, chosen as Kafka's default partitioner would;
//! - offsets of a partition ascend, become visible in order, and are never used twice, not even after retention;
//! - a reader that falls behind retention is told so, and is never moved on in silence.
//!
//! ```
//! # use headwater_log::{Log, LogError, NewRecord, Offset, Partition, TopicSpec};
//! # async fn example() -> Result<(), LogError> {
//! let log = Log::memory();
//! log.ensure_topic(&TopicSpec { name: "document".into(), partitions: 1, retention_days: None, compact: false }).await?;
//! let record = NewRecord { key: Some("d1".into()), payload: Some("…".into()), ..NewRecord::default() };
//! let at = log.append("document", record).await?;
//! let read = log.read("document", Partition(0), at.offset, 100, 1 << 20).await?;
//! assert_eq!(read[0].key.as_deref(), Some(&b"d1"[..]));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```

pub mod consumer;
pub mod error;
pub mod kafka;
pub mod limits;
mod log;
pub mod memory;
pub mod partitioner;
pub mod record;
pub mod sqlite;
pub mod topic;

pub use consumer::{Consumer, Delivery};
pub use error::LogError;
pub use kafka::{BrokerSettings, ClusterFacts, TopicFacts, TopicRights};
pub use kafka::{KafkaCertificate, KafkaCompression, KafkaLog, KafkaOptions, KafkaSecurity};
pub use limits::Limits;
pub use log::Log;
pub use memory::MemoryLog;
pub use partitioner::partition_for;
pub use record::{Appended, Extent, Header, NewRecord, Offset, Partition, Record, TopicId};
pub use sqlite::{SqliteLog, SqliteOptions};
pub use topic::{GroupOffset, TopicInfo, TopicSpec};
