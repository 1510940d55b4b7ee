//! Dates (days since 1970-01-01), timestamps (microseconds since then, UTC) and intervals: parts, truncation, arithmetic.
//!
//! As Postgres does it in a session whose time zone is UTC. Years are astronomical inside and have no year 0 outside.
//! Text is read and written in [`text`].

mod text;

use chrono::{
    DateTime, Datelike, Days, LocalResult, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone,
    Timelike,
};
use chrono_tz::Tz;

use super::ast::Part;
use super::code::MICROS_PER_DAY;
use super::error::{EvalError, Fault};
use super::kind::Span;

pub(crate) use text::{date_text, parse_date, parse_interval, parse_timestamp, timestamp_text};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;

/// The first and last day that is computed with: Postgres's date begins in 4713 BC; years have at most six digits here.
const FIRST_YEAR: i32 = -4712;
const LAST_YEAR: i32 = 262_000;

impl Span {
    /// In microseconds, a month being 30 days: what intervals are compared by.
    pub(crate) fn length(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(MICROS_PER_DAY) + i128::from(self.micros)
    }
}

fn out_of_range(what: &'static str) -> Fault {
    EvalError::overflow(what, what)
}

pub(crate) fn datetime(micros: i64) -> Result<NaiveDateTime, Fault> {
    DateTime::from_timestamp_micros(micros)
        .map(|at| at.naive_utc())
        .filter(|at| (FIRST_YEAR..=LAST_YEAR).contains(&at.year()))
        .ok_or_else(|| out_of_range("timestamp"))
}

pub(crate) fn micros(at: NaiveDateTime) -> Result<i64, Fault> {
    if (FIRST_YEAR..=LAST_YEAR).contains(&at.year()) {
        return Ok(at.and_utc().timestamp_micros());
    }
    Err(out_of_range("timestamp"))
}

fn civil(days: i64) -> Result<NaiveDate, Fault> {
    let days = days.checked_mul(MICROS_PER_DAY).ok_or_else(|| out_of_range("date"))?;
    datetime(days).map(|at| at.date()).map_err(|_| out_of_range("date"))
}

/// A day that a date can be.
pub(crate) fn day_range(days: Option<i64>) -> Result<i64, Fault> {
    let days = days.ok_or_else(|| out_of_range("date"))?;
    civil(days).map(|_| days)
}

/// A timestamp's day in UTC.
pub(crate) fn day_of(micros: i64) -> i64 {
    micros.div_euclid(MICROS_PER_DAY)
}

/// Months first, a day that its month lacks being the month's last; then days, then the rest.
pub(crate) fn add(micros_at: i64, by: Span) -> Result<i64, Fault> {
    let mut at = datetime(micros_at)?;
    let overflow = || out_of_range("timestamp");
    let months = Months::new(by.months.unsigned_abs());
    at = if by.months < 0 { at.checked_sub_months(months) } else { at.checked_add_months(months) }
        .ok_or_else(overflow)?;
    let days = Days::new(u64::from(by.days.unsigned_abs()));
    at = if by.days < 0 { at.checked_sub_days(days) } else { at.checked_add_days(days) }.ok_or_else(overflow)?;
    at = at.checked_add_signed(TimeDelta::microseconds(by.micros)).ok_or_else(overflow)?;
    micros(at)
}

/// `left - right`, in days and what is left of one.
pub(crate) fn between(left: i64, right: i64) -> Result<Span, Fault> {
    let micros = left.checked_sub(right).ok_or_else(|| out_of_range("interval"))?;
    let days = i32::try_from(micros / MICROS_PER_DAY).map_err(|_| out_of_range("interval"))?;
    Ok(Span { months: 0, days, micros: micros % MICROS_PER_DAY })
}

pub(crate) fn negate(span: Span) -> Result<Span, Fault> {
    times(span, -1)
}

pub(crate) fn plus(left: Span, right: Span) -> Result<Span, Fault> {
    let sum = || {
        Some(Span {
            months: left.months.checked_add(right.months)?,
            days: left.days.checked_add(right.days)?,
            micros: left.micros.checked_add(right.micros)?,
        })
    };
    sum().ok_or_else(|| out_of_range("interval"))
}

