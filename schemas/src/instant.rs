//! Dates and instants as text: RFC 3339, on the proleptic Gregorian calendar, for every value that 32 and 64 bits hold.
//!
//! Years outside 0000 to 9999 are written with a sign, as ISO 8601 has it: `+10000-01-01`, `-0001-12-31`.

/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;

/// A date from days since 1970-01-01: `2026-01-31`.
pub fn date_text(days: i32) -> String {
    day_text(i64::from(days))
}

/// An instant from microseconds since 1970-01-01T00:00:00Z: `2026-01-31T08:30:00Z`, with as many digits of a second, in
/// threes, as it needs.
pub fn timestamp_text(micros: i64) -> String {
    let (days, in_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let (seconds, fraction) = (in_day / 1_000_000, in_day % 1_000_000);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match (fraction, fraction % 1000) {
        (0, _) => String::new(),
        (_, 0) => format!(".{:03}", fraction / 1000),
        _ => format!(".{fraction:06}"),
    };
    format!("{}T{h:02}:{m:02}:{s:02}{fraction}Z", day_text(days))
}

/// Days since 1970-01-01 of a date as [`date_text`] writes it; None where it is no date.
pub fn parse_date(text: &str) -> Option<i32> {
    let mut scan = Scan { rest: text.as_bytes() };
    let days = scan.date()?;
    scan.rest.is_empty().then(|| i32::try_from(days).ok())?
}

/// Microseconds since 1970-01-01T00:00:00Z of an instant by RFC 3339; None where it is none, names no zone, is out of
/// range or has a fraction finer than microseconds. A leap second counts as the first second of the next minute.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let mut scan = Scan { rest: text.as_bytes() };
    let days = scan.date()?;
    scan.one_of(b"Tt ")?;
    let hour = scan.digits(2).filter(|h| *h < 24)?;
    scan.one_of(b":")?;
    let minute = scan.digits(2).filter(|m| *m < 60)?;
    scan.one_of(b":")?;
    let second = scan.digits(2).filter(|s| *s <= 60)?;
    let fraction = scan.fraction()?;
    let offset = scan.offset()?;
    if !scan.rest.is_empty() {
        return None;
    }
    let seconds = (hour * 60 + minute - offset) * 60 + second;
    let micros = i128::from(days) * i128::from(DAY) + i128::from(seconds) * 1_000_000 + i128::from(fraction);
    i64::try_from(micros).ok()
}

fn day_text(days: i64) -> String {
    let (year, month, day) = civil(days);
    match year {
        0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{}{:04}-{month:02}-{day:02}", if year < 0 { '-' } else { '+' }, year.unsigned_abs()),
    }
}

/// Year, month and day of a day; by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

struct Scan<'t> {
    rest: &'t [u8],
}

impl Scan<'_> {
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        bytes.contains(first).then(|| {
            self.rest = rest;
            *first
        })
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        head.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    }

    fn date(&mut self) -> Option<i64> {
        let sign = self.one_of(b"+-");
        let width = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let wanted = if sign.is_some() { 4..=9 } else { 4..=4 };
        let year = wanted.contains(&width).then(|| self.digits(width))??;
        let year = if sign == Some(b'-') { -year } else { year };
        self.one_of(b"-")?;
        let month = self.digits(2).filter(|m| (1..=12).contains(m))?;
        self.one_of(b"-")?;
        let day = self.digits(2)?;
        let days = days_from_civil(year, month, day);
        (civil(days) == (year, month, day)).then_some(days)
    }

    /// In microseconds; 0 where there is none.
    fn fraction(&mut self) -> Option<i64> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let width = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(width);
        self.rest = rest;
        let (kept, finer) = digits.split_at(width.min(6));
        let fits = width > 0 && finer.iter().all(|b| *b == b'0');
        let scaled = kept.iter().chain(std::iter::repeat(&b'0')).take(6);
        fits.then(|| scaled.fold(0, |n, b| n * 10 + i64::from(b - b'0')))
    }

    /// In minutes east of Greenwich.
    fn offset(&mut self) -> Option<i64> {
        let sign = self.one_of(b"Zz+-")?;
        if sign.eq_ignore_ascii_case(&b'z') {
            return Some(0);
        }
        let hours = self.digits(2).filter(|h| *h < 24)?;
        self.one_of(b":")?;
        let minutes = self.digits(2).filter(|m| *m < 60)?;
        Some((hours * 60 + minutes) * if sign == b'-' { -1 } else { 1 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_instants() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_000, "1970-01-01T00:00:00.001Z"),
            (1_769_848_200_000_000, "2026-01-31T08:30:00Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00Z"),
            (-62_167_219_200_000_000, "0000-01-01T00:00:00Z"),
            (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "+10000-01-01T00:00:00Z"),
            (i64::MAX, "+294247-01-10T04:00:54.775807Z"),
            (i64::MIN, "-290308-12-21T19:59:05.224192Z"),
        ] {
            assert_eq!(timestamp_text(micros), text);
            assert_eq!(parse_timestamp(text), Some(micros), "{text}");
        }
    }

    #[test]
    fn zones_fractions_and_leap_seconds() {
        for (text, same) in [
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
            ("2026-01-01t00:30:00.5-00:30", "2026-01-01T01:00:00.500Z"),
            ("2026-01-01 00:00:00.123456000z", "2026-01-01T00:00:00.123456Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(parse_timestamp(text).map(timestamp_text).as_deref(), Some(same));
        }
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in [
            "",
            "2026",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567Z",
            "2026-01-01T00:00:00Z ",
            "26-01-01T00:00:00Z",
            "+300000-01-01T00:00:00Z",
            "2026-01-01T00:00:00+1:00",
            "2026-00-10T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "12026-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        for text in ["", "2026-2-1", "2026-02-30", "2026-02-01T", "+9999999-01-01", "２０２６-01-01"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_instant_comes_back(micros: i64, days: i32) {
            prop_assert_eq!(parse_timestamp(&timestamp_text(micros)), Some(micros));
            prop_assert_eq!(parse_date(&date_text(days)), Some(days));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9TZ:. ]{0,32}") {
            parse_timestamp(&text);
            parse_date(&text);
        }
    }
}
