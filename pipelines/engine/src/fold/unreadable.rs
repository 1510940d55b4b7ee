//! A result that no longer fits its column's type is no value: an event that would have another view read it cannot be
//! applied, so that no view makes a number of what is none.

use super::apply::{Failures, expressions};
use super::slots::columns_read;
use super::working::Change;
use crate::expr::Expr;
use crate::plan::{Argument, CopiedColumn, Source, Topology, View};
use crate::table::{Row, Table};

/// The columns of another view that a view reads, and whose results may come not to fit.
pub(super) struct Watched<'t> {
    source: &'t View,
    columns: Vec<usize>,
}

impl<'t> Watched<'t> {
    /// What this view reads of the one that it is over, or stands beside.
    pub(super) fn of(topology: &'t Topology, view: &'t View) -> Option<Self> {
        let source = match &view.source {
            Source::Copy(copy) => copy.view,
            Source::Aggregate(aggregate) => aggregate.view,
            Source::Events(events) => events.with?,
            Source::Seen(_) => return None,
        };
        let source = &topology.views[source];
        let width = source.table.columns.len();
        if !(0..width).any(|column| source.may_overflow(column)) {
            return None;
        }
        let mut columns = columns_read(view_expressions(view), width);
        if let Source::Copy(copy) = &view.source {
            columns.extend(copy.columns.iter().filter_map(|column| match column {
                CopiedColumn::Column(index) => Some(*index),
                _ => None,
            }));
        }
        columns.retain(|column| source.may_overflow(*column));
        (!columns.is_empty()).then_some(Self { source, columns })
    }

    /// Whether everything that is read of the row can be.
    pub(super) fn check(&self, row: &Row) -> Result<(), String> {
        let overflowed = self.columns.iter().find(|column| self.source.is_overflowed(row, **column));
        overflowed.map_or(Ok(()), |column| {
            let Table { name, columns, .. } = &self.source.table;
            Err(format!("what column {} of view {name} holds no longer fits its type", columns[*column].name))
        })
    }
}

/// Finds the changes of which a view would read what cannot be read.
pub(super) fn check(topology: &Topology, view: &View, changes: &[Change], failures: &mut Failures) {
    let Some(watched) = Watched::of(topology, view) else { return };
    for change in changes {
        if let Some(Err(problem)) = change.new.as_deref().map(|row| watched.check(row)) {
            failures.push((change.record, format!("view {}: {problem}", view.table.name)));
        }
    }
}

fn view_expressions(view: &View) -> Box<dyn Iterator<Item = &Expr> + '_> {
    fn all<'v>(
        key: &'v [Expr],
        filter: &'v Option<Expr>,
        of: &'v [Option<Argument>],
    ) -> impl Iterator<Item = &'v Expr> {
        key.iter().chain(filter).chain(of.iter().flatten().flat_map(expressions))
    }
    match &view.source {
        Source::Events(events) => {
            Box::new(events.inputs().flat_map(|input| all(&input.key, &input.filter, &input.arguments)))
        }
        Source::Aggregate(aggregate) => {
            Box::new(aggregate.inputs.iter().flat_map(|input| all(&input.key, &input.filter, &input.arguments)))
        }
        Source::Copy(copy) => {
            let computed = copy.columns.iter().filter_map(|column| match column {
                CopiedColumn::Computed(expr) => Some(expr),
                _ => None,
            });
            Box::new(all(&copy.key, &copy.filter, &[]).chain(computed))
        }
        Source::Seen(_) => Box::new(std::iter::empty()),
    }
}
