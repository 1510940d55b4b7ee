//! Appends: handed to librdkafka, which batches them, and answered on the broker's delivery report.

use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};

use tokio::sync::{Mutex, MutexGuard};

use crate::error::LogError;
use crate::kafka::context::Context;
use crate::kafka::{KafkaLog, faults};
use crate::log::Once;
use crate::record::{Appended, NewRecord, Offset, Partition};
use crate::topic::TopicInfo;

/// How long to wait before trying a full queue again.
const FULL_QUEUE_WAIT: Duration = Duration::from_millis(2);

type Idempotent = FutureProducer<Context>;

/// The producer of the moment. One that met a fatal error (the broker has fenced it off, or lost what it knew of it) can do
/// nothing more, and another takes its place.
pub(super) struct Producers {
    config: ClientConfig,
    context: Context,
    current: RwLock<Arc<Idempotent>>,
}

/// Whose turn it is to look for a value and to write it, by the value's hash: others may wait for the same turn.
#[derive(Debug)]
pub(super) struct Turns([Mutex<()>; 256]);

impl Default for Turns {
    fn default() -> Self {
        Turns(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Turns {
    async fn turn(&self, value: &[u8]) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        hasher.write(value);
        self.0[hasher.finish() as usize % self.0.len()].lock().await
    }
}

/// A record on its way, and the producer that has it.
struct Sent {
    producer: Arc<Idempotent>,
    report: DeliveryFuture,
    partition: Partition,
    size: usize,
}

impl Producers {
    pub(super) fn new(config: ClientConfig, context: Context) -> KafkaResult<Self> {
        let first = config.create_with_context(context.clone())?;
        Ok(Producers { config, context, current: RwLock::new(Arc::new(first)) })
    }

    /// Waits until everything that was sent has been answered. Blocks.
    pub(super) fn flush(&self, timeout: Duration) -> KafkaResult<()> {
        self.current().flush(timeout)
    }

    fn current(&self) -> Arc<Idempotent> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in the place of one that has met a fatal error.
    fn replace_if_fatal(&self, failed: &Arc<Idempotent>) {
        let Some((code, reason)) = failed.client().fatal_error() else { return };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, failed) {
            return;
        }
        tracing::warn!(%code, reason, "the producer of Kafka can do no more; another takes its place");
        match self.config.create_with_context(self.context.clone()) {
            Ok(next) => *current = Arc::new(next),
            Err(error) => tracing::error!(%error, "no other producer can be made; the next append tries again"),
        }
    }
}

impl KafkaLog {
    pub(crate) async fn append(&self, topic: &str, record: NewRecord) -> Result<Appended, LogError> {
        self.writable(topic, &record)?;
        let info = self.recent(topic).await?;
        let partition = self.0.spread().place(&info, &record)?;
        let sent = self.send(&info, partition, &record).await?;
        self.delivered(&info, sent).await
    }

    /// Looks for the record, then writes it where it is not there yet.
    ///
    /// Kafka has no conditional append, so these are two steps, and what another producer appends between them is not seen:
    /// of several callers that look at the same time, each may write. A record is written twice only if its second writer
    /// looks before the first one's append has reached the broker. So whoever repeats an append that may still be under
    /// way waits out the delivery timeout first: after it, librdkafka sends no more, and what has been sent is found. What
    /// remains is a request that lay in the network or the broker for longer than the delivery timeout.
    ///
    /// Within one process, callers with the same value take turns, and do not meet this.
    pub(crate) async fn append_once(&self, topic: &str, record: NewRecord, once: Once) -> Result<Appended, LogError> {
        self.writable(topic, &record)?;
        let Some(value) = record.header(once.header).cloned() else { return self.append(topic, record).await };
        let (log, topic) = (self.clone(), topic.to_owned());
        // A task of its own, so that the turn lasts until the broker has answered, whoever stops waiting.
        let task = tokio::spawn(async move {
            let info = log.recent(&topic).await?;
            let partition = log.0.spread().place(&info, &record)?;
            let _turn = log.0.turns.turn(&value).await;
            let extent = log.extent(&info, partition).await?;
            let from = Offset(once.from.0.max(extent.earliest.0));
            if from < extent.end
                && let Some(there) = log.find_header(&topic, partition, from, once.header, &value).await?
            {
                return Ok(Appended { topic: info.id, partition, offset: there.offset });
            }
            let sent = log.send(&info, partition, &record).await?;
            log.delivered(&info, sent).await
        });
        task.await.map_err(|_| LogError::Closed)?
    }

