//! Reducers as declared: `last(name)`, `sum(amount) filter (where …)`, one argument an event or one for all.

use std::ops::Range;
use std::sync::Arc;

use headwater_schemas::{FieldType, Type};

use super::compile::Context;
use super::{Argument, Reducer, may_be_key};
use crate::declare::Text;
use crate::expr::{self, Ast, OrderBy, functions, is_function};
use crate::fold::reduce::top::MAX_TOP;
use crate::source::nearest;
use crate::table::{AVERAGE_SCALE, Deviation, Extreme, StateColumn, StateType, SumResult};
use crate::unknown::is_unknown;

/// The most expressions that `order by` takes.
const MAX_ORDER: usize = 8;

/// A reducer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Last,
    First,
    Count,
    Sum,
    Avg,
    Extreme(Extreme),
    /// `first` and `last` with an `order by`.
    Ordered(Extreme),
    /// `count(distinct x)`.
    Distinct,
    List,
    Set,
    Top(usize),
    Deviation {
        sample: bool,
        root: bool,
    },
}

impl Kind {
    /// Whether a value that went in can be taken out again.
    pub(super) fn can_be_taken_back(self) -> bool {
        matches!(self, Kind::Count | Kind::Sum | Kind::Avg | Kind::Deviation { .. })
    }

    /// Whether it goes by the order of the row's events.
    pub(super) fn goes_by_order(self) -> bool {
        matches!(self, Kind::Last | Kind::First | Kind::List)
    }
}

/// A reducer's call, taken apart.
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) arguments: Vec<Ast>,
    pub(super) filter: Option<Ast>,
    /// Of an ordered one, and whether each is descending.
    pub(super) order: Vec<(Ast, bool)>,
}

/// The names that a reducer may have.
const REDUCERS: &[&str] = &[
    "last",
    "first",
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "collect_list",
    "collect_set",
    "top",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "variance",
    "var_samp",
    "var_pop",
];

/// The reducer of this name, but for what its arguments say of it.
fn kind(name: &str) -> Option<Kind> {
    let deviation = |sample, root| Some(Kind::Deviation { sample, root });
    match name {
        "last" => Some(Kind::Last),
        "first" => Some(Kind::First),
        "count" => Some(Kind::Count),
        "sum" => Some(Kind::Sum),
        "avg" => Some(Kind::Avg),
        "min" => Some(Kind::Extreme(Extreme::Least)),
        "max" => Some(Kind::Extreme(Extreme::Greatest)),
        "collect_list" => Some(Kind::List),
        "collect_set" => Some(Kind::Set),
        "top" => Some(Kind::Top(0)),
        "stddev" | "stddev_samp" => deviation(true, true),
        "stddev_pop" => deviation(false, true),
        "variance" | "var_samp" => deviation(true, false),
        "var_pop" => deviation(false, false),
        _ => None,
    }
}

pub(super) enum Column {
    Reducer(Call),
    /// An expression over reducers.
    Computed(Ast),
    /// Not a call of a reducer: an expression, which is for the caller to judge.
    Expression(Ast),
    /// Mistaken, and reported.
    Mistaken,
}

/// Reads a column's text as a reducer, or as an expression.
pub(super) fn read(cx: &mut Context, text: &Text) -> Column {
    let Some(ast) = cx.parse(text) else { return Column::Mistaken };
    match reducer(cx, text, &ast) {
        Some(column) => column,
        None if has_reducer(&ast) => Column::Computed(ast),
        None => Column::Expression(ast),
    }
}

/// Whether an expression is a reducer's call.
pub(super) fn is_reducer_call(ast: &Ast) -> bool {
    ast.as_call().is_some_and(|call| REDUCERS.contains(&call.name.as_str()))
}

fn has_reducer(ast: &Ast) -> bool {
    let mut found = false;
    ast.visit(&mut |ast| found |= is_reducer_call(ast));
    found
}

/// Reads an expression as a reducer's call; None where it is something else. A call of what is not known is mistaken.
pub(super) fn reducer(cx: &mut Context, text: &Text, ast: &Ast) -> Option<Column> {
    let call = ast.as_call()?;
    let Some(found) = kind(&call.name) else {
        let known = is_function(&call.name);
        return (!known).then(|| unknown_call(cx, text, &call.name, call.name_range.clone()));
    };
    let Some((kind, arguments)) = counted(cx, text, found, call) else { return Some(Column::Mistaken) };
    if kind != Kind::Count && arguments.is_empty() {
        cx.error(&text.span, "this reducer needs an argument".into(), "here", None);
        return Some(Column::Mistaken);
    }
    let Some(kind) = ordered(cx, text, kind, call) else { return Some(Column::Mistaken) };
    let order = call.order_by.iter().map(|order| (order.expr.clone(), order.descending)).collect();
    Some(Column::Reducer(Call { kind, arguments: arguments.to_vec(), filter: call.filter.clone(), order }))
}

