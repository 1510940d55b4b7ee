//! A member of a consumer group, with one protocol for every backend: it is told which partitions it has, answers each with
//! the position that it keeps itself, and then takes what comes.
//!
//! ```text
//! loop {
//!     match consumer.next().await? {
//!         Delivery::Assigned(partitions) => for each: consumer.start(topic, partition, stored position),
//!         Delivery::Revoked(partitions)  => finish and forget them,
//!         Delivery::Records { records, next, .. } => apply them; the position is now `next`,
//!     }
//! }
//! ```
//!
//! Back-pressure is not calling [`Consumer::next`]: then at most one batch waits in memory.

mod embedded;

use crate::error::LogError;
use crate::kafka::Member;
use crate::log::Log;
use crate::record::{Offset, Partition, Record};
use embedded::Embedded;

/// Records in one delivery, at most.
pub(crate) const BATCH_RECORDS: usize = 2_000;

/// Bytes of keys, payloads and headers in one delivery, at most, save for a single larger record.
pub(crate) const BATCH_BYTES: usize = 4 << 20;

/// Records that a partition gives before it is another's turn, while it has them at hand. As many as a worker's batch: what
/// the records of one partition have in common is then written once, and of ten partitions read a little in turn it would be
/// written ten times.
const TURN_RECORDS: usize = 10_000;

/// Whose turn it is, of the partitions of a member.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    index: usize,
    /// Records that it gave in this turn.
    given: usize,
}

impl Turn {
    /// All of so many partitions, the one whose turn it is first.
    pub(crate) fn order(&self, partitions: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.index;
        (0..partitions).map(move |step| (first + step) % partitions)
    }

    /// This one gave so many records.
    pub(crate) fn gave(&mut self, index: usize, records: usize) {
        let given = if index == self.index { self.given + records } else { records };
        *self = if given < TURN_RECORDS { Turn { index, given } } else { Turn { index: index + 1, given: 0 } };
    }
}

/// What a consumer is told.
#[derive(Debug, PartialEq)]
pub enum Delivery {
    /// These partitions are this member's now. Nothing of them is delivered until [`Consumer::start`].
    Assigned(Vec<(String, Partition)>),
    /// These are no longer this member's. They are let go when
    /// [`Consumer::next`] is called again or the consumer is dropped, not before: finish with them first. (The embedded log
    /// revokes nothing.)
    Revoked(Vec<(String, Partition)>),
    /// What follows in one partition, in order.
    Records {
        topic: String,
        partition: Partition,
        /// May be empty, where only a gap was passed.
        records: Vec<Record>,
        /// The position after this delivery. Take it rather than the last record's offset plus one: it is past a gap that
        /// follows, so that at the end of a partition it equals `end`.
        next: Offset,
        /// The partition's end when this was read. With Kafka, that of committed transactions, as far as it is known: it may
        /// have moved on since.
        end: Offset,
    },
}

/// A member of a consumer group.
#[derive(Debug)]
pub struct Consumer(Kind);

#[derive(Debug)]
enum Kind {
    Embedded(Box<Embedded>),
    Kafka(Box<Member>),
}

impl Consumer {
    pub(crate) async fn join(log: Log, group: &str, topics: &[String]) -> Result<Consumer, LogError> {
        Ok(Consumer(match log {
            Log::Kafka(log) => Kind::Kafka(Box::new(Member::join(log, group, topics).await?)),
            log => Kind::Embedded(Box::new(Embedded::join(log, group, topics).await?)),
        }))
    }

    /// Where to read an assigned partition from; may be called again to go elsewhere. An offset that is not there is
    /// answered by [`Consumer::next`] with [`LogError::OffsetOutOfRange`].
    pub async fn start(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), LogError> {
        match &mut self.0 {
            Kind::Embedded(consumer) => consumer.start(topic, partition, from),
            Kind::Kafka(member) => member.start(topic, partition, from),
        }
    }

    /// What comes next; waits while there is nothing. Dropping the future loses nothing, and an error changes nothing: the
    /// call after it tries the same again.
    pub async fn next(&mut self) -> Result<Delivery, LogError> {
        match &mut self.0 {
            Kind::Embedded(consumer) => consumer.next().await,
            Kind::Kafka(member) => member.next().await,
        }
    }

    /// Tells the log how far this group is, for tools that show lag. Nothing is read from there: positions are the caller's.
    /// With Kafka this is sent and not waited for.
    pub async fn commit(&mut self, next: &[(String, Partition, Offset)]) -> Result<(), LogError> {
        match &mut self.0 {
            Kind::Embedded(consumer) => consumer.commit(next).await,
            Kind::Kafka(member) => member.commit(next),
        }
    }
}
