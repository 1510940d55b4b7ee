//! `stddev(x)`, `stddev_pop(x)`, `variance(x)`, `var_pop(x)` of integers and decimals, and Postgres's other names for them.
//!
//! ```text
//! spread: stddev(score)       2, 4, null, 9  ->  3.605551
//! ```
//!
//! Computed exactly from the number of values, their sum and the sum of their squares, and rounded once, half up, to as many
//! digits after the point as the values have, at least 6. A sample of one value has none, as in Postgres. Halves are added,
//! and a value is taken back by taking it from all three. What no longer fits 38 digits shows as null, and whoever reads it
//! is told.
//!
//! Packed: nothing where all three are 0; else the count in 8 bytes, the length of the sum in 4, the sum and the sum of
//! squares as two's complement numbers of as few bytes as they need; all big-endian. They grow as they must.

use headwater_schemas::{Value, ValueRef};
use num_bigint::{BigInt, Sign as BigSign};

use super::Sign;
use super::packed::bytes;
use crate::table::{Deviation, decimal};

pub(super) fn add(of: Deviation, target: &mut Value, state: &mut Value, value: &ValueRef, sign: Sign) {
    let term = match value {
        ValueRef::Long(n) => BigInt::from(*n),
        ValueRef::Decimal(d) => BigInt::from(d.unscaled),
        _ => return,
    };
    let mut moments = Moments::of(state);
    let square = &term * &term;
    match sign {
        Sign::Add => {
            moments.count += 1;
            moments.sum += term;
            moments.squares += square;
        }
        Sign::TakeBack => {
            moments.count -= 1;
            moments.sum -= term;
            moments.squares -= square;
        }
    }
    *target = moments.shown(of);
    *state = moments.pack();
}

/// The value and the state of all parts.
pub(crate) fn merged<'v>(of: Deviation, parts: impl Iterator<Item = &'v Value>) -> (Value, Value) {
    let whole = parts.map(Moments::of).fold(Moments::default(), |mut whole, part| {
        whole.count += part.count;
        whole.sum += part.sum;
        whole.squares += part.squares;
        whole
    });
    (whole.shown(of), whole.pack())
}

/// Whether there are values enough for the result to be one.
pub(crate) fn has_result(of: Deviation, state: &Value) -> bool {
    Moments::of(state).count > i64::from(of.sample)
}

#[derive(Default)]
struct Moments {
    count: i64,
    sum: BigInt,
    squares: BigInt,
}

impl Moments {
    fn of(state: &Value) -> Self {
        let read = || {
            let (count, rest) = bytes(state).split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (sum, squares) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            let number = BigInt::from_signed_bytes_be;
            Some(Self { count: i64::from_be_bytes(*count), sum: number(sum), squares: number(squares) })
        };
        read().unwrap_or_default()
    }

    fn pack(&self) -> Value {
        if self.count == 0 && self.sum.sign() == BigSign::NoSign && self.squares.sign() == BigSign::NoSign {
            return Value::Bytes([].as_slice().into());
        }
        let sum = self.sum.to_signed_bytes_be();
        let mut packed = Vec::from(self.count.to_be_bytes());
        packed.extend(u32::try_from(sum.len()).unwrap_or(u32::MAX).to_be_bytes());
        packed.extend(sum);
        packed.extend(self.squares.to_signed_bytes_be());
        Value::Bytes(packed.into())
    }

    /// The variance is (n·squares − sum²) / (n·(n − 1)), of a whole population divided by n².
    fn shown(&self, of: Deviation) -> Value {
        let divisor = BigInt::from(self.count) * (self.count - i64::from(of.sample));
        let dividend = &self.squares * self.count - &self.sum * &self.sum;
        // A part may have had more taken back than it was given; the whole has not.
        if self.count <= i64::from(of.sample) || dividend.sign() == BigSign::Minus {
            return Value::Null;
        }
        let power = |digits: u8| BigInt::from(10).pow(u32::from(digits));
        let scale = of.result_scale();
        let finer = power(of.scale) * power(of.scale);
        // Twice the result, rounded down: its last bit tells how to round.
        let divisor = divisor * finer;
        let twice: BigInt = if of.root {
            let square: BigInt = dividend * power(scale) * power(scale) * 4 / divisor;
            square.sqrt()
        } else {
            dividend * power(scale) * 2 / divisor
        };
        i128::try_from((twice + 1) / 2).map_or(Value::Null, |unscaled| decimal(unscaled.into(), scale))
    }
}
