use super::*;
use crate::avsc::Schema;
use crate::value::Decimal;

const SCHEMA: &str = r#"{"type": "record", "name": "shop.Sold", "fields": [
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "id", "type": "string", "doc": "whose", "default": "x"},
    {"name": "n", "type": "long"}]}"#;

fn topic(schema: &str, key: &[&str], format: &str) -> Topic {
    let key: Vec<String> = key.iter().map(|k| (*k).to_owned()).collect();
    let schema = Arc::new(Schema::parse(schema, &[]).unwrap());
    let events = vec![Event::new(schema, vec![], &key).unwrap()];
    let key_format = match format {
        "avro" => KeyFormat::Avro(Arc::new(KeySchema::of_events("sales-2", &key, &events).unwrap())),
        "json" => KeyFormat::Json,
        _ => KeyFormat::String,
    };
    let (name, domain, ignore) = ("sales-2".into(), "shop".into(), vec![]);
    let (partitions, retention_days, compact, deduplicate) = (3, None, false, None);
    Topic { name, domain, key, key_format, partitions, retention_days, compact, deduplicate, events, ignore }
}

fn sold(id: &str, n: i64) -> Value {
    Value::Record([Value::Null, Value::string(id), Value::Long(n)].into())
}

#[test]
fn a_key_of_one_field_is_its_text_in_one_form() {
    let topic_of = topic(SCHEMA, &["id"], "string");
    let keys = KeyCodec::offline(&topic_of);
    assert_eq!(keys.of_record(&topic_of.events[0], &sold("é1", 1)), "é1".as_bytes());
    assert_eq!(keys.read("é1".as_bytes()), Ok(vec![Value::string("é1")]));
    assert_eq!(keys.read(b"\xff"), Err(KeyProblem::NoText));
    assert_eq!(keys.check(b"a", [ValueRef::String("a")].into_iter()), Ok(()));
    assert_eq!(keys.check(b"a", [ValueRef::String("b")].into_iter()), Err(KeyProblem::OfAnother));
    let keys = KeyCodec::offline(&topic(SCHEMA, &["n"], "string"));
    assert_eq!(keys.read(b"-7"), Ok(vec![Value::Long(-7)]));
    assert_eq!(keys.read(b"+7"), Err(KeyProblem::OtherForm));
    assert!(keys.read(b"seven").is_err());
}