/// What `distinct` and the first argument of `top` make of a reducer, and its arguments without that; None where they are
/// mistaken, which was reported.
fn counted<'c>(cx: &mut Context, text: &Text, kind: Kind, call: &'c expr::Call) -> Option<(Kind, &'c [Ast])> {
    let kind = match kind {
        Kind::Count if call.distinct => Kind::Distinct,
        _ if call.distinct => {
            let message = format!("`{}` takes no `distinct`", call.name);
            let help = "write `count(distinct x)`, or `collect_set(x)` for the values themselves".to_owned();
            cx.error(&text.part(call.name_range.clone()), message, "not of each value once", Some(help));
            return None;
        }
        Kind::Top(_) => {
            let n = call.args.first().and_then(|n| match &n.node {
                expr::Node::Number(digits) => digits.parse().ok().filter(|n| (1..=MAX_TOP).contains(n)),
                _ => None,
            });
            let Some(n) = n else {
                let at = call.args.first().map_or(call.name_range.clone(), Ast::range);
                let message = format!("`top` needs to know how many, from 1 to {MAX_TOP}");
                cx.error(&text.part(at), message, "no such number", Some("write `top(3, x)`".into()));
                return None;
            };
            return Some((Kind::Top(n), &call.args[1..]));
        }
        kind => kind,
    };
    Some((kind, &call.args))
}

/// Says that a row which is not owned has no expression over reducers.
pub(super) fn refuse_computed(cx: &mut Context, text: &Text, row: &str) {
    let message = format!("an expression over reducers is for a row that one partition feeds, and this one is {row}");
    let help = "give each reducer a column of its own; whoever reads the row computes with them".to_owned();
    cx.error(&text.span, message, "more than a reducer", Some(help));
}

/// What a reducer is with its `order by`, if it has one; None where that is mistaken, which was reported.
fn ordered(cx: &mut Context, text: &Text, kind: Kind, call: &expr::Call) -> Option<Kind> {
    let (of, opposite) = match (call.order_by.as_slice(), kind) {
        ([], _) => return Some(kind),
        (_, Kind::Last) => (Extreme::Greatest, "first"),
        (_, Kind::First) => (Extreme::Least, "last"),
        ([order, ..], _) => {
            let message = format!("`{}` takes no `order by`", call.name);
            let help = "only `first` and `last` go by an order of their own".to_owned();
            cx.error(&text.part(order.expr.range()), message, "it does not tell here", Some(help));
            return None;
        }
    };
    let [first, ..] = call.order_by.as_slice() else { return Some(kind) };
    if call.order_by.len() > MAX_ORDER {
        let message = format!("events are ordered by {} expressions, and {MAX_ORDER} is the most", call.order_by.len());
        cx.error(&text.part(call.order_by[MAX_ORDER].expr.range()), message, "one too many", None);
        return None;
    }
    if !first.descending {
        return Some(Kind::Ordered(of));
    }
    let written = |ast: &Ast| text.value.get(ast.range()).unwrap_or_default().to_owned();
    let arguments: Vec<String> = call.args.iter().map(written).collect();
    let turned = |order: &OrderBy| format!("{}{}", written(&order.expr), if order.descending { "" } else { " desc" });
    let orders: Vec<String> = call.order_by.iter().map(turned).collect();
    let message = format!("`{}` with a descending order is `{opposite}`", call.name);
    let help = format!("write `{opposite}({} order by {})`", arguments.join(", "), orders.join(", "));
    cx.error(&text.part(first.expr.range()), message, "descending", Some(help));
    None
}

/// Whether what the events are ordered by has an order, the same in each; reported where it has not.
pub(super) fn check_order(cx: &mut Context, text: &Text, arguments: &[&Argument]) -> bool {
    let keys = arguments.first().map_or(0, |argument| argument.order.len());
    for key in 0..keys {
        let mut first: Option<&Type> = None;
        for order in arguments.iter().filter_map(|argument| argument.order.get(key)).map(|key| &key.expr) {
            let found = &order.ty.ty;
            let problem = match first {
                _ if order.slots().is_empty() && !order.is_unknown() => {
                    "every event has the same place here".to_owned()
                }
                _ if !may_be_key(found) => format!("events cannot be ordered by {found}"),
                Some(first) if unify(first, found).is_none() => {
                    format!("events are ordered by two types: {first} and {found}")
                }
                _ => {
                    first = Some(found);
                    continue;
                }
            };
            cx.error(&text.span, problem, "`order by` takes the time, or anything else that has an order", None);
            return false;
        }
    }
    true
}

