//! The oracle's arithmetic: whole numbers of any size, and one rounding at the end.

use headwater_schemas::{Decimal, Value};
use num_bigint::{BigInt, Sign};

/// 10^n.
pub(super) fn power(n: u32) -> BigInt {
    BigInt::from(10).pow(n)
}

/// The nearest whole number to a quotient, halves away from zero.
pub(super) fn divided(dividend: &BigInt, divisor: &BigInt) -> BigInt {
    let twice: BigInt = dividend.magnitude().clone().into();
    let divisor_size: BigInt = divisor.magnitude().clone().into();
    let size = (twice * 2 + &divisor_size) / (divisor_size * 2);
    if (dividend.sign() == Sign::Minus) == (divisor.sign() == Sign::Minus) { size } else { -size }
}

/// A decimal column's value; null where it has more than 38 digits.
pub(super) fn decimal(unscaled: &BigInt, scale: u8) -> Value {
    let fits = unscaled.magnitude() < power(38).magnitude();
    let unscaled = i128::try_from(unscaled.clone()).ok().filter(|_| fits);
    unscaled.map_or(Value::Null, |unscaled| Value::Decimal(Decimal { unscaled, scale }))
}

/// The average of numbers of this scale; null of none.
pub(super) fn average(values: &[BigInt], scale: u32) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    let sum: BigInt = values.iter().sum();
    decimal(&divided(&(sum * power(6)), &(BigInt::from(values.len()) * power(scale))), 6)
}
