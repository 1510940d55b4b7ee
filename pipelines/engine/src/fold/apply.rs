//! One view over events: which rows its records touch, and what they do to them.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::reduce::{self, Sign};
use super::slots::{columns_read, elements, passes, put_element, slots};
use super::unreadable::Watched;
use super::working::{Change, Touch, Working};
use super::{Out, position};
use crate::batch::{Batch, Entry, Record, key_value, unfit_for_key};
use crate::expr::Expr;
use crate::plan::{Argument, EventInput, EventSource, Making, Reducer, Role, Topology, View};
use crate::table::{Row, RowPosition, Table, part_key, source_number};

pub(super) type Failures = Vec<(usize, String)>;

/// A view, and its table as it is kept here.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) view: &'a View,
    pub(super) table: &'a Table,
    /// Shared rows are kept in parts, and these are.
    pub(super) parted: bool,
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
    let read = read_by_input(source, columns, |input| input.key.iter().chain(&input.filter));
    let watched = Watched::of(topology, kept.view);
    let mut beside = Beside { changes: with.unwrap_or_default(), at: 0 };
    let mut bump = Bump::new();
    for (record, entry) in batch.cell.borrow_dependent().entries.iter().enumerate() {
        let Entry::Event { event, slots: fields } = entry else { continue };
        let Record { topic, partition, .. } = batch.records()[record];
        let Some((topic, of)) = source.topic(topic).filter(|_| out[record].is_none()) else { continue };
        let inputs = &of.inputs[*event];
        if inputs.is_empty() {
            continue;
        }
        let change = with.and_then(|_| beside.of(record));
        // Fenced or ignored there: so here.
        if with.is_some() && change.is_none() {
            continue;
        }
        let from = source_number(topic, partition);
        for (index, input) in inputs.iter().enumerate() {
            if change.is_some_and(|change| change.new.is_none()) && matches!(input.role, Role::Create | Role::Change) {
                *absent += 1;
                continue;
            }
            bump.reset();
            let row = change.and_then(|change| change.new.as_deref());
            if let (Some(watched), Some(row), Role::Create | Role::Change) = (&watched, row, input.role)
                && let Err(problem) = watched.check(row)
            {
                failures.push((record, format!("view {}: {problem}", kept.table.name)));
                continue;
            }
            let at = At { record, from, input: index as u32, element: 0 };
            let touched = if columns == 0 && input.is_plain() {
                touch_event(kept, input, at, fields, &bump, work)
            } else {
                let read = &read[topic][*event][index];
                touch_through(kept, input, at, (row, columns, read), fields, &bump, work)
            };
            if let Err(problem) = touched {
                failures.push((record, format!("view {}: {problem}", kept.table.name)));
            }
        }
    }
}

/// The `with` row's columns that each input's expressions read, by the view's topics, their events and the inputs of these.
fn read_by_input<'s, E>(
    source: &'s EventSource,
    columns: usize,
    exprs: impl Fn(&'s EventInput) -> E,
) -> Vec<Vec<Vec<Vec<usize>>>>
where
    E: Iterator<Item = &'s Expr>,
{
    let of_event =
        |inputs: &'s Vec<EventInput>| inputs.iter().map(|input| columns_read(exprs(input), columns)).collect();
    source.topics.iter().map(|of| of.inputs.iter().map(of_event).collect()).collect()
}

/// Which record, by which of its inputs, and which element.
#[derive(Clone, Copy)]
struct At {
    record: usize,
    /// The source number of its partition.
    from: i32,
    input: u32,
    element: u32,
}

/// An input that reads more than the event's fields, that not every event passes, or that unfolds an array.
fn touch_through(
    kept: Kept,
    input: &EventInput,
    at: At,
    (with, columns, read): (Option<&Row>, usize, &[usize]),
    fields: &[ValueRef],
    bump: &Bump,
    work: &mut Working,
) -> Result<(), String> {
    let slots = slots(with, columns, read, input.each, fields, bump);
    let filter = input.filter.as_ref();
    let Some(each) = input.each else {
        return if passes(filter, slots, bump)? { touch_event(kept, input, at, slots, bump, work) } else { Ok(()) };
    };
    for (element, value) in elements(&fields[each.array])?.iter().enumerate() {
        put_element(each, value, slots);
        if passes(filter, slots, bump)? {
            touch_event(kept, input, At { element: element as u32, ..at }, slots, bump, work)?;
        }
    }
    Ok(())
}

