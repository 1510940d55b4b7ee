//! The fold against a second, naive one: plain Rust over the whole log, an event at a time, sharing nothing with the engine.
//!
//! Random logs of the document domain, cut into random batches, with records delivered again and workers that start anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::cache::Cache;
use headwater_engine::fold::{Fold, Outcome, Step};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_engine::table::{Key, Row};
use headwater_schemas::wire::{self, SchemaId};
use headwater_schemas::{Value, encode::encode, json};
use proptest::prelude::*;

const PARTITIONS: i32 = 3;

fn topology() -> Arc<Topology> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report:?}"));
    project.topologies.iter().find(|t| t.name == "document").expect("the document topology").clone()
}

#[derive(Clone, Debug)]
enum Event {
    Added {
        doc: u8,
        name: u8,
        user: u8,
        at: i64,
    },
    Version {
        doc: u8,
        name: u8,
        user: u8,
        at: i64,
    },
    Removed {
        doc: u8,
    },
    /// Bytes that no schema wrote.
    Poison {
        doc: u8,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    // A few documents and months, so that rows meet, move and come back.
    let at = (0i64..6, 0i64..3).prop_map(|(month, day)| 1_767_225_600_000_000 + (month * 31 + day) * 86_400_000_000);
    let event = prop_oneof![
        4 => (0u8..5, 0u8..4, 0u8..3, at.clone()).prop_map(|(doc, name, user, at)| Event::Added { doc, name, user, at }),
        6 => (0u8..5, 0u8..4, 0u8..3, at).prop_map(|(doc, name, user, at)| Event::Version { doc, name, user, at }),
        3 => (0u8..5).prop_map(|doc| Event::Removed { doc }),
        1 => (0u8..5).prop_map(|doc| Event::Poison { doc }),
    ];
    prop::collection::vec(event, 0..60)
}

impl Event {
    fn doc(&self) -> u8 {
        match self {
            Event::Added { doc, .. } | Event::Version { doc, .. } | Event::Removed { doc } | Event::Poison { doc } => {
                *doc
            }
        }
    }
}

fn record(topology: &Topology, index: usize, event: &Event) -> Record {
    let (topic, plan) = topology.topic("document").expect("the topic");
    let doc = event.doc();
    let (name, json) = match event {
        Event::Added { name, user, at, .. } => ("DocumentAdded", with_content(doc, *name, *user, *at)),
        Event::Version { name, user, at, .. } => ("VersionAdded", with_content(doc, *name, *user, *at)),
        Event::Removed { .. } => (
            "DocumentRemoved",
            serde_json::json!({ "doc_id": format!("d{doc}"), "user_id": "u", "at": "2026-01-01T00:00:00Z" }),
        ),
        Event::Poison { .. } => ("", serde_json::Value::Null),
    };
    let payload = if name.is_empty() {
        vec![0, 0, 0, 0, 1, 0xff]
    } else {
        let position = plan.topic.events.iter().position(|event| event.name == name).expect("the event");
        let schema = &plan.topic.events[position].schema;
        let value = json::from_json(&schema.record, &json).expect("a sound event");
        let mut body = Vec::new();
        encode(schema, &value, &mut body).expect("an event that its schema takes");
        let mut payload = Vec::new();
        wire::frame(SchemaId(position as u32 + 1), &body, &mut payload);
        payload
    };
    Record {
        topic,
        partition: i32::from(doc) % PARTITIONS,
        offset: index as i64 * 2,
        timestamp_ms: 0,
        key: Some(Bytes::from(format!("d{doc}"))),
        payload: Some(payload.into()),
        headers: Vec::new(),
    }
}

fn with_content(doc: u8, name: u8, user: u8, at: i64) -> serde_json::Value {
    let at = chrono::DateTime::from_timestamp_micros(at).expect("in range").to_rfc3339();
    serde_json::json!({
        "doc_id": format!("d{doc}"), "name": format!("n{name}"), "mime_type": "text/plain", "user_id": format!("u{user}"),
        "at": at, "content": { "blob": format!("b{name}"), "sha256": "00", "size": 1 },
    })
}

/// A store that is nothing but rows.
#[derive(Default)]
struct Rows(BTreeMap<(usize, String), Row>);

fn key(values: &[Value]) -> String {
    format!("{values:?}")
}

impl Rows {
    fn write(&mut self, topology: &Topology, outcome: &Outcome) {
        for writes in &outcome.writes {
            let table = &topology.views[writes.view].table;
            for (partition, _) in &writes.partition_deletes {
                self.0.retain(|(view, _), row| *view != writes.view || row.values[..table.partition] != partition[..]);
            }
            for (deleted, _) in &writes.deletes {
                self.0.remove(&(writes.view, key(deleted)));
            }
            for row in &writes.puts {
                self.0.insert((writes.view, key(row.key(table))), row.clone());
            }
        }
    }

