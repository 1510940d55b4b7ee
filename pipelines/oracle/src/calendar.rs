//! Days and instants, by the calendar: seconds since 1970 in UTC, and the clocks of two time zones in 2026.

/// A year, a month from 1 and a day from 1, of a day since 1970-01-01.
pub fn date(day: i64) -> (i64, i64, i64) {
    let mut year = 1970 + day.div_euclid(366);
    while first_day(year + 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| first_of_month(year, *month) <= day).unwrap_or(1);
    (year, month, day - first_of_month(year, month) + 1)
}

/// The day since 1970-01-01 on which a year begins.
fn first_day(year: i64) -> i64 {
    let before = |year: i64| year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    before(year) - before(1970)
}

pub fn first_of_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    first_day(year) + lengths.iter().take(month as usize - 1).sum::<i64>()
}

pub fn date_text(day: i64) -> String {
    let (year, month, day) = date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Hour, minute and second.
pub fn clock_text(at: i64) -> String {
    let second = at.rem_euclid(DAY);
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

pub const DAY: i64 = 86_400;

/// How many seconds a zone's clocks are ahead of UTC at an instant of 2026, or nearby.
fn ahead(zone: &str, at: i64) -> i64 {
    match zone {
        "Asia/Kolkata" => 19_800,
        "Europe/Zurich" => {
            // From the last Sunday of March to that of October, at one in the morning in UTC.
            let change = |month: i64, day: i64| (first_of_month(2026, month) + day - 1) * DAY + 3600;
            if (change(3, 29)..change(10, 25)).contains(&at) { 7200 } else { 3600 }
        }
        _ => 0,
    }
}

/// The instant at which the unit began that this instant is in, by a zone's clocks.
pub fn truncated(unit: &str, zone: &str, at: i64) -> i64 {
    let shift = ahead(zone, at);
    let local = at + shift;
    let day = local.div_euclid(DAY);
    let (year, month, _) = date(day);
    let start = match unit {
        "hour" => return local - local.rem_euclid(3600) - shift,
        "day" => day,
        // From Monday; 1970 began on a Thursday.
        "week" => day - (day + 3).rem_euclid(7),
        "month" => first_of_month(year, month),
        _ => first_day(year),
    };
    // The clocks may have been changed since.
    let begun = start * DAY - shift;
    start * DAY - ahead(zone, begun)
}

/// A part of an instant, in UTC.
pub fn part(part: &str, at: i64) -> i64 {
    let (year, month, day) = date(at.div_euclid(DAY));
    match part {
        "hour" => at.rem_euclid(DAY) / 3600,
        "day" => day,
        "month" => month,
        "year" => year,
        // From Sunday, which is 0.
        "dow" => (at.div_euclid(DAY) + 4).rem_euclid(7),
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_by_the_calendar() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(20_454), (2026, 1, 1));
        assert_eq!(date(20_453), (2025, 12, 31));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!([date_text(11_016), clock_text(-1)], ["2000-02-29", "23:59:59"]);
    }

    #[test]
    fn a_day_begins_by_the_clocks_of_its_zone() {
        let at = |month, day, hour: i64| (first_of_month(2026, month) + day - 1) * DAY + hour * 3600;
        assert_eq!(truncated("day", "UTC", at(1, 5, 7)), at(1, 5, 0));
        assert_eq!(truncated("day", "Europe/Zurich", at(1, 5, 23)), at(1, 5, 23));
        assert_eq!(truncated("day", "Europe/Zurich", at(3, 29, 5)), at(3, 28, 23), "begun in winter");
        assert_eq!(truncated("day", "Europe/Zurich", at(3, 30, 5)), at(3, 29, 22));
        assert_eq!(truncated("month", "Europe/Zurich", at(10, 31, 5)), at(9, 30, 22), "begun in summer");
        assert_eq!(truncated("hour", "Asia/Kolkata", at(1, 5, 7)), at(1, 5, 7) - 1800);
        assert_eq!(truncated("week", "UTC", at(1, 1, 7)), (20_454 - 3) * DAY);
        assert_eq!(part("dow", at(1, 1, 7)), 4, "a Thursday");
    }
}
