//! Topologies and logs from a tape of choices. What is made is meant to be accepted: a topology that is refused is a finding.

mod columns;
mod exprs;
mod log;
#[cfg(test)]
mod tests;
mod views;

use crate::choice::Choices;
use crate::topology::{EventType, Field, Topology};
use crate::value::Type;

pub use log::log;

/// The events: what makes a row, what changes it, and what is over.
const MADE: usize = 0;
const CHANGED: usize = 1;
const GONE: usize = 2;

const MOST_VIEWS: usize = 6;

fn field(name: &str, ty: Type, nullable: bool) -> Field {
    Field { name: name.to_owned(), ty, nullable }
}

/// Fields that an event may have.
fn all_fields() -> [Field; 11] {
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
    ]
}

/// A topic and views of it.
pub fn topology(choices: &mut Choices) -> Topology {
    let id = field("id", Type::Text, false);
    let key = if choices.rarely(4) { vec![id, field("n", Type::Int, false)] } else { vec![id] };
    let mut fields = choices.more(1, 6, |choices, _| choices.one_of(&all_fields()));
    fields.sort_by(|a, b| a.name.cmp(&b.name));
    fields.dedup();
    let with = |others: &[Field]| key.iter().chain(others).cloned().collect::<Vec<Field>>();
    // What changes a thing may know less than what made it, and what ends it knows little.
    let left_out = if choices.rarely(3) { 1 } else { 0 };
    let changed = with(&fields[..fields.len() - left_out]);
    let known = if choices.rarely(4) { 1 } else { 0 };
    let gone = with(&fields[..known]);
    let event = |name, fields| EventType { name, fields };
    let compacted = choices.rarely(10);
    // A view of a compacted topic reads all of its events, and an event without fields has nothing to set.
    let mut events = vec![event("Made", with(&fields)), event("Changed", changed), event("Gone", gone)];
    events.truncate(if compacted { GONE } else { events.len() });
    let deduplicate = !compacted && choices.rarely(8);
    let deduplicate = deduplicate.then(|| 1 + choices.below(3));
    let mut topology = Topology { events, key, partitions: 3, deduplicate, compacted, views: Vec::new() };
    let mut made = Vec::new();
    choices.more(1, MOST_VIEWS, |choices, _| {
        let (view, shape) = views::view(choices, &topology, &made);
        topology.views.push(view);
        made.push(shape);
    });
    topology
}
