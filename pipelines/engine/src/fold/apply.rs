//! One view of one level: which rows its records touch, and what they do to them.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::reduce::{self, Sign};
use super::working::{Change, Touch, Working};
use super::{Out, position};
use crate::batch::{Batch, Entry, key_value, unfit_for_key};
use crate::expr::Expr;
use crate::plan::{
    AggregateSource, Argument, CopiedColumn, CopySource, EventInput, EventSource, Reducer, Role, Topology, View,
};
use crate::table::{Key, Row, RowPosition, StateColumn, Table, part_key};

type Failures = Vec<(usize, String)>;

/// A view, and its table as it is kept here.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    view: &'a View,
    table: &'a Table,
    /// Shared rows are kept in parts, and these are.
    parted: bool,
}

impl<'a> Kept<'a> {
    pub(super) fn new(view: &'a View, in_parts: bool) -> Self {
        Self { view, table: view.stored(in_parts), parted: in_parts && view.in_parts.is_some() }
    }

    /// One partition feeds each row, so a row's position tells which events it reflects.
    fn fenced(self) -> bool {
        self.view.owner.is_some() || self.parted
    }
}

/// Reads the changes of the `with` view along with the records: both are in the order of the records.
struct Beside<'a> {
    changes: &'a [Change],
    at: usize,
}

impl<'a> Beside<'a> {
    fn of(&mut self, record: usize) -> Option<&'a Change> {
        while self.changes.get(self.at).is_some_and(|change| change.record < record) {
            self.at += 1;
        }
        self.changes.get(self.at).filter(|change| change.record == record)
    }
}

/// The slots that an event's expressions read: the `with` row's columns, those that are `read`, then the event's fields.
fn slots<'a>(
    with: Option<&'a Row>,
    columns: usize,
    read: &[usize],
    event: &'a [ValueRef<'a>],
    bump: &'a Bump,
) -> &'a [ValueRef<'a>] {
    let all = bump.alloc_slice_fill_copy(columns + event.len(), ValueRef::Null);
    if let Some(row) = with {
        for &column in read {
            all[column] = row.values[column].borrow(bump);
        }
    }
    all[columns..].copy_from_slice(event);
    all
}

/// A row's columns as slots, those that are `read`; the others are null.
fn row_slots<'a>(row: &'a Row, read: &[usize], bump: &'a Bump) -> &'a [ValueRef<'a>] {
    let slots = bump.alloc_slice_fill_copy(row.values.len(), ValueRef::Null);
    for &column in read {
        slots[column] = row.values[column].borrow(bump);
    }
    slots
}

/// The columns among the first `columns` slots that expressions read.
fn columns_read<'e>(exprs: impl Iterator<Item = &'e Expr>, columns: usize) -> Vec<usize> {
    let mut read: Vec<usize> = exprs.flat_map(Expr::slots).copied().filter(|&slot| slot < columns).collect();
    read.sort_unstable();
    read.dedup();
    read
}

fn expressions(argument: &Argument) -> impl Iterator<Item = &Expr> {
    argument.value.iter().chain(&argument.filter)
}

#[expect(clippy::too_many_arguments, reason = "the parts of a fold, borrowed apart")]
pub(super) fn touch_events(
    topology: &Topology,
    kept: Kept,
    source: &EventSource,
    batch: &Batch,
    out: &[Option<Out>],
    with: Option<&[Change]>,
    work: &mut Working,
    failures: &mut Failures,
    absent: &mut u64,
) {
    let columns = source.with.map_or(0, |with| topology.views[with].table.columns.len());
    let key_columns = |input: &EventInput| columns_read(input.key.iter(), columns);
    let read: Vec<Vec<usize>> =
        source.inputs.iter().map(|input| input.as_ref().map(key_columns).unwrap_or_default()).collect();
    let mut beside = Beside { changes: with.unwrap_or_default(), at: 0 };
    let mut bump = Bump::new();
    for (record, entry) in batch.cell.borrow_dependent().entries.iter().enumerate() {
        let Entry::Event { event, slots: fields } = entry else { continue };
        if out[record].is_some() || batch.records()[record].topic != source.topic {
            continue;
        }
        let Some(input) = &source.inputs[*event] else { continue };
        let change = with.and_then(|_| beside.of(record));
        if with.is_some() {
            // Fenced or ignored there: so here.
            let Some(change) = change else { continue };
            if change.new.is_none() && matches!(input.role, Role::Create | Role::Change) {
                *absent += 1;
                continue;
            }
        }
        bump.reset();
        let row = change.and_then(|change| change.new.as_deref());
        let slots = if columns == 0 { *fields } else { slots(row, columns, &read[*event], fields, &bump) };
        let partition = batch.records()[record].partition;
        touch_event(kept, input, (record, partition), slots, &bump, work, failures);
    }
}

