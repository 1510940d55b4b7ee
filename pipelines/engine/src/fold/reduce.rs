//! Reducers: what one value does to a column and its hidden state. One reducer, one file.
//!
//! A reducer takes one value at a time, in the order of the events. Over rows that many partitions feed, and over views,
//! only those are allowed whose outcome no order changes; their files say how two halves of the values make the whole.

pub(crate) mod average;
pub(crate) mod computed;
pub(crate) mod count;
pub(crate) mod deviation;
pub(crate) mod distinct;
mod elements;
pub(crate) mod extreme;
mod first;
mod last;
mod list;
pub(crate) mod ordered;
mod packed;
pub(crate) mod set;
mod sum;
pub(crate) mod top;

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use crate::plan::{Argument, Reducer};
use crate::table::{Row, RowPosition};

pub(super) use count::count;
pub(super) use first::first;

/// Whether the values go in or are taken back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Add,
    TakeBack,
}

/// What a reducer changes.
struct Target<'r> {
    value: &'r mut Value,
    /// Of the whole row: a reducer knows its own places.
    state: &'r mut [Value],
    /// The event's.
    position: RowPosition,
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
    let target = Target { value: &mut row.values[column], state: &mut row.state, position: row.position };
    reduce(reducer, argument, target, slots, bump, sign)
}

#[inline]
fn reduce<'a>(
    reducer: &Reducer,
    argument: &Argument,
    target: Target,
    slots: &[ValueRef<'a>],
    bump: &'a Bump,
    sign: Sign,
) -> Result<(), String> {
    let Some(value) = value_of(argument, slots, bump)? else { return Ok(()) };
    match reducer {
        Reducer::Last => last::put(target.value, &value),
        Reducer::First { set: None } => {}
        Reducer::First { set: Some(set) } => first::put_once(target.value, &mut target.state[*set], &value),
        Reducer::Count if value.is_null() => {}
        Reducer::Count => count(target.value, sign),
        Reducer::Sum { sum, count, result } => {
            sum::add(target.value, target.state, (*sum, *count, *result), &value, sign);
        }
        Reducer::FloatSum => return sum::add_float(target.value, &value),
        Reducer::Ordered { of, state } => {
            let Some(place) = ordered::place(&argument.order, slots, target.position, bump)? else { return Ok(()) };
            ordered::put(*of, target.value, &mut target.state[*state], &value, place);
        }
        Reducer::Computed(computed) => return computed::put(computed, argument, target, slots, bump),
        _ => return remember(reducer, target, &value, bump, sign),
    }
    Ok(())
}

/// The reducers that remember more than a column shows, or compare. Apart, so that the others stay small and quick. All skip
/// nulls.
#[inline(never)]
fn remember<'a>(
    reducer: &Reducer,
    target: Target,
    value: &ValueRef<'a>,
    bump: &'a Bump,
    sign: Sign,
) -> Result<(), String> {
    let Target { value: target, state, .. } = target;
    match reducer {
        _ if value.is_null() => {}
        Reducer::FloatAverage { state: packed } => return average::add_float(target, &mut state[*packed], value),
        Reducer::Extreme(of) => extreme::put(*of, target, value, bump),
        Reducer::Distinct { state: packed } => distinct::put(target, &mut state[*packed], value, bump),
        Reducer::List => return list::put(target, value),
        Reducer::Set { full } => set::put(target, &mut state[*full], value, bump),
        Reducer::Top(n) => return top::put(*n, target, value, bump),
        Reducer::Deviation { of, state: packed } => deviation::add(*of, target, &mut state[*packed], value, sign),
        // Seen to where it was asked for.
        Reducer::Last | Reducer::First { .. } | Reducer::Count | Reducer::Sum { .. } => {}
        Reducer::FloatSum | Reducer::Ordered { .. } | Reducer::Computed(_) => {}
    }
    Ok(())
}

/// The argument's value; None where its filter leaves it out.
#[inline]
fn value_of<'a>(argument: &Argument, slots: &[ValueRef<'a>], bump: &'a Bump) -> Result<Option<ValueRef<'a>>, String> {
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

/// Evaluates an argument for what is wrong with it alone, on a row that reflects the event already: what one row of it says
/// must not depend on which others were written before a crash.
///
/// # Errors
/// The expression's, in words: the event cannot be applied.
pub(super) fn evaluate<'a>(argument: &Argument, slots: &[ValueRef<'a>], bump: &'a Bump) -> Result<(), String> {
    if value_of(argument, slots, bump)?.is_some() {
        for key in &argument.order {
            key.expr.eval(slots, bump).map_err(|problem| problem.to_string())?;
        }
    }
    argument.parts.iter().flatten().try_for_each(|part| evaluate(part, slots, bump))
}
