//! Postgres's binary form of `numeric`: digits of base 10,000, the weight of the first, a sign and a scale.

use ethnum::I256;

const NEGATIVE: u16 = 0x4000;

/// Appends the number whose magnitude has these decimal digits, `scale` of them after the point.
pub(super) fn put(negative: bool, digits: &str, scale: usize, out: &mut Vec<u8>) {
    let whole = digits.len().saturating_sub(scale);
    let before = (4 - whole % 4) % 4 + scale.saturating_sub(digits.len());
    let after = (4 - scale % 4) % 4;
    let mut padded = Vec::with_capacity(before + digits.len() + after);
    padded.resize(before, b'0');
    padded.extend(digits.as_bytes());
    padded.resize(before + digits.len() + after, b'0');
    let groups: Vec<i16> = padded.chunks(4).map(group).collect();
    // No number here has more than 80 digits.
    let whole_groups = i16::try_from(whole.div_ceil(4)).unwrap_or(i16::MAX);
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let kept = &groups[leading..];
    let trailing = kept.iter().rev().take_while(|group| **group == 0).count();
    let kept = &kept[..kept.len() - trailing];
    let weight = if kept.is_empty() { 0 } else { whole_groups - 1 - i16::try_from(leading).unwrap_or(0) };
    let sign = if negative && !kept.is_empty() { NEGATIVE } else { 0 };
    out.extend(i16::try_from(kept.len()).unwrap_or(i16::MAX).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(i16::try_from(scale).unwrap_or(0).to_be_bytes());
    kept.iter().for_each(|group| out.extend(group.to_be_bytes()));
}

fn group(digits: &[u8]) -> i16 {
    digits.iter().fold(0, |n, digit| n * 10 + i16::from(digit - b'0'))
}

/// The number times ten to the `scale`; None where it is not whole then, not a number, or too big.
pub(super) fn read(bytes: &[u8], scale: u8) -> Option<I256> {
    let (header, groups) = bytes.split_first_chunk::<8>()?;
    let part = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
    let negative = match part(4) {
        0 => false,
        NEGATIVE => true,
        _ => return None,
    };
    if groups.len() != usize::from(part(0)) * 2 {
        return None;
    }
    let mut exponent = i64::from(part(2).cast_signed()) * 4 + i64::from(scale);
    let mut total = I256::ZERO;
    for digits in groups.chunks_exact(2) {
        let digits = u16::from_be_bytes([digits[0], digits[1]]);
        if digits != 0 {
            let term = shifted(digits, exponent)?;
            total = if negative { total.checked_sub(term)? } else { total.checked_add(term)? };
        }
        exponent -= 4;
    }
    Some(total)
}

/// Digits times ten to the exponent, if that is whole.
fn shifted(digits: u16, exponent: i64) -> Option<I256> {
    let by = |exponent: i64| I256::from(10u8).checked_pow(u32::try_from(exponent).ok()?);
    if exponent >= 0 {
        return I256::from(digits).checked_mul(by(exponent)?);
    }
    if exponent < -3 {
        return None;
    }
    let by = by(-exponent)?;
    (I256::from(digits) % by == I256::ZERO).then(|| I256::from(digits) / by)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(unscaled: I256, scale: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let digits = unscaled.to_string();
        put(unscaled < I256::ZERO, digits.trim_start_matches('-'), scale.into(), &mut out);
        out
    }

    /// As Postgres itself sends them (`SELECT numeric_send(…)`).
    #[test]
    fn bytes_are_those_of_postgres() {
        let cases: [(i64, u8, &[u16]); 8] = [
            (0, 2, &[0, 0, 0, 2]),
            (1234, 2, &[2, 0, 0, 2, 12, 3400]),
            (-5, 3, &[1, 0xffff, 0x4000, 3, 50]),
            (10000, 0, &[1, 1, 0, 0, 1]),
            (123_456_789, 0, &[3, 2, 0, 0, 1, 2345, 6789]),
            (1, 5, &[1, 0xfffe, 0, 5, 1000]),
            (100_000, 5, &[1, 0, 0, 5, 1]),
            (-99_999, 2, &[2, 0, 0x4000, 2, 999, 9900]),
        ];
        for (unscaled, scale, expected) in cases {
            let expected: Vec<u8> = expected.iter().flat_map(|part| part.to_be_bytes()).collect();
            assert_eq!(bytes(unscaled.into(), scale), expected, "{unscaled} with {scale}");
        }
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let nan: Vec<u8> = [0u16, 0, 0xc000, 0].iter().flat_map(|part| part.to_be_bytes()).collect();
        assert_eq!(read(&nan, 0), None);
        assert_eq!(read(&[], 0), None);
        assert_eq!(read(&bytes(1234.into(), 3), 2), None, "finer than the scale");
        assert_eq!(read(&bytes(1230.into(), 3), 2), Some(123.into()));
        let huge: Vec<u8> = [1u16, 30, 0, 0, 1].iter().flat_map(|part| part.to_be_bytes()).collect();
        assert_eq!(read(&huge, 0), None);
    }

    proptest! {
        #[test]
        fn numbers_round_trip(high: i128, low: i128, small: i64, scale in 0u8..=38) {
            for (unscaled, scale) in [
                (I256::from_words(high, low), 0),
                (I256::from(low), scale),
                (I256::from(small), scale),
                (I256::MIN, 0),
                (I256::MAX, 0),
            ] {
                prop_assert_eq!(read(&bytes(unscaled, scale), scale), Some(unscaled));
            }
        }
    }
}
