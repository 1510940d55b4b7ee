//! Views over a view: what each change of a row does to its copy, or to the rows that it contributes to.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use super::apply::{Failures, Kept, evaluated, key};
use super::position;
use super::reduce::{self, Sign};
use super::slots::{columns_read, passes, put_element, row_elements, row_slots};
use super::working::{Change, Touch, Working};
use crate::batch::{Batch, key_value};
use crate::expr::Expr;
use crate::plan::{AggregateInput, AggregateSource, Argument, CopiedColumn, CopySource, View};
use crate::table::{Key, Row, RowPosition, StateColumn};

/// Finds the rows that a source's rows are copied to, before and after each change.
pub(super) fn touch_copies(
    kept: Kept,
    source: &CopySource,
    batch: &Batch,
    changes: &[Change],
    work: &mut Working,
    failures: &mut Failures,
) {
    let read = columns_read(source.key.iter().chain(&source.filter), usize::MAX);
    let mut bump = Bump::new();
    work.touches.reserve(changes.len());
    for (index, change) in changes.iter().enumerate() {
        bump.reset();
        let part = kept.parted.then(|| batch.records()[change.record].partition);
        let mut find = |row: &Option<Arc<Row>>| -> Result<Option<usize>, String> {
            let Some(row) = row else { return Ok(None) };
            let slots = row_slots(row, &read, None, &bump);
            if !passes(source.filter.as_ref(), slots, &bump)? {
                return Ok(None);
            }
            let key = key(&source.key, part, slots, &bump)?;
            Ok(Some(work.row(kept.table, key, || shared_key(&source.key, key, row), true, false)))
        };
        match find(&change.old).and_then(|old| Ok((old, find(&change.new)?))) {
            // It had no copy, and has none.
            Ok((None, None)) => {}
            Ok((old, new)) => work.touches.push(Touch::Change { change: index, old, new }),
            Err(problem) => failures.push((change.record, format!("view {}: {problem}", kept.table.name))),
        }
    }
}

/// Finds the rows that a source's changes take from and give to.
pub(super) fn touch_contributions(
    kept: Kept,
    source: &AggregateSource,
    batch: &Batch,
    changes: &[Change],
    work: &mut Working,
    failures: &mut Failures,
) {
    let read = |input: &AggregateInput| columns_read(input.key.iter().chain(&input.filter), columns_of(input));
    let read: Vec<Vec<usize>> = source.inputs.iter().map(read).collect();
    let mut bump = Bump::new();
    work.touches.reserve(changes.len() * 2);
    // Of a grand total, whose key is empty: found once.
    let mut only = None;
    for (index, change) in changes.iter().enumerate() {
        bump.reset();
        let part = kept.parted.then(|| batch.records()[change.record].partition);
        let sides = [(Sign::TakeBack, &change.old), (Sign::Add, &change.new)];
        let touched =
            sides.into_iter().filter_map(|(sign, row)| Some((sign, row.as_deref()?))).try_for_each(|(sign, row)| {
                source.inputs.iter().zip(&read).enumerate().try_for_each(|(input, (fed, read))| {
                    let mut touch = |slots: &[ValueRef], element| {
                        let row = if fed.key.is_empty() && part.is_none() {
                            let find = || work.row(kept.table, &[], || Key::from([]), false, false);
                            *only.get_or_insert_with(find)
                        } else {
                            let key = key(&fed.key, part, slots, &bump)?;
                            work.row(kept.table, key, || shared_key(&fed.key, key, row), false, false)
                        };
                        let (input, sign) = (input as u32, sign);
                        work.touches.push(Touch::Contribution { change: index, row, input, element, sign });
                        Ok(())
                    };
                    contributions(fed, row, read, &bump, &mut touch)
                })
            });
        if let Err(problem) = touched {
            failures.push((change.record, format!("view {}: {problem}", kept.table.name)));
        }
    }
}

/// How many columns come before the slots of an element.
fn columns_of(input: &AggregateInput) -> usize {
    input.each.map_or(usize::MAX, |each| each.base)
}

/// Calls `touch` for each contribution of a source's row through one input, with its slots and element.
fn contributions<'a, T>(
    input: &AggregateInput,
    row: &'a Row,
    read: &[usize],
    bump: &'a Bump,
    touch: &mut T,
) -> Result<(), String>
where
    T: FnMut(&[ValueRef<'a>], u32) -> Result<(), String>,
{
    let slots = row_slots(row, read, input.each, bump);
    let filter = input.filter.as_ref();
    let Some(each) = input.each else {
        return if passes(filter, slots, bump)? { touch(slots, 0) } else { Ok(()) };
    };
    for (index, element) in row_elements(&row.values[each.array])?.iter().enumerate() {
        put_element(each, &element.borrow(bump), slots);
        if passes(filter, slots, bump)? {
            touch(slots, index as u32)?;
        }
    }
    Ok(())
}

/// A key for keeps: text that is a column of the source's row is shared with it.
fn shared_key(exprs: &[Expr], key: &[ValueRef], row: &Row) -> Key {
    let values = key.iter().enumerate().map(|(i, value)| match (exprs.get(i).and_then(Expr::as_slot), value) {
        // An element's slots are after the columns.
        (Some(column), ValueRef::String(_) | ValueRef::Bytes(_)) if column < row.values.len() => {
            row.values[column].clone()
        }
        _ => key_value(value),
    });
    values.collect()
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
                let slots = slots.get_or_insert_with(|| &*row_slots(row, read, None, bump));
                let value = expr.eval(slots, bump);
                value
                    .map_err(|problem| format!("view {}: column {}: {problem}", view.table.name, column.name))?
                    .to_owned()
            }
        });
    }
    Ok(Row { values, state: Vec::new(), position, hidden: false })
}

/// Takes the old rows' contributions back and adds the new ones'.
pub(super) fn aggregate(
    kept: Kept,
    source: &AggregateSource,
    batch: &Batch,
    changes: &[Change],
    work: &mut Working,
    failures: &mut Failures,
) {
    let arguments = |input: &AggregateInput| {
        columns_read(input.arguments.iter().flatten().flat_map(Argument::expressions), columns_of(input))
    };
    let read: Vec<Vec<usize>> = source.inputs.iter().map(arguments).collect();
    let mut bump = Bump::new();
    for touch in std::mem::take(&mut work.touches) {
        let Touch::Contribution { change, row: index, input, element, sign } = touch else { continue };
        let (change, input) = (&changes[change], input as usize);
        let side = if sign == Sign::Add { &change.new } else { &change.old };
        let Some(row) = side else { continue };
        bump.reset();
        let each = source.inputs[input].each;
        let slots = row_slots(row, &read[input], each, &bump);
        if let (Some(each), Some(Value::Array(elements))) = (each, each.map(|each| &row.values[each.array])) {
            put_element(each, &elements[element as usize].borrow(&bump), slots);
        }
        let position = position(&batch.records()[change.record]);
        let arguments = &source.inputs[input].arguments;
        if let Err(problem) = contribute(kept, (source, arguments), work, index, slots, sign, position, &bump) {
            failures.push((change.record, format!("view {}: {problem}", kept.table.name)));
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a fold, borrowed apart")]
fn contribute<'a>(
    kept: Kept,
    (source, arguments): (&AggregateSource, &[Option<Argument>]),
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
        let arguments = arguments.iter().enumerate();
        return evaluated(table, arguments.filter_map(|(i, argument)| Some((i, argument.as_ref()?))), slots, bump);
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
    for (i, (reducer, argument)) in source.reducers.iter().zip(arguments).enumerate() {
        let Some(argument) = argument else { continue };
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
