//! Rows that a store refuses, and the search for the record that makes such a row.
//!
//! A store names one row and the event that last touched it. That event is *suspected*: the next batch ends before it, and
//! the one after begins with it. Where the row is of a shape that the store never takes, and one partition alone feeds it, all
//! that it was made of before was taken by then, so the suspect is at fault and is parked with that batch. All events of such a
//! row have one message key, and where the row's key is at fault the first of them is: it is suspected as well, and tried in
//! a batch of its own. So many refused keys cost a flush or two each, however wide batches are. Whatever else is suspected is
//! tried in a batch of its own: parked at once for a shape, and for what the server refuses after as many tries as the topology
//! says.
//!
//! A row that is refused again and again makes the batches smaller instead. Once the refused batch is behind, they are of
//! full size again.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use headwater_engine::batch::{Positions, Record};
use headwater_engine::table::RowPosition;

use crate::session::Ended;

/// How much smaller the batch is where suspecting leads nowhere: 10,000 records take four steps to a single one.
const NARROWER: usize = 10;
/// How often one row may be refused before the batches get smaller.
const SUSPECTED: u32 = 2;
/// How many records may be suspected at once.
const SUSPECTS: usize = 10_000;
/// More than any topology retries.
const FOR_GOOD: u32 = u32::MAX;

/// A record's topic (of the topology), partition and offset.
pub(crate) type Place = (usize, i32, i64);

/// What a store says of a row that it refuses.
pub(crate) struct Refusal {
    /// The view and the key.
    pub(crate) row: (String, String),
    /// The event that last touched it.
    pub(crate) position: Option<RowPosition>,
    /// The topics that feed the view.
    pub(crate) topics: Vec<usize>,
    /// One partition feeds the row, and its events share a message key.
    pub(crate) is_owned: bool,
    /// The row's shape is at fault: it is refused whenever it is tried.
    pub(crate) by_shape: bool,
    pub(crate) reason: String,
}

/// Where a batch is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Before,
    /// The record has a batch of its own.
    Around,
}

#[derive(Debug)]
struct Suspect {
    cut: Cut,
    key: Option<Bytes>,
    reason: String,
}

