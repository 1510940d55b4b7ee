//! Takes records from the log, groups them into batches and decodes them, while the writer writes the batch before.

use std::collections::HashMap;

use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_log::{Delivery, Offset, Partition};
use headwater_schemas::registry::RegistryError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::membership::{Membership, Place};
use crate::records;
use crate::refusals::{self, Cut};
use crate::session::{Ended, log_ended};
use crate::worker::{Job, Settings};

/// A decoded batch, and where it leaves each partition.
pub(crate) struct Gathered {
    pub(crate) batch: Batch,
    /// The next offset of each partition that the batch moves, by topic and partition.
    pub(crate) next: Positions,
}

/// What a session begins with.
pub(crate) struct Start {
    /// The positions, as stored.
    pub(crate) stored: Positions,
    /// Where batches end early.
    pub(crate) cuts: HashMap<refusals::Place, Cut>,
}

/// Records taken and not yet handed over.
#[derive(Default)]
struct Pending {
    /// The batch ends here, however small it is.
    is_cut: bool,
    records: Vec<Record>,
    bytes: usize,
    next: Positions,
}

/// Why a batch is closed.
enum Full {
    /// It is full, or the writer has room for it.
    Yes,
    /// The worker is told to stop.
    Stop,
    /// Other partitions are this worker's now.
    Rebalanced,
}

/// What is left of a delivery.
struct Left {
    place: (usize, i32),
    records: std::vec::IntoIter<headwater_log::Record>,
    /// Where the delivery ends: past its last record, and past a gap that follows.
    next: Offset,
}

struct Gatherer<'m> {
    job: Job,
    membership: &'m mut Membership,
    decoder: Decoder,
    topics: HashMap<String, usize>,
    /// Delivered, and not taken into a batch yet.
    left: Option<Left>,
    from: Start,
    /// The next offset to take: what is below was delivered before.
    taken: Positions,
}

/// Gathers until `stop`; then hands over what it has and closes the queue. Gives the reason where it ends by itself.
pub(crate) async fn run(
    job: Job,
    place: Place,
    from: Start,
    batches: mpsc::Sender<Gathered>,
    committed: watch::Receiver<Positions>,
    stop: CancellationToken,
) -> Option<Ended> {
    let mut place = place.lock().await;
    let membership = match place.take() {
        Some(membership) => membership,
        None => match Membership::join(&job).await {
            Ok(membership) => membership,
            Err(problem) => return Some(log_ended(&job, problem)),
        },
    };
    let membership = place.insert(membership);
    let names = job.topology.topics.iter().enumerate();
    let mut gatherer = Gatherer {
        decoder: Decoder::new(job.topology.clone()),
        topics: names.map(|(index, plan)| (plan.topic.name.clone(), index)).collect(),
        left: None,
        taken: from.stored.clone(),
        from,
        membership,
        job,
    };
    let ended = gatherer.run(batches, committed, stop).await;
    if matches!(ended, Some(Ended::Unavailable(_) | Ended::Fatal(_))) {
        // What a consumer is after a failure of the log is not known: the next session joins anew.
        *place = None;
    }
    ended
}

impl Gatherer<'_> {
    async fn run(
        &mut self,
        batches: mpsc::Sender<Gathered>,
        mut committed: watch::Receiver<Positions>,
        stop: CancellationToken,
    ) -> Option<Ended> {
        if let Err(problem) = self.membership.start_all(&self.job, &self.from.stored).await {
            return Some(log_ended(&self.job, problem));
        }
        loop {
            let mut pending = Pending::default();
            let full = match self.fill(&mut pending, &batches, &mut committed, &stop).await {
                Ok(full) => full,
                Err(ended) => return Some(ended),
            };
            if !pending.next.is_empty() {
                let gathered = match self.decode(pending).await {
                    Ok(gathered) => gathered,
                    Err(ended) => return Some(ended),
                };
                if batches.send(gathered).await.is_err() {
                    return None;
                }
            }
            match full {
                Full::Yes => {}
                Full::Stop => return None,
                Full::Rebalanced => return Some(Ended::Rebalanced),
            }
        }
    }
}

impl Pending {
    fn is_full(&self, settings: &Settings) -> bool {
        self.is_cut || self.records.len() >= settings.batch_records || self.bytes >= settings.batch_bytes
    }
}

