//! Dates, timestamps and intervals as text, as Postgres reads and writes them in ISO style.
//!
//! Read is what names one moment: no `now`, no `infinity`, no BC, month numbers only. A timestamp without an offset is
//! UTC.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use super::super::cast::trimmed;
use super::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND, Span};

/// `2026-01-31`, as days since 1970-01-01. A time after it is read and left out, offset and all.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    days(moment(text)?.date)
}

fn days(date: NaiveDate) -> Option<i32> {
    date.num_days_from_ce().checked_sub(719_163)
}

/// The date that a text starts with, and the rest.
fn date_start(text: &str) -> Option<(NaiveDate, &str)> {
    let (year, rest) = number(text, 4, 6)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 1, 2)?;
    let year = i32::try_from(year).ok().filter(|year| *year > 0 && *year <= super::LAST_YEAR)?;
    let date = NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    Some((date, rest))
}

/// Between `least` and `most` digits at the start of a text, and the rest, which begins with no digit.
fn number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits < least || digits > most {
        return None;
    }
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// `2026-01-31`, `2026-01-31 18:30`, `2026-01-31T18:30:00.5Z`, `2026-01-31 18:30:00+02`, as microseconds since 1970.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let Moment { date, time, offset } = moment(text)?;
    let midnight = i64::from(days(date)?) * MICROS_PER_DAY;
    midnight.checked_add(time)?.checked_sub(offset)
}

/// What a text says of a moment, in microseconds.
struct Moment {
    date: NaiveDate,
    time: i64,
    /// East of UTC.
    offset: i64,
}

fn moment(text: &str) -> Option<Moment> {
    let (date, rest) = date_start(trimmed(text))?;
    if rest.is_empty() {
        return Some(Moment { date, time: 0, offset: 0 });
    }
    let rest = rest.strip_prefix(['T', 't', ' ']).map_or(rest, str::trim_start);
    if rest.starts_with(['+', '-']) || rest.eq_ignore_ascii_case("z") {
        return Some(Moment { date, time: 0, offset: offset(rest)? });
    }
    let (time, rest) = clock(rest)?;
    Some(Moment { date, time, offset: offset(rest.trim_start())? })
}

/// `18:30`, `18:30:00.5`, `24:00:00`, and the rest.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (hour, rest) = number(text, 1, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2, 2)?;
    let (second, fraction, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (second, rest) = number(rest, 2, 2)?;
            let (fraction, rest) = fraction(rest)?;
            (second, fraction, rest)
        }
        None => (0, 0, rest),
    };
    // Second 60 is the next minute's first, 24:00 the next day's.
    let micros = hour * MICROS_PER_HOUR + minute * 60 * MICROS_PER_SECOND + second * MICROS_PER_SECOND + fraction;
    (hour <= 24 && minute < 60 && second <= 60 && micros <= MICROS_PER_DAY).then_some((micros, rest))
}

/// `.123456789` in microseconds, rounded as a double is, and the rest.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix(['.', ',']) else { return Some((0, text)) };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = rest.split_at(digits);
    if digits.is_empty() {
        return Some((0, rest));
    }
    let part: f64 = format!("0.{digits}").parse().ok()?;
    Some(((part * 1e6).round_ties_even() as i64, rest))
}

/// `Z`, `UTC`, `+02`, `+0530`, `-03:30:00` or nothing, in microseconds east of UTC.
fn offset(text: &str) -> Option<i64> {
    if text.is_empty() || ["z", "utc", "gmt"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Some(0);
    }
    let (sign, rest) = match text.as_bytes()[0] {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes, seconds, rest) = match number(rest, 4, 4) {
        Some((together, rest)) => (together / 100, together % 100, 0, rest),
        None => {
            let (hours, rest) = number(rest, 1, 2)?;
            let (minutes, rest) = rest.strip_prefix(':').map_or(Some((0, rest)), |rest| number(rest, 2, 2))?;
            let (seconds, rest) = rest.strip_prefix(':').map_or(Some((0, rest)), |rest| number(rest, 2, 2))?;
            (hours, minutes, seconds, rest)
        }
    };
    let sound = rest.is_empty() && hours < 16 && minutes < 60 && seconds < 60;
    sound.then(|| sign * ((hours * 60 + minutes) * 60 + seconds) * MICROS_PER_SECOND)
}

/// `1 year 2 months 3 days 04:05:06`, `-1 day`, `1.5 hours`, `2 days ago`, `P1DT2H`.
pub(crate) fn parse_interval(text: &str) -> Option<Span> {
    let text = trimmed(text);
    if let Some(rest) = text.strip_prefix(['P', 'p']) {
        return iso_interval(rest);
    }
    let mut words = text.split_whitespace().peekable();
    let mut sum = Sum::default();
    let mut any = false;
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("ago") {
            return (any && words.next().is_none()).then(|| super::negate(sum.span()?).ok())?;
        }
        any = true;
        if word.contains(':') {
            sum.micros = sum.micros.checked_add(clock_span(word)?)?;
            continue;
        }
        // `1 day`, `1day`.
        let split = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (amount, unit) = word.split_at(split);
        let unit = if unit.is_empty() { words.next()? } else { unit };
        sum.add(amount, unit)?;
    }
    if any { sum.span() } else { None }
}

