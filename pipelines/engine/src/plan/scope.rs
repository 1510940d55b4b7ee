//! The names that a view's expressions may use: an event's fields, the `with` row's columns, a source view's columns.

use std::cell::RefCell;
use std::sync::Arc;

use headwater_schemas::{FieldType, RecordType, Type};

use super::metadata::{self, Metadata};
use crate::expr::{Binding, Scope};
use crate::table::Table;
use crate::unknown;

/// An event's fields, by name or as `Event.field` or `alias.field`, the elements of an array that it unfolds, the columns of
/// the `with` row as `view.column`; what the record says beside the event (`_time`).
///
/// Slots: the `with` row's columns first, then the element's, then the event's needed fields; a field becomes needed when
/// it is named.
pub(super) struct EventScope<'a> {
    pub(super) event: &'a str,
    pub(super) alias: Option<&'a str>,
    pub(super) record: &'a RecordType,
    /// Indexes of the fields needed so far.
    pub(super) needed: &'a RefCell<Vec<usize>>,
    pub(super) renames: &'a Renames,
    pub(super) element: Option<&'a Element>,
    pub(super) with: Option<&'a Table>,
    /// Whether the `with` row may be read: not by an event that deletes it.
    pub(super) with_readable: bool,
    /// `with:` is mistaken, so the columns of that row are not known.
    pub(super) with_unknown: bool,
}

/// Names, and the path that each stands for.
pub(super) type Renames = [(String, Vec<String>)];

/// What an alias unfolds: the name of its elements and their type.
///
/// Slots, from [`Each::base`](super::Each::base): the element itself, then the fields of its record.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) ty: FieldType,
    pub(super) record: Option<Arc<RecordType>>,
}

impl Element {
    pub(super) fn new(name: &str, ty: FieldType) -> Self {
        let record = match &ty.ty {
            Type::Record(record) => Some(record.clone()),
            Type::Recursive(link) => link.record(),
            _ => None,
        };
        Self { name: name.to_owned(), ty, record }
    }

    /// How many slots an element takes.
    pub(super) fn slots(&self) -> usize {
        1 + self.record.as_ref().map_or(0, |record| record.fields.len())
    }

    /// The binding of `line` or `line.quantity`, with the element's slots from `base`.
    fn binding(&self, path: &[&str], base: usize) -> Option<Binding> {
        let [name, rest @ ..] = path else { return None };
        if *name != self.name {
            return None;
        }
        let Some((field, record)) = rest.first().zip(self.record.as_ref()) else {
            return Some(Binding { slot: base, ty: self.ty.clone(), used: 1 });
        };
        let (index, field) = unknown::field_of(record, field)?;
        let ty = FieldType { nullable: field.ty.nullable || self.ty.nullable, ty: field.ty.ty.clone() };
        Some(Binding { slot: base + 1 + index, ty, used: 2 })
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let fields = self.record.iter().flat_map(|record| &record.fields);
        std::iter::once(self.name.clone()).chain(fields.map(|field| format!("{}.{}", self.name, field.name)))
    }
}