impl Gatherer<'_> {
    /// Takes records until the batch is full, or there are some and the writer has room.
    async fn fill(
        &mut self,
        pending: &mut Pending,
        batches: &mpsc::Sender<Gathered>,
        committed: &mut watch::Receiver<Positions>,
        stop: &CancellationToken,
    ) -> Result<Full, Ended> {
        loop {
            self.draw(pending);
            if pending.is_full(&self.job.settings) {
                return Ok(Full::Yes);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Full::Stop),
                Ok(()) = committed.changed() => {
                    let positions = committed.borrow_and_update().clone();
                    self.tell_group(&positions).await;
                }
                delivery = self.membership.consumer.next() => {
                    let delivery = delivery.map_err(|problem| log_ended(&self.job, problem))?;
                    if self.take(delivery).await? {
                        return Ok(Full::Rebalanced);
                    }
                }
                permit = batches.reserve(), if !pending.next.is_empty() => {
                    // Room, or nobody there any more: the send finds out.
                    drop(permit);
                    return Ok(Full::Yes);
                }
            }
        }
    }

    /// Moves delivered records into the batch, as far as it goes.
    fn draw(&mut self, pending: &mut Pending) {
        let Some(left) = &mut self.left else { return };
        let (topic, partition) = left.place;
        while !pending.is_full(&self.job.settings)
            && let Some(upcoming) = left.records.as_slice().first()
        {
            let cut = self.from.cuts.get(&(topic, partition, upcoming.offset.0));
            if cut.is_some() && !pending.records.is_empty() {
                pending.is_cut = true;
                break;
            }
            let Some(record) = left.records.next() else { break };
            pending.is_cut = cut == Some(&Cut::Around);
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

    /// True where other partitions are this worker's now: the session ends, once what was taken is written.
    async fn take(&mut self, delivery: Delivery) -> Result<bool, Ended> {
        match delivery {
            Delivery::Assigned(partitions) => {
                let places = self.places(&partitions);
                self.membership.assign(&places);
                Ok(true)
            }
            Delivery::Revoked(partitions) => {
                let places = self.places(&partitions);
                self.membership.revoke(&places);
                Ok(true)
            }
            Delivery::Records { topic, partition, records, next, .. } => {
                let place = (self.topics[&topic], partition.0);
                self.left = Some(Left { place, records: records.into_iter(), next });
                Ok(false)
            }
        }
    }

    fn places(&self, partitions: &[(String, Partition)]) -> Vec<(usize, i32)> {
        partitions.iter().map(|(topic, partition)| (self.topics[topic], partition.0)).collect()
    }

    /// For tools that show lag; where positions are kept is the store. Of this worker's partitions only: what it knows of
    /// the others may be old.
    async fn tell_group(&mut self, positions: &Positions) {
        let names = &self.job.topology.topics;
        let next: Vec<_> = positions
            .iter()
            .filter(|(place, _)| self.membership.has(**place))
            .map(|((topic, partition), next)| (names[*topic].topic.name.clone(), Partition(*partition), Offset(*next)))
            .collect();
        if let Err(problem) = self.membership.consumer.commit(&next).await {
            tracing::debug!(topology = self.job.topology.name, %problem, "the group's offsets were not written");
        }
    }

    async fn decode(&mut self, pending: Pending) -> Result<Gathered, Ended> {
        for topic in self.decoder.unlearned_keys() {
            match self.job.registry.key_codec(&self.job.topology.topics[topic].topic).await {
                Ok(keys) => self.decoder.learn_keys(topic, keys),
                Err(problem) => return Err(Ended::Unavailable(problem.to_string())),
            }
        }
        for (topic, id) in self.decoder.unlearned(&pending.records) {
            match self.job.registry.by_id(id).await {
                Ok(schema) => self.decoder.learn(topic, id, &schema),
                Err(RegistryError::UnknownId(_)) => {
                    self.decoder.refuse(topic, id, format!("the registry has no schema with id {}", id.0));
                }
                Err(problem @ RegistryError::NoRecord { .. }) => self.decoder.refuse(topic, id, problem.to_string()),
                Err(problem) => return Err(Ended::Unavailable(problem.to_string())),
            }
        }
        let batch = Batch::decode(&self.decoder, pending.records, &mut self.taken);
        Ok(Gathered { batch, next: pending.next })
    }
}
