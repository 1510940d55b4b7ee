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

/// The standard deviation (`root`) or the variance of numbers of this scale, of a sample or of all there is: from how far
/// each is from the mean, at scale max(6, that of the numbers), halves up.
pub(super) fn spread(values: &[BigInt], scale: u8, sample: bool, root: bool) -> Value {
    let n = BigInt::from(values.len());
    let counted: BigInt = if sample { &n - 1 } else { n.clone() };
    if counted <= BigInt::from(0) {
        return Value::Null;
    }
    let sum: BigInt = values.iter().sum();
    let squares: BigInt = values.iter().map(|x| (x * &n - &sum) * (x * &n - &sum)).sum();
    let to = scale.max(6);
    let (dividend, divisor) = (squares * power(to.into()), &n * &n * counted * power(u32::from(scale) * 2));
    if !root {
        return decimal(&divided(&dividend, &divisor), to);
    }
    // The whole number r for which (2r - 1)^2 <= 4 v < (2r + 1)^2, found by halving.
    let four = dividend * power(to.into()) * 4;
    let (mut low, mut high) = (BigInt::from(0), power(60));
    while low < high {
        let middle: BigInt = (&low + &high) / 2;
        let above: BigInt = &middle * 2 + 1;
        if &above * &above * &divisor > four { high = middle } else { low = middle + 1 }
    }
    decimal(&low, to)
}
