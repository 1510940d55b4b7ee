//! Kafka to plain structs: one consumer, told which partitions to read and from where.

use std::time::Duration;

use bumpalo::Bump;
use headwater_schemas::plan::DecodePlan;
use headwater_schemas::wire::split;
use headwater_schemas::{Schema, ValueRef};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::{Fallible, Order};

/// How long the cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The settings of Headwater's members that bear on speed.
const FETCHING: [(&str, &str); 12] = [
    ("group.id", "headwater-bench.by-hand"),
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.message.max.bytes", "1114112"),
    ("fetch.max.bytes", "4456448"),
    ("receive.message.max.bytes", "5505024"),
    // For all partitions together here, for each of ten there.
    ("queued.max.messages.kbytes", "20480"),
    ("socket.keepalive.enable", "true"),
];

/// What the loop needs of an `OrderPlaced`.
pub(crate) struct Placed {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) customer: String,
    pub(crate) quantity: i64,
    pub(crate) price_cents: i64,
    /// Microseconds since 1970.
    pub(crate) at: i64,
}

pub(crate) struct Reader {
    consumer: BaseConsumer,
    plan: DecodePlan,
    /// Where each partition ends.
    ends: Vec<i64>,
}

impl Reader {
    pub(crate) fn open(order: &Order) -> Fallible<Self> {
        let mut config = ClientConfig::new();
        let reach = order.kafka.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in reach.chain(FETCHING) {
            config.set(name, value);
        }
        let consumer: BaseConsumer = config.create()?;
        let schema = Schema::parse(&order.schema, &[])?;
        let fields = ["customer_id", "quantity", "price", "at"];
        let place = |name: &str| schema.record.fields.iter().position(|field| field.name == name);
        let needed: Option<Vec<usize>> = fields.into_iter().map(place).collect();
        let needed = needed.ok_or("OrderPlaced has other fields")?;
        let plan = DecodePlan::compile(&schema, &schema.record, &needed)?;
        let mut assigned = TopicPartitionList::new();
        let mut ends = Vec::new();
        for partition in 0..order.partitions {
            let (from, end) = consumer.fetch_watermarks(&order.topic, partition, PATIENCE)?;
            assigned.add_partition_offset(&order.topic, partition, Offset::Offset(from))?;
            ends.push(end);
        }
        consumer.assign(&assigned)?;
        Ok(Self { consumer, plan, ends })
    }

    /// Reads to the ends. A batch is closed when it is full, or as soon as the writer can take it.
    pub(crate) fn run(self, batch_records: usize, batches: &Sender<Vec<Placed>>) -> Fallible<()> {
        let mut bump = Bump::new();
        let mut batch = Vec::new();
        let mut left = self.ends.iter().filter(|end| **end > 0).count();
        while left > 0 {
            let Some(message) = self.consumer.poll(Duration::ZERO) else {
                // The log has nothing right now: what there is goes on its way, if the writer is idle.
                batch = offer(batches, batch)?;
                if let Some(message) = self.consumer.poll(PATIENCE) {
                    left -= usize::from(self.take(&message?, &bump, &mut batch)?);
                }
                continue;
            };
            left -= usize::from(self.take(&message?, &bump, &mut batch)?);
            bump.reset();
            if batch.len() >= batch_records {
                batches.blocking_send(std::mem::take(&mut batch)).map_err(|_| "the writer has gone")?;
            }
        }
        if !batch.is_empty() {
            batches.blocking_send(batch).map_err(|_| "the writer has gone")?;
        }
        Ok(())
    }

    /// True for the last of its partition.
    fn take(&self, message: &impl Message, bump: &Bump, batch: &mut Vec<Placed>) -> Fallible<bool> {
        let (_, body) = split(message.payload().ok_or("an order without a payload")?)?;
        let slots = self.plan.decode(body, bump)?;
        let [ValueRef::String(customer), ValueRef::Long(quantity), ValueRef::Decimal(price), ValueRef::Timestamp(at)] =
            *slots
        else {
            return Err("an order of another form".into());
        };
        let (partition, offset) = (message.partition(), message.offset());
        let price_cents = i64::try_from(price.unscaled)?;
        batch.push(Placed { partition, offset, customer: customer.to_owned(), quantity, price_cents, at });
        Ok(usize::try_from(partition).ok().and_then(|p| self.ends.get(p)).is_some_and(|end| offset + 1 >= *end))
    }
}

/// Hands a batch over if the writer has room; what was not taken comes back.
fn offer(batches: &Sender<Vec<Placed>>, batch: Vec<Placed>) -> Fallible<Vec<Placed>> {
    if batch.is_empty() {
        return Ok(batch);
    }
    match batches.try_send(batch) {
        Ok(()) => Ok(Vec::new()),
        Err(TrySendError::Full(batch)) => Ok(batch),
        Err(TrySendError::Closed(_)) => Err("the writer has gone".into()),
    }
}
