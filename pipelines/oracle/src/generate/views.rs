//! Views over events and over views, of every form that the language has.

use super::columns::{Rows, reducers, shown, type_of};
use super::{CHANGED, GONE, MADE, exprs, several};
use crate::choice::Choices;
use crate::expr::Expr;
use crate::topology::{Alias, Argument, Column, EventId, Field, Kind, Reducer, Retain, Topology, View};
use crate::value::{Type, line_fields};

/// What other views may do with one.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// All columns, the key's first.
    columns: Vec<Field>,
    key: usize,
    /// Its old and new rows are known.
    readable: bool,
    /// Each of its events has one row, which stands beside that event.
    beside: bool,
}

pub(super) fn view(choices: &mut Choices, topology: &Topology, made: &[Shape]) -> (View, Shape) {
    let which = |is: fn(&Shape) -> bool| (0..made.len()).filter(|view| is(&made[*view])).collect::<Vec<_>>();
    let (readable, beside) = (which(|shape| shape.readable), which(|shape| shape.beside));
    let topic = choices.below(topology.topics.len());
    let of_events = match choices.below(6) {
        1 if !readable.is_empty() => return copy(choices, topology, made, choose(&readable)),
        2 | 3 if !readable.is_empty() => return aggregate(choices, topology, made, choose(&readable)),
        4 if !beside.is_empty() => return standing_beside(choices, topology, made, &beside),
        5 => false,
        _ => true,
    };
    let several: Vec<usize> = (0..topology.topics.len()).filter(|topic| !topology.topics[*topic].compacted).collect();
    if several.len() > 1 && choices.below(2) == 1 {
        return several::of_topics(choices, topology, &several);
    }
    match topology.topics[topic].compacted {
        true => of_last_records(choices, topology, topic),
        false => over_events(choices, topology, topic, of_events),
    }
}

/// By a column that holds times.
pub(super) fn retain(choices: &mut Choices, shape: &Shape) -> Option<Retain> {
    let is_time = |field: &&Field| matches!(field.ty, Type::Time | Type::Date);
    let times: Vec<&Field> = shape.columns.iter().filter(is_time).collect();
    let days = choices.one_of(&[0, 1, 30]);
    if days == 0 || times.is_empty() {
        return None;
    }
    Some(Retain { days, after: choices.one_of(&times).name.clone() })
}

/// The newest: chains grow.
fn choose(views: &[usize]) -> usize {
    views.last().copied().unwrap_or_default()
}

pub(super) fn name(topology: &Topology) -> String {
    format!("v{}", topology.views.len())
}

pub(super) fn listed(event: EventId) -> Alias {
    Alias { name: None, event, renames: Vec::new(), filter: None, each: None }
}

/// What feeds a view of events.
#[derive(Default)]
pub(super) struct Feed {
    pub(super) aliases: Vec<Alias>,
    pub(super) create_when: Vec<usize>,
    pub(super) delete_when: Vec<usize>,
}

impl Feed {
    pub(super) fn changing(&self) -> Vec<usize> {
        (0..self.aliases.len()).filter(|alias| !self.delete_when.contains(alias)).collect()
    }

    /// The names that mean something under every alias that makes or changes rows.
    pub(super) fn scope(&self, topology: &Topology) -> Vec<Field> {
        scope_of(topology, self.changing().into_iter().map(|alias| &self.aliases[alias]))
    }
}

/// The names that mean something under each of these.
pub(super) fn scope_of<'a>(topology: &Topology, aliases: impl Iterator<Item = &'a Alias>) -> Vec<Field> {
    let mut scopes = aliases.map(|alias| names(topology, alias));
    let first = scopes.next().unwrap_or_default();
    scopes.fold(first, |common, other| common.into_iter().filter(|field| other.contains(field)).collect())
}

/// What expressions under an alias of an event may read.
pub(super) fn names(topology: &Topology, alias: &Alias) -> Vec<Field> {
    let mut names = own_names(topology, alias.event, alias.each.as_deref());
    let beside = [("_event", Type::Text), ("_key", Type::Text), ("_time", Type::Time), ("_header", Type::Map)];
    names.extend(beside.map(|(name, ty)| Field { name: name.to_owned(), ty, nullable: false }));
    names.extend(alias.renames.iter().map(|(new, _)| Field { name: new.clone(), ty: Type::Text, nullable: true }));
    names
}

fn own_names(topology: &Topology, event: EventId, each: Option<&str>) -> Vec<Field> {
    let mut names = topology.fields(event).to_vec();
    let array = each.and_then(|array| names.iter().find(|field| field.name == array)).map(|field| field.ty.clone());
    names.extend(array.iter().flat_map(element));
    names
}

