//! Reducers as declared: `last(name)`, `sum(amount) filter (where …)`, one argument an event or one for all.

use std::ops::Range;

use headwater_schemas::{FieldType, Type};

use super::compile::{Context, EventId};
use super::{Reducer, may_be_key};
use crate::declare::Text;
use crate::expr::{Ast, functions, is_function};
use crate::source::nearest;
use crate::table::{AVERAGE_SCALE, Extreme, StateColumn, StateType, SumResult};
use crate::unknown::is_unknown;

/// A reducer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Last,
    First,
    Count,
    Sum,
    Avg,
    Extreme(Extreme),
}

/// A reducer's call, taken apart.
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) arguments: Vec<Ast>,
    pub(super) filter: Option<Ast>,
}

/// Reducers of the language that the engine does not fold yet.
const PLANNED: &[&str] = &["collect_list", "collect_set", "top", "stddev", "earliest", "latest", "array_agg"];

/// The names that a reducer may have.
const REDUCERS: &[&str] = &["last", "first", "count", "sum", "min", "max", "avg"];

pub(super) enum Column {
    Reducer(Call),
    /// Not a call of a reducer: an expression, which is for the caller to judge.
    Expression(Ast),
    /// Mistaken, and reported.
    Mistaken,
}

/// Reads a column's text as a reducer, or as an expression.
pub(super) fn read(cx: &mut Context, text: &Text) -> Column {
    let Some(ast) = cx.parse(text) else { return Column::Mistaken };
    let Some(call) = ast.as_call() else { return Column::Expression(ast) };
    let kind = match call.name.as_str() {
        "last" => Kind::Last,
        "first" => Kind::First,
        "count" => Kind::Count,
        "sum" => Kind::Sum,
        "avg" => Kind::Avg,
        "min" => Kind::Extreme(Extreme::Least),
        "max" => Kind::Extreme(Extreme::Greatest),
        planned if PLANNED.contains(&planned) => {
            let message = format!("the reducer `{planned}` is not supported yet");
            cx.not_supported(
                &text.span,
                message,
                "a planned reducer",
                Some(format!("supported: {}", REDUCERS.join(", "))),
            );
            return Column::Mistaken;
        }
        name if is_function(name) => return Column::Expression(ast),
        name => {
            let (name, at) = (name.to_owned(), call.name_range.clone());
            return unknown_call(cx, text, &name, at);
        }
    };
    let refused = if call.distinct {
        Some("`distinct` in a reducer is not supported yet")
    } else if !call.order_by.is_empty() {
        Some("`order by` in a reducer is not supported yet")
    } else if kind != Kind::Count && call.args.is_empty() {
        cx.error(&text.span, "this reducer needs an argument".into(), "here", None);
        return Column::Mistaken;
    } else {
        None
    };
    if let Some(message) = refused {
        cx.not_supported(&text.span, message.into(), "here", None);
        return Column::Mistaken;
    }
    Column::Reducer(Call { kind, arguments: call.args.clone(), filter: call.filter.clone() })
}

/// Neither a reducer nor a function.
fn unknown_call(cx: &mut Context, text: &Text, name: &str, at: Range<usize>) -> Column {
    let near = nearest(name, REDUCERS.iter().chain(PLANNED).copied().chain(functions()));
    let help = match near {
        // As it would stand here.
        Some(near) if REDUCERS.contains(&near) => {
            format!("did you mean `{near}{}`?", text.value.get(at.end..).unwrap_or_default())
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("a column is a reducer: {}", REDUCERS.join(", ")),
    };
    let message = format!("there is no reducer or function `{name}`");
    cx.unknown(&text.part(at), message, "unknown", Some(help));
    Column::Mistaken
}

/// Which argument each event takes: `by_event[i]` is an index into the call's arguments, or None where the event does
/// not touch the column.
///
/// One argument that names no event is for all; otherwise each argument names its event (`OrderPlaced.quantity`).
pub(super) fn assign(
    cx: &mut Context,
    text: &Text,
    call: &Call,
    events: &[(EventId, String)],
) -> Option<Vec<Option<usize>>> {
    if call.arguments.is_empty() {
        return Some(vec![Some(0); events.len()]);
    }
    let mut by_event = vec![None; events.len()];
    for (index, argument) in call.arguments.iter().enumerate() {
        let named: Vec<usize> = (0..events.len())
            .filter(|&e| argument.paths().iter().any(|(path, _)| path.first() == Some(&events[e].1)))
            .collect();
        match named.as_slice() {
            [] if call.arguments.len() == 1 => return Some(vec![Some(0); events.len()]),
            [event] if by_event[*event].is_none() => by_event[*event] = Some(index),
            [event] => {
                let message = format!("two arguments are for event `{}`", events[*event].1);
                cx.error(&text.span, message, "one argument an event", None);
                return None;
            }
            _ => {
                cx.error(
                    &text.span,
                    "with several arguments, each names its event".into(),
                    "which event is this of?",
                    Some(format!("write `{}.field`", events.first().map_or("Event", |(_, name)| name))),
                );
                return None;
            }
        }
    }
    Some(by_event)
}

/// The one type that holds values of both.
pub(super) fn unify(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        _ if a == b || is_unknown(b) => Some(a.clone()),
        _ if is_unknown(a) => Some(b.clone()),
        (Type::Int, Type::Long) | (Type::Long, Type::Int) => Some(Type::Long),
        _ if a.is_text() && b.is_text() => Some(Type::String),
        _ if a.is_timestamp() && b.is_timestamp() => Some(Type::TimestampMicros),
        _ => None,
    }
}

