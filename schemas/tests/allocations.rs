//! Decoding allocates nothing per record once its bump has grown: counted, not believed.
//!
//! In a test binary of its own, because it counts every allocation of the process's one test thread.

#![expect(unsafe_code, reason = "a global allocator can only be written with it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bumpalo::Bump;
use headwater_schemas::key::KeySchema;
use headwater_schemas::plan::DecodePlan;
use headwater_schemas::{Decimal, Event, KeyCodec, KeyFormat, Schema, SchemaId, Topic, Value, ValueRef, encode};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SCHEMA: &str = r#"{"type": "record", "name": "E", "fields": [
    {"name": "id", "type": "string"},
    {"name": "n", "type": ["null", "long"]},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
    {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "lines", "type": {"type": "array", "items":
        {"type": "record", "name": "Line", "fields": [{"name": "product", "type": "string"}, {"name": "quantity", "type": "int"}]}}},
    {"name": "labels", "type": {"type": "map", "values": ["int", "string"]}}]}"#;

fn record() -> Value {
    let line = |n| Value::Record([Value::string("product"), Value::Long(n)].into());
    let label = |n| (format!("label {n:02}").into(), Value::Branch(0, Value::Long(n).into()));
    Value::Record(
        [
            Value::string("some id"),
            Value::Long(7),
            Value::string("B"),
            Value::Decimal(Decimal { unscaled: 12345, scale: 2 }),
            Value::Uuid([7; 16]),
            Value::Array((0..50).map(line).collect()),
            // Against the order that a row keeps, so that sorting is counted too.
            Value::Map((0..50).rev().map(label).collect()),
        ]
        .into(),
    )
}

#[test]
fn decoding_allocates_nothing_per_record() {
    let schema = Schema::parse(SCHEMA, &[]).unwrap();
    let reader = SCHEMA.replace(
        r#""fields": [
    {"name": "id""#,
        r#""fields": [{"name": "added", "type": "string", "default": "a default"},
    {"name": "id""#,
    );
    let reader = Schema::parse(&reader, &[]).unwrap();
    let whole: Vec<usize> = (0..reader.record.fields.len()).collect();
    let mut body = Vec::new();
    encode(&schema, &record(), &mut body).unwrap();
    for needed in [&whole[..], &[1, 3], &[]] {
        let plan = DecodePlan::compile(&schema, &reader.record, needed).unwrap();
        let mut bump = Bump::new();
        let mut decode = |times: usize| {
            for _ in 0..times {
                assert_eq!(plan.decode(&body, &bump).unwrap().len(), needed.len());
                bump.reset();
            }
        };
        decode(10);
        let before = COUNT.get();
        decode(1000);
        assert_eq!(COUNT.get() - before, 0, "decoding {needed:?}");
    }
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(COUNT.get() - before, 1, "the counter counts");
}

#[test]
fn comparing_an_avro_key_allocates_nothing() {
    let key = ["id", "kind", "price", "uuid"].map(str::to_owned);
    let schema = Arc::new(Schema::parse(SCHEMA, &[]).unwrap());
    let events = vec![Event::new(schema, vec![], &key).unwrap()];
    let topic = Topic {
        name: "t".into(),
        domain: "t".into(),
        key_format: KeyFormat::Avro(Arc::new(KeySchema::of_events("t", &key, &events).unwrap())),
        key: key.to_vec(),
        partitions: 1,
        retention_days: None,
        compact: false,
        deduplicate: None,
        events,
        ignore: vec![],
    };
    let keys = KeyCodec::new(&topic, SchemaId(7));
    let written = keys.of_record(&topic.events[0], &record());
    let price = ValueRef::Decimal(Decimal { unscaled: 12345, scale: 2 });
    let fields = [ValueRef::String("some id"), ValueRef::String("B"), price, ValueRef::Uuid([7; 16])];
    let before = COUNT.get();
    for _ in 0..100 {
        assert_eq!(keys.check(&written, fields.iter().copied()), Ok(()));
    }
    assert_eq!(COUNT.get() - before, 0);
}
