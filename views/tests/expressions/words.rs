//! What expressions are made of: units, types, patterns, and text that reads as a number, a moment or an id, or nearly.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;

use crate::forms::{Expression, Made, quoted};

pub(crate) const SPANS: &[&str] = &[
    "interval '1 day'",
    "interval '1 month'",
    "interval '-3 months 2 days'",
    "interval '1 year 2 months 3 days 04:05:06.7'",
    "interval '36 hours'",
    "interval '1.5 days'",
    "interval '0.3 months'",
    "interval '1.7 years'",
    "interval '-1.5 hours'",
    "interval '2 weeks'",
    "interval 'P1Y2M3DT4H5M6S'",
    "interval '1 day -00:00:00.000001'",
    "interval '2 days 3 hours ago'",
    "interval '30 days'",
    "interval '10 years'",
    "interval '1 decade'",
];

pub(crate) const COMPARISONS: &[&str] = &["=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from"];

pub(crate) const CAST_TYPES: &[&str] = &[
    "int",
    "bigint",
    "real",
    "double precision",
    "numeric(10, 2)",
    "numeric(38, 0)",
    "numeric(20, 10)",
    "numeric(3, 1)",
    "text",
];

pub(crate) const TEXT_CASTS: &[&str] = &[
    "boolean",
    "int",
    "bigint",
    "real",
    "double precision",
    "numeric(10, 2)",
    "numeric(38, 10)",
    "date",
    "timestamptz",
    "uuid",
    "varchar(2)",
];

pub(crate) const UNITS: &[&str] = &[
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
];

pub(crate) const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/St_Johns",
];

pub(crate) const PARTS: &[&str] = &[
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "isoyear",
    "decade",
    "century",
    "millennium",
    "dow",
    "isodow",
    "doy",
    "epoch",
];

pub(crate) const DATE_PARTS: &[&str] = &[
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "isoyear",
    "decade",
    "century",
    "millennium",
    "dow",
    "isodow",
    "doy",
    "epoch",
    "julian",
];

pub(crate) const SPAN_PARTS: &[&str] =
    &["microseconds", "milliseconds", "second", "minute", "hour", "day", "month", "year", "epoch"];

/// What stands to be matched, without alternatives or repetitions that compete: there the two take different matches.
pub(crate) const PATTERNS: &[&str] = &[
    "a",
    "[ab]+",
    "^.",
    ".$",
    "b?",
    "a*",
    "[^a-zA-Z]",
    "(.)(.)",
    "^(a*)(b)",
    "[A-Z]",
    "\\s",
    "\\d",
    "é|b",
    "^$",
    "x{0,2}",
];

pub(crate) const MATCHED: &[&str] = &[
    "^a|b$",
    "(ab|a)(b|bc)?",
    "^[ -~]*$",
    "a.*b",
    "^\\S+$",
    "\\w",
    "^[[:alpha:]]+$",
    "(a+)+b",
    "[A-Z]{2,3}",
    "\\\\",
    "^.{3}$",
    "é",
];

/// Text made while it runs, so that neither side reads it before.
fn computed(texts: impl Strategy<Value = String> + 'static) -> Made {
    texts.prop_map(|text| Expression::leaf(&format!("coalesce(nullif(s, s), {})", quoted(&text)))).boxed()
}

pub(crate) fn number_text() -> Made {
    computed(prop_oneof![
        "[ ]{0,1}[-+]?[0-9]{0,12}[ ]{0,1}",
        "[ \t]{0,1}[-+]?[0-9]{0,6}\\.?[0-9]{0,6}(e[-+]?[0-9]{1,2})?",
        "0\\.[0-9]{30,50}",
        select(
            &[
                "NaN", "Infinity", "-inf", "1e400", "1e-400", "1e39", "1e-50", "0x10", "1_000", "\u{a0}7", ".", "-",
                "1e", "+.5", "1."
            ][..]
        )
        .prop_map(str::to_owned),
    ])
}

pub(crate) fn moment_text() -> Made {
    let day = "(19|20)[0-9]{2}-(0[1-9]|1[012])-(0[1-9]|[12][0-9])";
    computed(prop_oneof![
        2 => day,
        2 => string_regex(&format!("{day}[ T]([01][0-9]|2[0-4]):[0-5][0-9](:[0-6][0-9](\\.[0-9]{{1,8}})?)?(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)?")).expect("a pattern"),
        1 => select(&["2023-02-29", "2024-02-30", "2024-13-01", "10000-01-01", "24-01-01", "2024-1-5", " 2024-01-05 ", "2024-01-05 24:00:00", "2024-01-05T10",
            "2024-01-05 10:00 UTC", "2024-01-05 10:61", "x", "", "0000-01-01", "2024-01-05Z", "2024-01-05 +02", "99999-12-31", "0001-01-01"][..]).prop_map(str::to_owned),
    ])
}

pub(crate) fn uuid_text() -> Made {
    computed(prop_oneof![
        2 => "[0-9a-fA-F]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}",
        1 => "\\{?[0-9a-f]{16}-?[0-9a-f]{14,17}-?\\}?",
    ])
}
