//! `unique: users_by_email`: which value an event takes, and whose it then is.
//!
//! The view is a re-keyed copy whose partition key is the value and whose clustering key is its owner's. What the copy's
//! key would be after the event is computed from the event alone, through the view that it copies.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::json::FieldError;
use headwater_schemas::topic::Topic;
use headwater_schemas::{Value, ValueRef};

use crate::declare::Text;
use crate::plan::{CopySource, EventInput, EventSource, Reducer, Role, Source, Topology, View};
use crate::source::Diagnostic;
use crate::table::Key;
use crate::unknown::is_unknown;

/// A value that only one key of the topic may have.
#[derive(Debug)]
pub struct Unique {
    pub topology: Arc<Topology>,
    /// By [`Topology::views`].
    pub view: usize,
    /// The fields of the event that the value is made of.
    pub fields: Vec<String>,
    topic: usize,
    event: usize,
}

/// What an event takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The values of the view's partition key.
    pub value: Key,
    /// The values of its clustering key: who takes it.
    pub owner: Key,
}

impl Unique {
    pub fn view(&self) -> &View {
        &self.topology.views[self.view]
    }

    /// What this record of the command's event takes.
    ///
    /// # Errors
    /// Where the value cannot be computed or would be null.
    pub fn taken(&self, record: &Value) -> Result<Taken, FieldError> {
        let wrong = |message: String| FieldError { path: self.fields.first().cloned().unwrap_or_default(), message };
        let (Some((copy, events, input)), Value::Record(values)) = (self.plan(), record) else {
            return Err(wrong("has no unique value".into()));
        };
        let bump = Bump::new();
        let needed = &self.topology.topics[self.topic].events[self.event].needed;
        let slots: Vec<ValueRef<'_>> =
            needed.iter().map(|&field| values.get(field).map_or(ValueRef::Null, |value| value.borrow(&bump))).collect();
        let source = &self.topology.views[copy.view].table;
        let mut row = vec![ValueRef::Null; source.columns.len()];
        for column in key_slots(copy) {
            let expr = from_event(input, events, source.key_len(), column);
            let Some(expr) = expr else { return Err(wrong("has no unique value".into())) };
            row[column] = expr.eval(&slots, &bump).map_err(|error| wrong(format!("cannot be computed: {error}")))?;
        }
        let table = &self.view().table;
        let mut key = Vec::with_capacity(table.key_len());
        for expr in &copy.key {
            let value = expr.eval(&row, &bump).map_err(|error| wrong(format!("cannot be computed: {error}")))?;
            if value.is_null() {
                return Err(wrong("may not be null: it must be unique".into()));
            }
            key.push(value.to_owned());
        }
        let owner = key.split_off(table.partition);
        Ok(Taken { value: key.into(), owner: owner.into() })
    }

    fn plan(&self) -> Option<(&CopySource, &EventSource, &EventInput)> {
        plan(&self.topology, self.view, self.event)
    }
}

