//! Exact decimals: unscaled `i128`s of at most 38 digits whose scale the caller knows. 256 bits where a step in between is
//! wider than its result. Rounding is half away from zero, as Postgres's numeric rounds.
//!
//! `None` is always "more than 38 digits".

use std::cmp::Ordering;
use std::fmt::Write as _;

use ethnum::I256;
use headwater_schemas::Decimal;

/// The most digits a decimal has.
pub(crate) const MAX_DIGITS: u8 = 38;

const LIMIT: i128 = 10i128.pow(38);

/// 10^n, for n up to 38.
#[inline]
pub(crate) fn power_of_ten(n: u8) -> i128 {
    POWERS[usize::from(n.min(MAX_DIGITS))]
}

const POWERS: [i128; MAX_DIGITS as usize + 1] = {
    let mut powers = [1i128; MAX_DIGITS as usize + 1];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = powers[n - 1] * 10;
        n += 1;
    }
    powers
};

#[inline]
fn fit(unscaled: i128) -> Option<i128> {
    (-LIMIT < unscaled && unscaled < LIMIT).then_some(unscaled)
}

fn fit_wide(unscaled: I256) -> Option<i128> {
    i128::try_from(unscaled).ok().and_then(fit)
}

fn wide_power_of_ten(n: u32) -> Option<I256> {
    I256::new(10).checked_pow(n)
}

/// The same number with another scale, if that has room for it without rounding.
pub(crate) fn rescale_exact(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    let by = power_of_ten(from.abs_diff(to));
    if to >= from {
        return unscaled.checked_mul(by).and_then(fit);
    }
    (unscaled % by == 0).then(|| unscaled / by)
}

/// The nearest number with another scale.
#[inline]
pub(crate) fn rescale(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    match to.cmp(&from) {
        Ordering::Equal => Some(unscaled),
        Ordering::Greater => unscaled.checked_mul(power_of_ten(to - from)).and_then(fit),
        Ordering::Less => Some(divide_rounding(unscaled, power_of_ten(from - to))),
    }
}

/// `divisor` > 0.
fn divide_rounding(unscaled: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (unscaled / divisor, unscaled % divisor);
    // rest.abs() >= divisor / 2, written so that nothing overflows.
    if rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs() {
        quotient + rest.signum()
    } else {
        quotient
    }
}

/// Both brought to the larger scale; that is the sum's.
#[inline]
pub(crate) fn add(left: (i128, u8), right: (i128, u8)) -> Option<i128> {
    if left.1 == right.1 {
        return left.0.checked_add(right.0).and_then(fit);
    }
    let (left, right) = aligned(left, right);
    fit_wide(left + right)
}

/// The product's scale is the sum of the scales.
#[inline]
pub(crate) fn multiply(left: i128, right: i128) -> Option<i128> {
    // 64 bits times 64 bits always fits, and is one instruction.
    if let (Ok(left), Ok(right)) = (i64::try_from(left), i64::try_from(right)) {
        return Some(i128::from(left) * i128::from(right));
    }
    left.checked_mul(right).and_then(fit)
}

/// The quotient with `scale` digits after the point. The divisor is not 0.
pub(crate) fn divide(left: (i128, u8), right: (i128, u8), scale: u8) -> Option<i128> {
    let up = u32::from(scale) + u32::from(right.1);
    let (dividend, divisor) = if up >= u32::from(left.1) {
        if left.0 == 0 {
            return Some(0);
        }
        // What fits 128 bits is divided in them: most of what there is.
        if let Ok(shift) = u8::try_from(up - u32::from(left.1))
            && shift <= MAX_DIGITS
            && let Some(dividend) = left.0.checked_mul(power_of_ten(shift))
            && let (Some(dividend), Some(divisor)) = (fit(dividend), fit(right.0))
        {
            let positive = divide_rounding(dividend, divisor.abs());
            return Some(if divisor < 0 { -positive } else { positive });
        }
        // What is too wide for 256 bits is at least 5·10^76, and its quotient at least 5·10^38: out of range all the same.
        let dividend = I256::from(left.0).checked_mul(wide_power_of_ten(up - u32::from(left.1))?)?;
        (dividend, I256::from(right.0))
    } else {
        let divisor = I256::from(right.0).checked_mul(wide_power_of_ten(u32::from(left.1) - up)?)?;
        (I256::from(left.0), divisor)
    };
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    let rounds_up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    let away = if (dividend < 0) == (divisor < 0) { I256::ONE } else { I256::MINUS_ONE };
    fit_wide(if rounds_up { quotient + away } else { quotient })
}

/// The remainder, with the sign of the dividend and the larger scale. The divisor is not 0.
pub(crate) fn remainder(left: (i128, u8), right: (i128, u8)) -> Option<i128> {
    let (left, right) = aligned(left, right);
    fit_wide(left % right)
}

