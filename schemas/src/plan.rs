//! Decode plans: from a writer's schema and the fields that a reader needs, once, to a short list of steps; then from
//! each message to a row of borrowed values.
//!
//! The one idea: all that Avro leaves to the moment of reading (which field is which, promotions, defaults, aliases,
//! which branch of a union means what) is settled when the plan is compiled. What is left to do per message is to read
//! numbers and borrow text, in the writer's order, and to step over what nobody asked for.
//!
//! ```
//! use bumpalo::Bump;
//! use headwater_schemas::{Schema, ValueRef, plan::DecodePlan};
//! let schema = Schema::parse(
//!     r#"{"type": "record", "name": "Seen", "fields": [
//!         {"name": "by", "type": "string"}, {"name": "times", "type": "int"}]}"#,
//!     &[],
//! )?;
//! let plan = DecodePlan::compile(&schema, &schema.record, &[1])?; // only `times`
//! let bump = Bump::new();
//! assert_eq!(plan.decode(b"\x04me\x06", &bump)?, [ValueRef::Long(3)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where this differs from a bare reading of the specification, it is so that no number changes its meaning unseen:
//! - a writer's `timestamp-millis` read as `timestamp-micros` is converted; the reverse is refused;
//! - decimals match where the scales are equal and the reader's precision is no smaller;
//! - a logical type that is unknown here is never read as a known one, nor a plain branch of a union as a
//!   logical type;
//! - of a reader's union, a branch of exactly the written type is preferred to one that needs a promotion.

mod compile;
mod cursor;
mod matching;
mod read;
mod skip;

use std::fmt;
use std::sync::Arc;

use bumpalo::Bump;

use crate::avsc::Schema;
use crate::types::RecordType;
use crate::value::ValueRef;
use cursor::Cursor;
use read::{Program, RecordPlan};

/// How deep records may stand in records, in a message.
pub const MAX_DEPTH: usize = 64;

/// Reads messages of one writer's schema into the fields that a reader needs.
#[derive(Clone, Debug)]
pub struct DecodePlan {
    root: RecordPlan,
    program: Program,
    /// The name of each step's field, for errors.
    fields: Box<[Arc<str>]>,
    gaps: Vec<ResolveError>,
}

/// Why a writer's schema cannot be read as a reader's record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ResolveError {
    /// The reader's field: `lines[].product`; empty for the record itself.
    pub path: String,
    /// What was expected and what the writer has.
    pub message: String,
}

/// Why a message is not a value of its schema, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    pub kind: Malformed,
    /// Bytes of the body that had been read.
    pub at: usize,
    /// The writer's field of the record; empty after the last.
    pub field: Arc<str>,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the message ends in the middle of a value")]
    Truncated,
    #[error("bytes are left after the last field")]
    TrailingBytes,
    #[error("a number is longer than 64 bits")]
    VarintTooLong,
    #[error("expected an int, found a number of more than 32 bits")]
    IntOutOfRange,
    #[error("a length is negative")]
    NegativeLength,
    #[error("expected 0 or 1 for a boolean")]
    NotBoolean,
    #[error("text is not UTF-8")]
    NotUtf8,
    #[error("text holds a NUL, which no store keeps")]
    NulInText,
    #[error("the writer's enum has no symbol of this index")]
    NoSuchSymbol,
    #[error("the reader's enum lacks this symbol and has no default")]
    SymbolNotRead,
    #[error("the writer's union has no branch of this index")]
    NoSuchBranch,
    #[error("the reader's type lacks this branch of the writer's union")]
    BranchNotRead,
    #[error("expected a decimal with at least one byte and no more digits than its precision")]
    NotDecimal,
    #[error("expected a uuid as text")]
    NotUuid,
    #[error("milliseconds are out of the range of 64 bits of microseconds")]
    TimestampOutOfRange,
    #[error("a block claims more items than its bytes can hold")]
    TooManyItems,
    #[error("a block's size is not that of its items")]
    WrongBlockSize,
    #[error("records are nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

impl DecodePlan {
    /// A plan that gives the fields `needed` (indexes into `reader.fields`), in that order. The records themselves are
    /// taken to be the same event, whatever their names.
    ///
    /// Fails where no message of the writer can be read; what fails for some only is listed by
    /// [`gaps`](DecodePlan::gaps).
    pub fn compile(writer: &Schema, reader: &RecordType, needed: &[usize]) -> Result<Self, ResolveError> {
        compile::plan(&writer.layout, reader, needed).map_err(|mut errors| errors.swap_remove(0))
    }

    /// Everything that keeps messages of the writer, all or some, from being read as the whole of `reader`. Nothing: the
    /// reader is backward compatible with the writer.
    pub fn conflicts(writer: &Schema, reader: &RecordType) -> Vec<ResolveError> {
        let whole: Vec<usize> = (0..reader.fields.len()).collect();
        match compile::plan(&writer.layout, reader, &whole) {
            Ok(plan) => plan.gaps,
            Err(errors) => errors,
        }
    }

    /// What a message may hold that the reader cannot take, such as a symbol or a branch that it lacks: an error of the
    /// message that holds it.
    pub fn gaps(&self) -> &[ResolveError] {
        &self.gaps
    }

    /// The needed fields of a message's body, in the order of `needed`. Text and bytes borrow from `body`; arrays, maps,
    /// records, defaults and symbols are laid out in `bump`, whose growth is bounded by a multiple of the body's length
    /// that the schemas fix. Nothing else is allocated.
    ///
    /// Fields that are not needed are checked for their structure (lengths, counts, indexes), not for what their text says.
    #[inline]
    pub fn decode<'a>(&self, body: &'a [u8], bump: &'a Bump) -> Result<&'a [ValueRef<'a>], DecodeError> {
        let mut cursor = Cursor::new(body);
        match self.program.row(&self.root, &mut cursor, bump, 0) {
            Ok(row) if cursor.rest().is_empty() => Ok(row),
            Ok(_) => Err(self.error(Malformed::TrailingBytes, &cursor, body, bump)),
            Err(kind) => Err(self.error(kind, &cursor, body, bump)),
        }
    }

    #[cold]
    fn error(&self, kind: Malformed, cursor: &Cursor<'_>, body: &[u8], bump: &Bump) -> DecodeError {
        let at = body.len() - cursor.rest().len();
        let index = match kind {
            Malformed::TrailingBytes => None,
            _ => self.program.failing_step(&self.root, body, bump),
        };
        DecodeError { kind, at, field: index.and_then(|i| self.fields.get(i).cloned()).unwrap_or_default() }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.field {
            "" => write!(f, "at byte {}: {}", self.at, self.kind),
            field => write!(f, "field `{field}`, at byte {}: {}", self.at, self.kind),
        }
    }
}

impl std::error::Error for DecodeError {}
