//! A view's table as Cassandra knows it: names, cells, and the statements over it.
//!
//! Names were validated ([`crate::shape::check_table`]) and are quoted all the same; values are always bound. A table of
//! shared rows is that of their parts ([`Table::in_parts`]).

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use headwater_engine::table::{Direction, Feeding, Row, RowPosition, Table};
use headwater_schemas::Value;
use scylla::deserialize::row::ColumnIterator;

use super::bound::Bound;
use super::cell::Cell;
use super::connection::{literal, quoted};
use crate::StoreError;
use crate::deployment::physical;

/// Cassandra takes names of 48 bytes; `_g` and a generation's number follow a view's.
const NAME_BYTES: usize = 40;
/// A row must fit one mutation, which by default is half a commit log segment (16 MiB), with room for what is around it.
pub(super) const ROW_BYTES: usize = 12 << 20;
/// The partition key of a view that is one partition.
const ONE: &str = "_one";

pub(super) struct Layout {
    /// As it is kept: of shared rows, of their parts.
    pub(super) table: Table,
    /// As it is read, where that is another.
    pub(super) whole: Option<Table>,
    pub(super) generation: u32,
    pub(super) physical: String,
    pub(super) cells: Vec<Cell>,
    states: Vec<Cell>,
}

impl Layout {
    pub(super) fn new(table: &Table, generation: u32) -> Self {
        let parts = table.in_parts();
        let kept = parts.as_ref().unwrap_or(table);
        Self {
            generation,
            physical: physical(&table.name, generation),
            cells: (0..kept.columns.len()).map(|i| Cell::of_column(kept, i)).collect(),
            states: kept.state.iter().map(|column| Cell::of_state(column.ty)).collect(),
            whole: parts.is_some().then(|| table.clone()),
            table: kept.clone(),
        }
    }

    /// Whether Cassandra can hold a table that other stores can.
    pub(super) fn check(table: &Table) -> Result<(), StoreError> {
        if table.name.len() <= NAME_BYTES {
            return Ok(());
        }
        let reason = format!("its name has {} letters, Cassandra takes up to {NAME_BYTES}", table.name.len());
        Err(StoreError::Declaration { view: table.name.clone(), reason })
    }

    /// The table as the rows that are read have it: without parts.
    pub(super) fn read_table(&self) -> &Table {
        self.whole.as_ref().unwrap_or(&self.table)
    }

    /// Rows of it that are gone are kept as guards, for the position that they carry.
    pub(super) fn keeps_guards(&self) -> bool {
        self.table.fed != Feeding::Mapped
    }

    /// Where the partition is among the key's columns, if these are parts; else it is a column of its own.
    fn part_of_key(&self) -> Option<usize> {
        self.table.columns[..self.table.key_len()].iter().position(|column| column.name == "_part")
    }

    fn has_part_column(&self) -> bool {
        self.part_of_key().is_none()
    }

    pub(super) fn create(&self, keyspace: &str) -> String {
        let mut columns = String::new();
        if self.table.partition == 0 {
            columns.push_str("\"_one\" tinyint, ");
        }
        for (name, cell) in self.columns() {
            // Writing to a string cannot fail.
            let _ = write!(columns, "{} {}, ", quoted(&name), cell.cql_type());
        }
        columns.push_str("\"_pos\" bigint, \"_hidden\" boolean, ");
        if self.has_part_column() {
            columns.push_str("\"_part\" int, ");
        }
        let partition: Vec<String> = self.partition_names().iter().map(|name| quoted(name)).collect();
        let clustering = &self.table.columns[self.table.partition..self.table.key_len()];
        let mut key = format!("({})", partition.join(", "));
        clustering.iter().for_each(|column| key.push_str(&format!(", {}", quoted(&column.name))));
        let order = clustering.iter().zip(&self.table.clustering).map(|(column, direction)| match direction {
            Direction::Ascending => format!("{} ASC", quoted(&column.name)),
            Direction::Descending => format!("{} DESC", quoted(&column.name)),
        });
        let order: Vec<String> = order.collect();
        let mut with = format!("comment = {}", literal(self.table.doc.as_deref().unwrap_or_default()));
        if !order.is_empty() {
            with = format!("CLUSTERING ORDER BY ({}) AND {with}", order.join(", "));
        }
        let name = self.name(keyspace);
        format!("CREATE TABLE IF NOT EXISTS {name} ({columns}PRIMARY KEY ({key})) WITH {with}")
    }

