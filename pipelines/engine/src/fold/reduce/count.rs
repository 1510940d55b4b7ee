//! `count()` counts events, `count(x)` values that are not null.
//!
//! ```text
//! versions: count()       1, null, 3  ->  3
//! rated: count(rating)    1, null, 3  ->  2
//! ```
//!
//! Halves are added; a value is taken back by counting down.

use headwater_schemas::Value;

use super::Sign;

pub(in crate::fold) fn count(target: &mut Value, sign: Sign) {
    if let Value::Long(n) = target {
        *n += if sign == Sign::Add { 1 } else { -1 };
    }
}
