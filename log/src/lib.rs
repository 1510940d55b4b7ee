//! The event log: partitioned, durable, read from any offset. Kafka (later) | SQLite (embedded) | memory (tests).
//!
//! The log is the only source of truth: a record is acknowledged when it is durable, and not before.

pub mod record;

pub use record::{Appended, Extent, Header, NewRecord, Offset, Partition, Record, TopicId};