/// What an element of an array is called, and its fields.
fn element(array: &Type) -> Vec<Field> {
    let named = |name: String, ty: Type| Field { nullable: name != "line.p", name, ty };
    match array {
        Type::List(of) => vec![named("line".to_owned(), (**of).clone())],
        _ => line_fields().map(|(name, ty)| named(format!("line.{name}"), ty)).to_vec(),
    }
}

/// The arrays among these.
fn arrays(scope: &[Field]) -> Vec<&Field> {
    scope.iter().filter(|field| matches!(field.ty, Type::Lines | Type::List(_))).collect()
}

pub(super) fn feed(choices: &mut Choices, topology: &Topology, topic: usize, owned: bool) -> Feed {
    let of = |event: usize| listed(EventId { topic, event });
    let mut aliases = match choices.below(3) {
        0 => vec![of(MADE)],
        1 => vec![of(MADE), of(CHANGED)],
        _ => {
            let rename = !owned && choices.below(2) == 0;
            choices.more(1, 3, |choices, place| alias(choices, topology, topic, place, rename))
        }
    };
    let changing: Vec<usize> = (0..aliases.len()).collect();
    let (mut create_when, mut delete_when) = (Vec::new(), Vec::new());
    if owned && choices.below(2) == 1 {
        create_when = if choices.below(3) == 2 { changing } else { vec![0] };
        let (gone, tombstone) = (EventId { topic, event: GONE }, topology.tombstone(topic));
        let deleting = choices.one_of(&[vec![gone], vec![tombstone], vec![gone, tombstone], vec![]]);
        for event in deleting {
            delete_when.push(aliases.len());
            let name = aliases[0].name.as_ref().map(|_| format!("x{}", aliases.len()));
            aliases.push(Alias { name, ..listed(event) });
        }
    }
    Feed { aliases, create_when, delete_when }
}

/// A part of an event, under a name.
fn alias(choices: &mut Choices, topology: &Topology, topic: usize, place: usize, rename: bool) -> Alias {
    let event = EventId { topic, event: choices.one_of(&[MADE, CHANGED]) };
    let fields = topology.fields(event);
    let arrays = arrays(fields);
    let each = (!arrays.is_empty() && choices.below(2) == 0).then(|| choices.one_of(&arrays).name.clone());
    let plain = Alias { each, ..listed(event) };
    let filter = choices.rarely(3).then(|| exprs::condition(choices, &names(topology, &plain))).flatten();
    let own = own_names(topology, event, plain.each.as_deref());
    let is_key = |field: &Field| topology.topics[topic].key.contains(field);
    let texts: Vec<&Field> = own.iter().filter(|field| field.ty == Type::Text && !is_key(field)).collect();
    let renames = match rename && !texts.is_empty() {
        true => vec![("who".to_owned(), choices.one_of(&texts).name.clone())],
        false => Vec::new(),
    };
    Alias { name: Some(format!("a{place}")), renames, filter, ..plain }
}

pub(super) fn topic_key(topology: &Topology, topic: usize) -> Vec<(String, Expr)> {
    let key = &topology.topics[topic].key;
    key.iter().map(|field| (field.name.clone(), Expr::name(&field.name))).collect()
}

/// A key's column: a field under its own name, or something under another.
pub(super) fn key_column(choices: &mut Choices, scope: &[Field], place: usize) -> Option<(String, Expr)> {
    let typed = exprs::for_key(choices, scope)?;
    Some(match typed.expr {
        Expr::Name(name) if !name.contains('.') && !name.starts_with('_') => (name.clone(), Expr::Name(name)),
        expr => (format!("k{place}"), expr),
    })
}

