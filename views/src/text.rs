//! Values that a store keeps as text: decimals, dates, UUIDs, accumulators. Each has exactly one text, and reading gives
//! back exactly the value.
//!
//! Two of them order by bytes as the values do, so that they can be keys:
//! - a *date* is `YYYY-MM-DD`; outside of the years 0000 to 9999 it is marked so that it still sorts: `~0012345-01-01`
//!   after, and `-9999998-12-31` (nines minus the year, here year -1) before;
//! - a *decimal in a key* is padded with zeros to its precision: `012.34`; a negative one starts with `-` and its digits
//!   are letters that count downwards (`J` is 0, `A` is 9), so `-JIH.GF` is -12.34.

use ethnum::I256;

/// `-12.34`: a sign, at least one digit before the point, exactly `scale` after it.
pub(crate) fn decimal_text(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = point(unscaled.unsigned_abs(), scale, 1);
    format!("{sign}{digits}")
}

/// Reads what [`decimal_text`] writes, and only that.
pub(crate) fn parse_decimal(text: &str, scale: u8) -> Option<i128> {
    let unscaled = parse_point(text, scale)?;
    (decimal_text(unscaled, scale) == text).then_some(unscaled)
}

/// The text of a decimal in a key: orders by bytes as the numbers do, given one precision and scale.
pub(crate) fn decimal_key_text(unscaled: i128, precision: u8, scale: u8) -> String {
    let whole = usize::from(precision.saturating_sub(scale)).max(1);
    let digits = point(unscaled.unsigned_abs(), scale, whole);
    if unscaled >= 0 {
        return digits;
    }
    let turned = digits.bytes().map(|byte| if byte == b'.' { '.' } else { char::from(b'J' - (byte - b'0')) });
    std::iter::once('-').chain(turned).collect()
}

/// Reads what [`decimal_key_text`] writes, and only that.
pub(crate) fn parse_decimal_key(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let unscaled = match text.strip_prefix('-') {
        None => parse_point(text, scale)?,
        Some(turned) => {
            let digits: Option<String> = turned
                .bytes()
                .map(|byte| match byte {
                    b'.' => Some('.'),
                    b'A'..=b'J' => Some(char::from(b'0' + (b'J' - byte))),
                    _ => None,
                })
                .collect();
            -parse_point(&digits?, scale)?
        }
    };
    (decimal_key_text(unscaled, precision, scale) == text).then_some(unscaled)
}

/// `magnitude` with a point before its last `scale` digits and at least `whole` digits before that.
fn point(magnitude: u128, scale: u8, whole: usize) -> String {
    let scale = usize::from(scale);
    let mut digits = format!("{magnitude:0width$}", width = whole + scale);
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    digits
}

/// The digits of `text` with the point left out; None where there is anything else or the point is elsewhere.
fn parse_point(text: &str, scale: u8) -> Option<i128> {
    if scale == 0 {
        return text.parse().ok();
    }
    let (whole, fraction) = text.split_once('.')?;
    if fraction.len() != usize::from(scale) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction}").parse().ok()
}

/// The text of a date, as the module describes it.
pub(crate) fn date_text(days: i32) -> String {
    let (year, month, day) = civil(i64::from(days));
    match year {
        0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        10_000.. => format!("~{year:07}-{month:02}-{day:02}"),
        _ => format!("-{:07}-{month:02}-{day:02}", 9_999_999 + year),
    }
}

/// Reads what [`date_text`] writes, and only that.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let (mark, rest) = match text.as_bytes().first()? {
        mark @ (b'~' | b'-') => (*mark, &text[1..]),
        _ => (b' ', text),
    };
    let mut parts = rest.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (number, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let year = if mark == b'-' { number - 9_999_999 } else { number };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > 9_999_999 {
        return None;
    }
    let days = i32::try_from(days_of(year, month, day)).ok()?;
    (date_text(days) == text).then_some(days)
}

/// Year, month and day of a day number, in the proleptic Gregorian calendar (Hinnant's algorithm: eras of 400 years
/// that start on 1 March).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Lower-case and hyphenated.
pub(crate) fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// Reads what [`uuid_text`] writes, and only that.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (uuid_text(&bytes) == text).then_some(bytes)
}

