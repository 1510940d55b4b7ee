//! A writer's schema and a reader's that could have grown out of it: apache-avro resolves them alike.
//!
//! Where apache-avro 0.22 is known to differ from the specification, the case is not compared, and a test below shows the
//! difference by name, so that a release that mends it is noticed.

use headwater_schemas::plan::{DecodePlan, Malformed};
use headwater_schemas::{Schema, Value};
use proptest::prelude::*;

use crate::apache::{from_apache, parse, read, write};
use crate::decode::{all, decoded, encoded};
use crate::generate::{Names, evolve, fields, record_value, schema, schema_json};

/// apache-avro resolves by the value that it has read rather than by the two schemas: it takes any branch that the value
/// fits. So branches are compared by what they hold.
fn without_branches(value: &Value) -> Value {
    match value {
        Value::Branch(_, inner) => without_branches(inner),
        Value::Array(items) => Value::Array(items.iter().map(without_branches).collect()),
        Value::Map(entries) => Value::Map(entries.iter().map(|(k, v)| (k.clone(), without_branches(v))).collect()),
        Value::Record(fields) => Value::Record(fields.iter().map(without_branches).collect()),
        other => other.clone(),
    }
}

/// apache-avro 0.22 does not read a logical type as the type that it stands on, and looks for a union's branch by that
/// type: timestamp-millis is no long to it, and a decimal in a union with bytes is lost.
fn known_to_differ(error: &str) -> bool {
    ["TimestampMillis", "TimestampMicros", "Date", "Decimal", "Uuid"].iter().any(|logical| error.contains(logical))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn apache_avro_resolves_alike(
        (written, value) in fields().prop_flat_map(|f| { let v = record_value(&schema(&f).record); (Just(f), v) }),
        dice in proptest::collection::vec(any::<u8>(), 60),
    ) {
        let writer = schema(&written);
        let fields = evolve(&written, &mut dice.into_iter());
        let reader = schema(&fields);
        let Ok(plan) = DecodePlan::compile(&writer, &reader.record, &all(&reader)) else { return Ok(()) };
        // Reader's field aliases: apache-avro 0.22 does not know them, so it is given the writer's names.
        let their_reader = parse(&schema_json("Event", &fields, Names::Written).to_string());
        let their_writer = parse(&writer.text);
        let body = write(&their_writer, &value);
        let ours = decoded(&plan, &body);
        let theirs = read(&their_writer, Some(&their_reader), &mut body.as_slice());
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(without_branches(ours), without_branches(&from_apache(&their_reader, theirs)));
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) if known_to_differ(error) => {}
            // It takes a value of a branch that the reader lacks for whatever it can be made to fit: a double for a float, text
            // for a fixed, an empty list for one of anything. Here the two schemas decide, as the specification has it.
            (Err(Malformed::BranchNotRead), Ok(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?}, apache-avro {theirs:?}\nwriter {}\nreader {}\nvalue {value:?}", writer.text, reader.text),
        }
    }

    /// The registry's verdict is sound: where nothing conflicts, everything that the writer can say is read.
    #[test]
    fn without_conflicts_every_message_is_read(
        (written, value) in fields().prop_flat_map(|f| { let v = record_value(&schema(&f).record); (Just(f), v) }),
        dice in proptest::collection::vec(any::<u8>(), 60),
    ) {
        let writer = schema(&written);
        let reader = schema(&evolve(&written, &mut dice.into_iter()));
        let read = DecodePlan::compile(&writer, &reader.record, &all(&reader)).map(|plan| decoded(&plan, &encoded(&writer, &value)));
        let content = |kind: Malformed| matches!(kind, Malformed::NotUtf8 | Malformed::NulInText);
        match DecodePlan::conflicts(&writer, &reader.record).is_empty() {
            true => prop_assert!(matches!(read, Ok(Ok(_))) || matches!(read, Ok(Err(kind)) if content(kind)), "{read:?}"),
            false => prop_assert!(!matches!(read, Ok(Err(kind)) if !content(kind) && !matches!(kind,
                Malformed::BranchNotRead | Malformed::SymbolNotRead)), "{read:?}"),
        }
    }
}

