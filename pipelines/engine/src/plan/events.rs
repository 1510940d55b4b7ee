//! Views fed by events: which event makes, changes or deletes which row.

use headwater_schemas::{FieldType, RecordType};

use super::columns::{self, Call, Kind};
use super::compile::{Context, EventId};
use super::scope::EventScope;
use super::{Argument, EventInput, EventSource, Owner, Reducer, Role, Source, View, may_be_key};
use crate::declare::{ColumnsDecl, KeyEntry, Text, ViewDecl};
use crate::expr::{self, Ast, Expr};
use crate::source::{Span, suggestion};
use crate::table::{Column, StateColumn, Table};

/// A view in the making.
struct Draft<'d> {
    decl: &'d ViewDecl,
    topic: usize,
    events: Vec<Fed>,
    with: Option<usize>,
}

/// An event in `from`.
struct Fed {
    id: EventId,
    name: String,
    role: Role,
}

impl Draft<'_> {
    /// The events that make or change a row.
    fn changing(&self) -> Vec<usize> {
        (0..self.events.len()).filter(|&i| matches!(self.events[i].role, Role::Create | Role::Change)).collect()
    }
}

/// Compiles a view whose `from` lists events.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, refs: &[(EventId, Span)]) -> Option<View> {
    let topic = refs[0].0.topic;
    if let Some((_, span)) = refs.iter().find(|(id, _)| id.topic != topic) {
        cx.error(
            span,
            "a view fed by several topics is not supported yet".into(),
            "an event of another topic",
            Some("declare one view a topic, and join them in a query".into()),
        );
        return None;
    }
    let events = roles(cx, decl, refs)?;
    let with = with(cx, decl, topic, &events)?;
    let mut draft = Draft { decl, topic, events, with };
    let keys = keys(cx, &mut draft)?;
    let (key_columns, owner) = key_columns(cx, &draft, &keys)?;
    let mut state = Vec::new();
    let (columns, reducers, arguments) = value_columns(cx, &draft, &key_columns, owner.is_some(), &mut state)?;
    check_shared(cx, &draft, owner.is_some())?;

    let mut inputs: Vec<Option<EventInput>> = (0..cx.topics[topic].events.len()).map(|_| None).collect();
    let mut arguments = arguments.into_iter();
    for (fed, key) in draft.events.iter().zip(keys.exprs) {
        let arguments = arguments.next().unwrap_or_default();
        inputs[fed.id.event] = Some(EventInput { role: fed.role, key, arguments });
    }
    let table = Table {
        name: decl.name.value.clone(),
        doc: decl.doc.clone(),
        columns: key_columns.into_iter().chain(columns).collect(),
        partition: decl.key.partition.len(),
        clustering: decl.key.clustering.iter().map(|(_, direction)| *direction).collect(),
        state,
        shared: owner.is_none(),
    };
    Some(View {
        level: with.map_or(0, |with| cx.views[with].level + 1),
        owner,
        buckets: buckets(decl),
        deletes_partitions: draft.events.iter().any(|fed| fed.role == Role::DeletePartition),
        has_dependents: false,
        always: table.key_len() == 0,
        source: Source::Events(EventSource { topic, with, inputs, reducers }),
        table,
    })
}

/// What each event does to a row. Deletions are `DeleteRow` until the key tells whether it names a row or a partition.
fn roles(cx: &mut Context, decl: &ViewDecl, refs: &[(EventId, Span)]) -> Option<Vec<Fed>> {
    let mut sound = true;
    for name in decl.create_when.iter().chain(&decl.delete_when) {
        if !decl.from.iter().any(|from| from.value == name.value) {
            sound = false;
            let help = suggestion(&name.value, decl.from.iter().map(|from| from.value.as_str()));
            let message = format!("event `{}` is not in `from:` of view `{}`", name.value, decl.name.value);
            cx.error(&name.span, message, "not one of the events read", help);
        }
    }
    if let ([first, ..], [], None) = (decl.delete_when.as_slice(), decl.create_when.as_slice(), &decl.with) {
        sound = false;
        cx.error(
            &first.span,
            format!("view `{}` deletes rows but does not say which event makes one", decl.name.value),
            "a late event after this one would raise a phantom row",
            Some("add `create_when:` with the event that makes a row".into()),
        );
    }
    let named = |names: &[Text], event: &str| names.iter().any(|name| name.value == event);
    let mut events: Vec<Fed> = Vec::new();
    for (id, span) in refs {
        let name = cx.topics[id.topic].events[id.event].name.clone();
        let role = if named(&decl.delete_when, &name) {
            Role::DeleteRow
        } else if decl.create_when.is_empty() || named(&decl.create_when, &name) {
            Role::Create
        } else {
            Role::Change
        };
        if named(&decl.delete_when, &name) && named(&decl.create_when, &name) {
            sound = false;
            cx.error(span, format!("event `{name}` both makes and deletes a row"), "in both lists", None);
        }
        if events.iter().any(|fed| fed.id == *id) {
            sound = false;
            cx.error(span, format!("event `{name}` is named twice"), "already read", None);
        }
        events.push(Fed { id: *id, name, role });
    }
    if sound && !events.iter().any(|fed| fed.role == Role::Create) {
        sound = false;
        cx.error(&decl.name.span, format!("no event makes a row of view `{}`", decl.name.value), "always empty", None);
    }
    sound.then_some(events)
}

