//! JSON there and back, and what people are told when it does not fit.

use headwater_schemas::json::{field_from_json, from_json, from_text, to_json};
use headwater_schemas::{Decimal, FieldType, Schema, Type, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::generate::schema_and_value;

/// What JSON can say.
fn is_finite(value: &Value) -> bool {
    match value {
        Value::Float(x) => x.is_finite(),
        Value::Double(x) => x.is_finite(),
        Value::Array(items) | Value::Record(items) => items.iter().all(is_finite),
        Value::Map(entries) => entries.iter().all(|(_, v)| is_finite(v)),
        Value::Branch(_, inner) => is_finite(inner),
        _ => true,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back((schema, value) in schema_and_value().prop_filter("JSON has no NaN", |(_, v)| is_finite(v))) {
        let ty = FieldType::required(Type::Record(schema.record.clone()));
        let text = to_json(&ty, &value).to_string();
        let json: Json = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(from_json(&schema.record, &json).map_err(|e| format!("{e:?} in {text}")), Ok(value));
    }

    #[test]
    fn any_text_is_read_or_refused((schema, _) in schema_and_value(), text in "\\PC{0,20}") {
        for field in &schema.record.fields {
            if let Ok(value) = from_text(&field.ty, &text) {
                prop_assert!(is_finite(&value));
            }
        }
    }

    #[test]
    fn decimals_are_exact(unscaled in -10i128.pow(38) + 1..10i128.pow(38), scale in 0u8..=38) {
        let decimal = Decimal { unscaled, scale };
        prop_assert_eq!(Decimal::parse(&decimal.to_string(), 38, scale), Some(decimal));
        let shifted = format!("{unscaled}e-{scale}");
        prop_assert_eq!(Decimal::parse(&shifted, 38, scale), Some(decimal));
    }
}

fn ty(json: &str) -> FieldType {
    let text = format!(r#"{{"type": "record", "name": "E", "fields": [{{"name": "f", "type": {json}}}]}}"#);
    Schema::parse(&text, &[]).unwrap().record.fields[0].ty.clone()
}

#[test]
fn decimals_by_hand() {
    for (text, precision, scale, unscaled) in [
        ("1.10", 4, 2, Some(110)),
        ("1.1", 4, 2, Some(110)),
        ("1.100", 4, 2, Some(110)),
        ("-0.5", 4, 2, Some(-50)),
        ("+7", 4, 0, Some(7)),
        (".5", 4, 2, Some(50)),
        ("2e3", 4, 0, Some(2000)),
        ("2000e-3", 4, 0, Some(2)),
        ("25E-2", 4, 2, Some(25)),
        ("0e999999999", 4, 2, Some(0)),
        ("0000000000000000000000000000000000000000000000.01", 4, 2, Some(1)),
        ("1.101", 4, 2, None),
        ("100", 4, 2, None),
        ("1e999999999", 4, 2, None),
        ("1e-999999999", 4, 2, None),
        ("1e99999999999999999999", 4, 2, None),
        ("", 4, 2, None),
        (".", 4, 2, None),
        ("1.", 4, 2, None),
        ("-", 4, 2, None),
        ("1e", 4, 2, None),
        ("1,5", 4, 2, None),
        ("0x1", 4, 2, None),
        ("--1", 4, 2, None),
        ("1 ", 4, 2, None),
        ("NaN", 4, 2, None),
        ("170141183460469231731687303715884105728", 38, 0, None),
    ] {
        assert_eq!(Decimal::parse(text, precision, scale).map(|d| d.unscaled), unscaled, "{text}");
    }
}

const ORDER: &str = r#"{"type": "record", "name": "shop.Placed", "fields": [
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
        {"name": "product", "type": "string"},
        {"name": "quantity", "type": "int"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}}},
    {"name": "extra", "type": {"type": "map", "values": "boolean"}, "default": {}},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "PAID"]}, "default": "OPEN"},
    {"name": "note", "type": ["null", "string"]}]}"#;

