//! `pipelines/<domain>/commands.yaml`.

use super::Text;
use crate::source::Spanned;

#[derive(Clone, Debug, PartialEq)]
pub struct CommandDecl {
    pub name: Text,
    pub doc: Option<String>,
    pub method: Method,
    /// `/documents/{doc_id}/versions`.
    pub path: Text,
    /// `anyone | signed_in | role(x) | owner(column)`, joined by `and`, `or`, `not`. Required.
    pub allow: Text,
    /// The view whose row the path names.
    pub on: Option<Text>,
    /// The event.
    pub emits: Text,
    pub set: Vec<(Text, Text)>,
    /// Extra body fields that never reach the event: name and type.
    pub body: Vec<(Text, Text)>,
    pub require: Vec<RequireDecl>,
    /// A re-keyed copy whose partition key is the value that must be unique.
    pub unique: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RequireDecl {
    pub that: Text,
    pub say: Text,
    /// 422 unless given.
    pub status: Option<Spanned<u16>>,
}
