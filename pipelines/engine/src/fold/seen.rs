//! Repeats, dropped: a record that one of the last of its key said before is left out of every view.
//!
//! A row holds what tells the last records of its key apart, the newest last, each as 16 bytes of a hash. A record at or
//! below the row's position is in the views already: the row is written after them.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::key::write_key;
use headwater_schemas::{Value, ValueRef};
use sha2::{Digest, Sha256};

use super::apply::Kept;
use super::working::{Touch, Working};
use super::{Out, position};
use crate::batch::{Batch, Entry, Record, key_value};
use crate::plan::{SeenSource, Told, TopicPlan};
use crate::table::Row;

const ID_BYTES: usize = 16;

type Id = [u8; ID_BYTES];

/// Finds the rows of the records' keys.
pub(super) fn touch(
    plan: &TopicPlan,
    kept: Kept,
    source: &SeenSource,
    batch: &Batch,
    out: &[Option<Out>],
    work: &mut Working,
) {
    let mut bump = Bump::new();
    for (record, entry) in batch.cell.borrow_dependent().entries.iter().enumerate() {
        let Entry::Event { event, slots } = entry else { continue };
        if out[record].is_some() || batch.records()[record].topic != source.topic {
            continue;
        }
        bump.reset();
        let key_slots = &plan.events[*event].key_slots;
        let key: &[ValueRef] = bump.alloc_slice_fill_iter(key_slots.iter().map(|&slot| slots[slot]));
        let row = work.row(kept.table, key, || key.iter().map(key_value).collect(), false, false);
        work.touches.push(Touch::Event { record, row, input: 0, element: 0 });
    }
}

/// Remembers the records, in order, and leaves out those that are remembered. Gives how many are repeats.
pub(super) fn apply(source: &SeenSource, batch: &Batch, work: &mut Working, out: &mut [Option<Out>]) -> u64 {
    let entries = &batch.cell.borrow_dependent().entries;
    let mut repeats = 0;
    for touch in std::mem::take(&mut work.touches) {
        let Touch::Event { record, row, .. } = touch else { continue };
        let Entry::Event { event, slots } = &entries[record] else { continue };
        let row = &mut work.rows[row];
        let position = position(&batch.records()[record]);
        if row.reflects(position) {
            out[record] = Some(Out::Repeated);
            continue;
        }
        let Some(id) = id(source.told[*event], &batch.records()[record], slots) else { continue };
        let remembered: &[u8] = match row.current.as_ref().and_then(|row| row.values.last()) {
            Some(Value::Bytes(ids)) => ids,
            _ => &[],
        };
        if remembered.chunks_exact(ID_BYTES).any(|other| other == id) {
            out[record] = Some(Out::Repeated);
            repeats += 1;
            continue;
        }
        let kept = remembered.len().min((source.last - 1) * ID_BYTES);
        let ids = [&remembered[remembered.len() - kept..], &id].concat();
        let mut values = row.key.to_vec();
        values.push(Value::Bytes(ids.into()));
        row.set(Some(Arc::new(Row { values, state: Vec::new(), position, hidden: false })), position);
    }
    repeats
}

/// What tells a record from the others of its key. One that has nothing of the kind is never a repeat.
fn id(told: Told, record: &Record, slots: &[ValueRef]) -> Option<Id> {
    let mut hash = Sha256::new();
    match told {
        Told::Header => {
            let header = record.headers.iter().find(|(name, _)| name == "ce_id");
            hash.update(&header?.1);
        }
        Told::Slot(slot) => {
            let mut text = Vec::new();
            if !write_key(&slots[slot], &mut text) {
                return None;
            }
            hash.update(&text);
        }
        Told::Not => return None,
    }
    hash.finalize().first_chunk().copied()
}