/// What was refused so far. It outlives the sessions, which each refusal ends.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// How often what a record alone makes was refused, and the last reason.
    counts: HashMap<Place, (u32, String)>,
    suspects: HashMap<Place, Suspect>,
    /// How often each row was refused, of those whose record is not found yet.
    rows: HashMap<(String, String), u32>,
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

    /// Where batches are to be cut.
    pub(crate) fn cuts(&self) -> HashMap<Place, Cut> {
        self.suspects.iter().map(|(place, suspect)| (*place, suspect.cut)).collect()
    }

    /// Notes that the batch with these records was refused. Its session ends, so that nothing of it is left.
    pub(crate) fn note(&mut self, batch: &[Record], next: &Positions, refusal: Refusal) -> Ended {
        let reason = refusal.reason.clone();
        if let [record] = batch {
            if refusal.by_shape {
                self.blame(place(record), record.key.as_ref(), reason.clone());
                return Ended::Narrowed(reason);
            }
            let refused = self.counts.entry(place(record)).or_default();
            refused.0 += 1;
            refused.1.clone_from(&reason);
            return Ended::Refused(reason);
        }
        let times = self.rows.entry(refusal.row.clone()).or_default();
        *times += 1;
        let known =
            if *times > SUSPECTED || self.suspects.len() >= SUSPECTS { None } else { refusal.last_touch(batch) };
        match known {
            Some(index) => self.suspect(batch, index, refusal),
            None => {
                self.suspects.clear();
                self.rows.clear();
                self.narrowed = Some(((batch.len() / NARROWER).max(1), next.clone()));
            }
        }
        Ended::Narrowed(reason)
    }

    fn suspect(&mut self, batch: &[Record], index: usize, refusal: Refusal) {
        let place = place(&batch[index]);
        let (key, reason) = (batch[index].key.clone(), refusal.reason);
        if !(refusal.by_shape && refusal.is_owned) {
            self.suspects.insert(place, Suspect { cut: Cut::Around, key, reason });
        } else if is_first(batch, index) {
            self.blame(place, key.as_ref(), reason);
        } else {
            let of_key = |record: &Record| {
                (record.topic, record.partition, record.key.as_ref()) == (place.0, place.1, key.as_ref())
            };
            let first = batch[..index].iter().find(|record| key.is_some() && of_key(record));
            if let Some(first) = first {
                let suspect = Suspect { cut: Cut::Around, key: key.clone(), reason: reason.clone() };
                self.suspects.insert(self::place(first), suspect);
            }
            self.suspects.insert(place, Suspect { cut: Cut::Before, key, reason });
        }
    }

    /// Hears what is tried next: a suspect with which its partition's part of the batch begins is at fault, since all before
    /// it was taken. One that waits behind a parked record of its key is parked as such all the same.
    pub(crate) fn trying(&mut self, batch: &[Record]) {
        if self.suspects.is_empty() {
            return;
        }
        let mut seen = HashSet::new();
        for record in batch.iter().filter(|record| seen.insert((record.topic, record.partition))) {
            let place = place(record);
            if self.suspects.get(&place).is_some_and(|suspect| suspect.cut == Cut::Before)
                && let Some(suspect) = self.suspects.remove(&place)
            {
                self.blame(place, suspect.key.as_ref(), suspect.reason);
            }
        }
    }

    /// The record is to be parked. What follows on its key waits behind it then, and is not suspected any more.
    fn blame(&mut self, place: Place, key: Option<&Bytes>, reason: String) {
        let follows = |other: &Place, suspect: &Suspect| {
            key.is_some()
                && (other.0, other.1) == (place.0, place.1)
                && other.2 > place.2
                && suspect.key.as_ref() == key
        };
        self.suspects.retain(|other, suspect| *other != place && !follows(other, suspect));
        self.counts.insert(place, (FOR_GOOD, reason));
    }

    /// Why the record is to be parked: it was refused more often than the topology retries.
    pub(crate) fn exhausted(&self, record: &Record, retries: u32) -> Option<&str> {
        let (count, reason) = self.counts.get(&place(record))?;
        (*count > retries).then_some(reason)
    }

    /// The batches up to these positions were taken.
    pub(crate) fn taken(&mut self, at: &Positions) {
        let is_ahead =
            |(topic, partition, offset): &Place| at.get(&(*topic, *partition)).is_none_or(|next| offset >= next);
        self.suspects.retain(|place, _| is_ahead(place));
        self.counts.retain(|place, _| is_ahead(place));
        if self.suspects.is_empty() {
            self.rows.clear();
        }
    }
}

impl Refusal {
    /// Where the event that last touched the row is in its batch.
    fn last_touch(&self, batch: &[Record]) -> Option<usize> {
        let at = self.position?;
        let is_it = |record: &Record| {
            record.partition == at.partition && record.offset == at.offset && self.topics.contains(&record.topic)
        };
        batch.iter().position(is_it)
    }
}

/// Whether its partition's part of the batch begins with this record.
fn is_first(batch: &[Record], index: usize) -> bool {
    let of = |record: &Record| (record.topic, record.partition);
    !batch[..index].iter().any(|other| of(other) == of(&batch[index]))
}

