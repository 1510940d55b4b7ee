//! Views fed by events: which event makes, changes or deletes which row.

use headwater_schemas::FieldType;

use super::columns::{self, Call, Kind};
use super::compile::{Context, EventId};
use super::computed::{self, Reduced};
use super::inputs::{self, Fed};
use super::metadata::Metadata;
use super::scope::EventScope;
use super::{Argument, EventInput, EventSource, Owner, Reducer, Role, Source, View, may_be_key};
use crate::declare::{ColumnsDecl, InputDecl, KeyEntry, Text, ViewDecl};
use crate::expr::{self, Ast, Expr};
use crate::source::suggestion;
use crate::table::{Column, Feeding, StateColumn, Table};
use crate::unknown;

/// A view in the making.
struct Draft<'d> {
    decl: &'d ViewDecl,
    topic: usize,
    /// In the order of the aliases.
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

impl Draft<'_> {
    /// The events that make or change a row.
    fn changing(&self) -> Vec<usize> {
        (0..self.events.len()).filter(|&i| self.events[i].changes()).collect()
    }
}

/// Compiles a view whose `from` lists events; `complete` unless some of them are not known.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, refs: &[(EventId, &InputDecl)], complete: bool) -> View {
    let topic = refs[0].0.topic;
    let mut doubtful = decl.unsound || !complete;
    if let Some((_, input)) = refs.iter().find(|(id, _)| id.topic != topic) {
        doubtful = true;
        cx.not_supported(
            &input.source.span,
            "a view fed by several topics is not supported yet".into(),
            "an event of another topic",
            Some("declare one view a topic, and join them in a query".into()),
        );
    }
    let refs: Vec<_> = refs.iter().filter(|(id, _)| id.topic == topic).cloned().collect();
    let (events, sound) = inputs::read(cx, decl, &refs, doubtful);
    doubtful |= !sound || events.iter().any(|fed| fed.names.doubtful);
    let (with, sound) = with(cx, decl, topic, &events);
    doubtful |= !sound;
    let mut draft = Draft { decl, topic, events, with, doubtful, misnamed: false };
    filters(cx, &mut draft, &refs);
    let keys = keys(cx, &mut draft);
    let (key_columns, owner) = key_columns(cx, &mut draft, &keys);
    let mut state = Vec::new();
    let owned = owner.is_some() || draft.doubtful;
    let (mut columns, reducers, arguments) = value_columns(cx, &draft, &key_columns, owned, &mut state);
    check_creations(cx, &draft, owner.as_ref());
    check_deletions(cx, &draft, owner.as_ref());
    columns.extend((decl.unsound || draft.misnamed).then(unknown::any_column));

    let mut inputs: Vec<Vec<EventInput>> = (0..=cx.topics[topic].events.len()).map(|_| Vec::new()).collect();
    let mut arguments = arguments.into_iter();
    let base = with.view().map_or(0, |with| cx.views[with].table.columns.len());
    let deletes_partitions = draft.events.iter().any(|fed| fed.role == Role::DeletePartition);
    for (fed, key) in draft.events.into_iter().zip(keys.exprs) {
        let arguments = arguments.next().unwrap_or_default();
        let each = fed.each(base);
        inputs[fed.id.event].push(EventInput { role: fed.role, filter: fed.filter, each, key, arguments });
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
        // After what drops repeats.
        level: with.view().map_or(usize::from(cx.topics[topic].deduplicate.is_some()), |with| cx.views[with].level + 1),
        owner,
        buckets: buckets(decl),
        deletes_partitions,
        has_dependents: false,
        always: table.key_len() == 0,
        doubtful: draft.doubtful,
        in_parts: None,
        source: Source::Events(EventSource { topic, with: with.view(), inputs, reducers }),
        table,
    }
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
            .filter(|fed| fed.id.topic == topic)
            .find_map(|fed| not_beside(&source.inputs[fed.id.event], &fed.name)),
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

/// Why an event with these inputs has not always one row.
fn not_beside(inputs: &[EventInput], event: &str) -> Option<String> {
    match inputs {
        [] => Some(format!("it does not read event `{event}`, so that event has no row there")),
        [input] if input.is_plain() => None,
        _ => Some(format!("event `{event}` has several rows there, or not always one")),
    }
}