/// Neither a reducer nor a function.
fn unknown_call(cx: &mut Context, text: &Text, name: &str, at: Range<usize>) -> Column {
    let instead = match name {
        "earliest" | "first_value" | "arg_min" | "min_by" => Some("write `first(x order by at)`"),
        "latest" | "last_value" | "arg_max" | "max_by" => Some("write `last(x order by at)`"),
        "array_agg" => Some("write `collect_list(x)`"),
        _ => None,
    };
    let near = nearest(name, REDUCERS.iter().copied().chain(functions()));
    let help = match near {
        _ if instead.is_some() => instead.unwrap_or_default().to_owned(),
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
        (kind, ty) if is_unknown(ty) && !matches!(kind, Kind::Count | Kind::Last | Kind::First | Kind::Ordered(_)) => {
            Ok((Reducer::Last, argument.clone()))
        }
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
        (Kind::Ordered(of), ty) => {
            let state = add("order", StateType::Packed);
            Ok((Reducer::Ordered { of, state }, FieldType::nullable(ty.clone())))
        }
        (Kind::List, ty) => Ok((Reducer::List, array(ty))),
        (Kind::Deviation { sample, root }, ty) => {
            let of = Deviation { sample, root, scale: scale(ty, deviation_name(sample, root))? };
            let ty = Type::Decimal { precision: 38, scale: of.result_scale() };
            Ok((Reducer::Deviation { of, state: add("moments", StateType::Packed) }, FieldType::nullable(ty)))
        }
        (_, ty) if !may_be_key(ty) => Err(format!("this reducer takes what has an order, not {ty}")),
        (Kind::Extreme(of), ty) => Ok((Reducer::Extreme(of), FieldType::nullable(ty.clone()))),
        (Kind::Distinct, _) => {
            Ok((Reducer::Distinct { state: add("distinct", StateType::Packed) }, FieldType::nullable(Type::Long)))
        }
        (Kind::Set, ty) => Ok((Reducer::Set { full: add("full", StateType::Flag) }, array(ty))),
        (Kind::Top(n), ty) => Ok((Reducer::Top(n), array(ty))),
    }
}

/// An array of values that are never null; null itself where there are none.
fn array(ty: &Type) -> FieldType {
    FieldType::nullable(Type::Array(Arc::new(FieldType::required(ty.clone()))))
}

fn deviation_name(sample: bool, root: bool) -> &'static str {
    match (sample, root) {
        (true, true) => "stddev",
        (false, true) => "stddev_pop",
        (true, false) => "variance",
        (false, false) => "var_pop",
    }
}

/// The digits after the point of exact numbers.
fn scale(ty: &Type, reducer: &str) -> Result<u8, String> {
    match ty {
        Type::Int | Type::Long => Ok(0),
        Type::Decimal { scale, .. } => Ok(*scale),
        Type::Float | Type::Double => Err(format!("`{reducer}` is exact, and {ty} is not: cast to numeric first")),
        other => Err(format!("`{reducer}` takes numbers, not {other}")),
    }
}

/// What an exact sum or average shows, and its type.
fn total(kind: Kind, ty: &Type) -> Result<(SumResult, Type), String> {
    let scale = scale(ty, if kind == Kind::Avg { "avg" } else { "sum" })?;
    let decimal = |scale| Type::Decimal { precision: 38, scale };
    Ok(match (kind, ty) {
        (Kind::Avg, _) => (SumResult::Average { scale }, decimal(AVERAGE_SCALE)),
        (_, Type::Int) => (SumResult::Long, Type::Long),
        _ => (SumResult::Decimal { scale }, decimal(scale)),
    })
}

/// What to write on rows that many partitions feed, or several topics, instead of a reducer that goes by the order of one
/// partition.
pub(super) fn instead(kind: Kind, of_topics: bool) -> String {
    let otherwise =
        if of_topics { "give each topic a column of its own" } else { "put the topic's key into the view's key" };
    let name = match kind {
        Kind::First => "first",
        Kind::List => {
            return format!("write `collect_set(…)`, which is in the order of the values, or {otherwise}");
        }
        _ => "last",
    };
    format!("write `{name}(… order by at)` with the event's time, or {otherwise}")
}

/// Why a reducer is not for rows that many partitions feed, nor for views over views; None where its order does not tell.
pub(super) fn not_associative(reducer: &Reducer) -> Option<&'static str> {
    match reducer {
        Reducer::FloatSum => Some("a sum of floating point"),
        Reducer::FloatAverage { .. } => Some("an average of floating point"),
        _ => None,
    }
}
