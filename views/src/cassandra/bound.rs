//! A statement's values, written once in the protocol's form and bound as they are.

use std::ops::Range;

use headwater_schemas::Value;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use super::cell::Cell;
use crate::StoreError;

/// Values in the order of a statement's markers.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound {
    bytes: Vec<u8>,
    /// Where each value is; None is null.
    cells: Vec<Option<Range<usize>>>,
}

impl Bound {
    pub(super) fn with_capacity(cells: usize) -> Self {
        Self { bytes: Vec::with_capacity(cells * 16), cells: Vec::with_capacity(cells) }
    }

    /// Appends a value as this column has it.
    pub(super) fn push(&mut self, cell: &Cell, value: &Value) -> Result<(), StoreError> {
        let start = self.bytes.len();
        if value.is_null() {
            self.cells.push(None);
        } else if cell.put(value, &mut self.bytes) {
            self.cells.push(Some(start..self.bytes.len()));
        } else {
            return Err(StoreError::corrupt("a value to write", format!("{value:?} does not fit {cell:?}")));
        }
        Ok(())
    }

    pub(super) fn push_all<'v>(
        &mut self,
        cells: &[Cell],
        values: impl IntoIterator<Item = &'v Value>,
    ) -> Result<(), StoreError> {
        cells.iter().zip(values).try_for_each(|(cell, value)| self.push(cell, value))
    }

    pub(super) fn push_null(&mut self) {
        self.cells.push(None);
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        self.cells.push(Some(start..self.bytes.len()));
    }

    /// How many bytes all values take.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of some values, which tell them from others.
    pub(super) fn part(&self, cells: Range<usize>) -> Vec<u8> {
        let mut out = Vec::new();
        for range in self.cells[cells].iter().flatten() {
            out.extend((range.len() as u64).to_be_bytes());
            out.extend(&self.bytes[range.clone()]);
        }
        out
    }
}

impl SerializeRow for Bound {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter) -> Result<(), SerializationError> {
        for cell in &self.cells {
            let writer = writer.make_cell_writer();
            match cell {
                None => drop(writer.set_null()),
                Some(range) => {
                    writer.set_value(&self.bytes[range.clone()]).map_err(SerializationError::new)?;
                }
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}
