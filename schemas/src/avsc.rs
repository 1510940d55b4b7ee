//! Avro schema files: JSON text to a [`Schema`], with every mistake named by file, line and JSON path.
//!
//! The one idea: a schema is read twice over into two forms that must agree, the [`RecordType`] that readers and people
//! see, and the layout that says how its values lie in bytes; references between files are inlined, so that the text of
//! a schema stands alone in the registry.
//!
//! ```
//! use headwater_schemas::avsc::Schema;
//! let schema = Schema::parse(
//!     r#"{"type": "record", "name": "Seen", "namespace": "shop", "fields": [{"name": "id", "type": "long"}]}"#,
//!     &[],
//! )?;
//! assert_eq!(schema.record.name, "shop.Seen");
//! # Ok::<(), headwater_schemas::avsc::SchemaError>(())
//! ```

mod build;
mod default;
mod define;
mod locate;
mod logical;
mod names;
mod shape;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::layout::{Layout, Node};
use crate::types::RecordType;

/// The schema of one event: a named record.
#[derive(Clone)]
pub struct Schema {
    pub record: Arc<RecordType>,
    /// Normal JSON that stands alone: full names, references inlined where they are first met, attributes in one order.
    pub text: Arc<str>,
    /// SHA-256 of `text`: two schemas are the same where this is.
    pub fingerprint: Fingerprint,
    pub(crate) layout: Layout,
}

/// SHA-256 of a schema's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

/// A mistake in a schema file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}:{column}: {path}: {message}")]
pub struct SchemaError {
    /// Which of the files, from 0.
    pub file: usize,
    /// The file's name as it was given.
    pub name: String,
    /// Where in the JSON: `$.fields[2].type`.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What was expected and what was found.
    pub message: String,
}

/// How much is demanded of a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// A project's own file: whatever has no meaning here is a mistake.
    Declared,
    /// A writer's schema from a registry: unknown logical types are ignored, as Avro asks, and names are not ours to choose.
    Registered,
}

impl Schema {
    /// Reads one schema; `references` are the texts of schemas that it may name. Gives the first mistake:
    /// [`parse_all`] gathers them. `file` in the error counts the references first.
    pub fn parse(text: &str, references: &[&str]) -> Result<Self, SchemaError> {
        Self::parse_by(Rules::Declared, text, references)
    }

    /// Reads a schema that others registered, which stands alone. Takes what Avro allows and [`Schema::parse`] refuses:
    /// unknown logical types, fields named `_x`, defaults that do not match.
    pub fn parse_registered(text: &str) -> Result<Self, SchemaError> {
        Self::parse_by(Rules::Registered, text, &[])
    }

    fn parse_by(rules: Rules, text: &str, references: &[&str]) -> Result<Self, SchemaError> {
        let names: Vec<String> = (1..=references.len()).map(|n| format!("reference {n}")).collect();
        let mut files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(references.iter().copied()).collect();
        files.push(("schema", text));
        let files = names::Files::read(&files);
        let (root, mut errors) = match files.tree(references.len()) {
            Ok(_) => build::schema(&files, references.len(), rules),
            Err(error) => (None, vec![error]),
        };
        match root {
            Some(schema) if errors.is_empty() => Ok(schema),
            _ if errors.is_empty() => Err(files.error(references.len(), &[], "expected a record".into())),
            _ => Err(errors.swap_remove(0)),
        }
    }

    /// The event's name: the record's, without its namespace.
    pub fn short_name(&self) -> &str {
        self.record.short_name()
    }
}

/// Reads the schema files of a folder, each `(name, text)` and each holding one named type; they may refer to each other
/// in any order, and in circles. Gives the schema of every file that holds a record, in the order of the files, or all
/// mistakes of all files.
pub fn parse_all(files: &[(&str, &str)]) -> Result<Vec<Schema>, Vec<SchemaError>> {
    let files = names::Files::read(files);
    let mut schemas = Vec::new();
    let mut errors: Vec<SchemaError> = Vec::new();
    for file in 0..files.len() {
        let (schema, found) = match files.tree(file) {
            Ok(_) => build::schema(&files, file, Rules::Declared),
            Err(error) => (None, vec![error]),
        };
        schemas.extend(schema);
        for error in found {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
    }
    errors.sort_by_key(|e| (e.file, e.line, e.column));
    if errors.is_empty() { Ok(schemas) } else { Err(errors) }
}

impl Schema {
    /// None where the root is no record.
    fn assemble(layout: Layout, text: String, shapes: &shape::Shapes<'_>) -> Option<Self> {
        let Node::Record(_) = layout.node(layout.root) else { return None };
        let record = shapes.record(layout.root)?;
        let fingerprint = Fingerprint(Sha256::digest(text.as_bytes()).into());
        Some(Self { record, text: text.into(), fingerprint, layout })
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({}, {})", self.record.name, self.fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
