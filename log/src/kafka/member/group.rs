//! What Kafka says about a group, and how a member leaves it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::watch;

use crate::kafka::context::{Complaints, Context};
use crate::record::Partition;

/// A change of what a member has.
#[derive(Debug)]
pub(super) enum Event {
    Assigned(Vec<(String, Partition)>),
    Revoked(Vec<(String, Partition)>),
}

/// The context of a member's client: librdkafka calls it from within `poll`.
#[derive(Debug)]
pub(in crate::kafka) struct GroupContext {
    client: Context,
    events: Mutex<VecDeque<Event>>,
    /// Nobody listens any more: what is revoked is let go at once.
    closing: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(complaints: Complaints) -> Self {
        let client = Context { complaints };
        GroupContext { client, events: Mutex::default(), closing: AtomicBool::new(false) }
    }

    pub(super) fn next_event(&self) -> Option<Event> {
        self.events().pop_front()
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}

impl ConsumerContext for GroupContext {
    /// Notes what Kafka gives and takes. What is given is acknowledged at once, and fetched only when its owner starts it;
    /// what is taken is acknowledged when its owner has let go of it.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: Code, partitions: &mut TopicPartitionList) {
        let closing = self.closing.load(Ordering::Acquire);
        let acknowledged = match code {
            Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                if !closing {
                    self.events().push_back(Event::Assigned(places(partitions)));
                }
                consumer.incremental_assign(&TopicPartitionList::new())
            }
            Code::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if closing => {
                // Only what was started is assigned as librdkafka sees it.
                let assigned = consumer.assignment().unwrap_or_default();
                consumer.incremental_unassign(&assigned).or_else(|_| consumer.unassign())
            }
            Code::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.events().push_back(Event::Revoked(places(partitions)));
                Ok(())
            }
            code => {
                tracing::warn!(?code, "a rebalance of the group failed");
                consumer.unassign()
            }
        };
        if let Err(error) = acknowledged {
            tracing::warn!(%error, "a rebalance of the group was not taken note of");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "the group's offsets were not written");
        }
    }
}

fn places(list: &TopicPartitionList) -> Vec<(String, Partition)> {
    let elements = list.elements();
    let mut places: Vec<_> = elements.iter().map(|it| (it.topic().to_owned(), Partition(it.partition()))).collect();
    places.sort();
    places
}

/// Members on their way out of their groups. Each leaves on a thread of its own, for librdkafka blocks until it has.
#[derive(Debug, Default)]
pub(in crate::kafka) struct Leaving(Arc<watch::Sender<usize>>);

impl Leaving {
    pub(super) fn leave(&self, consumer: Arc<BaseConsumer<GroupContext>>) {
        self.0.send_modify(|count| *count += 1);
        let leaving = Arc::clone(&self.0);
        std::thread::spawn(move || {
            drop(consumer);
            leaving.send_modify(|count| *count -= 1);
        });
    }

    /// Waits until all have left, or for this long.
    pub(in crate::kafka) async fn done(&self, at_most: Duration) {
        let mut left = self.0.subscribe();
        if tokio::time::timeout(at_most, left.wait_for(|count| *count == 0)).await.is_err() {
            tracing::warn!("a member did not leave its group in time; Kafka will miss it after its session");
        }
    }
}
