//! Schema files: what is taken, and every mistake with its place.

use headwater_schemas::avsc::{Schema, parse_all};
use headwater_schemas::{Type, Value};

/// `(file text, the errors' places and messages)`, a file a case.
const MISTAKES: &[(&str, &[&str])] = &[
    ("{", &["1:1: $: expected JSON: EOF while parsing an object"]),
    (r#""string""#, &["1:1: $: expected a record, an enum or a fixed type: one named type a file"]),
    (r#"7"#, &["1:1: $: expected a type (a name, an object or an array), found 7"]),
    (r#"{"type": "record", "fields": []}"#, &["1:1: $: expected `name`: what this record is called"]),
    (r#"{"type": "record", "name": "E"}"#, &["1:1: $: expected `fields`: a list of the record's fields"]),
    (
        r#"{"type": "record", "name": "1E", "fields": []}"#,
        &["1:28: $.name: expected letters, digits and _ in each part, no digit first, found `1E`"],
    ),
    (
        r#"{"type": "record", "name": "Tombstone", "fields": []}"#,
        &["1:28: $.name: `Tombstone` is the built-in event of a record without a value"],
    ),
    (
        r#"{"type": "record", "name": "a.long", "fields": []}"#,
        &["1:28: $.name: expected a name that is no type of Avro, found `long`"],
    ),
    (
        r#"{"type": "record", "name": "E", "fields": [
  {"name": "_key", "type": "string"},
  {"name": "a-b", "type": "string"},
  {"name": "a", "type": "strin"},
  {"name": "a", "type": "null"},
  {"type": "int"},
  {"name": "b"},
  "c"]}"#,
        &[
            "2:12: $.fields[0].name: expected no _ first, found `_key`: `_key`, `_time` and their like are built in",
            "3:12: $.fields[1].name: expected letters, digits and _, no digit first, found `a-b`",
            "4:25: $.fields[2].type: expected a type that exists, found `strin`: a type of Avro, or one of E",
            "5:12: $.fields[3].name: expected each field once, found `a` again",
            "5:25: $.fields[3].type: null alone carries nothing: expected another type, or a union of null and another",
            "6:3: $.fields[4]: expected `name`: what the field is called",
            "7:3: $.fields[5]: expected `type`",
            "8:3: $.fields[6]: expected a field (an object with `name` and `type`), found \"c\"",
        ],
    ),
    (
        r#"{"type": "record", "name": "E", "fields": [
  {"name": "a", "type": "long", "logicalType": "timestamp-millis"},
  {"name": "b", "type": {"type": "long", "logical_type": "timestamp-millis"}},
  {"name": "c", "type": {"type": "int", "logicalType": "timestamp-millis"}},
  {"name": "d", "type": {"type": "long", "logicalType": "time-micros"}},
  {"name": "e", "type": {"type": "bytes", "logicalType": "decimal"}},
  {"name": "f", "type": {"type": "bytes", "logicalType": "decimal", "precision": 39}},
  {"name": "g", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 5}},
  {"name": "h", "type": {"type": "fixed", "name": "H", "size": 2, "logicalType": "decimal", "precision": 5}},
  {"name": "i", "type": {"type": "fixed", "name": "I", "size": 15, "logicalType": "uuid"}},
  {"name": "j", "type": {"type": "fixed", "name": "J", "size": 0}}]}"#,
        &[
            "2:48: $.fields[0].logicalType: a logical type stands inside `type`: {\"type\": …, \"logicalType\": …}",
            "3:34: $.fields[1].type.type: expected `logicalType`, found `logical_type`, which Avro would ignore",
            "4:56: $.fields[2].type.logicalType: expected `timestamp-millis` on long",
            "5:57: $.fields[3].type.logicalType: the logical type `time-micros` is not one of those that are read here: decimal, uuid, date, timestamp-millis and timestamp-micros",
            "6:58: $.fields[4].type.logicalType: expected `precision`: how many digits the decimal has, 1 to 38",
            "7:82: $.fields[5].type.precision: expected 1 to 38 digits, found 39",
            "8:94: $.fields[6].type.scale: expected 0 to 4 (the precision), found 5",
            "9:106: $.fields[7].type.precision: expected at most 4 digits in 2 bytes, found 5",
            "10:83: $.fields[8].type.logicalType: expected `uuid` on string or on fixed of size 16",
            "11:25: $.fields[9].type: expected `size`: a number of bytes, at least 1",
        ],
    ),
    (
        r#"{"type": "record", "name": "E", "fields": [
  {"name": "a", "type": "int", "default": "1"},
  {"name": "b", "type": "int", "default": 2147483648},
  {"name": "c", "type": ["null", "int"], "default": "x"},
  {"name": "d", "type": {"type": "enum", "name": "D", "symbols": ["A", "A", "b c"], "default": "C"}},
  {"name": "e", "type": {"type": "array", "items": "bytes"}, "default": ["ok", "☃"]},
  {"name": "f", "type": {"type": "record", "name": "F", "fields": [{"name": "x", "type": "int"}]}, "default": {}},
  {"name": "g", "type": "F", "default": {"x": 1, "y": 2}},
  {"name": "h", "type": {"type": "fixed", "name": "H", "size": 2}, "default": "a"}]}"#,
        &[
            "2:43: $.fields[0].default: expected a default that is a whole number of 32 bits, found \"1\"",
            "3:43: $.fields[1].default: expected a default that is a whole number of 32 bits, found 2147483648",
            "4:53: $.fields[2].default: expected a default that is null, found \"x\"; or expected a default that is a whole number of 32 bits, found \"x\"",
            "5:72: $.fields[3].type.symbols[1]: expected each symbol once, found `A` again",
            "5:77: $.fields[3].type.symbols[2]: expected letters, digits and _, no digit first, found `b c`",
            "5:96: $.fields[3].type.default: expected one of A, A, b c, found \"C\"",
            "6:73: $.fields[4].default: expected a default that is text of code points 0 to 255, a byte each, found \"☃\"",
            "7:111: $.fields[5].default: expected a default with the field `x`, which has none of its own",
            "8:41: $.fields[6].default: expected a default with the fields of F, found `y`",
            "9:79: $.fields[7].default: expected a default that is text of 2 code points 0 to 255, a byte each, found \"a\"",
        ],
    ),
    (
        r#"{"type": "record", "name": "E", "fields": [
  {"name": "a", "type": ["int", "int"]},
  {"name": "b", "type": ["int", ["string"]]},
  {"name": "c", "type": ["null"]},
  {"name": "d", "type": []},
  {"name": "e", "type": ["long", {"type": "long", "logicalType": "timestamp-millis"}]},
  {"name": "f", "type": [{"type": "fixed", "name": "F1", "size": 2}, {"type": "fixed", "name": "F2", "size": 2}]},
  {"name": "g", "type": {"type": "array"}},
  {"name": "h", "type": {"items": "int"}},
  {"name": "i", "type": {"type": "enum", "name": "F1", "symbols": ["A"]}},
  {"name": "j", "aliases": ["i"], "type": "int"},
  {"name": "k", "aliases": "x", "type": "int"}]}"#,
        &[
            "2:33: $.fields[0].type[1]: expected each type once in a union, found `int` again",
            "3:33: $.fields[1].type[1]: expected no union in a union",
            "4:25: $.fields[2].type: expected a union with a type other than null",
            "5:25: $.fields[3].type: expected a union with a type other than null",
            "6:34: $.fields[4].type[1]: expected each type once in a union, found `long` again",
            "7:70: $.fields[5].type[1]: two branches of this union read as fixed(2): their values cannot be told apart",
            "8:25: $.fields[6].type: expected `items`",
            "9:25: $.fields[7].type: expected an object with `type`",
            "10:50: $.fields[8].type.name: `F1` is defined twice, differently",
            "11:28: $.fields[9].aliases: `i` already names a field of this record",
            "12:28: $.fields[10].aliases: expected a list of names, found \"x\"",
        ],
    ),
    (
        r#"{"type": "record", "name": "E", "fields": [{"name": "e", "type": "E"}]}"#,
        &["1:1: $: a E always holds another, without end: make one nullable"],
    ),
];

