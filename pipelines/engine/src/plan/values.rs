//! The columns after the key of a view over events: each reducer, and what each event gives it.

use headwater_schemas::FieldType;

use super::columns::{self, Call, Kind};
use super::compile::Context;
use super::computed::{self, Reduced};
use super::events::{Draft, Feeding, With, compile_expr};
use super::metadata::Metadata;
use super::{Argument, OrderKey, Reducer, inputs, parts};
use crate::declare::{ColumnsDecl, Text};
use crate::expr::Ast;
use crate::table::{Column, StateColumn};
use crate::unknown;

/// By the events of `from`, then by the columns after the key.
pub(super) type Arguments = Vec<Vec<Option<Argument>>>;

/// The columns after the key: their types, reducers, and each event's arguments.
pub(super) fn value_columns(
    cx: &mut Context,
    draft: &Draft,
    key: &[Column],
    state: &mut Vec<StateColumn>,
) -> (Vec<Column>, Vec<Reducer>, Arguments) {
    let mut arguments: Arguments = draft.events.iter().map(|_| Vec::new()).collect();
    let declared = match &draft.decl.columns {
        ColumnsDecl::Computed(columns) => columns,
        ColumnsDecl::Copied(names) => {
            let span = names.first().map_or(&draft.decl.name.span, |name| &name.span);
            let help = "write `name: last(name)`".to_owned();
            cx.error(span, "a list of columns is for a view over a view".into(), "which reducer?", Some(help));
            let new = names.iter().filter(|name| !key.iter().any(|column| column.name == name.value));
            return (new.map(|name| unknown::named(&name.value)).collect(), Vec::new(), arguments);
        }
    };
    let mut columns = Vec::new();
    let mut reducers = Vec::new();
    for (name, text) in declared.iter().filter(|(name, _)| !key.iter().any(|column| column.name == name.value)) {
        // An empty text was reported.
        let column = if text.is_empty() { None } else { value_column(cx, draft, name, text, state) };
        let (reducer, ty, by_event) =
            column.unwrap_or_else(|| (Reducer::Last, unknown::ty(), draft.events.iter().map(|_| None).collect()));
        columns.push(Column { name: name.value.clone(), ty, doc: Some(text.value.clone()) });
        reducers.push(reducer);
        for (all, argument) in arguments.iter_mut().zip(by_event) {
            all.push(argument);
        }
    }
    (columns, reducers, arguments)
}

fn value_column(
    cx: &mut Context,
    draft: &Draft,
    name: &Text,
    text: &Text,
    state: &mut Vec<StateColumn>,
) -> Option<Reduced> {
    let call = match columns::read(cx, text) {
        columns::Column::Mistaken => return None,
        columns::Column::Computed(ast) => return computed_column(cx, draft, (name, text), &ast, state),
        columns::Column::Reducer(call) => call,
        // A column of the `with` row is what it was at the last event.
        columns::Column::Expression(ast) if reads_with(cx, draft, &ast) => {
            Call { kind: Kind::Last, arguments: vec![ast], filter: None, order: Vec::new() }
        }
        columns::Column::Expression(_) => {
            cx.error(
                &text.span,
                format!("column `{}` is not a reducer", name.value),
                "neither a reducer nor an expression over reducers",
                Some(format!("write `last({})`, `first(…)`, `count()` or `sum(…)`", text.value)),
            );
            return None;
        }
    };
    reduced(cx, draft, (name, text), &call, state)
}

/// A column that is an expression over reducers: of what one partition says, and evaluated at its events.
fn computed_column(
    cx: &mut Context,
    draft: &Draft,
    (name, text): (&Text, &Text),
    ast: &Ast,
    state: &mut Vec<StateColumn>,
) -> Option<Reduced> {
    let several = draft.topics.len() > 1;
    let mut topics = if several { parts::topics_of(cx, text, ast, &draft.events) } else { draft.topics.clone() };
    if topics.is_empty() {
        // Mistaken, which is said where it is compiled.
        topics.push(draft.topics[0]);
    }
    let feeding = draft.feeding(&topics);
    if feeding != Feeding::OnePartition {
        columns::refuse_computed(cx, text, feeding.called());
        return None;
    }
    let changing = draft.changing().into_iter().filter(|&event| topics.contains(&draft.events[event].id.topic));
    let reduce: computed::Reduce = &mut |cx, name, call, state| reduced(cx, draft, (name, text), call, state);
    let (reducer, mut ty, arguments) =
        computed::compile(cx, (name, text), ast, &changing.collect::<Vec<_>>(), state, reduce)?;
    // Another topic may have a part of the row where this one has none.
    ty.nullable |= several;
    Some((reducer, ty, arguments))
}

