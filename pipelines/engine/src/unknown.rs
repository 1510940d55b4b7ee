//! What stands in for something mistaken: a type, a column, a field, a name of which nothing is known.
//!
//! A mistake is reported where it is. What reads it is checked all the same, against what is left of it, and what is not
//! known agrees with everything: no second mistake comes of the first. Only `check` meets any of this, since a project
//! with a mistake is never run.

use std::sync::Arc;

use headwater_schemas::{Field, FieldType, RecordType, Schema, Type};

use crate::table::{Column, Feeding, Table};

/// The name of a column or field that stands for all that may be there beside those that are known.
const ANY: &str = "*";

/// Which names may stand in files that cannot be read: what is not found may be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Topics and events.
    pub events: bool,
    pub views: bool,
}

/// The type of which nothing is known: a union of nothing, which no schema gives.
pub(crate) fn ty() -> FieldType {
    FieldType::nullable(Type::Union(Arc::new([])))
}

pub(crate) fn is_unknown(ty: &Type) -> bool {
    matches!(ty, Type::Union(branches) if branches.is_empty())
}

/// A table of which only the name is known.
pub(crate) fn table(name: &str) -> Table {
    let (columns, clustering, state) = (vec![any_column()], Vec::new(), Vec::new());
    Table {
        name: name.to_owned(),
        doc: None,
        columns,
        partition: 0,
        clustering,
        state,
        fed: Feeding::ByOne,
        retain: None,
    }
}

/// A column whose name is known.
pub(crate) fn named(name: &str) -> Column {
    Column { name: name.to_owned(), ty: ty(), doc: None }
}

/// The column that stands for those that are not known.
pub(crate) fn any_column() -> Column {
    named(ANY)
}

/// A field whose name is known.
pub(crate) fn field(name: &str) -> Field {
    Field { name: name.to_owned(), aliases: Vec::new(), ty: ty(), default: None, doc: None }
}

/// The field that stands for those that are not known.
pub(crate) fn any_field() -> Field {
    field(ANY)
}

/// A table's column, or what stands for it where not all of them are known.
pub(crate) fn column<'t>(table: &'t Table, name: &str) -> Option<(usize, &'t Column)> {
    table.column(name).or_else(|| table.column(ANY))
}

/// A record's field, or what stands for it where not all of them are known.
pub(crate) fn field_of<'r>(record: &'r RecordType, name: &str) -> Option<(usize, &'r Field)> {
    record.field(name).or_else(|| record.field(ANY))
}

/// Whether this is the name of what is not known, which is not to be offered to anyone.
pub(crate) fn is_any(name: &str) -> bool {
    name == ANY || name.ends_with(".*")
}

/// The schema of an event, with what is known of its fields.
pub(crate) fn schema(name: &str, fields: Vec<Field>) -> Option<Schema> {
    let text = serde_json::json!({ "type": "record", "name": name, "fields": [] }).to_string();
    let mut schema = Schema::parse_registered(&text).ok()?;
    schema.record = Arc::new(RecordType { name: name.to_owned(), aliases: Vec::new(), fields, doc: None });
    Some(schema)
}
