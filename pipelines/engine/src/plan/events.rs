//! Views fed by events: which event makes, changes or deletes which row.

use headwater_schemas::FieldType;

use super::columns;
use super::compile::{Context, EventId};
use super::inputs::{self, Fed};
use super::scope::EventScope;
use super::values::{Arguments, value_columns};
use super::{EventInput, EventSource, Owner, Reducer, Role, Source, TopicSource, View, may_be_key, parts};
use crate::declare::{ColumnsDecl, InputDecl, KeyEntry, Text, ViewDecl};
use crate::expr::{self, Ast, Expr};
use crate::source::suggestion;
use crate::table::{self, Column, Table};
use crate::unknown;

/// A view in the making.
pub(super) struct Draft<'d> {
    pub(super) decl: &'d ViewDecl,
    /// One as a rule, ascending.
    pub(super) topics: Vec<usize>,
    /// By these: what makes one partition feed each row, or each part of one.
    owners: Vec<Option<Owner>>,
    /// In the order of the aliases.
    pub(super) events: Vec<Fed>,
    pub(super) with: With,
    /// Something in `from`, `with`, the roles or the key is mistaken.
    pub(super) doubtful: bool,
    /// A key column is called by the name of what it should be, and that is mistaken.
    misnamed: bool,
}

/// The view that this one stands beside.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum With {
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
    pub(super) fn changing(&self) -> Vec<usize> {
        (0..self.events.len()).filter(|&i| self.events[i].changes()).collect()
    }

    /// The topic whose keys and deletions rows go by: the one there is, or of several the one that makes them, if one does.
    fn making(&self) -> Option<usize> {
        match self.topics.as_slice() {
            [topic] => Some(*topic),
            _ => parts::making(self.decl, &self.events),
        }
    }

    fn owner_of(&self, topic: usize) -> Option<&Owner> {
        let index = self.topics.iter().position(|of| *of == topic)?;
        self.owners.get(index)?.as_ref()
    }

    /// Who feeds what events of these topics say.
    pub(super) fn feeding(&self, topics: &[usize]) -> Feeding {
        match topics {
            _ if self.doubtful => Feeding::OnePartition,
            [topic] if self.owner_of(*topic).is_some() => Feeding::OnePartition,
            [_] => Feeding::ManyPartitions,
            _ => Feeding::ManyTopics,
        }
    }
}

/// Who says what a column holds.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Feeding {
    OnePartition,
    ManyPartitions,
    ManyTopics,
}

impl Feeding {
    pub(super) fn called(self) -> &'static str {
        match self {
            Feeding::OnePartition => "of one partition",
            Feeding::ManyPartitions => "shared by many",
            Feeding::ManyTopics => "fed by several topics",
        }
    }
}

/// Compiles a view whose `from` lists events; `complete` unless some of them are not known.
pub(super) fn compile(cx: &mut Context, decl: &ViewDecl, refs: &[(EventId, &InputDecl)], complete: bool) -> View {
    let mut topics: Vec<usize> = refs.iter().map(|(id, _)| id.topic).collect();
    topics.sort_unstable();
    topics.dedup();
    let mut doubtful = decl.unsound || !complete;
    let (mut events, sound) = inputs::read(cx, decl, refs, doubtful);
    doubtful |= !sound || events.iter().any(|fed| fed.names.doubtful);
    if topics.len() > 1 && !doubtful {
        doubtful = !parts::roles(cx, decl, &mut events);
    }
    let (with, sound) = with(cx, decl, &topics, &events);
    doubtful |= !sound;
    let mut draft = Draft { decl, topics, owners: Vec::new(), events, with, doubtful, misnamed: false };
    filters(cx, &mut draft, refs);
    let keys = keys(cx, &mut draft);
    let key_columns = key_columns(cx, &mut draft, &keys);
    draft.owners = draft.topics.iter().map(|&topic| owner(cx, &draft, topic, &keys)).collect();
    let mut state = Vec::new();
    let (mut columns, reducers, arguments) = value_columns(cx, &draft, &key_columns, &mut state);
    check_creations(cx, &draft);
    check_deletions(cx, &draft);
    columns.extend((decl.unsound || draft.misnamed).then(unknown::any_column));

    let deletes_partitions = draft.events.iter().any(|fed| fed.role == Role::DeletePartition);
    let making = draft.making();
    let mut source = source(cx, &mut draft, keys, arguments, reducers);
    if let Some(topic) = making.filter(|_| source.topics.len() > 1 && !key_columns.is_empty() && !draft.doubtful) {
        source.making = parts::making_of(topic, &source, &mut state);
        parts::check(cx, decl, &source, &key_columns);
    }
    let level = match with.view() {
        Some(with) => cx.views[with].level + 1,
        // After what drops repeats.
        None => usize::from(draft.topics.iter().any(|&topic| cx.topics[topic].deduplicate.is_some())),
    };
    let table = Table {
        name: decl.name.value.clone(),
        doc: decl.doc.clone(),
        columns: key_columns.into_iter().chain(columns).collect(),
        partition: decl.key.partition.len(),
        clustering: decl.key.clustering.iter().map(|(_, direction)| *direction).collect(),
        state,
        fed: table::Feeding::ByOne,
        retain: None,
    };
    View {
        level,
        // Parts that are owned make no owned row.
        owner: draft.owners.pop().flatten().filter(|_| draft.owners.is_empty()),
        buckets: buckets(decl),
        deletes_partitions,
        has_dependents: false,
        always: table.key_len() == 0,
        doubtful: draft.doubtful,
        in_parts: None,
        watched: Vec::new(),
        source: Source::Events(source),
        table,
    }
}

