//! A view's table as Postgres knows it: names, cells, and the statements over it, each text made once.
//!
//! Names were validated ([`crate::shape::check_table`]) and are quoted all the same; values are always parameters. With
//! what a store adds to it no name is longer than the 63 bytes that Postgres takes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use headwater_engine::table::{Row, RowPosition, Table};
use headwater_schemas::Value;
use sqlx::Row as _;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgRow};

use super::cell::{Array, Cell, Scalar, weight};
use super::fault;
use super::statement::{self, Statement};
use crate::StoreError;
use crate::deployment::physical;

/// Rows or keys in one statement.
const ROWS: usize = 4096;
/// One statement's parameters, about.
const BYTES: usize = 8 * 1024 * 1024;
/// Postgres's bound on the columns of an index.
const KEY_COLUMNS: usize = 32;

pub(super) struct Layout {
    pub(super) table: Table,
    pub(super) generation: u32,
    /// The table's name in Postgres.
    pub(super) physical: String,
    pub(super) cells: Vec<Cell>,
    pub(super) states: Vec<Cell>,
    statements: Mutex<HashMap<Statement, Arc<str>>>,
}

impl Layout {
    pub(super) fn new(table: &Table, generation: u32) -> Self {
        Self {
            generation,
            physical: physical(&table.name, generation),
            cells: (0..table.columns.len()).map(|i| Cell::of_column(table, i)).collect(),
            states: table.state.iter().map(|column| Cell::of_state(column.ty)).collect(),
            statements: Mutex::default(),
            table: table.clone(),
        }
    }

    /// Whether Postgres can hold a table that other stores can.
    pub(super) fn check(table: &Table) -> Result<(), StoreError> {
        if table.key_len() <= KEY_COLUMNS {
            return Ok(());
        }
        let reason = format!("its key has {} columns, Postgres takes up to {KEY_COLUMNS}", table.key_len());
        Err(StoreError::Declaration { view: table.name.clone(), reason })
    }

    pub(super) fn sql(&self, statement: Statement) -> Arc<str> {
        let mut known = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(statement).or_insert_with(|| statement::text(self, statement).into()))
    }

    /// Why Postgres cannot hold a value of this row, if so.
    pub(super) fn misfit(&self, row: &Row) -> Option<String> {
        let misfits = self.cells.iter().zip(&row.values).zip(&self.table.columns);
        misfits
            .into_iter()
            .find_map(|((cell, value), column)| cell.misfit(value).map(|reason| format!("{}: {reason}", column.name)))
    }

    /// The leading columns of these keys, an array each.
    pub(super) fn key_arrays<K: AsRef<[Value]>>(&self, columns: usize, keys: &[K]) -> Result<PgArguments, StoreError> {
        let mut arguments = PgArguments::default();
        for (i, cell) in self.cells[..columns].iter().enumerate() {
            add(&mut arguments, Array(cell, keys.iter().map(|key| &key.as_ref()[i])))?;
        }
        Ok(arguments)
    }

    /// Every column of these rows, an array each.
    pub(super) fn row_arrays(&self, rows: &[Cow<'_, Row>]) -> Result<PgArguments, StoreError> {
        let mut arguments = PgArguments::default();
        for (i, cell) in self.cells.iter().enumerate() {
            add(&mut arguments, Array(cell, rows.iter().map(|row| &row.values[i])))?;
        }
        for (i, cell) in self.states.iter().enumerate() {
            add(&mut arguments, Array(cell, rows.iter().map(|row| &row.state[i])))?;
        }
        add(&mut arguments, rows.iter().map(|row| row.position.offset).collect::<Vec<i64>>())?;
        add(&mut arguments, rows.iter().map(|row| row.position.partition).collect::<Vec<i32>>())?;
        Ok(arguments)
    }

    /// Leading key columns, then a limit.
    pub(super) fn range(&self, values: &[&Value], limit: usize) -> Result<PgArguments, StoreError> {
        let mut arguments = PgArguments::default();
        for (cell, value) in self.cells.iter().zip(values) {
            add(&mut arguments, Scalar(cell, value))?;
        }
        add(&mut arguments, i64::try_from(limit).unwrap_or(i64::MAX))?;
        Ok(arguments)
    }

    /// A value of this column, then a limit.
    pub(super) fn up_to(&self, column: usize, value: &Value, limit: i64) -> Result<PgArguments, StoreError> {
        let mut arguments = PgArguments::default();
        add(&mut arguments, Scalar(&self.cells[column], value))?;
        add(&mut arguments, limit)?;
        Ok(arguments)
    }

    /// Reads a row whose columns start at `first`.
    pub(super) fn read_row(&self, found: &PgRow, first: usize) -> Result<Row, StoreError> {
        let read = |cells: &[Cell], first: usize, name: &dyn Fn(usize) -> String| {
            let value = |(i, cell): (usize, &Cell)| {
                let damaged = |reason| StoreError::corrupt(format!("{}.{}", self.physical, name(i)), reason);
                cell.read(found, first + i).map_err(damaged)
            };
            cells.iter().enumerate().map(value).collect::<Result<Vec<_>, _>>()
        };
        let states_at = first + self.cells.len();
        let position_at = states_at + self.states.len();
        let damaged = |error: sqlx::Error| StoreError::corrupt(format!("{}._pos", self.physical), error.to_string());
        Ok(Row {
            values: read(&self.cells, first, &|i| self.table.columns[i].name.clone())?,
            state: read(&self.states, states_at, &|i| format!("_s_{}", self.table.state[i].name))?,
            position: RowPosition {
                offset: found.try_get(position_at).map_err(damaged)?,
                partition: found.try_get(position_at + 1).map_err(damaged)?,
            },
            hidden: false,
        })
    }

    /// What an error of a statement over this table means.
    pub(super) fn failed(&self, doing: &'static str, error: sqlx::Error) -> StoreError {
        if fault::code(&error).as_deref() == Some("42P01") {
            let topology = format!("of view {}", self.table.name);
            return StoreError::NoGeneration { topology, generation: self.generation };
        }
        fault::failed(doing, error)
    }
}