/// The path that a path stands for, and how many segments of it are a new name.
fn renamed<'a>(renames: &'a Renames, path: &[&'a str]) -> Option<Vec<&'a str>> {
    let (_, target) = renames.iter().find(|(name, _)| path.first() == Some(&name.as_str()))?;
    Some(target.iter().map(String::as_str).collect())
}

/// What a new name is bound to. One whose meaning is mistaken stands for no path, and agrees with everything.
fn standing_for(target: &[&str], own: impl Fn(&[&str]) -> Option<Binding>) -> Option<Binding> {
    if target.is_empty() { AnyScope.name(target) } else { own(target) }
}

impl EventScope<'_> {
    fn field(&self, name: &str) -> Option<Binding> {
        let (index, ty) = match Metadata::named(self.record, name).filter(|_| self.record.field(name).is_none()) {
            Some((index, metadata)) => (index, metadata.ty()),
            None => unknown::field_of(self.record, name).map(|(index, field)| (index, field.ty.clone()))?,
        };
        let mut needed = self.needed.borrow_mut();
        let slot = needed.iter().position(|&n| n == index).unwrap_or_else(|| {
            needed.push(index);
            needed.len() - 1
        });
        let before = self.element_base() + self.element.map_or(0, Element::slots);
        Some(Binding { slot: before + slot, ty, used: 1 })
    }

    fn element_base(&self) -> usize {
        self.with.map_or(0, |table| table.columns.len())
    }

    /// An element, one of its fields, or a field of the event.
    fn own(&self, path: &[&str]) -> Option<Binding> {
        match self.element {
            Some(element) if path.first() == Some(&element.name.as_str()) => element.binding(path, self.element_base()),
            _ => self.field(path.first()?),
        }
    }

    /// How many segments of the path say whose field it is: the alias's, or the event's.
    fn prefix(&self, path: &[&str]) -> usize {
        let named = |name: &str| name == self.event || Some(name) == self.alias;
        usize::from(path.len() > 1 && named(path[0]))
    }

    /// The field of the event that a path is, as it is.
    pub(super) fn event_field<'p>(&'p self, path: &'p [&'p str]) -> Option<&'p str> {
        let path = &path[self.prefix(path)..];
        let target = match path {
            [_] => renamed(self.renames, path),
            _ => None,
        };
        match target.as_deref().unwrap_or(path) {
            [field] if self.element.is_none_or(|element| element.name != *field) => Some(field),
            _ => None,
        }
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
        let prefix = self.prefix(path);
        let rest = &path[prefix..];
        let target = renamed(self.renames, rest);
        let known = |name: &str| {
            target.is_some() || self.record.field(name).is_some() || self.element.is_some_and(|e| e.name == name)
        };
        if path.len() > 1 && self.with_unknown && prefix == 0 && !known(path[0]) {
            return AnyScope.name(path);
        }
        let binding = match target {
            Some(target) => Binding { used: 1, ..standing_for(&target, |path| self.own(path))? },
            None => self.own(rest)?,
        };
        Some(Binding { used: binding.used + prefix, ..binding })
    }

    fn names(&self) -> Vec<String> {
        let renames = self.renames.iter().map(|(name, _)| name.clone());
        let elements = self.element.into_iter().flat_map(Element::names);
        let fields = self.record.fields.iter().map(|field| field.name.clone());
        let columns = self
            .with
            .filter(|_| self.with_readable)
            .into_iter()
            .flat_map(|table| table.columns.iter().map(move |column| format!("{}.{}", table.name, column.name)));
        renames.chain(elements).chain(fields).chain(columns).chain(metadata::names().map(str::to_owned)).collect()
    }

    fn text(&self, path: &[&str]) -> Option<String> {
        let own = path[self.prefix(path)..] == [metadata::EVENT];
        (own && self.record.field(metadata::EVENT).is_none()).then(|| self.event.to_owned())
    }
}

/// A source view's columns, by name or as `view.column` or `alias.column`, and the elements of an array among them that
/// is unfolded. Slots: the columns, then the element's.
pub(super) struct RowScope<'a> {
    pub(super) table: &'a Table,
    pub(super) alias: Option<&'a str>,
    pub(super) renames: &'a Renames,
    pub(super) element: Option<&'a Element>,
}

impl RowScope<'_> {
    /// An element, one of its fields, or a column.
    fn own(&self, path: &[&str]) -> Option<Binding> {
        match self.element {
            Some(element) if path.first() == Some(&element.name.as_str()) => {
                element.binding(path, self.table.columns.len())
            }
            _ => {
                let (slot, column) = unknown::column(self.table, path.first()?)?;
                Some(Binding { slot, ty: column.ty.clone(), used: 1 })
            }
        }
    }

    fn prefix(&self, path: &[&str]) -> usize {
        let named = |name: &str| name == self.table.name || Some(name) == self.alias;
        usize::from(path.len() > 1 && named(path[0]))
    }

    /// The column that a path is, as it is.
    pub(super) fn column(&self, path: &[&str]) -> Option<usize> {
        let rest = &path[self.prefix(path)..];
        match rest {
            [_] => {
                let target = renamed(self.renames, rest);
                let binding = self.own(target.as_deref().unwrap_or(rest))?;
                (binding.slot < self.table.columns.len()).then_some(binding.slot)
            }
            _ => None,
        }
    }
}

impl Scope for RowScope<'_> {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        let prefix = self.prefix(path);
        let rest = &path[prefix..];
        let binding = match renamed(self.renames, rest) {
            Some(target) => Binding { used: 1, ..standing_for(&target, |path| self.own(path))? },
            None => self.own(rest)?,
        };
        Some(Binding { used: binding.used + prefix, ..binding })
    }

    fn names(&self) -> Vec<String> {
        let renames = self.renames.iter().map(|(name, _)| name.clone());
        let elements = self.element.into_iter().flat_map(Element::names);
        renames.chain(elements).chain(self.table.columns.iter().map(|column| column.name.clone())).collect()
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