#[test]
fn every_mistake_has_its_place() {
    for (text, expected) in MISTAKES {
        let errors = parse_all(&[("e.avsc", text)]).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let expected: Vec<String> = expected.iter().map(|e| format!("e.avsc:{e}")).collect();
        assert_eq!(shown, expected, "in {text}");
    }
}

const CONTENT: &str = r#"{"type": "record", "name": "doc.Content", "fields": [{"name": "size", "type": "long"}]}"#;
const ADDED: &str = r#"{"type": "record", "name": "doc.Added", "fields": [
    {"name": "content", "type": "Content"}, {"name": "old", "type": ["null", "doc.Content"]}, {"name": "kind", "type": "Kind"}]}"#;
const KIND: &str = r#"{"type": "enum", "name": "Kind", "namespace": "doc", "symbols": ["A", "B"]}"#;

#[test]
fn files_refer_to_each_other_in_any_order() {
    for files in [[("a", ADDED), ("c", CONTENT), ("k", KIND)], [("k", KIND), ("c", CONTENT), ("a", ADDED)]] {
        let schemas = parse_all(&files).unwrap();
        let names: Vec<&str> = schemas.iter().map(Schema::short_name).collect();
        assert_eq!(names.len(), 2, "an enum's file holds no event");
        let added = schemas.iter().find(|s| s.short_name() == "Added").unwrap();
        let alone = Schema::parse(&added.text, &[]).unwrap();
        assert_eq!(alone.text, added.text, "the text stands alone");
        assert_eq!(alone.record, added.record);
        assert_eq!(*added, Schema::parse(ADDED, &[KIND, CONTENT]).unwrap());
        apache_avro::Schema::parse_str(&added.text).unwrap();
    }
    let error = Schema::parse(ADDED, &[CONTENT]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "schema:2:120: $.fields[2].type: expected a type that exists, found `doc.Kind`: a type of Avro, or one of doc.Added, doc.Content"
    );
}

