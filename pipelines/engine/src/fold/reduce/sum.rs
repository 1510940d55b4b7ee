//! `sum(x)`: exact over integers and decimals, in 256 bits beside the column, with the number of values.
//!
//! ```text
//! revenue: sum(price)     1.10, null, 2.20  ->  3.30
//! ```
//!
//! 2^63 values of 38 digits fit, so it never fails; what no longer fits the column's type shows as null, and whoever reads
//! it is told. Halves are added. Over floating point the order tells in the last digits: there it is for owned rows.

use ethnum::I256;
use headwater_schemas::{Value, ValueRef};

use super::{Sign, count};
use crate::table::SumResult;

/// Adds to the sum and the count at these places of the state.
pub(super) fn add(
    target: &mut Value,
    state: &mut [Value],
    (sum, n, result): (usize, usize, SumResult),
    value: &ValueRef,
    sign: Sign,
) {
    let term = match value {
        ValueRef::Long(n) => I256::from(*n),
        ValueRef::Decimal(d) => I256::from(d.unscaled),
        _ => return,
    };
    if let Value::Wide(total) = &mut state[sum] {
        **total += if sign == Sign::Add { term } else { -term };
    }
    count(&mut state[n], sign);
    *target = result.shown(&state[sum], &state[n]);
}

pub(super) fn add_float(target: &mut Value, value: &ValueRef) -> Result<(), String> {
    let Some(term) = double(value) else { return Ok(()) };
    match target {
        Value::Double(total) => *total = finite(*total, term)?,
        _ => *target = Value::Double(term),
    }
    Ok(())
}

/// The sum, which is infinite only where a term is.
pub(super) fn finite(total: f64, term: f64) -> Result<f64, String> {
    let sum = total + term;
    if sum.is_infinite() && total.is_finite() && term.is_finite() {
        return Err("the sum does not fit a double".to_owned());
    }
    Ok(sum)
}

/// A floating-point value in the wider type.
pub(super) fn double(value: &ValueRef) -> Option<f64> {
    match value {
        ValueRef::Float(x) => Some(f64::from(*x)),
        ValueRef::Double(x) => Some(*x),
        _ => None,
    }
}