fn touch_event<'a>(
    kept: Kept,
    input: &EventInput,
    (record, partition): (usize, i32),
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
    work: &mut Working,
    failures: &mut Failures,
) {
    let part = (kept.parted && input.role != Role::DeletePartition).then_some(partition);
    match key(&input.key, part, slots, bump) {
        Err(problem) => failures.push((record, format!("view {}: {problem}", kept.table.name))),
        Ok(key) if input.role == Role::DeletePartition => {
            let partition = work.partition(key);
            work.touches.push(Touch::DeletePartition { record, partition });
        }
        Ok(key) => {
            let owned = || key.iter().map(key_value).collect();
            let row = work.row(kept.table, key, owned, false, kept.view.deletes_partitions);
            work.touches.push(Touch::Event { record, row });
        }
    }
}

/// Evaluates a key, of the part that is this partition's. A null or NaN has no place in one.
fn key<'a>(
    exprs: &[Expr],
    part: Option<i32>,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
) -> Result<&'a [ValueRef<'a>], String> {
    let mut key = bumpalo::collections::Vec::with_capacity_in(exprs.len() + 2, bump);
    for (i, expr) in exprs.iter().enumerate() {
        let value = expr.eval(slots, bump).map_err(|problem| format!("key column {}: {problem}", i + 1))?;
        if unfit_for_key(&value) {
            return Err(format!("key column {} is null or NaN", i + 1));
        }
        key.push(value);
    }
    key.extend(part.map(part_key).into_iter().flatten());
    Ok(key.into_bump_slice())
}

/// Finds the rows that a source's changes move between.
pub(super) fn touch_changes(
    kept: Kept,
    exprs: &[Expr],
    never_read: bool,
    batch: &Batch,
    changes: &[Change],
    work: &mut Working,
    failures: &mut Failures,
) {
    let read = columns_read(exprs.iter(), usize::MAX);
    let mut bump = Bump::new();
    work.touches.reserve(changes.len());
    // Of a grand total, whose key is empty: found once.
    let mut only = None;
    for (index, change) in changes.iter().enumerate() {
        bump.reset();
        let part = kept.parted.then(|| batch.records()[change.record].partition);
        let mut find = |row: &Option<Arc<Row>>| {
            let Some(row) = row else { return Ok(None) };
            if exprs.is_empty() && part.is_none() {
                let find = || work.row(kept.table, &[], || Key::from([]), never_read, false);
                return Ok(Some(*only.get_or_insert_with(find)));
            }
            let slots = row_slots(row, &read, &bump);
            let key =
                key(exprs, part, slots, &bump).map_err(|problem| format!("view {}: {problem}", kept.table.name))?;
            Ok(Some(work.row(kept.table, key, || shared_key(exprs, key, row), never_read, false)))
        };
        match find(&change.old).and_then(|old| Ok((old, find(&change.new)?))) {
            Ok((old, new)) => work.touches.push(Touch::Change { change: index, old, new }),
            Err(problem) => failures.push((change.record, problem)),
        }
    }
}

/// A key for keeps: text that is a column of the source's row is shared with it.
fn shared_key(exprs: &[Expr], key: &[ValueRef], row: &Row) -> Key {
    let values = key.iter().enumerate().map(|(i, value)| match (exprs.get(i).and_then(Expr::as_slot), value) {
        (Some(column), ValueRef::String(_) | ValueRef::Bytes(_)) => row.values[column].clone(),
        _ => key_value(value),
    });
    values.collect()
}

#[expect(clippy::too_many_arguments, reason = "the parts of a fold, borrowed apart")]
pub(super) fn events(
    topology: &Topology,
    kept: Kept,
    source: &EventSource,
    batch: &Batch,
    with: Option<&[Change]>,
    work: &mut Working,
    failures: &mut Failures,
    absent: &mut u64,
) {
    let columns = source.with.map_or(0, |with| topology.views[with].table.columns.len());
    let argument_columns =
        |input: &EventInput| columns_read(input.arguments.iter().flatten().flat_map(expressions), columns);
    let read: Vec<Vec<usize>> =
        source.inputs.iter().map(|input| input.as_ref().map(argument_columns).unwrap_or_default()).collect();
    let mut beside = Beside { changes: with.unwrap_or_default(), at: 0 };
    let mut bump = Bump::new();
    let entries = &batch.cell.borrow_dependent().entries;
    for touch in std::mem::take(&mut work.touches) {
        let (record, row) = match touch {
            Touch::Event { record, row } => (record, row),
            Touch::DeletePartition { record, partition } => {
                work.delete_partition(&partition, position(&batch.records()[record]));
                continue;
            }
            Touch::Change { .. } => continue,
        };
        let Entry::Event { event, slots: fields } = &entries[record] else { continue };
        let Some(input) = &source.inputs[*event] else { continue };
        bump.reset();
        let beside = with.and_then(|_| beside.of(record)).and_then(|change| change.new.as_deref());
        let slots = if columns == 0 { *fields } else { slots(beside, columns, &read[*event], fields, &bump) };
        let position = position(&batch.records()[record]);
        match event_on_row(kept, source, input, work, row, slots, &bump, position) {
            Ok(Applied::Changed { old, new }) if kept.view.has_dependents => {
                work.changes.push(Change { record, old, new })
            }
            Ok(Applied::Changed { .. } | Applied::Fenced) => {}
            Ok(Applied::Absent) => *absent += 1,
            Err(problem) => failures.push((record, format!("view {}: {problem}", kept.table.name))),
        }
    }
}

