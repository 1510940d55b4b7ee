//! The project that the forms are declared in, and the events that meet them.

use std::sync::Arc;

use bytes::Bytes;
use headwater_engine::batch::Record;
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_schemas::encode::encode;
use headwater_schemas::json;
use headwater_schemas::wire::{self, SchemaId};
use serde_json::json;

/// Which events meet a form; each order's in turn.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// Every event an `OrderPlaced`.
    Placed,
    /// An order's first event places it, all others change it.
    Changed,
    /// Placed, changed, cancelled, and again.
    Fleeting,
}

const EVENTS: [&str; 3] = ["OrderPlaced", "OrderChanged", "OrderCancelled"];

impl Load {
    /// Of an order's event, by which of them it is.
    fn event(self, number: usize) -> usize {
        match self {
            Load::Placed => 0,
            Load::Changed => number.min(1),
            Load::Fleeting => number % 3,
        }
    }
}

const FILES: [(&str, &str); 4] = [
    ("headwater.yaml", "stores:\n  operational: { sqlite: x.db }\n"),
    (
        "schemas/order/OrderPlaced.avsc",
        r#"{ "type": "record", "name": "OrderPlaced", "fields": [
            { "name": "order_id", "type": "string" }, { "name": "customer", "type": "string" },
            { "name": "seller", "type": "string" }, { "name": "n", "type": "long" }, { "name": "x", "type": "double" },
            { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } },
            { "name": "lines", "type": { "type": "array", "items": { "type": "record", "name": "Line", "fields": [
                { "name": "product", "type": "string" }, { "name": "quantity", "type": "int" } ] } } } ] }"#,
    ),
    (
        "schemas/order/OrderChanged.avsc",
        r#"{ "type": "record", "name": "OrderChanged", "fields": [
            { "name": "order_id", "type": "string" }, { "name": "n", "type": "long" },
            { "name": "price", "type": { "type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2 } },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } } ] }"#,
    ),
    (
        "schemas/order/OrderCancelled.avsc",
        r#"{ "type": "record", "name": "OrderCancelled", "fields": [
            { "name": "order_id", "type": "string" },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } } ] }"#,
    ),
];

/// A topology of these views; `topic` is what else its topic's file says.
pub(crate) fn topology(views: &[&str], topic: &str) -> Arc<Topology> {
    let topic = format!(
        "topic: order\nkey: order_id\npartitions: 1\nretention: forever\nevents: [{}]\n{topic}\n",
        EVENTS.join(", ")
    );
    let views: String = views.iter().map(|view| format!("  {view}\n")).collect();
    let topology = format!("topology: t\nstore: operational\nreads: [order]\nviews:\n{views}");
    let dir = tempfile::tempdir().expect("a folder");
    let made = [("schemas/order/topic.yaml", topic.as_str()), ("pipelines/t/topology.yaml", topology.as_str())];
    for (path, text) in FILES.into_iter().chain(made) {
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
    let project = Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{views}\n{report}"));
    project.topologies[0].clone()
}

/// So many events of so many orders, by turns.
pub(crate) fn records(topology: &Topology, load: Load, events: usize, orders: usize) -> Vec<Record> {
    let topic = &topology.topics[0].topic;
    let record = |i: usize| {
        let (order, name) = (i % orders, EVENTS[load.event(i / orders)]);
        let event = topic.events.iter().position(|event| event.name == name).expect("the event");
        let schema = &topic.events[event].schema;
        let line = |n: usize| json!({ "product": format!("p{}", (i + n * 7) % 100), "quantity": i % 9 + 1 });
        let at = format!("2026-01-{:02}T{:02}:{:02}:00Z", i / orders % 28 + 1, i * 31 % 24, i % 60);
        let all = json!({
            "order_id": format!("o{order}"), "customer": format!("c{}", order % 50), "seller": format!("s{}", order % 7),
            "n": i * 7919 % 1000, "x": i as f64 / 3.0, "price": format!("{}.25", i % 90), "at": at,
            "lines": [line(0), line(1)],
        });
        let known = |name: &str| schema.record.fields.iter().any(|field| field.name == name);
        let fields = all.as_object().expect("an object").clone().into_iter().filter(|(name, _)| known(name));
        let value = json::from_json(&schema.record, &fields.collect()).expect("a sound event");
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        encode(schema, &value, &mut body).expect("an event that its schema takes");
        wire::frame(SchemaId(event as u32 + 1), &body, &mut payload);
        Record {
            topic: 0,
            partition: 0,
            offset: i as i64,
            timestamp_ms: 1_767_225_600_000 + i as i64,
            key: Some(Bytes::from(format!("o{order}"))),
            payload: Some(payload.into()),
            headers: vec![("ce_id".to_owned(), Bytes::from(format!("e{i}")))],
        }
    };
    (0..events).map(record).collect()
}
