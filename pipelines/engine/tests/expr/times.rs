//! Dates, timestamps, intervals and time zones.

use super::row::{check, check_types};

#[test]
fn literals() {
    check(
        "timestamp '2026-01-31' => 2026-01-31 00:00:00
         timestamp '2026-01-31 18:30' => 2026-01-31 18:30:00
         timestamp '2026-01-31T18:30:05.5Z' => 2026-01-31 18:30:05.500
         timestamp '2026-01-31 18:30:00+02' => 2026-01-31 16:30:00
         timestamp '2026-01-31 18:30:00-03:30' => 2026-01-31 22:00:00
         timestamp '2026-01-31 18:30:00 +0530' => 2026-01-31 13:00:00
         timestamp '2026-01-31 24:00:00' => 2026-02-01 00:00:00
         timestamp '2026-01-31 18:30:60' => 2026-01-31 18:31:00
         timestamp '2026-01-31 18:30:00.1234565' => 2026-01-31 18:30:00.123456
         timestamp with time zone '2026-01-31 18:30:00 UTC' => 2026-01-31 18:30:00
         timestamp '2026-02-30' => ! '2026-02-30' is no timestamp
         timestamp 'now' => ! 'now' is no timestamp
         timestamp '2026-01-31 25:00' => ! '2026-01-31 25:00' is no timestamp
         date '2026-2-3' => date 2026-02-03
         date '2024-02-29' => date 2024-02-29
         date '2023-02-29' => ! '2023-02-29' is no date
         date '0001-01-01' => date 0001-01-01
         date '0000-01-01' => ! '0000-01-01' is no date
         interval 'x' => ! 'x' is no interval
         interval '1 day' => ! an interval is no value of its own",
    );
}

#[test]
fn arithmetic() {
    check(
        "at + interval '1 day' => 2026-03-16 13:45:30.123456
         at - interval '1 month' => 2026-02-15 13:45:30.123456
         at + '1 day' => 2026-03-16 13:45:30.123456
         interval '1 hour' + at => 2026-03-15 14:45:30.123456
         timestamp '2026-01-31' + interval '1 month' => 2026-02-28 00:00:00
         timestamp '2024-02-29' + interval '1 year' => 2025-02-28 00:00:00
         timestamp '2026-03-31' - interval '1 month' => 2026-02-28 00:00:00
         timestamp '2026-01-01' + interval '1 year 2 months 3 days 04:05:06.7' => 2027-03-04 04:05:06.700
         timestamp '2026-01-01' + interval '-1 day' => 2025-12-31 00:00:00
         timestamp '2026-01-10' + interval '2 days ago' => 2026-01-08 00:00:00
         timestamp '2026-01-01' + interval '1.5 days' => 2026-01-02 12:00:00
         timestamp '2026-01-01' + interval '1 week' => 2026-01-08 00:00:00
         timestamp '2026-01-01' + interval '90 minutes' => 2026-01-01 01:30:00
         timestamp '2026-01-01' + interval '3' day => 2026-01-04 00:00:00
         timestamp '2026-01-01' + interval 'P1DT2H30M' => 2026-01-02 02:30:00
         timestamp '2026-01-01' + interval 'P2W' => 2026-01-15 00:00:00
         timestamp '2026-01-01' + 3 * interval '1 day' => 2026-01-04 00:00:00
         timestamp '2026-01-01' + i * interval '1 hour' => 2026-01-01 07:00:00
         timestamp '2026-01-01' + (interval '1 day' + interval '1 hour') => 2026-01-02 01:00:00
         timestamp '2026-01-01' - -interval '1 day' => 2026-01-02 00:00:00
         day + interval '1 hour' => 2026-03-15 01:00:00
         day + 1 => date 2026-03-16
         1 + day => date 2026-03-16
         day - 15 => date 2026-02-28
         day - date '2026-03-01' => 14
         extract(epoch from at - day) => 49530.123456
         extract(day from at - timestamp '2026-03-01') => 14
         extract(epoch from interval '1 year') => 31557600.000000
         extract(epoch from interval '1 month 1 day 1 second') => 2678401.000000
         extract(hour from interval '30 hours') => 30
         day + interval '1 month' * 1.5 => 2026-04-30 00:00:00
         day + interval '1 day' / 4 => 2026-03-15 06:00:00
         day + 0.5 * interval '1 day 1 hour' => 2026-03-15 12:30:00
         day + interval '1 day' / (i - 7) => ! /: division by zero
         day + interval '10 years' * 1e9 => ! interval: the result is out of the range of interval
         n_at + interval '1 day' => null
         at + null => null
         at + interval '200000 years' + interval '200000 years' => ! timestamp: the result is out of the range of timestamp
         day + 2147483647 => ! date: the result is out of the range of date
         at - interval '7000 years' => ! timestamp: the result is out of the range of timestamp",
    );
    check_types(
        "day - day => int
         day + 1 => date
         day + interval '1 day' => timestamp-micros
         ms + interval '1 day' => timestamp-micros",
    );
}

