//! Takes records from the log, groups them into batches and decodes them, while the writer writes the batch before.

use std::collections::HashMap;

use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_log::{Consumer, Delivery, LogError, Offset, Partition};
use headwater_schemas::registry::RegistryError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::records;
use crate::session::{Ended, log_ended};
use crate::worker::{Job, Settings};

/// A decoded batch, and where it leaves each partition.
pub(crate) struct Gathered {
    pub(crate) batch: Batch,
    /// The next offset of each partition that the batch moves, by topic and partition.
    pub(crate) next: Positions,
}

/// Records taken and not yet handed over.
#[derive(Default)]
struct Pending {
    records: Vec<Record>,
    bytes: usize,
    next: Positions,
}

/// What is left of a delivery.
struct Left {
    place: (usize, i32),
    records: std::vec::IntoIter<headwater_log::Record>,
    /// Where the delivery ends: past its last record, and past a gap that follows.
    next: Offset,
}

struct Gatherer {
    job: Job,
    consumer: Consumer,
    decoder: Decoder,
    topics: HashMap<String, usize>,
    /// Delivered, and not taken into a batch yet.
    left: Option<Left>,
    /// As stored when the session began.
    stored: Positions,
    /// The next offset to take: what is below was delivered before.
    taken: Positions,
}

/// Gathers until `stop`; then hands over what it has and closes the queue. Gives the reason where it ends by itself.
pub(crate) async fn run(
    job: Job,
    stored: Positions,
    batches: mpsc::Sender<Gathered>,
    mut committed: watch::Receiver<Positions>,
    stop: CancellationToken,
) -> Option<Ended> {
    let names: Vec<String> = job.topology.topics.iter().map(|plan| plan.topic.name.clone()).collect();
    let group = format!("{}.g{}", job.topology.name, job.generation);
    let consumer = match job.log.consumer(&group, &names).await {
        Ok(consumer) => consumer,
        Err(problem) => return Some(log_ended(&job, problem)),
    };
    let mut gatherer = Gatherer {
        decoder: Decoder::new(job.topology.clone()),
        topics: names.into_iter().enumerate().map(|(index, name)| (name, index)).collect(),
        left: None,
        taken: stored.clone(),
        stored,
        consumer,
        job,
    };
    loop {
        let mut pending = Pending::default();
        let full = gatherer.fill(&mut pending, &batches, &mut committed, &stop).await;
        let stopping = match full {
            Ok(stopping) => stopping,
            Err(ended) => return Some(ended),
        };
        if !pending.next.is_empty() {
            let gathered = match gatherer.decode(pending).await {
                Ok(gathered) => gathered,
                Err(ended) => return Some(ended),
            };
            if batches.send(gathered).await.is_err() {
                return None;
            }
        }
        if stopping {
            return None;
        }
    }
}

impl Pending {
    fn is_full(&self, settings: &Settings) -> bool {
        self.records.len() >= settings.batch_records || self.bytes >= settings.batch_bytes
    }
}

impl Gatherer {
    /// Takes records until the batch is full, or there are some and the writer has room. True where it is time to stop.
    async fn fill(
        &mut self,
        pending: &mut Pending,
        batches: &mpsc::Sender<Gathered>,
        committed: &mut watch::Receiver<Positions>,
        stop: &CancellationToken,
    ) -> Result<bool, Ended> {
        loop {
            self.draw(pending);
            if pending.is_full(&self.job.settings) {
                return Ok(false);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(true),
                Ok(()) = committed.changed() => {
                    let positions = committed.borrow_and_update().clone();
                    self.tell_group(&positions).await;
                }
                delivery = self.consumer.next() => {
                    let delivery = delivery.map_err(|problem| log_ended(&self.job, problem))?;
                    self.take(delivery).await?;
                }
                permit = batches.reserve(), if !pending.next.is_empty() => {
                    // Room, or nobody there any more: the send finds out.
                    drop(permit);
                    return Ok(false);
                }
            }
        }
    }

    /// Moves delivered records into the batch, as far as it goes.
    fn draw(&mut self, pending: &mut Pending) {
        let Some(left) = &mut self.left else { return };
        let (topic, partition) = left.place;
        while !pending.is_full(&self.job.settings)
            && let Some(record) = left.records.next()
        {
            let size = record.payload.as_ref().map_or(0, |p| p.len()) + record.key.as_ref().map_or(0, |k| k.len());
            pending.bytes += size;
            pending.next.insert(left.place, record.offset.next().0);
            pending.records.push(records::incoming(topic, partition, record));
        }
        if left.records.as_slice().is_empty() {
            pending.next.insert(left.place, left.next.0);
            self.left = None;
        }
    }

    async fn take(&mut self, delivery: Delivery) -> Result<(), Ended> {
        match delivery {
            Delivery::Assigned(partitions) => {
                for (topic, partition) in partitions {
                    self.start(&topic, partition).await.map_err(|problem| log_ended(&self.job, problem))?;
                }
                Ok(())
            }
            Delivery::Revoked(_) => Err(Ended::Fenced("partitions were given to another worker".into())),
            Delivery::Records { topic, partition, records, next, .. } => {
                let place = (self.topics[&topic], partition.0);
                self.left = Some(Left { place, records: records.into_iter(), next });
                Ok(())
            }
        }
    }

    /// Starts a partition at its stored position, or at the earliest offset where there is none.
    async fn start(&mut self, topic: &str, partition: Partition) -> Result<(), LogError> {
        let index = self.topics[topic];
        let from = match self.stored.get(&(index, partition.0)) {
            Some(&next) => Offset(next),
            None => {
                let extents = self.job.log.extents(topic).await?;
                extents.iter().find(|extent| extent.partition == partition).map_or(Offset(0), |extent| extent.earliest)
            }
        };
        self.consumer.start(topic, partition, from).await
    }

    /// For tools that show lag; where positions are kept is the store.
    async fn tell_group(&mut self, positions: &Positions) {
        let names = &self.job.topology.topics;
        let next: Vec<_> = positions
            .iter()
            .map(|((topic, partition), next)| (names[*topic].topic.name.clone(), Partition(*partition), Offset(*next)))
            .collect();
        if let Err(problem) = self.consumer.commit(&next).await {
            tracing::debug!(topology = self.job.topology.name, %problem, "the group's offsets were not written");
        }
    }

    async fn decode(&mut self, pending: Pending) -> Result<Gathered, Ended> {
        for (topic, id) in self.decoder.unlearned(&pending.records) {
            match self.job.registry.by_id(id).await {
                Ok(schema) => self.decoder.learn(topic, id, &schema),
                Err(RegistryError::UnknownId(_)) => {
                    self.decoder.refuse(topic, id, format!("the registry has no schema with id {}", id.0));
                }
                Err(problem) => return Err(Ended::Unavailable(problem.to_string())),
            }
        }
        let batch = Batch::decode(&self.decoder, pending.records, &mut self.taken);
        Ok(Gathered { batch, next: pending.next })
    }
}
