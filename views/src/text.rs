//! Values that a store keeps as text: decimals, dates, UUIDs, accumulators. Each has exactly one text, and reading gives
//! back exactly the value.
//!
//! Two of them order by bytes as the values do, so that they can be keys:
//! - a *date* is `YYYY-MM-DD`; outside of the years 0000 to 9999 it is marked so that it still sorts: `~0012345-01-01`
//!   after, and `-9999998-12-31` (nines minus the year, here year -1) before;
//! - a *decimal in a key* is padded with zeros to its precision: `012.34`; a negative one starts with `-` and its digits
//!   are letters that count downwards (`J` is 0, `A` is 9), so `-JIH.GF` is -12.34.

use ethnum::I256;
use headwater_schemas::{Decimal, instant};
use uuid::Uuid;

/// More digits than this no decimal has.
const DIGITS: u8 = 38;
/// No date's year is further from 0.
const YEARS: u32 = 9_999_999;

/// Reads what a decimal's `Display` writes (`-12.34`, all digits of its scale), and only that.
pub(crate) fn parse_decimal(text: &str, scale: u8) -> Option<Decimal> {
    Decimal::parse(text, DIGITS, scale).filter(|decimal| decimal.to_string() == text)
}

/// The text of a decimal in a key: orders by bytes as the numbers do, given one precision and scale.
pub(crate) fn decimal_key_text(decimal: &Decimal, precision: u8) -> String {
    let whole = usize::from(precision.saturating_sub(decimal.scale)).max(1);
    let width = whole + if decimal.scale > 0 { 1 + usize::from(decimal.scale) } else { 0 };
    let plain = decimal.to_string();
    match plain.strip_prefix('-') {
        None => format!("{plain:0>width$}"),
        Some(digits) => {
            let turn = |byte: u8| if byte == b'.' { '.' } else { char::from(b'J' - (byte - b'0')) };
            std::iter::once('-').chain(format!("{digits:0>width$}").bytes().map(turn)).collect()
        }
    }
}

/// Reads what [`decimal_key_text`] writes, and only that.
pub(crate) fn parse_decimal_key(text: &str, precision: u8, scale: u8) -> Option<Decimal> {
    let turn = |byte: u8| match byte {
        b'A'..=b'J' => char::from(b'0' + (b'J' - byte)),
        other => char::from(other),
    };
    let decimal = match text.strip_prefix('-') {
        None => Decimal::parse(text, DIGITS, scale)?,
        Some(turned) => {
            let digits: String = turned.bytes().map(turn).collect();
            Decimal::parse(&format!("-{digits}"), DIGITS, scale)?
        }
    };
    (decimal_key_text(&decimal, precision) == text).then_some(decimal)
}

/// The text of a date, as the module describes it.
pub(crate) fn date_text(days: i32) -> String {
    let plain = instant::date_text(days);
    let years = |signed: &str| {
        let (year, rest) = signed.split_once('-')?;
        Some((year.parse::<u32>().ok()?, rest.to_owned()))
    };
    let marked = match plain.as_bytes().first() {
        Some(b'+') => years(&plain[1..]).map(|(year, rest)| format!("~{year:07}-{rest}")),
        Some(b'-') => years(&plain[1..]).map(|(year, rest)| format!("-{:07}-{rest}", YEARS.saturating_sub(year))),
        _ => None,
    };
    marked.unwrap_or(plain)
}

/// Reads what [`date_text`] writes, and only that.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let unmarked = |marked: &str, sign: char, year: fn(u32) -> Option<u32>| {
        let (digits, rest) = marked.split_once('-')?;
        instant::parse_date(&format!("{sign}{:04}-{rest}", year(digits.parse().ok()?)?))
    };
    let days = match text.as_bytes().first()? {
        b'~' => unmarked(&text[1..], '+', Some),
        b'-' => unmarked(&text[1..], '-', |nines| YEARS.checked_sub(nines)),
        _ => instant::parse_date(text),
    };
    days.filter(|days| date_text(*days) == text)
}

/// Lower-case and hyphenated.
pub(crate) fn uuid_text(bytes: &[u8; 16]) -> String {
    Uuid::from_bytes(*bytes).hyphenated().to_string()
}

/// Reads what [`uuid_text`] writes, and only that.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = Uuid::try_parse(text).ok()?.into_bytes();
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

    fn decimal(unscaled: i128, scale: u8) -> Decimal {
        Decimal { unscaled, scale }
    }

    #[test]
    fn texts_are_as_documented() {
        let cases = [
            (decimal(-1234, 2).to_string(), "-12.34"),
            (decimal(5, 3).to_string(), "0.005"),
            (decimal(0, 0).to_string(), "0"),
            (decimal(-7, 0).to_string(), "-7"),
            (decimal_key_text(&decimal(1234, 2), 5), "012.34"),
            (decimal_key_text(&decimal(-1234, 2), 5), "-JIH.GF"),
            (decimal_key_text(&decimal(0, 2), 2), "0.00"),
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
            let (a, b) = (decimal(a, scale), decimal(b, scale));
            prop_assert_eq!(parse_decimal(&a.to_string(), scale), Some(a));
            prop_assert_eq!(parse_decimal_key(&decimal_key_text(&a, precision), precision, scale), Some(a));
            let order = decimal_key_text(&a, precision).cmp(&decimal_key_text(&b, precision));
            prop_assert_eq!(order, { a.unscaled }.cmp(&{ b.unscaled }));
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
