//! Expressions: parsed by sqlparser with its PostgreSQL dialect against a whitelist, typed against a [`Scope`], compiled to
//! closures over slots.
//!
//! ```
//! use bumpalo::Bump;
//! use headwater_engine::expr::{Binding, Scope, compile, parse};
//! use headwater_schemas::{FieldType, Type, ValueRef};
//!
//! struct Line;
//! impl Scope for Line {
//!     fn name(&self, path: &[&str]) -> Option<Binding> {
//!         let slot = ["product", "quantity"].iter().position(|name| path == [*name])?;
//!         let ty = FieldType::required(if slot == 0 { Type::String } else { Type::Int });
//!         Some(Binding { slot, ty, used: 1 })
//!     }
//!     fn names(&self) -> Vec<String> {
//!         vec!["product".into(), "quantity".into()]
//!     }
//! }
//!
//! let ast = parse("product = 'tea' and quantity * 2 > 5").unwrap();
//! let expr = compile(&ast, &Line).unwrap();
//! let slots = [ValueRef::String("tea"), ValueRef::Long(3)];
//! assert_eq!(expr.eval_bool(&slots, &Bump::new()), Ok(Some(true)));
//! ```
//!
//! Whatever exists in Postgres behaves as in Postgres: names and types of casts, rounding, nulls. A test compares thousands
//! of generated expressions with a real one (`views/tests/expressions.rs`). The differences, all of them meant; those that a
//! value shows have a name in that test:
//!
//! - Names keep their case: `userId` and `userid` are two, quoted or not. Functions are found in any case.
//! - Text is compared and ordered by its bytes (`COLLATE "C"`). `lower` and `upper` know all of Unicode, a character at a
//!   time, by the tables that are compiled in. A function makes at most [`MAX_TEXT`] bytes of it.
//! - A decimal has at most 38 digits and one scale, known when the expression is compiled; a literal's is as written, and
//!   `case`, `coalesce` and the like give all their values the largest. A quotient's is max(6, that of the dividend);
//!   so are those of `sqrt` and `power` of a decimal. `numeric` without digits keeps those of its argument.
//!   Numerics are never NaN or infinite.
//! - `power` of a decimal takes a whole exponent; `round(x, n)` a constant n. A count of characters may be a bigint.
//! - A timestamp is an instant, as `timestamptz` in a session at UTC; an offset in a literal is honoured, in
//!   `timestamp '…'` too, and a date moved by an interval is one. Dates and timestamps are read in ISO form; `now`,
//!   `infinity` and `BC` are not read. They reach from 4713 BC to the year 262000.
//! - The rules of time zones are compiled in and end with this century. A date has a Julian day, a timestamp has not.
//! - Intervals live within an expression: they are no column's type and are not cast to or from.
//! - Regular expressions are those of Rust's regex crate: linear time, no back-references or look-around, the first
//!   alternative that matches wins; `\d`, `\w`, `\s` and the flag `i` know all of Unicode, `[[:alpha:]]` ASCII. Patterns
//!   and flags are constants.
//! - A pattern of `like` that ends in its escape is an error, whether or not the text reaches that far.
//! - An enum is compared with literals that are its symbols; others are refused.
//! - Numbers in text are decimal digits only: no `0x1F`, no `1_000`.
//! - An expression that is constant is computed when it is compiled, so `1 / 0` is an error even where no row meets it.
//!   All else is computed from left to right until it is decided: a constant further right does not spare an error.

mod assign;
mod ast;
mod cast;
mod check;
mod code;
mod decimal;
mod error;
mod kind;
mod order;
mod parse;
mod pattern;
mod text;
mod time;

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

use bumpalo::Bump;
use headwater_schemas::{FieldType, Type, Value, ValueRef};

use crate::source::Code;

pub use assign::{AssignError, assignable, cast_to_field};
pub use ast::{Ast, BinaryOp, Call, CastType, IsTest, Name, Node, OrderBy, Part, Step};
pub use error::{EvalError, MAX_TEXT};
pub use order::value_order;
pub use parse::{MAX_BYTES, MAX_NESTING, parse};

pub(crate) use check::{functions, is_function};

use code::Ty;
use kind::{Any, Arg, Bool, Ctx};

