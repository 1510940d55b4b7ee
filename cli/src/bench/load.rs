//! The events that are measured, the same each time: documents added, versioned and removed, of which most make a row of
//! their own; and orders, of which many go into one row.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_log::{NewRecord, TopicSpec};
use headwater_schemas::KeyCodec;
use headwater_schemas::registry::Registry;
use headwater_schemas::topic::Topic;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::path::Source;
use crate::against::scratch::Ids;
use crate::context::Context;
use crate::failure::Failure;
use crate::records;

const SEED: u64 = 3;
const USERS: usize = 1_000;
const CUSTOMERS: usize = 5_000;
/// So many that hardly two events of a batch are of one customer.
const MANY_CUSTOMERS: usize = 500_000;
/// Whose orders are nine of ten where keys are hot.
const HOT_CUSTOMERS: usize = 50;
/// Records appended at a time.
const BATCH: usize = 5_000;
/// 2026-01-01T00:00:00Z, in seconds; an event a second from there.
const START_S: i64 = 1_767_225_600;

/// The files of the project of orders.
const ORDERS: [(&str, &str); 4] = [
    ("headwater.yaml", include_str!("orders/headwater.yaml")),
    ("schemas/order/topic.yaml", include_str!("orders/topic.yaml")),
    ("schemas/order/OrderPlaced.avsc", include_str!("orders/OrderPlaced.avsc")),
    ("pipelines/order/topology.yaml", include_str!("orders/topology.yaml")),
];

/// What is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Load {
    // First, because it leaves the process small.
    /// A keyed aggregate: one view, a row for each of 5,000 customers
    Orders,
    /// The document domain: four views an event, few events a row
    Documents,
    /// The aggregate over 500,000 customers: nearly each event a row of its own
    Spread,
    /// The aggregate with hot keys: nine of ten events are of 50 customers, the others of 500,000
    Hot,
}

impl Load {
    /// What is measured unless something else is asked for.
    pub(super) const USUAL: [Load; 2] = [Load::Orders, Load::Documents];

    pub(super) fn name(self) -> &'static str {
        match self {
            Load::Documents => "documents",
            Load::Orders => "orders",
            Load::Spread => "spread",
            Load::Hot => "hot",
        }
    }

    /// Whose order is next.
    fn customer(self, random: &mut StdRng) -> usize {
        match self {
            Load::Hot if random.random_bool(0.9) => random.random_range(0..HOT_CUSTOMERS),
            Load::Hot | Load::Spread => random.random_range(0..MANY_CUSTOMERS),
            Load::Orders | Load::Documents => random.random_range(0..CUSTOMERS),
        }
    }

    /// The topology that folds it: the project's own, or that of the orders, laid out under `folder`. Read anew each time,
    /// for one that is renamed is renamed for good.
    pub(super) fn topology(self, context: &Context, folder: &Path) -> Result<Arc<Topology>, Failure> {
        match self {
            Load::Documents => {
                let project = context.load().map_err(|report| Failure::new(report.to_string()))?;
                named(&project, "document")
            }
            Load::Orders | Load::Spread | Load::Hot => {
                let folder = folder.join("orders");
                for (name, text) in ORDERS {
                    let path = folder.join(name);
                    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
                    let written = made.and_then(|()| std::fs::write(&path, text));
                    written.map_err(|error| Failure::because("the bench's own project cannot be written", &error))?;
                }
                let project = Project::load(&folder, None).map_err(|report| Failure::new(report.to_string()))?;
                named(&project, "order")
            }
        }
    }

    /// The ids of its events' schemas.
    pub(super) async fn register(self, topology: &Topology, registry: &Registry) -> Result<Ids, Failure> {
        let mut ids = Ids::new();
        for topic in topology.topics.iter().map(|plan| &plan.topic) {
            let of_topic = ids.entry(topic.name.clone()).or_default();
            for event in &topic.events {
                let id = registry.register(&topic.subject(event), &event.schema).await;
                of_topic.push(id.map_err(|error| Failure::because("the registry does not answer", &error))?);
            }
        }
        Ok(ids)
    }

    /// Makes the topics under the names that the topology has for them.
    pub(super) async fn make_topics(self, source: &Source) -> Result<(), Failure> {
        for plan in &source.topology.topics {
            let topic = &plan.topic;
            let spec = TopicSpec {
                name: topic.name.clone(),
                partitions: topic.partitions,
                retention_days: None,
                compact: false,
            };
            source.log.ensure_topic(&spec).await.map_err(|error| unwritable(&error))?;
        }
        Ok(())
    }

    /// Writes the events to the log.
    pub(super) async fn fill(self, source: &Source) -> Result<(), Failure> {
        let mut random = StdRng::seed_from_u64(SEED);
        let mut documents = Documents::default();
        let mut batch = Vec::with_capacity(BATCH);
        let mut keys = HashMap::new();
        for topic in source.topology.topics.iter().map(|plan| &plan.topic) {
            let of_topic = source.registry.key_codec(topic).await;
            let of_topic = of_topic.map_err(|error| Failure::because("the registry does not answer", &error))?;
            keys.insert(topic.name.clone(), of_topic);
        }
        for index in 0..source.events {
            let (declared, event, fields) = match self {
                Load::Documents => documents.next(&mut random, index),
                Load::Orders | Load::Spread | Load::Hot => {
                    let customer = self.customer(&mut random);
                    ("order", "OrderPlaced", order(&mut random, customer, index))
                }
            };
            let (topic, record) = record(source, &keys, declared, event, &fields)?;
            batch.push(record);
            if batch.len() == BATCH || index + 1 == source.events {
                let records = std::mem::take(&mut batch);
                source.log.append_all(&topic.name, records).await.map_err(|error| unwritable(&error))?;
            }
        }
        Ok(())
    }
}