fn over_events(choices: &mut Choices, topology: &Topology, topic: usize, owned: bool) -> (View, Shape) {
    let feed = feed(choices, topology, topic, owned);
    let scope = feed.scope(topology);
    let mut key = topic_key(topology, topic);
    // All of it, a part, or nothing.
    let whole = key.len();
    key.truncate(if owned { whole } else { usize::from(choices.rarely(6)) });
    let own = key.len();
    let extra = if owned { usize::from(choices.rarely(3)) } else { choices.below(3) };
    for place in 0..extra {
        let column = key_column(choices, &scope, place);
        key.extend(column.filter(|(name, _)| key.iter().all(|(other, _)| other != name)));
    }
    // A deletion may know the topic's key only.
    let partition = match feed.delete_when.is_empty() {
        false => own,
        true => key.len() - choices.below(key.len().max(1)),
    };
    let is_owned = topic_key(topology, topic).iter().all(|(_, field)| key.iter().any(|(_, expr)| expr == field));
    let rows = if is_owned { Rows::Owned } else { Rows::Shared };
    let columns = reducers(choices, &scope, &feed.changing(), rows);
    let known = |alias: &usize| {
        let names = names(topology, &feed.aliases[*alias]);
        key.iter().flat_map(|(_, expr)| expr.reads()).all(|read| names.iter().any(|field| field.name == read))
    };
    let whole = feed.delete_when.iter().all(known);
    let plain = feed.aliases.iter().all(|alias| alias.name.is_none());
    let beside = is_owned && plain && key.len() == own;
    let Feed { aliases, create_when, delete_when } = feed;
    let (name, source, with) = (name(topology), None, None);
    let retain = None;
    let view = View { name, source, aliases, with, key, partition, create_when, delete_when, columns, retain };
    shaped(view, &scope, is_owned && whole, beside)
}

/// A view and what others may do with it; `scope` is what its expressions read.
pub(super) fn shaped(view: View, scope: &[Field], readable: bool, beside: bool) -> (View, Shape) {
    let ty_of = |expr: &Expr| type_of(expr, scope);
    let key = view
        .key
        .iter()
        .filter_map(|(name, expr)| Some(Field { name: name.clone(), ty: ty_of(expr)?, nullable: false }));
    let others = view.columns.iter().filter_map(|(name, column)| shown(name, column, &ty_of));
    let shape = Shape { columns: key.chain(others).collect(), key: view.key.len(), readable, beside };
    (view, shape)
}

/// Of a compacted topic: what the last record says.
fn of_last_records(choices: &mut Choices, topology: &Topology, topic: usize) -> (View, Shape) {
    let (made, changed) = (EventId { topic, event: MADE }, EventId { topic, event: CHANGED });
    let aliases = [made, changed, topology.tombstone(topic)].map(listed).to_vec();
    let feed = Feed { aliases, create_when: vec![0, 1], delete_when: vec![2] };
    let scope = feed.scope(topology);
    let columns = choices.more(1, 4, |choices, place| {
        let field = choices.one_of(&scope);
        let typed = exprs::any(choices, &scope, &|_| true);
        let (expr, ty) = typed.map_or((Expr::name(&field.name), field.ty.clone()), |typed| (typed.expr, typed.ty));
        let argument = Argument::Same(expr);
        (
            format!("c{place}"),
            Column::Reducer(Reducer { kind: Kind::Last, argument, ty, filter: None, order: Vec::new() }),
        )
    });
    let Feed { aliases, create_when, delete_when } = feed;
    let key = topic_key(topology, topic);
    let (name, partition, source, with) = (name(topology), key.len(), None, None);
    let retain = None;
    let view = View { name, source, aliases, with, key, partition, create_when, delete_when, columns, retain };
    shaped(view, &scope, true, false)
}

/// A history, beside a view of the same events.
fn standing_beside(choices: &mut Choices, topology: &Topology, made: &[Shape], views: &[usize]) -> (View, Shape) {
    let with = choose(views);
    let other = &topology.views[with];
    let mut aliases: Vec<Alias> = Vec::new();
    let mut delete_when = Vec::new();
    for alias in 0..other.aliases.len() {
        let changes = other.changes(alias);
        // At least one that makes rows.
        if (aliases.is_empty() && changes) || choices.below(3) > 0 {
            delete_when.extend((!changes).then_some(aliases.len()));
            aliases.push(other.aliases[alias].clone());
        }
    }
    let feed = Feed { aliases, create_when: Vec::new(), delete_when };
    let of_other = |field: &Field| Field { name: format!("{}.{}", other.name, field.name), ..field.clone() };
    let mut scope = feed.scope(topology);
    let beside: Vec<Field> = made[with].columns.iter().map(of_other).collect();
    scope.extend(beside.clone());
    let mut key = topic_key(topology, other.aliases[0].event.topic);
    let partition = key.len();
    let numbers: Vec<&Field> = beside.iter().filter(|field| field.ty.is_exact()).collect();
    if !numbers.is_empty() && choices.below(3) > 0 {
        key.push(("number".to_owned(), Expr::name(&choices.one_of(&numbers).name)));
    }
    let mut columns = reducers(choices, &scope, &feed.changing(), Rows::Owned);
    if choices.below(2) == 1 {
        columns.push(("now".to_owned(), Column::Plain(Expr::name(&choices.one_of(&beside).name))));
    }
    let readable = feed.delete_when.is_empty() || key.len() == partition;
    let Feed { aliases, create_when, delete_when } = feed;
    let (name, source, with) = (name(topology), None, Some(with));
    let retain = None;
    let view = View { name, source, aliases, with, key, partition, create_when, delete_when, columns, retain };
    shaped(view, &scope, readable, false)
}

