//! Pairs of types, one by one: what a reader makes of what a writer wrote, and what is refused with which words.

use headwater_schemas::plan::{DecodePlan, Malformed};
use headwater_schemas::{Schema, Value};

use crate::decode::{all, decoded};

fn event(ty: &str) -> Schema {
    let text = format!(r#"{{"type": "record", "name": "E", "fields": [{{"name": "f", "type": {ty}}}]}}"#);
    Schema::parse(&text, &[]).unwrap_or_else(|e| panic!("{e} in {text}"))
}

fn long(n: i64) -> Value {
    Value::Long(n)
}

fn branch(index: u32, value: Value) -> Value {
    Value::Branch(index, value.into())
}

const MILLIS: &str = r#"{"type": "long", "logicalType": "timestamp-millis"}"#;
const MICROS: &str = r#"{"type": "long", "logicalType": "timestamp-micros"}"#;
const DATE: &str = r#"{"type": "int", "logicalType": "date"}"#;
const UUID: &str = r#"{"type": "string", "logicalType": "uuid"}"#;

fn decimal(precision: u8, scale: u8) -> String {
    format!(r#"{{"type": "bytes", "logicalType": "decimal", "precision": {precision}, "scale": {scale}}}"#)
}

fn symbols(symbols: &str, more: &str) -> String {
    format!(r#"{{"type": "enum", "name": "C", "symbols": [{symbols}]{more}}}"#)
}

#[test]
fn what_is_read() {
    let abc = symbols(r#""A", "B", "C""#, "");
    let ab = symbols(r#""A", "B""#, r#", "default": "B""#);
    let narrow = decimal(3, 2);
    let id = "0123456789abcdef0123456789abcdef";
    let uuid_body: Vec<u8> = [&[0x40], id.as_bytes()].concat();
    let uuid =
        Value::Uuid([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    let hundredths = |unscaled| Value::Decimal(headwater_schemas::Decimal { unscaled, scale: 2 });
    let cases: Vec<(&str, String, &[u8], Value)> = vec![
        ("\"int\"", "\"long\"".into(), &[3], long(-2)),
        ("\"int\"", "\"float\"".into(), &[3], Value::Float(-2.0)),
        ("\"int\"", "\"double\"".into(), &[3], Value::Double(-2.0)),
        ("\"long\"", "\"float\"".into(), &[4], Value::Float(2.0)),
        ("\"long\"", "\"double\"".into(), &[4], Value::Double(2.0)),
        ("\"float\"", "\"double\"".into(), &[0, 0, 0xc0, 0x3f], Value::Double(1.5)),
        ("\"string\"", "\"bytes\"".into(), &[2, b'a'], Value::Bytes([b'a'].into())),
        ("\"bytes\"", "\"string\"".into(), &[2, b'a'], Value::string("a")),
        ("\"int\"", DATE.into(), &[4], Value::Date(2)),
        (DATE, "\"int\"".into(), &[4], long(2)),
        (DATE, "\"long\"".into(), &[4], long(2)),
        ("\"long\"", MILLIS.into(), &[4], Value::Timestamp(2000)),
        ("\"int\"", MILLIS.into(), &[4], Value::Timestamp(2000)),
        ("\"int\"", MICROS.into(), &[4], Value::Timestamp(2)),
        (MILLIS, MILLIS.into(), &[4], Value::Timestamp(2000)),
        (MILLIS, MICROS.into(), &[4], Value::Timestamp(2000)),
        (MILLIS, "\"long\"".into(), &[4], long(2)),
        (MICROS, "\"double\"".into(), &[4], Value::Double(2.0)),
        (UUID, "\"string\"".into(), &[2, b'x'], Value::string("x")),
        (UUID, UUID.into(), &uuid_body, uuid.clone()),
        ("\"string\"", UUID.into(), &uuid_body, uuid),
        ("\"bytes\"", decimal(4, 2), &[2, 0xff], hundredths(-1)),
        (&narrow, decimal(4, 2), &[2, 0xff], hundredths(-1)),
        (&narrow, "\"bytes\"".into(), &[2, 0xff], Value::Bytes([0xff].into())),
        (&abc, ab.clone(), &[0], Value::string("A")),
        (&abc, ab.clone(), &[4], Value::string("B")), // C by the default
        // Unions: exactly the written type before a promotion, in the order of the reader.
        ("\"int\"", r#"["null", "string", "long"]"#.into(), &[4], branch(1, long(2))),
        ("\"int\"", r#"["long", "int"]"#.into(), &[4], branch(1, long(2))),
        ("\"int\"", r#"["double", "long", "null"]"#.into(), &[4], branch(0, Value::Double(2.0))),
        (MILLIS, r#"["string", "long"]"#.into(), &[4], branch(1, long(2))),
        (r#"["int", "string"]"#, r#"["string", "long"]"#.into(), &[0, 4], branch(1, long(2))),
        (r#"["int", "string"]"#, r#"["string", "long"]"#.into(), &[2, 2, b'a'], branch(0, Value::string("a"))),
        (r#"["null", "int"]"#, "\"long\"".into(), &[2, 4], long(2)),
        (r#"["int", "null"]"#, r#"["null", "double"]"#.into(), &[2], Value::Null),
        (r#"["int", "null"]"#, r#"["null", "double"]"#.into(), &[0, 4], Value::Double(2.0)),
        (r#"["int"]"#, "\"int\"".into(), &[0, 4], long(2)),
        (r#"["int", "string", "null"]"#, r#"["null", "int"]"#.into(), &[4], Value::Null),
        (r#"["int", "string", "null"]"#, r#"["null", "int"]"#.into(), &[0, 4], long(2)),
    ];
    for (writer, reader, body, expected) in cases {
        let (writer, reader) = (event(writer), event(&reader));
        let plan = DecodePlan::compile(&writer, &reader.record, &[0])
            .unwrap_or_else(|e| panic!("{e}: {} by {}", writer.text, reader.text));
        let read = decoded(&plan, body);
        assert_eq!(read, Ok(Value::Record([expected].into())), "{} by {}", writer.text, reader.text);
    }
}

#[test]
fn what_is_refused() {
    let empty = r#"{"type": "record", "name": "R", "fields": []}"#;
    for (writer, reader, message) in [
        ("\"long\"", "\"int\"", "f: expected int, found long"),
        ("\"double\"", "\"float\"", "f: expected float, found double"),
        ("\"int\"", "\"string\"", "f: expected string, found int"),
        (MICROS, MILLIS, "f: expected timestamp-millis, found timestamp-micros"),
        (DATE, MILLIS, "f: expected timestamp-millis, found date"),
        (&decimal(4, 2), &decimal(4, 1), "f: expected decimal(4,1), found decimal(4,2)"),
        (&decimal(4, 2), &decimal(3, 2), "f: expected decimal(3,2), found decimal(4,2)"),
        (&decimal(4, 2), "\"string\"", "f: expected string, found decimal(4,2)"),
        (r#"["null", "long"]"#, r#"["null", "int"]"#, "f: expected int, found long"),
        (r#"["string", "long"]"#, "\"int\"", "f: expected int, found union of string, long"),
        ("\"bytes\"", &format!(r#"["int", {}]"#, decimal(4, 2)), "f: expected union of int, decimal(4,2), found bytes"),
        ("\"int\"", r#"["string", "bytes"]"#, "f: expected union of string, bytes, found int"),
        (
            r#"{"type": "array", "items": "long"}"#,
            r#"{"type": "array", "items": "int"}"#,
            "f[]: expected int, found long",
        ),
        (
            r#"{"type": "map", "values": "long"}"#,
            r#"{"type": "map", "values": "int"}"#,
            "f{}: expected int, found long",
        ),
        (
            empty,
            r#"{"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]}"#,
            "f.x: R has no such field, and the reader has no default for it",
        ),
        (empty, r#"{"type": "record", "name": "S", "fields": []}"#, "f: expected record S, found record R"),
        (
            &symbols("\"A\"", ""),
            r#"{"type": "enum", "name": "D", "symbols": ["A"]}"#,
            "f: expected enum D, found enum C",
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 3}"#,
            r#"{"type": "fixed", "name": "F", "size": 4}"#,
            "f: expected fixed(4), found fixed(3)",
        ),
    ] {
        let (writer, reader) = (event(writer), event(reader));
        let conflicts = DecodePlan::conflicts(&writer, &reader.record);
        assert_eq!(conflicts.first().map(ToString::to_string).as_deref(), Some(message));
    }
}

/// Readable as long as the writer does not use what the reader lacks; the registry refuses it all the same.
#[test]
fn what_is_readable_in_part() {
    for (writer, reader, fine, body, error, message) in [
        (
            r#"["null", "int"]"#.to_owned(),
            "\"int\"".to_owned(),
            &[2u8, 4][..],
            &[0u8][..],
            Malformed::BranchNotRead,
            "f: expected int, found null, which the writer may send",
        ),
        (
            r#"["int", "string"]"#.to_owned(),
            "\"int\"".to_owned(),
            &[0, 4],
            &[2, 2, b'a'],
            Malformed::BranchNotRead,
            "f: expected int, found string",
        ),
        (
            symbols(r#""A", "B""#, ""),
            symbols("\"A\"", ""),
            &[0],
            &[2],
            Malformed::SymbolNotRead,
            "f: C lacks the symbol B and has no default",
        ),
        (
            format!(r#"[{}, {{"type": "fixed", "name": "F", "size": 1}}]"#, decimal(4, 2)),
            decimal(4, 2),
            &[0, 2, 7],
            &[2, 7],
            Malformed::BranchNotRead,
            "f: expected decimal(4,2), found fixed(1)",
        ),
    ] {
        let (writer, reader) = (event(&writer), event(&reader));
        let plan = DecodePlan::compile(&writer, &reader.record, &[0]).unwrap();
        assert_eq!(plan.gaps().iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
        assert!(decoded(&plan, fine).is_ok());
        assert_eq!(decoded(&plan, body), Err(error));
        assert_eq!(DecodePlan::conflicts(&writer, &reader.record), plan.gaps());
    }
}

#[test]
fn names_aliases_and_defaults() {
    let writer = r#"{"type": "record", "name": "old.Was", "fields": [
        {"name": "gone", "type": "string"},
        {"name": "a", "type": "int"},
        {"name": "home", "type": {"type": "record", "name": "Address", "fields": [{"name": "street", "type": "string"}]}}]}"#;
    let reader = r#"{"type": "record", "name": "new.Is", "fields": [
        {"name": "home", "type": {"type": "record", "name": "Place", "aliases": ["old.Address"], "fields": [
            {"name": "city", "type": "string", "default": "?"},
            {"name": "road", "aliases": ["way", "street"], "type": "string"}]}},
        {"name": "b", "aliases": ["a"], "type": "long"},
        {"name": "c", "type": ["null", "int"], "default": null},
        {"name": "d", "type": {"type": "map", "values": "bytes"}, "default": {"k": "\u00fe"}}]}"#;
    let (writer, reader) = (Schema::parse(writer, &[]).unwrap(), Schema::parse(reader, &[]).unwrap());
    assert_eq!(DecodePlan::conflicts(&writer, &reader.record), []);
    let plan = DecodePlan::compile(&writer, &reader.record, &all(&reader)).unwrap();
    let home = Value::Record([Value::string("?"), Value::string("s")].into());
    let d = Value::Map([("k".into(), Value::Bytes([0xfe].into()))].into());
    let expected = Value::Record([home, long(1), Value::Null, d].into());
    assert_eq!(decoded(&plan, b"\x02g\x02\x02s"), Ok(expected));
    let missing = DecodePlan::compile(&reader, &writer.record, &[1]).unwrap_err();
    assert_eq!(missing.to_string(), "a: new.Is has no such field, and the reader has no default for it");
}

/// A field that keeps its name is not taken for one that another field calls itself by alias.
#[test]
fn a_name_goes_before_an_alias() {
    let writer = Schema::parse(r#"{"type": "record", "name": "E", "fields": [{"name": "a", "type": "int"}]}"#, &[]);
    let reader = Schema::parse_registered(
        r#"{"type": "record", "name": "E", "fields": [
            {"name": "b", "aliases": ["a"], "type": "int", "default": 7}, {"name": "a", "type": "int"}]}"#,
    );
    let plan = DecodePlan::compile(&writer.unwrap(), &reader.unwrap().record, &[0, 1]).unwrap();
    assert_eq!(decoded(&plan, &[2]), Ok(Value::Record([long(7), long(1)].into())));
}

#[test]
fn recursive_readers_and_writers() {
    let tree = |ty: &str, more: &str| {
        let text = format!(
            r#"{{"type": "record", "name": "Tree", "fields": [
                {{"name": "n", "type": "{ty}"}}, {more}
                {{"name": "next", "type": ["null", "Tree"]}}]}}"#
        );
        Schema::parse(&text, &[]).unwrap()
    };
    let (writer, reader) = (tree("int", ""), tree("long", r#"{"name": "m", "type": "int", "default": 9},"#));
    assert_eq!(DecodePlan::conflicts(&writer, &reader.record), []);
    let plan = DecodePlan::compile(&writer, &reader.record, &all(&reader)).unwrap();
    let node = |n, next| Value::Record([long(n), long(9), next].into());
    assert_eq!(decoded(&plan, &[2, 2, 4, 0]), Ok(node(1, node(2, Value::Null))));
    let conflict = DecodePlan::conflicts(&reader, &writer.record);
    assert_eq!(conflict[0].to_string(), "n: expected int, found long");
}

/// A logical type that is unknown here is its base for readers of the base, and nothing for readers of another logical
/// type: nanoseconds are not milliseconds.
#[test]
fn unknown_logical_types_are_not_taken_for_known_ones() {
    let text = r#"{"type": "record", "name": "E", "fields": [{"name": "f", "type": {"type": "long", "logicalType": "timestamp-nanos"}}]}"#;
    let writer = Schema::parse_registered(text).unwrap();
    let plan = DecodePlan::compile(&writer, &event("\"long\"").record, &[0]).unwrap();
    assert_eq!(decoded(&plan, &[4]), Ok(Value::Record([long(2)].into())));
    let conflicts = DecodePlan::conflicts(&writer, &event(MILLIS).record);
    assert_eq!(conflicts[0].to_string(), "f: expected timestamp-millis, found long (timestamp-nanos)");
    assert!(Schema::parse(text, &[]).is_err());
}
