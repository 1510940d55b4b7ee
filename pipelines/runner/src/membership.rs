//! A worker's place in its consumer group, which outlives its sessions.
//!
//! Leaving and joining again at the end of each session would move everyone's partitions, and two workers could pass them
//! back and forth for ever. So a change of assignment only ends the session: what was taken is flushed, positions are read
//! anew, and whoever takes a partition over finds the rows and the position written. A partition that was revoked is
//! released when the consumer is next asked, which is after that.

use std::collections::BTreeSet;
use std::sync::Arc;

use headwater_engine::batch::Positions;
use headwater_log::{Consumer, LogError, Offset, Partition};
use tokio::sync::Mutex;

use crate::worker::Job;

/// The consumer group of a generation's workers.
pub fn group(topology: &str, generation: u32) -> String {
    format!("{topology}.g{generation}")
}

/// None until a session has joined, and after the log has failed: the next session joins anew.
pub(crate) type Place = Arc<Mutex<Option<Membership>>>;

pub(crate) struct Membership {
    pub(crate) consumer: Consumer,
    /// The partitions that are this worker's, by the topology's topics.
    assigned: BTreeSet<(usize, i32)>,
}

impl Membership {
    pub(crate) async fn join(job: &Job) -> Result<Self, LogError> {
        let names: Vec<String> = job.topology.topics.iter().map(|plan| plan.topic.name.clone()).collect();
        let group = group(&job.topology.name, job.generation);
        Ok(Self { consumer: job.log.consumer(&group, &names).await?, assigned: BTreeSet::new() })
    }

    /// Starts each partition that is assigned at its stored position.
    pub(crate) async fn start_all(&mut self, job: &Job, stored: &Positions) -> Result<(), LogError> {
        for place in self.assigned.clone() {
            self.start(job, stored, place).await?;
        }
        Ok(())
    }

    /// These are this worker's from now on.
    pub(crate) fn assign(&mut self, places: &[(usize, i32)]) {
        self.assigned.extend(places);
    }

    pub(crate) fn assigned(&self) -> Vec<(usize, i32)> {
        self.assigned.iter().copied().collect()
    }

    pub(crate) fn has(&self, place: (usize, i32)) -> bool {
        self.assigned.contains(&place)
    }

    pub(crate) fn revoke(&mut self, places: &[(usize, i32)]) {
        self.assigned.retain(|place| !places.contains(place));
    }

    /// Starts a partition at its stored position, or at the earliest offset where there is none.
    async fn start(&mut self, job: &Job, stored: &Positions, place: (usize, i32)) -> Result<(), LogError> {
        let (topic, partition) = (&job.topology.topics[place.0].topic.name, Partition(place.1));
        let from = match stored.get(&place) {
            Some(&next) => Offset(next),
            None => {
                let extents = job.log.extents(topic).await?;
                extents.iter().find(|extent| extent.partition == partition).map_or(Offset(0), |extent| extent.earliest)
            }
        };
        self.consumer.start(topic, partition, from).await
    }
}
