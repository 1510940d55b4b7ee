//! Reading from any offset, searching, extents and group offsets: what needs no membership in a group.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::{Notify, Semaphore};

use crate::error::LogError;
use crate::kafka::context::{Complaints, Context};
use crate::kafka::native::PartitionQueue;
use crate::kafka::{KafkaLog, blocking, faults, hear};
use crate::log::{Batch, Fetch};
use crate::record::{Extent, Offset, Partition, Record, TopicId};
use crate::topic::{GroupOffset, TopicInfo};

/// Reads that are under way at once, at most; each has a client of its own.
const READERS: usize = 4;

/// Records that a search takes at a time.
const SEARCH_RECORDS: usize = 2_000;
const SEARCH_BYTES: usize = 4 << 20;

/// How long one look at what has been fetched waits.
const STEP: Duration = Duration::from_millis(50);

/// Between two looks at the end of a partition, while somebody waits for it to move.
const WAIT_STEP: Duration = Duration::from_millis(20);

/// Between two requests for offsets of a topic whose leaders are not known yet.
const LEADERS_STEP: Duration = Duration::from_millis(20);

/// Clients that read, made as they are needed and kept.
pub(super) struct Readers {
    config: ClientConfig,
    context: Context,
    permits: Semaphore,
    idle: Mutex<Vec<Arc<BaseConsumer<Context>>>>,
}

impl Readers {
    pub(super) fn new(config: ClientConfig, context: Context) -> Self {
        Readers { config, context, permits: Semaphore::new(READERS), idle: Mutex::default() }
    }

    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        // Their end is waited for where that holds nobody up.
        std::thread::spawn(move || drop(idle));
    }

    fn take(&self) -> Result<Arc<BaseConsumer<Context>>, KafkaError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(reader) => Ok(reader),
            None => Ok(Arc::new(self.config.create_with_context(self.context.clone())?)),
        }
    }

    fn give_back(&self, reader: Arc<BaseConsumer<Context>>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }
}

/// What one read is to find.
struct Span {
    topic: String,
    partition: Partition,
    from: Offset,
    end: Offset,
    max_records: usize,
    max_bytes: usize,
    deadline: Instant,
}

impl KafkaLog {
    pub(crate) async fn fetch(&self, fetch: Fetch<'_>) -> Result<Batch, LogError> {
        self.open()?;
        let info = self.pinned(fetch.topic, fetch.id).await?;
        let extent = self.extent(&info, fetch.partition).await?;
        extent.check(fetch.topic, fetch.from)?;
        if fetch.from == extent.end || fetch.max_records == 0 {
            return Ok(Batch { records: Vec::new(), next: fetch.from, end: extent.end });
        }
        let span = Span {
            topic: fetch.topic.to_owned(),
            partition: fetch.partition,
            from: fetch.from,
            end: extent.end,
            max_records: fetch.max_records,
            max_bytes: fetch.max_bytes,
            deadline: Instant::now() + self.0.options.request_timeout,
        };
        self.read_span(span).await
    }

    async fn read_span(&self, span: Span) -> Result<Batch, LogError> {
        let _permit = self.0.readers.permits.acquire().await.map_err(|_| LogError::Closed)?;
        let log = self.clone();
        blocking(move || {
            let failed = |code| log.fault(code, "read from", &span.topic);
            let reader = log.0.readers.take().map_err(|error| failed(faults::code_of(&error)))?;
            let read = read(&reader, &span, &log.0.complaints);
            // A reader that something went wrong with is not used again.
            if read.is_ok() && reader.unassign().is_ok() {
                log.0.readers.give_back(reader);
            }
            read
        })
        .await?
    }

    async fn pinned(&self, topic: &str, id: Option<TopicId>) -> Result<TopicInfo, LogError> {
        let info = self.recent(topic).await?;
        match id {
            Some(expected) if expected != info.id => {
                Err(LogError::TopicRecreated { topic: topic.to_owned(), expected, found: info.id })
            }
            _ => Ok(info),
        }
    }

    pub(crate) async fn extents(&self, topic: &str, id: Option<TopicId>) -> Result<Vec<Extent>, LogError> {
        let info = self.pinned(topic, id).await?;
        let partitions = i32::try_from(info.partitions).unwrap_or(i32::MAX);
        self.extents_in(topic, (0..partitions).map(Partition).collect()).await
    }