fn add<'q, T>(arguments: &mut PgArguments, value: T) -> Result<(), StoreError>
where
    T: sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let added: Result<(), BoxDynError> = sqlx::Arguments::add(arguments, value);
    added.map_err(|error| StoreError::corrupt("a value to write", error.to_string()))
}

/// Cuts items, each of about so many bytes, into runs that one statement takes each.
pub(super) fn runs(weights: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut runs = Vec::new();
    let (mut open, mut bytes) = (0, 0);
    for weight in weights {
        if open == ROWS || (open > 0 && bytes + weight > BYTES) {
            runs.push(open);
            (open, bytes) = (0, 0);
        }
        open += 1;
        bytes += weight;
    }
    runs.extend((open > 0).then_some(open));
    runs
}

pub(super) fn row_weight(row: &Row) -> usize {
    row.values.iter().chain(&row.state).map(weight).sum()
}

pub(super) fn key_weight(key: &[Value]) -> usize {
    key.iter().map(weight).sum()
}

/// The layouts in use, by physical name.
#[derive(Default)]
pub(super) struct Layouts {
    known: Mutex<HashMap<String, Arc<Layout>>>,
}

impl Layouts {
    pub(super) fn of(&self, table: &Table, generation: u32) -> Arc<Layout> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let name = physical(&table.name, generation);
        match known.get(&name) {
            Some(layout) if layout.table == *table => Arc::clone(layout),
            _ => {
                let layout = Arc::new(Layout::new(table, generation));
                known.insert(name, Arc::clone(&layout));
                layout
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_keep_within_the_bounds() {
        let cases: [(Vec<usize>, Vec<usize>); 4] = [
            (vec![], vec![]),
            (vec![1; 10_000], vec![4096, 4096, 1808]),
            (vec![5 * 1024 * 1024; 3], vec![1, 1, 1]),
            (vec![9 * 1024 * 1024, 1, 1], vec![1, 2]),
        ];
        for (weights, expected) in cases {
            assert_eq!(runs(weights.into_iter()), expected);
        }
    }
}
