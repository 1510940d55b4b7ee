//! Random measurements, a topology with one column a case, and the views that the engine makes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::fold::{Fold, Outcome, Step};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_engine::table::{Key, Row};
use headwater_schemas::encode::encode;
use headwater_schemas::wire::{self, SchemaId};
use headwater_schemas::{Decimal, Value};
use proptest::prelude::*;

use super::cases::{CASES, Case, Over};

const PARTITIONS: i32 = 3;

/// An event: a measurement, or with `removed` the end of its row in the view `latest`.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) id: u8,
    pub(super) shelf: u8,
    pub(super) removed: bool,
    pub(super) i: Option<i32>,
    pub(super) l: Option<i64>,
    /// Of scale 2.
    pub(super) d: Option<i64>,
    pub(super) x: Option<f64>,
    pub(super) f: Option<f32>,
    pub(super) s: Option<String>,
    pub(super) b: Option<bool>,
    pub(super) day: Option<i32>,
    pub(super) at: Option<i64>,
    /// Where it is in the log.
    pub(super) offset: i64,
}

impl Event {
    pub(super) fn partition(&self) -> i32 {
        i32::from(self.id) % PARTITIONS
    }
}

/// Few values, so that they meet, and a few that are far out.
pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let near = -3i64..4;
    let long = prop_oneof![8 => near.clone(), 1 => any::<i64>()];
    let int = prop_oneof![8 => -3i32..4, 1 => any::<i32>()];
    let decimal = prop_oneof![8 => -500i64..500, 1 => -9_999_999_999i64..10_000_000_000];
    let special = prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, 0.1, 1e300]);
    let double = prop_oneof![4 => (-3i32..4).prop_map(f64::from), 1 => special];
    let text = prop::sample::select(vec!["", "a", "b", "ab", "é", "a\u{1}"]).prop_map(str::to_owned);
    let some = prop::option::weighted::<BoxedStrategy<i64>>;
    let numbers = (
        prop::option::weighted(0.8, int),
        some(0.8, long.boxed()),
        some(0.8, decimal.boxed()),
        prop::option::weighted(0.8, double.clone()),
        prop::option::weighted(0.8, double.prop_map(|x| x as f32)),
    );
    let others = (
        prop::option::weighted(0.8, text),
        prop::option::weighted(0.8, any::<bool>()),
        prop::option::weighted(0.8, -3i32..4),
        some(0.8, near.boxed()),
    );
    let event = (0u8..5, 0u8..2, prop::bool::weighted(0.1), numbers, others).prop_map(
        |(id, shelf, removed, (i, l, d, x, f), (s, b, day, at))| Event {
            id,
            shelf,
            removed,
            i,
            l,
            d,
            x,
            f,
            s,
            b,
            day,
            at,
            offset: 0,
        },
    );
    prop::collection::vec(event, 0..50).prop_map(|mut events| {
        for (offset, event) in (0..).zip(&mut events) {
            event.offset = offset * 2;
        }
        events
    })
}

fn columns(over: Over) -> String {
    CASES
        .iter()
        .filter(|case| case.over.contains(&over))
        .map(|case| format!("      {}: \"{}\"\n", case.name, case.text))
        .collect()
}

fn topology_text() -> String {
    let (owned, shared, view) = (columns(Over::Owned), columns(Over::Shared), columns(Over::View));
    let fields = ["shelf", "i", "l", "d", "x", "s"].map(|field| format!("      {field}: last({field})\n")).concat();
    format!(
        "topology: shop\nstore: operational\nreads: [measure]\nviews:\n  \
         owned:\n    key: [id]\n    from: Measured\n    columns:\n{owned}  \
         shared:\n    key: [shelf]\n    from: Measured\n    columns:\n{shared}  \
         latest:\n    key: [id]\n    from: [Measured, Removed]\n    create_when: Measured\n    delete_when: Removed\n    columns:\n{fields}  \
         over:\n    from: latest\n    key: [shelf]\n    columns:\n{view}"
    )
}

const MEASURED: &str = r#"{ "type": "record", "name": "Measured", "fields": [
    { "name": "id", "type": "string" }, { "name": "shelf", "type": "string" },
    { "name": "i", "type": ["null", "int"] }, { "name": "l", "type": ["null", "long"] },
    { "name": "d", "type": ["null", { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 }] },
    { "name": "x", "type": ["null", "double"] }, { "name": "f", "type": ["null", "float"] },
    { "name": "s", "type": ["null", "string"] }, { "name": "b", "type": ["null", "boolean"] },
    { "name": "day", "type": ["null", { "type": "int", "logicalType": "date" }] },
    { "name": "at", "type": ["null", { "type": "long", "logicalType": "timestamp-micros" }] } ] }"#;

/// The topology of all cases, compiled once.
pub(super) fn topology() -> Arc<Topology> {
    static TOPOLOGY: OnceLock<Arc<Topology>> = OnceLock::new();
    TOPOLOGY.get_or_init(|| compile(&topology_text())).clone()
}

