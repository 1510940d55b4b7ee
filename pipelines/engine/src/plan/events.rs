//! Views fed by events: which event makes, changes or deletes which row.

use headwater_schemas::{FieldType, RecordType};

use super::columns::{self, Call, Kind};
use super::compile::{Context, EventId};
use super::computed::{self, Reduced};
use super::scope::EventScope;
use super::{Argument, EventInput, EventSource, Owner, Reducer, Role, Source, View, may_be_key};
use crate::declare::{ColumnsDecl, KeyEntry, Text, ViewDecl};
use crate::expr::{self, Ast, Expr};
use crate::source::{Span, suggestion};
use crate::table::{Column, Feeding, StateColumn, Table};
use crate::unknown;

/// A view in the making.
struct Draft<'d> {
    decl: &'d ViewDecl,
    topic: usize,
    events: Vec<Fed>,
    with: With,
    /// Something in `from`, `with`, the roles or the key is mistaken.
    doubtful: bool,
    /// A key column is called by the name of what it should be, and that is mistaken.
    misnamed: bool,
}

/// The view that this one stands beside.
#[derive(Clone, Copy, PartialEq)]
enum With {
    None,
    View(usize),
    /// There is no such view, which was reported.
    Unknown,
}

impl With {
    fn view(self) -> Option<usize> {
        match self {
            With::View(view) => Some(view),
            With::None | With::Unknown => None,
        }
    }
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

/// Compiles a view whose `from` lists events; `complete` unless some of them are not known.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, refs: &[(EventId, Span)], complete: bool) -> View {
    let topic = refs[0].0.topic;
    let mut doubtful = decl.unsound || !complete;
    if let Some((_, span)) = refs.iter().find(|(id, _)| id.topic != topic) {
        doubtful = true;
        cx.not_supported(
            span,
            "a view fed by several topics is not supported yet".into(),
            "an event of another topic",
            Some("declare one view a topic, and join them in a query".into()),
        );
    }
    let refs: Vec<_> = refs.iter().filter(|(id, _)| id.topic == topic).cloned().collect();
    let (events, sound) = roles(cx, decl, &refs, doubtful);
    doubtful |= !sound;
    let (with, sound) = with(cx, decl, topic, &events);
    doubtful |= !sound;
    let mut draft = Draft { decl, topic, events, with, doubtful, misnamed: false };
    let keys = keys(cx, &mut draft);
    let (key_columns, owner) = key_columns(cx, &mut draft, &keys);
    let mut state = Vec::new();
    let owned = owner.is_some() || draft.doubtful;
    let (mut columns, reducers, arguments) = value_columns(cx, &draft, &key_columns, owned, &mut state);
    check_shared(cx, &draft, owned);
    columns.extend((decl.unsound || draft.misnamed).then(unknown::any_column));

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
        fed: Feeding::ByOne,
        retain: None,
    };
    View {
        level: with.view().map_or(0, |with| cx.views[with].level + 1),
        owner,
        buckets: buckets(decl),
        deletes_partitions: draft.events.iter().any(|fed| fed.role == Role::DeletePartition),
        has_dependents: false,
        always: table.key_len() == 0,
        doubtful: draft.doubtful,
        in_parts: None,
        source: Source::Events(EventSource { topic, with: with.view(), inputs, reducers }),
        table,
    }
}

