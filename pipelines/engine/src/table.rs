//! What a view is to a store: a table's shape, its rows, and what a batch changes in it.
//!
//! Stores know tables, never reducers. A row's visible columns are laid out key first (partition key, then clustering
//! key), then the others as declared; hidden state (accumulators, flags) and the position ride along.

use std::sync::Arc;

use headwater_schemas::{FieldType, Value};

/// The shape of a view in a store. Names are validated identifiers (`[a-z_][a-z0-9_]*`, at most 48 bytes, never
/// starting with an underscore: those are the store's own); stores quote them all the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The view's name.
    pub name: String,
    pub doc: Option<String>,
    /// Visible columns: the key's first, `partition + clustering.len()` of them.
    pub columns: Vec<Column>,
    /// How many of the leading columns are the partition key. 0: the whole view is one partition.
    pub partition: usize,
    /// The direction of each clustering column.
    pub clustering: Vec<Direction>,
    /// Hidden accumulators and flags, in the order of [`Row::state`].
    pub state: Vec<StateColumn>,
    /// Several partitions may feed one row, so two workers may write it: a store must keep them apart.
    pub shared: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub ty: FieldType,
    pub doc: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

/// A hidden column; stores name it `_s_<name>`.
#[derive(Clone, Debug, PartialEq)]
pub struct StateColumn {
    pub name: String,
    pub ty: StateType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateType {
    /// `Value::Boolean`.
    Flag,
    /// `Value::Long`: how many contribute.
    Count,
    /// `Value::Wide`, a 256-bit integer; stores keep it as decimal text or a wide numeric.
    Wide,
}

/// The values of a table's key columns, in order: partition, then clustering.
pub type Key = Arc<[Value]>;

/// The event that a row reflects: the last one that touched it. On a row that many partitions feed it is only a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowPosition {
    pub partition: i32,
    pub offset: i64,
}

/// A row as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// By [`Table::columns`].
    pub values: Vec<Value>,
    /// By [`Table::state`].
    pub state: Vec<Value>,
    pub position: RowPosition,
    /// A guard: kept for its position, hidden from every query. SQL stores delete such rows instead.
    pub hidden: bool,
}

impl StateType {
    /// The state before anything contributed.
    pub fn zero(self) -> Value {
        match self {
            StateType::Flag => Value::Boolean(false),
            StateType::Count => Value::Long(0),
            StateType::Wide => Value::Wide(Box::default()),
        }
    }
}

impl Table {
    /// The number of key columns.
    pub fn key_len(&self) -> usize {
        self.partition + self.clustering.len()
    }

    /// The index and the column of this name.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }
}

impl Row {
    /// The row's key, given its table.
    pub fn key(&self, table: &Table) -> &[Value] {
        &self.values[..table.key_len()]
    }
}

/// What one batch changes in one view, coalesced: at most one put or delete a row. Apply `partition_deletes` first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewWrites {
    /// By the topology's views.
    pub view: usize,
    /// Whole partitions to delete: the partition key's values, and the event that deletes them.
    pub partition_deletes: Vec<(Key, RowPosition)>,
    /// Whole rows, every column, every time.
    pub puts: Vec<Row>,
    /// Rows that are gone, or that came and went within the batch.
    pub deletes: Vec<(Key, RowPosition)>,
}

impl ViewWrites {
    pub fn is_empty(&self) -> bool {
        self.partition_deletes.is_empty() && self.puts.is_empty() && self.deletes.is_empty()
    }
}
