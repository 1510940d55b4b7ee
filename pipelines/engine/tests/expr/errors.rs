//! What is said of an expression that does not fit: all of it at once, each with its place and a way out.

use super::row::compiled;

const WRONG: &[&str] = &[
    "amount > 5",
    "quantityy",
    "addres.city",
    "address.town",
    "s.x",
    "attributes.colour",
    "lines.product",
    "lines['x']",
    "attributes[1]",
    "i[1]",
    "s = i",
    "s = 'x' and i = 'x'",
    "lines = lines",
    "address = 1",
    "b = 1",
    "at = i",
    "status = 'plased'",
    "status in ('placed', 'gone')",
    "id = 'x'",
    "day = 'tomorrow'",
    "s + 1",
    "s + s",
    "at + 1",
    "at + at",
    "b + 1",
    "-s",
    "not i",
    "i and b",
    "case when i then 1 end",
    "case when b then 1 else s end",
    "coalesce(i, s)",
    "d % 2",
    "round(d, 2)",
    "round(p, i)",
    "round(s)",
    "p * cast(1 as numeric(38, 37))",
    "power(p, 1.5)",
    "lower(i)",
    "lowr(s)",
    "length(s, s)",
    "substring(s, s)",
    "lpad(s, d)",
    "sum(i)",
    "now()",
    "random()",
    "current_date",
    "if(b, 1, 2)",
    "lower(distinct s)",
    "i || p",
    "lines || 'x'",
    "null + null",
    "interval '1 day' * 2",
    "greatest(lines, lines)",
    "i between 'a' and 5",
    "1 / 0 + lowr(x) + missing",
    "2147483647 + 1 > i",
    "s like i",
];

#[test]
fn messages() {
    let mut report = String::new();
    for text in WRONG {
        report.push_str(text);
        report.push('\n');
        match compiled(text) {
            Ok(expr) => report.push_str(&format!("    COMPILED {expr:?}\n")),
            Err(errors) => {
                for error in errors {
                    let part = text.get(error.range.clone()).expect("a range of the text");
                    report.push_str(&format!("    {} [{part}] {}\n", error.message, error.label));
                    if let Some(help) = error.help {
                        report.push_str(&format!("        help: {help}\n"));
                    }
                }
            }
        }
    }
    insta::assert_snapshot!(report);
}