#[inline]
pub(crate) fn compare(left: (i128, u8), right: (i128, u8)) -> Ordering {
    if left.1 == right.1 {
        return left.0.cmp(&right.0);
    }
    let (left, right) = aligned(left, right);
    left.cmp(&right)
}

/// 10^38 · 10^38 is within 256 bits.
fn aligned(left: (i128, u8), right: (i128, u8)) -> (I256, I256) {
    let scale = left.1.max(right.1);
    let lift = |(unscaled, from): (i128, u8)| I256::from(unscaled) * I256::from(power_of_ten(scale - from));
    (lift(left), lift(right))
}

/// The largest whole number that is not above.
pub(crate) fn floor(unscaled: i128, scale: u8) -> i128 {
    unscaled.div_euclid(power_of_ten(scale))
}

/// The smallest whole number that is not below.
pub(crate) fn ceil(unscaled: i128, scale: u8) -> i128 {
    -floor(-unscaled, scale)
}

/// The square root with `to` digits after the point; the number is not negative.
pub(crate) fn square_root(unscaled: i128, scale: u8, to: u8) -> Option<i128> {
    // sqrt(u · 10^-s) · 10^t = sqrt(u · 10^(2t - s)), and one digit more to round by.
    let shift = 2 * (i32::from(to) + 1) - i32::from(scale);
    let lifted = match u32::try_from(shift) {
        Ok(up) => I256::from(unscaled).checked_mul(wide_power_of_ten(up)?)?,
        Err(_) => I256::from(unscaled) / wide_power_of_ten(shift.unsigned_abs())?,
    };
    let root = integer_root(lifted);
    fit_wide((root + I256::new(5)) / I256::new(10))
}

/// The largest integer whose square is not above (Newton's method).
fn integer_root(n: I256) -> I256 {
    if n < I256::new(2) {
        return n;
    }
    let bits = 256 - n.leading_zeros();
    let mut root = I256::ONE << bits.div_ceil(2);
    loop {
        let next = (root + n / root) >> 1u32;
        if next >= root {
            return root;
        }
        root = next;
    }
}

/// A whole power with `to` digits after the point. 0 to a negative power is the caller's error.
pub(crate) fn power(base: (i128, u8), exponent: i64, to: u8) -> Option<i128> {
    if base.0 == 0 || exponent == 0 {
        return if exponent == 0 { fit(power_of_ten(to)) } else { Some(0) };
    }
    let one_at = |scale: u8| power_of_ten(scale);
    if base.0.unsigned_abs() == one_at(base.1).unsigned_abs() {
        let negative = base.0 < 0 && exponent % 2 != 0;
        return fit(if negative { -power_of_ten(to) } else { power_of_ten(to) });
    }
    // Each step keeps as many digits as 38 allow; what is lost is far below the last digit of the result.
    let mut result = Float10::from_decimal(I256::ONE, 0);
    let mut square = Float10::from_decimal(I256::from(base.0), -i64::from(base.1));
    let mut left = exponent.unsigned_abs();
    while left > 0 {
        if left % 2 == 1 {
            result = result.times(square)?;
        }
        left /= 2;
        if left > 0 {
            square = square.times(square)?;
        }
    }
    result.to_scale(exponent < 0, to)
}

/// A number of at most 38 digits and a power of ten, for results whose size is not known before.
#[derive(Clone, Copy)]
struct Float10 {
    digits: I256,
    exponent: i64,
}

impl Float10 {
    fn from_decimal(digits: I256, exponent: i64) -> Float10 {
        Float10 { digits, exponent }
    }

    fn times(self, other: Float10) -> Option<Float10> {
        let mut digits = self.digits * other.digits;
        let mut exponent = self.exponent.checked_add(other.exponent)?;
        while digits.unsigned_abs() >= LIMIT.unsigned_abs() {
            let (ten, half) = (I256::new(10), I256::new(if digits < 0 { -5 } else { 5 }));
            digits = (digits + half) / ten;
            exponent = exponent.checked_add(1)?;
        }
        Some(Float10 { digits, exponent })
    }

    fn to_scale(self, inverse: bool, scale: u8) -> Option<i128> {
        if inverse {
            // 10^-exponent · 10^scale / digits
            let up = i64::from(scale).checked_sub(self.exponent)?;
            if up < 0 {
                return Some(0);
            }
            let numerator = wide_power_of_ten(u32::try_from(up).ok()?)?;
            let (quotient, rest) = (numerator / self.digits, numerator % self.digits);
            let rounds_up = rest.unsigned_abs() >= self.digits.unsigned_abs() - rest.unsigned_abs();
            let away = if self.digits < 0 { I256::MINUS_ONE } else { I256::ONE };
            return fit_wide(if rounds_up { quotient + away } else { quotient });
        }
        let up = self.exponent.checked_add(i64::from(scale))?;
        match u32::try_from(up) {
            Ok(up) => fit_wide(self.digits.checked_mul(wide_power_of_ten(up)?)?),
            Err(_) if up < -76 => Some(0),
            Err(_) => {
                let divisor = wide_power_of_ten(u32::try_from(-up).ok()?)?;
                let half = divisor / I256::new(if self.digits < 0 { -2 } else { 2 });
                fit_wide((self.digits + half) / divisor)
            }
        }
    }
}