/// Finds the view and checks that each of its key's columns can be computed from the event.
pub(super) fn compile(
    name: &Text,
    topic: &Topic,
    event: usize,
    topologies: &[Arc<Topology>],
) -> Result<Unique, Diagnostic> {
    let found = topologies.iter().find_map(|topology| topology.view(&name.value).map(|(view, _)| (topology, view)));
    let Some((topology, view)) = found else {
        let names = topologies.iter().flat_map(|topology| &topology.views).map(|view| view.table.name.as_str());
        let message = format!("there is no view `{}`", name.value);
        return Err(Diagnostic::error(&name.span, message).label("not a view").nearest(&name.value, names));
    };
    let refuse = |message: String, help: &str| {
        Err(Diagnostic::error(&name.span, message).label("cannot keep a value unique").help(help))
    };
    let table = &topology.views[view].table;
    let event_name = &topic.events[event].name;
    let Some((copy, events, input)) = plan(topology, view, event) else {
        let message = format!("view `{}` is not a re-keyed copy of a view that `{event_name}` feeds", name.value);
        return refuse(message, "declare a view `from:` the owners' view, its partition key the unique value");
    };
    let owner = &topology.views[view].owner;
    let topic_index = match topology.topic(&topic.name) {
        Some((index, _)) if owner.as_ref().is_some_and(|owner| owner.topic == index) && events.with.is_none() => index,
        _ => {
            let message = format!("view `{}` is not owned by the key of topic `{}`", name.value, topic.name);
            return refuse(message, "its clustering key must be its owner's: the topic's key");
        }
    };
    if table.partition == 0 || table.clustering.is_empty() {
        let message = format!("view `{}` has no partition key that is the value", name.value);
        return refuse(message, "write `key: { partition: [value], clustering: [owner's key] }`");
    }
    if matches!(input.role, Role::DeleteRow | Role::DeletePartition) {
        return refuse(format!("`{event_name}` deletes the row, so it takes no value"), "leave `unique:` out");
    }
    let source = &topology.views[copy.view].table;
    let needed = &topology.topics[topic_index].events[event].needed;
    let mut fields = Vec::new();
    for column in key_slots(copy) {
        let Some(expr) = from_event(input, events, source.key_len(), column) else {
            let column = &source.columns[column].name;
            let message =
                format!("what `{event_name}` makes of `{}.{column}` is not known from the event", source.name);
            return refuse(message, "the unique value must come from columns that are `last(…)` of this event");
        };
        let record = &topic.events[event].schema.record;
        let known: Option<Vec<String>> =
            expr.slots().iter().map(|&slot| record.fields.get(needed[slot]).map(|field| field.name.clone())).collect();
        let Some(known) = known else {
            let column = &source.columns[column].name;
            let message = format!("`{}.{column}` is known only once `{event_name}` is written", source.name);
            return refuse(message, "the unique value must come from the event's own fields");
        };
        if column >= source.key_len() {
            fields.extend(known);
        }
    }
    fields.dedup();
    Ok(Unique { topology: topology.clone(), view, fields, topic: topic_index, event })
}

/// Whether something in the view, or in what it copies, is mistaken and was reported.
pub(super) fn is_doubtful(name: &Text, topologies: &[Arc<Topology>]) -> bool {
    let doubtful = |view: &View| view.doubtful || view.table.columns.iter().any(|column| is_unknown(&column.ty.ty));
    topologies.iter().filter_map(|topology| Some((topology, topology.view(name)?.1))).any(|(topology, view)| {
        let source = match &view.source {
            Source::Copy(copy) => topology.views.get(copy.view),
            _ => None,
        };
        doubtful(view) || source.is_some_and(doubtful)
    })
}

/// The copy, the event view that it copies, and how the event feeds that.
fn plan(topology: &Topology, view: usize, event: usize) -> Option<(&CopySource, &EventSource, &EventInput)> {
    let Source::Copy(copy) = &topology.views[view].source else { return None };
    let Source::Events(events) = &topology.views[copy.view].source else { return None };
    let [of] = events.topics.as_slice() else { return None };
    let [input] = of.inputs.get(event)?.as_slice() else { return None };
    (input.is_plain() && copy.filter.is_none()).then_some((copy, events, input))
}

/// The source's columns that the copy's key is made of.
fn key_slots(copy: &CopySource) -> Vec<usize> {
    let mut slots: Vec<usize> = copy.key.iter().flat_map(|expr| expr.slots().iter().copied()).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// What the event gives a column of the source, whatever was there before.
fn from_event<'i>(
    input: &'i EventInput,
    events: &EventSource,
    key_len: usize,
    column: usize,
) -> Option<&'i crate::expr::Expr> {
    let Some(reducer) = column.checked_sub(key_len) else { return input.key.get(column) };
    let argument = input.arguments.get(reducer)?.as_ref().filter(|argument| argument.filter.is_none())?;
    match (events.reducers.get(reducer)?, input.role) {
        (Reducer::Last, _) | (Reducer::First { .. }, Role::Create) => argument.value.as_ref(),
        _ => None,
    }
}
