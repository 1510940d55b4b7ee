//! What the fold costs an event, from encoded record to rows to write, with no store under it.
//!
//! `cargo bench -p headwater-engine --bench fold`

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::fold::{Fold, Outcome, Step};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_schemas::encode::encode;
use headwater_schemas::json;
use headwater_schemas::wire::{self, SchemaId};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 10_000;

/// Ten thousand events on this many documents.
fn records(topology: &Topology, documents: usize) -> Vec<Record> {
    let (topic, plan) = topology.topic("document").expect("the document topic");
    let record = |i: usize| {
        let (document, added) = (i % documents, i < documents);
        let name = if added { "DocumentAdded" } else { "VersionAdded" };
        let event = plan.topic.events.iter().position(|event| event.name == name).expect("the event");
        let schema = &plan.topic.events[event].schema;
        let value = json::from_json(
            &schema.record,
            &serde_json::json!({
                "doc_id": format!("00000000-0000-4000-8000-{document:012}"), "name": format!("report-{i}.txt"),
                "mime_type": "text/plain", "user_id": format!("user-{}", i % 50), "at": "2026-01-01T00:00:00Z",
                "content": { "blob": format!("blob-{i}"), "sha256": "0".repeat(64), "size": i },
            }),
        )
        .expect("a sound event");
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        encode(schema, &value, &mut body).expect("an event that its schema takes");
        wire::frame(SchemaId(event as u32 + 1), &body, &mut payload);
        let key = Bytes::from(format!("00000000-0000-4000-8000-{document:012}"));
        let (partition, offset) = (0, i as i64);
        Record {
            topic,
            partition,
            offset,
            timestamp_ms: 0,
            key: Some(key),
            payload: Some(payload.into()),
            headers: vec![],
        }
    };
    (0..EVENTS).map(record).collect()
}

/// Decodes and folds records into rows that are all new.
fn folded(topology: &Arc<Topology>, decoder: &Decoder, records: Vec<Record>) -> Box<Outcome> {
    let batch = Batch::decode(decoder, records, &mut Positions::new());
    let mut fold = Fold::new(topology.clone(), batch, &|_| None);
    loop {
        match fold.step() {
            Step::Done(outcome) => break outcome,
            Step::Read(needs) => fold.supply(needs.iter().map(|(_, keys)| vec![None; keys.len()]).collect()),
        }
    }
}

fn fold(c: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
    let topology: Arc<Topology> = project.topologies.iter().find(|t| t.name == "document").expect("it").clone();
    let mut decoder = Decoder::new(topology.clone());
    for (topic, plan) in topology.topics.iter().enumerate() {
        for (event, e) in plan.topic.events.iter().enumerate() {
            decoder.learn(topic, SchemaId(event as u32 + 1), &e.schema);
        }
    }
    let mut group = c.benchmark_group("fold: 5 views, 10,000 events a batch");
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(20);
    for documents in [10, 1_000, 10_000] {
        let records = records(&topology, documents);
        group.bench_function(format!("{documents} documents"), |b| {
            b.iter_batched(|| records.clone(), |records| folded(&topology, &decoder, records), BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// A measurement, and the least around it that a project takes.
const PROJECT: [(&str, &str); 3] = [
    ("headwater.yaml", "stores:\n  operational: { sqlite: x.db }\n"),
    ("schemas/m/topic.yaml", "topic: m\nkey: id\npartitions: 1\nretention: forever\nevents: [Measured]\n"),
    (
        "schemas/m/Measured.avsc",
        r#"{ "type": "record", "name": "Measured", "fields": [
            { "name": "id", "type": "string" }, { "name": "n", "type": "long" }, { "name": "x", "type": "double" },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } },
            { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } }] }"#,
    ),
];

/// A view of one column, in rows that one partition feeds.
fn one_column(column: &str) -> Arc<Topology> {
    let topology = format!(
        "topology: t\nstore: operational\nreads: [m]\nviews:\n  \
         v:\n    key: [id]\n    from: Measured\n    columns:\n      c: \"{column}\"\n"
    );
    let dir = tempfile::tempdir().expect("a folder");
    for (path, text) in PROJECT.into_iter().chain([("pipelines/t/topology.yaml", topology.as_str())]) {
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    let project = Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{report}"));
    project.topologies[0].clone()
}

/// Ten thousand measurements of a hundred rows.
fn measurements(topology: &Topology) -> Vec<Record> {
    let schema = &topology.topics[0].topic.events[0].schema;
    let record = |i: usize| {
        let value = json::from_json(
            &schema.record,
            &serde_json::json!({
                "id": format!("m{}", i % 100), "n": i * 7919 % 1000, "x": i as f64 / 3.0,
                "at": format!("2026-01-01T00:{:02}:{:02}Z", i * 31 % 60, i % 60), "price": format!("{}.25", i % 90),
            }),
        )
        .expect("a sound event");
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        encode(schema, &value, &mut body).expect("an event that its schema takes");
        wire::frame(SchemaId(1), &body, &mut payload);
        Record {
            topic: 0,
            partition: 0,
            offset: i as i64,
            timestamp_ms: 0,
            key: Some(Bytes::from(format!("m{}", i % 100))),
            payload: Some(payload.into()),
            headers: vec![],
        }
    };
    (0..EVENTS).map(record).collect()
}

/// Each reducer alone: decoding and finding the row are in every figure, so `count()` is what to compare with.
fn reducers(c: &mut Criterion) {
    let columns = [
        "count()",
        "last(n)",
        "first(n)",
        "sum(n)",
        "sum(price)",
        "sum(x)",
        "avg(price)",
        "avg(x)",
        "min(price)",
        "last(n order by at)",
        "count(distinct n)",
        "collect_list(n)",
        "collect_set(n)",
        "top(10, n)",
        "stddev(price)",
        "sum(price) / count()",
    ];
    let mut group = c.benchmark_group("one reducer, 100 rows, 10,000 events a batch");
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(10);
    for column in columns {
        let topology = one_column(column);
        let mut decoder = Decoder::new(topology.clone());
        decoder.learn(0, SchemaId(1), &topology.topics[0].topic.events[0].schema);
        let records = measurements(&topology);
        group.bench_function(column, |b| {
            b.iter_batched(|| records.clone(), |records| folded(&topology, &decoder, records), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, fold, reducers);
criterion_main!(benches);