/// The view that this one stands beside.
fn with(cx: &mut Context, decl: &ViewDecl, topic: usize, events: &[Fed]) -> Option<Option<usize>> {
    let Some(name) = &decl.with else { return Some(None) };
    let Some(index) = cx.view(&name.value) else {
        if !cx.declared(&name.value) {
            let help = suggestion(&name.value, cx.declared_views());
            cx.error(&name.span, format!("there is no view `{}`", name.value), "not declared here", help);
        }
        return None;
    };
    let view = &cx.views[index];
    let problem = match &view.source {
        Source::Events(_) if view.owner.is_none() => Some("its rows are shared by many partitions".into()),
        Source::Events(source) if source.topic != topic => Some("it is fed by another topic".into()),
        Source::Events(source) => events
            .iter()
            .find(|fed| source.inputs[fed.id.event].is_none())
            .map(|fed| format!("it does not read event `{}`, so that event has no row there", fed.name)),
        _ if view.deletes_partitions => Some("whole partitions of it are deleted".into()),
        _ => Some("it is not fed by events".into()),
    };
    match problem {
        None => Some(Some(index)),
        Some(problem) => {
            cx.error(
                &name.span,
                format!("view `{}` cannot stand beside `{}`: {problem}", decl.name.value, name.value),
                "not readable at each event",
                Some("`with:` takes a view of the same topic, keyed by that topic's key, with the same events".into()),
            );
            None
        }
    }
}

/// Key expressions by event, and the parsed entries.
struct Keys {
    exprs: Vec<Vec<Expr>>,
    entries: Vec<(Text, Ast)>,
}

/// Compiles the key for each event, and settles which deletions name a whole partition.
fn keys(cx: &mut Context, draft: &mut Draft) -> Option<Keys> {
    let decl = draft.decl;
    let declared: Vec<&KeyEntry> =
        decl.key.partition.iter().chain(decl.key.clustering.iter().map(|(entry, _)| entry)).collect();
    let mut entries = Vec::new();
    for entry in &declared {
        let text = entry.expression.as_ref().or_else(|| column_text(decl, &entry.name)).unwrap_or(&entry.name);
        entries.push((text.clone(), cx.parse(text)?));
    }
    let mut exprs = Vec::new();
    let mut sound = true;
    for i in 0..draft.events.len() {
        let deletes = draft.events[i].role == Role::DeleteRow;
        let compiled: Vec<_> = entries.iter().map(|(_, ast)| compile_expr(cx, draft, i, !deletes, ast)).collect();
        let partition = decl.key.partition.len();
        if deletes
            && compiled.iter().skip(partition).any(Result::is_err)
            && compiled.iter().take(partition).all(Result::is_ok)
        {
            draft.events[i].role = Role::DeletePartition;
        }
        let wanted = if draft.events[i].role == Role::DeletePartition { partition } else { compiled.len() };
        let mut key = Vec::new();
        for ((text, _), compiled) in entries.iter().zip(compiled).take(wanted) {
            match cx.taken(text, compiled) {
                Some(expr) => key.push(expr),
                None => sound = false,
            }
        }
        exprs.push(key);
    }
    sound.then_some(Keys { exprs, entries })
}

/// The declared expression of a column that is also in the key.
fn column_text<'d>(decl: &'d ViewDecl, name: &Text) -> Option<&'d Text> {
    match &decl.columns {
        ColumnsDecl::Computed(columns) => {
            columns.iter().find(|(column, _)| column.value == name.value).map(|(_, text)| text)
        }
        ColumnsDecl::Copied(_) => None,
    }
}

