//! Any bytes through a decode plan: a row or an error, never a panic, and memory in proportion to the message.
//!
//!     RUSTC_BOOTSTRAP=1 cargo fuzz run decode -- -max_total_time=20
//!
//! The first byte chooses a writer and a reader, the second which of the reader's fields are needed; the rest is the body.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Unstructured;
use bumpalo::Bump;
use headwater_schemas::Schema;
use headwater_schemas::plan::DecodePlan;
use libfuzzer_sys::fuzz_target;

/// Writers and the readers that grew out of them.
const PAIRS: &[(&str, &str)] = &[
    (
        r#"{"type": "record", "name": "Flat", "fields": [
            {"name": "a", "type": "int"}, {"name": "b", "type": "string"}, {"name": "c", "type": "boolean"},
            {"name": "d", "type": "double"}, {"name": "e", "type": ["null", "bytes"]},
            {"name": "f", "type": {"type": "fixed", "name": "F", "size": 5}}]}"#,
        r#"{"type": "record", "name": "Flat", "fields": [
            {"name": "b", "type": "bytes"}, {"name": "a", "type": "double"}, {"name": "e", "type": ["string", "null"]},
            {"name": "new", "type": {"type": "array", "items": "string"}, "default": ["x", "y"]}]}"#,
    ),
    (
        r#"{"type": "record", "name": "Logical", "fields": [
            {"name": "a", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}},
            {"name": "b", "type": {"type": "fixed", "name": "B", "size": 20, "logicalType": "decimal", "precision": 9, "scale": 0}},
            {"name": "c", "type": {"type": "string", "logicalType": "uuid"}},
            {"name": "d", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}}]}"#,
        r#"{"type": "record", "name": "Logical", "fields": [
            {"name": "a", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 4}},
            {"name": "b", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0}},
            {"name": "c", "type": {"type": "string", "logicalType": "uuid"}},
            {"name": "d", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}}]}"#,
    ),
    (
        r#"{"type": "record", "name": "Nested", "fields": [
            {"name": "map", "type": {"type": "map", "values": ["null", "int", "string"]}},
            {"name": "list", "type": {"type": "array", "items": {"type": "array", "items": "long"}}},
            {"name": "empty", "type": {"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}},
            {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
                {"name": "p", "type": "string"}, {"name": "q", "type": "int"}]}}}]}"#,
        r#"{"type": "record", "name": "Nested", "fields": [
            {"name": "map", "type": {"type": "map", "values": ["string", "long", "null"]}},
            {"name": "list", "type": {"type": "array", "items": {"type": "array", "items": "double"}}},
            {"name": "empty", "type": {"type": "array", "items": {"type": "record", "name": "Empty", "fields": [
                {"name": "n", "type": "int", "default": 1}]}}},
            {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
                {"name": "r", "type": "bytes", "default": "\u00ff"}, {"name": "q", "type": ["null", "long"]}]}}}]}"#,
    ),
    (
        r#"{"type": "record", "name": "Tree", "fields": [
            {"name": "n", "type": "int"}, {"name": "left", "type": ["null", "Tree"]},
            {"name": "below", "type": {"type": "map", "values": "Tree"}}]}"#,
        r#"{"type": "record", "name": "Tree", "fields": [
            {"name": "below", "type": {"type": "map", "values": "Tree"}}, {"name": "left", "type": ["Tree", "null"]},
            {"name": "n", "type": "long"}]}"#,
    ),
];

/// Bytes of memory for each byte of a message, at most, for these schemas: a value takes 48, growing arrays and sorting
/// maps a few times that; and what a bump takes at first and the items that cost no bytes.
const FACTOR: usize = 2000;
const BASE: usize = 1 << 20;

static PLANS: LazyLock<Vec<Vec<DecodePlan>>> = LazyLock::new(|| PAIRS.iter().map(plans).collect());

/// A plan for every choice of fields.
fn plans((writer, reader): &(&str, &str)) -> Vec<DecodePlan> {
    let writer = Schema::parse(writer, &[]).expect("the writer's schema");
    let reader = Schema::parse(reader, &[]).expect("the reader's schema");
    let fields = reader.record.fields.len();
    let plan = |choice: usize| {
        let needed: Vec<usize> = (0..fields).filter(|field| choice >> field & 1 == 1).collect();
        DecodePlan::compile(&writer, &reader.record, &needed).expect("a plan")
    };
    (0..1 << fields).map(plan).collect()
}

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let (Ok(pair), Ok(choice)) = (input.arbitrary::<u8>(), input.arbitrary::<u8>()) else { return };
    let plans = &PLANS[usize::from(pair) % PLANS.len()];
    let plan = &plans[usize::from(choice) % plans.len()];
    let body = input.take_rest();
    let bump = Bump::new();
    let row = plan.decode(body, &bump);
    let used = bump.allocated_bytes();
    assert!(used <= FACTOR * body.len() + BASE, "{used} bytes for a message of {}", body.len());
    if let Err(error) = row {
        assert!(error.at <= body.len());
        assert!(!error.to_string().is_empty());
    }
});
