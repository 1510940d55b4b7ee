//! Rules that compile, what they say of whom, and rules that do not compile.

use super::*;
use crate::source::{FileId, Span};
use headwater_schemas::FieldType;
use proptest::prelude::*;

struct Row(Vec<(&'static str, FieldType)>);

impl Columns for Row {
    fn column(&self, name: &str) -> Option<(usize, &FieldType)> {
        self.0.iter().enumerate().find(|(_, (column, _))| *column == name).map(|(i, (_, ty))| (i, ty))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}

fn columns() -> Row {
    Row(vec![
        ("created_by", FieldType::required(Type::String)),
        ("versions", FieldType::required(Type::Long)),
        ("account", FieldType::nullable(Type::Uuid)),
    ])
}

fn text(rule: &str) -> Text {
    Text { value: rule.to_owned(), span: Span { file: FileId(0), range: 10..10 + rule.len() } }
}

#[test]
fn rules_say_who_may() {
    let alice_row = [Value::string("alice"), Value::Long(1), Value::Null];
    // rule; nobody, bob, alice, an administrator: before the row is read, and with alice's row.
    let cases = [
        ("anyone", "yyyy", "yyyy"),
        ("signed_in", "nyyy", "nyyy"),
        ("role(administrator)", "nnny", "nnny"),
        ("role('administrator')", "nnny", "nnny"),
        ("owner(created_by)", "n???", "nnyn"),
        ("owner(created_by) or role(administrator)", "n??y", "nnyy"),
        ("owner(created_by) and signed_in", "n???", "nnyn"),
        ("owner(created_by) and role(administrator)", "nnn?", "nnnn"),
        ("not owner(created_by)", "y???", "yyny"),
        ("signed_in and not (owner(created_by) or role(administrator))", "n??n", "nynn"),
        ("anyone or owner(created_by)", "yyyy", "yyyy"),
        ("not anyone", "nnnn", "nnnn"),
    ];
    let admin = ["administrator".to_owned()];
    let people = [
        None,
        Some(Who { sub: "bob", roles: &[] }),
        Some(Who { sub: "alice", roles: &[] }),
        Some(Who { sub: "root", roles: &admin }),
    ];
    for (rule, before, with_row) in cases {
        let compiled = Allow::compile(&text(rule), &columns()).unwrap();
        for (i, who) in people.iter().enumerate() {
            let said = match compiled.before_row(*who) {
                Verdict::Yes => "y",
                Verdict::No => "n",
                Verdict::AskRow => "?",
            };
            assert_eq!(said, &before[i..=i], "{rule} before, {who:?}");
            let permits = compiled.permits(*who, Some(&alice_row));
            assert_eq!(permits, &with_row[i..=i] == "y", "{rule}, {who:?}");
        }
        let again = Allow::compile(&text(&compiled.to_string()), &columns()).unwrap();
        assert_eq!(again, compiled);
    }
}

#[test]
fn a_uuid_is_compared_as_one() {
    let rule = Allow::compile(&text("owner(account)"), &columns()).unwrap();
    let id = uuid::Uuid::from_u128(0xABCDEF);
    let row = [Value::Null, Value::Null, Value::Uuid(id.into_bytes())];
    let upper = id.to_string().to_uppercase();
    assert!(rule.permits(Some(Who { sub: &upper, roles: &[] }), Some(&row)));
    assert!(!rule.permits(Some(Who { sub: "", roles: &[] }), Some(&row)));
    assert!(!rule.permits(Some(Who { sub: "", roles: &[] }), None));
}

#[test]
fn mistakes_are_named_where_they_are() {
    let cases = [
        ("", 10..10, "expected a rule in this `allow` rule, found the end"),
        ("everyone", 10..18, "expected a rule in this `allow` rule, found `everyone`"),
        (
            "signed_in anyone",
            20..26,
            "expected `and`, `or` or the end of the rule in this `allow` rule, found `anyone`",
        ),
        ("role", 14..14, "expected `(` and the role's name in this `allow` rule, found the end"),
        ("role()", 15..16, "expected the role's name in this `allow` rule, found `)`"),
        ("role(a", 16..16, "expected `)` in this `allow` rule, found the end"),
        ("owner(nobody)", 16..22, "the row has no column `nobody`"),
        ("owner(versions)", 16..24, "column `versions` is a long, and a caller's subject is a string"),
        ("role('a)", 15..18, "this quote is never closed"),
        ("signed_in & anyone", 20..21, "`&` has no meaning in an `allow` rule"),
        ("(anyone", 17..17, "expected `)` in this `allow` rule, found the end"),
    ];
    for (rule, range, message) in cases {
        let error = Allow::compile(&text(rule), &columns()).unwrap_err();
        assert_eq!((error.message.as_str(), error.span.range), (message, range), "{rule}");
    }
    let error = Allow::compile(&text("owner(created_by)"), &NoRow).unwrap_err();
    assert_eq!(error.message, "`owner(…)` needs a row, and none is read here");
    let deep = format!("{}anyone{}", "(".repeat(1000), ")".repeat(1000));
    assert!(Allow::compile(&text(&deep), &NoRow).is_err());
}

proptest! {
    #[test]
    fn nothing_panics(rule in r#"([a-z()'" é&_]|and|or|not|owner|role){0,40}"#) {
        let _ = Allow::compile(&text(&rule), &columns());
    }
}
