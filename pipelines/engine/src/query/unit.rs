//! Time buckets, as `date_trunc` makes them in UTC: where each begins, and which comes before it.
//!
//! ```
//! use headwater_engine::query::Unit;
//! let day = 86_400_000_000;
//! assert_eq!(Unit::Month.floor(40 * day), Some(31 * day)); // 10 February 1970 is in February
//! assert_eq!(Unit::Month.before(31 * day), Some(0));
//! ```

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike, Utc};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Minute,
    Hour,
    Day,
    /// From Monday, as ISO 8601 has it.
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    /// As `date_trunc` names it, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "minute" => Unit::Minute,
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            "week" => Unit::Week,
            "month" => Unit::Month,
            "quarter" => Unit::Quarter,
            "year" => Unit::Year,
            _ => return None,
        })
    }

    /// The start of the bucket that holds this instant (microseconds since 1970). None beyond the calendar's ends.
    pub fn floor(self, micros: i64) -> Option<i64> {
        let at = DateTime::<Utc>::from_timestamp_micros(micros)?.naive_utc();
        let date = at.date();
        let start = match self {
            Unit::Minute => at.with_second(0)?.with_nanosecond(0)?,
            Unit::Hour => date.and_hms_opt(at.hour(), 0, 0)?,
            Unit::Day => midnight(date),
            Unit::Week => midnight(date.checked_sub_days(Days::new(u64::from(date.weekday().num_days_from_monday())))?),
            Unit::Month => midnight(date.with_day(1)?),
            Unit::Quarter => midnight(date.with_day(1)?.with_month(date.month0() / 3 * 3 + 1)?),
            Unit::Year => midnight(NaiveDate::from_ymd_opt(date.year(), 1, 1)?),
        };
        Some(start.and_utc().timestamp_micros())
    }

    /// The start of the bucket before the one that starts here.
    pub fn before(self, start: i64) -> Option<i64> {
        self.step(start, |at, months| at.checked_sub_months(months), |at, time| at.checked_sub_signed(time))
    }

    /// The start of the bucket after the one that starts here.
    pub fn after(self, start: i64) -> Option<i64> {
        self.step(start, |at, months| at.checked_add_months(months), |at, time| at.checked_add_signed(time))
    }

    fn step(
        self,
        start: i64,
        by_months: impl Fn(NaiveDateTime, Months) -> Option<NaiveDateTime>,
        by_time: impl Fn(NaiveDateTime, TimeDelta) -> Option<NaiveDateTime>,
    ) -> Option<i64> {
        let at = DateTime::<Utc>::from_timestamp_micros(start)?.naive_utc();
        let moved = match self {
            Unit::Minute => by_time(at, TimeDelta::minutes(1)),
            Unit::Hour => by_time(at, TimeDelta::hours(1)),
            Unit::Day => by_time(at, TimeDelta::days(1)),
            Unit::Week => by_time(at, TimeDelta::days(7)),
            Unit::Month => by_months(at, Months::new(1)),
            Unit::Quarter => by_months(at, Months::new(3)),
            Unit::Year => by_months(at, Months::new(12)),
        };
        Some(moved?.and_utc().timestamp_micros())
    }
}

fn midnight(date: NaiveDate) -> NaiveDateTime {
    date.and_time(NaiveTime::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn micros(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
    }

    #[test]
    fn buckets_begin_where_date_trunc_says() {
        let cases = [
            ("minute", "2026-08-17T13:45:59.999999Z", "2026-08-17T13:45:00Z", "2026-08-17T13:44:00Z"),
            ("hour", "2026-08-17T13:45:59Z", "2026-08-17T13:00:00Z", "2026-08-17T12:00:00Z"),
            ("day", "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("week", "2026-01-01T12:00:00Z", "2025-12-29T00:00:00Z", "2025-12-22T00:00:00Z"),
            ("MONTH", "2026-03-31T23:59:59Z", "2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("quarter", "2026-12-31T00:00:00Z", "2026-10-01T00:00:00Z", "2026-07-01T00:00:00Z"),
            ("year", "1969-12-31T23:59:59.999999Z", "1969-01-01T00:00:00Z", "1968-01-01T00:00:00Z"),
        ];
        for (unit, at, start, before) in cases {
            let unit = Unit::parse(unit).unwrap();
            assert_eq!(unit.floor(micros(at)), Some(micros(start)), "{unit:?} {at}");
            assert_eq!(unit.before(micros(start)), Some(micros(before)), "{unit:?} {start}");
        }
        assert_eq!(Unit::parse("fortnight"), None);
    }

    proptest! {
        #[test]
        fn every_instant_is_in_its_bucket_and_buckets_touch(
            micros in any::<i64>(),
            unit in prop::sample::select(vec![
                Unit::Minute, Unit::Hour, Unit::Day, Unit::Week, Unit::Month, Unit::Quarter, Unit::Year,
            ]),
        ) {
            if let Some(start) = unit.floor(micros)
                && let (Some(before), Some(after)) = (unit.before(start), unit.after(start))
            {
                prop_assert!(start <= micros && micros < after);
                prop_assert_eq!(unit.floor(start), Some(start));
                prop_assert_eq!(unit.floor(start - 1), Some(before));
                prop_assert_eq!(unit.after(before), Some(start));
            }
        }
    }
}