    pub(super) async fn extent(&self, info: &TopicInfo, partition: Partition) -> Result<Extent, LogError> {
        info.index(partition)?;
        let extents = self.extents_in(&info.name, vec![partition]).await?;
        extents.first().copied().ok_or_else(|| self.fault(RDKafkaErrorCode::Fail, "read from", &info.name))
    }

    /// What these partitions hold. The end is that of committed transactions.
    pub(super) async fn extents_in(&self, topic: &str, partitions: Vec<Partition>) -> Result<Vec<Extent>, LogError> {
        // The earliest first: what retention removes in between makes an extent too long, never one that ends before it
        // begins.
        let earliest = self.offsets(topic, partitions.clone(), KafkaOffset::Beginning).await?;
        let ends = self.offsets(topic, partitions.clone(), KafkaOffset::End).await?;
        let extent = |((partition, earliest), end)| Extent { partition, earliest, end };
        Ok(partitions.into_iter().zip(earliest).zip(ends).map(extent).collect())
    }

    async fn offsets(
        &self,
        topic: &str,
        partitions: Vec<Partition>,
        which: KafkaOffset,
    ) -> Result<Vec<Offset>, LogError> {
        let began = Instant::now();
        loop {
            let (asked, places) = (topic.to_owned(), partitions.clone());
            let found = self.ask(move |asker, timeout| Ok(offsets(asker, &asked, &places, which, timeout))).await?;
            let code = match found {
                Ok(offsets) => return Ok(offsets),
                Err(code) => code,
            };
            let fault = self.fault(code, "look at the offsets of", topic);
            let unknown = matches!(fault, LogError::UnknownTopic { .. });
            if unknown {
                // Not there any more, or so new that its leaders have not all heard of it.
                self.forget(topic);
                self.recent(topic).await?;
            }
            if (!unknown && !fault.is_transient()) || began.elapsed() >= self.0.options.request_timeout {
                return Err(match unknown {
                    true => LogError::Unavailable { cause: format!("topic {topic} has no leaders yet") },
                    false => fault,
                });
            }
            tokio::time::sleep(LEADERS_STEP).await;
        }
    }

    pub(crate) async fn wait(&self, topic: &str, partition: Partition, past: Offset) -> Result<(), LogError> {
        let mut changed = self.changed();
        loop {
            changed.borrow_and_update();
            let info = self.recent(topic).await?;
            info.index(partition)?;
            let end = self.offsets(topic, vec![partition], KafkaOffset::End).await?;
            if end.first().is_some_and(|end| *end > past) {
                return Ok(());
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep(WAIT_STEP) => {}
            }
        }
    }

    pub(crate) async fn find_header(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
        name: &str,
        value: &[u8],
    ) -> Result<Option<Record>, LogError> {
        self.open()?;
        let info = self.recent(topic).await?;
        let extent = self.extent(&info, partition).await?;
        extent.check(topic, from)?;
        let mut from = from;
        while from < extent.end {
            let span = Span {
                topic: topic.to_owned(),
                partition,
                from,
                end: extent.end,
                max_records: SEARCH_RECORDS,
                max_bytes: SEARCH_BYTES,
                deadline: Instant::now() + self.0.options.request_timeout,
            };
            let batch = self.read_span(span).await?;
            if let Some(found) = batch.records.into_iter().find(|record| record.has_header(name, value)) {
                return Ok(Some(found));
            }
            from = batch.next;
        }
        Ok(None)
    }

