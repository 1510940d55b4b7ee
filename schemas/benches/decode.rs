//! Decoding the flat record of ten fields, the same records in the same run: a plan for all fields, a plan for three of
//! them, apache-avro's `Value` and arrow-avro's columns. Each figure is for one record.
//!
//!     cargo bench -p headwater-schemas

use std::hint::black_box;

use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headwater_schemas::plan::DecodePlan;
use headwater_schemas::wire::{SchemaId, frame, split};
use headwater_schemas::{Schema, Value, encode};

const FLAT: &str = r#"{"type": "record", "name": "Flat", "fields": [
    {"name": "id", "type": "string"},
    {"name": "customer", "type": "string"},
    {"name": "quantity", "type": "int"},
    {"name": "amount", "type": "long"},
    {"name": "rate", "type": "double"},
    {"name": "paid", "type": "boolean"},
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "weight", "type": "float"},
    {"name": "place", "type": "string"}]}"#;

/// Records of a batch, and what one step of the benches decodes.
const RECORDS: i64 = 1024;

fn messages(schema: &Schema) -> Vec<Vec<u8>> {
    let record = |n: i64| {
        let note = if n % 3 == 0 { Value::Null } else { Value::string("leave it at the door") };
        Value::Record(
            [
                Value::string(format!("order-{n:08}")),
                Value::string(format!("customer-{}", n % 97)),
                Value::Long(n % 50),
                Value::Long(n * 7919),
                Value::Double(n as f64 / 7.0),
                Value::Boolean(n % 2 == 0),
                note,
                Value::Timestamp((1_769_848_200_000 + n) * 1000),
                Value::Float(n as f32 / 3.0),
                Value::string("Wageningen"),
            ]
            .into(),
        )
    };
    let message = |n| {
        let (mut body, mut message) = (Vec::new(), Vec::new());
        encode(schema, &record(n), &mut body).expect("a record of this schema");
        frame(SchemaId(1), &body, &mut message);
        message
    };
    (0..RECORDS).map(message).collect()
}

fn decode(criterion: &mut Criterion) {
    let schema = Schema::parse(FLAT, &[]).expect("a schema");
    let messages = messages(&schema);
    let mut group = criterion.benchmark_group("decode a flat record of 10 fields");
    group.throughput(Throughput::Elements(messages.len() as u64));
    for (name, needed) in [("plan, 10 of 10", (0..10).collect::<Vec<_>>()), ("plan, 3 of 10", vec![0, 3, 7])] {
        let plan = DecodePlan::compile(&schema, &schema.record, &needed).expect("a plan");
        let mut bump = Bump::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for message in &messages {
                    let (_, body) = split(message).expect("a message");
                    black_box(plan.decode(body, &bump).expect("a record"));
                }
                bump.reset();
            });
        });
    }
    let avro = apache_avro::Schema::parse_str(&schema.text).expect("a schema");
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&avro).build().expect("a reader");
    group.bench_function("apache-avro, Value", |bencher| {
        bencher.iter(|| {
            for message in &messages {
                let (_, mut body) = split(message).expect("a message");
                black_box(reader.read_value(&mut body).expect("a record"));
            }
        });
    });
    group.bench_function("arrow-avro, columns", |bencher| {
        let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
        store.set(Fingerprint::Id(1), AvroSchema::new(schema.text.to_string())).expect("a schema");
        let builder = ReaderBuilder::new().with_writer_schema_store(store).with_batch_size(messages.len());
        let mut decoder = builder.build_decoder().expect("a decoder");
        bencher.iter(|| {
            for message in &messages {
                decoder.decode(message).expect("a record");
            }
            black_box(decoder.flush().expect("a batch"));
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