    pub(crate) async fn append_all(&self, topic: &str, records: Vec<NewRecord>) -> Result<Vec<Appended>, LogError> {
        for record in &records {
            self.writable(topic, record)?;
        }
        let info = self.recent(topic).await?;
        for partition in records.iter().filter_map(|record| record.partition) {
            info.index(partition)?;
        }
        let mut sent = Vec::with_capacity(records.len());
        for record in &records {
            let partition = self.0.spread().place(&info, record)?;
            sent.push(self.send(&info, partition, record).await?);
        }
        drop(records);
        let mut appended = Vec::with_capacity(sent.len());
        for one in sent {
            appended.push(self.delivered(&info, one).await?);
        }
        Ok(appended)
    }

    fn writable(&self, topic: &str, record: &NewRecord) -> Result<(), LogError> {
        self.open()?;
        self.0.options.limits.check(topic, record)?;
        match record.timestamp_ms {
            // librdkafka takes 0 for no time at all, and brokers refuse what is before.
            Some(time_ms) if time_ms <= 0 => {
                let reason =
                    format!("its timestamp is {time_ms}, and Kafka takes times after 1970-01-01T00:00:00Z only");
                Err(LogError::Unwritable { topic: topic.to_owned(), reason })
            }
            _ => Ok(()),
        }
    }

    /// Hands a record to librdkafka, once there is room for it.
    async fn send(&self, info: &TopicInfo, partition: Partition, record: &NewRecord) -> Result<Sent, LogError> {
        let began = tokio::time::Instant::now();
        loop {
            let producer = self.0.producers.current();
            let mut to_send = FutureRecord::<[u8], [u8]>::to(&info.name).partition(partition.0);
            to_send.key = record.key.as_deref();
            to_send.payload = record.payload.as_deref();
            to_send.timestamp = record.timestamp_ms;
            to_send.headers = headers(record);
            let refused = match producer.send_result(to_send) {
                Ok(report) => return Ok(Sent { producer, report, partition, size: record.size() }),
                Err((error, _)) => error,
            };
            if began.elapsed() >= self.0.options.delivery_timeout {
                return Err(self.not_delivered(info, &producer, &refused, record.size()).await);
            }
            match faults::code_of(&refused) {
                RDKafkaErrorCode::QueueFull => tokio::time::sleep(FULL_QUEUE_WAIT).await,
                _ => return Err(self.not_delivered(info, &producer, &refused, record.size()).await),
            }
        }
    }

    async fn delivered(&self, info: &TopicInfo, sent: Sent) -> Result<Appended, LogError> {
        match sent.report.await {
            Ok(Ok(delivery)) => {
                self.notify();
                Ok(Appended { topic: info.id, partition: sent.partition, offset: Offset(delivery.offset) })
            }
            Ok(Err((error, _))) => Err(self.not_delivered(info, &sent.producer, &error, sent.size).await),
            Err(_) => Err(self.fault(RDKafkaErrorCode::Fail, "append to", &info.name)),
        }
    }

    async fn not_delivered(
        &self,
        info: &TopicInfo,
        producer: &Arc<Idempotent>,
        error: &KafkaError,
        size: usize,
    ) -> LogError {
        use RDKafkaErrorCode as Code;
        self.0.producers.replace_if_fatal(producer);
        let topic = info.name.clone();
        match faults::code_of(error) {
            Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
                let allowed = self.max_message_bytes(&topic).await.unwrap_or(0);
                let (what, limit) = ("its bytes are", "max.message.bytes of the topic");
                LogError::TooLarge { topic, what, limit, allowed, found: size }
            }
            Code::InvalidTimestamp => {
                let reason = "the broker does not take its timestamp".to_owned();
                LogError::Unwritable { topic, reason }
            }
            Code::InvalidRecord => {
                let reason = "the broker does not take it; a compacted topic wants a key".to_owned();
                LogError::Unwritable { topic, reason }
            }
            code => {
                // What is known of the topic may be why.
                self.forget(&topic);
                match self.recent(&topic).await {
                    Err(unknown @ LogError::UnknownTopic { .. }) => unknown,
                    _ => match self.fault(code, "append to", &topic) {
                        LogError::UnknownTopic { .. } | LogError::Misconfigured { .. } => {
                            LogError::Unavailable { cause: format!("cannot append to topic {topic}: {code}") }
                        }
                        fault => fault,
                    },
                }
            }
        }
    }
}

fn headers(record: &NewRecord) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(record.headers.len());
    Some(record.headers.iter().fold(empty, |headers, header| {
        headers.insert(Header { key: &header.name, value: Some(header.value.as_ref() as &[u8]) })
    }))
}
