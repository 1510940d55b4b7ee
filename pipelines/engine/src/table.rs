//! What a view is to a store: a table's shape, its rows, and what a batch changes in it.
//!
//! Stores know tables, never reducers. A row's visible columns are laid out key first (partition key, then clustering
//! key), then the others as declared; hidden state (accumulators, flags) and the position ride along.

use std::sync::Arc;

use ethnum::I256;
use headwater_schemas::{Decimal, FieldType, Type, Value, ValueRef};

use crate::fold::reduce::{average, deviation, distinct, extreme, ordered, set, top};

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
    /// How long rows are shown.
    pub retain: Option<Retain>,
}

/// How long a table's rows are shown: until so many days after the time in a column. A row whose column is null is kept
/// for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retain {
    pub days: u32,
    /// By [`Table::columns`]: a date (its midnight in UTC) or a timestamp.
    pub column: usize,
    /// Rows that are past it may be deleted by the store, whenever it likes: no later row is made of them. Otherwise they
    /// are only hidden.
    pub pruned: bool,
}

/// Microseconds.
const DAY: i64 = 86_400_000_000;

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
    /// The state column, a flag, that tells whether readers see the row: the topic that makes it has said so. None: they
    /// see all of them.
    pub shown: Option<usize>,
}

/// How the parts' values of a column make its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// They are added.
    Count,
    /// Their sums are, which two state columns hold: the sum, and how many values are in it.
    Sum { sum: usize, count: usize, result: SumResult },
    /// The least or the greatest of them, nulls aside.
    Extreme(Extreme),
    /// The values of all of them, counted: this state column holds them.
    Distinct { state: usize },
    /// The values of all of them, each once, unless one is full or all together are: this state column tells.
    Set { full: usize },
    /// So many of the largest of all of them.
    Top(usize),
    /// Of all that the parts' state columns sum up.
    Deviation { of: Deviation, state: usize },
    /// That of the part which is first or last by the order that this state column holds.
    Ordered { of: Extreme, state: usize },
    /// That of the one part which this topic feeds, by the view's topics.
    Of { topic: usize },
}

/// What an exact sum's column shows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumResult {
    Long,
    Decimal {
        scale: u8,
    },
    /// The sum divided by the count, with [`AVERAGE_SCALE`] digits after the point; `scale` is the sum's own.
    Average {
        scale: u8,
    },
}

/// Which of some values in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    Least,
    Greatest,
}

/// How far values of this scale are from their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Of a sample, not of all there is.
    pub sample: bool,
    /// The standard deviation, not the variance.
    pub root: bool,
    pub scale: u8,
}

impl Deviation {
    /// The digits after the point of the result.
    pub fn result_scale(self) -> u8 {
        self.scale.max(AVERAGE_SCALE)
    }
}

/// The digits after the point of an exact average.
pub const AVERAGE_SCALE: u8 = 6;

