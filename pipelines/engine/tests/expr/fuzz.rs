//! No text and no slots make an expression panic.

use bumpalo::Bump;
use headwater_engine::expr::{compile, parse};
use headwater_schemas::ValueRef;
use proptest::prelude::*;

use super::order::any_value;
use super::row::row;

const WORDS: &[&str] = &[
    "i",
    "l",
    "f",
    "d",
    "p",
    "s",
    "n_s",
    "status",
    "b",
    "n_b",
    "id",
    "raw",
    "day",
    "at",
    "ms",
    "address",
    "lines",
    "attributes",
    "n_address",
    ".city",
    "[1]",
    "['x']",
    "1",
    "0",
    "2.50",
    "1e10",
    "9223372036854775808",
    "'a'",
    "''",
    "'2026-01-31'",
    "'12'",
    "null",
    "true",
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "=",
    "<>",
    "<",
    ">=",
    "and",
    "or",
    "not",
    "is null",
    "is not true",
    "is distinct from",
    "in (1, 2)",
    "in (",
    "between",
    "like",
    "'%a_'",
    "(",
    ")",
    ",",
    "case when",
    "case",
    "when",
    "then",
    "else",
    "end",
    "cast(",
    "as int)",
    "as text)",
    "as numeric(10,2))",
    "as date)",
    "as real)",
    "coalesce(",
    "nullif(",
    "greatest(",
    "lower(",
    "length(",
    "substring(",
    "from",
    "for",
    "trim(",
    "both",
    "split_part(",
    "lpad(",
    "replace(",
    "regexp_like(",
    "regexp_replace(",
    "abs(",
    "round(",
    "power(",
    "sqrt(",
    "mod(",
    "floor(",
    "extract(year from",
    "extract(epoch from",
    "date_trunc('week',",
    "date_trunc('day',",
    "'Europe/Berlin'",
    "interval '1 day'",
    "interval '1 month'",
    "timestamp '2026-01-31'",
    "date '2026-01-31'",
    "escape",
    "filter",
    "over",
    "order by",
    "distinct",
    "select",
    "::",
    "->",
    "\"",
    "é",
    "\n",
    ";",
    "$",
    "[",
    "]",
    "{",
    "interval",
];

fn run(text: &str, slots: &[ValueRef<'_>]) {
    let Ok(ast) = parse(text) else { return };
    ast.visit(&mut |part| assert!(text.get(part.range()).is_some(), "{text}: {:?}", part.range()));
    match compile(&ast, &row()) {
        Err(errors) => {
            assert!(!errors.is_empty(), "{text}: refused without a word");
            for error in errors {
                assert!(text.get(error.range.clone()).is_some(), "{text}: {error:?}");
            }
        }
        Ok(expr) => {
            let (row, bump) = (row(), Bump::new());
            let own: Vec<ValueRef<'_>> = row.0.iter().map(|(_, _, value)| value.borrow(&bump)).collect();
            if let Ok(value) = expr.eval(&own, &bump) {
                assert!(expr.ty.nullable || !value.is_null(), "`{text}` is null and says it cannot be");
            }
            // Whatever the slots hold, even if it is not what they were said to hold.
            let bump = Bump::new();
            let slots: Vec<ValueRef<'_>> = slots.iter().map(|slot| slot.to_owned()).map(|v| v.copy_to(&bump)).collect();
            let _ = expr.eval(&slots, &bump);
            let _ = expr.eval_bool(&slots, &bump);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_words(
        words in prop::collection::vec(prop::sample::select(WORDS), 1..24),
        slots in prop::collection::vec(any_value(), 0..25),
    ) {
        run(&words.join(" "), &slots);
    }

    #[test]
    fn any_text(text in "\\PC{0,60}") {
        run(&text, &[]);
    }

    #[test]
    fn any_typed_expression(
        text in expression(),
        slots in prop::collection::vec(any_value(), 25),
    ) {
        run(&text, &slots);
    }
}

/// Mostly well-typed: numbers of numbers, text of text, conditions of both.
fn expression() -> impl Strategy<Value = String> {
    let number = prop::sample::select(
        &["i", "l", "f", "d", "p", "n_i", "n_p", "3", "0", "-1.25", "length(s)", "lines[1].quantity"][..],
    )
    .prop_map(str::to_owned);
    let text =
        prop::sample::select(&["s", "n_s", "status", "'a'", "address.city", "attributes['x']", "cast(i as text)"][..])
            .prop_map(str::to_owned);
    let time = prop::sample::select(&["at", "day", "n_at", "ms", "timestamp '2026-01-31'"][..]).prop_map(str::to_owned);
    let number = number.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(&["+", "-", "*", "/", "%"][..]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (prop::sample::select(&["abs", "round", "floor", "ceil", "sqrt", "-"][..]), inner.clone())
                .prop_map(|(f, a)| format!("{f}({a})")),
            (
                prop::sample::select(&["coalesce", "greatest", "least", "nullif", "power", "mod"][..]),
                inner.clone(),
                inner.clone()
            )
                .prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            (inner.clone(), -3..6i32).prop_map(|(a, n)| format!("round({a}, {n})")),
            (inner.clone(), prop::sample::select(&["int", "bigint", "real", "double precision", "numeric(20,3)"][..]))
                .prop_map(|(a, ty)| format!("cast({a} as {ty})")),
        ]
    });
    let numbers = number.clone();
    let text = text.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (prop::sample::select(&["lower", "upper", "trim"][..]), inner.clone())
                .prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), numbers.clone()).prop_map(|(a, n)| format!("substring({a}, cast({n} as int))")),
            (inner.clone(), inner.clone(), -2..3i32).prop_map(|(a, b, n)| format!("split_part({a}, {b}, {n})")),
            (inner.clone(), 0..9i32, inner.clone()).prop_map(|(a, n, b)| format!("lpad({a}, {n}, {b})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("replace({a}, {b}, {c})")),
        ]
    });
    let time =
        (time, prop::sample::select(&["second", "day", "week", "month", "century"][..]), -2_000_000..2_000_000i32)
            .prop_map(|(at, unit, n)| format!("date_trunc('{unit}', {at} + {n} * interval '1 month 2 days')"));
    let operator =
        || prop::sample::select(&["=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from"][..]);
    prop_oneof![
        (number.clone(), operator(), number.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text.clone(), operator(), text.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text.clone(), text).prop_map(|(a, b)| format!("{a} like {b}")),
        (time.clone(), operator(), time.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        time.prop_map(|at| format!("extract(isoyear from {at}) + extract(epoch from {at})")),
        (number.clone(), number.clone(), number)
            .prop_map(|(a, b, c)| format!("case {a} when {b} then {c} else {a} end")),
    ]
}
