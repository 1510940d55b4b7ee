//! A spanned YAML tree: every scalar with its source text and place, so that one pass can gather every mistake and a
//! value can be read by its Avro type from what was written (`1.10`, `no`, `0123` survive).
//!
//! Less than YAML on purpose: one document, no tags, no merge keys, keys that are text and stand once, and bounds on
//! size, depth and what aliases expand to. [`parse`] reads text into a [`Node`]; [`walk`] takes a node apart, gathering
//! mistakes instead of stopping at the first.

mod build;
mod mistake;
pub mod walk;

use crate::source::{Code, Diagnostic, FileId, Span};

pub(crate) use mistake::quoted;
pub use walk::Fields;

/// Bytes of one file.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Nodes of one file, those that aliases stand for included.
pub const MAX_NODES: usize = 100_000;
/// Collections within collections.
pub const MAX_DEPTH: usize = 64;

/// A YAML node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// A quoted scalar's is what stands between the quotes.
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

/// A file's tree, or everything that keeps it from being one.
pub fn parse(file: FileId, text: &str) -> Result<Node, Vec<Diagnostic>> {
    let mut out = Vec::new();
    match parse_into(file, text, &mut out) {
        Some(node) if out.is_empty() => Ok(node),
        _ => Err(out),
    }
}

/// A file's tree as far as it can be relied on: mistakes that leave the rest readable (a key that stands twice) still
/// give a tree, so that what else is wrong can be said too.
pub fn parse_into(file: FileId, text: &str, out: &mut Vec<Diagnostic>) -> Option<Node> {
    let before = out.len();
    let tree = build::tree(file, text, out);
    // A key that stands twice is said to be that.
    out[before..].iter_mut().filter(|error| error.code == Code::Invalid).for_each(|error| error.code = Code::Syntax);
    tree
}