/// The columns that tell the parts of a row apart: its partition, and its lane, which is empty or the message key whose
/// parked records were redriven. The partition is that of [`source_number`].
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
    /// `Value::Bytes`: an accumulator in a canonical encoding of its own, so that equal accumulators are equal bytes; none
    /// where nothing contributed. Each encoding is described in its reducer's file. The bytes are no business of a
    /// store's; an encoding that changes raises [`FOLD_VERSION`](crate::plan::FOLD_VERSION), which makes new tables.
    Packed,
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
            StateType::Packed => Value::Bytes(Arc::from([])),
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
        // What is shown, and for how long, is the whole row's affair.
        let mut table = Table { fed: Feeding::ByOne, retain: None, ..self.clone() };
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
        let mut state: Vec<Value> =
            (0..self.state.len()).map(|i| total(parts.iter().map(|part| &part.state[i]))).collect();
        if let Some(rows) = merge.rows
            && !merge.always
            && state[rows] == Value::Long(0)
        {
            return None;
        }
        let before = self.key_len() + PART_COLUMNS.len();
        for (i, column) in merge.columns.iter().enumerate() {
            values.push(column.merged(parts, self.key_len(), before + i, &mut state));
        }
        let version = parts.iter().map(|part| part.position.offset + 1).sum();
        let row = Row { values, state, position: RowPosition { partition: -1, offset: version }, hidden: false };
        self.is_shown(&row).then_some(row)
    }

    /// Whether readers see the row. One that several topics feed may wait for the topic that makes it.
    pub fn is_shown(&self, row: &Row) -> bool {
        self.shown().is_none_or(|flag| row.state[flag] == Value::Boolean(true))
    }

    /// The state column that tells whether readers see a row, where they do not see all.
    pub fn shown(&self) -> Option<usize> {
        match &self.fed {
            Feeding::ByMany(merge) => merge.shown,
            Feeding::ByOne | Feeding::Mapped => None,
        }
    }

    /// Whether readers no longer see the row at this time, in milliseconds since 1970.
    pub fn is_past(&self, row: &Row, now_ms: i64) -> bool {
        let until = self.retain.and_then(|retain| retain.until(&row.values[retain.column]));
        until.is_some_and(|until| until <= now_ms.saturating_mul(1000))
    }

    /// The index and the column of this name.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, column)| column.name == name)
    }
}

impl Retain {
    /// When a row with this value in the column is no longer shown, in microseconds since 1970. None: never.
    pub fn until(&self, value: &Value) -> Option<i64> {
        let from = match value {
            Value::Timestamp(micros) => *micros,
            Value::Date(days) => i64::from(*days).saturating_mul(DAY),
            _ => return None,
        };
        from.checked_add(i64::from(self.days) * DAY)
    }

    /// The latest value of a column of this type that is past at this time, in milliseconds since 1970.
    pub fn horizon(&self, ty: &Type, now_ms: i64) -> Value {
        let micros = now_ms.saturating_mul(1000).saturating_sub(i64::from(self.days) * DAY);
        match ty {
            // As many days as there are in 64 bits of microseconds fit 32 bits.
            Type::Date => i32::try_from(micros.div_euclid(DAY)).map_or(Value::Null, Value::Date),
            _ => Value::Timestamp(micros),
        }
    }
}

impl Merged {
    /// What the parts' values in this column make; `part_column` tells whose part it is. `state` is the whole row's: counts and wide sums are added up already,
    /// what is packed is put there.
    fn merged(self, parts: &[Row], part_column: usize, column: usize, state: &mut [Value]) -> Value {
        let values = parts.iter().map(|part| &part.values[column]);
        let states = |packed: usize| parts.iter().map(move |part| &part.state[packed]);
        let (packed, (value, merged)) = match self {
            Merged::Count => return total(values),
            // What belongs to it in the state is blank in all other parts.
            Merged::Of { topic } => {
                let part = parts.iter().find(|part| topic_of(&part.values[part_column]) == topic);
                return part.map_or(Value::Null, |part| part.values[column].clone());
            }
            Merged::Sum { sum, count, result } => return result.shown(&state[sum], &state[count]),
            Merged::Extreme(of) => return extreme::merged(of, values),
            Merged::Set { full } => (full, set::merged(values.zip(states(full)))),
            Merged::Top(n) => return top::merged(n, values),
            Merged::Distinct { state } => (state, distinct::merged(states(state))),
            Merged::Deviation { of, state } => (state, deviation::merged(of, states(state))),
            Merged::Ordered { of, state } => {
                let found = ordered::merged(of, values.zip(states(state)));
                (state, found.unwrap_or((Value::Null, StateType::Packed.zero())))
            }
        };
        state[packed] = merged;
        value
    }
}

