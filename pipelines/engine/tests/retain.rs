//! `retain`: which views may be pruned, and that nobody can tell whether and when they were.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::cache::Cache;
use headwater_engine::fold::{Fold, Outcome, Step};
use headwater_engine::harness;
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_engine::table::{Row, Table};
use headwater_schemas::encode::encode;
use headwater_schemas::wire::{self, SchemaId};
use headwater_schemas::{Value, json};
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;

const TOPIC: &str = "topic: item\nkey: id\npartitions: 2\nretention: forever\nevents: [Seen, Moved, Gone]\n";
const TEST: &str = r#"
test: rows of long ago are shown, whatever the day
given:
  - Seen: { id: a, name: n, at: "1975-01-01T00:00:00Z" }
expect:
  latest:
    - { id: a, name: n }
"#;

/// Each view with whether it may be pruned.
const VIEWS: &[(&str, bool, &str)] = &[
    (
        "items",
        false,
        "key: [id], from: [Seen, Moved, Gone], create_when: Seen, delete_when: Gone, \
                      columns: { name: last(name), at: last(at), times: count() }",
    ),
    ("copy", true, "from: items, key: { partition: [name], clustering: [at desc, id] }, columns: [times]"),
    ("by_day", false, "from: items, key: [day: \"date_trunc('day', at)\"], columns: { items: count() }"),
    ("latest", true, "key: [id], from: [Seen, Moved], columns: { name: last(name), at: last(at) }"),
    (
        "removed",
        true,
        "key: [id], from: [Seen, Gone], create_when: Seen, delete_when: Gone, \
                       columns: { name: last(name), at: last(at) }",
    ),
    (
        "beside",
        true,
        "with: items, key: { partition: [id], clustering: [times desc] }, from: [Seen, Moved, Gone], \
                      delete_when: Gone, columns: { times: items.times, at: last(at) }",
    ),
    ("partly", false, "key: [id], from: [Seen, Moved], columns: { name: last(Seen.name), at: last(at) }"),
    (
        "changed",
        false,
        "key: [id], from: [Seen, Moved], create_when: Seen, \
                        columns: { name: last(name), at: last(at) }",
    ),
    (
        "filtered",
        false,
        "key: [id], from: [Seen, Moved], \
                         columns: { name: \"last(name) filter (where name <> 'n0')\", at: last(at) }",
    ),
    ("counted", false, "key: [id], from: [Seen, Moved], columns: { at: last(at), times: count() }"),
    ("first", false, "key: [id], from: [Seen, Moved], columns: { name: first(name), at: last(at) }"),
    ("source", false, "key: [id], from: [Seen], columns: { name: last(name), at: last(at) }"),
    ("of_source", true, "from: source, key: [name, id], columns: [at]"),
];