#[test]
fn extract() {
    check(
        "extract(year from at) => 2026
         extract(month from at) => 3
         extract(day from at) => 15
         extract(hour from at) => 13
         extract(minute from at) => 45
         extract(second from at) => 30.123456
         extract(milliseconds from at) => 30123.456
         extract(microseconds from at) => 30123456
         extract(epoch from at) => 1773582330.123456
         extract(quarter from at) => 1
         extract(dow from at) => 0
         extract(isodow from at) => 7
         extract(doy from at) => 74
         extract(week from at) => 11
         extract(week from date '2027-01-01') => 53
         extract(isoyear from date '2027-01-01') => 2026
         extract(decade from at) => 202
         extract(century from at) => 21
         extract(century from date '2000-12-31') => 20
         extract(millennium from at) => 3
         extract(julian from date '2000-01-01') => 2451545
         extract(epoch from date '1970-01-02') => 86400
         extract(year from n_at) => null
         extract(second from timestamp '1969-12-31 23:59:59.5') => 59.500000
         extract(epoch from timestamp '1969-12-31 23:59:59.5') => -0.500000
         extract(hour from day) => ! date has no `hour` to extract
         extract(julian from at) => ! timestamp-micros has no `julian` to extract
         extract(year from s) => ! string has no `year` to extract",
    );
    check_types(
        "extract(year from at) => decimal(38,0)
         extract(second from at) => decimal(38,6)",
    );
}

#[test]
fn truncate() {
    check(
        "date_trunc('microseconds', at) => 2026-03-15 13:45:30.123456
         date_trunc('milliseconds', at) => 2026-03-15 13:45:30.123
         date_trunc('second', at) => 2026-03-15 13:45:30
         date_trunc('minute', at) => 2026-03-15 13:45:00
         date_trunc('hour', at) => 2026-03-15 13:00:00
         date_trunc('day', at) => 2026-03-15 00:00:00
         date_trunc('week', at) => 2026-03-09 00:00:00
         date_trunc('month', at) => 2026-03-01 00:00:00
         date_trunc('quarter', at) => 2026-01-01 00:00:00
         date_trunc('year', at) => 2026-01-01 00:00:00
         date_trunc('decade', at) => 2020-01-01 00:00:00
         date_trunc('century', at) => 2001-01-01 00:00:00
         date_trunc('millennium', at) => 2001-01-01 00:00:00
         date_trunc('MONTH', at) => 2026-03-01 00:00:00
         date_trunc('day', timestamp '1969-12-31 23:59:59.5') => 1969-12-31 00:00:00
         date_trunc('week', timestamp '2027-01-01') => 2026-12-28 00:00:00
         date_trunc('month', day) => 2026-03-01 00:00:00
         date_trunc('month', n_at) => null
         date_trunc('moon', at) => ! `date_trunc` knows no unit 'moon'
         date_trunc('dow', at) => ! `date_trunc` knows no unit 'dow'
         date_trunc(s, at) => ! the unit of `date_trunc` is a constant
         date_trunc('day', s) => ! `date_trunc` takes a timestamp or a date, and this is string",
    );
}

#[test]
fn zones() {
    check(
        "date_trunc('day', timestamp '2026-03-15 23:30', 'Europe/Berlin') => 2026-03-15 23:00:00
         date_trunc('day', timestamp '2026-03-15 22:30', 'Europe/Berlin') => 2026-03-14 23:00:00
         date_trunc('day', timestamp '2026-07-15 22:30', 'Europe/Berlin') => 2026-07-15 22:00:00
         date_trunc('month', timestamp '2026-03-31 23:30', 'Europe/Berlin') => 2026-03-31 22:00:00
         date_trunc('hour', timestamp '2026-03-15 12:40', 'Asia/Kolkata') => 2026-03-15 12:30:00
         date_trunc('day', timestamp '2026-03-15 12:40', 'UTC') => 2026-03-15 00:00:00
         date_trunc('day', timestamp '2026-03-15 12:40', 'europe/berlin') => 2026-03-14 23:00:00
         date_trunc('year', timestamp '2026-07-01', 'America/New_York') => 2026-01-01 05:00:00
         date_trunc('day', timestamp '2018-11-04 12:00', 'America/Sao_Paulo') => 2018-11-04 03:00:00
         date_trunc('day', at, 'Mars/Base') => ! there is no time zone 'Mars/Base'
         date_trunc('day', at, s) => ! date_trunc: the time zone is not known
         date_trunc('day', at, n_s) => null",
    );
}