/// The sum of counts or of wide sums; whether any flag is set; of what is packed, the one that is not blank.
fn total<'v>(mut values: impl Iterator<Item = &'v Value>) -> Value {
    let first = values.next().cloned().unwrap_or(Value::Null);
    values.fold(first, |total, value| match (total, value) {
        (Value::Long(a), Value::Long(b)) => Value::Long(a + b),
        (Value::Wide(a), Value::Wide(b)) => Value::Wide(Box::new(*a + **b)),
        (Value::Boolean(a), Value::Boolean(b)) => Value::Boolean(a | b),
        (Value::Bytes(a), Value::Bytes(b)) if a.is_empty() => Value::Bytes(b.clone()),
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
            SumResult::Decimal { scale } => decimal(**sum, scale),
            SumResult::Average { scale } => decimal(average::exact(**sum, *count, scale), AVERAGE_SCALE),
        }
    }
}

/// A number as a decimal; null where it has more than 38 digits.
pub(crate) fn decimal(unscaled: I256, scale: u8) -> Value {
    let fits = i128::try_from(unscaled).ok().filter(|_| unscaled.abs() <= MAX_38_DIGITS);
    fits.map_or(Value::Null, |unscaled| Value::Decimal(Decimal { unscaled, scale }))
}

/// The key columns that follow a shared row's own where it is kept in parts, for the events of this [`source_number`].
pub(crate) fn part_key(source: i32) -> [ValueRef<'static>; 2] {
    [ValueRef::Long(i64::from(source)), ValueRef::Bytes(&[])]
}

/// A topic has fewer partitions than two to the power of this.
const PARTITION_BITS: u32 = 24;

/// Which partition of which of a view's topics: the partition's own number where one topic feeds the view, or the first.
pub(crate) fn source_number(topic: usize, partition: i32) -> i32 {
    debug_assert!(partition < 1 << PARTITION_BITS && topic < MAX_TOPICS, "{topic}, {partition}");
    (topic as i32) << PARTITION_BITS | partition
}

/// The partition of a [`source_number`], whichever topic's it is.
pub(crate) fn partition_of(source: i64) -> i32 {
    (source & ((1 << PARTITION_BITS) - 1)) as i32
}

/// By the view's topics: whose part this is, by its first column.
fn topic_of(part: &Value) -> usize {
    match part {
        Value::Long(source) => usize::try_from(source >> PARTITION_BITS).unwrap_or_default(),
        _ => 0,
    }
}

/// The most topics that may feed one view.
pub(crate) const MAX_TOPICS: usize = 100;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The horizon, by which stores delete, and `is_past`, by which readers hide, are one rule.
    #[test]
    fn what_is_past_is_at_or_before_the_horizon() {
        let days = 3;
        for now_ms in [0, 1, -1, 86_400_000 * 3, 86_400_000 * 3 - 1, 86_400_000 * 20_000 + 5, i64::MAX, i64::MIN] {
            for ty in [Type::Date, Type::TimestampMicros, Type::TimestampMillis] {
                let column = Column { name: "at".to_owned(), ty: FieldType::nullable(ty.clone()), doc: None };
                let retain = Retain { days, column: 0, pruned: true };
                let (columns, retain_of) = (vec![column], Some(retain));
                let table = Table { columns, retain: retain_of, ..crate::unknown::table("t") };
                let position = RowPosition { partition: 0, offset: 0 };
                let past = |value: Value| {
                    table.is_past(&Row { values: vec![value], state: vec![], position, hidden: false }, now_ms)
                };
                let horizon = retain.horizon(&ty, now_ms);
                let after = match &horizon {
                    Value::Date(day) => Value::Date(day + 1),
                    Value::Timestamp(micros) => Value::Timestamp(micros.saturating_add(1)),
                    other => panic!("{other:?} is no time"),
                };
                let in_range = now_ms.checked_mul(1000).is_some();
                assert!(past(horizon.clone()) || !in_range, "{horizon:?} at {now_ms}");
                assert!(!past(after.clone()) || !in_range, "{after:?} at {now_ms}");
                assert!(!past(Value::Null), "null is kept for ever");
            }
        }
    }
}