    fn name(&self, keyspace: &str) -> String {
        format!("{}.{}", quoted(keyspace), quoted(&self.physical))
    }

    fn partition_names(&self) -> Vec<&str> {
        match self.table.partition {
            0 => vec![ONE],
            count => self.table.columns[..count].iter().map(|column| column.name.as_str()).collect(),
        }
    }

    /// Visible columns, then the state's.
    fn columns(&self) -> impl Iterator<Item = (String, &Cell)> {
        let visible = self.table.columns.iter().map(|column| column.name.clone());
        let state = self.table.state.iter().map(|column| format!("_s_{}", column.name));
        visible.chain(state).zip(self.cells.iter().chain(&self.states))
    }

    /// All columns of a row, the position's last.
    fn selected(&self) -> String {
        let mut names: Vec<String> = self.columns().map(|(name, _)| quoted(&name)).collect();
        names.extend(["\"_pos\"".to_owned(), "\"_hidden\"".to_owned()]);
        if self.has_part_column() {
            names.push("\"_part\"".to_owned());
        }
        names.join(", ")
    }

    /// A whole row: [`bind_row`](Self::bind_row) or [`bind_guard`](Self::bind_guard).
    pub(super) fn insert(&self, keyspace: &str) -> String {
        let one = if self.table.partition == 0 { "\"_one\", " } else { "" };
        let markers = self.cells.len() + self.states.len() + 2 + usize::from(self.has_part_column());
        let markers = vec!["?"; markers + usize::from(self.table.partition == 0)].join(", ");
        format!(
            "INSERT INTO {} ({one}{}) VALUES ({markers}) USING TIMESTAMP ? AND TTL ?",
            self.name(keyspace),
            self.selected()
        )
    }

    /// Deletes the row, or rows, whose key starts with so many columns: a timestamp, then those.
    pub(super) fn delete(&self, keyspace: &str, columns: usize) -> String {
        format!("DELETE FROM {} USING TIMESTAMP ? WHERE {}", self.name(keyspace), self.equal(columns))
    }

    /// The rows whose key starts with so many columns, in clustering order.
    pub(super) fn select(&self, keyspace: &str, columns: usize) -> String {
        format!("SELECT {} FROM {} WHERE {}", self.selected(), self.name(keyspace), self.equal(columns))
    }

    /// The rows that come after one in clustering order and share the first `columns` of its key.
    pub(super) fn select_after(&self, keyspace: &str, columns: usize) -> String {
        let after = &self.table.columns[columns].name;
        let sign = match self.table.clustering[columns - self.table.partition] {
            Direction::Ascending => ">",
            Direction::Descending => "<",
        };
        format!("{} AND {} {sign} ?", self.select(keyspace, columns), quoted(after))
    }

    pub(super) fn select_all(&self, keyspace: &str) -> String {
        format!("SELECT {} FROM {}", self.selected(), self.name(keyspace))
    }

    fn equal(&self, columns: usize) -> String {
        let mut names = self.partition_names();
        let clustering = &self.table.columns[self.table.partition..columns.max(self.table.partition)];
        names.extend(clustering.iter().map(|column| column.name.as_str()));
        names.iter().map(|name| format!("{} = ?", quoted(name))).collect::<Vec<_>>().join(" AND ")
    }

    /// Leading values of a key.
    pub(super) fn bind_key(&self, values: &[Value]) -> Result<Bound, StoreError> {
        let mut bound = Bound::with_capacity(values.len() + 1);
        self.push_key(&mut bound, values)?;
        Ok(bound)
    }

    pub(super) fn push_key(&self, bound: &mut Bound, values: &[Value]) -> Result<(), StoreError> {
        if self.table.partition == 0 {
            bound.push_bytes(&[0]);
        }
        bound.push_all(&self.cells, values)
    }

    /// How many leading values of [`bind_row`](Self::bind_row) are the partition key.
    pub(super) fn partition_values(&self) -> usize {
        self.table.partition.max(1)
    }

