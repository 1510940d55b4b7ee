//! The oracle: a second fold, written for clarity alone, that shares no code with the engine.
//!
//! It has topologies, expressions and values of its own ([`topology`], [`expr`], [`value`]), and folds one event at a time over
//! the whole log, keeping nothing: after each event, every row of every view is made anew from all that contributes to it
//! ([`fold`](mod@fold)). What it does is what `docs/language.md` says, and was written from there.
//!
//! Of the language these are not generated, and folded nowhere but in the engine: compacted topics beside others in one view,
//! `_offset` but to order by, rows that stores delete by `retain`, types other than those of [`Type`], intervals, regular
//! expressions, and the functions of numbers.
//!
//! Beside it stands what makes cases for the two to be compared by: topologies and logs from a tape of choices
//! ([`generate`]), their files ([`render`]), and how a tape that fails is made short ([`choice`]). The comparison itself is
//! in the tests, which alone know the engine.

pub mod calendar;
pub mod choice;
pub mod expr;
pub mod fold;
pub mod generate;
pub mod reduce;
pub mod render;
pub mod topology;
pub mod value;

pub use choice::{Choices, Tape, shortest};
pub use fold::{Mistake, Outcome, fold};
pub use topology::{Log, Topology};
pub use value::{Type, Value};
