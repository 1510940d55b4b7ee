//! Whether a key column holds the starts of buckets in UTC, which is what a walk steps by.
//!
//! A plan tells the unit of `date_trunc`, not whether it was given a zone, or whether something was added to its result.
//! So the column's own expressions are asked, at instants around the turns of every unit: a walk that would step past
//! rows is refused instead of losing them.

use bumpalo::Bump;
use headwater_schemas::ValueRef;

use super::Unit;
use crate::expr::Expr;
use crate::plan::{Source, View};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// How long before and after each turn is asked: within every offset that a zone can have, and some of its quarters.
const AROUND: [i64; 6] = [-30 * MINUTE, -15 * MINUTE, -1, 0, 15 * MINUTE, 30 * MINUTE];
/// Midnights in days since 1970: the turns of 2026 and of its July, either of which summer time is in force at somewhere,
/// and a Monday in each half of the year.
const TURNS: [i64; 4] = [20_454, 20_635, 20_458, 20_640];

/// Whether every expression that makes this key column gives the start of the unit that an instant is in.
pub(super) fn is_utc(view: &View, column: usize, unit: Unit) -> bool {
    let expressions = expressions(view, column);
    !expressions.is_empty() && expressions.iter().all(|expression| floors(expression, unit))
}

fn expressions(view: &View, column: usize) -> Vec<&Expr> {
    match &view.source {
        Source::Seen(_) => Vec::new(),
        Source::Copy(source) => source.key.get(column).into_iter().collect(),
        Source::Aggregate(source) => source.inputs.iter().filter_map(|input| input.key.get(column)).collect(),
        Source::Events(source) => source.inputs().filter_map(|input| input.key.get(column)).collect(),
    }
}

/// Whether it floors timestamps, or dates: which of them it is over is not known here, and the other is refused.
fn floors(expression: &Expr, unit: Unit) -> bool {
    let instants = || TURNS.iter().flat_map(|day| AROUND.iter().map(move |around| day * DAY + around));
    let days = || TURNS.iter().flat_map(|day| [day - 1, *day]);
    instants().all(|micros| gives(expression, ValueRef::Timestamp(micros), unit.floor(micros)))
        || days().all(|day| {
            i32::try_from(day).is_ok_and(|days| gives(expression, ValueRef::Date(days), unit.floor(day * DAY)))
        })
}

fn gives(expression: &Expr, over: ValueRef<'_>, start: Option<i64>) -> bool {
    let bump = Bump::new();
    let slots = vec![over; expression.slots().last().map_or(0, |last| last + 1)];
    matches!(expression.eval(&slots, &bump), Ok(ValueRef::Timestamp(found)) if Some(found) == start)
}