    /// With so many seconds to live; 0: until it is written again.
    pub(super) fn bind_row(&self, row: &Row, ttl: i32) -> Result<Bound, StoreError> {
        let mut bound = Bound::with_capacity(self.cells.len() + self.states.len() + 6);
        self.push_key(&mut bound, &row.values)?;
        bound.push_all(&self.states, &row.state)?;
        self.push_position(&mut bound, row.position, false, ttl);
        Ok(bound)
    }

    /// A row that is gone, kept for its position.
    pub(super) fn bind_guard(&self, key: &[Value], position: RowPosition, ttl: i32) -> Result<Bound, StoreError> {
        let mut bound = Bound::with_capacity(self.cells.len() + self.states.len() + 6);
        self.push_key(&mut bound, key)?;
        (key.len()..self.cells.len() + self.states.len()).for_each(|_| bound.push_null());
        self.push_position(&mut bound, position, true, ttl);
        Ok(bound)
    }

    fn push_position(&self, bound: &mut Bound, position: RowPosition, hidden: bool, ttl: i32) {
        bound.push_bytes(&position.offset.to_be_bytes());
        bound.push_bytes(&[u8::from(hidden)]);
        if self.has_part_column() {
            bound.push_bytes(&position.partition.to_be_bytes());
        }
        // The timestamp is the offset of the event that last touched the row, never a clock.
        bound.push_bytes(&position.offset.to_be_bytes());
        bound.push_bytes(&ttl.to_be_bytes());
    }

    /// Why Cassandra cannot hold a row with this key, if so.
    pub(super) fn misfit(&self, key: &[Value]) -> Option<String> {
        let mut columns = self.cells.iter().zip(key).zip(&self.table.columns);
        columns.find_map(|((cell, value), column)| {
            cell.misfit_in_key(value).map(|reason| format!("{}: {reason}", column.name))
        })
    }

    /// Reads a row as it is kept, guards too.
    pub(super) fn read_row(&self, found: ColumnIterator<'_, '_>) -> Result<Row, StoreError> {
        let damaged =
            |column: &str, reason: &str| StoreError::corrupt(format!("{}.{column}", self.physical), reason.to_owned());
        let mut found = found.map(|column| {
            let column = column.map_err(|error| StoreError::corrupt(self.physical.clone(), error.to_string()))?;
            Ok::<_, StoreError>((column.spec.name(), column.slice.map(|slice| slice.as_slice())))
        });
        let mut next = || found.next().unwrap_or(Ok(("", None)));
        let mut read = |cell: &Cell| match next()? {
            (_, None) => Ok(Value::Null),
            (name, Some(bytes)) => cell.read(bytes).ok_or_else(|| damaged(name, "it is not of the column's type")),
        };
        let values = self.cells.iter().map(&mut read).collect::<Result<Vec<_>, _>>()?;
        let state = self.states.iter().map(&mut read).collect::<Result<Vec<_>, _>>()?;
        let Value::Long(offset) = read(&Cell::Long)? else {
            let reason = "there is none: something else than Headwater wrote this row";
            return Err(damaged("_pos", reason));
        };
        let hidden = read(&Cell::Boolean)? == Value::Boolean(true);
        let part = match self.part_of_key() {
            None => read(&Cell::Int)?,
            Some(column) => values[column].clone(),
        };
        let Value::Long(part) = part else { return Err(damaged("_part", "there is none")) };
        let partition = i32::try_from(part).map_err(|_| damaged("_part", "it is no partition"))?;
        Ok(Row { values, state, position: RowPosition { partition, offset }, hidden })
    }
}

/// The layouts in use, by physical name.
#[derive(Default)]
pub(super) struct Layouts {
    known: Mutex<HashMap<String, Arc<Layout>>>,
}

impl Layouts {
    /// The layout of a table, or of the parts of its rows.
    pub(super) fn of(&self, table: &Table, generation: u32) -> Arc<Layout> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let name = physical(&table.name, generation);
        match known.get(&name) {
            Some(layout) if layout.table == *table || layout.whole.as_ref() == Some(table) => Arc::clone(layout),
            _ => {
                let layout = Arc::new(Layout::new(table, generation));
                known.insert(name, Arc::clone(&layout));
                layout
            }
        }
    }
}