/// An accumulator: a plain integer of up to 77 digits.
pub(crate) fn wide_text(wide: &I256) -> String {
    wide.to_string()
}

pub(crate) fn parse_wide(text: &str) -> Option<I256> {
    let wide: I256 = text.parse().ok()?;
    (wide.to_string() == text).then_some(wide)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_as_documented() {
        let cases = [
            (decimal_text(-1234, 2), "-12.34"),
            (decimal_text(5, 3), "0.005"),
            (decimal_text(0, 0), "0"),
            (decimal_text(-7, 0), "-7"),
            (decimal_key_text(1234, 5, 2), "012.34"),
            (decimal_key_text(-1234, 5, 2), "-JIH.GF"),
            (decimal_key_text(0, 2, 2), "0.00"),
            (date_text(0), "1970-01-01"),
            (date_text(-719_528), "0000-01-01"),
            (date_text(-719_529), "-9999998-12-31"),
            (date_text(2_932_896), "9999-12-31"),
            (date_text(2_932_897), "~0010000-01-01"),
            (date_text(19_782), "2024-02-29"),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn only_the_one_text_is_read() {
        for text in ["", "+1.00", "01.00", "1.0", "1.000", "1", "-0.00", ".50", "1.-5", "a.00", "1.00\0"] {
            assert_eq!(parse_decimal(text, 2), None, "{text:?}");
        }
        for text in ["", "1.00", "001.0", "-001.00", "-JIH.G", "+01.00", "-JJJ.JJ"] {
            assert_eq!(parse_decimal_key(text, 5, 2), None, "{text:?}");
        }
        for text in
            ["", "~", "é", "1970-1-1", "1970-02-30", "1970-13-01", "~0001970-01-01", "10000-01-01", "~9999999-01-01"]
        {
            assert_eq!(parse_date(text), None, "{text:?}");
        }
        for text in ["", "00000000000000000000000000000000", "é", "0000000g-0000-0000-0000-000000000000"] {
            assert_eq!(parse_uuid(text), None, "{text:?}");
        }
    }

    fn decimals() -> impl Strategy<Value = (u8, u8, i128, i128)> {
        (1u8..=38).prop_flat_map(|precision| {
            let most = 10i128.pow(u32::from(precision)) - 1;
            let number = prop_oneof![-most..=most, -1000.min(most)..=1000.min(most)];
            (Just(precision), 0..=precision, number.clone(), number)
        })
    }

    proptest! {
        #[test]
        fn decimals_round_trip_and_keep_order((precision, scale, a, b) in decimals()) {
            prop_assert_eq!(parse_decimal(&decimal_text(a, scale), scale), Some(a));
            prop_assert_eq!(parse_decimal_key(&decimal_key_text(a, precision, scale), precision, scale), Some(a));
            let order = decimal_key_text(a, precision, scale).cmp(&decimal_key_text(b, precision, scale));
            prop_assert_eq!(order, a.cmp(&b));
        }

        #[test]
        fn dates_round_trip_and_keep_order(a: i32, b: i32, near in -800_000i32..3_000_000) {
            for (a, b) in [(a, b), (a, near), (near, near.wrapping_add(b % 1000))] {
                prop_assert_eq!(parse_date(&date_text(a)), Some(a));
                prop_assert_eq!(date_text(a).cmp(&date_text(b)), a.cmp(&b));
            }
        }

        #[test]
        fn uuids_round_trip_and_keep_order(a: [u8; 16], b: [u8; 16]) {
            prop_assert_eq!(parse_uuid(&uuid_text(&a)), Some(a));
            prop_assert_eq!(uuid_text(&a).cmp(&uuid_text(&b)), a.cmp(&b));
        }

        #[test]
        fn accumulators_round_trip(high: i128, low: i128) {
            let wide = I256::from_words(high, low);
            prop_assert_eq!(parse_wide(&wide_text(&wide)), Some(wide));
        }
    }
}