/// What follows the P of ISO 8601: `1Y2M3DT4H5M6.7S`, `2W`.
fn iso_interval(mut rest: &str) -> Option<Span> {
    let (mut sum, mut in_time, mut any) = (Sum::default(), false, false);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(['T', 't']) {
            (in_time, rest) = (true, after);
            continue;
        }
        let split = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let unit = match (rest.as_bytes()[split].to_ascii_uppercase(), in_time) {
            (b'Y', false) => "year",
            (b'M', false) => "month",
            (b'W', false) => "week",
            (b'D', false) => "day",
            (b'H', true) => "hour",
            (b'M', true) => "minute",
            (b'S', true) => "second",
            _ => return None,
        };
        sum.add(&rest[..split], unit)?;
        (rest, any) = (&rest[split + 1..], true);
    }
    if any { sum.span() } else { None }
}

/// `04:05`, `-04:05:06.5`, `100:00`.
fn clock_span(word: &str) -> Option<i64> {
    let (sign, word) = match word.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let (hours, rest) = number(word, 1, 9)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 1, 2)?;
    let (seconds, fraction, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (seconds, rest) = number(rest, 1, 2)?;
            let (fraction, rest) = fraction(rest)?;
            (seconds, fraction, rest)
        }
        None => (0, 0, rest),
    };
    if !rest.is_empty() || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(sign * (hours * MICROS_PER_HOUR + (minutes * 60 + seconds) * MICROS_PER_SECOND + fraction))
}

#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
}

impl Sum {
    /// An amount in millionths of its unit goes to its field, and what is left of it to the next smaller.
    fn add(&mut self, amount: &str, unit: &str) -> Option<()> {
        let (sign, digits) = match amount.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, amount.strip_prefix('+').unwrap_or(amount)),
        };
        let (whole, rest) = if digits.starts_with('.') { (0, digits) } else { number(digits, 1, 12)? };
        let (millionths, rest) = fraction(rest)?;
        if !rest.is_empty() || digits == "." {
            return None;
        }
        let (whole, millionths) = (sign * whole, sign * millionths);
        let lower = unit.to_ascii_lowercase();
        match lower.as_str() {
            "year" | "years" | "yr" | "yrs" | "y" => self.months(whole, millionths, 12),
            "decade" | "decades" => self.months(whole, millionths, 120),
            "century" | "centuries" => self.months(whole, millionths, 1_200),
            "millennium" | "millenniums" | "millennia" => self.months(whole, millionths, 12_000),
            "month" | "months" | "mon" | "mons" => {
                self.months = self.months.checked_add(whole)?;
                self.days(0, millionths, 30)
            }
            "week" | "weeks" | "w" => self.days(whole, millionths, 7),
            "day" | "days" | "d" => self.days(whole, millionths, 1),
            "hour" | "hours" | "hr" | "hrs" | "h" => self.time(whole, millionths, MICROS_PER_HOUR),
            "minute" | "minutes" | "min" | "mins" | "m" => self.time(whole, millionths, 60 * MICROS_PER_SECOND),
            "second" | "seconds" | "sec" | "secs" | "s" => self.time(whole, millionths, MICROS_PER_SECOND),
            "millisecond" | "milliseconds" | "ms" => self.time(whole, millionths, 1_000),
            "microsecond" | "microseconds" | "us" => self.time(whole, millionths, 1),
            _ => None,
        }
    }

    fn months(&mut self, whole: i64, millionths: i64, each: i64) -> Option<()> {
        let part = (millionths.checked_mul(each)? as f64 / 1e6).round_ties_even() as i64;
        self.months = self.months.checked_add(whole.checked_mul(each)?)?.checked_add(part)?;
        Some(())
    }

    fn days(&mut self, whole: i64, millionths: i64, each: i64) -> Option<()> {
        let parts = millionths.checked_mul(each)?;
        self.days = self.days.checked_add(whole.checked_mul(each)?)?.checked_add(parts / 1_000_000)?;
        self.time(0, parts % 1_000_000, MICROS_PER_DAY)
    }

    fn time(&mut self, whole: i64, millionths: i64, each: i64) -> Option<()> {
        let part = i128::from(millionths) * i128::from(each);
        let rounded = (part + if part < 0 { -500_000 } else { 500_000 }) / 1_000_000;
        let sum = i128::from(whole) * i128::from(each) + rounded + i128::from(self.micros);
        self.micros = i64::try_from(sum).ok()?;
        Some(())
    }

    fn span(self) -> Option<Span> {
        Some(Span {
            months: i32::try_from(self.months).ok()?,
            days: i32::try_from(self.days).ok()?,
            micros: self.micros,
        })
    }
}

/// `2026-01-31`; before the year 1 with ` BC`.
pub(crate) fn date_text(date: NaiveDate) -> String {
    let (year, era) = era(date.year());
    format!("{year:04}-{:02}-{:02}{era}", date.month(), date.day())
}

/// `2026-01-31 18:30:00.5+00`.
pub(crate) fn timestamp_text(at: NaiveDateTime) -> String {
    let (year, era) = era(at.year());
    let mut fraction = format!(".{:06}", at.nanosecond() / 1_000);
    fraction.truncate(fraction.trim_end_matches('0').trim_end_matches('.').len());
    let (month, day) = (at.month(), at.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}{fraction}+00{era}", at.hour(), at.minute(), at.second())
}

fn era(year: i32) -> (i32, &'static str) {
    if year > 0 { (year, "") } else { (1 - year, " BC") }
}
