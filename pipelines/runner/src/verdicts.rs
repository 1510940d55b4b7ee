//! What a worker found before it died: heads that it parked in a batch whose position it never moved.
//!
//! On a store without transactions such a batch comes again, and its rows may be written already, without that event. So the
//! verdict stands, even where the event could be applied now: by a mended build, or because what it was too much for is
//! another row by now. Redrive is what takes it back.

use std::collections::HashMap;

use headwater_engine::batch::{Positions, Record};
use headwater_views::{ParkedFilter, ParkedKey, StoreError};

use crate::worker::Job;

/// Why each such record was parked, by topic (of the topology), partition and offset.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    reasons: HashMap<(usize, i32, i64), String>,
}

impl Verdicts {
    /// Reads those of the partitions that are this worker's now. A key that is marked and has no record was not followed by
    /// any row: it is judged again.
    pub(crate) async fn read(
        job: &Job,
        assigned: &[(usize, i32)],
        positions: &Positions,
        keys: &[ParkedKey],
    ) -> Result<Self, StoreError> {
        let mut found = Self::default();
        for parked in keys {
            let Some((topic, _)) = job.topology.topic(&parked.topic) else { continue };
            let place = (topic, parked.partition);
            let is_behind = positions.get(&place).is_some_and(|next| parked.first_offset < *next);
            if is_behind || !assigned.contains(&place) {
                continue;
            }
            let filter = ParkedFilter {
                generation: Some(job.generation),
                topic: Some(parked.topic.clone()),
                partition: Some(parked.partition),
                key: Some(parked.key.clone()),
                heads_only: true,
                after: None,
            };
            let heads = job.store.parked(&job.topology.name, &filter, 1).await?;
            let heads = heads.into_iter().map(|head| head.record).filter(|head| head.offset == parked.first_offset);
            found.reasons.extend(heads.map(|head| ((topic, head.partition, head.offset), head.reason)));
        }
        Ok(found)
    }

    /// Why the record is parked, if that was found before.
    pub(crate) fn on(&self, record: &Record) -> Option<&str> {
        if self.reasons.is_empty() {
            return None;
        }
        self.reasons.get(&(record.topic, record.partition, record.offset)).map(String::as_str)
    }
}
