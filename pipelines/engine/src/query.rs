//! Compiled queries: which view, by which key, with what joined. Pure: the query API runs them.
//!
//! A query is served by a key or refused: every key column that a read needs comes from the path or the query string (or
//! is walked, newest bucket first). [`compile`] gathers every mistake of a declaration and names the view to declare where
//! a query would scan.

mod bucket;
mod compile;
mod join;
mod sort;
mod unit;

use std::sync::Arc;

use headwater_schemas::FieldType;

use crate::allow::Allow;
use crate::plan::{Topology, View};
use crate::route::Route;
use crate::table::{Column, Table};

pub use compile::compile;
pub(crate) use compile::compile_with;
pub use sort::{MOST_SORTED, Sort};
pub use unit::Unit;

/// The query string's own names; no key column that a caller gives there may have them.
pub const SIZE: &str = "size";
pub const CURSOR: &str = "cursor";

/// A query, compiled.
#[derive(Clone, Debug)]
pub struct Query {
    pub name: String,
    pub doc: Option<String>,
    /// By GET (and HEAD).
    pub route: Route,
    pub allow: Allow,
    pub topology: Arc<Topology>,
    /// By the topology's views.
    pub view: usize,
    /// The key columns that the caller gives, in key order: of a page the partition's without the walked one, else the
    /// whole key.
    pub parameters: Vec<Parameter>,
    pub answer: Answer,
    pub joins: Vec<Join>,
}

/// A key column's value, as the caller gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The column's name.
    pub name: String,
    /// By the view's columns.
    pub column: usize,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Path,
    /// The query string.
    Query,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One row, or 404.
    Row,
    /// A partition's rows by pages, in clustering order or sorted.
    Page {
        walk: Option<Walk>,
        /// Rows where the caller does not say.
        size_default: u32,
        size_max: u32,
        /// Never beside a walk.
        sort: Option<Sort>,
    },
    /// The content that one row refers to. Columns of the view.
    File {
        /// A record with the fields of [`UploadFields`].
        content: usize,
        fields: UploadFields,
        /// A string: the file's name.
        name: usize,
        /// A string: its media type.
        mime_type: usize,
    },
}

/// Which fields of an upload's record say where the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadFields {
    /// A string: the blob's name in the blob store.
    pub blob: usize,
    /// A string of 64 hexadecimal digits, or 32 bytes.
    pub sha256: usize,
    /// A long: bytes.
    pub size: usize,
}

/// A page over several partitions: newest bucket first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The bucket's column, one of the partition's.
    pub column: usize,
    pub unit: Unit,
    /// How many buckets before the current one are looked at, at most.
    pub back: u32,
}

/// A column, or a row, of another view, by its whole key.
#[derive(Clone, Debug)]
pub struct Join {
    /// The answer's field.
    pub name: String,
    pub topology: Arc<Topology>,
    /// By that topology's views.
    pub view: usize,
    /// The row's columns that make the other view's key, in its order. Where one is null nothing is joined.
    pub key: Vec<usize>,
    /// The other view's column; None: the whole row.
    pub column: Option<usize>,
}

impl Query {
    pub fn view(&self) -> &View {
        &self.topology.views[self.view]
    }

    pub fn table(&self) -> &Table {
        &self.view().table
    }

    /// The column that a parameter gives.
    pub fn column(&self, parameter: &Parameter) -> &Column {
        &self.table().columns[parameter.column]
    }
}

impl Join {
    pub fn view(&self) -> &View {
        &self.topology.views[self.view]
    }

    pub fn table(&self) -> &Table {
        &self.view().table
    }

    /// What the joined field is: the column's type, nullable; None for a whole row (or null).
    pub fn ty(&self) -> Option<FieldType> {
        self.column.map(|column| FieldType::nullable(self.table().columns[column].ty.ty.clone()))
    }
}

#[cfg(test)]
mod tests;