/// Reads digits with a sign, a point and an exponent, as Postgres's numeric does: `-1.50`, `.5`, `1e3`. The scale is that
/// of the text. `None` is also text that is no number.
pub(crate) fn parse(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unscaled = 0i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let unscaled = fit(if negative { -unscaled } else { unscaled })?;
    let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
    if scale < 0 {
        let zeros = u8::try_from(-scale).ok().filter(|zeros| *zeros <= MAX_DIGITS || unscaled == 0)?;
        return Some(Decimal { unscaled: unscaled.checked_mul(power_of_ten(zeros)).and_then(fit)?, scale: 0 });
    }
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= MAX_DIGITS)?;
    Some(Decimal { unscaled, scale })
}

/// Reads a number as [`parse`] does, of however many digits, and rounds it to `scale` digits after the point. `None` is text
/// that is no number, `Some(None)` one of more than 38 digits.
pub(crate) fn parse_rounded(text: &str, scale: u8) -> Option<Option<i128>> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let digits = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if all().next().is_none() || !all().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // How many of the digits are kept; where that is more than there are, zeros follow.
    let kept = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(scale);
    let mut unscaled = 0i128;
    for digit in all().take(usize::try_from(kept).unwrap_or(0)) {
        match unscaled.checked_mul(10).map(|n| n + i128::from(digit - b'0')).and_then(fit) {
            Some(n) => unscaled = n,
            None => return Some(None),
        }
    }
    let zeros = kept - i64::try_from(all().count()).ok()?;
    if unscaled != 0 && zeros > 0 {
        let lifted = u8::try_from(zeros).ok().filter(|zeros| *zeros <= MAX_DIGITS);
        match lifted.and_then(|zeros| unscaled.checked_mul(power_of_ten(zeros))).and_then(fit) {
            Some(n) => unscaled = n,
            None => return Some(None),
        }
    }
    if usize::try_from(kept).ok().and_then(|kept| all().nth(kept)).is_some_and(|digit| digit >= b'5') {
        unscaled += 1;
    }
    Some(fit(if mantissa.starts_with('-') { -unscaled } else { unscaled }))
}

/// As it is written: every digit of its scale.
pub(crate) fn text(unscaled: i128, scale: u8) -> String {
    let mut out = String::new();
    if unscaled < 0 {
        out.push('-');
    }
    let (whole, rest) = (unscaled.unsigned_abs(), power_of_ten(scale).unsigned_abs());
    // Writing to a String does not fail.
    let _ = write!(out, "{}", whole / rest);
    if scale > 0 {
        let _ = write!(out, ".{:0width$}", whole % rest, width = usize::from(scale));
    }
    out
}

/// The nearest double.
pub(crate) fn to_double(unscaled: i128, scale: u8) -> f64 {
    const EXACT: i128 = 1 << 53;
    if (-EXACT..=EXACT).contains(&unscaled) && scale <= 22 {
        // Both are doubles exactly, and one division rounds once.
        return unscaled as f64 / 10f64.powi(i32::from(scale));
    }
    text(unscaled, scale).parse().unwrap_or(f64::NAN)
}

/// The nearest float.
pub(crate) fn to_float(unscaled: i128, scale: u8) -> f32 {
    text(unscaled, scale).parse().unwrap_or(f32::NAN)
}

/// A double as a decimal of this scale, read to as many significant digits as Postgres does: 15, of a float 6.
pub(crate) fn from_double(x: f64, significant: usize, scale: u8) -> Option<i128> {
    let text = format!("{x:.*e}", significant - 1);
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let digits = parse(mantissa)?;
    let shift = exponent + i32::from(scale) - i32::from(digits.scale);
    match u8::try_from(shift) {
        Ok(_) if digits.unscaled == 0 => Some(0),
        Ok(up) if up > MAX_DIGITS => None,
        Ok(up) => digits.unscaled.checked_mul(power_of_ten(up)).and_then(fit),
        Err(_) if shift > 0 => (digits.unscaled == 0).then_some(0),
        Err(_) if shift < -i32::from(MAX_DIGITS) => Some(0),
        Err(_) => Some(divide_rounding(digits.unscaled, power_of_ten(shift.unsigned_abs() as u8))),
    }
}

/// How many digits a precision allows: the unscaled value is below this.
pub(crate) fn fits(unscaled: i128, precision: u8) -> bool {
    unscaled.unsigned_abs() < power_of_ten(precision).unsigned_abs()
}
