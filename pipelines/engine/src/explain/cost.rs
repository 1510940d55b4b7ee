//! What one event reads and writes of a view.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rows::Rows;
use super::{Made, Subject, inputs};
use crate::expr::Expr;
use crate::plan::{AggregateInput, EventSource, Role, Source};

/// Rows of the view for one event that it has a row of; each is read and written once a batch, however many events of the
/// batch touch it.
#[derive(Debug, Serialize)]
pub struct Cost {
    pub reads: Rows,
    pub writes: Rows,
    /// Which rows are read, and from where.
    pub read: String,
    /// Which are written.
    pub written: String,
}

pub(super) fn of(subject: Subject) -> Cost {
    let (reads, writes) = rows(subject);
    Cost { reads, writes, read: read(subject), written: written(subject) }
}

/// The rows that one event reads and writes.
fn rows(subject: Subject) -> (Rows, Rows) {
    let changes = || subject.source().map_or(Rows::exactly(1), |source| rows(source).1);
    match &subject.view.source {
        Source::Seen(_) => (Rows::exactly(1), Rows::exactly(1)),
        Source::Events(source) => of_events(subject, source),
        Source::Copy(_) => (Rows::exactly(0), of_change(subject).times(changes())),
        Source::Aggregate(_) => {
            let rows = of_change(subject).times(changes());
            (rows.clone(), rows)
        }
    }
}

fn of_events(subject: Subject, source: &EventSource) -> (Rows, Rows) {
    let mut by_event: BTreeMap<inputs::EventPlace, (Rows, Rows)> = BTreeMap::new();
    for (event, decl, input) in inputs::fed(subject, source) {
        let rows = match (&decl.each, &input.filter) {
            (Some((_, array)), _) => Rows::each(&array.value),
            (None, Some(_)) => Rows::up_to(1),
            (None, None) => Rows::exactly(1),
        };
        let read = if input.role == Role::DeletePartition { Rows::exactly(0) } else { rows.clone() };
        let (reads, writes) = by_event.remove(&event).unwrap_or_default();
        by_event.insert(event, (reads.and(read), writes.and(rows)));
    }
    let any = |(a, b): (Rows, Rows), (c, d): (Rows, Rows)| (a.or(c), b.or(d));
    by_event.into_values().reduce(any).unwrap_or_default()
}

/// The rows that one change of a source's row touches.
fn of_change(subject: Subject) -> Rows {
    let Some(from) = subject.source() else { return Rows::default() };
    let once =
        |filtered: bool, moves: bool| Rows { least: u32::from(!filtered), most: 1 + u32::from(moves), arrays: vec![] };
    match &subject.view.source {
        Source::Copy(source) => once(source.filter.is_some(), moves(&source.key, from)),
        Source::Aggregate(source) => {
            let declared = subject.decl.map_or(&[][..], |decl| &decl.from);
            let each = |(index, input): (usize, &AggregateInput)| {
                let array = declared.get(index).and_then(|decl| decl.each.as_ref());
                match array {
                    Some((_, array)) => Rows::each(&array.value),
                    None => once(input.filter.is_some(), moves(&input.key, from)),
                }
            };
            source.inputs.iter().enumerate().map(each).fold(Rows::default(), Rows::and)
        }
        Source::Events(_) | Source::Seen(_) => Rows::default(),
    }
}

/// Whether a row's key changes with more than the key of its source's row.
fn moves(key: &[Expr], from: Subject) -> bool {
    key.iter().flat_map(Expr::slots).any(|&slot| slot >= from.view.table.key_len())
}

fn read(subject: Subject) -> String {
    let from = super::text::listed(&subject.from());
    let own = match (subject.made(), subject.view.owner.is_some()) {
        (Made::Copy, _) => return format!("nothing: rows are mapped from those of {from} that change"),
        (Made::Aggregate, _) => {
            return "the row that is taken from and the row that is added to, from the store in each batch".to_owned();
        }
        (_, true) => "from memory where it was written lately",
        (_, false) => "from the store in each batch (on Cassandra its own part, from memory)",
    };
    let rows = rows(subject).0;
    let what = if rows.most > 1 || !rows.arrays.is_empty() { "each row that it writes" } else { "its own row" };
    match subject.beside() {
        Some(beside) => format!("{what}, {own}; that of {beside} is at hand"),
        None => format!("{what}, {own}"),
    }
}

fn written(subject: Subject) -> String {
    let Some(from) = subject.source() else { return of_event(&rows(subject).1) };
    let rows = of_change(subject);
    let name = &from.view.table.name;
    let filtered = if rows.least == 0 && rows.arrays.is_empty() { "at most " } else { "" };
    match (rows.most, rows.arrays.as_slice()) {
        (_, [array, ..]) => {
            format!("a row for each element of {array}, before and after, of a row of {name} that changes")
        }
        (1, []) => format!("{filtered}1 row for each of {name} that changes"),
        (2, []) => format!("{filtered}1 row for each of {name} that changes; 2 where its key changes with it"),
        (most, []) => format!("up to {most} rows for each of {name} that changes"),
    }
}

fn of_event(rows: &Rows) -> String {
    let arrays = super::text::listed(&rows.arrays);
    match (rows.least, rows.most, rows.arrays.is_empty()) {
        (_, 0, false) => format!("a row for each element of {arrays}"),
        (_, most, false) => format!("{} and one for each element of {arrays}", counted(most)),
        (least, most, true) if least == most => counted(most),
        (_, most, true) => format!("up to {}", counted(most)),
    }
}

fn counted(rows: u32) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}
