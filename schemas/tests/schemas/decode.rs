//! Reading with the writer's own schema: what is written comes back, and apache-avro agrees both ways.

use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::plan::{DecodePlan, Malformed};
use headwater_schemas::{Schema, Value, encode};
use proptest::prelude::*;

use crate::apache::{from_apache, parse, read, write};
use crate::generate::schema_and_value;

pub(crate) fn all(schema: &Schema) -> Vec<usize> {
    (0..schema.record.fields.len()).collect()
}

pub(crate) fn encoded(schema: &Schema, value: &Value) -> Vec<u8> {
    let mut body = Vec::new();
    encode(schema, value, &mut body).unwrap();
    body
}

/// What a plan gives for a body, as one record.
pub(crate) fn decoded(plan: &DecodePlan, body: &[u8]) -> Result<Value, Malformed> {
    let bump = Bump::new();
    let row = plan.decode(body, &bump).map_err(|e| e.kind)?;
    Ok(Value::Record(row.iter().map(|v| v.to_owned()).collect()))
}

fn whole_plan(schema: &Schema) -> DecodePlan {
    DecodePlan::compile(schema, &schema.record, &all(schema)).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read((schema, value) in schema_and_value()) {
        let body = encoded(&schema, &value);
        prop_assert_eq!(decoded(&whole_plan(&schema), &body).unwrap(), value);
        prop_assert_eq!(DecodePlan::conflicts(&schema, &schema.record), vec![]);
    }

    #[test]
    fn apache_avro_reads_what_is_written((schema, value) in schema_and_value()) {
        let avro = parse(&schema.text);
        let body = encoded(&schema, &value);
        let mut rest = body.as_slice();
        let theirs = read(&avro, None, &mut rest).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(from_apache(&avro, &theirs), value);
    }

    #[test]
    fn what_apache_avro_writes_is_read((schema, value) in schema_and_value()) {
        let avro = parse(&schema.text);
        let body = write(&avro, &value);
        prop_assert_eq!(decoded(&whole_plan(&schema), &body).unwrap(), value);
    }

    #[test]
    fn any_choice_of_fields_is_a_part_of_the_whole(
        (schema, value) in schema_and_value(),
        choice in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let needed: Vec<usize> = choice.iter().map(|i| i.index(schema.record.fields.len())).collect();
        let plan = DecodePlan::compile(&schema, &schema.record, &needed).unwrap();
        let Value::Record(values) = &value else { unreachable!() };
        let part: Arc<[Value]> = needed.iter().map(|i| values[*i].clone()).collect();
        prop_assert_eq!(decoded(&plan, &encoded(&schema, &value)).unwrap(), Value::Record(part));
    }

    /// The text that a schema is registered by reads as the same schema, and as the same text.
    #[test]
    fn normal_text_is_normal((schema, _) in schema_and_value()) {
        for again in [Schema::parse(&schema.text, &[]).unwrap(), Schema::parse_registered(&schema.text).unwrap()] {
            prop_assert_eq!(&again.text, &schema.text);
            prop_assert_eq!(&again.record, &schema.record);
        }
    }
}

/// Blocks with their size in bytes, several to an array, and a map whose keys come in any order and twice.
#[test]
fn blocks_as_other_writers_make_them() {
    let text = r#"{"type": "record", "name": "E", "fields": [
        {"name": "list", "type": {"type": "array", "items": "int"}},
        {"name": "map", "type": {"type": "map", "values": "int"}},
        {"name": "last", "type": "int"}]}"#;
    let schema = Schema::parse(text, &[]).unwrap();
    let body = [
        &[0x03, 0x04, 0x02, 0x04][..], // -2 items in 2 bytes: 1, 2
        &[0x02, 0x06],                 // 1 item: 3
        &[0x00],
        &[0x02, 0x02, b'b', 0x02],                         // 1 entry: b = 1
        &[0x03, 0x0c, 0x02, b'a', 0x04, 0x02, b'b', 0x06], // -2 entries in 6 bytes: a = 2, b = 3
        &[0x00],
        &[0x08],
    ]
    .concat();
    let long = |n| Value::Long(n);
    let map = Value::Map([("a".into(), long(2)), ("b".into(), long(3))].into());
    let expected = [Value::Array([long(1), long(2), long(3)].into()), map, long(4)];
    assert_eq!(decoded(&whole_plan(&schema), &body), Ok(Value::Record(expected.into())));
    let last = DecodePlan::compile(&schema, &schema.record, &[2]).unwrap();
    assert_eq!(decoded(&last, &body), Ok(Value::Record([long(4)].into())));
}