#[test]
fn plain_values() {
    let schema = Schema::parse(ORDER, &[]).unwrap();
    let json: Json = serde_json::from_str(
        r#"{"id": "6BA7B810-9dad-11d1-80b4-00c04fd430c8", "at": "2026-01-31T09:30:00.125+01:00", "note": null,
            "lines": [{"product": "p", "quantity": 2, "price": 1.10}, {"product": "q", "quantity": 1, "price": "12345.60"}]}"#,
    )
    .unwrap();
    let value = from_json(&schema.record, &json).unwrap();
    let ty = FieldType::required(Type::Record(schema.record.clone()));
    assert_eq!(
        to_json(&ty, &value),
        json!({"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "at": "2026-01-31T08:30:00.125Z",
            "lines": [{"product": "p", "quantity": 2, "price": "1.10"}, {"product": "q", "quantity": 1, "price": "12345.60"}],
            "extra": {}, "state": "OPEN", "note": null})
    );
}

#[test]
fn all_problems_at_once() {
    let schema = Schema::parse(ORDER, &[]).unwrap();
    let json: Json = serde_json::from_str(
        r#"{"id": "x", "at": "2026-01-31", "colour": 1, "extra": {"a": "yes"}, "state": "LOST",
            "lines": [{"product": null, "quantity": 2147483648, "price": 1.101}, 7, {"product": "nul\u0000", "quantity": 1.0, "price": 1}]}"#,
    )
    .unwrap();
    let errors: Vec<String> = from_json(&schema.record, &json).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "colour: there is no such field in Placed: its fields are id, at, lines, extra, state, note",
            "id: expected a uuid (like 6ba7b810-9dad-11d1-80b4-00c04fd430c8), found \"x\"",
            "at: expected an instant by RFC 3339, to the millisecond (like 2026-01-31T08:30:00.125Z), found \"2026-01-31\"",
            "lines[0].product: expected text, found null",
            "lines[0].quantity: expected a whole number of 32 bits, found 2147483648",
            "lines[0].price: expected a number of at most 9 digits, 2 of them after the point, found 1.101",
            "lines[1]: expected an object with the fields of shop.Line, found 7",
            "lines[2].product: expected text without NUL",
            "lines[2].quantity: expected a whole number of 32 bits, found 1.0",
            "extra[\"a\"]: expected true or false, found \"yes\"",
            "state: expected one of OPEN, PAID, found \"LOST\"",
            "note: expected text, found nothing",
        ]
    );
}