#[test]
fn files_may_refer_in_circles() {
    let order = r#"{"type": "record", "name": "Order", "fields": [{"name": "by", "type": ["null", "Customer"]}]}"#;
    let customer = r#"{"type": "record", "name": "Customer", "fields": [{"name": "orders", "type": {"type": "array", "items": "Order"}}]}"#;
    let schemas = parse_all(&[("o", order), ("c", customer)]).unwrap();
    let Type::Record(by) = &schemas[0].record.fields[0].ty.ty else { panic!("no record") };
    let Type::Array(items) = &by.fields[0].ty.ty else { panic!("no array") };
    let Type::Recursive(link) = &items.ty else { panic!("{:?}", items.ty) };
    assert_eq!(link.record().unwrap().name, "Order");
    for schema in schemas {
        assert_eq!(Schema::parse(&schema.text, &[]).unwrap().record, schema.record);
        apache_avro::Schema::parse_str(&schema.text).unwrap();
    }
}

#[test]
fn a_name_that_files_define_differently_is_nobodys() {
    let other = CONTENT.replace("size", "length");
    let errors = parse_all(&[("a", ADDED), ("c1", CONTENT), ("c2", &other), ("k", KIND)]).unwrap_err();
    assert_eq!(errors[0].to_string(), "a:2:33: $.fields[0].type: `doc.Content` is defined differently in c1 and c2");
    parse_all(&[("a", ADDED), ("c1", CONTENT), ("c2", CONTENT), ("k", KIND)]).unwrap();
}