/// What the events of each topic do to rows.
fn source(cx: &Context, draft: &mut Draft, keys: Keys, arguments: Arguments, reducers: Vec<Reducer>) -> EventSource {
    let with = draft.with.view();
    let base = with.map_or(0, |with| cx.views[with].table.columns.len());
    let of = |(&topic, owner): (&usize, &Option<Owner>)| {
        let inputs = (0..=cx.topics[topic].events.len()).map(|_| Vec::new()).collect();
        TopicSource { topic, owner: owner.clone(), inputs }
    };
    let mut topics: Vec<TopicSource> = draft.topics.iter().zip(&draft.owners).map(of).collect();
    let mut arguments = arguments.into_iter();
    for (fed, key) in std::mem::take(&mut draft.events).into_iter().zip(keys.exprs) {
        let arguments = arguments.next().unwrap_or_default();
        let each = fed.each(base);
        if let Some(of) = topics.iter_mut().find(|of| of.topic == fed.id.topic) {
            of.inputs[fed.id.event].push(EventInput { role: fed.role, filter: fed.filter, each, key, arguments });
        }
    }
    EventSource { topics, with, reducers, making: None }
}

/// The view that this one stands beside, and whether it may.
fn with(cx: &mut Context, decl: &ViewDecl, topics: &[usize], events: &[Fed]) -> (With, bool) {
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
        Source::Events(source) if source.topics.len() > 1 => Some("it is fed by several topics".into()),
        Source::Events(_) if view.owner.is_none() => Some("its rows are shared by many partitions".into()),
        Source::Events(_) if topics.len() > 1 => Some("this view is fed by several topics".into()),
        Source::Events(source) => match source.topic(topics[0]) {
            None => Some("it is fed by another topic".into()),
            Some((_, of)) => events.iter().find_map(|fed| not_beside(&of.inputs[fed.id.event], &fed.name)),
        },
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

pub(super) fn compile_expr(
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

/// The key's columns with one type each.
fn key_columns(cx: &mut Context, draft: &mut Draft, keys: &Keys) -> Vec<Column> {
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
    columns
}

/// The row, or a topic's part of it, is owned where its key holds each field of the topic's key as it is, in every event.
fn owner(cx: &Context, draft: &Draft, topic: usize, keys: &Keys) -> Option<Owner> {
    let events = || (0..draft.events.len()).filter(|&event| draft.events[event].id.topic == topic);
    let with = draft.with.view().map(|with| &cx.views[with]);
    let columns = cx.topics[topic].key.iter().enumerate().map(|(i, field)| {
        keys.entries.iter().position(|(_, ast)| {
            let Some(path) = ast.as_ref().and_then(Ast::as_path) else { return false };
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let of_with = |with: &View, column: &str| {
                let owned = with.owner.as_ref().and_then(|owner| owner.columns.get(i));
                owned.is_some_and(|&c| with.table.columns[c].name == column)
            };
            match (path.as_slice(), with) {
                ([view, column], Some(with)) if *view == with.table.name => of_with(with, column),
                _ => events().all(|event| scope(cx, draft, event, false).event_field(&path) == Some(field)),
            }
        })
    });
    Some(Owner { topic, columns: columns.collect::<Option<_>>()? })
}

/// Whether a shared row is there yet is not for one of its partitions to say: an event that changes rows and makes none would
/// count or not, as partitions interleave.
fn check_creations(cx: &mut Context, draft: &Draft) {
    let owner = draft.making().and_then(|topic| draft.owner_of(topic));
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
fn check_deletions(cx: &mut Context, draft: &Draft) {
    let owner = draft.making().and_then(|topic| draft.owner_of(topic));
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
    if draft.topics.len() > 1 {
        let message = format!("`{}` would delete what other topics say of rows of view `{name}`", deletion.name);
        let help = "let the event that deletes carry the row's whole key".to_owned();
        cx.error(&place, message, "deletes a whole partition", Some(help));
        return;
    }
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