enum Applied {
    Changed {
        old: Option<Arc<Row>>,
        new: Option<Arc<Row>>,
    },
    /// The row reflects the event already.
    Fenced,
    /// There is no row, and this event makes none.
    Absent,
}

#[expect(clippy::too_many_arguments, reason = "the parts of a fold, borrowed apart")]
fn event_on_row<'a>(
    kept: Kept,
    source: &EventSource,
    input: &EventInput,
    work: &mut Working,
    index: usize,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
    position: RowPosition,
) -> Result<Applied, String> {
    let Kept { view, table, .. } = kept;
    let row = &mut work.rows[index];
    if kept.fenced() && row.reflects(position) {
        // Other keys feed a part too, so it may be past an event that cannot be applied: that it cannot is found again.
        let arguments = input.arguments.iter().enumerate().filter(|_| kept.parted);
        return evaluated(table, arguments.filter_map(|(i, argument)| Some((i, argument.as_ref()?))), slots, bump)
            .map(|()| Applied::Fenced);
    }
    let old = row.current.take();
    let before = view.has_dependents.then(|| old.clone()).flatten();
    if input.role == Role::DeleteRow {
        row.set(None, position);
        return Ok(Applied::Changed { old: before, new: None });
    }
    let made = old.is_none();
    let mut new = match old {
        Some(old) => old,
        None if input.role == Role::Change => return Ok(Applied::Absent),
        None => Arc::new(view.blank_row(&row.key, position)),
    };
    let target = Arc::make_mut(&mut new);
    target.position = position;
    let reduced = reduce_all(table, source, input, target, made, slots, bump);
    let shown = view.has_dependents.then(|| new.clone());
    row.set(Some(new), position);
    reduced.map(|()| Applied::Changed { old: before, new: shown })
}

/// Evaluates arguments, by their columns after the key, for what is wrong with them.
fn evaluated<'a, 'x>(
    table: &Table,
    arguments: impl Iterator<Item = (usize, &'x Argument)>,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
) -> Result<(), String> {
    for (i, argument) in arguments {
        let column = &table.columns[table.key_len() + i].name;
        reduce::evaluate(argument, slots, bump).map_err(|problem| format!("column {column}: {problem}"))?;
    }
    Ok(())
}

fn reduce_all<'a>(
    table: &Table,
    source: &EventSource,
    input: &EventInput,
    row: &mut Row,
    made: bool,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
) -> Result<(), String> {
    let before = table.key_len();
    for (i, (reducer, argument)) in source.reducers.iter().zip(&input.arguments).enumerate() {
        let Some(argument) = argument else { continue };
        let column = before + i;
        let applied = match reducer {
            Reducer::First { set: None } if made => reduce::first(argument, row, column, slots, bump),
            _ => reduce::apply(reducer, argument, row, column, slots, bump, Sign::Add),
        };
        applied.map_err(|problem| format!("column {}: {problem}", table.columns[column].name))?;
    }
    Ok(())
}

/// Maps the source's rows to this view's: the row moves when its key does.
pub(super) fn copy(
    view: &View,
    source: &CopySource,
    batch: &Batch,
    changes: &[Change],
    work: &mut Working,
    failures: &mut Failures,
) {
    let computed = source.columns.iter().filter_map(|column| match column {
        CopiedColumn::Computed(expr) => Some(expr),
        _ => None,
    });
    let read = columns_read(computed, usize::MAX);
    let mut bump = Bump::new();
    for touch in std::mem::take(&mut work.touches) {
        let Touch::Change { change, old, new } = touch else { continue };
        let change = &changes[change];
        let position = position(&batch.records()[change.record]);
        bump.reset();
        // A copy is never read: what it was is what the source was, mapped.
        let before = match (old, &change.old) {
            (Some(index), Some(row)) if view.has_dependents => {
                Some(mapped(view, source, row, &read, &work.rows[index].key, row.position, &bump))
            }
            _ => None,
        };
        if let Some(old) = old.filter(|old| new != Some(*old)) {
            work.rows[old].set(None, position);
        }
        let after = match (new, &change.new) {
            (Some(index), Some(row)) => Some(mapped(view, source, row, &read, &work.rows[index].key, position, &bump)),
            _ => None,
        };
        match (before.transpose(), after.transpose()) {
            (Ok(before), Ok(after)) => {
                let after = after.map(Arc::new);
                if view.has_dependents {
                    let (old, new) = (before.map(Arc::new), after.clone());
                    work.changes.push(Change { record: change.record, old, new });
                }
                if let (Some(index), Some(row)) = (new, after) {
                    work.rows[index].set(Some(row), position);
                }
            }
            (Err(problem), _) | (_, Err(problem)) => failures.push((change.record, problem)),
        }
    }
}