#[test]
fn a_flood_of_problems_is_cut_short() {
    let list = Json::Array(vec![json!("x"); 5000]);
    assert_eq!(field_from_json(&ty(r#"{"type": "array", "items": "int"}"#), "f", &list).unwrap_err().len(), 100);
}

#[test]
fn unions() {
    let union = ty(r#"["null", "long", "double", "string", {"type": "int", "logicalType": "date"},
        {"type": "map", "values": "long"},
        {"type": "record", "name": "shop.Point", "fields": [{"name": "x", "type": "int"}]}]"#);
    let branch = |index, value: Value| Value::Branch(index, value.into());
    let map = |key: &str, n| Value::Map([(key.into(), Value::Long(n))].into());
    for (json, expected) in [
        (json!(null), Value::Null),
        (json!(1.5), branch(1, Value::Double(1.5))),
        (json!({"long": 5}), branch(0, Value::Long(5))),
        (json!({"double": 5}), branch(1, Value::Double(5.0))),
        (json!("plain"), branch(2, Value::string("plain"))),
        (json!({"date": "2026-01-01"}), branch(3, Value::Date(20454))),
        (json!({"string": "2026-01-01"}), branch(2, Value::string("2026-01-01"))),
        (json!({"k": 1}), branch(4, map("k", 1))),
        (json!({"map": {"long": 5}}), branch(4, map("long", 5))),
        (json!({"Point": {"x": 1}}), branch(5, Value::Record([Value::Long(1)].into()))),
        (json!({"shop.Point": {"x": 1}}), branch(5, Value::Record([Value::Long(1)].into()))),
    ] {
        assert_eq!(field_from_json(&union, "f", &json), Ok(expected.clone()), "{json}");
        assert_eq!(field_from_json(&union, "f", &to_json(&union, &expected)), Ok(expected));
    }
    for (json, message) in [
        (json!(5), r#"f: 5 can be read as long or as double: say which, as {"long": …}"#),
        (json!({"x": 1}), r#"f: an object can be read as map or as shop.Point: say which, as {"map": …}"#),
        (json!({"long": "a"}), r#"f["long"]: expected a whole number of 64 bits, found "a""#),
    ] {
        assert_eq!(field_from_json(&union, "f", &json).unwrap_err()[0].to_string(), message);
    }
}

/// Two records that hold each other in unions are tried against each other at every level; the work is bounded.
#[test]
fn ambiguity_is_bounded() {
    let schema = Schema::parse(
        r#"{"type": "record", "name": "A", "fields": [{"name": "x", "type": ["null", "A",
            {"type": "record", "name": "B", "fields": [{"name": "x", "type": ["null", "A", "B"]}]}]}]}"#,
        &[],
    )
    .unwrap();
    let deep = (0..60).fold(json!({"x": null}), |inner, _| json!({"x": inner}));
    let errors = from_json(&schema.record, &deep).unwrap_err();
    assert!(errors[0].message.contains("name the branches"), "{errors:?}");
    let nested = |index| {
        (0..40).fold(Value::Record([Value::Null].into()), |inner, _| {
            Value::Record([Value::Branch(index, inner.into())].into())
        })
    };
    for value in [nested(0), nested(1)] {
        let ty = FieldType::required(Type::Record(schema.record.clone()));
        assert_eq!(from_json(&schema.record, &to_json(&ty, &value)), Ok(value));
    }
}

#[test]
fn from_bare_text() {
    for (of, text, expected) in [
        (r#""string""#, "0123", Some(Value::string("0123"))),
        (r#""string""#, "no", Some(Value::string("no"))),
        (r#""int""#, "0123", Some(Value::Long(123))),
        (r#""int""#, "2147483648", None),
        (r#""long""#, "-5", Some(Value::Long(-5))),
        (r#""long""#, "5.0", None),
        (r#""boolean""#, "true", Some(Value::Boolean(true))),
        (r#""boolean""#, "no", None),
        (r#""double""#, "1e3", Some(Value::Double(1000.0))),
        (r#""double""#, "NaN", None),
        (r#""double""#, "inf", None),
        (r#""double""#, "1e999", None),
        (r#""float""#, "1e39", None),
        (r#"["null", "int"]"#, "7", Some(Value::Long(7))),
        (r#"["null", "string"]"#, "null", Some(Value::string("null"))),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 23, "scale": 2}"#,
            "123456789012345678901.10",
            Some(Value::Decimal(Decimal { unscaled: 12345678901234567890110, scale: 2 })),
        ),
        (r#""bytes""#, "AP8=", Some(Value::Bytes([0, 255].into()))),
        (r#""bytes""#, "AP8", None),
        (r#"{"type": "fixed", "name": "F", "size": 2}"#, "AP8=", Some(Value::Bytes([0, 255].into()))),
        (r#"{"type": "fixed", "name": "F", "size": 3}"#, "AP8=", None),
        (r#"{"type": "int", "logicalType": "date"}"#, "1969-12-31", Some(Value::Date(-1))),
        (r#"["int", "boolean"]"#, "true", Some(Value::Branch(1, Value::Boolean(true).into()))),
        (r#"["int", "string"]"#, "5", None),
        (r#"{"type": "array", "items": "int"}"#, "5", None),
        (r#"{"type": "long", "logicalType": "timestamp-millis"}"#, "2026-01-01T00:00:00.0001Z", None),
    ] {
        assert_eq!(from_text(&ty(of), text).ok(), expected, "{text} as {of}");
    }
}