fn touch_event<'a>(
    kept: Kept,
    input: &EventInput,
    At { record, from, input: index, element }: At,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
    work: &mut Working,
) -> Result<(), String> {
    let part = (kept.parted && input.role != Role::DeletePartition).then_some(from);
    let key = key(&input.key, part, slots, bump)?;
    if input.role == Role::DeletePartition {
        let partition = work.partition(key);
        work.touches.push(Touch::DeletePartition { record, partition });
    } else {
        let owned = || key.iter().map(key_value).collect();
        let row = work.row(kept.table, key, owned, false, kept.view.deletes_partitions);
        work.touches.push(Touch::Event { record, row, input: index, element });
    }
    Ok(())
}

/// Evaluates a key, of the part that has this source number. A null or NaN has no place in one.
pub(super) fn key<'a>(
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
    let read = read_by_input(source, columns, |input| input.arguments.iter().flatten().flat_map(Argument::expressions));
    let mut beside = Beside { changes: with.unwrap_or_default(), at: 0 };
    let mut bump = Bump::new();
    let entries = &batch.cell.borrow_dependent().entries;
    for touch in std::mem::take(&mut work.touches) {
        let (record, row, index, element) = match touch {
            Touch::Event { record, row, input, element } => (record, row, input as usize, element as usize),
            Touch::DeletePartition { record, partition } => {
                work.delete_partition(&partition, position(&batch.records()[record]));
                continue;
            }
            Touch::Change { .. } | Touch::Contribution { .. } => continue,
        };
        let Entry::Event { event, slots: fields } = &entries[record] else { continue };
        let Record { topic, partition, offset, .. } = batch.records()[record];
        let Some((topic, of)) = source.topic(topic) else { continue };
        let input = &of.inputs[*event][index];
        bump.reset();
        let beside = with.and_then(|_| beside.of(record)).and_then(|change| change.new.as_deref());
        let slots = match input.each {
            None if columns == 0 => *fields,
            each => {
                let slots = slots(beside, columns, &read[topic][*event][index], each, fields, &bump);
                if let (Some(each), Some(ValueRef::Array(elements))) = (each, each.map(|each| fields[each.array])) {
                    put_element(each, &elements[element], slots);
                }
                slots
            }
        };
        let position = RowPosition { partition: source_number(topic, partition), offset };
        match event_on_row(kept, source, (topic, input), work, row, slots, &bump, position) {
            Ok(Applied::Changed { old, new }) if kept.view.has_dependents => {
                work.changed(row, Change { record, old, new });
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
    (topic, input): (usize, &EventInput),
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
    let making = source.making.as_ref();
    // What is there of the topics that do not make the row says nothing to the one that does.
    let made = old.as_ref().is_none_or(|old| making.is_some_and(|making| !making.has_part(topic, old)));
    if input.role == Role::DeleteRow {
        row.set(old.and_then(|old| without_part(kept, making?, old, position)), position);
        return Ok(Applied::Changed { old: before, new: None });
    }
    let mut new = match old {
        old if made && input.role == Role::Change => {
            row.current = old;
            return Ok(Applied::Absent);
        }
        Some(old) => old,
        None => Arc::new(view.blank_row(&row.key, position)),
    };
    let target = Arc::make_mut(&mut new);
    target.position = position;
    if let Some(making) = making {
        target.state[making.flag(topic)] = Value::Boolean(true);
    }
    let reduced = reduce_all(table, source, input, target, made, slots, bump);
    let shown = view.has_dependents.then(|| new.clone());
    row.set(Some(new), position);
    reduced.map(|()| Applied::Changed { old: before, new: shown })
}

impl Making {
    /// The state column that tells whether this topic's part is there.
    fn flag(&self, topic: usize) -> usize {
        if topic == self.topic { self.made } else { self.beside }
    }

    fn has_part(&self, topic: usize, row: &Row) -> bool {
        row.state[self.flag(topic)] == Value::Boolean(true)
    }
}

/// What other topics have said of a row whose making is taken back; None where they have said nothing.
fn without_part(kept: Kept, making: &Making, mut row: Arc<Row>, position: RowPosition) -> Option<Arc<Row>> {
    if row.state[making.beside] != Value::Boolean(true) {
        return None;
    }
    let left = Arc::make_mut(&mut row);
    let blank = kept.view.blank_row(left.key(kept.table), position);
    let values = making.columns.iter().enumerate().filter(|(_, of)| **of);
    for (i, _) in values {
        let column = kept.table.key_len() + i;
        left.values[column] = blank.values[column].clone();
    }
    for (i, _) in making.state.iter().enumerate().filter(|(_, of)| **of) {
        left.state[i] = blank.state[i].clone();
    }
    left.state[making.made] = Value::Boolean(false);
    left.position = position;
    Some(row)
}

/// Evaluates arguments, by their columns after the key, for what is wrong with them.
pub(super) fn evaluated<'a, 'x>(
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
