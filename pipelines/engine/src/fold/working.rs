//! The rows that a batch works on: found by an encoded key, read once, written once.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use headwater_schemas::{Value, ValueRef};

use super::reduce::Sign;
use crate::batch::key_value;
use crate::table::{Key, Row, RowPosition, Table, ViewWrites};

/// A view's part of a fold.
#[derive(Default)]
pub(super) struct Working {
    /// Rows by the hash of their encoded key, which stands beside each so that growing hashes nothing anew.
    index: HashTable<(u64, usize)>,
    hasher: DefaultHashBuilder,
    /// The encoded keys, one after another.
    encoded: Vec<u8>,
    pub(super) rows: Vec<WorkRow>,
    /// Rows by their partition; kept only for views whose partitions may be deleted.
    partitions: HashMap<Box<[u8]>, Partition>,
    pub(super) touches: Vec<Touch>,
    /// What dependents read, in the order of the records.
    pub(super) changes: Vec<Change>,
}

#[derive(Default)]
struct Partition {
    key: Option<Key>,
    rows: Vec<usize>,
    deleted: Option<RowPosition>,
}

pub(super) struct WorkRow {
    pub(super) key: Key,
    /// Where its key is among those encoded.
    encoded: Range<usize>,
    /// As the store has it.
    stored: Option<Arc<Row>>,
    pub(super) loaded: bool,
    pub(super) current: Option<Arc<Row>>,
    /// The last event that touched it in this batch.
    pub(super) touched: Option<RowPosition>,
    /// It went with its partition and was not touched since.
    gone_with_partition: bool,
    /// Its last change, by those of the view.
    changed: Option<usize>,
}

/// One event, one change of the source view on its copies, or one of its contributions.
pub(super) enum Touch {
    /// `input`: by those of the event; `element`: of the array that it unfolds.
    Event {
        record: usize,
        row: usize,
        input: u32,
        element: u32,
    },
    DeletePartition {
        record: usize,
        partition: Box<[u8]>,
    },
    Change {
        change: usize,
        old: Option<usize>,
        new: Option<usize>,
    },
    /// Of the row before the change where it is taken back, of the row after it where it is added.
    Contribution {
        change: usize,
        row: usize,
        input: u32,
        element: u32,
        sign: Sign,
    },
}

/// A row before and after one record.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) record: usize,
    pub(super) old: Option<Arc<Row>>,
    pub(super) new: Option<Arc<Row>>,
}

impl Working {
    /// Forgets what the batch did, but not what was read.
    pub(super) fn restart(&mut self) {
        self.touches.clear();
        self.changes.clear();
        for partition in self.partitions.values_mut() {
            partition.deleted = None;
        }
        for row in &mut self.rows {
            row.current = row.stored.clone().filter(|row| !row.hidden);
            row.touched = None;
            row.gone_with_partition = false;
            row.changed = None;
        }
    }

    /// Says what became of a row. What one record does to it step by step is one change: nobody sees what is between.
    pub(super) fn changed(&mut self, row: usize, change: Change) {
        let last = &mut self.rows[row].changed;
        match last.and_then(|last| self.changes.get_mut(last)).filter(|last| last.record == change.record) {
            Some(last) => last.new = change.new,
            None => {
                *last = Some(self.changes.len());
                self.changes.push(change);
            }
        }
    }

    /// The row of this key, made if the batch has not met it; `owned` gives the key for keeps. `never_read`: it needs no
    /// reading.
    pub(super) fn row(
        &mut self,
        table: &Table,
        key: &[ValueRef],
        owned: impl FnOnce() -> Key,
        never_read: bool,
        by_partition: bool,
    ) -> usize {
        let Self { index, hasher, encoded, rows, partitions, .. } = self;
        let start = encoded.len();
        encode(&key[..table.partition], encoded);
        let partition = start..encoded.len();
        encode(&key[table.partition..], encoded);
        let (before, this) = encoded.split_at(start);
        let hash = hasher.hash_one(this);
        if let Some(&(_, row)) =
            index.find(hash, |&(other, row)| other == hash && before[rows[row].encoded.clone()] == *this)
        {
            encoded.truncate(start);
            return row;
        }
        let row = rows.len();
        rows.push(WorkRow {
            key: owned(),
            encoded: start..encoded.len(),
            stored: None,
            loaded: never_read,
            current: None,
            touched: None,
            gone_with_partition: false,
            changed: None,
        });
        index.insert_unique(hash, (hash, row), |&(hash, _)| hash);
        if by_partition {
            partitions.entry_ref(&encoded[partition]).or_default().rows.push(row);
        }
        row
    }

