//! Rows that a store refuses, and the search for the record that makes such a row.
//!
//! A store names the row, and many records of a batch may have changed it. So after a refusal the batches get smaller, down
//! to one record at a time, until the refused one stands alone; it is tried as often as the topology says and then parked.
//! Once the refused batch is behind, batches are of full size again.

use std::collections::HashMap;

use headwater_engine::batch::{Positions, Record};

use crate::session::Ended;

/// How much smaller the batch is after each refusal: 10,000 records take four more refusals to a single one.
const NARROWER: usize = 10;

/// A record's topic (of the topology), partition and offset.
type Place = (usize, i32, i64);

/// What was refused so far. It outlives the sessions, which each refusal ends.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// How often what a record alone makes was refused, and the last reason.
    counts: HashMap<Place, (u32, String)>,
    /// How many records a batch takes until these positions are passed.
    narrowed: Option<(usize, Positions)>,
}

impl Refusals {
    /// How many records a batch may take from these positions on, where not as many as always.
    pub(crate) fn batch_records(&mut self, at: &Positions) -> Option<usize> {
        let (records, until) = self.narrowed.as_ref()?;
        let records = *records;
        if until.iter().all(|(place, next)| at.get(place).is_some_and(|at| at >= next)) {
            self.narrowed = None;
            return None;
        }
        Some(records)
    }

    /// Notes that the batch with these records was refused. Its session ends, so that nothing of it is left.
    pub(crate) fn note(&mut self, batch: &[Record], next: &Positions, reason: String) -> Ended {
        if let [record] = batch {
            let refused = self.counts.entry(place(record)).or_default();
            refused.0 += 1;
            refused.1.clone_from(&reason);
            return Ended::Refused(reason);
        }
        self.narrowed = Some(((batch.len() / NARROWER).max(1), next.clone()));
        Ended::Narrowed(reason)
    }

    /// Why the record is to be parked: it was refused more often than the topology retries.
    pub(crate) fn exhausted(&self, record: &Record, retries: u32) -> Option<&str> {
        let (count, reason) = self.counts.get(&place(record))?;
        (*count > retries).then_some(reason)
    }

    /// The record is parked.
    pub(crate) fn forget(&mut self, record: &Record) {
        self.counts.remove(&place(record));
    }
}

fn place(record: &Record) -> Place {
    (record.topic, record.partition, record.offset)
}