pub(crate) fn times(span: Span, n: i64) -> Result<Span, Fault> {
    let product = || {
        Some(Span {
            months: i32::try_from(i64::from(span.months).checked_mul(n)?).ok()?,
            days: i32::try_from(i64::from(span.days).checked_mul(n)?).ok()?,
            micros: span.micros.checked_mul(n)?,
        })
    };
    product().ok_or_else(|| out_of_range("interval"))
}

/// A span times a double, or divided by one. What is left of a month goes to its days, each month being 30, and what is left
/// of a day to its time: Postgres's, in doubles, as it computes them.
pub(crate) fn scaled(span: Span, by: f64, divides: bool) -> Result<Span, Fault> {
    const MICROS: f64 = 1e6;
    let of = |part: f64| if divides { part / by } else { part * by };
    // To the microsecond, so that what doubles cannot say does not add up.
    let rounded = |part: f64| (part * MICROS).round_ties_even() / MICROS;
    let whole = |part: f64| {
        let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&part);
        fits.then_some(part as i32).ok_or_else(|| out_of_range("interval"))
    };
    let seconds_per_day = 86_400.0;
    let (months, days) = (of(f64::from(span.months)), of(f64::from(span.days)));
    let (whole_months, mut whole_days) = (whole(months)?, whole(days)?);
    let left_days = rounded((months - f64::from(whole_months)) * 30.0);
    let mut seconds = rounded((days - f64::from(whole_days) + left_days.fract()) * seconds_per_day);
    let more = (seconds / seconds_per_day).trunc();
    seconds -= more * seconds_per_day;
    for days in [more, left_days] {
        whole_days = whole_days.checked_add(days as i32).ok_or_else(|| out_of_range("interval"))?;
    }
    let micros = (of(span.micros as f64) + seconds * MICROS).round_ties_even();
    // 2^63 is a double.
    let limit = -(i64::MIN as f64);
    if !(-limit..limit).contains(&micros) {
        return Err(out_of_range("interval"));
    }
    Ok(Span { months: whole_months, days: whole_days, micros: micros as i64 })
}

/// How many digits after the point `extract` gives for a part.
pub(crate) fn part_scale(part: Part) -> u8 {
    match part {
        Part::Second | Part::Epoch => 6,
        Part::Milliseconds => 3,
        _ => 0,
    }
}

/// A part of a timestamp, unscaled by [`part_scale`].
pub(crate) fn extract(part: Part, micros_at: i64) -> Result<i128, Fault> {
    let at = datetime(micros_at)?;
    let in_minute = i128::from(micros_at.rem_euclid(60 * MICROS_PER_SECOND));
    Ok(match part {
        // Of the three units the unscaled number is the same: microseconds.
        Part::Microseconds | Part::Milliseconds | Part::Second => in_minute,
        Part::Epoch => i128::from(micros_at),
        Part::Minute => i128::from(at.minute()),
        Part::Hour => i128::from(at.hour()),
        part => i128::from(date_part(part, at.date())),
    })
}

/// A part of a date, of scale 0; the parts of a day are refused when an expression is compiled.
pub(crate) fn extract_date(part: Part, days: i64) -> Result<i128, Fault> {
    let date = civil(days)?;
    Ok(match part {
        Part::Epoch => i128::from(days) * 86_400,
        part => i128::from(date_part(part, date)),
    })
}

/// A part of an interval; its months and days stand apart.
pub(crate) fn extract_interval(part: Part, span: Span) -> i128 {
    let micros = i128::from(span.micros);
    let second = i128::from(MICROS_PER_SECOND);
    match part {
        Part::Microseconds | Part::Milliseconds | Part::Second => micros % (60 * second),
        Part::Minute => micros / (60 * second) % 60,
        Part::Hour => micros / i128::from(MICROS_PER_HOUR),
        Part::Day => i128::from(span.days),
        Part::Month => i128::from(span.months % 12),
        Part::Year => i128::from(span.months / 12),
        // A year is 365.25 days, a month that is left over 30: Postgres's.
        _ => {
            let quarter_days = i128::from(span.months / 12) * 1461 + i128::from(span.months % 12) * 120;
            (quarter_days + i128::from(span.days) * 4) * i128::from(MICROS_PER_DAY) / 4 + micros
        }
    }
}