/// A reducer's own state columns and its column's type.
///
/// `argument` is the type of what is reduced, `everywhere` whether each event that makes or changes the row gives a value,
/// `state` the table's state columns so far.
pub(super) fn shape(
    kind: Kind,
    name: &str,
    argument: &FieldType,
    everywhere: bool,
    state: &mut Vec<StateColumn>,
) -> Result<(Reducer, FieldType), String> {
    let mut add = |suffix: &str, ty: StateType| {
        state.push(StateColumn { name: format!("{name}_{suffix}"), ty });
        state.len() - 1
    };
    let nullable = argument.nullable || !everywhere;
    match (kind, &argument.ty) {
        (Kind::Sum | Kind::Avg | Kind::Extreme(_), ty) if is_unknown(ty) => Ok((Reducer::Last, argument.clone())),
        (Kind::Count, _) => Ok((Reducer::Count, FieldType::required(Type::Long))),
        (Kind::Last, ty) => Ok((Reducer::Last, FieldType { ty: ty.clone(), nullable })),
        (Kind::First, ty) => {
            let set = (!everywhere).then(|| add("set", StateType::Flag));
            Ok((Reducer::First { set }, FieldType { ty: ty.clone(), nullable }))
        }
        (Kind::Sum, Type::Float | Type::Double) => Ok((Reducer::FloatSum, FieldType::nullable(Type::Double))),
        (Kind::Avg, Type::Float | Type::Double) => {
            Ok((Reducer::FloatAverage { state: add("avg", StateType::Packed) }, FieldType::nullable(Type::Double)))
        }
        (Kind::Sum | Kind::Avg, ty) => {
            let (result, ty) = total(kind, ty)?;
            let sum = add("sum", StateType::Wide);
            let count = add("count", StateType::Count);
            Ok((Reducer::Sum { sum, count, result }, FieldType::nullable(ty)))
        }
        (Kind::Extreme(of), ty) if may_be_key(ty) => Ok((Reducer::Extreme(of), FieldType::nullable(ty.clone()))),
        (Kind::Extreme(of), ty) => {
            let name = if of == Extreme::Least { "min" } else { "max" };
            Err(format!("`{name}` takes what has an order, not {ty}"))
        }
    }
}

/// What an exact sum or average shows, and its type.
fn total(kind: Kind, ty: &Type) -> Result<(SumResult, Type), String> {
    let scale = match ty {
        Type::Int | Type::Long => 0,
        Type::Decimal { scale, .. } => *scale,
        other => return Err(format!("`{}` takes numbers, not {other}", if kind == Kind::Avg { "avg" } else { "sum" })),
    };
    let decimal = |scale| Type::Decimal { precision: 38, scale };
    Ok(match (kind, ty) {
        (Kind::Avg, _) => (SumResult::Average { scale }, decimal(AVERAGE_SCALE)),
        (_, Type::Int) => (SumResult::Long, Type::Long),
        _ => (SumResult::Decimal { scale }, decimal(scale)),
    })
}

/// Why a reducer is not for rows that many partitions feed, nor for views over views; None where its order does not tell.
pub(super) fn not_associative(reducer: &Reducer) -> Option<&'static str> {
    match reducer {
        Reducer::FloatSum => Some("a sum of floating point"),
        Reducer::FloatAverage { .. } => Some("an average of floating point"),
        _ => None,
    }
}