#[test]
fn decimals_of_any_width() {
    let text = r#"{"type": "record", "name": "E", "fields": [{"name": "d", "type":
        {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0}}]}"#;
    let schema = Schema::parse(text, &[]).unwrap();
    let plan = whole_plan(&schema);
    for (bytes, expected) in [
        (vec![0x00], Some(0)),
        (vec![0xff], Some(-1)),
        (vec![0x80], Some(-128)),
        (vec![0x00, 0x80], Some(128)),
        ([vec![0xff; 30], vec![0xfe]].concat(), Some(-2)),
        ([vec![0x00; 30], vec![0x7f]].concat(), Some(127)),
        (vec![], None),
        ([vec![0x00], vec![0xff; 16]].concat(), None),
        ([vec![0xff], vec![0x7f; 16]].concat(), None),
        (vec![0x7f; 16], None), // more than 38 digits
        (10i128.pow(38).to_be_bytes().to_vec(), None),
        ((10i128.pow(38) - 1).to_be_bytes().to_vec(), Some(10i128.pow(38) - 1)),
        ((1 - 10i128.pow(38)).to_be_bytes().to_vec(), Some(1 - 10i128.pow(38))),
    ] {
        let body: Vec<u8> = std::iter::once(u8::try_from(bytes.len() * 2).unwrap()).chain(bytes).collect();
        let decimal = |unscaled| Value::Decimal(headwater_schemas::Decimal { unscaled, scale: 0 });
        let expected = expected.map(|n| Value::Record([decimal(n)].into())).ok_or(Malformed::NotDecimal);
        assert_eq!(decoded(&plan, &body), expected, "{body:02x?}");
    }
}

/// NaN is no value of JSON, but it is one of Avro, bit for bit.
#[test]
fn floats_keep_their_bits() {
    let text = r#"{"type": "record", "name": "E", "fields": [{"name": "x", "type": "double"}]}"#;
    let schema = Schema::parse(text, &[]).unwrap();
    for bits in [f64::NAN.to_bits(), 0x7ff0_0000_0000_0001, f64::NEG_INFINITY.to_bits(), (-0.0f64).to_bits()] {
        let body = encoded(&schema, &Value::Record([Value::Double(f64::from_bits(bits))].into()));
        let bump = Bump::new();
        let headwater_schemas::ValueRef::Double(x) = whole_plan(&schema).decode(&body, &bump).unwrap()[0] else {
            panic!("no double")
        };
        assert_eq!(x.to_bits(), bits);
    }
}

const TREE: &str = r#"{"type": "record", "name": "Tree", "fields": [
    {"name": "n", "type": "int"},
    {"name": "below", "type": {"type": "array", "items": "Tree"}}]}"#;

fn chain(depth: usize) -> Value {
    let leaf = Value::Record([Value::Long(0), Value::Array([].into())].into());
    (1..depth).fold(leaf, |below, _| Value::Record([Value::Long(1), Value::Array([below].into())].into()))
}

#[test]
fn recursive_records_as_deep_as_they_may_be() {
    let schema = Schema::parse(TREE, &[]).unwrap();
    let plan = whole_plan(&schema);
    let deepest = chain(65);
    let body = encoded(&schema, &deepest);
    assert_eq!(decoded(&plan, &body), Ok(deepest));
    let mut out = vec![];
    let error = encode(&schema, &chain(66), &mut out).unwrap_err();
    assert!(error.to_string().ends_with("records are nested deeper than 64"), "{error}");
    assert!(out.is_empty());
    let deeper = [vec![0x02; 2 * 65], vec![0x00, 0x00], vec![0x00; 65]].concat();
    assert_eq!(decoded(&plan, &deeper), Err(Malformed::TooDeep));
    let skipping = DecodePlan::compile(&schema, &schema.record, &[0]).unwrap();
    assert_eq!(decoded(&skipping, &deeper), Err(Malformed::TooDeep));
    assert_eq!(decoded(&skipping, &body), Ok(Value::Record([Value::Long(1)].into())));
}