/// What each event does to a row. Deletions are `DeleteRow` until the key tells whether it names a row or a partition.
///
/// Also gives whether they are right; `doubtful` where not all events are known.
fn roles(cx: &mut Context, decl: &ViewDecl, refs: &[(EventId, Span)], doubtful: bool) -> (Vec<Fed>, bool) {
    let mut sound = true;
    for name in decl.create_when.iter().chain(&decl.delete_when) {
        if !decl.from.iter().any(|from| from.value == name.value) {
            sound = false;
            // An event of its own right may be the one that is mistaken in `from`.
            if doubtful {
                continue;
            }
            let help = suggestion(&name.value, decl.from.iter().map(|from| from.value.as_str()));
            let message = format!("event `{}` is not in `from:` of view `{}`", name.value, decl.name.value);
            cx.unknown(&name.span, message, "not one of the events read", help);
        }
    }
    if doubtful {
        // What is missing may be what is mistaken.
    } else if let ([first, ..], [], None) = (decl.delete_when.as_slice(), decl.create_when.as_slice(), &decl.with) {
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
    if sound && !doubtful && !events.iter().any(|fed| fed.role == Role::Create) {
        sound = false;
        cx.error(&decl.name.span, format!("no event makes a row of view `{}`", decl.name.value), "always empty", None);
    }
    (events, sound)
}

/// The view that this one stands beside, and whether it may.
fn with(cx: &mut Context, decl: &ViewDecl, topic: usize, events: &[Fed]) -> (With, bool) {
    let Some(name) = &decl.with else { return (if decl.unsound { With::Unknown } else { With::None }, true) };
    let Some(index) = cx.view(&name.value) else {
        if !cx.declared(&name.value) && !cx.events_missing {
            let help = suggestion(&name.value, cx.declared_views());
            cx.unknown(&name.span, format!("there is no view `{}`", name.value), "not declared here", help);
        }
        return (With::Unknown, false);
    };
    let view = &cx.views[index];
    let problem = match &view.source {
        _ if view.doubtful => return (With::View(index), false),
        Source::Events(_) if view.owner.is_none() => Some("its rows are shared by many partitions".into()),
        Source::Events(source) if source.topic != topic => Some("it is fed by another topic".into()),
        Source::Events(source) => events
            .iter()
            .find(|fed| fed.id.topic == topic && source.inputs[fed.id.event].is_none())
            .map(|fed| format!("it does not read event `{}`, so that event has no row there", fed.name)),
        _ if view.deletes_partitions => Some("whole partitions of it are deleted".into()),
        _ => Some("it is not fed by events".into()),
    };
    match problem {
        None => (With::View(index), true),
        Some(problem) => {
            cx.error(
                &name.span,
                format!("view `{}` cannot stand beside `{}`: {problem}", decl.name.value, name.value),
                "not readable at each event",
                Some("`with:` takes a view of the same topic, keyed by that topic's key, with the same events".into()),
            );
            (With::View(index), false)
        }
    }
}

/// Key expressions by event, and the parsed entries; None for one that is mistaken.
struct Keys {
    exprs: Vec<Vec<Expr>>,
    entries: Vec<(Text, Option<Ast>)>,
}

/// Compiles the key for each event, and settles which deletions name a whole partition.
fn keys(cx: &mut Context, draft: &mut Draft) -> Keys {
    let decl = draft.decl;
    let declared: Vec<&KeyEntry> =
        decl.key.partition.iter().chain(decl.key.clustering.iter().map(|(entry, _)| entry)).collect();
    let mut entries = Vec::new();
    for entry in &declared {
        let text = entry.expression.as_ref().or_else(|| column_text(decl, &entry.name)).unwrap_or(&entry.name);
        // An empty text was reported.
        let ast = if text.is_empty() { None } else { cx.parse(text) };
        draft.doubtful |= ast.is_none();
        entries.push((text.clone(), ast));
    }
    let mut exprs = Vec::new();
    for i in 0..draft.events.len() {
        let deletes = draft.events[i].role == Role::DeleteRow;
        let compile = |ast: &Option<Ast>| match ast {
            Some(ast) => compile_expr(cx, draft, i, !deletes, ast),
            None => Ok(Expr::unknown()),
        };
        let compiled: Vec<_> = entries.iter().map(|(_, ast)| compile(ast)).collect();
        let partition = decl.key.partition.len();
        // What is wrong with the partition's own columns is said of them.
        if deletes && compiled.iter().skip(partition).any(Result::is_err) {
            draft.events[i].role = Role::DeletePartition;
        }
        let wanted = if draft.events[i].role == Role::DeletePartition { partition } else { compiled.len() };
        let mut key = Vec::new();
        for (entry, ((text, _), compiled)) in declared.iter().zip(entries.iter().zip(compiled)).take(wanted) {
            draft.misnamed |= compiled.is_err() && *text == entry.name;
            let expr = cx.taken_or_unknown(text, compiled);
            draft.doubtful |= expr.is_unknown();
            key.push(expr);
        }
        exprs.push(key);
    }
    Keys { exprs, entries }
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
        with: draft.with.view().map(|with| &cx.views[with].table),
        with_readable,
        with_unknown: draft.with == With::Unknown,
    };
    expr::compile(ast, &scope)
}

fn record<'a>(cx: &'a Context, id: EventId) -> &'a RecordType {
    &cx.topics[id.topic].events[id.event].schema.record
}

