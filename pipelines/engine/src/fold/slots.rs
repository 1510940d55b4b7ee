//! What expressions read, laid out as slots: an event's fields or a row's columns, and an element of an array among them.

use bumpalo::Bump;
use headwater_schemas::{Value, ValueRef};

use crate::expr::Expr;
use crate::plan::{Each, MAX_ELEMENTS};
use crate::table::Row;

/// The slots that an input's expressions read: the `with` row's columns, those that are `read`, an element's, which are
/// null until [`put_element`], then the event's fields.
pub(super) fn slots<'a>(
    with: Option<&'a Row>,
    columns: usize,
    read: &[usize],
    each: Option<Each>,
    event: &[ValueRef<'a>],
    bump: &'a Bump,
) -> &'a mut [ValueRef<'a>] {
    let before = columns + each.map_or(0, |each| each.width);
    let all = bump.alloc_slice_fill_copy(before + event.len(), ValueRef::Null);
    if let Some(row) = with {
        for &column in read {
            all[column] = row.values[column].borrow(bump);
        }
    }
    all[before..].copy_from_slice(event);
    all
}

/// Puts an element where expressions read it.
pub(super) fn put_element<'a>(each: Each, element: &ValueRef<'a>, slots: &mut [ValueRef<'a>]) {
    slots[each.base] = *element;
    let fields = match element {
        ValueRef::Record(fields) => fields,
        _ => &[][..],
    };
    for (index, slot) in slots[each.base + 1..each.base + each.width].iter_mut().enumerate() {
        *slot = fields.get(index).copied().unwrap_or(ValueRef::Null);
    }
}

/// The elements of an array that is unfolded: none of null.
pub(super) fn elements<'a>(array: &ValueRef<'a>) -> Result<&'a [ValueRef<'a>], String> {
    let ValueRef::Array(elements) = array else { return Ok(&[]) };
    within_bounds(elements.len())?;
    Ok(elements)
}

/// Whether so many elements may be unfolded.
fn within_bounds(elements: usize) -> Result<(), String> {
    if elements > MAX_ELEMENTS {
        return Err(format!("an array of {elements} elements, of which one event may unfold at most {MAX_ELEMENTS}"));
    }
    Ok(())
}

/// A row's columns as slots, those that are `read`, then an element's; the others are null.
pub(super) fn row_slots<'a>(
    row: &'a Row,
    read: &[usize],
    each: Option<Each>,
    bump: &'a Bump,
) -> &'a mut [ValueRef<'a>] {
    let width = each.map_or(0, |each| each.width);
    let slots = bump.alloc_slice_fill_copy(row.values.len() + width, ValueRef::Null);
    for &column in read {
        slots[column] = row.values[column].borrow(bump);
    }
    slots
}

/// The columns among the first `columns` slots that expressions read.
pub(crate) fn columns_read<'e>(exprs: impl Iterator<Item = &'e Expr>, columns: usize) -> Vec<usize> {
    let mut read: Vec<usize> = exprs.flat_map(Expr::slots).copied().filter(|&slot| slot < columns).collect();
    read.sort_unstable();
    read.dedup();
    read
}

/// The elements of a row's array that is unfolded: none of null.
pub(super) fn row_elements(array: &Value) -> Result<&[Value], String> {
    let Value::Array(elements) = array else { return Ok(&[]) };
    within_bounds(elements.len())?;
    Ok(elements)
}

/// Whether an input's condition holds; without one, always.
pub(super) fn passes<'a>(filter: Option<&Expr>, slots: &[ValueRef<'a>], bump: &'a Bump) -> Result<bool, String> {
    match filter {
        None => Ok(true),
        Some(filter) => match filter.eval_bool(slots, bump) {
            Ok(passes) => Ok(passes == Some(true)),
            Err(problem) => Err(format!("where: {problem}")),
        },
    }
}
