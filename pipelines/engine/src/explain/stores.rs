//! Under which promise each kind of store writes a view. What is said here is what `headwater-views` does.

use serde::Serialize;

use super::text::listed;
use super::{Made, Subject, inputs};
use crate::plan::{EventSource, Role, Source, Topology};

/// What holds on some stores.
#[derive(Debug, Serialize)]
pub struct Promise {
    pub stores: Vec<&'static str>,
    pub says: String,
}

const SQL: [&str; 2] = ["SQLite", "Postgres"];
const CASSANDRA: [&str; 1] = ["Cassandra"];

pub(super) fn of_topology(topology: &Topology) -> Vec<Promise> {
    let mut sql = "exactly once: the rows of a batch and the positions up to which the log was read are one \
                   transaction, refused where another worker moved those positions first"
        .to_owned();
    let shared = topology.views.iter().filter(|view| view.owner.is_none());
    let shared: Vec<String> = shared.map(|view| view.table.name.clone()).collect();
    if !shared.is_empty() {
        let are = if shared.len() == 1 { "is" } else { "are" };
        sql.push_str(&format!("; on Postgres workers take turns, since {} {are} shared", listed(&shared)));
    }
    let cassandra =
        "at least once, and idempotently: every write carries its event's offset as its timestamp, so that an \
                     older one never wins; what derives from a view is written before it, the positions last"
            .to_owned();
    vec![Promise { stores: SQL.to_vec(), says: sql }, Promise { stores: CASSANDRA.to_vec(), says: cassandra }]
}

pub(super) fn of_view(subject: Subject) -> Vec<Promise> {
    let mut sql = "exactly once, in one transaction with the positions".to_owned();
    if subject.view.owner.is_none() {
        sql.push_str("; the row is read and written as a whole, by one worker at a time");
        if matches!(&subject.view.source, Source::Events(source) if source.making.is_some()) {
            sql.push_str("; one that is not made, or is deleted, stays hidden with what other topics say of it");
        }
    }
    let mut cassandra = on_cassandra(subject);
    if subject.view.table.retain.is_some_and(|retain| retain.pruned) {
        cassandra.push_str("; with the time to live that is left of `retain`");
    }
    vec![Promise { stores: SQL.to_vec(), says: sql }, Promise { stores: CASSANDRA.to_vec(), says: cassandra }]
}

fn deletes(subject: Subject, source: &EventSource, role: Role) -> bool {
    inputs::fed(subject, source).any(|(_, _, input)| input.role == role)
}

fn on_cassandra(subject: Subject) -> String {
    let shared = subject.view.owner.is_none();
    let guarded = "stays as a hidden guard for `guard_days`, so that nothing late brings it back";
    match &subject.view.source {
        Source::Copy(_) => "whole rows at the offset of the event behind them, and deletions; never read back, so no \
                            guard stays"
            .to_owned(),
        _ if shared => {
            let of = |topic: &&headwater_schemas::Topic| {
                format!("the {} partitions of topic {}", topic.partitions, topic.name)
            };
            let parts = format!(
                "a part of each row for each of {}, whole and at its event's offset; readers put the parts together",
                listed(&subject.topics().iter().map(of).collect::<Vec<_>>())
            );
            match (subject.made(), &subject.view.source) {
                (Made::Aggregate, _) if !subject.view.always => {
                    format!("{parts}; a part of which nothing is left {guarded}")
                }
                (_, Source::Events(source)) if deletes(subject, source, Role::DeleteRow) => {
                    format!("{parts}; a part that is deleted {guarded}")
                }
                _ => parts,
            }
        }
        Source::Events(source) => {
            let rows = "whole rows at their event's offset, skipped where the row is past that";
            let deletes = |role: Role| deletes(subject, source, role);
            match (deletes(Role::DeletePartition), deletes(Role::DeleteRow)) {
                (true, _) => format!("{rows}; a partition is deleted at the offset of the event that deletes it"),
                (false, true) => format!("{rows}; a deleted row {guarded}"),
                (false, false) => rows.to_owned(),
            }
        }
        Source::Aggregate(_) | Source::Seen(_) => {
            "whole rows at their event's offset, skipped where the row is past that".to_owned()
        }
    }
}
