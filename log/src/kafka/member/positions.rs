//! Positions: from where a partition is read, and whether that is still a place in the same topic.

use std::time::Instant;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::{Check, Member, State, add};
use crate::error::LogError;
use crate::record::{Extent, Offset, Partition, TopicId};

/// What a check has found: topics as they are now, and what the partitions hold that are to be started.
#[derive(Debug)]
pub(super) struct Found {
    ids: Vec<(String, TopicId)>,
    extents: Vec<(String, Extent)>,
}

impl Member {
    /// Begins to ask whether topics are the same and wanted positions are there.
    pub(super) fn begin_check(&mut self) {
        let names: Vec<String> = self.topics.iter().map(|(name, _)| name.clone()).collect();
        let mut wanted: Vec<(String, Vec<Partition>)> = Vec::new();
        for assigned in self.partitions.iter().filter(|it| matches!(it.state, State::Wanted(_))) {
            match wanted.iter_mut().find(|(topic, _)| *topic == assigned.topic) {
                Some((_, partitions)) => partitions.push(assigned.partition),
                None => wanted.push((assigned.topic.clone(), vec![assigned.partition])),
            }
        }
        let log = self.log.clone();
        let task = tokio::spawn(async move {
            let mut extents = Vec::new();
            // Ids after extents: what is the same afterwards was the same before.
            for (topic, partitions) in wanted {
                let found = log.extents_in(&topic, partitions).await?;
                extents.extend(found.into_iter().map(|extent| (topic.clone(), extent)));
            }
            Ok(Found { ids: log.ids(names).await?, extents })
        });
        self.check = Some(Check { began: Instant::now(), task });
    }

    /// Starts what may be started. Whatever is wrong stays so: the next call finds it again.
    pub(super) fn settle(&mut self, began: Instant, found: Result<Found, LogError>) -> Result<(), LogError> {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                if let LogError::UnknownTopic { topic } = &error {
                    self.doubt(&topic.clone());
                }
                return Err(error);
            }
        };
        let mut recreated = None;
        for (topic, expected) in self.topics.clone() {
            let Some((_, now)) = found.ids.iter().find(|(name, _)| *name == topic) else { continue };
            if *now != expected {
                self.doubt(&topic);
                recreated = Some(LogError::TopicRecreated { topic, expected, found: *now });
            }
        }
        if let Some(error) = recreated {
            return Err(error);
        }
        self.verified = Some(began);
        for (topic, extent) in found.extents {
            let Ok(index) = self.index(&topic, extent.partition) else { continue };
            if let State::Wanted(from) = self.partitions[index].state {
                extent.check(&topic, from)?;
                self.partitions[index].end = extent.end;
                self.fetch_from(index, from)?;
            }
        }
        Ok(())
    }

    /// Nothing more of this topic is delivered until it has been looked at again.
    fn doubt(&mut self, topic: &str) {
        self.verified = None;
        self.held.take_if(|held| self.partitions[held.index].topic == topic);
        for assigned in self.partitions.iter_mut().filter(|it| it.topic == topic) {
            if let State::Reading(position) = assigned.state {
                assigned.state = State::Wanted(position);
            }
        }
    }

    /// Lets librdkafka fetch a partition from here on.
    fn fetch_from(&mut self, index: usize, from: Offset) -> Result<(), LogError> {
        let failed = |error| LogError::Unavailable { cause: format!("cannot start to read: {error}") };
        let Some(consumer) = &self.consumer else { return Err(LogError::Closed) };
        let assigned = &mut self.partitions[index];
        let mut place = TopicPartitionList::with_capacity(1);
        add(&mut place, &assigned.topic, assigned.partition, KafkaOffset::Offset(from.0));
        if assigned.fetching {
            consumer.incremental_unassign(&place).map_err(failed)?;
            assigned.fetching = false;
        }
        consumer.incremental_assign(&place).map_err(failed)?;
        assigned.fetching = true;
        assigned.state = State::Reading(from);
        Ok(())
    }
}
