//! A view's table as SQLite knows it: names, cells, and the statements over it, each text made once.
//!
//! Names were validated ([`crate::shape::check_table`]) and are quoted all the same; values are always parameters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use headwater_engine::table::{Row, RowPosition, Table};
use headwater_schemas::Value;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row as _};

use super::cell::{Cell, weight};
use super::statement::{self, Statement};
use crate::StoreError;
use crate::deployment::physical;

/// SQLite's bound on the parameters of one statement.
const PARAMETERS: usize = 32_766;
/// More rows in one statement gain nothing, and a prepared statement of that many parameters is kept in memory.
const ROWS: usize = 256;
/// One statement's parameters, about: they are copied, and kept until the statement runs again.
const BYTES: usize = 4 * 1024 * 1024;

pub(super) struct Layout {
    pub(super) table: Table,
    pub(super) generation: u32,
    /// The table's name in SQLite.
    pub(super) physical: String,
    pub(super) cells: Vec<Cell>,
    pub(super) states: Vec<Cell>,
    statements: Mutex<HashMap<(Statement, usize), Arc<str>>>,
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

    /// All columns: visible, state, position.
    pub(super) fn width(&self) -> usize {
        self.cells.len() + self.states.len() + 2
    }

    /// The text of a statement over this many rows or keys.
    pub(super) fn sql(&self, statement: Statement, rows: usize) -> Arc<str> {
        let mut known = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry((statement, rows)).or_insert_with(|| statement::text(self, statement, rows).into()))
    }

    /// Cuts items, each of so many parameters and about so many bytes, into runs whose lengths are powers of two, so
    /// that few statements serve all.
    pub(super) fn runs(parameters: usize, weights: impl ExactSizeIterator<Item = usize>) -> Vec<usize> {
        let most = previous_power_of_two((PARAMETERS / parameters.max(1)).min(ROWS));
        let mut runs = Vec::new();
        let (mut open, mut bytes) = (0, 0);
        for weight in weights {
            if open == most || (open > 0 && bytes + weight > BYTES) {
                close(&mut runs, open);
                (open, bytes) = (0, 0);
            }
            open += 1;
            bytes += weight;
        }
        close(&mut runs, open);
        runs
    }

    pub(super) fn bind_key(&self, first: usize, key: &[Value], to: &mut SqliteArguments) -> Result<(), StoreError> {
        key.iter().zip(&self.cells[first..]).try_for_each(|(value, cell)| cell.bind(value, to))
    }

    pub(super) fn bind_row(&self, row: &Row, to: &mut SqliteArguments) -> Result<(), StoreError> {
        self.bind_key(0, &row.values, to)?;
        row.state.iter().zip(&self.states).try_for_each(|(value, cell)| cell.bind(value, to))?;
        let position = to.add(row.position.offset).and_then(|()| to.add(row.position.partition));
        position.map_err(|error| StoreError::corrupt("a position to write", error.to_string()))
    }

    /// Reads a row whose columns start at `first`.
    pub(super) fn read_row(&self, found: &SqliteRow, first: usize) -> Result<Row, StoreError> {
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
        let missing = error.as_database_error().is_some_and(|error| error.message().starts_with("no such table"));
        if missing {
            let topology = format!("of view {}", self.table.name);
            return StoreError::NoGeneration { topology, generation: self.generation };
        }
        super::connections::failed(doing, error)
    }
}

pub(super) fn row_weight(row: &Row) -> usize {
    row.values.iter().chain(&row.state).map(weight).sum()
}

pub(super) fn key_weight(key: &[Value]) -> usize {
    key.iter().map(weight).sum()
}

fn close(runs: &mut Vec<usize>, mut open: usize) {
    while open > 0 {
        let run = previous_power_of_two(open);
        runs.push(run);
        open -= run;
    }
}

fn previous_power_of_two(n: usize) -> usize {
    1 << n.max(1).ilog2()
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
    fn runs_are_powers_of_two_within_the_bounds() {
        let cases: [(usize, Vec<usize>, Vec<usize>); 6] = [
            (10, vec![1; 0], vec![]),
            (10, vec![1; 7], vec![4, 2, 1]),
            (10, vec![1; 600], vec![256, 256, 64, 16, 8]),
            (1000, vec![1; 40], vec![32, 8]),
            (10, vec![3 * 1024 * 1024; 3], vec![1, 1, 1]),
            (10, vec![9 * 1024 * 1024, 1, 1], vec![1, 2]),
        ];
        for (parameters, weights, expected) in cases {
            assert_eq!(Layout::runs(parameters, weights.into_iter()), expected);
        }
    }
}
