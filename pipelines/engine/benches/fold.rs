//! What the fold costs an event, from encoded record to rows to write, with no store under it: the document domain, each
//! reducer, and each form of the language. Of the last two it measures CPU time, and prints a table of the fastest batches.
//!
//! `cargo bench -p headwater-engine --bench fold`

#[path = "fold/forms.rs"]
mod forms;
#[path = "fold/load.rs"]
mod load;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use forms::{FORMS, Form, REDUCERS};
use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::fold::{Fold, Outcome, Step};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_engine::table::ViewWrites;
use headwater_schemas::encode::encode;
use headwater_schemas::json;
use headwater_schemas::wire::{self, SchemaId};
use rustix::time::{ClockId, clock_gettime};

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
fn folded(topology: &Arc<Topology>, decoder: &Decoder, records: Vec<Record>, in_parts: bool) -> Box<Outcome> {
    let batch = Batch::decode(decoder, records, &mut Positions::new());
    let mut fold = Fold::new(topology.clone(), batch, &|_| None).in_parts(in_parts);
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
            b.iter_batched(
                || records.clone(),
                |records| folded(&topology, &decoder, records, false),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// What this thread has computed so far: a machine that others use changes it little.
fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("a time that began at 0")
}

/// What was measured of one form.
struct Figure {
    name: String,
    /// The form that it is compared with.
    beside: &'static str,
    /// Of the fastest batch.
    fastest: Duration,
    /// That a batch writes or deletes.
    rows: usize,
}

/// Measures one form: decoding and finding rows are in every figure.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    form: &Form<'_>,
    name: &str,
    orders: usize,
    out: &mut Vec<Figure>,
) {
    let mut figure = Figure { name: name.to_owned(), beside: form.beside, fastest: Duration::MAX, rows: 0 };
    let mut made = None;
    group.bench_function(name, |b| {
        // Here, so that what is filtered out costs nothing.
        let (topology, decoder, records) = made.get_or_insert_with(|| ready(form, orders));
        b.iter_custom(|batches| {
            let mut total = Duration::ZERO;
            for _ in 0..batches {
                let records = records.clone();
                let before = thread_cpu();
                let outcome = folded(topology, decoder, records, form.in_parts);
                let taken = thread_cpu().saturating_sub(before);
                assert!(outcome.parked.is_empty(), "{name}: {:?}", outcome.parked.first());
                let written = |view: &ViewWrites| view.puts.len() + view.deletes.len() + view.partition_deletes.len();
                figure.rows = outcome.writes.iter().map(written).sum();
                (total, figure.fastest) = (total + taken, figure.fastest.min(taken));
            }
            total
        });
    });
    out.extend((figure.rows > 0).then_some(figure));
}

/// A form's topology, and the events that meet it.
fn ready(form: &Form<'_>, orders: usize) -> (Arc<Topology>, Decoder, Vec<Record>) {
    let topology = load::topology(form.views, form.topic);
    let mut decoder = Decoder::new(topology.clone());
    for (event, e) in topology.topics[0].topic.events.iter().enumerate() {
        decoder.learn(0, SchemaId(event as u32 + 1), &e.schema);
    }
    let records = load::records(&topology, form.load, EVENTS, orders);
    (topology, decoder, records)
}

/// For BENCHMARKS.md.
fn print(title: &str, figures: &[Figure]) {
    if figures.is_empty() {
        return;
    }
    let ns = |figure: &Figure| figure.fastest.as_nanos() as f64 / EVENTS as f64;
    println!("\n| {title} | ns an event | beside | rows written |\n|---|---|---|---|");
    for figure in figures {
        let beside = figures.iter().find(|other| other.name == figure.beside);
        let more = beside.map_or(String::new(), |beside| format!("{:+.0} {}", ns(figure) - ns(beside), beside.name));
        println!("| {} | {:.0} | {more} | {} |", figure.name, ns(figure), figure.rows);
    }
}

/// A group that is measured for a moment: there are many in it.
fn short<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(EVENTS as u64)).sample_size(10);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    group
}

fn forms(c: &mut Criterion) {
    let (mut group, mut figures) = (short(c, "one form, 1,000 orders, 10,000 events a batch"), Vec::new());
    for form in FORMS {
        measure(&mut group, &form, form.name, 1_000, &mut figures);
    }
    group.finish();
    print("form", &figures);
}

/// Each reducer alone, in rows that one partition feeds.
fn reducers(c: &mut Criterion) {
    let (mut group, mut figures) = (short(c, "one reducer, 100 rows, 10,000 events a batch"), Vec::new());
    for column in REDUCERS {
        let view = format!("v: {{ key: [order_id], from: OrderPlaced, columns: {{ c: \"{column}\" }} }}");
        let form = Form { beside: REDUCERS[0], views: &[&view], ..FORMS[0] };
        measure(&mut group, &form, column, 100, &mut figures);
    }
    group.finish();
    print("reducer", &figures);
}

criterion_group!(benches, fold, reducers, forms);
criterion_main!(benches);