fn compile_expr(
    cx: &Context,
    draft: &Draft,
    event: usize,
    with_readable: bool,
    ast: &Ast,
) -> Result<Expr, Vec<expr::ExprError>> {
    let fed = &draft.events[event];
    let scope = EventScope {
        event: &fed.name,
        record: record(cx, fed.id),
        needed: cx.needed(fed.id),
        with: draft.with.map(|with| &cx.views[with].table),
        with_readable,
    };
    expr::compile(ast, &scope)
}

fn record<'a>(cx: &'a Context, id: EventId) -> &'a RecordType {
    &cx.topics[id.topic].events[id.event].schema.record
}

/// The key's columns with one type each, and whether one partition owns each row.
fn key_columns(cx: &mut Context, draft: &Draft, keys: &Keys) -> Option<(Vec<Column>, Option<Owner>)> {
    let decl = draft.decl;
    let names = decl.key.partition.iter().chain(decl.key.clustering.iter().map(|(entry, _)| entry));
    let mut columns = Vec::new();
    let mut sound = true;
    for (i, entry) in names.enumerate() {
        let mut ty: Option<headwater_schemas::Type> = None;
        for event in draft.changing() {
            let found = &keys.exprs[event][i].ty.ty;
            let unified = match &ty {
                None => Some(found.clone()),
                Some(ty) => columns::unify(ty, found),
            };
            if unified.is_none() {
                sound = false;
                let message = format!("key column `{}` has two types: {} and {found}", entry.name.value, ty.as_ref()?);
                cx.error(&entry.name.span, message, "the same in every event, please", None);
            }
            ty = unified.or(ty);
        }
        let ty = ty?;
        if !may_be_key(&ty) {
            sound = false;
            cx.error(&entry.name.span, format!("a key cannot hold {ty}"), "not a scalar", None);
        }
        if columns.iter().any(|column: &Column| column.name == entry.name.value) {
            sound = false;
            cx.error(
                &entry.name.span,
                format!("`{}` is in the key twice", entry.name.value),
                "already a key column",
                None,
            );
        }
        columns.push(Column { name: entry.name.value.clone(), ty: FieldType::required(ty), doc: None });
    }
    sound.then(|| (columns, owner(cx, draft, keys)))
}

/// The row is owned where its key holds each field of the topic's key as it is, in every event.
fn owner(cx: &Context, draft: &Draft, keys: &Keys) -> Option<Owner> {
    let topic = &cx.topics[draft.topic];
    let with = draft.with.map(|with| &cx.views[with]);
    let columns = topic.key.iter().enumerate().map(|(i, field)| {
        keys.entries.iter().position(|(_, ast)| {
            let Some(path) = ast.as_path() else { return false };
            match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                [name] => name == field,
                [view, column] => with.is_some_and(|with| {
                    let owned = with.owner.as_ref().and_then(|owner| owner.columns.get(i));
                    *view == with.table.name && owned.is_some_and(|&c| with.table.columns[c].name == *column)
                }),
                _ => false,
            }
        })
    });
    Some(Owner { topic: draft.topic, columns: columns.collect::<Option<_>>()? })
}

type Arguments = Vec<Vec<Option<Argument>>>;

/// The columns after the key: their types, reducers, and each event's arguments.
fn value_columns(
    cx: &mut Context,
    draft: &Draft,
    key: &[Column],
    owned: bool,
    state: &mut Vec<StateColumn>,
) -> Option<(Vec<Column>, Vec<Reducer>, Arguments)> {
    let declared = match &draft.decl.columns {
        ColumnsDecl::Computed(columns) => columns,
        ColumnsDecl::Copied(names) => {
            let span = names.first().map_or(&draft.decl.name.span, |name| &name.span);
            let help = "write `name: last(name)`".to_owned();
            cx.error(span, "a list of columns is for a view over a view".into(), "which reducer?", Some(help));
            return None;
        }
    };
    let mut columns = Vec::new();
    let mut reducers = Vec::new();
    let mut arguments: Arguments = draft.events.iter().map(|_| Vec::new()).collect();
    let mut sound = true;
    for (name, text) in declared.iter().filter(|(name, _)| !key.iter().any(|column| column.name == name.value)) {
        let Some((reducer, ty, by_event)) = value_column(cx, draft, name, text, owned, state) else {
            sound = false;
            continue;
        };
        columns.push(Column { name: name.value.clone(), ty, doc: Some(text.value.clone()) });
        reducers.push(reducer);
        for (all, argument) in arguments.iter_mut().zip(by_event) {
            all.push(argument);
        }
    }
    sound.then_some((columns, reducers, arguments))
}