/// The copy's row of a source row, under a key already evaluated.
fn mapped(
    view: &View,
    source: &CopySource,
    row: &Row,
    read: &[usize],
    key: &[Value],
    position: RowPosition,
    bump: &Bump,
) -> Result<Row, String> {
    let mut slots: Option<&[ValueRef]> = None;
    let mut values = Vec::with_capacity(source.columns.len());
    for (copied, column) in source.columns.iter().zip(&view.table.columns) {
        values.push(match copied {
            CopiedColumn::Key(index) => key[*index].clone(),
            CopiedColumn::Column(index) => row.values[*index].clone(),
            CopiedColumn::Computed(expr) => {
                let slots = slots.get_or_insert_with(|| row_slots(row, read, bump));
                let value = expr.eval(slots, bump);
                value
                    .map_err(|problem| format!("view {}: column {}: {problem}", view.table.name, column.name))?
                    .to_owned()
            }
        });
    }
    Ok(Row { values, state: Vec::new(), position, hidden: false })
}

/// Takes the old row's contribution back and adds the new one's.
pub(super) fn aggregate(
    kept: Kept,
    source: &AggregateSource,
    batch: &Batch,
    changes: &[Change],
    work: &mut Working,
    failures: &mut Failures,
) {
    let read = columns_read(source.reducers.iter().flat_map(|(_, argument)| expressions(argument)), usize::MAX);
    let mut bump = Bump::new();
    for touch in std::mem::take(&mut work.touches) {
        let Touch::Change { change, old, new } = touch else { continue };
        let change = &changes[change];
        let position = position(&batch.records()[change.record]);
        bump.reset();
        let sides = [(old, &change.old, Sign::TakeBack), (new, &change.new, Sign::Add)];
        for (index, row, sign) in sides {
            let (Some(index), Some(row)) = (index, row) else { continue };
            let slots = row_slots(row, &read, &bump);
            let contributed = contribute(kept, source, work, index, slots, sign, position, &bump);
            if let Err(problem) = contributed {
                failures.push((change.record, format!("view {}: {problem}", kept.table.name)));
            }
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a fold, borrowed apart")]
fn contribute<'a>(
    kept: Kept,
    source: &AggregateSource,
    work: &mut Working,
    index: usize,
    slots: &[ValueRef<'a>],
    sign: Sign,
    position: RowPosition,
    bump: &'a Bump,
) -> Result<(), String> {
    let Kept { view, table, parted } = kept;
    let work_row = &mut work.rows[index];
    // A row that many partitions feed carries no position to compare with: there the transaction alone keeps it exact.
    if parted && work_row.reflects(position) {
        // As with events: that one cannot be applied is found again.
        let arguments = source.reducers.iter().map(|(_, argument)| argument);
        return evaluated(table, arguments.enumerate(), slots, bump);
    }
    let mut row = match work_row.current.take() {
        Some(row) => row,
        None => Arc::new(view.blank_row(&work_row.key, position)),
    };
    let target = Arc::make_mut(&mut row);
    target.position = position;
    reduce::count(&mut target.state[source.rows], sign);
    let before = table.key_len();
    let mut result = Ok(());
    for (i, (reducer, argument)) in source.reducers.iter().enumerate() {
        let applied = reduce::apply(reducer, argument, target, before + i, slots, bump, sign);
        result = result.and(applied.map_err(|problem| format!("column {}: {problem}", table.columns[before + i].name)));
    }
    // Of a part, other parts may hold what this one lacks: what is left is for their merging to say.
    let gone = !parted && !view.always && target.state[source.rows] == Value::Long(0);
    // One that holds nothing is kept for its position alone.
    let zero = |(value, column): (&Value, &StateColumn)| *value == column.ty.zero();
    target.hidden = parted
        && !view.always
        && target.state.iter().zip(&table.state).all(zero)
        && target.values[before..].iter().all(|value| matches!(value, Value::Null | Value::Long(0)));
    work_row.set((!gone).then_some(row), position);
    result
}