fn unwritable(error: &dyn std::error::Error) -> Failure {
    Failure::because("the events cannot be written", error)
}

fn named(project: &Project, name: &str) -> Result<Arc<Topology>, Failure> {
    let topology = project.topologies.iter().find(|topology| topology.name == name);
    topology.cloned().ok_or_else(|| Failure::new(format!("no topology is called {name}")))
}

#[derive(Default)]
struct Documents {
    live: Vec<usize>,
    added: usize,
}

impl Documents {
    /// Six added, three versioned, one removed of ten.
    fn next(&mut self, random: &mut StdRng, index: usize) -> (&'static str, &'static str, Json) {
        let (event, fields) = match random.random_range(0..10) {
            6..9 if !self.live.is_empty() => {
                let document = self.live[random.random_range(0..self.live.len())];
                ("VersionAdded", version(random, document, index))
            }
            9 if !self.live.is_empty() => {
                let document = self.live.swap_remove(random.random_range(0..self.live.len()));
                let user = random.random_range(0..USERS);
                (
                    "DocumentRemoved",
                    json!({ "doc_id": id(document), "user_id": format!("user-{user}"), "at": at(index) }),
                )
            }
            _ => {
                self.live.push(self.added);
                self.added += 1;
                ("DocumentAdded", version(random, self.added - 1, index))
            }
        };
        ("document", event, fields)
    }
}

fn version(random: &mut StdRng, document: usize, index: usize) -> Json {
    let user = random.random_range(0..USERS);
    json!({
        "doc_id": id(document), "name": format!("report {index}.txt"), "mime_type": "text/plain",
        "content": { "blob": format!("{index:032x}"), "sha256": format!("{index:064x}"), "size": index },
        "user_id": format!("user-{user}"), "at": at(index),
    })
}

fn order(random: &mut StdRng, customer: usize, index: usize) -> Json {
    let (whole, cents) = (random.random_range(1..500), random.random_range(0..100));
    json!({
        "customer_id": format!("customer-{customer}"), "order_id": id(index),
        "product": format!("product-{}", random.random_range(0..300)), "quantity": random.random_range(1..10),
        "price": format!("{whole}.{cents:02}"), "paid": random.random_bool(0.9), "at": at(index),
    })
}

fn id(number: usize) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &number.to_be_bytes()).to_string()
}

fn at(index: usize) -> String {
    records::time_text((START_S + index as i64) * 1000)
}

/// An event as a record, and the topic it goes to. `declared`: the topic's name in the declarations.
fn record<'s>(
    source: &'s Source,
    keys: &HashMap<String, KeyCodec>,
    declared: &str,
    name: &str,
    fields: &Json,
) -> Result<(&'s Topic, NewRecord), Failure> {
    let topics = source.topology.topics.iter().map(|plan| plan.topic.as_ref());
    let topic: &Topic = topics.into_iter().find(|topic| topic.event(name).is_some()).ok_or_else(missing)?;
    let index = topic.events.iter().position(|event| event.name == name).ok_or_else(missing)?;
    let (event, id) = (&topic.events[index], source.ids.get(declared).and_then(|ids| ids.get(index)));
    let (id, fields) = (*id.ok_or_else(missing)?, fields.as_object().ok_or_else(missing)?);
    let (value, payload) =
        records::payload(&event.schema, id, fields).map_err(|problems| Failure::new(problems.join("; ")))?;
    let key = keys.get(&topic.name).ok_or_else(missing)?.of_record(event, &value);
    let (key, payload) = (Some(key.into()), Some(payload.into()));
    Ok((topic, NewRecord { key, payload, ..NewRecord::default() }))
}

fn missing() -> Failure {
    Failure::new("the bench writes events of the document domain, which this project does not declare")
        .mend("Run it in Headwater's own folder.")
}