    fn read(&self, view: usize, keys: &[Key]) -> Vec<Option<Row>> {
        keys.iter().map(|k| self.0.get(&(view, key(k))).cloned()).collect()
    }

    fn view(&self, topology: &Topology, name: &str) -> Vec<String> {
        let (view, _) = topology.view(name).expect("the view");
        let mut rows: Vec<String> =
            self.0.iter().filter(|((v, _), _)| *v == view).map(|(_, row)| format!("{:?}", row.values)).collect();
        rows.sort();
        rows
    }
}

/// Folds a log batch by batch; `cuts` says where batches end, where records come again, and where the worker starts anew.
fn fold(topology: &Arc<Topology>, records: &[Record], cuts: &[u8]) -> (Rows, Vec<(i64, bool)>) {
    let mut decoder = Decoder::new(topology.clone());
    for (topic, plan) in topology.topics.iter().enumerate() {
        for (event, e) in plan.topic.events.iter().enumerate() {
            decoder.learn(topic, SchemaId(event as u32 + 1), &e.schema);
        }
    }
    let mut rows = Rows::default();
    let mut cache = Cache::new(topology.clone(), 4);
    let mut next = Positions::new();
    let mut parked: Vec<(i64, bool)> = Vec::new();
    let mut parked_keys: Vec<Bytes> = Vec::new();
    let mut at = 0;
    let mut cuts = cuts.iter().cycle();
    while at < records.len() {
        let cut = *cuts.next().expect("cycles");
        let end = (at + 1 + usize::from(cut % 7)).min(records.len());
        // Some records again, from before the batch.
        let from = at.saturating_sub(usize::from(cut / 7 % 4));
        if cut.is_multiple_of(5) {
            cache.clear();
        }
        let batch = Batch::decode(&decoder, records[from..end].to_vec(), &mut next);
        let aside = |record: &Record| {
            record
                .key
                .as_ref()
                .is_some_and(|key| parked_keys.contains(key))
                .then_some(headwater_engine::fold::Aside::Behind)
        };
        let mut fold = Fold::new(topology.clone(), batch, &aside);
        let outcome = loop {
            match fold.step() {
                Step::Done(outcome) => break outcome,
                Step::Read(needs) => {
                    let answers = needs.iter().map(|(view, keys)| {
                        keys.iter()
                            .map(|k| {
                                cache
                                    .get(*view, k)
                                    .unwrap_or_else(|| rows.read(*view, std::slice::from_ref(k)).remove(0))
                            })
                            .collect()
                    });
                    let answers = answers.collect();
                    fold.supply(answers);
                }
            }
        };
        rows.write(topology, &outcome);
        cache.wrote(&outcome);
        for p in &outcome.parked {
            let record = &outcome.records[p.record];
            parked.push((record.offset, p.reason.is_some()));
            parked_keys.extend(record.key.clone());
        }
        at = end;
    }
    parked.sort_unstable();
    (rows, parked)
}

#[derive(Clone, Default)]
struct Document {
    versions: Vec<(u8, u8, i64)>,
}

/// The oracle: what the views of the document topology are, said once more in plain Rust.
struct Expected {
    documents: Vec<String>,
    versions: Vec<String>,
    by_update: Vec<String>,
    total: Option<(i64, i128)>,
    parked: Vec<(i64, bool)>,
}

/// What is left of a log: the documents, what is parked, and whether there ever was a document.
type Left = (BTreeMap<u8, Document>, Vec<(i64, bool)>, bool);

fn replayed(events: &[Event]) -> Left {
    let mut docs: BTreeMap<u8, Document> = BTreeMap::new();
    let mut poisoned: Vec<u8> = Vec::new();
    let mut parked = Vec::new();
    let mut any = false;
    for (index, event) in events.iter().enumerate() {
        let doc = event.doc();
        if poisoned.contains(&doc) {
            parked.push((index as i64 * 2, false));
            continue;
        }
        match event {
            Event::Poison { .. } => {
                poisoned.push(doc);
                parked.push((index as i64 * 2, true));
            }
            Event::Added { name, user, at, .. } => {
                docs.entry(doc).or_default().versions.push((*name, *user, *at));
                any = true;
            }
            Event::Version { name, user, at, .. } => {
                if let Some(document) = docs.get_mut(&doc) {
                    document.versions.push((*name, *user, *at));
                }
            }
            Event::Removed { .. } => drop(docs.remove(&doc)),
        }
    }
    (docs, parked, any)
}

fn expected(events: &[Event]) -> Expected {
    let (docs, parked, any) = replayed(events);
    let text = |s: String| Value::string(s);
    let content = |name: u8| Value::Record([text(format!("b{name}")), text("00".into()), Value::Long(1)].into());
    let mut e = Expected { documents: vec![], versions: vec![], by_update: vec![], total: None, parked };
    for (doc, document) in &docs {
        let (first, last) = (document.versions[0], document.versions[document.versions.len() - 1]);
        let count = document.versions.len() as i64;
        let (id, plain) = (text(format!("d{doc}")), text("text/plain".into()));
        let name = text(format!("n{}", last.0));
        let (by, updated) = (text(format!("u{}", last.1)), Value::Timestamp(last.2));
        let created = [text(format!("u{}", first.1)), Value::Timestamp(first.2)];
        let row = vec![
            id.clone(),
            name.clone(),
            plain.clone(),
            created[0].clone(),
            created[1].clone(),
            by.clone(),
            updated.clone(),
            Value::Long(count),
        ];
        e.documents.push(format!("{row:?}"));
        let month = chrono::DateTime::from_timestamp_micros(last.2).expect("in range").format("%Y-%m-01T00:00:00Z");
        let month = chrono::DateTime::parse_from_rfc3339(&month.to_string()).expect("a date").timestamp_micros();
        let row = vec![Value::Timestamp(month), updated, id.clone(), name, plain.clone(), by, Value::Long(count)];
        e.by_update.push(format!("{row:?}"));
        for (i, (name, user, at)) in document.versions.iter().enumerate() {
            let row = vec![
                id.clone(),
                Value::Long(i as i64 + 1),
                text(format!("n{name}")),
                plain.clone(),
                content(*name),
                text(format!("u{user}")),
                Value::Timestamp(*at),
            ];
            e.versions.push(format!("{row:?}"));
        }
    }
    e.total = any.then(|| (docs.len() as i64, docs.values().map(|d| d.versions.len() as i128).sum()));
    e.documents.sort();
    e.versions.sort();
    e.by_update.sort();
    e.parked.sort_unstable();
    e
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn folds_as_a_naive_fold_does(events in events(), cuts in prop::collection::vec(any::<u8>(), 1..20)) {
        let topology = topology_once();
        let records: Vec<Record> = events.iter().enumerate().map(|(i, event)| record(&topology, i, event)).collect();
        let (rows, parked) = fold(&topology, &records, &cuts);
        let expected = expected(&events);
        prop_assert_eq!(rows.view(&topology, "documents"), expected.documents);
        prop_assert_eq!(rows.view(&topology, "document_versions"), expected.versions);
        prop_assert_eq!(rows.view(&topology, "documents_by_update"), expected.by_update);
        prop_assert_eq!(parked, expected.parked);
        let (view, _) = topology.view("totals").expect("the totals");
        let total = rows.0.iter().find(|((v, _), _)| *v == view).map(|(_, row)| row.values.clone());
        let wanted = expected.total.map(|(documents, versions)| {
            let versions = headwater_schemas::Decimal { unscaled: versions, scale: 0 };
            vec![Value::Long(documents), if documents == 0 { Value::Null } else { Value::Decimal(versions) }]
        });
        prop_assert_eq!(total, wanted);
    }
}

fn topology_once() -> Arc<Topology> {
    static TOPOLOGY: std::sync::OnceLock<Arc<Topology>> = std::sync::OnceLock::new();
    TOPOLOGY.get_or_init(topology).clone()
}
