//! The fold, naive: after each event, every row of every view is made anew from all events so far.
//!
//! An event that makes a mistake in any view is parked, and so is everything after it on its message key; what is parked has
//! never been. Nothing else is kept between two events than the list of those that were applied.
//!
//! A view of several topics has a row of their parts: what events of one topic say is that topic's part, made and deleted by
//! that topic alone.

use crate::calendar::DAY;
use crate::expr::{Expr, Names};
use crate::reduce::{Contribution, reduced};
use crate::topology::{Alias, Column, Field, Record, Reducer, Retain, Topology, View};
use crate::value::Value;

pub use crate::expr::Mistake;

/// A row's columns, the key's first.
pub type Row = Names;

/// What a log comes to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// By the topology's views.
    pub views: Vec<Vec<Row>>,
    /// By the log's records, and why, of those that failed themselves.
    pub parked: Vec<(usize, Option<Mistake>)>,
}

/// Folds a log, one event at a time.
pub fn fold(topology: &Topology, log: &[Record]) -> Outcome {
    let mut applied: Vec<&Record> = Vec::new();
    let mut parked: Vec<(usize, Option<Mistake>)> = Vec::new();
    // What nothing reads is as if it were not there.
    for (place, record) in log.iter().enumerate().filter(|(_, record)| topology.reads(record.event)) {
        let key = message_key(topology, record);
        if parked.iter().any(|(before, _)| message_key(topology, &log[*before]) == key) {
            parked.push((place, None));
            continue;
        }
        if is_repeat(topology, &applied, record) {
            continue;
        }
        applied.push(record);
        if let Err(mistake) = all_rows(topology, &applied) {
            applied.pop();
            parked.push((place, Some(mistake)));
        }
    }
    let views = all_rows(topology, &applied);
    Outcome { views: views.unwrap_or_default(), parked }
}

/// The topic, and the message key.
fn message_key(topology: &Topology, record: &Record) -> (usize, Vec<Value>) {
    let topic = record.event.topic;
    (topic, topology.topics[topic].key.iter().map(|field| value(&record.fields, &field.name)).collect())
}

/// Whether its id is among those of the last records of its key that have one.
fn is_repeat(topology: &Topology, applied: &[&Record], record: &Record) -> bool {
    let (Some(last), Some(id)) = (topology.topics[record.event.topic].deduplicate, record.id()) else { return false };
    let key = message_key(topology, record);
    let of_key = applied.iter().rev().filter(|before| message_key(topology, before) == key);
    of_key.filter_map(|before| before.id()).take(last).any(|before| before == id)
}

fn all_rows(topology: &Topology, applied: &[&Record]) -> Result<Vec<Vec<Row>>, Mistake> {
    topology.views.iter().map(|view| rows(topology, view, applied)).collect()
}

/// Every row of a view.
fn rows(topology: &Topology, view: &View, applied: &[&Record]) -> Result<Vec<Row>, Mistake> {
    let groups = match view.source {
        None => of_events(topology, view, applied)?,
        Some(source) => of_rows(view, &rows(topology, &topology.views[source], applied)?)?,
    };
    // What is hidden makes its mistakes, too.
    let rows = groups.into_iter().map(|group| Ok(group.is_shown(view).then_some(row(view, group)?)));
    Ok(rows.collect::<Result<Vec<_>, Mistake>>()?.into_iter().flatten().collect())
}

/// What contributes to one row. What events of one topic say is that topic's part of it.
struct Group {
    key: Vec<Value>,
    contributions: Vec<Contribution>,
}

impl Group {
    /// Whether this topic's part is there; what was deleted and is not made anew is not.
    fn has_part(&self, topic: usize) -> bool {
        self.contributions.iter().any(|contribution| contribution.topic == topic)
    }

    /// Where one topic makes the row, what others say of it waits, hidden.
    fn is_shown(&self, view: &View) -> bool {
        view.key.is_empty() || view.creating().is_none_or(|topic| self.has_part(topic))
    }
}

/// Adds a contribution to its topic's part of the row of this key, which it makes if there is none and it may.
fn contribute(view: &View, groups: &mut Vec<Group>, key: Vec<Value>, contribution: Contribution) {
    let found = groups.iter().position(|group| group.key == key);
    let found_part = found.filter(|found| view.key.is_empty() || groups[*found].has_part(contribution.topic));
    let creates = view.creating() == Some(contribution.topic);
    let makes = !creates || view.create_when.contains(&contribution.alias);
    match found {
        _ if found_part.is_none() && !makes => {}
        Some(found) => groups[found].contributions.push(contribution),
        None => groups.push(Group { key, contributions: vec![contribution] }),
    }
}

