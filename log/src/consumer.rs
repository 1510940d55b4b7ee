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

use std::collections::BTreeSet;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::LogError;
use crate::log::{Batch, Fetch, Log};
use crate::record::{Offset, Partition, Record, TopicId};
use crate::topic::GroupOffset;

/// Records in one delivery, at most.
const BATCH_RECORDS: usize = 2_000;

/// Bytes of keys, payloads and headers in one delivery, at most, save for a single larger record.
const BATCH_BYTES: usize = 4 << 20;

/// What a consumer is told.
#[derive(Debug, PartialEq)]
pub enum Delivery {
    /// These partitions are this member's now. Nothing of them is delivered until [`Consumer::start`].
    Assigned(Vec<(String, Partition)>),
    /// These are no longer this member's. (The embedded log revokes nothing.)
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
        /// The partition's end when this was read; with Kafka, that of committed transactions.
        end: Offset,
    },
}

/// A member of a consumer group over the embedded log, which assigns it every partition of its topics at once.
#[derive(Debug)]
pub struct Consumer {
    log: Log,
    group: String,
    partitions: Vec<Assigned>,
    announced: bool,
    /// The partition whose turn is next: each started partition gets one batch a round.
    turn: usize,
    /// The next batch, read while the caller works on the one before.
    ahead: Option<Ahead>,
    changed: watch::Receiver<u64>,
}

#[derive(Debug)]
struct Assigned {
    topic: String,
    id: TopicId,
    partition: Partition,
    position: Option<Offset>,
    /// None is not known: it must be read to find out.
    end: Option<Offset>,
}

#[derive(Debug)]
struct Ahead {
    index: usize,
    from: Offset,
    task: JoinHandle<Result<Batch, LogError>>,
}

impl Consumer {
    pub(crate) async fn join(log: Log, group: &str, topics: &[String]) -> Result<Consumer, LogError> {
        let changed = log.changed();
        let mut partitions = Vec::new();
        let topics: BTreeSet<&String> = topics.iter().collect();
        for topic in topics {
            let info = log.topic(topic).await?;
            partitions.extend((0..info.partitions as i32).map(|partition| Assigned {
                topic: info.name.clone(),
                id: info.id,
                partition: Partition(partition),
                position: None,
                end: None,
            }));
        }
        Ok(Consumer { log, group: group.to_owned(), partitions, announced: false, turn: 0, ahead: None, changed })
    }

    /// Where to read an assigned partition from; may be called again to go elsewhere. An offset that is not there is
    /// answered by [`Consumer::next`] with [`LogError::OffsetOutOfRange`].
    pub async fn start(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), LogError> {
        let index = self.index(topic, partition)?;
        let assigned = &mut self.partitions[index];
        assigned.position = Some(from);
        assigned.end = None;
        Ok(())
    }

    /// What comes next; waits while there is nothing. Dropping the future loses nothing, and an error changes nothing: the
    /// call after it tries the same again.
    pub async fn next(&mut self) -> Result<Delivery, LogError> {
        if !self.announced {
            self.announced = true;
            return Ok(Delivery::Assigned(self.partitions.iter().map(|it| (it.topic.clone(), it.partition)).collect()));
        }
        loop {
            if let Some(delivery) = self.take().await? {
                return Ok(delivery);
            }
            // Marked as seen before looking, so that a record which lands in between wakes this up.
            self.changed.borrow_and_update();
            self.refresh_ends().await?;
            if self.ready().is_none() {
                self.changed.changed().await.map_err(|_| LogError::Closed)?;
            }
        }
    }

    /// Tells the log how far this group is, for tools that show lag. Nothing is read from there: positions are the caller's.
    pub async fn commit(&mut self, next: &[(String, Partition, Offset)]) -> Result<(), LogError> {
        let mut offsets = Vec::with_capacity(next.len());
        for (topic, partition, next) in next {
            let id = self.partitions[self.index(topic, *partition)?].id;
            offsets.push((id, GroupOffset { topic: topic.clone(), partition: *partition, next: *next }));
        }
        self.log.commit_group(&self.group, &offsets).await
    }

    /// The next batch that moves a position, if any partition is known to have one.
    async fn take(&mut self) -> Result<Option<Delivery>, LogError> {
        loop {
            if self.ahead.is_none() && !self.read_ahead() {
                return Ok(None);
            }
            let Some(ahead) = &mut self.ahead else { return Ok(None) };
            // A dropped future leaves the task where it is, to be awaited by the next call.
            let read = (&mut ahead.task).await;
            let (index, from) = (ahead.index, ahead.from);
            self.ahead = None;
            let assigned = &mut self.partitions[index];
            if assigned.position != Some(from) {
                continue; // started elsewhere since
            }
            let batch = read.map_err(|_| LogError::Closed)??;
            assigned.position = Some(batch.next);
            assigned.end = Some(batch.end);
            if batch.next == from {
                continue;
            }
            let (topic, partition) = (assigned.topic.clone(), assigned.partition);
            self.turn = index + 1;
            self.read_ahead();
            let Batch { records, next, end } = batch;
            return Ok(Some(Delivery::Records { topic, partition, records, next, end }));
        }
    }

    /// Begins to read the next batch, if a partition is ready.
    fn read_ahead(&mut self) -> bool {
        let Some((index, from)) = self.ready() else { return false };
        let assigned = &self.partitions[index];
        let (log, topic, id, partition) = (self.log.clone(), assigned.topic.clone(), assigned.id, assigned.partition);
        let task = tokio::spawn(async move {
            let (max_records, max_bytes) = (BATCH_RECORDS, BATCH_BYTES);
            log.fetch(Fetch { topic: &topic, id: Some(id), partition, from, max_records, max_bytes }).await
        });
        self.ahead = Some(Ahead { index, from, task });
        true
    }

    /// The first partition from `turn` on, in the round, that has or may have something to read.
    fn ready(&self) -> Option<(usize, Offset)> {
        let count = self.partitions.len();
        (0..count).map(|step| (self.turn + step) % count).find_map(|index| {
            let assigned = &self.partitions[index];
            let from = assigned.position?;
            assigned.end.is_none_or(|end| end > from).then_some((index, from))
        })
    }

    /// Asks for the ends of all started partitions, a topic at a time.
    async fn refresh_ends(&mut self) -> Result<(), LogError> {
        for of_topic in self.partitions.chunk_by_mut(|a, b| a.topic == b.topic) {
            if of_topic.iter().all(|assigned| assigned.position.is_none()) {
                continue;
            }
            let extents = self.log.extents_of(&of_topic[0].topic, Some(of_topic[0].id)).await?;
            for (assigned, extent) in of_topic.iter_mut().zip(extents) {
                // An end not asked for yet stays unknown, so that its first read checks the position against the extent.
                assigned.end = assigned.end.map(|_| extent.end);
            }
        }
        Ok(())
    }

    fn index(&self, topic: &str, partition: Partition) -> Result<usize, LogError> {
        let found = self.partitions.iter().position(|it| it.topic == topic && it.partition == partition);
        found.ok_or_else(|| LogError::NotAssigned { topic: topic.to_owned(), partition })
    }
}
