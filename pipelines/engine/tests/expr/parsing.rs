//! What is read, where it stands in the text, and what is refused by name.

use headwater_engine::expr::{Ast, BinaryOp, MAX_BYTES, Node, Step, parse};

fn read(text: &str) -> Ast {
    parse(text).unwrap_or_else(|error| panic!("{text}: {}", error.message))
}

#[test]
fn reducers_are_calls() {
    let text = "last(x order by at desc) filter (where y > 1)";
    let ast = read(text);
    let call = ast.as_call().expect("a call");
    assert_eq!(call.name, "last");
    assert_eq!(call.args[0].as_path(), Some(vec!["x".to_owned()]));
    assert_eq!(call.order_by[0].expr.as_path(), Some(vec!["at".to_owned()]));
    assert!(call.order_by[0].descending);
    assert_eq!(&text[call.filter.as_ref().expect("a filter").range()], "y > 1");
    assert_eq!(&text[ast.range()], text);

    let ast = read("COUNT(distinct customer)");
    let call = ast.as_call().expect("a call");
    assert_eq!((call.name.as_str(), call.distinct, call.args.len()), ("count", true, 1));
    assert!(read("count()").as_call().expect("a call").args.is_empty());
    let sum = read("sum(credit.amount, -debit.amount)");
    assert_eq!(sum.as_call().expect("a call").args.len(), 2);
    assert!(matches!(sum.as_call().expect("a call").args[1].node, Node::Negate(_)));
    assert!(read("a + b").as_call().is_none());
}