fn place(record: &Record) -> Place {
    (record.topic, record.partition, record.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: i32, offset: i64) -> Record {
        Record { topic: 0, partition, offset, timestamp_ms: 0, key: None, payload: None, headers: Vec::new() }
    }

    fn refusal(partition: i32, offset: i64, by_shape: bool, is_owned: bool) -> Refusal {
        Refusal {
            row: ("documents".to_owned(), "d".to_owned()),
            position: Some(RowPosition { partition, offset }),
            topics: vec![0],
            is_owned,
            by_shape,
            reason: "no".to_owned(),
        }
    }

    fn batch() -> Vec<Record> {
        vec![record(0, 5), record(1, 8), record(0, 6), record(1, 9), record(0, 7)]
    }

    fn next() -> Positions {
        [((0, 0), 8), ((0, 1), 10)].into_iter().collect()
    }

    #[test]
    fn a_shape_on_an_owned_row_is_blamed_once_all_before_it_was_taken() {
        let mut refusals = Refusals::default();
        assert!(matches!(refusals.note(&batch(), &next(), refusal(0, 6, true, true)), Ended::Narrowed(_)));
        assert_eq!(refusals.cuts(), [((0, 0, 6), Cut::Before)].into_iter().collect());
        refusals.trying(&[record(1, 8), record(0, 5), record(0, 6)]);
        assert_eq!(refusals.exhausted(&record(0, 6), 3), None, "what comes before it may be at fault");
        refusals.trying(&[record(1, 8), record(0, 6), record(0, 7)]);
        assert_eq!(refusals.exhausted(&record(0, 6), 3), Some("no"));
        assert!(refusals.cuts().is_empty());
        refusals.taken(&next());
        assert_eq!(refusals.exhausted(&record(0, 6), 3), None, "it is parked, and not kept in mind");
    }

    #[test]
    fn a_shape_on_an_owned_row_is_blamed_at_once_where_nothing_comes_before_it() {
        let mut refusals = Refusals::default();
        refusals.note(&batch(), &next(), refusal(1, 8, true, true));
        assert_eq!(refusals.exhausted(&record(1, 8), 3), Some("no"));
    }

    #[test]
    fn on_a_row_that_many_partitions_feed_a_shape_is_blamed_only_alone() {
        let mut refusals = Refusals::default();
        refusals.note(&batch(), &next(), refusal(0, 5, true, false));
        assert_eq!(refusals.cuts(), [((0, 0, 5), Cut::Around)].into_iter().collect());
        refusals.trying(&[record(0, 5)]);
        assert_eq!(refusals.exhausted(&record(0, 5), 3), None);
        assert!(matches!(refusals.note(&[record(0, 5)], &next(), refusal(0, 5, true, false)), Ended::Narrowed(_)));
        assert_eq!(refusals.exhausted(&record(0, 5), 3), Some("no"));
    }

    #[test]
    fn the_first_of_an_owned_rows_message_key_is_suspected_too_and_what_follows_it_is_not_any_more() {
        let of = |offset: i64, key: &'static str| Record {
            key: Some(Bytes::from_static(key.as_bytes())),
            ..record(0, offset)
        };
        let batch = [of(1, "a"), of(2, "b"), of(3, "a"), of(4, "b"), of(5, "b")];
        let next: Positions = [((0, 0), 6)].into_iter().collect();
        let mut refusals = Refusals::default();
        refusals.note(&batch, &next, refusal(0, 5, true, true));
        let cuts = [((0, 0, 2), Cut::Around), ((0, 0, 5), Cut::Before)];
        assert_eq!(refusals.cuts(), cuts.into_iter().collect());
        refusals.taken(&[((0, 0), 2)].into_iter().collect());
        refusals.note(&batch[1..2], &next, refusal(0, 2, true, true));
        assert_eq!(refusals.exhausted(&batch[1], 3), Some("no"));
        assert!(refusals.cuts().is_empty(), "the last one waits behind the first");
    }

    #[test]
    fn what_the_server_refuses_is_tried_as_often_as_the_topology_says() {
        let mut refusals = Refusals::default();
        assert!(matches!(refusals.note(&batch(), &next(), refusal(0, 7, false, true)), Ended::Narrowed(_)));
        assert_eq!(refusals.cuts(), [((0, 0, 7), Cut::Around)].into_iter().collect());
        for _ in 0..3 {
            assert!(matches!(refusals.note(&[record(0, 7)], &next(), refusal(0, 7, false, true)), Ended::Refused(_)));
            assert_eq!(refusals.exhausted(&record(0, 7), 3), None);
        }
        refusals.note(&[record(0, 7)], &next(), refusal(0, 7, false, true));
        assert_eq!(refusals.exhausted(&record(0, 7), 3), Some("no"));
    }

    #[test]
    fn batches_get_smaller_where_suspecting_leads_nowhere_and_full_again_after_that() {
        let mut refusals = Refusals::default();
        let wide: Vec<Record> = (0..100).map(|offset| record(0, offset)).collect();
        let next: Positions = [((0, 0), 100)].into_iter().collect();
        for offset in [99, 98] {
            refusals.note(&wide, &next, refusal(0, offset, true, true));
            assert_eq!(refusals.batch_records(&Positions::new()), None);
        }
        refusals.note(&wide, &next, refusal(0, 97, true, true));
        assert_eq!(refusals.batch_records(&Positions::new()), Some(10));
        assert!(refusals.cuts().is_empty());
        assert_eq!(refusals.batch_records(&next), None);
        // A row of which the store does not tell who touched it, or whose event is not of this batch.
        refusals.note(&wide, &next, Refusal { position: None, ..refusal(0, 0, true, true) });
        assert_eq!(refusals.batch_records(&Positions::new()), Some(10));
    }

    /// A worker between a log of one partition and a store that refuses a key's row from these records on, whatever touches
    /// it later; how many flushes were acknowledged and refused. `tells`: the store says which event touched the row last.
    fn search(log: &[Record], bad: &[i64], tells: bool) -> (usize, usize) {
        const RETRIES: u32 = 3;
        let end = log.len() as i64;
        let (mut refusals, mut heads, mut at) = (Refusals::default(), Vec::new(), 0);
        let (mut acknowledged, mut refused) = (0, 0);
        while at < end {
            let from: Positions = [((0, 0), at)].into_iter().collect();
            let width = refusals.batch_records(&from).unwrap_or(10_000);
            let (cuts, mut batch) = (refusals.cuts(), Vec::new());
            for record in log[at as usize..].iter().take(width) {
                let cut = cuts.get(&place(record));
                if cut.is_some() && !batch.is_empty() {
                    break;
                }
                batch.push(record.clone());
                if cut == Some(&Cut::Around) {
                    break;
                }
            }
            refusals.trying(&batch);
            let (mut behind, mut rows) = (heads.clone(), HashMap::<Bytes, (bool, i64)>::new());
            for record in &batch {
                let key = record.key.clone().expect("a key");
                if behind.iter().any(|(_, parked)| *parked == key) {
                    continue;
                }
                if refusals.exhausted(record, RETRIES).is_some() {
                    behind.push((record.offset, key));
                    continue;
                }
                let row = rows.entry(key).or_default();
                *row = (row.0 || bad.contains(&record.offset), record.offset);
            }
            let next: Positions = [((0, 0), at + batch.len() as i64)].into_iter().collect();
            let found = rows.into_iter().filter(|(_, (is_bad, _))| *is_bad).min();
            if let Some((key, (_, last))) = found {
                let row = ("documents".to_owned(), format!("{key:?}"));
                let said = Refusal { row, ..refusal(0, last, tells, true) };
                let position = said.position.filter(|_| tells);
                refusals.note(&batch, &next, Refusal { position, ..said });
                refused += 1;
                continue;
            }
            acknowledged += 1;
            (heads, at) = (behind, at + batch.len() as i64);
            refusals.taken(&next);
        }
        let mut parked: Vec<i64> = heads.into_iter().map(|(offset, _)| offset).collect();
        parked.sort_unstable();
        assert_eq!(parked, bad, "what is at fault heads its key, and nothing else does");
        (acknowledged, refused)
    }

    #[test]
    fn many_refused_keys_cost_a_few_flushes_each() {
        const KEYS: i64 = 1_000;
        let keyed = |offset: i64| Record { key: Some(Bytes::from((offset % KEYS).to_string())), ..record(0, offset) };
        let log: Vec<Record> = (0..10 * KEYS).map(keyed).collect();
        // The first of its key, one in the middle, and the last.
        for (round, most) in [(0, 3), (5, 20), (9, 3)] {
            let bad: Vec<i64> = (0..77).map(|key| round * KEYS + key * 13).collect();
            let (before, after) = (search(&log, &bad, false), search(&log, &bad, true));
            println!("round {round}: narrowing alone {before:?}, suspecting {after:?} (acknowledged, refused)");
            let (before, after) = (before.0 + before.1, after.0 + after.1);
            assert!(after <= 77 * most + 20 && after < before, "{after} flushes, {before} by narrowing alone");
        }
    }
}
