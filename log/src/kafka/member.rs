//! A member of a Kafka consumer group.
//!
//! Nothing is fetched before its owner has said from where, and nothing of Kafka's own idea of a position is used. What Kafka
//! takes away is told as [`Delivery::Revoked`] and let go when the owner calls `next` again, or drops the consumer: until
//! then no other member has it, unless this one is silent for longer than Kafka bears (the session timeout, the poll
//! interval). Then it is thrown out, and told so by the same `Revoked` when it is back.
//!
//! Fetched records wait in one queue for each partition, bounded by `fetch_ahead_kib`, and are taken from them in turn. An
//! owner that does not call `next` lets them fill, and librdkafka fetches no more: that is the back-pressure.

mod group;
mod positions;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::consumer::{BATCH_RECORDS, Delivery, Turn};
use crate::error::LogError;
use crate::kafka::native::PartitionQueue;
use crate::kafka::{FRESH, KafkaLog, MESSAGES, faults};
use crate::record::{Offset, Partition, TopicId};
pub(super) use group::Leaving;
use group::{Event, GroupContext};
use positions::Found;

/// While nothing happens, how often Kafka is told that this member is alive, and its own messages are looked at.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// A partition that has given nothing for this long is trusted only after another look at its topic: a topic that is deleted
/// and made again gives nothing for longer, since librdkafka waits before it asks again after an error.
const QUIET: Duration = Duration::from_millis(50);

/// While nothing happens, how often a look is taken at whether the topics are still the same.
const IDLE_CHECK: Duration = Duration::from_secs(3);

/// A member of a group.
pub(crate) struct Member {
    log: KafkaLog,
    /// Told of whatever there is to look at: records, rebalances, errors.
    wake: Arc<Notify>,
    /// As they were when this member joined.
    topics: Vec<(String, TopicId)>,
    partitions: Vec<Assigned>,
    /// Revoked and told so: let go at the next call.
    releasing: Option<TopicPartitionList>,
    /// Taken from a queue, and not delivered yet.
    held: Option<Held>,
    /// When the topics' ids were last compared.
    verified: Option<Instant>,
    check: Option<Check>,
    turn: Turn,
    /// The last of all to be dropped: queues go before their consumer. None once it has been handed over to be closed.
    consumer: Option<Arc<BaseConsumer<GroupContext>>>,
}

struct Assigned {
    topic: String,
    partition: Partition,
    state: State,
    /// Whether librdkafka has it assigned.
    fetching: bool,
    /// The end as last heard of.
    end: Offset,
    /// When its queue last gave something.
    heard: Instant,
    queue: PartitionQueue,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Its owner has not said yet where to start.
    Silent,
    /// To be read from here, if it is there.
    Wanted(Offset),
    /// Read up to here, as far as was delivered.
    Reading(Offset),
}

struct Held {
    index: usize,
    delivery: Delivery,
    next: Offset,
    /// Delivered once the topic's id has been compared since then.
    verify_since: Instant,
}

struct Check {
    began: Instant,
    task: JoinHandle<Result<Found, LogError>>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions = self.partitions.iter().map(|it| (&it.topic, it.partition, it.state));
        f.debug_map().entries(partitions.map(|(topic, partition, state)| ((topic, partition), state))).finish()
    }
}

impl Member {
    pub(crate) async fn join(log: KafkaLog, group: &str, topics: &[String]) -> Result<Member, LogError> {
        log.open()?;
        let mut names = topics.to_vec();
        names.sort();
        names.dedup();
        let ids = log.ids(names.clone()).await?;
        let wake = Arc::new(Notify::new());
        let context = GroupContext::new(log.0.complaints.clone());
        let made = log.0.options.member(group).create_with_context(context);
        let mut consumer: BaseConsumer<GroupContext> =
            made.map_err(|error: KafkaError| LogError::Misconfigured { cause: error.to_string() })?;
        let woken = Arc::clone(&wake);
        consumer.set_nonempty_callback(move || woken.notify_one());
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let subscribed = consumer.subscribe(&names);
        subscribed.map_err(|error| log.fault(faults::code_of(&error), "join the group of", ""))?;
        Ok(Member {
            verified: None,
            log,
            wake,
            topics: ids,
            partitions: Vec::new(),
            releasing: None,
            held: None,
            check: None,
            turn: Turn::default(),
            consumer: Some(Arc::new(consumer)),
        })
    }

    pub(crate) fn start(&mut self, topic: &str, partition: Partition, from: Offset) -> Result<(), LogError> {
        let index = self.index(topic, partition)?;
        self.partitions[index].state = State::Wanted(from);
        self.held.take_if(|held| held.index == index);
        self.check = None; // it does not know of this one
        Ok(())
    }