#[test]
fn paths_and_lookups() {
    let names = |text: &str| -> Vec<String> { read(text).paths().iter().map(|(path, _)| path.join(".")).collect() };
    assert_eq!(names("a.b + lower(c) || case when d then e[f].g end"), ["a.b", "c", "d", "e", "f"]);
    assert_eq!(names("user = current_user"), ["user", "current_user"]);
    assert_eq!(names(r#""trim" || "order".x"#), ["trim", "order.x"]);
    // Words that are types or keywords to SQL, and names here.
    for name in [
        "date",
        "timestamp",
        "name",
        "number",
        "line",
        "path",
        "point",
        "size",
        "offset",
        "value",
        "key",
        "at",
        "first",
        "last",
        "interval",
        "text",
        "year",
        "user",
        "language",
        "role",
        "owner",
        "content",
        "blob",
        "time",
        "position",
        "status",
        "day",
    ] {
        assert_eq!(read(name).as_path(), Some(vec![name.to_owned()]), "{name}");
        assert_eq!(names(&format!("{name}.x = 1")), [format!("{name}.x")], "{name}.x");
    }
    assert_eq!(names("line.quantity * line.unit_price"), ["line.quantity", "line.unit_price"]);
    assert_eq!(names("date + 1 > at"), ["date", "at"]);

    let text = "customers[lower(email)].address.city";
    let ast = read(text);
    let (path, index, fields) = ast.as_lookup().expect("a lookup");
    assert_eq!(
        (path.join("."), &text[index.range()], fields.join(".")),
        ("customers".into(), "lower(email)", "address.city".into())
    );
    assert_eq!(&text[ast.range()], text);
    let (path, _, fields) = {
        let ast = read("_header['x']");
        let (path, index, fields) = ast.as_lookup().map(|(p, i, f)| (p, i.clone(), f)).expect("a lookup");
        (path, index, fields)
    };
    assert_eq!((path, fields), (vec!["_header".to_owned()], Vec::new()));
    assert!(read("a.b").as_lookup().is_none());
}

#[test]
fn every_part_has_its_place() {
    let text = "case when lower(\n  ä.b) = 'é' then (x + 1) * 2 else cast(y as int) end is not null";
    let ast = read(text);
    let mut parts = Vec::new();
    ast.visit(&mut |part| parts.push(&text[part.range()]));
    assert_eq!(parts[0], text);
    for part in ["lower(\n  ä.b)", "ä.b", "'é'", "(x + 1)", "(x + 1) * 2", "cast(y as int)", "1"] {
        assert!(parts.contains(&part), "{part} is not among {parts:?}");
    }
    for (text, part) in [
        ("x and trim(both 'a' from y) = z", "trim(both 'a' from y)"),
        ("x or substring(y from 1 for 2) = z", "substring(y from 1 for 2)"),
        ("a + extract(year from (b)) > 1", "extract(year from (b))"),
        ("a + floor(b) > 1", "floor(b)"),
        ("a in (1, (2))", "a in (1, (2))"),
        ("x = date '2026-01-01' and y", "date '2026-01-01'"),
        ("x + interval '1' day > y", "interval '1' day"),
        ("not a = b", "not a = b"),
        ("1 - -a", "-a"),
        ("x is true and y", "x is true"),
        ("f(a, g(b)) > 1", "f(a, g(b))"),
        ("f() > 1", "f()"),
    ] {
        let mut found = false;
        read(text).visit(&mut |ast| found |= &text[ast.range()] == part);
        assert!(found, "{part} in {text}");
    }
}

#[test]
fn precedence_is_postgres() {
    let same = |a: &str, b: &str| assert!(read(a).same(&read(b)), "{a} is not {b}");
    same("a or b and c", "a or (b and c)");
    same("not a and b", "(not a) and b");
    same("not a = b", "not (a = b)");
    same("a + b * c", "a + (b * c)");
    same("a - b - c", "(a - b) - c");
    same("a || b = c", "(a || b) = c");
    same("a < b is true", "(a < b) is true");
    same("a between 1 and 2 and b", "(a between 1 and 2) and b");
    same("a is distinct from b and c", "(a is distinct from b) and c");
    same("- a + b", "(-a) + b");
    same("a and b and c", "(a and b) and c");
    same("A", "A");
    assert!(!read("A").same(&read("a")));
    assert!(!read("a - (b - c)").same(&read("a - b - c")));
}

#[test]
fn shapes() {
    assert!(matches!(read("a[1].b").node, Node::Access { step: Step::Field(_), .. }));
    assert!(matches!(&read("a and b and c").node, Node::And(all) if all.len() == 3));
    assert!(matches!(read("a % b").node, Node::Binary { op: BinaryOp::Modulo, .. }));
    assert!(matches!(read("a != b").node, Node::Binary { op: BinaryOp::NotEqual, .. }));
    assert!(matches!(&read("'it''s'").node, Node::String(text) if text == "it's"));
    assert!(matches!(&read("'a\\b'").node, Node::String(text) if text == "a\\b"));
    assert!(matches!(&read("interval '1' day").node, Node::Interval(text) if text.eq_ignore_ascii_case("1 day")));
}

/// Texts that are refused, each for another reason.
const REFUSED: &[&str] = &[
    "",
    "  ",
    "a +",
    "a b",
    "(a",
    "a)",
    "a,b",
    "a;",
    "'open",
    "\"open",
    "a = = b",
    "a::int",
    "a->'b'",
    "a->>'b'",
    "(select 1)",
    "exists (select 1)",
    "a in (select 1)",
    "sum(a) over (partition by b)",
    "count(*)",
    "a.*",
    "a ilike 'b'",
    "a similar to 'b'",
    "a ~ 'b'",
    "a ^ 2",
    "a <> any(b)",
    "array[1]",
    "(a, b)",
    "a at time zone 'UTC'",
    "a collate \"C\"",
    "x'00'",
    "$1",
    ":a",
    "a =-1",
    "trim(a, 'b')",
    "cast(a as json)",
    "extract(moon from a)",
    "time '12:00'",
    "interval a",
    "a[1:2]",
    "f(x => 1)",
    "pg_catalog.lower(a)",
    "position('a' in b)",
    "first_value(a) ignore nulls",
    "a & b",
    "ceil(a to day)",
    "select",
    "case when a then",
    "a is json",
    "trim",
    "a not b",
    "not",
    "E'\\0'",
    "last(a order by b nulls last)",
    "a[b || c]",
    "a[b",
];

/// Each refused text with the part it points at, its message and its help.
#[test]
fn refusals() {
    let mut report = String::new();
    for text in REFUSED {
        match parse(text) {
            Ok(ast) => report.push_str(&format!("{text}\n    READ {:?}\n", ast.node)),
            Err(error) => {
                let part = text.get(error.range.clone()).expect("a range of the text");
                report.push_str(&format!("{text}\n    {} [{part}] {}\n", error.message, error.label));
                if let Some(help) = error.help {
                    report.push_str(&format!("    help: {help}\n"));
                }
            }
        }
    }
    insta::assert_snapshot!(report);
}

#[test]
fn size_and_nesting_are_bounded() {
    let message = |text: String| parse(&text).map(|_| String::new()).unwrap_or_else(|error| error.message);
    assert!(message("x".repeat(MAX_BYTES + 1)).contains("bytes"));
    for deep in ["(", "- ", "lower(", "case when ", "a[", "cast(", "a + (", "a and (", "coalesce(a, "] {
        let text = format!("{}a", deep.repeat(MAX_BYTES / deep.len() - 1));
        assert!(message(text.clone()).contains("deep"), "{deep}: {}", message(text));
    }
    // Operators that lean left nest as well, and/or does not.
    assert!(message(format!("a{}", " + a".repeat(1000))).contains("deep"));
    assert_eq!(message(format!("a{}", " and a".repeat(1000))), "");
    assert_eq!(message(format!("a{}", " or a".repeat(1000))), "");
    assert_eq!(message(format!("a{}", " + a".repeat(60))), "");
}