/// Takes a topic's part away from all rows whose keys begin so. A row is gone with its last part.
fn delete(groups: &mut Vec<Group>, gone: &[Value], topic: usize) {
    for group in groups.iter_mut().filter(|group| group.key.starts_with(gone)) {
        group.contributions.retain(|contribution| contribution.topic != topic);
    }
    groups.retain(|group| !group.contributions.is_empty());
}

/// No rows; of a view that has one row whatever happens, that one.
fn no_groups(view: &View) -> Vec<Group> {
    if view.key.is_empty() { vec![Group { key: Vec::new(), contributions: Vec::new() }] } else { Vec::new() }
}

fn of_events(topology: &Topology, view: &View, applied: &[&Record]) -> Result<Vec<Group>, Mistake> {
    let mut groups = no_groups(view);
    for (place, record) in applied.iter().enumerate() {
        // The row beside, as it stands right after this event.
        let beside = match view.with {
            Some(with) => row_beside(topology, &topology.views[with], &applied[..=place])?,
            None => None,
        };
        for (alias, fed) in view.aliases.iter().enumerate().filter(|(_, alias)| alias.event == record.event) {
            let changes = view.changes(alias);
            if changes && view.with.is_some() && beside.is_none() {
                continue;
            }
            let mut names = record.fields.clone();
            names.extend(beside_fields(topology, record, place));
            if let (Some(row), Some(with), true) = (&beside, view.with, changes) {
                let with = &topology.views[with].name;
                names.extend(row.iter().map(|(column, value)| (format!("{with}.{column}"), value.clone())));
            }
            if changes {
                all_readable(view, &names)?;
            }
            for names in taken(fed, &names)? {
                let topic = record.event.topic;
                if changes {
                    let key = key(&view.key, &names)?;
                    contribute(view, &mut groups, key, Contribution { alias, topic, names });
                } else {
                    delete(&mut groups, &deleted(view, &names)?, topic);
                }
            }
        }
    }
    Ok(groups)
}

impl Retain {
    /// The first second in which a reader sees the row no more. None: there is none.
    pub fn until(&self, row: &Row) -> Option<i64> {
        let from = match value(row, &self.after) {
            Value::Time(at) => at,
            Value::Date(day) => day * DAY,
            _ => return None,
        };
        Some(from + self.days * DAY)
    }
}

/// The message key as it is written.
pub fn message_key_text(topology: &Topology, record: &Record) -> String {
    let (_, key) = message_key(topology, record);
    match (key.as_slice(), &topology.topics[record.event.topic].key) {
        ([Value::Text(one)], _) => one.clone(),
        ([one], _) => one.to_json().to_string(),
        (all, fields) => {
            let field = |(field, value): (&Field, &Value)| format!("\"{}\":{}", field.name, value.to_json());
            format!("{{{}}}", fields.iter().zip(all).map(field).collect::<Vec<_>>().join(","))
        }
    }
}