    /// The encoded partition of this key, known from now on.
    pub(super) fn partition(&mut self, key: &[ValueRef]) -> Box<[u8]> {
        let mut encoded = Vec::new();
        encode(key, &mut encoded);
        let partition = self.partitions.entry_ref(encoded.as_slice()).or_default();
        partition.key.get_or_insert_with(|| key.iter().map(key_value).collect());
        encoded.into()
    }

    /// Deletes a partition: every row of it that the batch works on, and in the store every other. A row that the store has
    /// from a later event was made after the deletion, which comes again: it stays.
    pub(super) fn delete_partition(&mut self, partition: &[u8], position: RowPosition) {
        let Some(partition) = self.partitions.get_mut(partition) else { return };
        partition.deleted = Some(position);
        for &row in &partition.rows {
            let row = &mut self.rows[row];
            if row.reflects(position) {
                continue;
            }
            row.current = None;
            row.touched = Some(position);
            row.gone_with_partition = true;
        }
    }

    /// The keys still to be read, and their rows.
    pub(super) fn unread(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|&row| !self.rows[row].loaded).collect()
    }

    /// Takes what the store has of a row.
    pub(super) fn load(&mut self, row: usize, stored: Option<Row>) {
        let row = &mut self.rows[row];
        row.stored = stored.map(Arc::new);
        row.current = row.stored.clone().filter(|row| !row.hidden);
        row.loaded = true;
    }

    /// What the batch changes in the store.
    pub(super) fn into_writes(self, view: usize) -> ViewWrites {
        let mut writes = ViewWrites { view, ..ViewWrites::default() };
        for partition in self.partitions.into_values() {
            if let (Some(key), Some(position)) = (partition.key, partition.deleted) {
                writes.partition_deletes.push((key, position));
            }
        }
        // The map's order is not the log's: the same batch gives the same writes.
        writes.partition_deletes.sort_by_key(|(_, position)| (position.partition, position.offset));
        drop(self.changes);
        writes.puts.reserve(self.rows.len());
        for row in self.rows {
            let Some(position) = row.touched else { continue };
            match row.current {
                Some(current) => writes.puts.push(Arc::unwrap_or_clone(current)),
                None if row.gone_with_partition => {}
                None => writes.deletes.push((row.key, position)),
            }
        }
        writes
    }
}

impl WorkRow {
    /// Whether the row already reflects this event, or a later one of its partition.
    pub(super) fn reflects(&self, position: RowPosition) -> bool {
        let seen = self.stored.as_ref().map(|row| row.position);
        seen.is_some_and(|seen| seen.partition == position.partition && seen.offset >= position.offset)
    }

    pub(super) fn set(&mut self, current: Option<Arc<Row>>, position: RowPosition) {
        self.current = current;
        self.touched = Some(position);
        self.gone_with_partition = false;
    }
}

/// Keys as bytes: equal where the values are, of one type a column.
fn encode(key: &[ValueRef], out: &mut Vec<u8>) {
    for value in key {
        match value {
            ValueRef::Boolean(b) => out.push(u8::from(*b)),
            ValueRef::Long(n) | ValueRef::Timestamp(n) => out.extend_from_slice(&n.to_le_bytes()),
            ValueRef::Float(x) => out.extend_from_slice(&(x + 0.0).to_bits().to_le_bytes()),
            ValueRef::Double(x) => out.extend_from_slice(&(x + 0.0).to_bits().to_le_bytes()),
            ValueRef::Decimal(d) => {
                out.extend_from_slice(&{ d.unscaled }.to_le_bytes());
                out.push(d.scale);
            }
            ValueRef::String(s) => text(s.as_bytes(), out),
            ValueRef::Bytes(b) => text(b, out),
            ValueRef::Uuid(u) => out.extend_from_slice(u),
            ValueRef::Date(d) => out.extend_from_slice(&d.to_le_bytes()),
            // Never in a key: refused when the plan is compiled, or parked as null.
            ValueRef::Null | ValueRef::Array(_) | ValueRef::Map(_) | ValueRef::Record(_) | ValueRef::Branch(..) => {}
        }
    }
}

/// The same of owned values.
pub(crate) fn encode_key(key: &[Value], out: &mut Vec<u8>) {
    // Scalars need no room to be borrowed in.
    let bump = bumpalo::Bump::new();
    for value in key {
        encode(&[value.borrow(&bump)], out);
    }
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Whether a row's value already is this one: saves copying text that did not change.
pub(super) fn same(value: &Value, other: &ValueRef) -> bool {
    match (value, other) {
        (Value::String(a), ValueRef::String(b)) => **a == **b,
        (Value::Bytes(a), ValueRef::Bytes(b)) => **a == **b,
        (Value::Long(a), ValueRef::Long(b)) | (Value::Timestamp(a), ValueRef::Timestamp(b)) => a == b,
        _ => false,
    }
}
