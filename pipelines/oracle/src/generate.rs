//! Topologies and logs from a tape of choices. What is made is meant to be accepted: a topology that is refused is a finding.

mod columns;
mod exprs;
mod log;
mod several;
#[cfg(test)]
mod tests;
mod views;

use crate::choice::Choices;
use crate::topology::{EventType, Field, Topic, Topology};
use crate::value::Type;

pub use log::log;

/// The events of a topic: what makes a row, what changes it, and what is over.
const MADE: usize = 0;
const CHANGED: usize = 1;
const GONE: usize = 2;

/// What is ignored, where anything is.
const PINGED: usize = 3;

/// What topics and their events are called, and were.
const TOPICS: [(&str, [&str; 4], [&str; 3]); 2] = [
    ("thing", ["Made", "Changed", "Gone", "Pinged"], ["Begun", "Edited", "Ended"]),
    ("other", ["Opened", "Altered", "Closed", "Polled"], ["Started", "Amended", "Finished"]),
];

const MOST_VIEWS: usize = 6;

fn field(name: &str, ty: Type, nullable: bool) -> Field {
    Field { name: name.to_owned(), ty, nullable }
}

/// Fields that an event may have.
fn all_fields() -> [Field; 14] {
    [
        field("i", Type::Int, true),
        field("g", Type::Text, true),
        field("d", Type::Decimal(4), true),
        field("l", Type::Long, true),
        field("at", Type::Time, true),
        field("lines", Type::Lines, false),
        field("h", Type::Int, false),
        field("e", Type::Decimal(2), false),
        field("b", Type::Boolean, true),
        field("s", Type::Text, false),
        field("f", Type::Double, true),
        field("tags", Type::List(Type::Text.into()), false),
        field("m", Type::Map, true),
        field("r", Type::Place, true),
    ]
}

/// Topics and views of them.
pub fn topology(choices: &mut Choices) -> Topology {
    let topics = choices.more(1, TOPICS.len(), topic);
    let mut topology = Topology { topics, views: Vec::new() };
    let mut made = Vec::new();
    choices.more(1, MOST_VIEWS, |choices, _| {
        let (mut view, shape) = views::view(choices, &topology, &made);
        view.retain = views::retain(choices, &shape);
        topology.views.push(view);
        made.push(shape);
    });
    topology
}

fn topic(choices: &mut Choices, place: usize) -> Topic {
    let (name, events, older) = TOPICS[place];
    let (id, n) = (field("id", Type::Text, false), field("n", Type::Int, false));
    // Whatever the key, an event says of which `id` it is.
    let (key, mut fields) = match choices.below(6) {
        0..=3 => (vec![id], Vec::new()),
        4 => (vec![id, n], Vec::new()),
        _ => (vec![n], vec![id]),
    };
    fields.extend(choices.more(1, 6, |choices, _| choices.one_of(&all_fields())));
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields.dedup();
    let with = |others: &[Field]| key.iter().chain(others).cloned().collect::<Vec<Field>>();
    // What changes a thing may know less than what made it, and what ends it knows little.
    let left_out = if choices.rarely(3) { 1 } else { 0 };
    let changed = with(&fields[..fields.len() - left_out]);
    let known = if choices.rarely(4) { 1 } else { 0 };
    let gone = with(&fields[..known]);
    let compacted = choices.rarely(10);
    // What was called otherwise is called so in a part of its records.
    let older = older.map(|older| choices.rarely(4).then_some(older));
    let all = [with(&fields), changed, gone, key.clone()].into_iter().zip(older.into_iter().chain([None]));
    let event = |(place, (name, (fields, was)))| EventType { name, fields, was, ignored: place == PINGED };
    let mut events: Vec<EventType> = events.into_iter().zip(all).enumerate().map(event).collect();
    // A view of a compacted topic reads all of its events, and an event without fields has nothing to set.
    let ignores = choices.rarely(3);
    events.truncate(if compacted { GONE } else { PINGED + usize::from(ignores) });
    let deduplicate = !compacted && choices.rarely(8);
    let deduplicate = deduplicate.then(|| 1 + choices.below(3));
    Topic { name, key, partitions: 3, deduplicate, compacted, events }
}
