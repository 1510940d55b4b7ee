//! The log in memory, for tests: the same promises as the others, kept by one lock.
//!
//! It can do one thing that the SQLite log cannot: leave gaps between offsets ([`MemoryLog::leave_gap`]), as Kafka does where
//! a transaction ended or was aborted, so that readers are tested against them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use crate::error::LogError;
use crate::limits::Limits;
use crate::log::{Batch, Fetch, Once};
use crate::partitioner::Spread;
use crate::record::{self, Appended, Extent, NewRecord, Offset, Partition, Record, TopicId};
use crate::topic::{GroupOffset, TopicInfo, TopicSpec};

/// A log in memory. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    limits: Limits,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Topic>,
    groups: BTreeMap<String, BTreeMap<(String, Partition), Offset>>,
    spread: Spread,
    closed: bool,
}

#[derive(Debug)]
struct Topic {
    info: TopicInfo,
    partitions: Vec<Kept>,
}

/// What a partition keeps: records by ascending offset, all from `earliest` up to `end`.
#[derive(Debug, Default)]
struct Kept {
    earliest: i64,
    end: i64,
    records: VecDeque<Record>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        MemoryLog::new(Limits::default())
    }
}

impl MemoryLog {
    pub fn new(limits: Limits) -> Self {
        let state = Mutex::new(State::default());
        MemoryLog(Arc::new(Shared { state, changed: watch::Sender::new(0), limits }))
    }

    /// Moves the partition's end on by this many offsets that hold no record, as an aborted transaction does in Kafka.
    pub fn leave_gap(&self, topic: &str, partition: Partition, offsets: u32) -> Result<(), LogError> {
        let mut state = self.state();
        let kept = state.topic_mut(topic)?.partition_mut(partition)?;
        kept.end += i64::from(offsets);
        self.notify();
        Ok(())
    }

