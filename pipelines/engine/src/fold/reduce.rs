//! Reducers: what one value does to a column and its hidden state.

use bumpalo::Bump;
use ethnum::I256;
use headwater_schemas::{Value, ValueRef};

use super::working::same;
use crate::plan::{Argument, Reducer};
use crate::table::{Row, SumResult};

/// Whether the values go in or are taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Add,
    TakeBack,
}

/// Applies one argument to a row's column, with the slots that its expressions read.
///
/// # Errors
/// The expression's, in words: the event cannot be applied.
pub(super) fn apply<'a>(
    reducer: &Reducer,
    argument: &Argument,
    row: &mut Row,
    column: usize,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
    sign: Sign,
) -> Result<(), String> {
    let Some(value) = evaluate(argument, slots, bump)? else { return Ok(()) };
    match reducer {
        Reducer::Last => put(&mut row.values[column], &value),
        Reducer::First { set: None } => {}
        Reducer::First { set: Some(set) } => {
            if row.state[*set] == Value::Boolean(false) {
                row.state[*set] = Value::Boolean(true);
                put(&mut row.values[column], &value);
            }
        }
        Reducer::Count if value.is_null() => {}
        Reducer::Count => count(&mut row.values[column], sign),
        Reducer::Sum { sum, count: n, result } => add(row, column, (*sum, *n, *result), &value, sign),
        Reducer::FloatSum => add_float(&mut row.values[column], &value),
    }
    Ok(())
}

/// The argument's value; None where its filter leaves it out.
///
/// # Errors
/// The expression's, in words: the event cannot be applied. On a row that reflects the event already, too: what one row
/// of it says must not depend on which others were written before a crash.
pub(super) fn evaluate<'a>(
    argument: &Argument,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
) -> Result<Option<ValueRef<'a>>, String> {
    if let Some(filter) = &argument.filter
        && filter.eval_bool(slots, bump).map_err(|problem| problem.to_string())? != Some(true)
    {
        return Ok(None);
    }
    match &argument.value {
        None => Ok(Some(ValueRef::Boolean(true))),
        Some(value) => value.eval(slots, bump).map(Some).map_err(|problem| problem.to_string()),
    }
}

/// `first` without a flag: every event gives a value, so the first is the one that makes the row.
pub(super) fn first<'a>(
    argument: &Argument,
    row: &mut Row,
    column: usize,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
) -> Result<(), String> {
    if let Some(value) = &argument.value {
        let value = value.eval(slots, bump).map_err(|problem| problem.to_string())?;
        put(&mut row.values[column], &value);
    }
    Ok(())
}

fn put(target: &mut Value, value: &ValueRef) {
    if !same(target, value) {
        *target = value.to_owned();
    }
}

pub(super) fn count(target: &mut Value, sign: Sign) {
    if let Value::Long(n) = target {
        *n += if sign == Sign::Add { 1 } else { -1 };
    }
}

fn add(row: &mut Row, column: usize, (sum, n, result): (usize, usize, SumResult), value: &ValueRef, sign: Sign) {
    let term = match value {
        ValueRef::Long(n) => I256::from(*n),
        ValueRef::Decimal(d) => I256::from(d.unscaled),
        _ => return,
    };
    if let Value::Wide(total) = &mut row.state[sum] {
        **total += if sign == Sign::Add { term } else { -term };
    }
    count(&mut row.state[n], sign);
    row.values[column] = result.shown(&row.state[sum], &row.state[n]);
}

fn add_float(target: &mut Value, value: &ValueRef) {
    let term = match value {
        ValueRef::Float(x) => f64::from(*x),
        ValueRef::Double(x) => *x,
        _ => return,
    };
    match target {
        Value::Double(total) => *total += term,
        _ => *target = Value::Double(term),
    }
}