/// What is wrong with an expression, and where in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct ExprError {
    pub message: String,
    /// Bytes of the expression's text.
    pub range: Range<usize>,
    pub label: String,
    pub help: Option<String>,
    pub code: Code,
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

    /// The text that a name stands for, the same for every row: asked before [`Scope::name`].
    fn text(&self, _path: &[&str]) -> Option<String> {
        None
    }

    /// The binding of a call of the scope's own (`actor()`, `now()`), asked before the built-in functions.
    fn call(&self, _name: &str, _argument_count: usize) -> Option<Binding> {
        None
    }

    /// The names of such calls, for "did you mean".
    fn calls(&self) -> &[&'static str] {
        &[]
    }

    /// The binding of a whole part of an expression, asked of every part before anything else: a reducer's call, a lookup
    /// in another view.
    fn node(&self, _ast: &Ast) -> Option<Binding> {
        None
    }

    /// Every name, for "did you mean".
    fn names(&self) -> Vec<String>;
}

impl ExprError {
    pub(crate) fn new(message: impl Into<String>, range: Range<usize>, label: impl Into<String>) -> Self {
        Self { message: message.into(), range, label: label.into(), help: None, code: Code::Invalid }
    }

    #[must_use]
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A compiled expression: pure, and the same on every thread.
pub struct Expr {
    /// The type of its values. Of a bare `null` it is a nullable string: see [`Expr::constant`].
    pub ty: FieldType,
    value: Arg<Any>,
    truth: Option<Arg<Bool>>,
    slots: Vec<usize>,
    constant: Option<Value>,
}

/// Types an expression against the names it may use and compiles it, or says all that is wrong with it.
pub fn compile(ast: &Ast, scope: &dyn Scope) -> Result<Expr, Vec<ExprError>> {
    let (typed, slots) = check::check(ast, scope)?;
    let constant = typed.constant();
    let nullable = typed.nullable;
    let (ty, code) = match typed.ty {
        Ty::Of(ty) => (ty, typed.code),
        Ty::Null => (Type::String, code::Code::Text(Arg::null())),
        Ty::Interval => {
            let error = ExprError::new("an interval is no value of its own", ast.range(), "an interval");
            return Err(vec![error.help("add it to a timestamp, or write extract(epoch from …) for its seconds")]);
        }
    };
    let truth = if let code::Code::Bool(arg) = &code { Some(arg.clone()) } else { None };
    let value = match (&constant, code) {
        (Some(constant), _) => Arg::Constant(Some(constant.clone()).filter(|constant| !constant.is_null())),
        (None, code) => code.into_value(&Ty::Of(ty.clone())),
    };
    Ok(Expr { ty: FieldType { ty, nullable }, value, truth, slots, constant })
}

impl Expr {
    /// In place of one that is mistaken.
    pub(crate) fn unknown() -> Self {
        let (value, slots) = (Arg::null(), Vec::new());
        Self { ty: crate::unknown::ty(), value, truth: None, slots, constant: None }
    }

    /// Whether nothing is known of its type, because of a mistake in what it is made of.
    pub(crate) fn is_unknown(&self) -> bool {
        crate::unknown::is_unknown(&self.ty.ty)
    }

    /// The value for these slots, which hold values of the types that the scope bound. Text and the like that is made is
    /// made in `bump`; what is read is passed on.
    pub fn eval<'a>(&self, slots: &[ValueRef<'a>], bump: &'a Bump) -> Result<ValueRef<'a>, EvalError> {
        match self.value.get(&Ctx::new(slots, bump, &Cell::new(None))) {
            Ok(value) => Ok(value.unwrap_or(ValueRef::Null)),
            Err(fault) => Err(*fault),
        }
    }

    /// The value of a condition; null, `None`, is neither. An expression of another type is an error of the caller's.
    #[inline]
    pub fn eval_bool<'a>(&self, slots: &[ValueRef<'a>], bump: &'a Bump) -> Result<Option<bool>, EvalError> {
        match &self.truth {
            Some(truth) => truth.get(&Ctx::new(slots, bump, &Cell::new(None))).map_err(|fault| *fault),
            None => match self.eval(slots, bump)? {
                ValueRef::Null => Ok(None),
                other => Err(EvalError::Slot { slot: 0, expected: "a boolean", found: kind::variant(&other) }),
            },
        }
    }

    /// The slot whose value, as it is, this is.
    pub(crate) fn as_slot(&self) -> Option<usize> {
        match self.value {
            Arg::Slot { index, .. } => Some(index),
            _ => None,
        }
    }

    /// The slots that it may read, in ascending order, each once.
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }

    /// Its value, where that is the same for every row.
    pub fn constant(&self) -> Option<&Value> {
        self.constant.as_ref()
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expr { ty, slots, constant, .. } = self;
        f.debug_struct("Expr").field("ty", ty).field("slots", slots).field("constant", constant).finish_non_exhaustive()
    }
}