#[test]
fn errors_of_all_files_are_gathered_once_each() {
    let broken = CONTENT.replace("long", "lang");
    let errors = parse_all(&[("a", ADDED), ("c", &broken), ("k", KIND), ("x", "nothing")]).unwrap_err();
    let shown: Vec<String> = errors.iter().map(|e| format!("{} {}", e.file, e.path)).collect();
    assert_eq!(shown, ["1 $.fields[0].type", "3 $"]);
}

#[test]
fn names_resolve_by_namespace() {
    let text = r#"{"type": "record", "name": "a.b.E", "aliases": ["Old", "x.Older"], "doc": "What\nhappened.", "fields": [
        {"name": "in", "type": {"type": "record", "name": "In", "namespace": "c", "fields": [
            {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 1}}]}},
        {"name": "f", "type": "c.F"},
        {"name": "bare", "type": {"type": "enum", "name": "Bare", "namespace": "", "symbols": ["X"]}},
        {"name": "again", "type": "Bare", "doc": "Twice.", "default": "X", "pii": true}]}"#;
    let schema = Schema::parse(text, &[]).unwrap();
    assert_eq!(schema.record.name, "a.b.E");
    assert_eq!(schema.short_name(), "E");
    assert_eq!(schema.record.aliases, ["a.b.Old", "x.Older"]);
    assert_eq!(schema.record.doc.as_deref(), Some("What\nhappened."));
    assert_eq!(schema.record.fields[3].default, Some(Value::string("X")));
    assert_eq!(
        &*schema.text,
        r#"{"type":"record","name":"a.b.E","aliases":["a.b.Old","x.Older"],"fields":[{"name":"in","type":{"type":"record","name":"c.In","fields":[{"name":"fixed","type":{"type":"fixed","name":"c.F","size":1}}]}},{"name":"f","type":"c.F"},{"name":"bare","type":{"type":"enum","name":"Bare","namespace":"","symbols":["X"]}},{"name":"again","type":"Bare","default":"X","doc":"Twice.","pii":true}],"doc":"What\nhappened."}"#
    );
    assert_eq!(Schema::parse(&schema.text, &[]).unwrap().record, schema.record);
}

#[test]
fn layout_of_the_text_is_no_part_of_a_schema() {
    let spaced = CONTENT.replace(',', " ,\n ").replace("\"doc.Content\"", r#""Content", "namespace": "doc""#);
    assert_eq!(Schema::parse(&spaced, &[]).unwrap(), Schema::parse(CONTENT, &[]).unwrap());
    let other = Schema::parse(&CONTENT.replace("size", "length"), &[]).unwrap();
    assert_ne!(other, Schema::parse(CONTENT, &[]).unwrap());
}

#[test]
fn a_type_that_is_too_deep_is_refused() {
    let deep = (0..100).fold("\"int\"".to_owned(), |inner, _| format!(r#"{{"type": "array", "items": {inner}}}"#));
    let text = format!(r#"{{"type": "record", "name": "E", "fields": [{{"name": "f", "type": {deep}}}]}}"#);
    assert!(Schema::parse(&text, &[]).unwrap_err().message.contains("deeper"), "deep");
}

#[test]
fn registered_schemas_need_not_be_ours() {
    let text = r#"{"type": "record", "name": "E", "fields": [
        {"name": "_x", "type": "int", "default": "wrong"},
        {"name": "t", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "u", "type": {"type": "bytes", "logicalType": "uuid"}}]}"#;
    let schema = Schema::parse_registered(text).unwrap();
    assert_eq!(schema.record.fields[0].default, None);
    assert_eq!(schema.record.fields[1].ty.ty, Type::Int);
    assert_eq!(schema.record.fields[2].ty.ty, Type::Bytes);
    assert!(Schema::parse_registered(r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#).is_err());
}
