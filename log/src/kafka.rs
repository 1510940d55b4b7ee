//! The log in Kafka.
//!
//! Records are produced by an idempotent producer to the partition that the log's own partitioner names, and an append
//! resolves on the broker's delivery report: by then every in-sync copy has the record. Reads see committed transactions
//! only. Groups are Kafka's own ([`Member`]); where a member reads from, its owner says, never Kafka.
//!
//! Kafka keeps two promises less tightly than the embedded log:
//!
//! - `append_once` looks and then writes, which is not one transaction. Of several processes that look at the same time each
//!   may write. So whoever repeats an append that may still be under way waits out `delivery_timeout` first, counted from
//!   when that append was given to the log: after it nothing more is sent, and what was sent is found. What remains is a
//!   request that lay in the network or the broker for longer than that. Within a process callers take turns.
//! - A topic's id is asked for again after a second. Another process that deletes a topic, makes it again and writes to it
//!   within that second may have a record appended to the new one under the old id. Deliveries are safer: after
//!   a partition has been silent, the topic's id is compared before anything more of it is delivered.

mod context;
mod facts;
mod faults;
mod member;
#[allow(unsafe_code)] // the one audited module: see its head
mod native;
mod options;
mod produce;
mod read;
mod topics;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::watch;

use crate::error::LogError;
use crate::partitioner::Spread;
use crate::topic::TopicInfo;
use context::{Complaints, Context};
use member::Leaving;
use produce::{Producers, Turns};
use read::Readers;

pub use facts::{BrokerSettings, ClusterFacts, TopicFacts};
pub(crate) use member::Member;
pub use native::TopicRights;
pub use options::{KafkaCertificate, KafkaCompression, KafkaOptions, KafkaSecurity};

/// How old what is known of a topic may be.
const FRESH: Duration = Duration::from_secs(1);

/// The log in a Kafka cluster. Clones share it.
#[derive(Clone)]
pub struct KafkaLog(Arc<Shared>);

struct Shared {
    options: KafkaOptions,
    complaints: Complaints,
    /// Asks about topics and offsets. It has no group and reads nothing.
    asker: Arc<BaseConsumer<Context>>,
    /// Makes and deletes topics, and reads their settings.
    admin: AdminClient<Context>,
    producers: Producers,
    readers: Readers,
    leaving: Leaving,
    spread: Mutex<Spread>,
    turns: Turns,
    /// Topics as last seen, and when.
    topics: RwLock<HashMap<String, (TopicInfo, Instant)>>,
    closed: AtomicBool,
    changed: watch::Sender<u64>,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("brokers", &self.0.options.brokers).finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Connects, and waits until a broker has answered. Within a tokio runtime.
    ///
    /// # Errors
    /// [`LogError::Denied`] for credentials or certificates that are refused, [`LogError::Misconfigured`] for options that
    /// cannot work, [`LogError::Unavailable`] where no broker answers within the request timeout.
    pub async fn connect(options: KafkaOptions) -> Result<KafkaLog, LogError> {
        options.validate()?;
        // Before librdkafka does: OpenSSL then leaves its tables alone when the process exits, at which moment a thread of
        // a client may still be reading them (https://github.com/openssl/openssl/issues/3505).
        openssl::init();
        let complaints = Complaints::default();
        let context = Context { complaints: complaints.clone() };
        let wrong = |error: rdkafka::error::KafkaError| LogError::Misconfigured { cause: error.to_string() };
        let asker: BaseConsumer<Context> =
            options.administrator().create_with_context(context.clone()).map_err(wrong)?;
        let asker = Arc::new(asker);
        greet(Arc::clone(&asker), complaints.clone(), options.clone()).await?;
        // It has nobody to tell its log to, which others tell as well.
        let mut quiet = options.administrator();
        let admin = quiet.set_log_level(RDKafkaLogLevel::Emerg).create_with_context(context.clone()).map_err(wrong)?;
        let producers = Producers::new(options.producer(), context.clone()).map_err(wrong)?;
        let shared = Shared {
            readers: Readers::new(options.reader(), context),
            leaving: Leaving::default(),
            spread: Mutex::new(Spread::starting_at(rand::random())),
            turns: Turns::default(),
            topics: RwLock::new(HashMap::new()),
            closed: AtomicBool::new(false),
            changed: watch::Sender::new(0),
            asker,
            admin,
            producers,
            complaints,
            options,
        };
        Ok(KafkaLog(Arc::new(shared)))
    }

    /// Sends what was accepted, for as long as an append may take; then leaves all groups, which takes as long as a request
    /// may.
    pub(crate) async fn close(&self) {
        if self.0.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.notify();
        let log = self.clone();
        let flushed = blocking(move || log.0.producers.flush(log.0.options.delivery_timeout)).await;
        if flushed.is_err() {
            tracing::warn!("Kafka has not acknowledged everything before the log was closed");
        }
        self.0.leaving.done(self.0.options.request_timeout).await;
        self.0.readers.clear();
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn notify(&self) {
        self.0.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn open(&self) -> Result<(), LogError> {
        if self.0.closed.load(Ordering::Acquire) { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Asks the cluster something that blocks.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer<Context>, Duration) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        self.open()?;
        let log = self.clone();
        blocking(move || {
            let answer = question(&log.0.asker, log.0.options.request_timeout);
            // What librdkafka has to say meanwhile is told only to who asks.
            hear(&log.0.asker);
            if answer.is_ok() {
                log.0.complaints.clear();
            }
            answer
        })
        .await?
    }
}

/// How many of librdkafka's messages are heard at a time. It does not tell the end of them from one that it has dealt with
/// itself, such as a line of its log.
const MESSAGES: usize = 8;

/// Hears what librdkafka has to say to a client that is sent no records this way.
fn hear(consumer: &BaseConsumer<Context>) {
    for _ in 0..MESSAGES {
        consumer.poll(Duration::ZERO);
    }
}

/// Runs what blocks where that is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LogError::Closed)
}

/// Waits for the first answer of a broker, or for what speaks against there ever being one.
async fn greet(
    asker: Arc<BaseConsumer<Context>>,
    complaints: Complaints,
    options: KafkaOptions,
) -> Result<(), LogError> {
    /// Between two looks at what librdkafka complains of.
    const STEP: Duration = Duration::from_millis(200);
    blocking(move || {
        let began = Instant::now();
        loop {
            let answered = asker.client().fetch_metadata(None, STEP.min(options.request_timeout));
            // For as long as this, whatever comes.
            asker.poll(Duration::from_millis(10));
            let Err(error) = answered else {
                complaints.clear();
                return Ok(());
            };
            let code = faults::code_of(&error);
            match complaints.latest() {
                Some(complaint) if complaint.is_denial() => {
                    return Err(LogError::Denied { cause: complaint.reason });
                }
                _ if began.elapsed() >= options.request_timeout => {
                    return Err(faults::fault(&complaints, code, "reach", ""));
                }
                _ => {}
            }
        }
    })
    .await?
}

impl Shared {
    fn spread(&self) -> std::sync::MutexGuard<'_, Spread> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
