//! One replica: cells with write timestamps, of which the last wins, and tombstones.
//!
//! Of two cells with one timestamp a tombstone wins, else the greater value; so do Cassandra's.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_schemas::Value;

use super::super::report::same;
use crate::table::Key;

/// The cell without which a row is none: every write of a row has it.
pub(super) const POSITION: usize = 0;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) at: i64,
    /// None: a tombstone, which a null leaves.
    pub(super) value: Option<Value>,
}

/// A row's cells. One that was never written is None.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells {
    pub(super) key: Key,
    /// The timestamp of the last deletion of the row.
    pub(super) deleted: Option<i64>,
    pub(super) cells: Vec<Option<Cell>>,
}

/// What a replica has of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// By encoded key.
    pub(super) rows: BTreeMap<Vec<u8>, Arc<Cells>>,
    /// By encoded partition: the timestamp of its last deletion.
    pub(super) deleted: BTreeMap<Vec<u8>, i64>,
}

impl Cell {
    fn loses_to(&self, other: &Cell) -> bool {
        match (other.at.cmp(&self.at), &self.value, &other.value) {
            (std::cmp::Ordering::Equal, Some(this), Some(other)) => format!("{other:?}") > format!("{this:?}"),
            (std::cmp::Ordering::Equal, this, other) => this.is_some() && other.is_none(),
            (order, ..) => order.is_gt(),
        }
    }
}

impl Cells {
    pub(super) fn new(key: Key, cells: Vec<Option<Cell>>) -> Self {
        Self { key, deleted: None, cells }
    }

    /// Nothing but a deletion.
    pub(super) fn deleted(key: Key, at: i64) -> Self {
        Self { key, deleted: Some(at), cells: Vec::new() }
    }

    /// Whether some cell has another value under the same timestamp: whoever folds the same event writes the same.
    fn contradicts(&self, other: &Cells) -> bool {
        let differ = |(cell, other): (&Option<Cell>, &Option<Cell>)| match (cell, other) {
            (Some(cell), Some(other)) => cell.at == other.at && !same(&cell.value, &other.value),
            _ => false,
        };
        self.cells.iter().zip(&other.cells).any(differ)
    }

    fn merge(&mut self, other: &Cells) {
        self.deleted = self.deleted.max(other.deleted);
        if self.cells.len() < other.cells.len() {
            self.cells.resize(other.cells.len(), None);
        }
        for (cell, other) in self.cells.iter_mut().zip(&other.cells) {
            if let Some(other) = other
                && cell.as_ref().is_none_or(|cell| cell.loses_to(other))
            {
                *cell = Some(other.clone());
            }
        }
    }

    /// The values that are left where everything up to this timestamp is deleted, besides; None where the row is none.
    pub(super) fn values(&self, partition_deleted: Option<i64>) -> Option<Vec<Value>> {
        let deleted = self.deleted.max(partition_deleted);
        let live = |cell: &Option<Cell>| {
            let cell = cell.as_ref().filter(|cell| deleted.is_none_or(|deleted| cell.at > deleted))?;
            cell.value.clone()
        };
        live(self.cells.get(POSITION)?)?;
        Some(self.cells.iter().map(|cell| live(cell).unwrap_or(Value::Null)).collect())
    }
}

impl Held {
    /// Whether what is written contradicts what is held.
    pub(super) fn contradicts(&self, key: &[u8], written: &Cells) -> bool {
        self.rows.get(key).is_some_and(|held| held.contradicts(written))
    }

    /// Takes what was written elsewhere, in whatever order it comes.
    pub(super) fn take(&mut self, key: &[u8], written: &Arc<Cells>) {
        match self.rows.get_mut(key) {
            None => drop(self.rows.insert(key.to_vec(), Arc::clone(written))),
            Some(held) if Arc::ptr_eq(held, written) => {}
            Some(held) => Arc::make_mut(held).merge(written),
        }
    }

    pub(super) fn delete_partition(&mut self, partition: &[u8], at: i64) {
        let deleted = self.deleted.entry(partition.to_vec()).or_insert(at);
        *deleted = at.max(*deleted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(at: i64, values: &[Option<i64>]) -> Arc<Cells> {
        let cell = |value: &Option<i64>| Some(Cell { at, value: value.map(Value::Long) });
        Arc::new(Cells::new(Key::from([]), values.iter().map(cell).collect()))
    }

    fn left(writes: &[Arc<Cells>], partition_deleted: Option<i64>) -> Option<Vec<Value>> {
        let mut held = Held::default();
        writes.iter().for_each(|written| held.take(b"k", written));
        held.rows[b"k".as_slice()].values(partition_deleted)
    }

    /// Whatever the order in which writes come, the same is left of them.
    #[test]
    fn the_last_write_wins_cell_by_cell() {
        let deleted = |at| Arc::new(Cells::deleted(Key::from([]), at));
        let row = |values: &[Option<i64>]| {
            Some(values.iter().map(|v| v.map_or(Value::Null, Value::Long)).collect::<Vec<_>>())
        };
        let (old, new) = (cells(1, &[Some(1), Some(9)]), cells(2, &[Some(2), None]));
        let mut partial = (*cells(3, &[Some(3), None])).clone();
        partial.cells[1] = None;
        let partial = Arc::new(partial);
        let cases = [
            (vec![old.clone(), new.clone()], row(&[Some(2), None])),
            (vec![old.clone(), partial.clone()], row(&[Some(3), Some(9)])),
            (vec![new.clone(), partial], row(&[Some(3), None])),
            (vec![old.clone(), deleted(1)], None),
            (vec![new.clone(), deleted(1)], row(&[Some(2), None])),
            (vec![cells(2, &[Some(2), Some(5)]), new.clone()], row(&[Some(2), None])),
            (vec![cells(2, &[Some(2), Some(5)]), cells(2, &[Some(2), Some(4)])], row(&[Some(2), Some(5)])),
        ];
        for (mut writes, expected) in cases {
            assert_eq!(left(&writes, None), expected, "{writes:?}");
            writes.reverse();
            assert_eq!(left(&writes, None), expected, "{writes:?}");
        }
        assert_eq!(left(std::slice::from_ref(&new), Some(2)), None, "a deletion wins a tie");
        assert_eq!(left(&[new], Some(1)), row(&[Some(2), None]));
    }
}
