//! The names that a view's expressions may use: an event's fields, the `with` row's columns, a source view's columns.

use std::cell::RefCell;

use headwater_schemas::RecordType;

use super::metadata::{self, Metadata};
use crate::expr::{Binding, Scope};
use crate::table::Table;
use crate::unknown;

/// An event's fields, by name or as `Event.field`, and the columns of the `with` row as `view.column`; what the record says
/// beside the event (`_time`).
///
/// Slots: the `with` row's columns first, then the event's needed fields; a field becomes needed when it is named.
pub(super) struct EventScope<'a> {
    pub(super) event: &'a str,
    pub(super) record: &'a RecordType,
    /// Indexes of the fields needed so far.
    pub(super) needed: &'a RefCell<Vec<usize>>,
    pub(super) with: Option<&'a Table>,
    /// Whether the `with` row may be read: not by an event that deletes it.
    pub(super) with_readable: bool,
    /// `with:` is mistaken, so the columns of that row are not known.
    pub(super) with_unknown: bool,
}

impl EventScope<'_> {
    fn field(&self, name: &str, used: usize) -> Option<Binding> {
        let (index, ty) = match Metadata::named(self.record, name).filter(|_| self.record.field(name).is_none()) {
            Some((index, metadata)) => (index, metadata.ty()),
            None => unknown::field_of(self.record, name).map(|(index, field)| (index, field.ty.clone()))?,
        };
        let mut needed = self.needed.borrow_mut();
        let slot = needed.iter().position(|&n| n == index).unwrap_or_else(|| {
            needed.push(index);
            needed.len() - 1
        });
        let before = self.with.map_or(0, |table| table.columns.len());
        Some(Binding { slot: before + slot, ty, used })
    }
}

impl Scope for EventScope<'_> {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        if let ([view, column, ..], Some(table)) = (path, self.with)
            && *view == table.name
            && self.with_readable
        {
            let (slot, column) = unknown::column(table, column)?;
            return Some(Binding { slot, ty: column.ty.clone(), used: 2 });
        }
        let named = |name: &str| name == self.event || self.record.field(name).is_some();
        if path.len() > 1 && self.with_unknown && !named(path[0]) {
            return AnyScope.name(path);
        }
        match path {
            [event, field, ..] if *event == self.event => self.field(field, 2),
            [field, ..] => self.field(field, 1),
            [] => None,
        }
    }

    fn names(&self) -> Vec<String> {
        let fields = self.record.fields.iter().map(|field| field.name.clone());
        let columns = self
            .with
            .filter(|_| self.with_readable)
            .into_iter()
            .flat_map(|table| table.columns.iter().map(move |column| format!("{}.{}", table.name, column.name)));
        fields.chain(columns).chain(metadata::names().map(str::to_owned)).collect()
    }

    fn text(&self, path: &[&str]) -> Option<String> {
        let own = match path {
            [event, name] => *event == self.event && *name == metadata::EVENT,
            path => path == [metadata::EVENT],
        };
        (own && self.record.field(metadata::EVENT).is_none()).then(|| self.event.to_owned())
    }
}

/// A source view's columns, by name or as `view.column`; slots are the columns.
pub(super) struct RowScope<'a> {
    pub(super) table: &'a Table,
}

impl Scope for RowScope<'_> {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        let (column, used) = match path {
            [view, column, ..] if *view == self.table.name => (column, 2),
            [column, ..] => (column, 1),
            [] => return None,
        };
        let (slot, column) = unknown::column(self.table, column)?;
        Some(Binding { slot, ty: column.ty.clone(), used })
    }

    fn names(&self) -> Vec<String> {
        self.table.columns.iter().map(|column| column.name.clone()).collect()
    }
}

/// Where nothing is known of what is read.
pub(super) struct AnyScope;

impl Scope for AnyScope {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        Some(Binding { slot: 0, ty: unknown::ty(), used: path.len() })
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
