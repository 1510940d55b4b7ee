//! Expressions, well-typed by how they are made: a level of one sort is made of the level below of others.

use headwater_engine::expr::{compile, parse};
use headwater_schemas::Type;
use proptest::prelude::*;
use proptest::sample::select;

use crate::row::Columns;
use crate::words::*;

/// An expression as each side reads it. The two texts differ where the difference is meant, and only as
/// [`DIFFERENCES`](crate::differences::DIFFERENCES) says.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    pub(crate) text: String,
    pub(crate) sql: String,
    /// Operators and functions in it.
    pub(crate) operations: usize,
}

pub(crate) type Made = BoxedStrategy<Expression>;

/// Strategies by the type of what they make. `number` is any numeric type.
#[derive(Clone)]
struct Level {
    number: Made,
    int: Made,
    text: Made,
    bool: Made,
    date: Made,
    instant: Made,
    span: Made,
    other: Made,
}

pub(crate) fn expression() -> Made {
    let mut level = leaves();
    let mut all = Vec::new();
    for _ in 0..3 {
        level = level.above();
        all.push(level.any());
    }
    prop_oneof![3 => all.remove(0), 2 => all.remove(0), 1 => all.remove(0)].boxed()
}

/// The type that the engine gives an expression.
fn type_of(text: &str) -> Option<Type> {
    Some(compile(&parse(text).ok()?, &Columns).ok()?.ty.ty)
}

impl Expression {
    pub(crate) fn leaf(text: &str) -> Self {
        Self { text: text.to_owned(), sql: text.to_owned(), operations: 0 }
    }

    /// One operation that both sides read alike.
    pub(crate) fn same(text: &str) -> Self {
        Self { operations: 1, ..Self::leaf(text) }
    }

    /// `#1` to `#3` in the template stand for the arguments.
    fn of(template: &str, args: &[&Expression]) -> Self {
        Self::of_two(template, template, args)
    }

    /// As [`of`](Self::of), of a template for each side.
    fn of_two(text: &str, sql: &str, args: &[&Expression]) -> Self {
        let fill = |template: &str, show: &dyn Fn(&Expression) -> String| {
            let mut out = String::new();
            let mut rest = template;
            while let Some(at) = rest.find('#') {
                out.push_str(&rest[..at]);
                let index: usize = rest[at + 1..at + 2].parse().expect("a digit");
                out.push_str(&show(args[index - 1]));
                rest = &rest[at + 2..];
            }
            out + rest
        };
        let operations = 1 + args.iter().map(|arg| arg.operations).sum::<usize>();
        Self { text: fill(text, &|arg| arg.text.clone()), sql: fill(sql, &|arg| arg.sql.clone()), operations }
    }

    /// With Postgres's result brought to the one scale that a decimal has here.
    fn one_scale(mut self) -> Self {
        if let Some(Type::Decimal { scale, .. }) = type_of(&self.text) {
            self.sql = format!("round({}, {scale})", self.sql);
        }
        self
    }

    /// A quotient, root or power, with more digits than Postgres would compute by itself.
    fn digits(text: &str, sql: &str, args: &[&Expression]) -> Self {
        match type_of(&Self::of(text, args).text) {
            Some(Type::Decimal { .. }) => Self::of_two(text, sql, args).one_scale(),
            _ => Self::of(text, args),
        }
    }
}

fn leaf(texts: &'static [&'static str]) -> Made {
    select(texts).prop_map(Expression::leaf).boxed()
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn leaves() -> Level {
    let int = leaf(&["i", "ni", "i", "ni", "i", "ni", "0", "1", "-2", "7", "2147483647", "cast(null as int)"]);
    let number = leaf(&[
        "i",
        "ni",
        "l",
        "nl",
        "f",
        "nf",
        "d",
        "nd",
        "p",
        "np",
        "q",
        "nq",
        "i",
        "l",
        "d",
        "p",
        "q",
        "0",
        "3",
        "-1.25",
        "0.005",
        "1e3",
        "100",
        "9007199254740993",
        "cast(null as int)",
    ]);
    let literal = crate::row::text().prop_map(|text| Expression::leaf(&quoted(&text)));
    let text = prop_oneof![6 => leaf(&["s", "ns", "t", "status"]), 1 => literal].boxed();
    let instant = prop_oneof![
        6 => leaf(&["at", "nat", "ms"]),
        1 => leaf(&["timestamptz '2026-03-29 01:30:00+00'", "timestamptz '2024-02-29 23:59:59.999999Z'"]),
    ];
    Level {
        number,
        int,
        text,
        bool: leaf(&["b", "nb", "b", "nb", "b", "nb", "b", "nb", "true", "false"]),
        date: leaf(&["day", "nday", "day", "nday", "date '2024-02-29'"]),
        instant: instant.boxed(),
        span: leaf(SPANS),
        other: leaf(&["u", "nu", "raw"]),
    }
}

fn one(template: &'static str, arg: &Made) -> Made {
    arg.clone().prop_map(move |a| Expression::of(template, &[&a])).boxed()
}

fn two(template: &'static str, first: &Made, second: &Made) -> Made {
    (first.clone(), second.clone()).prop_map(move |(a, b)| Expression::of(template, &[&a, &b])).boxed()
}

fn three(template: &'static str, first: &Made, second: &Made, third: &Made) -> Made {
    (first.clone(), second.clone(), third.clone())
        .prop_map(move |(a, b, c)| Expression::of(template, &[&a, &b, &c]))
        .boxed()
}

/// A word of the template, `@`, is one of these.
fn with(words: &'static [&'static str], template: &'static str, arg: &Made) -> Made {
    (select(words), arg.clone()).prop_map(move |(word, a)| Expression::of(&template.replace('@', word), &[&a])).boxed()
}