    pub(crate) async fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>, LogError> {
        let topics = self.topics().await?;
        let (log, group) = (self.clone(), group.to_owned());
        self.ask(move |_, timeout| {
            let failed = |error: KafkaError| log.fault(faults::code_of(&error), "look at the groups of", "");
            let mut asked = TopicPartitionList::new();
            for topic in topics.iter().filter(|topic| topic.partitions > 0) {
                let last = i32::try_from(topic.partitions - 1).unwrap_or(i32::MAX);
                asked.add_partition_range(&topic.name, 0, last);
            }
            if asked.count() == 0 {
                return Ok(Vec::new());
            }
            let context = Context { complaints: log.0.complaints.clone() };
            let mut config = log.0.options.client();
            let looker: BaseConsumer<Context> =
                config.set("group.id", &group).create_with_context(context).map_err(failed)?;
            let committed = looker.committed_offsets(asked, timeout).map_err(failed)?;
            let mut offsets: Vec<GroupOffset> = committed
                .elements()
                .iter()
                .filter_map(|element| {
                    let KafkaOffset::Offset(next) = element.offset() else { return None };
                    let (topic, partition) = (element.topic().to_owned(), Partition(element.partition()));
                    Some(GroupOffset { topic, partition, next: Offset(next) })
                })
                .collect();
            offsets.sort();
            Ok(offsets)
        })
        .await
    }
}

/// The first offsets, or the ends, of these partitions, in this order: one request to each leader.
fn offsets(
    asker: &BaseConsumer<Context>,
    topic: &str,
    partitions: &[Partition],
    which: KafkaOffset,
    timeout: Duration,
) -> Result<Vec<Offset>, RDKafkaErrorCode> {
    let code = |error: KafkaError| faults::code_of(&error);
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition_offset(topic, partition.0, which).map_err(code)?;
    }
    // Kafka has two times that are none: -2 asks for the earliest offset and -1 for the end, which are the raw forms of
    // these offsets.
    let found = asker.offsets_for_times(asked, timeout).map_err(code)?;
    let mut offsets = Vec::with_capacity(partitions.len());
    for partition in partitions {
        let element = found.find_partition(topic, partition.0).ok_or(RDKafkaErrorCode::UnknownPartition)?;
        element.error().map_err(code)?;
        match element.offset() {
            KafkaOffset::Offset(offset) => offsets.push(Offset(offset)),
            _ => return Err(RDKafkaErrorCode::LeaderNotAvailable),
        }
    }
    Ok(offsets)
}

/// Reads what a span asks for. Blocks.
fn read(reader: &Arc<BaseConsumer<Context>>, span: &Span, complaints: &Complaints) -> Result<Batch, LogError> {
    let failed = |code| faults::fault(complaints, code, "read from", &span.topic);
    let queue = PartitionQueue::of(reader, &span.topic, span.partition.0, &Arc::new(Notify::new()));
    let mut queue = queue.ok_or_else(|| failed(RDKafkaErrorCode::Fail))?;
    let mut assigned = TopicPartitionList::new();
    let place = assigned.add_partition_offset(&span.topic, span.partition.0, KafkaOffset::Offset(span.from.0));
    place.and_then(|()| reader.assign(&assigned)).map_err(|error| failed(faults::code_of(&error)))?;
    let mut batch = Batch { records: Vec::new(), next: span.from, end: span.end };
    let mut bytes = 0;
    loop {
        let room = (span.max_records - batch.records.len()).min(SEARCH_RECORDS);
        let drained = queue.drain(room, STEP);
        hear(reader);
        if take(&mut batch, drained.records, &mut bytes, span) {
            return Ok(batch);
        }
        batch.next = drained.end.map_or(batch.next, |end| end.max(batch.next));
        if batch.next >= span.end || batch.records.len() >= span.max_records {
            return Ok(batch);
        }
        match drained.error {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                // Retention was faster than this read; the caller's next try sees by how much.
                return Err(LogError::Unavailable {
                    cause: format!("topic {} lost records while they were read", span.topic),
                });
            }
            Some(code) => return Err(failed(code)),
            None if Instant::now() >= span.deadline => return Err(failed(RDKafkaErrorCode::OperationTimedOut)),
            None => {}
        }
    }
}

/// Adds records below the span's end to the batch. True where the next one would be too much.
fn take(batch: &mut Batch, records: Vec<Record>, bytes: &mut usize, span: &Span) -> bool {
    for record in records {
        if record.offset >= span.end {
            batch.next = span.end.max(batch.next);
            return true;
        }
        *bytes += record.size();
        if *bytes > span.max_bytes && !batch.records.is_empty() {
            return true;
        }
        batch.next = record.offset.next();
        batch.records.push(record);
    }
    false
}