/// Compiles what each alias takes of its event: only where its `where` holds.
fn filters(cx: &mut Context, draft: &mut Draft, refs: &[(EventId, &InputDecl)]) {
    for (i, (_, input)) in refs.iter().enumerate() {
        let Some(text) = &input.filter else { continue };
        let filter = cx.parse(text).and_then(|ast| {
            let readable = draft.events[i].changes();
            let compiled = expr::compile(&ast, &scope(cx, draft, i, readable));
            inputs::condition(cx, text, compiled)
        });
        draft.doubtful |= filter.is_none();
        draft.events[i].filter = filter;
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
    expr::compile(ast, &scope(cx, draft, event, with_readable))
}

/// The names that the expressions of an input may use.
fn scope<'a>(cx: &'a Context, draft: &'a Draft, event: usize, with_readable: bool) -> EventScope<'a> {
    let fed = &draft.events[event];
    EventScope {
        event: &fed.name,
        alias: fed.alias.as_deref(),
        record: cx.record(fed.id),
        needed: cx.needed(fed.id),
        renames: &fed.names.renames,
        element: fed.names.element.as_ref(),
        with: draft.with.view().map(|with| &cx.views[with].table),
        with_readable,
        with_unknown: draft.with == With::Unknown,
    }
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
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let of_with = |with: &View, column: &str| {
                let owned = with.owner.as_ref().and_then(|owner| owner.columns.get(i));
                owned.is_some_and(|&c| with.table.columns[c].name == column)
            };
            match (path.as_slice(), with) {
                ([view, column], Some(with)) if *view == with.table.name => of_with(with, column),
                _ => (0..draft.events.len())
                    .all(|event| scope(cx, draft, event, false).event_field(&path) == Some(field)),
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
    let by_offset = call.order.as_ref().and_then(|order| order.paths().into_iter().find(|(path, _)| is_offset(path)));
    if let Some((_, range)) = by_offset.filter(|_| !owned) {
        let message = "offsets of different partitions have no order, and the row is shared by many".to_owned();
        cx.error(&text.part(range), message, "of one partition only", Some("order by the event's own time".into()));
        return None;
    }
    let changing = draft.changing();
    let called: Vec<Vec<String>> = changing.iter().map(|&i| draft.events[i].called()).collect();
    let assigned = columns::assign(cx, text, call, &called)?;
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
        *ty = Some(columns::one_type(cx, text, ty.as_ref(), &value.ty)?);
    }
    let filter = match &call.filter {
        None => None,
        Some(ast) => {
            let compiled = compile_expr(cx, draft, event, true, ast);
            Some(inputs::condition(cx, text, compiled)?)
        }
    };
    let order = match &call.order {
        None => None,
        Some(ast) => {
            let compiled = compile_expr(cx, draft, event, true, ast);
            Some(cx.taken(text, compiled)?)
        }
    };
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

/// Whether a shared row is there yet is not for one of its partitions to say: an event that changes rows and makes none would
/// count or not, as partitions interleave.
fn check_creations(cx: &mut Context, draft: &Draft, owner: Option<&Owner>) {
    let Some(place) = draft.decl.create_when.first() else { return };
    let changes = draft.events.iter().find(|fed| fed.role == Role::Change);
    let (None, Some(changes), false) = (owner, changes, draft.doubtful) else { return };
    // Of a view that also deletes, that is what is wrong.
    if !draft.decl.delete_when.is_empty() {
        return;
    }
    let (name, event) = (&draft.decl.name.value, changes.alias.as_ref().unwrap_or(&changes.name));
    let message = format!("whether `{event}` finds a row of view `{name}` depends on how partitions interleave");
    let help = "leave `create_when` out, or put the topic's key into the view's key".to_owned();
    cx.error(&place.span, message, "the rows are shared by many partitions", Some(help));
}

/// What deletions may not do.
fn check_deletions(cx: &mut Context, draft: &Draft, owner: Option<&Owner>) {
    let Some(place) = draft.decl.delete_when.first().map(|event| event.span.clone()) else { return };
    let name = &draft.decl.name.value;
    let help = "put the topic's key into the view's key".to_owned();
    let Some(owner) = owner else {
        if !draft.doubtful {
            let message = format!("rows of view `{name}` are shared by many partitions, so none may delete them");
            cx.error(&place, message, "deletes a shared row", Some(help));
        }
        return;
    };
    let Some(deletion) = draft.events.iter().find(|fed| fed.role == Role::DeletePartition) else { return };
    let partition = draft.decl.key.partition.len();
    if owner.columns.iter().any(|&column| column >= partition) && !draft.doubtful {
        let message =
            format!("`{}` would delete rows of view `{name}` that other keys of the topic make", deletion.name);
        let help = "put the topic's key into the view's partition key".to_owned();
        cx.error(&place, message, "deletes a whole partition", Some(help));
    }
    // A partition's deletion and a row's making at one offset: which was first is not known to every store.
    let also = |fed: &&Fed| fed.id == deletion.id && fed.role != Role::DeletePartition;
    if let Some(also) = draft.events.iter().find(also) {
        let alias = also.alias.as_ref().unwrap_or(&also.name);
        let message = format!("`{}` deletes a whole partition, and as `{alias}` touches rows as well", deletion.name);
        let help = "let one event do the one, and another the other".to_owned();
        cx.error(&place, message, "deletes a whole partition", Some(help));
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

/// Whether a path is the record's offset.
fn is_offset(path: &[String]) -> bool {
    path.last().is_some_and(|name| name == Metadata::Offset.name())
}
