//! What a view reads of another one and may not fit its type: such results are looked at before they are read.

use super::{Argument, CopiedColumn, Source, View};
use crate::expr::Expr;
use crate::fold::slots::columns_read;

/// Settles which columns of the view that it is over, or stands beside, each view has to look at.
pub(super) fn settle(views: &mut [View]) {
    for index in 0..views.len() {
        views[index].watched = watched(views, &views[index]);
    }
}

fn watched(views: &[View], view: &View) -> Vec<usize> {
    let Some(source) = view.read().map(|read| &views[read]) else { return Vec::new() };
    let width = source.table.columns.len();
    if !(0..width).any(|column| source.may_overflow(column)) {
        return Vec::new();
    }
    let mut columns = columns_read(expressions(view), width);
    if let Source::Copy(copy) = &view.source {
        columns.extend(copy.columns.iter().filter_map(|column| match column {
            CopiedColumn::Column(index) => Some(*index),
            _ => None,
        }));
    }
    columns.retain(|column| source.may_overflow(*column));
    columns
}

fn expressions(view: &View) -> Box<dyn Iterator<Item = &Expr> + '_> {
    fn all<'v>(
        key: &'v [Expr],
        filter: &'v Option<Expr>,
        of: &'v [Option<Argument>],
    ) -> impl Iterator<Item = &'v Expr> {
        key.iter().chain(filter).chain(of.iter().flatten().flat_map(Argument::expressions))
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