fn value_column(
    cx: &mut Context,
    draft: &Draft,
    name: &Text,
    text: &Text,
    owned: bool,
    state: &mut Vec<StateColumn>,
) -> Option<(Reducer, FieldType, Vec<Option<Argument>>)> {
    let call = match columns::read(cx, text) {
        columns::Column::Mistaken => return None,
        columns::Column::Reducer(call) => call,
        // A column of the `with` row is what it was at the last event.
        columns::Column::Expression(ast) if reads_with(cx, draft, &ast) => {
            Call { kind: Kind::Last, arguments: vec![ast], filter: None }
        }
        columns::Column::Expression(_) => {
            cx.error(
                &text.span,
                format!("column `{}` is not a reducer", name.value),
                "an expression over reducers is not supported yet",
                Some(format!("write `last({})`, `first(…)`, `count()` or `sum(…)`", text.value)),
            );
            return None;
        }
    };
    if !owned && matches!(call.kind, Kind::Last | Kind::First) {
        cx.error(
            &text.span,
            format!("column `{}` depends on how partitions interleave", name.value),
            "the row is shared by many partitions",
            Some("put the topic's key into the view's key, or use `count` or `sum`".into()),
        );
        return None;
    }
    let changing = draft.changing();
    let events: Vec<(EventId, String)> =
        changing.iter().map(|&i| (draft.events[i].id, draft.events[i].name.clone())).collect();
    let assigned = columns::assign(cx, text, &call, &events)?;
    let mut by_event: Vec<Option<Argument>> = draft.events.iter().map(|_| None).collect();
    let mut ty: Option<FieldType> = None;
    for (&event, argument) in changing.iter().zip(&assigned) {
        let Some(index) = *argument else { continue };
        by_event[event] = Some(argument_of(cx, draft, event, text, &call, index, &mut ty)?);
    }
    let everywhere = assigned.iter().all(Option::is_some) && call.filter.is_none();
    let argument = ty.unwrap_or_else(|| FieldType::required(headwater_schemas::Type::Long));
    match columns::shape(call.kind, &name.value, &argument, everywhere, state) {
        Ok((Reducer::FloatSum, _)) if !owned => {
            let message = "a sum of floating point depends on its order, and the row is shared";
            cx.error(&text.span, message.into(), "not associative", Some("cast to numeric first".into()));
            None
        }
        Ok((reducer, ty)) => Some((reducer, ty, by_event)),
        Err(message) => {
            cx.error(&text.span, message, "not a number", None);
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
            Some(cx.taken(text, compiled)?)
        }
    };
    if let Some(value) = &value {
        let unified = match ty.as_ref() {
            None => Some(value.ty.clone()),
            Some(so_far) => columns::unify(&so_far.ty, &value.ty.ty)
                .map(|ty| FieldType { ty, nullable: so_far.nullable || value.ty.nullable }),
        };
        if unified.is_none() {
            let other = ty.as_ref().map(|ty| ty.ty.to_string()).unwrap_or_default();
            let message = format!("events give two types: {other} and {}", value.ty.ty);
            cx.error(&text.span, message, "one type a column", Some("cast one of them".into()));
            return None;
        }
        *ty = unified;
    }
    let filter = match &call.filter {
        None => None,
        Some(ast) => {
            let compiled = compile_expr(cx, draft, event, true, ast);
            Some(cx.taken(text, compiled)?)
        }
    };
    Some(Argument { value, filter })
}

/// Whether an expression is a column of the `with` row.
fn reads_with(cx: &Context, draft: &Draft, ast: &Ast) -> bool {
    let (Some(path), Some(with)) = (ast.as_path(), draft.with) else { return false };
    path.len() == 2 && path[0] == cx.views[with].table.name
}

/// What a shared row may not have.
fn check_shared(cx: &mut Context, draft: &Draft, owned: bool) -> Option<()> {
    match draft.decl.delete_when.first() {
        Some(event) if !owned => {
            cx.error(
                &event.span,
                format!(
                    "rows of view `{}` are shared by many partitions, so none may delete them",
                    draft.decl.name.value
                ),
                "deletes a shared row",
                Some("put the topic's key into the view's key".into()),
            );
            None
        }
        _ => Some(()),
    }
}

/// The unit of each key column declared as `date_trunc('unit', …)`.
pub(super) fn buckets(decl: &ViewDecl) -> Vec<Option<String>> {
    let entries = decl.key.partition.iter().chain(decl.key.clustering.iter().map(|(entry, _)| entry));
    entries
        .map(|entry| {
            let text = entry.expression.as_ref()?.value.trim_start().strip_prefix("date_trunc")?;
            let unit = text.trim_start().strip_prefix('(')?.trim_start().strip_prefix('\'')?;
            Some(unit.split('\'').next()?.to_owned())
        })
        .collect()
}
