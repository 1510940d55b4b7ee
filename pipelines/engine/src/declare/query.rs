//! `pipelines/<domain>/queries.yaml`.

use super::Text;
use crate::source::Spanned;

#[derive(Clone, Debug, PartialEq)]
pub struct QueryDecl {
    pub name: Text,
    pub doc: Option<String>,
    /// `/documents/{doc_id}`.
    pub path: Text,
    pub allow: Text,
    pub answer: AnswerDecl,
    /// Column name and `view[column].column` or `view[column]`.
    pub join: Vec<(Text, Text)>,
}

/// What the query answers with, and the view that it reads.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerDecl {
    Row(Text),
    Page {
        view: Text,
        /// The partition column that the page walks, and how many partitions back at most.
        walk: Option<(Text, Spanned<u32>)>,
        /// Default 50.
        size_default: Option<Spanned<u32>>,
        /// Default 500.
        size_max: Option<Spanned<u32>>,
    },
    File {
        view: Text,
        /// Columns; `content`, `name` and `mime_type` unless named.
        content: Option<Text>,
        name: Option<Text>,
        mime_type: Option<Text>,
    },
}