    pub(crate) fn ensure_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        spec.validate()?;
        let mut state = self.state();
        state.open()?;
        if let Some(topic) = state.topics.get_mut(&spec.name) {
            spec.fits(&topic.info)?;
            topic.info.retention_days = spec.retention_days;
            return Ok(topic.info.clone());
        }
        let info = TopicInfo {
            name: spec.name.clone(),
            id: TopicId(Uuid::new_v4()),
            partitions: spec.partitions,
            retention_days: spec.retention_days,
        };
        let partitions = (0..spec.partitions).map(|_| Kept::default()).collect();
        state.topics.insert(spec.name.clone(), Topic { info: info.clone(), partitions });
        Ok(info)
    }

    pub(crate) fn topic(&self, name: &str) -> Result<TopicInfo, LogError> {
        let state = self.state();
        state.open()?;
        Ok(state.topic(name)?.info.clone())
    }

    pub(crate) fn topics(&self) -> Vec<TopicInfo> {
        self.state().topics.values().map(|topic| topic.info.clone()).collect()
    }

    pub(crate) fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        let mut state = self.state();
        state.open()?;
        state.topics.remove(name).ok_or_else(|| LogError::unknown(name))?;
        for offsets in state.groups.values_mut() {
            offsets.retain(|(topic, _), _| topic != name);
        }
        self.notify();
        Ok(())
    }

    pub(crate) fn append(&self, topic: &str, record: NewRecord) -> Result<Appended, LogError> {
        self.0.limits.check(topic, &record)?;
        let mut state = self.state();
        let appended = state.append(topic, record)?;
        self.notify();
        Ok(appended)
    }

    pub(crate) fn append_once(&self, topic: &str, record: NewRecord, once: Once) -> Result<Appended, LogError> {
        self.0.limits.check(topic, &record)?;
        let mut state = self.state();
        if let Some(there) = state.already(topic, &record, once)? {
            return Ok(there);
        }
        let appended = state.append(topic, record)?;
        self.notify();
        Ok(appended)
    }

    pub(crate) fn append_all(&self, topic: &str, records: Vec<NewRecord>) -> Result<Vec<Appended>, LogError> {
        for record in &records {
            self.0.limits.check(topic, record)?;
        }
        let mut state = self.state();
        let info = &state.topic(topic)?.info;
        for partition in records.iter().filter_map(|record| record.partition) {
            info.index(partition)?;
        }
        let appended = records.into_iter().map(|record| state.append(topic, record)).collect::<Result<_, _>>()?;
        self.notify();
        Ok(appended)
    }

    pub(crate) fn fetch(&self, fetch: Fetch<'_>) -> Result<Batch, LogError> {
        let state = self.state();
        state.open()?;
        let topic = state.pinned(fetch.topic, fetch.id)?;
        let kept = topic.partition(fetch.partition)?;
        kept.check(fetch.topic, fetch.partition, fetch.from)?;
        let mut batch = Batch { records: Vec::new(), next: Offset(kept.end), end: Offset(kept.end) };
        let mut bytes = 0;
        for record in kept.records.range(kept.position(fetch.from)..) {
            bytes += record.size();
            let full = batch.records.len() >= fetch.max_records || bytes > fetch.max_bytes && !batch.records.is_empty();
            if full {
                batch.next = batch.records.last().map_or(fetch.from, |last| last.offset.next());
                break;
            }
            batch.records.push(record.clone());
        }
        Ok(batch)
    }

    pub(crate) fn extents(&self, name: &str, id: Option<TopicId>) -> Result<Vec<Extent>, LogError> {
        let state = self.state();
        state.open()?;
        let topic = state.pinned(name, id)?;
        Ok((0..).zip(&topic.partitions).map(|(index, kept)| kept.extent(Partition(index))).collect())
    }

    pub(crate) fn find_header(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
        name: &str,
        value: &[u8],
    ) -> Result<Option<Record>, LogError> {
        let state = self.state();
        state.open()?;
        let kept = state.topic(topic)?.partition(partition)?;
        kept.check(topic, partition, from)?;
        let mut records = kept.records.range(kept.position(from)..);
        Ok(records.find(|record| record.has_header(name, value)).cloned())
    }

    pub(crate) fn commit_group(&self, group: &str, offsets: &[(TopicId, GroupOffset)]) -> Result<(), LogError> {
        let mut state = self.state();
        state.open()?;
        for (id, at) in offsets {
            state.pinned(&at.topic, Some(*id))?;
        }
        let kept = state.groups.entry(group.to_owned()).or_default();
        kept.extend(offsets.iter().map(|(_, at)| ((at.topic.clone(), at.partition), at.next)));
        Ok(())
    }

    pub(crate) fn delete_groups(&self, groups: &[String]) -> Result<(), LogError> {
        let mut state = self.state();
        state.open()?;
        state.groups.retain(|group, _| !groups.contains(group));
        Ok(())
    }

    pub(crate) fn group_offsets(&self, group: &str) -> Vec<GroupOffset> {
        let state = self.state();
        let offsets = state.groups.get(group).into_iter().flatten();
        offsets
            .map(|((topic, partition), next)| GroupOffset { topic: topic.clone(), partition: *partition, next: *next })
            .collect()
    }

    pub(crate) fn enforce_retention(&self, now_ms: i64) -> u64 {
        let mut state = self.state();
        let mut removed = 0;
        for topic in state.topics.values_mut() {
            let Some(cutoff_ms) = topic.info.cutoff_ms(now_ms) else { continue };
            removed += topic.partitions.iter_mut().map(|kept| kept.trim(cutoff_ms)).sum::<u64>();
        }
        removed
    }

    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.notify();
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn notify(&self) {
        self.0.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No state is left half-changed by a panic: nothing in here panics between two changes that belong together.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&self) -> Result<(), LogError> {
        if self.closed { Err(LogError::Closed) } else { Ok(()) }
    }

    fn topic(&self, name: &str) -> Result<&Topic, LogError> {
        self.topics.get(name).ok_or_else(|| LogError::unknown(name))
    }

    fn topic_mut(&mut self, name: &str) -> Result<&mut Topic, LogError> {
        self.topics.get_mut(name).ok_or_else(|| LogError::unknown(name))
    }

    fn pinned(&self, name: &str, id: Option<TopicId>) -> Result<&Topic, LogError> {
        let topic = self.topic(name)?;
        match id {
            Some(expected) if expected != topic.info.id => {
                Err(LogError::TopicRecreated { topic: name.to_owned(), expected, found: topic.info.id })
            }
            _ => Ok(topic),
        }
    }

    /// Where a record that is to be written once is already.
    fn already(&mut self, name: &str, record: &NewRecord, once: Once) -> Result<Option<Appended>, LogError> {
        self.open()?;
        let topic = self.topics.get(name).ok_or_else(|| LogError::unknown(name))?;
        let Some(value) = record.header(once.header) else { return Ok(None) };
        let partition = self.spread.place(&topic.info, record)?;
        let kept = topic.partition(partition)?;
        let mut records = kept.records.range(kept.position(once.from)..);
        let found = records.find(|record| record.has_header(once.header, value));
        Ok(found.map(|record| Appended { topic: topic.info.id, partition, offset: record.offset }))
    }

    fn append(&mut self, name: &str, record: NewRecord) -> Result<Appended, LogError> {
        self.open()?;
        let topic = self.topics.get_mut(name).ok_or_else(|| LogError::unknown(name))?;
        let partition = self.spread.place(&topic.info, &record)?;
        let kept = topic.partition_mut(partition)?;
        let offset = Offset(kept.end);
        kept.end += 1;
        kept.records.push_back(Record {
            offset,
            timestamp_ms: record.timestamp_ms.unwrap_or_else(record::now_ms),
            key: record.key,
            payload: record.payload,
            headers: record.headers,
        });
        Ok(Appended { topic: topic.info.id, partition, offset })
    }
}

impl Topic {
    fn partition(&self, partition: Partition) -> Result<&Kept, LogError> {
        Ok(&self.partitions[self.info.index(partition)?])
    }

    fn partition_mut(&mut self, partition: Partition) -> Result<&mut Kept, LogError> {
        let index = self.info.index(partition)?;
        Ok(&mut self.partitions[index])
    }
}

impl Kept {
    fn extent(&self, partition: Partition) -> Extent {
        Extent { partition, earliest: Offset(self.earliest), end: Offset(self.end) }
    }

    fn check(&self, topic: &str, partition: Partition, from: Offset) -> Result<(), LogError> {
        self.extent(partition).check(topic, from)
    }

    /// Where in `records` the first one at or after this offset is.
    fn position(&self, from: Offset) -> usize {
        self.records.partition_point(|record| record.offset < from)
    }

    fn trim(&mut self, cutoff_ms: i64) -> u64 {
        let mut removed = 0;
        while self.records.front().is_some_and(|record| record.timestamp_ms < cutoff_ms) {
            self.records.pop_front();
            removed += 1;
        }
        if removed > 0 {
            self.earliest = self.records.front().map_or(self.end, |first| first.offset.0);
        }
        removed
    }
}