    pub(crate) async fn next(&mut self) -> Result<Delivery, LogError> {
        self.release()?;
        loop {
            self.log.open()?;
            if let Some(delivery) = self.poll_group()? {
                return Ok(delivery);
            }
            if self.check.is_none() && self.is_check_due() {
                self.begin_check();
            }
            if let Some(check) = &mut self.check {
                // A dropped future leaves the task where it is, to be awaited by the next call.
                let found = (&mut check.task).await;
                let began = check.began;
                self.check = None;
                let found = found.map_err(|_| LogError::Closed)?;
                self.settle(began, found)?;
                continue;
            }
            if let Some(delivery) = self.deliver() {
                return Ok(delivery);
            }
            if self.take()? {
                continue;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL_EVERY.min(self.log.0.options.max_poll_interval / 3)) => {}
            }
        }
    }

    pub(crate) fn commit(&mut self, next: &[(String, Partition, Offset)]) -> Result<(), LogError> {
        self.log.open()?;
        let mut offsets = TopicPartitionList::with_capacity(next.len());
        for (topic, partition, next) in next {
            self.index(topic, *partition)?;
            add(&mut offsets, topic, *partition, KafkaOffset::Offset(next.0));
        }
        let Some(consumer) = &self.consumer else { return Err(LogError::Closed) };
        let sent = consumer.commit(&offsets, CommitMode::Async);
        sent.map_err(|error| self.log.fault(faults::code_of(&error), "commit the group's offsets to", ""))
    }

    /// Hears what Kafka says to this member: what it is given, what is taken from it, what is wrong.
    fn poll_group(&mut self) -> Result<Option<Delivery>, LogError> {
        let Some(consumer) = self.consumer.clone() else { return Err(LogError::Closed) };
        for _ in 0..MESSAGES {
            let polled = consumer.poll(Duration::ZERO);
            if let Some(event) = consumer.context().next_event()
                && let Some(delivery) = self.rebalanced(&consumer, event)?
            {
                return Ok(Some(delivery));
            }
            match polled {
                None => {}
                // No record comes this way: each partition has a queue of its own before it is assigned.
                Some(Ok(_)) => tracing::error!("a record came past its partition's queue"),
                Some(Err(error)) => self.complaint(&consumer, &error)?,
            }
        }
        Ok(None)
    }

    fn complaint(&mut self, consumer: &BaseConsumer<GroupContext>, error: &KafkaError) -> Result<(), LogError> {
        use RDKafkaErrorCode as Code;
        if let Some((code, reason)) = consumer.client().fatal_error() {
            return Err(LogError::Unavailable {
                cause: format!("this member of the group is fenced: {code} ({reason})"),
            });
        }
        match faults::code_of(error) {
            // Gone, or made again: the next check tells.
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownTopicId => {
                self.verified = None;
                Ok(())
            }
            code @ (Code::AllBrokersDown
            | Code::Authentication
            | Code::GroupAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::SaslAuthenticationFailed) => Err(self.log.fault(code, "read from", "")),
            code => {
                tracing::debug!(%code, "a member of a group met an error that librdkafka goes on after");
                Ok(())
            }
        }
    }

    fn rebalanced(
        &mut self,
        consumer: &Arc<BaseConsumer<GroupContext>>,
        event: Event,
    ) -> Result<Option<Delivery>, LogError> {
        match event {
            Event::Assigned(given) => {
                for (topic, partition) in &given {
                    let queue = PartitionQueue::of(consumer, topic, partition.0, &self.wake);
                    let queue = queue.ok_or_else(|| self.log.fault(RDKafkaErrorCode::Fail, "read from", topic))?;
                    let (topic, partition) = (topic.clone(), *partition);
                    let (state, end, heard) = (State::Silent, Offset(0), Instant::now());
                    self.partitions.push(Assigned { topic, partition, state, fetching: false, end, heard, queue });
                }
                Ok((!given.is_empty()).then_some(Delivery::Assigned(given)))
            }
            Event::Revoked(taken) => {
                let is_taken =
                    |it: &Assigned| taken.iter().any(|(topic, at)| *topic == it.topic && *at == it.partition);
                let mut releasing = TopicPartitionList::new();
                for gone in self.partitions.iter().filter(|it| is_taken(it) && it.fetching) {
                    add(&mut releasing, &gone.topic, gone.partition, KafkaOffset::Invalid);
                }
                // What is held of another partition is delivered after this.
                let held = self.held.take().map(|held| (self.place(held.index), held));
                self.partitions.retain(|it| !is_taken(it));
                self.held = held.and_then(|((topic, partition), held)| {
                    let index = self.index(&topic, partition).ok()?;
                    Some(Held { index, ..held })
                });
                (self.check, self.turn) = (None, Turn::default());
                self.releasing = Some(releasing);
                Ok(Some(Delivery::Revoked(taken)))
            }
        }
    }

    /// Lets go of what was revoked: its owner has been told, and has come back.
    fn release(&mut self) -> Result<(), LogError> {
        let (Some(releasing), Some(consumer)) = (self.releasing.take(), &self.consumer) else { return Ok(()) };
        consumer
            .incremental_unassign(&releasing)
            .map_err(|error| LogError::Unavailable { cause: format!("cannot let go of what was revoked: {error}") })
    }

    /// Takes a batch from the partition whose turn it is, of those that have any. True if there is something to do now.
    fn take(&mut self) -> Result<bool, LogError> {
        for index in self.turn.order(self.partitions.len()) {
            let assigned = &mut self.partitions[index];
            let State::Reading(position) = assigned.state else { continue };
            let mut drained = assigned.queue.drain(BATCH_RECORDS, Duration::ZERO);
            // A rebalance pauses partitions, and may have some records fetched twice.
            let before = drained.records.partition_point(|record| record.offset < position);
            drained.records.drain(..before);
            let last = drained.records.last().map(|record| record.offset.next());
            let moved_back = drained.end.is_some_and(|end| end < position);
            let next = last.max(drained.end).unwrap_or(position).max(position);
            assigned.end = assigned.end.max(next);
            if drained.error.is_some() || moved_back {
                // Whatever it is, the records are read again from where they were delivered last.
                assigned.state = State::Wanted(position);
                tracing::debug!(topic = assigned.topic, code = ?drained.error, "a partition is looked at again");
                return match drained.error {
                    Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                        Err(self.log.fault(code, "read from", &assigned.topic))
                    }
                    _ => Ok(true),
                };
            }
            if next == position {
                continue;
            }
            self.turn.gave(index, drained.records.len());
            let (topic, partition, end) = (assigned.topic.clone(), assigned.partition, assigned.end);
            let delivery = Delivery::Records { topic, partition, records: drained.records, next, end };
            let now = Instant::now();
            let is_quiet = now.duration_since(assigned.heard) >= QUIET;
            let verify_since = if is_quiet { now } else { now.checked_sub(FRESH).unwrap_or(now) };
            assigned.heard = now;
            self.held = Some(Held { index, delivery, next, verify_since });
            return Ok(true);
        }
        Ok(false)
    }

    /// What is held, if it is known of its topic that it is still the same.
    fn deliver(&mut self) -> Option<Delivery> {
        let held = self.held.take()?;
        self.partitions[held.index].state = State::Reading(held.next);
        Some(held.delivery)
    }

    fn is_check_due(&self) -> bool {
        let is_old = |age| self.verified.is_none_or(|at| at.elapsed() >= age);
        let reads = || self.partitions.iter().any(|it| matches!(it.state, State::Reading(_)));
        self.partitions.iter().any(|it| matches!(it.state, State::Wanted(_)))
            || self.held.as_ref().is_some_and(|held| self.verified.is_none_or(|at| at < held.verify_since))
            || (reads() && is_old(IDLE_CHECK))
    }

    fn place(&self, index: usize) -> (String, Partition) {
        (self.partitions[index].topic.clone(), self.partitions[index].partition)
    }

    fn index(&self, topic: &str, partition: Partition) -> Result<usize, LogError> {
        let found = self.partitions.iter().position(|it| it.topic == topic && it.partition == partition);
        found.ok_or_else(|| LogError::NotAssigned { topic: topic.to_owned(), partition })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(consumer) = self.consumer.take() else { return };
        consumer.context().close();
        // Queues before their consumer, and what was revoked before the rest.
        self.partitions.clear();
        if let Some(releasing) = self.releasing.take()
            && let Err(error) = consumer.incremental_unassign(&releasing)
        {
            tracing::debug!(%error, "what was revoked goes with the rest");
        }
        self.log.0.leaving.leave(consumer);
    }
}

/// Adds a place to a list. No list refuses an offset that is one.
fn add(list: &mut TopicPartitionList, topic: &str, partition: Partition, offset: KafkaOffset) {
    if let Err(error) = list.add_partition_offset(topic, partition.0, offset) {
        tracing::error!(%error, topic, "an offset that Kafka does not have");
    }
}