/// What feeds a view over a view: all of it, or a part under a name.
fn from_view(choices: &mut Choices, scope: &[Field], place: usize, named: bool, each: Option<&Field>) -> Alias {
    let mut own = scope.to_vec();
    own.extend(each.iter().flat_map(|array| element(&array.ty)));
    let filter = (named && choices.below(2) == 0).then(|| exprs::condition(choices, &own)).flatten();
    let none = EventId { topic: 0, event: 0 };
    let each = each.map(|array| array.name.clone());
    Alias { name: named.then(|| format!("a{place}")), filter, each, ..listed(none) }
}

fn copy(choices: &mut Choices, topology: &Topology, made: &[Shape], source: usize) -> (View, Shape) {
    let scope = &made[source].columns;
    let named = choices.below(2) == 1;
    let aliases = vec![from_view(choices, scope, 0, named, None)];
    let own = &scope[..made[source].key];
    let mut key: Vec<(String, Expr)> = own.iter().map(|field| (field.name.clone(), Expr::name(&field.name))).collect();
    let free = |key: &[(String, Expr)], name: &str| key.iter().all(|(other, _)| other != name);
    if let Some(typed) = exprs::for_key(choices, scope) {
        let named = match &typed.expr {
            Expr::Name(name) => name.clone(),
            _ => format!("m{}", topology.views.len()),
        };
        if free(&key, &named) {
            key.insert(choices.below(key.len() + 1), (named, typed.expr));
        }
    }
    let partition = key.len() - choices.below(key.len().max(1));
    let mut columns: Vec<(String, Column)> = Vec::new();
    choices.more(1, 3, |choices, place| {
        let Some(typed) = exprs::any(choices, scope, &|_| true) else { return };
        let named = match &typed.expr {
            Expr::Name(name) => name.clone(),
            _ => format!("x{}_{place}", topology.views.len()),
        };
        if free(&key, &named) && columns.iter().all(|(other, _)| *other != named) {
            columns.push((named, Column::Plain(typed.expr)));
        }
    });
    if columns.is_empty() {
        // A copy says something: in the worst case, a part of its key once more.
        let is_known = Expr::IsNull(Expr::name(&scope[0].name).into());
        columns.push((format!("x{}", topology.views.len()), Column::Plain(is_known)));
    }
    let (create_when, delete_when, with) = (Vec::new(), Vec::new(), None);
    let (name, of, source) = (name(topology), scope, Some(source));
    let retain = None;
    let view = View { name, source, aliases, with, key, partition, create_when, delete_when, columns, retain };
    shaped(view, of, true, false)
}

fn aggregate(choices: &mut Choices, topology: &Topology, made: &[Shape], source: usize) -> (View, Shape) {
    let scope = &made[source].columns;
    let arrays = arrays(scope);
    let each = (!arrays.is_empty() && choices.below(2) == 1).then(|| choices.one_of(&arrays));
    let named = each.is_some() || choices.below(2) == 1;
    let most = if named { 2 } else { 1 };
    let aliases = choices.more(1, most, |choices, place| from_view(choices, scope, place, named, each));
    let mut all = scope.clone();
    all.extend(each.iter().flat_map(|array| element(&array.ty)));
    let mut key: Vec<(String, Expr)> = Vec::new();
    for place in 0..choices.below(3) {
        let column = key_column(choices, &all, place);
        key.extend(column.filter(|(name, _)| key.iter().all(|(other, _)| other != name)));
    }
    let partition = key.len() - choices.below(key.len().max(1));
    let changing: Vec<usize> = (0..aliases.len()).collect();
    let mut columns = reducers(choices, &all, &changing, Rows::Derived);
    // `c0` may be the key's, from the source.
    columns.iter_mut().for_each(|(name, _)| name.insert_str(0, "of_"));
    let (create_when, delete_when, with) = (Vec::new(), Vec::new(), None);
    let (name, source) = (name(topology), Some(source));
    let retain = None;
    let view = View { name, source, aliases, with, key, partition, create_when, delete_when, columns, retain };
    shaped(view, &all, false, false)
}