fn with_two(words: &'static [&'static str], template: &'static str, first: &Made, second: &Made) -> Made {
    (select(words), first.clone(), second.clone())
        .prop_map(move |(word, a, b)| Expression::of(&template.replace('@', word), &[&a, &b]))
        .boxed()
}

fn any_of(all: Vec<Made>) -> Made {
    prop::strategy::Union::new(all).boxed()
}

/// An int that counts characters, parts, months: small, mostly.
fn count() -> Made {
    prop_oneof![
        4 => (-3..8i32).prop_map(|n| Expression::leaf(&n.to_string())),
        1 => leaf(&["i % 5", "ni % 5"]),
        1 => leaf(&["i % 40", "2147483647"]),
    ]
    .boxed()
}

impl Level {
    fn any(&self) -> Made {
        let Level { number, int: _, text, bool, date, instant, span, other } = self.clone();
        let shown = with(SPAN_PARTS, "extract(@ from #1)", &span);
        prop_oneof![4 => number, 4 => text, 4 => bool, 1 => date, 3 => instant, 1 => shown, 1 => other].boxed()
    }

    fn above(&self) -> Level {
        Level {
            number: any_of(vec![
                self.number.clone(),
                self.arithmetic(),
                self.numeric_functions(),
                self.numbers_of_others(),
            ]),
            int: any_of(vec![self.int.clone(), self.int.clone(), self.ints()]),
            text: any_of(vec![
                self.text.clone(),
                self.text_functions(),
                self.text_functions(),
                self.chosen(&self.text),
            ]),
            bool: any_of(vec![self.comparisons(), self.comparisons(), self.logic(), self.matches(), self.truths()]),
            date: any_of(vec![self.date.clone(), self.dates()]),
            instant: any_of(vec![self.instant.clone(), self.instants()]),
            span: any_of(vec![self.span.clone(), self.spans()]),
            other: any_of(vec![
                self.other.clone(),
                with(&["uuid"], "cast(#1 as @)", &uuid_text()),
                self.chosen(&leaf(&["u", "nu"])),
            ]),
        }
    }

    fn arithmetic(&self) -> Made {
        let n = &self.number;
        let divided = |(a, b): (Expression, Expression)| {
            // Forty zeros: a quotient has at least the digits of its dividend.
            Expression::digits("(#1 / #2)", &format!("((#1) * 1.{} / #2)", "0".repeat(40)), &[&a, &b])
        };
        any_of(vec![
            with_two(&["+", "-", "*", "+", "-", "*", "%"], "(#1 @ #2)", n, n),
            (n.clone(), n.clone()).prop_map(divided).boxed(),
            one("(- #1)", n),
        ])
    }

    fn numeric_functions(&self) -> Made {
        let n = &self.number;
        let root = |a: Expression| Expression::digits("sqrt(#1)", "sqrt(round((#1)::numeric, 40))", &[&a]);
        let power = |(a, b): (Expression, i32)| {
            let b = Expression::leaf(&b.to_string());
            Expression::digits("power(#1, #2)", "power(round((#1)::numeric, 60), #2)", &[&a, &b])
        };
        let rounded = |(a, n): (Expression, i32)| Expression::of(&format!("round(#1, {n})"), &[&a]);
        any_of(vec![
            with(&["abs", "round", "floor", "ceil", "ceiling"], "@(#1)", n),
            n.clone().prop_map(root).boxed(),
            (n.clone(), -3..5i32).prop_map(power).boxed(),
            two("mod(#1, #2)", n, n),
            (n.clone(), -3..6i32).prop_map(rounded).boxed(),
            with(CAST_TYPES, "cast(#1 as @)", n),
            self.chosen(n),
        ])
    }

