//! Consumers of the logs that are in this process: each member of a group has every partition, and one batch is read ahead.

use std::collections::BTreeSet;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::consumer::{BATCH_BYTES, BATCH_RECORDS, Delivery, Turn};
use crate::error::LogError;
use crate::log::{Batch, Fetch, Log};
use crate::record::{Offset, Partition, TopicId};
use crate::topic::GroupOffset;

/// A member of a group over the embedded log, which assigns it every partition of its topics at once.
#[derive(Debug)]
pub(super) struct Embedded {
    log: Log,
    group: String,
    partitions: Vec<Assigned>,
    announced: bool,
    turn: Turn,
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

impl Embedded {
    pub(super) async fn join(log: Log, group: &str, topics: &[String]) -> Result<Embedded, LogError> {
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
        Ok(Embedded {
            log,
            group: group.to_owned(),
            partitions,
            announced: false,
            turn: Turn::default(),
            ahead: None,
            changed,
        })
    }

    pub(super) fn start(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), LogError> {
        let index = self.index(topic, partition)?;
        let assigned = &mut self.partitions[index];
        assigned.position = Some(from);
        assigned.end = None;
        Ok(())
    }

    pub(super) async fn next(&mut self) -> Result<Delivery, LogError> {
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

    pub(super) async fn commit(&mut self, next: &[(String, Partition, Offset)]) -> Result<(), LogError> {
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
            self.turn.gave(index, batch.records.len());
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
        self.turn.order(self.partitions.len()).find_map(|index| {
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
