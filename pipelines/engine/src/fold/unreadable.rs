//! A result that no longer fits its column's type is no value: an event that would have another view read it cannot be
//! applied, so that no view makes a number of what is none.

use super::apply::Failures;
use super::working::Change;
use crate::plan::{Topology, View};
use crate::table::{Row, Table};

/// The view that a view reads, and those columns of it whose results may come not to fit.
pub(super) struct Watched<'t> {
    source: &'t View,
    columns: &'t [usize],
}

impl<'t> Watched<'t> {
    /// None where everything that this view reads always fits.
    pub(super) fn of(topology: &'t Topology, view: &'t View) -> Option<Self> {
        let columns = view.watched.as_slice();
        let source = view.read().filter(|_| !columns.is_empty())?;
        Some(Self { source: &topology.views[source], columns })
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
