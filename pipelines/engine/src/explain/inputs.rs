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
                .map(|(_, decl, input)| told(decl, said(subject, source, input.role)))
                .collect();
        }
        Source::Copy(_) => "each of its rows has one here",
        Source::Aggregate(_) => "each of its rows is added, and taken back when it changes or goes",
        Source::Seen(_) => "",
    };
    decl.from.iter().map(|input| told(input, does)).collect()
}

/// The events that feed a view, by their index in the topic, in the order of the declaration.
pub(super) fn fed<'a>(
    subject: Subject<'a>,
    source: &'a EventSource,
) -> impl Iterator<Item = (usize, &'a InputDecl, &'a EventInput)> {
    let mut seen: Vec<usize> = Vec::new();
    let declared = subject.decl.map_or(&[][..], |decl| &decl.from);
    declared.iter().filter_map(move |input| {
        let event = event(subject, source, &input.source.value);
        // One event's inputs are in the order of its aliases.
        let nth = seen.iter().filter(|other| **other == event).count();
        seen.push(event);
        Some((event, input, source.inputs[event].get(nth)?))
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

/// The event's index, `Tombstone`'s being after the others.
fn event(subject: Subject, source: &EventSource, name: &str) -> usize {
    let topic = &subject.topology.topics[source.topic].topic;
    let found = topic.events.iter().position(|event| event.name == name && name != TOMBSTONE);
    found.unwrap_or(topic.events.len())
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
