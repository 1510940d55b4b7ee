//! Expressions: parsed by sqlparser with its PostgreSQL dialect against a whitelist, typed against a [`Scope`], compiled to
//! closures over slots.
//!
//! Whatever exists in Postgres behaves as in Postgres: names and types of casts, rounding, nulls.

mod ast;
#[path = "expr/stopgap.rs"]
mod stopgap; // until parse and compile land here

use std::ops::Range;

use headwater_schemas::FieldType;

pub use ast::{Ast, Call};
pub use stopgap::{EvalError, Expr, compile, parse, value_order};

/// What is wrong with an expression, and where in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct ExprError {
    pub message: String,
    /// Bytes of the expression's text.
    pub range: Range<usize>,
    pub label: String,
    pub help: Option<String>,
}

/// What a name or a call stands for: a slot of the row that the expression is evaluated over.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub slot: usize,
    pub ty: FieldType,
    /// How many segments of the path this binding took; what is left walks into a record, array or map.
    pub used: usize,
}

/// The names that an expression may use.
pub trait Scope {
    /// The binding of a path's first segments (`["address", "city"]`), the longest that is known.
    fn name(&self, path: &[&str]) -> Option<Binding>;

    /// The binding of a call of the scope's own (`actor()`, `now()`), asked before the built-in functions.
    fn call(&self, _name: &str, _argument_count: usize) -> Option<Binding> {
        None
    }

    /// Every name, for "did you mean".
    fn names(&self) -> Vec<String>;
}