    fn numbers_of_others(&self) -> Made {
        any_of(vec![
            with(PARTS, "extract(@ from #1)", &self.instant),
            with(DATE_PARTS, "extract(@ from #1)", &self.date),
            with(SPAN_PARTS, "extract(@ from #1)", &self.span),
            with(&["cardinality(tags)", "array_length(tags, 1)", "cardinality(sizes)"], "(@ + #1)", &self.int),
            one("sizes[(#1)]", &count()),
            one("length(#1)", &self.text),
            two("(#1 - #2)", &self.date, &self.date),
            one("cast(#1 as int)", &self.bool),
            with(TEXT_CASTS, "cast(#1 as @)", &number_text()),
        ])
    }

    fn ints(&self) -> Made {
        any_of(vec![
            one("length(#1)", &self.text),
            with_two(&["+", "-", "*", "/", "%"], "(#1 @ #2)", &self.int, &self.int),
        ])
    }

    /// `case`, `coalesce` and their like, of values of one sort.
    fn chosen(&self, sort: &Made) -> Made {
        let made = any_of(vec![
            with_two(&["coalesce", "greatest", "least", "nullif"], "@(#1, #2)", sort, sort),
            three("(case when #1 then #2 else #3 end)", &self.bool, sort, sort),
            two("(case when #1 then #2 end)", &self.bool, sort),
            three("(case #1 when #2 then #3 when #3 then #2 else #1 end)", sort, sort, sort),
            three("coalesce(#1, #2, #3)", sort, sort, sort),
        ]);
        made.prop_map(Expression::one_scale).boxed()
    }

    fn text_functions(&self) -> Made {
        let (t, n) = (&self.text, &count());
        any_of(vec![
            two("(#1 || #2)", t, t),
            two("concat(#1, #2)", t, t),
            with(&["lower", "upper", "trim", "ltrim", "rtrim", "btrim"], "@(#1)", t),
            with_two(&["ltrim", "rtrim", "btrim"], "@(#1, #2)", t, t),
            with_two(&["leading", "trailing", "both"], "trim(@ #2 from #1)", t, t),
            two("substring(#1, #2)", t, n),
            three("substring(#1 from #2 for #3)", t, n, n),
            three("split_part(#1, #2, #3)", t, t, n),
            with_two(&["lpad", "rpad"], "@(#1, #2)", t, n),
            with(&["lpad", "rpad"], "@(#1, 5, 'é-')", t),
            three("replace(#1, #2, #3)", t, t, t),
            one("tags[(#1)]", n),
            self.replaced(),
            self.written(),
            self.written(),
        ])
    }

    fn replaced(&self) -> Made {
        let replacements = &["", "-", "[\\&]", "\\1\\2", "\\\\x", "é"][..];
        (self.text.clone(), select(PATTERNS), select(replacements), select(&["", "g", "i", "gi", "gn"][..]))
            .prop_map(|(a, pattern, by, flags)| {
                let flags = if flags.is_empty() { String::new() } else { format!(", '{flags}'") };
                Expression::of(&format!("regexp_replace(#1, '{pattern}', '{by}'{flags})"), &[&a])
            })
            .boxed()
    }

    /// Values of all types as text.
    fn written(&self) -> Made {
        let all = [&self.number, &self.bool, &self.date, &self.instant, &self.text, &leaf(&["u", "nu"])];
        any_of(
            all.into_iter()
                .flat_map(|sort| {
                    [
                        with(&["text", "varchar(3)", "varchar"], "cast(#1 as @)", sort),
                        two("(#1 || #2)", &self.text, sort),
                        two("concat(#1, #2)", sort, sort),
                    ]
                })
                .collect(),
        )
    }

    fn comparisons(&self) -> Made {
        let compared = |sort: &Made| {
            any_of(vec![
                with_two(COMPARISONS, "(#1 @ #2)", sort, sort),
                with_two(COMPARISONS, "(#1 @ #2)", sort, sort),
                three("(#1 between #2 and #3)", sort, sort, sort),
                three("(#1 not between #2 and #3)", sort, sort, sort),
                three("(#1 in (#2, #3))", sort, sort, sort),
                three("(#1 not in (#2, #3))", sort, sort, sort),
                with(&["is null", "is not null"], "(#1 @)", sort),
            ])
        };
        let moments = any_of(vec![self.instant.clone(), self.date.clone()]);
        let spans = with_two(COMPARISONS, "(#1 @ #2)", &self.span, &self.span);
        let sorts = [&self.number, &self.number, &self.text, &moments, &self.bool, &leaf(&["u", "nu"])];
        let mut all: Vec<Made> = sorts.into_iter().map(compared).collect();
        all.extend([
            spans,
            with_two(COMPARISONS, "(raw @ #1)", &leaf(&["raw"]), &leaf(&["raw"])),
            with(&["'placed'", "'shipped'"], "(#1 = @)", &leaf(&["status"])),
            with(&["'1'", "' 12 '", "'-7'"], "(#1 <= @)", &leaf(&["i", "nl", "p", "q", "d"])),
            with(&["'2024-02-29'", "'1999-12-31 10:00:00+02'"], "(#1 <= @)", &leaf(&["at", "nat", "ms"])),
        ]);
        any_of(all)
    }

