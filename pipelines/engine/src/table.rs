//! What a view is to a store: a table's shape, its rows, and what a batch changes in it.
//!
//! Stores know tables, never reducers. A row's visible columns are laid out key first (partition key, then clustering
//! key), then the others as declared; hidden state (accumulators, flags) and the position ride along.

use std::sync::Arc;

use ethnum::I256;
use headwater_schemas::{Decimal, FieldType, Type, Value, ValueRef};

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
    pub fed: Feeding,
}

/// What feeds a table's rows, which tells how a store may keep them.
#[derive(Clone, Debug, PartialEq)]
pub enum Feeding {
    /// One partition each row, and the fold reads them back.
    ByOne,
    /// The rows of another view, mapped: never read back, so a store needs to remember nothing of those that are gone.
    Mapped,
    /// Many partitions each row, so two workers may write it. A store with transactions keeps them apart; one without
    /// keeps a part for each partition.
    ByMany(Merge),
}

/// How the parts of a row make the row.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// By the columns after the key.
    pub columns: Vec<Merged>,
    /// The state column that counts what contributes: a row of which nothing is left is none. None: a part is enough.
    pub rows: Option<usize>,
    /// The row exists even where nothing contributes.
    pub always: bool,
}

/// How the parts' values of a column make its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// They are added.
    Count,
    /// Their sums are, which two state columns hold: the sum, and how many values are in it.
    Sum { sum: usize, count: usize, result: SumResult },
}

/// The type of an exact sum's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumResult {
    Long,
    Decimal { scale: u8 },
}

/// The columns that tell the parts of a row apart: its partition, and its lane, which is empty or the message key whose
/// parked records were redriven.
const PART_COLUMNS: [(&str, Type); 2] = [("_part", Type::Int), ("_lane", Type::Bytes)];

/// The largest number of 38 digits.
const MAX_38_DIGITS: I256 = I256::new(10i128.pow(38) - 1);

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

    /// Several partitions may feed one row.
    pub fn is_shared(&self) -> bool {
        matches!(self.fed, Feeding::ByMany(_))
    }

    /// The table that keeps a part for each partition that feeds a row: two key columns more, and each part is fed by one
    /// partition. None where the rows are not shared.
    pub fn in_parts(&self) -> Option<Table> {
        let Feeding::ByMany(_) = &self.fed else { return None };
        let mut table = Table { fed: Feeding::ByOne, ..self.clone() };
        let part = |(name, ty): (&str, Type)| Column { name: name.to_owned(), ty: FieldType::required(ty), doc: None };
        table.columns.splice(self.key_len()..self.key_len(), PART_COLUMNS.map(part));
        table.clustering.extend([Direction::Ascending; PART_COLUMNS.len()]);
        Some(table)
    }

    /// The row that these parts of one row make; None where nothing is left of it. Its position is a version: it differs
    /// where any part's does.
    pub fn merged(&self, parts: &[Row]) -> Option<Row> {
        let (Feeding::ByMany(merge), Some(first)) = (&self.fed, parts.first()) else { return None };
        debug_assert!(parts.iter().all(|part| !part.hidden), "what is hidden is left out first");
        let mut values = first.values[..self.key_len()].to_vec();
        let state: Vec<Value> = (0..self.state.len()).map(|i| total(parts.iter().map(|part| &part.state[i]))).collect();
        if let Some(rows) = merge.rows
            && !merge.always
            && state[rows] == Value::Long(0)
        {
            return None;
        }
        let before = self.key_len() + PART_COLUMNS.len();
        for (i, column) in merge.columns.iter().enumerate() {
            values.push(match column {
                Merged::Count => total(parts.iter().map(|part| &part.values[before + i])),
                Merged::Sum { sum, count, result } => result.shown(&state[*sum], &state[*count]),
            });
        }
        let version = parts.iter().map(|part| part.position.offset + 1).sum();
        Some(Row { values, state, position: RowPosition { partition: -1, offset: version }, hidden: false })
    }

    /// The index and the column of this name.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }
}

/// The sum of counts or of wide sums.
fn total<'v>(mut values: impl Iterator<Item = &'v Value>) -> Value {
    let first = values.next().cloned().unwrap_or(Value::Null);
    values.fold(first, |total, value| match (total, value) {
        (Value::Long(a), Value::Long(b)) => Value::Long(a + b),
        (Value::Wide(a), Value::Wide(b)) => Value::Wide(Box::new(*a + **b)),
        (total, _) => total,
    })
}

impl SumResult {
    /// A sum as its column shows it: null where there is nothing to sum, or where it no longer fits (the read says so).
    pub fn shown(self, sum: &Value, count: &Value) -> Value {
        let (Value::Wide(sum), Value::Long(count)) = (sum, count) else { return Value::Null };
        if *count == 0 {
            return Value::Null;
        }
        match self {
            SumResult::Long => i64::try_from(**sum).map_or(Value::Null, Value::Long),
            SumResult::Decimal { .. } if sum.abs() > MAX_38_DIGITS => Value::Null,
            SumResult::Decimal { scale } => {
                i128::try_from(**sum).map_or(Value::Null, |unscaled| Value::Decimal(Decimal { unscaled, scale }))
            }
        }
    }
}

/// The key columns that follow a shared row's own where it is kept in parts, for the events of this partition.
pub(crate) fn part_key(partition: i32) -> [ValueRef<'static>; 2] {
    [ValueRef::Long(i64::from(partition)), ValueRef::Bytes(&[])]
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