fn one_field(ty: &str, more: &str) -> String {
    format!(r#"{{"type": "record", "name": "Event", "fields": [{{"name": "f", "type": {ty}{more}}}]}}"#)
}

fn read_by_us(writer: &str, reader: &str, body: &[u8]) -> Value {
    let (writer, reader) = (Schema::parse(writer, &[]).unwrap(), Schema::parse(reader, &[]).unwrap());
    decoded(&DecodePlan::compile(&writer, &reader.record, &all(&reader)).unwrap(), body).unwrap()
}

fn read_by_apache(writer: &str, reader: &str, mut body: &[u8]) -> Result<Value, String> {
    let (writer, reader) = (parse(writer), parse(reader));
    let value = read(&writer, Some(&reader), &mut body)?;
    Ok(from_apache(&reader, &value))
}

fn record(value: Value) -> Value {
    Value::Record([value].into())
}

#[test]
fn apache_avro_0_22_takes_minimal_bytes_of_a_decimal_for_a_lack_of_precision() {
    let schema = one_field(r#"{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#, "");
    let ours = read_by_us(&schema, &schema, &[0x02, 0x07]);
    assert_eq!(ours, record(Value::Decimal(headwater_schemas::Decimal { unscaled: 7, scale: 2 })));
    assert!(read_by_apache(&schema, &schema, &[0x02, 0x07]).is_err());
}

#[test]
fn apache_avro_0_22_does_not_read_by_a_readers_field_alias() {
    let writer = one_field(r#""int""#, "");
    let reader = writer.replace(r#""name": "f""#, r#""name": "g", "aliases": ["f"]"#);
    assert_eq!(read_by_us(&writer, &reader, &[2]), record(Value::Long(1)));
    assert!(read_by_apache(&writer, &reader, &[2]).is_err());
}

#[test]
fn apache_avro_0_22_reads_text_as_a_fixed_of_any_size() {
    let (writer, fixed) = (one_field(r#"["string", "null"]"#, ""), r#"{"type": "fixed", "name": "F", "size": 2}"#);
    let reader = one_field(&format!("[{fixed}, \"null\"]"), "");
    let (ours, theirs) = (Schema::parse(&writer, &[]).unwrap(), Schema::parse(&reader, &[]).unwrap());
    let plan = DecodePlan::compile(&ours, &theirs.record, &all(&theirs)).unwrap();
    assert_eq!(decoded(&plan, &[0, 0]), Err(Malformed::BranchNotRead));
    assert!(read(&parse(&writer), Some(&parse(&reader)), &mut [0, 0].as_slice()).is_ok());
}

#[test]
fn apache_avro_0_22_confuses_union_branches_of_one_shape() {
    let branch =
        |name: &str| format!(r#"{{"type": "record", "name": "{name}", "fields": [{{"name": "x", "type": "int"}}]}}"#);
    let writer = one_field(&format!("[{}, {}]", branch("A"), branch("B")), "");
    let b = |index| record(Value::Branch(index, record(Value::Long(3)).into()));
    assert_eq!(read_by_us(&writer, &writer, &[2, 6]), b(1));
    assert_eq!(read_by_apache(&writer, &writer, &[2, 6]), Ok(b(0)));
}

#[test]
fn apache_avro_0_22_does_not_read_timestamp_millis_as_long() {
    let writer = one_field(r#"{"type": "long", "logicalType": "timestamp-millis"}"#, "");
    let reader = one_field(r#""long""#, "");
    assert_eq!(read_by_us(&writer, &reader, &[2]), record(Value::Long(1)));
    assert!(read_by_apache(&writer, &reader, &[2]).is_err());
}

#[test]
fn apache_avro_0_22_reads_a_default_of_bytes_as_utf_8() {
    let writer = r#"{"type": "record", "name": "Event", "fields": []}"#;
    let reader = one_field(r#""bytes""#, r#", "default": "\u00ff""#);
    assert_eq!(read_by_us(writer, &reader, &[]), record(Value::Bytes([0xff].into())));
    let theirs = read_by_apache(writer, &reader, &[]);
    assert_ne!(theirs, Ok(record(Value::Bytes([0xff].into()))));
}

#[test]
fn apache_avro_0_22_reads_a_cut_tail_as_null() {
    let schema = one_field(r#"["null", "int"]"#, "");
    let ours = Schema::parse(&schema, &[]).unwrap();
    let plan = DecodePlan::compile(&ours, &ours.record, &[0]).unwrap();
    assert_eq!(decoded(&plan, &[]), Err(Malformed::Truncated));
    assert_eq!(read_by_apache(&schema, &schema, &[]), Ok(record(Value::Null)));
}
