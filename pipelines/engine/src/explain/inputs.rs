//! What feeds a view: each event, or the one view, in its role and under its alias.

use serde::Serialize;

use super::Subject;
use crate::declare::{InputDecl, TOMBSTONE};
use crate::plan::{EventInput, EventSource, Role, Source};

/// An event or a view in `from`.
#[derive(Debug, Serialize)]
pub struct Input {
    /// An event's name, or a view's.
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What it does to rows.
    pub does: String,
    /// Only where this holds.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Once for each element of this array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// Names, and the field that each stands for.
    #[serde(rename = "as", skip_serializing_if = "Vec::is_empty")]
    pub renames: Vec<(String, String)>,
}

pub(super) fn of(subject: Subject) -> Vec<Input> {
    let Some(decl) = subject.decl else { return Vec::new() };
    let does = match &subject.view.source {
        Source::Events(source) => {
            return fed(subject, source)
                .map(|((topic, _), decl, input)| {
                    let adds = source.making.as_ref().is_some_and(|making| making.topic != topic);
                    let does = if adds { "adds to the part of its topic" } else { said(subject, source, input.role) };
                    told(decl, does)
                })
                .collect();
        }
        Source::Copy(_) => "each of its rows has one here",
        Source::Aggregate(_) => "each of its rows is added, and taken back when it changes or goes",
        Source::Seen(_) => "",
    };
    decl.from.iter().map(|input| told(input, does)).collect()
}

/// A topic, by the view's, and an event by the topic's.
pub(super) type EventPlace = (usize, usize);

/// The events that feed a view, in the order of the declaration.
pub(super) fn fed<'a>(
    subject: Subject<'a>,
    source: &'a EventSource,
) -> impl Iterator<Item = (EventPlace, &'a InputDecl, &'a EventInput)> {
    let mut seen: Vec<EventPlace> = Vec::new();
    let declared = subject.decl.map_or(&[][..], |decl| &decl.from);
    declared.iter().filter_map(move |input| {
        let event = place(subject, source, &input.source.value)?;
        // One event's inputs are in the order of its aliases.
        let nth = seen.iter().filter(|other| **other == event).count();
        seen.push(event);
        Some((event, input, source.topics[event.0].inputs[event.1].get(nth)?))
    })
}

fn told(input: &InputDecl, does: &str) -> Input {
    let text = |text: &crate::declare::Text| text.value.trim().to_owned();
    Input {
        source: input.source.value.clone(),
        alias: input.alias.as_ref().map(text),
        does: does.to_owned(),
        filter: input.filter.as_ref().map(text),
        each: input.each.as_ref().map(|(name, array)| format!("{} of {}", name.value, array.value)),
        renames: input.renames.iter().map(|(name, field)| (text(name), text(field))).collect(),
    }
}

/// Where an event is that feeds the view; `Tombstone` is after the others of its topic.
fn place(subject: Subject, source: &EventSource, name: &str) -> Option<EventPlace> {
    let events = source.topics.iter().enumerate().flat_map(|(topic, of)| {
        let fed = of.inputs.iter().enumerate().filter(|(_, inputs)| !inputs.is_empty());
        fed.map(move |(event, _)| (topic, event))
    });
    let mut events = events;
    events.find(|&place| self::name(subject, source, place) == name)
}

/// An event's name.
pub(super) fn name<'a>(subject: Subject<'a>, source: &EventSource, (topic, event): EventPlace) -> &'a str {
    let topic = &subject.topology.topics[source.topics[topic].topic].topic;
    topic.events.get(event).map_or(TOMBSTONE, |event| &event.name)
}

fn said(subject: Subject, source: &EventSource, role: Role) -> &'static str {
    let changes_too = source.reducers.iter().any(|reducer| !matches!(reducer, crate::plan::Reducer::Last));
    match role {
        Role::Create if subject.view.table.key_len() == 0 => "changes the row",
        Role::Create if subject.view.owner.is_none() || changes_too => "makes its row, or adds to it",
        Role::Create => "makes its row, or changes it",
        Role::Change => "changes its row, if there is one",
        Role::DeleteRow => "deletes its row",
        Role::DeletePartition => "deletes the whole partition",
    }
}