fn project() -> Project {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    write("headwater.yaml", "stores:\n  operational: { sqlite: data/views.db }\n");
    write("schemas/item/topic.yaml", TOPIC);
    for (event, name) in [("Seen", true), ("Moved", true), ("Gone", false)] {
        let name = if name { r#"{ "name": "name", "type": "string" },"# } else { "" };
        let at = r#"{ "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } }"#;
        let id = r#"{ "name": "id", "type": "string" }"#;
        let record =
            format!(r#"{{ "type": "record", "name": "{event}", "namespace": "item", "fields": [{id}, {name} {at}] }}"#);
        write(&format!("schemas/item/{event}.avsc"), &record);
    }
    let mut topology = "topology: items\nstore: operational\nreads: [item]\nviews:\n".to_owned();
    for (name, _, text) in VIEWS {
        let after = if *name == "by_day" { "day" } else { "at" };
        topology.push_str(&format!("  {name}: {{ {text}, retain: {{ days: 2, after: {after} }} }}\n"));
    }
    write("pipelines/items/topology.yaml", &topology);
    write("pipelines/items/tests/old.yaml", TEST);
    Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{report}"))
}

fn topology() -> Arc<Topology> {
    static TOPOLOGY: std::sync::OnceLock<Arc<Topology>> = std::sync::OnceLock::new();
    TOPOLOGY.get_or_init(|| project().topologies[0].clone()).clone()
}

#[test]
fn rows_are_pruned_where_nothing_is_made_of_them_again() {
    let topology = topology();
    for (name, pruned, _) in VIEWS {
        let (_, view) = topology.view(name).expect("the view");
        assert_eq!(view.table.retain.map(|retain| (retain.days, retain.pruned)), Some((2, *pruned)), "{name}");
        let said = format!("view {name}: retain 2 days after ");
        assert!(topology.description.contains(&said), "other days are another declaration");
    }
}

/// A declared test is about what the fold makes of events, not about the day it runs on.
#[test]
fn declared_tests_know_no_clock() {
    let project = project();
    let verdict = harness::run(&project.tests[0], &project.topologies).expect("it runs");
    assert!(verdict.failures.is_empty(), "{:?}", verdict.failures);
}

#[derive(Clone, Copy, Debug)]
struct Event {
    kind: u8,
    id: u8,
    name: u8,
    /// What the event says, and how far the clock goes on after it, in days.
    at: i64,
    wait: i64,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0u8..7, 0u8..3, 0u8..3, 0i64..8, 0i64..3).prop_map(|(kind, id, name, at, wait)| Event {
        kind: [0, 0, 0, 1, 1, 1, 2][usize::from(kind)],
        id,
        name,
        at,
        wait,
    });
    prop::collection::vec(event, 1..14)
}

fn record(topology: &Topology, index: usize, event: Event) -> Record {
    let name = ["Seen", "Moved", "Gone"][usize::from(event.kind)];
    let topic = &topology.topics[0].topic;
    let position = topic.events.iter().position(|event| event.name == name).expect("the event");
    let schema = &topic.events[position].schema;
    let at = chrono::DateTime::from_timestamp_millis(event.at * DAY_MS).expect("in range").to_rfc3339();
    let mut fields = serde_json::json!({ "id": format!("i{}", event.id), "at": at });
    if name != "Gone" {
        fields["name"] = format!("n{}", event.name).into();
    }
    let value = json::from_json(&schema.record, &fields).expect("a sound event");
    let (mut body, mut payload) = (Vec::new(), Vec::new());
    encode(schema, &value, &mut body).expect("encoded");
    wire::frame(SchemaId(position as u32 + 1), &body, &mut payload);
    Record {
        topic: 0,
        partition: i32::from(event.id) % 2,
        offset: index as i64,
        timestamp_ms: 0,
        key: Some(Bytes::from(format!("i{}", event.id))),
        payload: Some(payload.into()),
        headers: Vec::new(),
    }
}

/// A store that is nothing but rows, and the worker before it.
struct Worker {
    topology: Arc<Topology>,
    decoder: Decoder,
    cache: Cache,
    /// Whether the cache lives from one batch to the next.
    caches: bool,
    next: Positions,
    rows: BTreeMap<(usize, String), Row>,
}

impl Worker {
    fn new(topology: &Arc<Topology>, caches: bool) -> Self {
        let mut decoder = Decoder::new(topology.clone());
        for (event, e) in topology.topics[0].topic.events.iter().enumerate() {
            decoder.learn(0, SchemaId(event as u32 + 1), &e.schema);
        }
        let (cache, next, rows) = (Cache::new(topology.clone(), 100), Positions::new(), BTreeMap::new());
        Self { topology: topology.clone(), decoder, cache, caches, next, rows }
    }

    fn fold(&mut self, record: Record) {
        let batch = Batch::decode(&self.decoder, vec![record], &mut self.next);
        let mut fold = Fold::new(self.topology.clone(), batch, &|_| None);
        let outcome = loop {
            match fold.step() {
                Step::Done(outcome) => break outcome,
                Step::Read(needs) => {
                    let mut answers = Vec::new();
                    for (view, keys) in needs {
                        let row = |key| self.cache.get(view, key).unwrap_or_else(|| self.row(view, key));
                        answers.push(keys.iter().map(row).collect());
                    }
                    fold.supply(answers);
                }
            }
        };
        assert_eq!(outcome.parked.len(), 0);
        self.write(&outcome);
        self.cache.wrote(&outcome);
        if !self.caches {
            self.cache.clear();
        }
    }

    fn row(&self, view: usize, key: &[Value]) -> Option<Row> {
        self.rows.get(&(view, format!("{key:?}"))).cloned()
    }

    fn write(&mut self, outcome: &Outcome) {
        for writes in &outcome.writes {
            let table = &self.topology.views[writes.view].table;
            for (partition, _) in &writes.partition_deletes {
                self.rows
                    .retain(|(view, _), row| *view != writes.view || row.values[..table.partition] != partition[..]);
            }
            for (key, _) in &writes.deletes {
                self.rows.remove(&(writes.view, format!("{key:?}")));
            }
            for row in &writes.puts {
                self.rows.insert((writes.view, format!("{:?}", row.key(table))), row.clone());
            }
        }
    }

    fn prune(&mut self, now_ms: i64, is_pruned: impl Fn(&Table) -> bool) {
        let topology = self.topology.clone();
        self.rows.retain(|(view, _), row| {
            let table = &topology.views[*view].table;
            !(is_pruned(table) && table.is_past(row, now_ms))
        });
    }

    /// What readers see of each view.
    fn shown(&self, now_ms: i64) -> Vec<String> {
        let shown = self.rows.iter().filter(|((view, _), row)| {
            let table = &self.topology.views[*view].table;
            !row.hidden && !table.is_past(row, now_ms)
        });
        shown.map(|((view, _), row)| format!("{}: {:?}", self.topology.views[*view].table.name, row.values)).collect()
    }
}

/// Whether readers can tell a store that is pruned after each of the events from one that never is.
fn differs(
    events: &[Event],
    caches: bool,
    pruned_after: &[bool],
    is_pruned: impl Fn(&Table) -> bool,
) -> Option<String> {
    let topology = topology();
    let (mut kept, mut pruned) = (Worker::new(&topology, caches), Worker::new(&topology, caches));
    let mut now_ms = 0;
    for (index, event) in events.iter().enumerate() {
        kept.fold(record(&topology, index, *event));
        pruned.fold(record(&topology, index, *event));
        now_ms += event.wait * DAY_MS;
        if pruned_after.get(index).copied().unwrap_or(true) {
            pruned.prune(now_ms, &is_pruned);
        }
        let (a, b) = (kept.shown(now_ms), pruned.shown(now_ms));
        if a != b {
            return Some(format!("after event {index}:\n{}\nand pruned\n{}", a.join("\n"), b.join("\n")));
        }
    }
    None
}

fn as_declared(table: &Table) -> bool {
    table.retain.is_some_and(|retain| retain.pruned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// After every event, and after any of them.
    #[test]
    fn nobody_can_tell_when_rows_were_pruned(
        events in events(),
        caches in any::<bool>(),
        some in prop::collection::vec(any::<bool>(), 14),
    ) {
        prop_assert_eq!(differs(&events, caches, &[], as_declared), None);
        prop_assert_eq!(differs(&events, caches, &some, as_declared), None);
    }
}

/// Were other views pruned, one would: a row that is past is needed again by a late event.
#[test]
fn of_views_with_a_memory_everybody_could_tell() {
    let event = |kind, at, wait| Event { kind, id: 0, name: 0, at, wait };
    let renamed = |kind, at, wait| Event { name: 1, ..event(kind, at, wait) };
    for view in ["items", "partly", "changed", "filtered", "counted", "first"] {
        // Seen and past, then moved and shown again.
        let events = [renamed(0, 0, 2), event(1, 5, 0)];
        assert!(differs(&events, false, &[], |table| table.name == view).is_some(), "{view}");
    }
}
