//! `sort:` the order of a page that is not its view's: the rows of one partition, read whole and sorted.
//!
//! ```text
//! sort: [sold desc, product]
//! ```
//!
//! Values are in the order that `order by` has, nulls last whichever the direction; rows that are equal stay in the order of
//! the view's clustering.

use std::cmp::Ordering;

use bumpalo::Bump;
use headwater_schemas::Value;

use crate::declare::Text;
use crate::expr::value_order;
use crate::plan::may_be_key;
use crate::source::Diagnostic;
use crate::table::{Direction, Table};
use crate::unknown;

/// The most rows of a partition that are sorted: they are read for each request.
pub const MOST_SORTED: usize = 10_000;

/// By which columns of the view rows are sorted, the first counting most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort(Vec<(usize, Direction)>);

impl Sort {
    /// The order of two rows' values.
    pub fn order(&self, a: &[Value], b: &[Value]) -> Ordering {
        // Scalars need no room to be borrowed in.
        let bump = Bump::new();
        let one = |(column, direction): &(usize, Direction)| {
            let (a, b) = (&a[*column], &b[*column]);
            match (a.is_null() || b.is_null(), direction) {
                (true, _) => a.is_null().cmp(&b.is_null()),
                (false, Direction::Ascending) => value_order(&a.borrow(&bump), &b.borrow(&bump)),
                (false, Direction::Descending) => value_order(&b.borrow(&bump), &a.borrow(&bump)),
            }
        };
        self.0.iter().map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// The columns of `sort:`; None where it is left out, or where something is wrong with it, which is reported.
pub(super) fn compile(decl: &[(Text, Direction)], table: &Table, errors: &mut Vec<Diagnostic>) -> Option<Sort> {
    let before = errors.len();
    let mut columns = Vec::new();
    for (name, direction) in decl {
        if let Some(space) = name.find(char::is_whitespace) {
            let word = name.part(space + 1..name.len());
            let message = format!("`{}` is no direction", name.value[space + 1..].trim());
            errors.push(Diagnostic::error(&word, message).label("`asc` or `desc`"));
            continue;
        }
        let Some((column, found)) = unknown::column(table, name) else {
            let message = format!("view `{}` has no column `{}`", table.name, name.value);
            let names = table.columns.iter().map(|column| column.name.as_str());
            errors.push(Diagnostic::error(&name.span, message).label("no such column").nearest(name, names));
            continue;
        };
        if !may_be_key(&found.ty.ty) {
            let message = format!("rows cannot be sorted by `{}`, which is {}", name.value, found.ty.ty);
            errors.push(Diagnostic::error(&name.span, message).label("has no order"));
        }
        if columns.iter().any(|(known, _)| *known == column) {
            let message = format!("column `{}` stands twice in `sort`", name.value);
            errors.push(Diagnostic::error(&name.span, message).label("again here"));
        }
        columns.push((column, *direction));
    }
    (errors.len() == before && !columns.is_empty()).then_some(Sort(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_last_in_both_directions() {
        let rows = [Value::Long(2), Value::Null, Value::Long(1)];
        for (direction, expected) in [(Direction::Ascending, [2, 0, 1]), (Direction::Descending, [0, 2, 1])] {
            let sort = Sort(vec![(0, direction)]);
            let mut order = [0, 1, 2];
            order.sort_by(|&a: &usize, &b: &usize| sort.order(&rows[a..=a], &rows[b..=b]));
            assert_eq!(order, expected, "{direction:?}");
        }
    }
}