fn date_part(part: Part, date: NaiveDate) -> i64 {
    let year = i64::from(date.year());
    match part {
        Part::Day => i64::from(date.day()),
        Part::Week => i64::from(date.iso_week().week()),
        Part::Month => i64::from(date.month()),
        Part::Quarter => i64::from(date.month0() / 3 + 1),
        Part::Year => without_zero(year),
        Part::IsoYear => without_zero(i64::from(date.iso_week().year())),
        Part::Decade => year.div_euclid(10),
        // The first century begins with the year 1; before it there is none but the first one BC.
        Part::Century => {
            if year > 0 {
                (year + 99) / 100
            } else {
                -((99 - (year - 1)) / 100)
            }
        }
        Part::Millennium => {
            if year > 0 {
                (year + 999) / 1000
            } else {
                -((999 - (year - 1)) / 1000)
            }
        }
        Part::DayOfWeek => i64::from(date.weekday().num_days_from_sunday()),
        Part::IsoDayOfWeek => i64::from(date.weekday().number_from_monday()),
        Part::DayOfYear => i64::from(date.ordinal()),
        // 1970-01-01 is day 2440588.
        Part::Julian => i64::from(date.num_days_from_ce()) + 1_721_425,
        _ => 0,
    }
}

/// The astronomical year 0 is 1 BC, which Postgres calls -1.
fn without_zero(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

/// Whether `date_trunc` takes this part.
pub(crate) fn truncates(part: Part) -> bool {
    !matches!(part, Part::IsoYear | Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear | Part::Epoch | Part::Julian)
}

/// The start of the unit that a timestamp lies in, in UTC.
pub(crate) fn truncate(part: Part, micros_at: i64) -> Result<i64, Fault> {
    let step = match part {
        Part::Microseconds => 1,
        Part::Milliseconds => 1_000,
        Part::Second => MICROS_PER_SECOND,
        Part::Minute => 60 * MICROS_PER_SECOND,
        Part::Hour => MICROS_PER_HOUR,
        Part::Day => MICROS_PER_DAY,
        _ => return micros(truncate_date(part, datetime(micros_at)?.date()).and_time(NaiveTime::MIN)),
    };
    datetime(micros_at)?;
    Ok(micros_at - micros_at.rem_euclid(step))
}

fn truncate_date(part: Part, date: NaiveDate) -> NaiveDate {
    let year = date.year();
    let first_of = |year: i32, month: u32| NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(date);
    match part {
        Part::Week => date - Days::new(u64::from(date.weekday().num_days_from_monday())),
        Part::Month => first_of(year, date.month()),
        Part::Quarter => first_of(year, date.month0() / 3 * 3 + 1),
        Part::Decade => first_of(year - year.rem_euclid(10), 1),
        // The years 1 to 100, 101 to 200.
        Part::Century => first_of(year - (year - 1).rem_euclid(100), 1),
        Part::Millennium => first_of(year - (year - 1).rem_euclid(1000), 1),
        _ => first_of(year, 1),
    }
}

/// The start of the unit that a timestamp lies in, where the clocks of a zone say.
pub(crate) fn truncate_in(part: Part, micros_at: i64, zone: Tz) -> Result<i64, Fault> {
    let utc = datetime(micros_at)?;
    let offset = zone.offset_from_utc_datetime(&utc).fix();
    let shift = i64::from(offset.local_minus_utc()) * MICROS_PER_SECOND;
    let local = micros_at.checked_add(shift).ok_or_else(|| out_of_range("timestamp"))?;
    let start = truncate(part, local)?;
    if matches!(part, Part::Microseconds | Part::Milliseconds | Part::Second | Part::Minute | Part::Hour) {
        // Within an hour the offset stays.
        return Ok(start - shift);
    }
    let start = datetime(start)?;
    let instant = match zone.offset_from_local_datetime(&start) {
        LocalResult::Single(offset) => start - offset.fix(),
        // Where clocks went back, the second of the two; where they went forward, as if they had not yet: Postgres's.
        LocalResult::Ambiguous(first, second) => {
            let (first, second) = (start - first.fix(), start - second.fix());
            first.max(second)
        }
        LocalResult::None => {
            let before = start.checked_sub_days(Days::new(1)).ok_or_else(|| out_of_range("timestamp"))?;
            start - zone.offset_from_utc_datetime(&before).fix()
        }
    };
    micros(instant)
}
