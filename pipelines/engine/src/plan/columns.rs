//! Reducers as declared: `last(name)`, `sum(amount) filter (where …)`, one argument an event or one for all.

use std::ops::Range;

use headwater_schemas::{FieldType, Type};

use super::Reducer;
use super::compile::Context;
use crate::declare::Text;
use crate::expr::{Ast, functions, is_function};
use crate::source::nearest;
use crate::table::{StateColumn, StateType, SumResult};
use crate::unknown::is_unknown;

/// A reducer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Last,
    First,
    Count,
    Sum,
}

/// A reducer's call, taken apart.
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) arguments: Vec<Ast>,
    pub(super) filter: Option<Ast>,
}

/// Reducers of the language that the engine does not fold yet.
const PLANNED: &[&str] =
    &["min", "max", "avg", "collect_list", "collect_set", "top", "stddev", "earliest", "latest", "array_agg"];

/// The names that a reducer may have.
const REDUCERS: &[&str] = &["last", "first", "count", "sum"];

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

/// Which argument each input takes: `by_input[i]` is an index into the call's arguments, or None where the input does
/// not touch the column. `called` are each input's names: its alias, and its event's.
///
/// One argument that names no input is for all; otherwise each argument names its input (`credit.amount`), or the event of
/// several (`OrderPlaced.quantity`).
pub(super) fn assign(cx: &mut Context, text: &Text, call: &Call, called: &[Vec<String>]) -> Option<Vec<Option<usize>>> {
    if call.arguments.is_empty() {
        return Some(vec![Some(0); called.len()]);
    }
    let mut by_input = vec![None; called.len()];
    for (index, argument) in call.arguments.iter().enumerate() {
        let mut names: Vec<String> =
            argument.paths().into_iter().filter_map(|(path, _)| path.into_iter().next()).collect();
        names.retain(|name| called.iter().flatten().any(|other| other == name));
        names.sort_unstable();
        names.dedup();
        match names.as_slice() {
            [] if call.arguments.len() == 1 => return Some(vec![Some(0); called.len()]),
            [name] => {
                for input in (0..called.len()).filter(|&input| called[input].contains(name)) {
                    if by_input[input].replace(index).is_some() {
                        let message = format!("two arguments are for `{}`", called[input][0]);
                        cx.error(&text.span, message, "one argument each", None);
                        return None;
                    }
                }
            }
            _ => {
                let first = called.first().and_then(|names| names.first()).map_or("Event", String::as_str);
                cx.error(
                    &text.span,
                    "with several arguments, each names its event or alias".into(),
                    "which of them is this of?",
                    Some(format!("write `{first}.field`")),
                );
                return None;
            }
        }
    }
    Some(by_input)
}

/// The one type that holds the values that inputs gave so far, and those of one more.
pub(super) fn one_type(
    cx: &mut Context,
    text: &Text,
    so_far: Option<&FieldType>,
    found: &FieldType,
) -> Option<FieldType> {
    let Some(so_far) = so_far else { return Some(found.clone()) };
    let Some(ty) = unify(&so_far.ty, &found.ty) else {
        let message = format!("events give two types: {} and {}", so_far.ty, found.ty);
        cx.error(&text.span, message, "one type a column", Some("cast one of them".into()));
        return None;
    };
    Some(FieldType { ty, nullable: so_far.nullable || found.nullable })
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
        (Kind::Sum, ty) if is_unknown(ty) => Ok((Reducer::Last, argument.clone())),
        (Kind::Count, _) => Ok((Reducer::Count, FieldType::required(Type::Long))),
        (Kind::Last, ty) => Ok((Reducer::Last, FieldType { ty: ty.clone(), nullable })),
        (Kind::First, ty) => {
            let set = (!everywhere).then(|| add("set", StateType::Flag));
            Ok((Reducer::First { set }, FieldType { ty: ty.clone(), nullable }))
        }
        (Kind::Sum, Type::Float | Type::Double) => Ok((Reducer::FloatSum, FieldType::nullable(Type::Double))),
        (Kind::Sum, ty) => {
            let (result, ty) = match ty {
                Type::Int => (SumResult::Long, Type::Long),
                Type::Long => (SumResult::Decimal { scale: 0 }, Type::Decimal { precision: 38, scale: 0 }),
                Type::Decimal { scale, .. } => {
                    (SumResult::Decimal { scale: *scale }, Type::Decimal { precision: 38, scale: *scale })
                }
                other => return Err(format!("`sum` takes numbers, not {other}")),
            };
            let sum = add("sum", StateType::Wide);
            let count = add("count", StateType::Count);
            Ok((Reducer::Sum { sum, count, result }, FieldType::nullable(ty)))
        }
    }
}