/// Refuses what depends on how partitions or topics interleave.
fn check_interleaving(cx: &mut Context, (name, text): (&Text, &Text), call: &Call, feeding: Feeding) -> Option<()> {
    if feeding == Feeding::OnePartition {
        return Some(());
    }
    if call.kind.goes_by_order() {
        let (who, why) = match feeding {
            Feeding::ManyTopics => ("topics", "events of several topics feed it"),
            _ => ("partitions", "the row is shared by many partitions"),
        };
        let message = format!("column `{}` depends on how {who} interleave", name.value);
        cx.error(&text.span, message, why, Some(columns::instead(call.kind, feeding == Feeding::ManyTopics)));
        return None;
    }
    let mut paths = call.order.iter().flat_map(|(order, _)| order.paths());
    let by_offset = paths.find(|(path, _)| is_offset(path));
    if let Some((_, range)) = by_offset {
        let message = format!("offsets of different partitions have no order, and the row is {}", feeding.called());
        cx.error(&text.part(range), message, "of one partition only", Some("order by the event's own time".into()));
        return None;
    }
    Some(())
}

/// A reducer's own state columns, its type and each event's argument.
fn reduced(
    cx: &mut Context,
    draft: &Draft,
    (name, text): (&Text, &Text),
    call: &Call,
    state: &mut Vec<StateColumn>,
) -> Option<Reduced> {
    let changing = draft.changing();
    let called: Vec<Vec<String>> = changing.iter().map(|&i| draft.events[i].called()).collect();
    let assigned = columns::assign(cx, text, call, &called)?;
    let topics = parts::fed_by(&draft.events, &changing, &assigned);
    // With one topic that is it, whichever of its events feed the column.
    let feeding = draft.feeding(if topics.is_empty() { &draft.topics } else { &topics });
    check_interleaving(cx, (name, text), call, feeding)?;
    let mut by_event: Vec<Option<Argument>> = draft.events.iter().map(|_| None).collect();
    let mut ty: Option<FieldType> = None;
    let mut sound = true;
    let reported = cx.reported();
    for (&event, argument) in changing.iter().zip(&assigned) {
        let Some(index) = *argument else { continue };
        by_event[event] = argument_of(cx, draft, event, text, call, index, &mut ty);
        sound &= by_event[event].is_some();
    }
    if !sound {
        // An event that gives no value may be one that deletes, if the roles are mistaken.
        if draft.doubtful && by_event.iter().any(Option::is_some) {
            cx.forget_since(reported);
        }
        return None;
    }
    if !columns::check_order(cx, text, &by_event.iter().flatten().collect::<Vec<_>>()) {
        return None;
    }
    let everywhere = assigned.iter().all(Option::is_some) && call.filter.is_none();
    let argument = ty.unwrap_or_else(|| FieldType::required(headwater_schemas::Type::Long));
    match columns::shape(call.kind, &name.value, &argument, everywhere, state) {
        Ok((reducer, ty)) => match columns::not_associative(&reducer).filter(|_| feeding != Feeding::OnePartition) {
            None => Some((reducer, ty, by_event)),
            Some(what) => {
                let row = if feeding == Feeding::ManyTopics { feeding.called() } else { "shared" };
                let message = format!("{what} depends on its order, and the row is {row}");
                cx.error(&text.span, message, "not associative", Some("cast to numeric first".into()));
                None
            }
        },
        Err(message) => {
            cx.error(&text.span, message, "of another type", None);
            None
        }
    }
}

/// One event's argument; `ty` gathers the type that holds every event's values.
fn argument_of(
    cx: &mut Context,
    draft: &Draft,
    event: usize,
    text: &Text,
    call: &Call,
    index: usize,
    ty: &mut Option<FieldType>,
) -> Option<Argument> {
    let value = match call.arguments.get(index) {
        None => None,
        Some(ast) => {
            let compiled = compile_expr(cx, draft, event, true, ast);
            cx.taken(text, compiled)
        }
    };
    let sound = value.is_some() == call.arguments.get(index).is_some();
    if let Some(value) = &value {
        *ty = Some(columns::one_type(cx, text, ty.as_ref(), &value.ty)?);
    }
    let filter = match &call.filter {
        None => None,
        Some(ast) => {
            let compiled = compile_expr(cx, draft, event, true, ast);
            Some(inputs::condition(cx, text, compiled)?)
        }
    };
    let mut order = Vec::new();
    for (ast, descending) in &call.order {
        let compiled = compile_expr(cx, draft, event, true, ast);
        order.push(OrderKey { expr: cx.taken(text, compiled)?, descending: *descending });
    }
    sound.then_some(Argument { value, filter, order, ..Argument::none() })
}

/// Whether an expression is a column of the `with` row.
fn reads_with(cx: &Context, draft: &Draft, ast: &Ast) -> bool {
    let Some(path) = ast.as_path().filter(|path| path.len() == 2) else { return false };
    match draft.with {
        With::View(with) => path[0] == cx.views[with].table.name,
        With::Unknown => true,
        With::None => false,
    }
}

/// Whether a path is the record's offset.
fn is_offset(path: &[String]) -> bool {
    path.last().is_some_and(|name| name == Metadata::Offset.name())
}
