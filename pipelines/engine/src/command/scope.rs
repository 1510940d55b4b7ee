//! The names that a command's expressions may use: parameters and body fields by name, body fields also as `body.x`, the
//! row's columns as `view.column`, and `actor()`, `now()`, `new_id()`.

use headwater_schemas::{FieldType, RecordType, Type};

use super::Param;
use crate::expr::{Binding, Scope};
use crate::table::Table;
use crate::unknown;

/// Slots as [`super::Command`] lays them out.
pub(super) struct CommandScope<'a> {
    pub(super) params: &'a [Param],
    pub(super) body: &'a RecordType,
    pub(super) row: Option<&'a Table>,
    /// Somebody is signed in whenever the command gets as far as its expressions.
    pub(super) signed_in: bool,
    /// In `set:`, which makes identifiers.
    pub(super) makes_ids: bool,
}

impl CommandScope<'_> {
    fn body_field(&self, name: &str, used: usize) -> Option<Binding> {
        let (index, field) = unknown::field_of(self.body, name)?;
        Some(Binding { slot: self.params.len() + index, ty: field.ty.clone(), used })
    }

    fn before_row(&self) -> usize {
        self.params.len() + self.body.fields.len()
    }

    /// Whether a slot is a column of the row.
    pub(super) fn is_row(&self, slot: usize) -> bool {
        let columns = self.row.map_or(0, |table| table.columns.len());
        (self.before_row()..self.before_row() + columns).contains(&slot)
    }

    /// The parameter or body field of a slot.
    pub(super) fn given(&self, slot: usize) -> Option<&str> {
        match slot.checked_sub(self.params.len()) {
            None => Some(&self.params[slot].name),
            Some(field) => self.body.fields.get(field).map(|field| field.name.as_str()),
        }
    }
}

impl Scope for CommandScope<'_> {
    fn name(&self, path: &[&str]) -> Option<Binding> {
        match (path, self.row) {
            ([view, column, ..], Some(table)) if *view == table.name => {
                let (index, column) = unknown::column(table, column)?;
                return Some(Binding { slot: self.before_row() + index, ty: column.ty.clone(), used: 2 });
            }
            (["body", field, ..], _) => {
                if let Some(binding) = self.body_field(field, 2) {
                    return Some(binding);
                }
            }
            _ => {}
        }
        let [name, ..] = path else { return None };
        match self.params.iter().position(|param| param.name == *name) {
            Some(slot) => Some(Binding { slot, ty: self.params[slot].ty.clone(), used: 1 }),
            None => self.body_field(name, 1),
        }
    }

    fn call(&self, name: &str, argument_count: usize) -> Option<Binding> {
        let after_row = self.before_row() + self.row.map_or(0, |table| table.columns.len());
        let (offset, ty) = match (name, argument_count) {
            ("actor", 0) => (0, FieldType { ty: Type::String, nullable: !self.signed_in }),
            ("now", 0) => (1, FieldType::required(Type::TimestampMicros)),
            ("new_id", 0) if self.makes_ids => (2, FieldType::required(Type::Uuid)),
            _ => return None,
        };
        Some(Binding { slot: after_row + offset, ty, used: 0 })
    }

    fn calls(&self) -> &[&'static str] {
        if self.makes_ids { &["actor", "now", "new_id", "upload"] } else { &["actor", "now"] }
    }

    fn names(&self) -> Vec<String> {
        let params = self.params.iter().map(|param| param.name.clone());
        let body = self.body.fields.iter().map(|field| field.name.clone());
        let row = self
            .row
            .into_iter()
            .flat_map(|table| table.columns.iter().map(move |column| format!("{}.{}", table.name, column.name)));
        params.chain(body).chain(row).filter(|name| !unknown::is_any(name)).collect()
    }
}