/// What a record says beside its event's fields.
fn beside_fields(topology: &Topology, record: &Record, place: usize) -> Names {
    let headers = record.headers.iter().map(|(name, value)| (*name, Value::text(value)));
    let all = [
        ("_event", Value::text(topology.event_name(record.event))),
        ("_key", Value::Text(message_key_text(topology, record))),
        ("_time", record.time.clone()),
        ("_header", Value::Record(headers.collect())),
        // Of a partition's records, which is the later one; all else about it is the log's.
        ("_offset", Value::Whole(place as i64)),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// The row of the topic's key, after the last of these events.
fn row_beside(topology: &Topology, with: &View, applied: &[&Record]) -> Result<Option<Row>, Mistake> {
    let Some(last) = applied.last() else { return Ok(None) };
    let topic = &topology.topics[last.event.topic];
    let is_of_key =
        |row: &Row| topic.key.iter().all(|field| value(row, &field.name) == value(&last.fields, &field.name));
    Ok(rows(topology, with, applied)?.into_iter().find(is_of_key))
}

/// What an alias takes of an event or of a row: all of it, or each element, where its condition holds; under its names.
fn taken(alias: &Alias, names: &Names) -> Result<Vec<Names>, Mistake> {
    let unfolded = match &alias.each {
        None => vec![names.clone()],
        Some(array) => match value(names, array) {
            Value::List(elements) => elements.iter().map(|element| with_element(names, element)).collect(),
            _ => Vec::new(),
        },
    };
    let mut taken = Vec::new();
    for mut names in unfolded {
        if let Some(filter) = &alias.filter
            && !filter.holds(&names)?
        {
            continue;
        }
        for (new, old) in &alias.renames {
            // The new name stands before a field of the same name.
            names.insert(0, (new.clone(), value(&names, old)));
        }
        taken.push(names);
    }
    Ok(taken)
}

fn with_element(names: &Names, element: &Value) -> Names {
    let mut names = names.clone();
    match element {
        Value::Record(fields) => {
            names.extend(fields.iter().map(|(field, value)| (format!("line.{field}"), value.clone())));
        }
        scalar => names.push(("line".to_owned(), scalar.clone())),
    }
    names
}

/// Who reads what does not fit its type makes a mistake, whatever comes of the rest.
fn all_readable(view: &View, names: &Names) -> Result<(), Mistake> {
    let read = view.reads();
    let unreadable = |(name, value): &(String, Value)| *value == Value::Unreadable && read.contains(name);
    if names.iter().any(unreadable) { Err(Mistake::Unreadable) } else { Ok(()) }
}

fn key(of: &[(String, Expr)], names: &Names) -> Result<Vec<Value>, Mistake> {
    let mut key = Vec::new();
    for (_, expr) in of {
        match expr.evaluate(names)? {
            Value::Null => return Err(Mistake::NullInKey),
            Value::Double(x) if x.is_nan() => return Err(Mistake::NullInKey),
            value => key.push(value.canonical()),
        }
    }
    Ok(key)
}

/// The key of the row that is gone; what the event knows of it, if that is the partition key only.
fn deleted(view: &View, names: &Names) -> Result<Vec<Value>, Mistake> {
    let known = |expr: &Expr| expr.reads().iter().all(|read| names.iter().any(|(name, _)| name == read));
    let whole = view.key.iter().all(|(_, expr)| known(expr));
    key(if whole { &view.key } else { &view.key[..view.partition] }, names)
}

fn of_rows(view: &View, source: &[Row]) -> Result<Vec<Group>, Mistake> {
    let mut groups = if view.is_copy() { Vec::new() } else { no_groups(view) };
    for row in source {
        all_readable(view, row)?;
        for (alias, fed) in view.aliases.iter().enumerate() {
            for names in taken(fed, row)? {
                let key = key(&view.key, &names)?;
                contribute(view, &mut groups, key, Contribution { alias, topic: 0, names });
            }
        }
    }
    Ok(groups)
}

/// The row that these make.
fn row(view: &View, Group { key, contributions }: Group) -> Result<Row, Mistake> {
    let mut row: Row = view.key.iter().map(|(name, _)| name.clone()).zip(key).collect();
    for (name, column) in &view.columns {
        let value = match column {
            Column::Reducer(reducer) => reduced(reducer, &contributions)?,
            Column::Computed(reducers, expr) => computed(view, reducers, expr, &contributions)?,
            // What it was at the last event; a copy's row has one source only.
            Column::Plain(expr) => contributions.last().map_or(Ok(Value::Null), |last| expr.evaluate(&last.names))?,
        };
        row.push((name.clone(), value));
    }
    Ok(row)
}

/// An expression over reducers, anew at each contribution of the topic that feeds them.
fn computed(view: &View, reducers: &[Reducer], expr: &Expr, contributions: &[Contribution]) -> Result<Value, Mistake> {
    let read = expr.reads();
    let feeds = |topic: usize| {
        let aliases = view.aliases.iter().enumerate().filter(|(_, alias)| alias.event.topic == topic);
        aliases.into_iter().any(|(alias, _)| reducers.iter().any(|reducer| reducer.argument_of(alias).is_some()))
    };
    let contributions: Vec<Contribution> = contributions.iter().filter(|one| feeds(one.topic)).cloned().collect();
    let mut value = Value::Null;
    for end in 1..=contributions.len() {
        let parts = reducers.iter().enumerate().map(|(i, reducer)| (format!("#{i}"), reducer));
        let parts = parts.filter(|(name, _)| read.contains(name));
        let values = parts.map(|(name, reducer)| Ok((name, reduced(reducer, &contributions[..end])?)));
        value = of_parts(values.collect::<Result<Names, Mistake>>()?, expr)?;
    }
    Ok(value)
}

/// It is as unreadable as what it is made of.
fn of_parts(mut values: Names, expr: &Expr) -> Result<Value, Mistake> {
    let mut unreadable = false;
    for (_, value) in values.iter_mut().filter(|(_, value)| *value == Value::Unreadable) {
        (*value, unreadable) = (Value::Null, true);
    }
    let value = expr.evaluate(&values)?;
    Ok(if unreadable { Value::Unreadable } else { value })
}

fn value(names: &Names, name: &str) -> Value {
    let found = names.iter().find(|(own, _)| own == name);
    found.map_or(Value::Null, |(_, value)| value.clone())
}
