//! Every way in which expressions differ from Postgres, and why. What is not here is the same.

use headwater_engine::expr::{Node, compile, parse};
use headwater_schemas::Value;

use crate::forms::Expression;
use crate::judge::{Class, Outcome};
use crate::row::Columns;

/// A difference that is meant.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    /// An expression over [`row::plain`](crate::row::plain) on which the two differ: when they no longer do, this is out of
    /// date.
    pub(crate) witness: &'static str,
    pub(crate) told: Told,
}

/// How expressions that meet a difference are compared all the same.
pub(crate) enum Told {
    /// By the outcomes: the engine's, then Postgres's.
    By(fn(&Expression, &Outcome, &Outcome) -> bool),
    /// What is generated for Postgres says what is meant here, and the outcomes are the same.
    InSql,
    /// No such expression is generated.
    NotGenerated,
}

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "constants",
        reason: "what is constant is computed when it is compiled, so that a mistake is said before an event meets it",
        witness: "1 / 0",
        told: Told::By(|_, engine, _| matches!(engine, Outcome::Refused { constant: true, .. })),
    },
    Difference {
        name: "symbols",
        reason: "an enum is compared with literals that are its symbols: others are mistyped",
        witness: "status = 'palced'",
        told: Told::By(|_, engine, _| refused(engine, "has no symbol")),
    },
    Difference {
        name: "patterns that end in an escape",
        reason: "Postgres refuses such a pattern only where the text reaches its end",
        witness: "s like 'x' || t",
        told: Told::By(|_, engine, _| {
            let within = "ends with its escape character";
            refused(engine, within)
                || matches!(engine, Outcome::Error(Class::Pattern, message) if message.ends_with(within))
        }),
    },
    Difference {
        name: "what a constant decides",
        reason: "parts are computed from left to right until one decides; Postgres's planner looks for constants first",
        witness: "1 / (i - 7) = 1 or true",
        told: Told::By(|expression, engine, postgres| {
            matches!((engine, postgres), (Outcome::Error(..), Outcome::Value { .. }))
                && has_constant_part(&expression.text)
        }),
    },
    Difference {
        name: "38 digits",
        reason: "a decimal has at most 38 digits on every store",
        witness: "power(p, 40)",
        told: Told::By(|expression, engine, postgres| {
            let overflown =
                matches!(engine, Outcome::Error(Class::OutOfRange, message) if message.contains("decimal("));
            overflown && (expression.operations > 1 || digits(postgres) > 38)
        }),
    },
    Difference {
        name: "the scale of a quotient",
        reason: "a decimal's scale is known when it is compiled: max(6, that of the dividend)",
        witness: "p / i",
        told: Told::InSql,
    },
    Difference {
        name: "the scale of a root or power",
        reason: "as of a quotient",
        witness: "sqrt(p)",
        told: Told::InSql,
    },
    Difference {
        name: "one scale",
        reason: "a value of `case`, `coalesce` and the like has the largest scale of them all: a column has one",
        witness: "coalesce(p, q)",
        told: Told::InSql,
    },
    Difference {
        name: "a date moved by an interval",
        reason: "there is one type of timestamps, which is an instant",
        witness: "day + interval '1 day'",
        told: Told::InSql,
    },
    Difference {
        name: "an interval of centuries times an int",
        reason: "it is computed exactly; Postgres computes in doubles, which miss microseconds from 285 years on",
        witness: "extract(epoch from 1000000007 * interval '1 hour 23 minutes 45.678901 seconds')",
        told: Told::NotGenerated,
    },
    Difference {
        name: "timestamps without a zone",
        reason: "a literal's offset is honoured, whatever word stands before it",
        witness: "timestamp '2026-01-01 00:00:00+05'",
        told: Told::NotGenerated,
    },
    Difference {
        name: "how dates are written",
        reason: "dates and timestamps are read in ISO form: others depend on settings, or on a clock",
        witness: "cast(coalesce(ns, 'Jan 5 2024') as date)",
        told: Told::By(|_, engine, postgres| {
            let of_time = |message: &str| message.contains("to date") || message.contains("to timestamptz");
            matches!(engine, Outcome::Error(Class::NotReadable, message) if of_time(message))
                && !matches!(postgres, Outcome::Error(Class::NotReadable, _))
        }),
    },
    Difference {
        name: "the range of time",
        reason: "4713 BC to 262000: what the calendar here reaches",
        witness: "at + interval '270000 years'",
        told: Told::By(|_, engine, postgres| {
            let of_time = |message: &str| message.starts_with("timestamp:") || message.starts_with("date:");
            matches!(engine, Outcome::Error(Class::OutOfRange, message) if of_time(message))
                && matches!(postgres, Outcome::Value { .. })
        }),
    },
    Difference {
        name: "time zones to come",
        reason: "the rules are compiled in, year by year, and end: the same on every machine",
        witness: "date_trunc('day', at + interval '4000 years 4 months', 'Europe/Berlin')",
        told: Told::NotGenerated,
    },
    Difference {
        name: "decimals that are no number",
        reason: "a decimal is never NaN or infinite",
        witness: "cast(coalesce(ns, 'NaN') as numeric(10, 2))",
        told: Told::By(|_, engine, _| {
            ["NaN", "nfinity", "-inf"].into_iter().any(|word| not_read(engine, word)) && not_read(engine, "to decimal")
        }),
    },
    Difference {
        name: "doubles in hexadecimal",
        reason: "numbers in text are decimal",
        witness: "cast(coalesce(ns, '0x10') as double precision)",
        told: Told::By(|expression, engine, _| not_read(engine, "to ") && expression.text.contains("'0x10'")),
    },
    Difference {
        name: "classes of characters",
        reason: "\\d, \\w, \\s and the flag i know all of Unicode, [[:alpha:]] ASCII, as Rust's regular expressions do",
        witness: "regexp_like('٣', '\\d')",
        told: Told::By(|expression, _, postgres| {
            let classes = ["\\d", "\\s", "\\S", "\\w", "[[:alpha:]]", ", 'i')", ", 'gi')"];
            expression.text.contains("regexp_")
                && classes.iter().any(|class| expression.text.contains(class))
                && matches!(postgres, Outcome::Value { .. })
        }),
    },
    Difference {
        name: "the match among several",
        reason: "the first alternative that matches wins, not the longest: Rust's regular expressions",
        witness: "regexp_replace('abc', 'a|ab', '')",
        told: Told::NotGenerated,
    },
    Difference {
        name: "long text",
        reason: "a function makes at most 16 MiB of text: an event's memory is bounded",
        witness: "length(lpad(s, 17000000))",
        told: Told::By(|_, engine, postgres| {
            matches!(engine, Outcome::Error(Class::TooLong, _)) && matches!(postgres, Outcome::Value { .. })
        }),
    },
    Difference {
        name: "counts that are bigint",
        reason: "a count that is no int is out of every range: it need not be cast",
        witness: "substring(s, l)",
        told: Told::NotGenerated,
    },
    Difference {
        name: "the Julian day of a timestamp",
        reason: "it has fractions, which nobody groups by; of a date it is there",
        witness: "extract(julian from at)",
        told: Told::NotGenerated,
    },
];