/// The key's columns with one type each, and whether one partition owns each row.
fn key_columns(cx: &mut Context, draft: &mut Draft, keys: &Keys) -> (Vec<Column>, Option<Owner>) {
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
            if let (None, Some(ty)) = (&unified, &ty) {
                sound = false;
                let message = format!("key column `{}` has two types: {ty} and {found}", entry.name.value);
                cx.error(&entry.name.span, message, "the same in every event, please", None);
            }
            ty = unified.or(ty);
        }
        let ty = ty.unwrap_or_else(|| unknown::ty().ty);
        if !may_be_key(&ty) {
            sound = false;
            cx.error(&entry.name.span, format!("a key cannot hold {ty}"), "not a scalar", None);
        }
        columns.push(Column { name: entry.name.value.clone(), ty: FieldType::required(ty), doc: None });
    }
    draft.doubtful |= !sound;
    let owner = owner(cx, draft, keys);
    (columns, owner)
}

/// The row is owned where its key holds each field of the topic's key as it is, in every event.
fn owner(cx: &Context, draft: &Draft, keys: &Keys) -> Option<Owner> {
    let topic = &cx.topics[draft.topic];
    let with = draft.with.view().map(|with| &cx.views[with]);
    let columns = topic.key.iter().enumerate().map(|(i, field)| {
        keys.entries.iter().position(|(_, ast)| {
            let Some(path) = ast.as_ref().and_then(Ast::as_path) else { return false };
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
        let column = if text.is_empty() { None } else { value_column(cx, draft, name, text, owned, state) };
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
    owned: bool,
    state: &mut Vec<StateColumn>,
) -> Option<Reduced> {
    let call = match columns::read(cx, text) {
        columns::Column::Mistaken => return None,
        columns::Column::Computed(_) if !owned => {
            columns::refuse_computed(cx, text, "shared by many");
            return None;
        }
        columns::Column::Computed(ast) => {
            let changing = draft.changing();
            return computed::compile(cx, (name, text), &ast, &changing, state, &mut |cx, name, call, state| {
                reduced(cx, draft, (name, text), call, owned, state)
            });
        }
        columns::Column::Reducer(call) => call,
        // A column of the `with` row is what it was at the last event.
        columns::Column::Expression(ast) if reads_with(cx, draft, &ast) => {
            Call { kind: Kind::Last, arguments: vec![ast], filter: None, order: None }
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
    reduced(cx, draft, (name, text), &call, owned, state)
}

/// A reducer's own state columns, its type and each event's argument.
fn reduced(
    cx: &mut Context,
    draft: &Draft,
    (name, text): (&Text, &Text),
    call: &Call,
    owned: bool,
    state: &mut Vec<StateColumn>,
) -> Option<Reduced> {
    if !owned && call.kind.goes_by_order() {
        cx.error(
            &text.span,
            format!("column `{}` depends on how partitions interleave", name.value),
            "the row is shared by many partitions",
            Some(columns::instead_on_shared(call.kind)),
        );
        return None;
    }
    let changing = draft.changing();
    let events: Vec<(EventId, String)> =
        changing.iter().map(|&i| (draft.events[i].id, draft.events[i].name.clone())).collect();
    let assigned = columns::assign(cx, text, call, &events)?;
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
    if !columns::check_order(cx, text, by_event.iter().flatten()) {
        return None;
    }
    let everywhere = assigned.iter().all(Option::is_some) && call.filter.is_none();
    let argument = ty.unwrap_or_else(|| FieldType::required(headwater_schemas::Type::Long));
    match columns::shape(call.kind, &name.value, &argument, everywhere, state) {
        Ok((reducer, ty)) => match columns::not_associative(&reducer).filter(|_| !owned) {
            None => Some((reducer, ty, by_event)),
            Some(what) => {
                let message = format!("{what} depends on its order, and the row is shared");
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
    let mut taken = |ast: &Option<Ast>| match ast {
        None => Some(None),
        Some(ast) => {
            let compiled = compile_expr(cx, draft, event, true, ast);
            cx.taken(text, compiled).map(Some)
        }
    };
    let (filter, order) = (taken(&call.filter)?, taken(&call.order)?);
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

/// What a shared row may not have.
fn check_shared(cx: &mut Context, draft: &Draft, owned: bool) {
    if let Some(event) = draft.decl.delete_when.first().filter(|_| !owned) {
        let name = &draft.decl.name.value;
        let message = format!("rows of view `{name}` are shared by many partitions, so none may delete them");
        let help = "put the topic's key into the view's key".to_owned();
        cx.error(&event.span, message, "deletes a shared row", Some(help));
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
