//! `avg(x)`: of integers and decimals the exact sum divided by the count, rounded half away from zero to 6 digits after the
//! point, as Postgres rounds; of floating point a double.
//!
//! ```text
//! mean: avg(rating)       1, null, 2, 2  ->  1.666667
//! ```
//!
//! An exact average is kept as `sum` is, so halves are added and a value can be taken back. Of floating point the state is
//! packed: the sum, then the count, 8 bytes each, big-endian.

use ethnum::I256;
use headwater_schemas::{Value, ValueRef};

use super::sum::{double, finite};
use crate::table::AVERAGE_SCALE;

/// The average of so many values that add up to `sum` at this scale, in units of the average's last digit. `count` is not 0.
pub(crate) fn exact(sum: I256, count: i64, scale: u8) -> I256 {
    let power = |digits: u8| I256::new(10).pow(u32::from(digits));
    // A sum has at most 190 bits, and 10^32 fits 107: neither product passes 255.
    let (dividend, divisor) = match scale.checked_sub(AVERAGE_SCALE) {
        Some(finer) => (sum, I256::from(count) * power(finer)),
        None => (sum * power(AVERAGE_SCALE - scale), I256::from(count)),
    };
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    if rest.abs() < divisor.abs() - rest.abs() {
        return quotient;
    }
    quotient + if (dividend < 0) == (divisor < 0) { I256::ONE } else { I256::MINUS_ONE }
}

pub(super) fn add_float(target: &mut Value, state: &mut Value, value: &ValueRef) -> Result<(), String> {
    let Some(term) = double(value) else { return Ok(()) };
    let (sum, count) = unpack(state).unwrap_or_default();
    let (sum, count) = (finite(sum, term)?, count + 1);
    let mut packed = [0; 16];
    packed[..8].copy_from_slice(&sum.to_be_bytes());
    packed[8..].copy_from_slice(&count.to_be_bytes());
    *state = Value::Bytes(packed.as_slice().into());
    *target = Value::Double(sum / count as f64);
    Ok(())
}

/// None where nothing contributed.
fn unpack(state: &Value) -> Option<(f64, u64)> {
    let Value::Bytes(bytes) = state else { return None };
    let (sum, count) = bytes.split_first_chunk::<8>()?;
    Some((f64::from_be_bytes(*sum), u64::from_be_bytes(count.try_into().ok()?)))
}