/// Compiles a topology over measurements.
pub(super) fn compile(topology: &str) -> Arc<Topology> {
    let dir = tempfile::tempdir().expect("a folder");
    let removed = r#"{ "type": "record", "name": "Removed", "fields": [{ "name": "id", "type": "string" }] }"#;
    let files = [
        ("headwater.yaml", "stores:\n  operational: { sqlite: x.db }\n".to_owned()),
        (
            "schemas/measure/topic.yaml",
            "topic: measure\nkey: id\npartitions: 3\nretention: forever\nevents: [Measured, Removed]\n".to_owned(),
        ),
        ("schemas/measure/Measured.avsc", MEASURED.to_owned()),
        ("schemas/measure/Removed.avsc", removed.to_owned()),
        ("pipelines/shop/topology.yaml", topology.to_owned()),
    ];
    for (path, text) in files {
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    let project = Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{}", report.render(false)));
    project.topologies[0].clone()
}

fn record(topology: &Topology, event: &Event) -> Record {
    let (topic, plan) = topology.topic("measure").expect("the topic");
    let position = usize::from(event.removed);
    let long = |n: Option<i64>| n.map_or(Value::Null, Value::Long);
    let id = format!("i{}", event.id);
    let values = [
        Value::string(id.as_str()),
        Value::string(format!("s{}", event.shelf)),
        long(event.i.map(i64::from)),
        long(event.l),
        event.d.map_or(Value::Null, |n| Value::Decimal(Decimal { unscaled: n.into(), scale: 2 })),
        event.x.map_or(Value::Null, Value::Double),
        event.f.map_or(Value::Null, Value::Float),
        event.s.as_deref().map_or(Value::Null, Value::string),
        event.b.map_or(Value::Null, Value::Boolean),
        event.day.map_or(Value::Null, Value::Date),
        event.at.map_or(Value::Null, Value::Timestamp),
    ];
    let values = if event.removed { &values[..1] } else { &values[..] };
    let (mut body, mut payload) = (Vec::new(), Vec::new());
    let schema = &plan.topic.events[position].schema;
    encode(schema, &Value::Record(values.into()), &mut body).expect("an event that its schema takes");
    wire::frame(SchemaId(position as u32 + 1), &body, &mut payload);
    Record {
        topic,
        partition: event.partition(),
        offset: event.offset,
        timestamp_ms: 0,
        key: Some(Bytes::from(id)),
        payload: Some(payload.into()),
        headers: Vec::new(),
    }
}

/// What a store holds, by view and key, and the offsets of what is parked with the reasons.
#[derive(Default)]
pub(super) struct Folded {
    rows: BTreeMap<(usize, String), Row>,
    pub(super) parked: Vec<(i64, Option<String>)>,
}

fn key(values: &[Value]) -> String {
    format!("{values:?}")
}

impl Folded {
    fn write(&mut self, topology: &Topology, outcome: &Outcome, in_parts: bool) {
        for writes in &outcome.writes {
            for (deleted, _) in &writes.deletes {
                self.rows.remove(&(writes.view, key(deleted)));
            }
            for row in &writes.puts {
                let table = topology.views[writes.view].stored(in_parts);
                self.rows.insert((writes.view, key(row.key(table))), row.clone());
            }
        }
        let parked = outcome.parked.iter().map(|p| (outcome.records[p.record].offset, p.reason.clone()));
        self.parked.extend(parked);
    }

    fn read(&self, view: usize, keys: &[Key]) -> Vec<Option<Row>> {
        keys.iter().map(|k| self.rows.get(&(view, key(k))).cloned()).collect()
    }

    /// A view's rows as a reader sees them, by the first column's text.
    pub(super) fn view(&self, topology: &Topology, name: &str, in_parts: bool) -> BTreeMap<String, Row> {
        let (index, view) = topology.view(name).expect("the view");
        let mut parts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for ((of, _), row) in &self.rows {
            let Value::String(first) = &row.values[0] else { panic!("a text is first") };
            if *of == index && !row.hidden {
                parts.entry(first.to_string()).or_default().push(row.clone());
            }
        }
        let whole = |parts: Vec<Row>| match in_parts && view.in_parts.is_some() {
            true => view.table.merged(&parts),
            false => parts.into_iter().next(),
        };
        parts.into_iter().filter_map(|(key, parts)| Some((key, whole(parts)?))).collect()
    }
}

/// Folds a log; `cuts` says how long its batches are, again and again.
pub(super) fn fold(topology: &Arc<Topology>, events: &[Event], cuts: &[u8], in_parts: bool) -> Folded {
    let mut decoder = Decoder::new(topology.clone());
    for (event, e) in topology.topics[0].topic.events.iter().enumerate() {
        decoder.learn(0, SchemaId(event as u32 + 1), &e.schema);
    }
    let records: Vec<Record> = events.iter().map(|event| record(topology, event)).collect();
    let (mut folded, mut next) = (Folded::default(), Positions::new());
    let (mut left, mut cuts) = (records.as_slice(), cuts.iter().cycle());
    while !left.is_empty() {
        let cut = usize::from(*cuts.next().expect("cycles")).clamp(1, left.len());
        let (taken, rest) = left.split_at(cut);
        left = rest;
        let batch = Batch::decode(&decoder, taken.to_vec(), &mut next);
        let mut fold = Fold::new(topology.clone(), batch, &|_| None).in_parts(in_parts);
        let outcome = loop {
            match fold.step() {
                Step::Done(outcome) => break outcome,
                Step::Read(needs) => {
                    fold.supply(needs.iter().map(|(view, keys)| folded.read(*view, keys)).collect());
                }
            }
        };
        folded.write(topology, &outcome, in_parts);
    }
    folded
}

/// What a case's column holds in each row of a view.
pub(super) fn column(
    topology: &Topology,
    rows: &BTreeMap<String, Row>,
    view: &str,
    case: &Case,
) -> BTreeMap<String, Value> {
    let (_, view) = topology.view(view).expect("the view");
    let (index, _) = view.table.column(case.name).expect("the case's column");
    rows.iter().map(|(key, row)| (key.clone(), row.values[index].clone())).collect()
}