/// Whether a part of it is a boolean or a null whatever the row: what Postgres's planner looks for. Of a `case` any constant.
fn has_constant_part(text: &str) -> bool {
    let Ok(ast) = parse(text) else { return false };
    let mut found = false;
    ast.visit(&mut |node| {
        let any = matches!(node.node, Node::Case { .. });
        found |= node.children().into_iter().any(|child| {
            let constant = compile(child, &Columns).ok().and_then(|expr| expr.constant().cloned());
            constant.is_some_and(|value| any || matches!(value, Value::Boolean(_) | Value::Null))
        });
    });
    found
}

fn refused(outcome: &Outcome, with: &str) -> bool {
    matches!(outcome, Outcome::Refused { message, .. } if message.contains(with))
}

fn not_read(outcome: &Outcome, what: &str) -> bool {
    matches!(outcome, Outcome::Error(Class::NotReadable, message) if message.contains(what))
}

/// How many digits a number has.
fn digits(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Value { text: Some(text), .. } => {
            text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count()
        }
        _ => 0,
    }
}

/// The difference that tells these outcomes apart.
pub(crate) fn named(expression: &Expression, engine: &Outcome, postgres: &Outcome) -> Option<&'static str> {
    let tells = |difference: &&Difference| match difference.told {
        Told::By(applies) => applies(expression, engine, postgres),
        Told::InSql | Told::NotGenerated => false,
    };
    DIFFERENCES.iter().find(tells).map(|difference| difference.name)
}
