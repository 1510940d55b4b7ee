//! Values as people write them: JSON in command bodies, tests and `produce`, text in paths and YAML, and JSON back.
//!
//! Plain values: timestamps and dates by RFC 3339, decimals as text or exact numbers, bytes as base64, a union's value
//! without its branch's name where only one branch takes it, else as `{"branch": value}`. What [`to_json`] writes,
//! [`from_json`] reads back as the same value, but for NaN and the infinities, which JSON cannot say: they are written as
//! text and refused when read.

mod read;
mod scalar;
mod write;

use std::fmt;

use crate::types::Type;

pub use read::{field_from_json, from_json};
pub use scalar::from_text;
pub use write::{to_json, type_to_json};

/// What is wrong with one field of a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FieldError {
    /// `lines[2].product`; empty for the whole.
    pub path: String,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// What names a branch of a union in JSON: a named type's full name, else the type: `long`, `decimal(9,2)`, `array`.
fn branch_name(branch: &Type) -> String {
    match branch {
        Type::Record(record) => record.name.clone(),
        Type::Recursive(link) => link.name().to_owned(),
        Type::Enum(e) => e.name.clone(),
        Type::Array(_) => "array".into(),
        Type::Map(_) => "map".into(),
        other => other.to_string(),
    }
}

/// The branch that `{"name": …}` names, by its full name or a named type's short one.
pub fn branch_named(branches: &[Type], name: &str) -> Option<usize> {
    let names = || branches.iter().map(branch_name);
    let short = |full: &String| full.rsplit_once('.').is_some_and(|(_, short)| short == name);
    names().position(|full| full == name).or_else(|| {
        let mut found = names().enumerate().filter(|(_, full)| short(full));
        found.next().filter(|_| found.next().is_none()).map(|(index, _)| index)
    })
}
