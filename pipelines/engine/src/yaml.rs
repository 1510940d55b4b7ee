//! A spanned YAML tree: every scalar with its source text and place, so that one pass can gather every mistake and a
//! value can be read by its Avro type from what was written (`1.10`, `no`, `0123` survive).

use crate::source::Span;

/// A YAML node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The text as written (unquoted), and whether it was quoted: an unquoted `null`, `~` or nothing is null.
    Scalar {
        text: String,
        quoted: bool,
    },
    Sequence(Vec<Node>),
    /// Keys are scalars; duplicates are refused.
    Mapping(Vec<(Node, Node)>),
}