#[test]
fn a_key_of_several_fields_is_an_object() {
    let topic = topic(SCHEMA, &["n", "id"], "json");
    let keys = KeyCodec::offline(&topic);
    let written = keys.of_record(&topic.events[0], &sold("a \"é\"\n", -7));
    assert_eq!(String::from_utf8_lossy(&written), r#"{"n":-7,"id":"a \"é\"\n"}"#);
    assert_eq!(keys.read(&written), Ok(vec![Value::Long(-7), Value::string("a \"é\"\n")]));
    for other in [r#"{"n": 7,"id":"a"}"#, r#"{"id":"a","n":7}"#, r#"{"n":"7","id":"a"}"#, r#"{"n":7}"#, "7", ""] {
        assert!(keys.read(other.as_bytes()).is_err(), "{other}");
    }
    assert!(!keys.write([ValueRef::Null, ValueRef::Long(1)], &mut vec![]));
}

#[test]
fn keys_as_text() {
    for (value, text) in [
        (ValueRef::Long(-7), "-7"),
        (ValueRef::Boolean(true), "true"),
        (ValueRef::Decimal(Decimal { unscaled: -5, scale: 2 }), "-0.05"),
        (ValueRef::Uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab"),
        (ValueRef::Date(0), "1970-01-01"),
        (ValueRef::Timestamp(1_500_000), "1970-01-01T00:00:01.500Z"),
    ] {
        let mut out = vec![];
        assert!(write_key(&value, &mut out));
        assert_eq!(out, text.as_bytes());
    }
    assert!(!write_key(&ValueRef::Null, &mut vec![]));
}

#[test]
fn a_json_key_of_one_field_is_an_object_too() {
    let topic = topic(SCHEMA, &["id"], "json");
    let keys = KeyCodec::new(&topic, SchemaId(1));
    let key = keys.of_record(&topic.events[0], &sold("m\"e", 1));
    assert_eq!(key, br#"{"id":"m\"e"}"#);
    assert_eq!(keys.read(&key), Ok(vec![Value::string("m\"e")]));
    assert_eq!(keys.text(&key).as_deref(), Some(r#"{"id":"m\"e"}"#));
    assert_eq!(keys.check(&key, [ValueRef::String("m\"e")].into_iter()), Ok(()));
    assert_eq!(keys.check(b"m\"e", [ValueRef::String("m\"e")].into_iter()), Err(KeyProblem::OfAnother));
    assert_eq!(keys.read(br#"{ "id":"me"}"#), Err(KeyProblem::OtherForm));
}

#[test]
fn an_avro_key_is_framed_with_its_own_schemas_id() {
    let one = topic(SCHEMA, &["id"], "avro");
    let keys = KeyCodec::new(&one, SchemaId(258));
    let key = keys.of_record(&one.events[0], &sold("me", 1));
    assert_eq!(key, b"\0\0\0\x01\x02\x04me");
    assert_eq!(keys.read(&key), Ok(vec![Value::string("me")]));
    assert_eq!(keys.text(&key).as_deref(), Some("me"));
    assert_eq!(keys.of_text("me"), Ok(key.clone()));
    assert_eq!(keys.of_json(&serde_json::json!({ "id": "me" })), Ok(key.clone()));
    let offline = KeyCodec::offline(&one).of_record(&one.events[0], &sold("me", 1));
    assert_eq!(offline, b"\0\0\0\0\0\x04me");
    assert_eq!(keys.online(offline), key);
    assert_eq!(keys.online(b"me".to_vec()), b"me");

    let several = topic(SCHEMA, &["n", "id"], "avro");
    let keys = KeyCodec::new(&several, SchemaId(1));
    let key = keys.of_record(&several.events[0], &sold("me", -1));
    assert_eq!(key, b"\0\0\0\0\x01\x01\x04me");
    assert_eq!(keys.text(&key).as_deref(), Some(r#"{"n":-1,"id":"me"}"#));
    assert_eq!(keys.of_text(r#"{"n":-1,"id":"me"}"#), Ok(key));
    assert_eq!(keys.of_text(r#"{"id":"me","n":-1}"#), Err(KeyProblem::OtherForm));
}

#[test]
fn an_avro_key_says_what_is_wrong_with_it() {
    let keys = KeyCodec::new(&topic(SCHEMA, &["id"], "avro"), SchemaId(7));
    for (key, problem) in [
        (
            &b""[..],
            "the message key: expected 5 bytes of header (a zero byte and a schema id), found a message of 0 bytes",
        ),
        (
            b"me",
            "the message key: expected a zero byte first, found 0x6d: the message is not in Confluent's wire format",
        ),
        (b"\0\0\0\0\x08\x04me", "the message key has the schema id 8, and the keys of this topic have 7"),
        (b"\0\0\0\0\x07", "the message key: field `key`, at byte 0: the message ends in the middle of a value"),
        (b"\0\0\0\0\x07\x04m", "the message key: field `key`, at byte 1: the message ends in the middle of a value"),
        (b"\0\0\0\0\x07\x04me!", "the message key: at byte 3: bytes are left after the last field"),
        (b"\0\0\0\0\x07\x04\xff\xff", "the message key: field `key`, at byte 3: text is not UTF-8"),
        // A longer way to write the length.
        (b"\0\0\0\0\x07\x84\0me", "the message key is not written as keys are"),
        (b"\0\0\0\0\x07\x04mo", "the record's message key is not the event's key"),
    ] {
        let found = keys.check(key, [ValueRef::String("me")].into_iter());
        assert_eq!(found.map_err(|problem| problem.to_string()), Err(problem.to_owned()), "{key:?}");
        let read = keys.read(key).map_err(|problem| problem.to_string());
        match key.ends_with(b"mo") {
            true => assert_eq!(read, Ok(vec![Value::string("mo")])),
            false => assert_eq!(read, Err(problem.to_owned())),
        }
        assert_eq!(keys.text(key).is_some(), key.ends_with(b"mo"));
    }
    assert!(!keys.write([ValueRef::Null], &mut vec![]));
    assert!(!keys.write([ValueRef::String("a\0")], &mut vec![]));
}

const TYPES: &str = r#"{"type": "record", "name": "shop.Sold", "doc": "d", "fields": [
    {"name": "c", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"], "default": "RED", "doc": "d"}},
    {"name": "d", "type": "Colour", "aliases": ["dd"]},
    {"name": "p", "type": {"type": "fixed", "name": "Price", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "u", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "m", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "b", "type": "boolean"}]}"#;

#[test]
fn a_keys_schema_is_that_of_its_fields_and_nothing_else() {
    for (schema, key, text, shape) in [
        (SCHEMA, &["id"][..], r#""string""#, "string"),
        (TYPES, &["m"], r#"{"type":"long","logicalType":"timestamp-millis"}"#, "timestamp-millis"),
        (TYPES, &["d"], r#"{"type":"enum","name":"shop.Colour","symbols":["RED","BLUE"]}"#, "enum of RED, BLUE"),
        (
            SCHEMA,
            &["n", "id"],
            r#"{"type":"record","name":"shop.Sales2Key","fields":[{"name":"n","type":"long"},{"name":"id","type":"string"}]}"#,
            "record {n: long, id: string}",
        ),
        (
            TYPES,
            &["d", "c"],
            r#"{"type":"record","name":"shop.Sales2Key","fields":[{"name":"d","type":{"type":"enum","name":"shop.Colour","symbols":["RED","BLUE"]}},{"name":"c","type":"shop.Colour"}]}"#,
            "record {d: enum of RED, BLUE, c: enum of RED, BLUE}",
        ),
    ] {
        let KeyFormat::Avro(found) = topic(schema, key, "avro").key_format else { panic!("{key:?}") };
        assert_eq!((&*found.text, &*found.shape), (text, shape));
        assert_eq!(KeySchema::parse(&found.text).unwrap(), *found);
    }
    // As Java registers them, and under other names.
    let java = KeySchema::parse(r#"{"type": "string", "avro.java.string": "String"}"#).unwrap();
    assert_eq!(&*java.shape, "string");
    let other = r#"{"type": "record", "name": "K", "fields": [{"name": "id", "type": ["null", "string"]}]}"#;
    assert_eq!(&*KeySchema::parse(other).unwrap().shape, "record {id: union of null, string}");
    assert!(KeySchema::parse("string").is_err() && KeySchema::parse(r#""strin""#).is_err());
}

#[test]
fn events_that_write_a_field_differently_have_no_key_schema() {
    let key = ["p".to_owned()];
    let fixed = Event::new(Arc::new(Schema::parse(TYPES, &[]).unwrap()), vec![], &key).unwrap();
    let text = r#"{"type": "record", "name": "shop.Bought", "fields": [
        {"name": "p", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}"#;
    let bytes = Event::new(Arc::new(Schema::parse(text, &[]).unwrap()), vec![], &key).unwrap();
    let error = KeySchema::of_events("t", &key, &[fixed, bytes]).unwrap_err();
    let expected = "the key field `p` is decimal(9,2) in fixed(4) in `Sold` and decimal(9,2) in bytes in `Bought`";
    assert_eq!(error.to_string(), expected);
}