    fn logic(&self) -> Made {
        let b = &self.bool;
        any_of(vec![
            with_two(&["and", "or"], "(#1 @ #2)", b, b),
            three("(#1 and #2 or #3)", b, b, b),
            three("(#1 or #2 or #3)", b, b, b),
            one("(not #1)", b),
            with(&["true", "false", "unknown", "not true", "not false", "not unknown"], "(#1 is @)", b),
            self.chosen(b),
        ])
    }

    fn matches(&self) -> Made {
        let t = &self.text;
        let pattern = &prop_oneof![
            "[aAb%_é]{0,5}".prop_map(|text| Expression::leaf(&quoted(&text))),
            "[ab%_!]{0,5}".prop_map(|text| Expression::leaf(&quoted(&text))),
            Just(Expression::leaf("'a\\%\\_%'")),
        ]
        .boxed();
        let regexp =
            (t.clone(), select(MATCHED), select(&["", "i", "n", "s", "c"][..])).prop_map(|(a, pattern, flags)| {
                let flags = if flags.is_empty() { String::new() } else { format!(", '{flags}'") };
                Expression::of(&format!("regexp_like(#1, '{pattern}'{flags})"), &[&a])
            });
        any_of(vec![
            with_two(&["like", "not like"], "(#1 @ #2)", t, pattern),
            two("(#1 like #2)", t, t),
            two("(#1 like #2 escape '!')", t, pattern),
            two("(#1 like #2 escape '')", t, pattern),
            regexp.boxed(),
            one("(#1 = any(tags))", t),
            one("(#1 = any(sizes))", &count()),
        ])
    }

    fn truths(&self) -> Made {
        let words = &["t", "true", " YES ", "on", "of", "off", "o", "no", "n", "1", "0", "2", "", "tr", "\u{a0}t"][..];
        any_of(vec![
            self.bool.clone(),
            one("cast(#1 as boolean)", &self.int),
            select(words)
                .prop_map(|word| Expression::leaf(&quoted(word)))
                .prop_map(|a| Expression::of("cast(coalesce(ns, #1) as boolean)", &[&a]))
                .boxed(),
        ])
    }

    fn dates(&self) -> Made {
        let n = &count();
        any_of(vec![
            with_two(&["+", "-"], "(#1 @ #2)", &self.date, n),
            two("(#1 + #2)", n, &self.date),
            one("cast(#1 as date)", &self.instant),
            one("cast(#1 as date)", &moment_text()),
            self.chosen(&self.date),
        ])
    }

    fn instants(&self) -> Made {
        let (at, span) = (&self.instant, &self.span);
        // After 2037 the rules of zones are drawn out, by either side in its way.
        let zoned = (select(UNITS), at.clone(), select(ZONES)).prop_map(|(unit, at, zone)| {
            let within = format!("date_trunc('{unit}', least(#1, timestamptz '2037-12-31Z'), '{zone}')");
            Expression::of(&within, &[&at])
        });
        let day_moved = (self.date.clone(), select(&["+", "-"][..]), span.clone()).prop_map(|(day, op, span)| {
            // Postgres makes it a timestamp without a zone.
            Expression::of_two(&format!("(#1 {op} #2)"), &format!("(cast(#1 as timestamptz) {op} #2)"), &[&day, &span])
        });
        any_of(vec![
            with_two(&["+", "-"], "(#1 @ #2)", at, span),
            two("(#2 + #1)", at, span),
            day_moved.boxed(),
            with(UNITS, "date_trunc('@', #1)", at),
            with(UNITS, "date_trunc('@', #1)", &self.date),
            zoned.boxed(),
            one("cast(#1 as timestamptz)", &self.date),
            one("cast(#1 as timestamptz)", &moment_text()),
            self.chosen(at),
        ])
    }

    fn spans(&self) -> Made {
        let (span, n) = (&self.span, &leaf(&["-3", "2", "7", "0", "ni % 5"]));
        let moments = any_of(vec![self.instant.clone(), self.date.clone()]);
        any_of(vec![
            with_two(&["+", "-"], "(#1 @ #2)", span, span),
            two("(#1 - #2)", &self.instant, &moments),
            two("(#2 * #1)", span, n),
            with_two(&["*", "/"], "(#1 @ #2)", span, &leaf(&["0.5", "1.7", "-2.25", "3", "p", "i", "nl", "q"])),
            two("(#2 * #1)", span, &leaf(&["0.1", "-1.5", "np"])),
            one("(- #1)", span),
        ])
    }
}
