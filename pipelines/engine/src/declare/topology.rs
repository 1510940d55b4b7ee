//! `pipelines/<domain>/topology.yaml`.

use super::Text;
use crate::source::Span;
use crate::table::Direction;

#[derive(Clone, Debug, PartialEq)]
pub struct TopologyDecl {
    pub name: Text,
    /// A store named in `headwater.yaml`.
    pub store: Text,
    /// Topics.
    pub reads: Vec<Text>,
    /// How often a store's refusal of one row is retried before its event is parked.
    pub retry_times: u32,
    pub views: Vec<ViewDecl>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ViewDecl {
    pub name: Text,
    pub doc: Option<String>,
    /// A view whose row, as it stands right after the event, is readable.
    pub with: Option<Text>,
    pub key: KeyDecl,
    /// Events, or one view.
    pub from: Vec<Text>,
    pub create_when: Vec<Text>,
    pub delete_when: Vec<Text>,
    pub columns: ColumnsDecl,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KeyDecl {
    pub span: Span,
    pub partition: Vec<KeyEntry>,
    pub clustering: Vec<(KeyEntry, Direction)>,
}

/// A field or column, or a name for an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyEntry {
    pub name: Text,
    pub expression: Option<Text>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ColumnsDecl {
    /// Names of the source view's columns: a re-keyed copy.
    Copied(Vec<Text>),
    /// Name and expression: reducers, or for a re-keyed copy expressions over the source's columns.
    Computed(Vec<(Text, Text)>),
}
