//! The events that are measured: documents added, versioned and removed by some users, the same each time.

use headwater_log::{NewRecord, TopicSpec};
use headwater_schemas::topic::Topic;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use super::Source;
use crate::failure::Failure;
use crate::records;

const SEED: u64 = 3;
const USERS: usize = 1_000;
/// Records appended at a time.
const BATCH: usize = 5_000;
/// 2026-01-01T00:00:00Z, in seconds; an event a second from there.
const START_S: i64 = 1_767_225_600;

/// Writes the events to the log.
pub(super) async fn fill(source: &Source) -> Result<(), Failure> {
    let cannot = |error: &dyn std::error::Error| Failure::because("the events cannot be written", error);
    for plan in &source.topology.topics {
        let topic = &plan.topic;
        let spec = TopicSpec { name: topic.name.clone(), partitions: topic.partitions, retention_days: None };
        source.log.ensure_topic(&spec).await.map_err(|error| cannot(&error))?;
    }
    let mut random = StdRng::seed_from_u64(SEED);
    let mut live: Vec<usize> = Vec::new();
    let mut added = 0;
    let mut batch = Vec::with_capacity(BATCH);
    for index in 0..source.events {
        // Six added, three versioned, one removed of ten.
        let (event, fields) = match random.random_range(0..10) {
            6..9 if !live.is_empty() => {
                let document = live[random.random_range(0..live.len())];
                ("VersionAdded", version(&mut random, document, index))
            }
            9 if !live.is_empty() => {
                let document = live.swap_remove(random.random_range(0..live.len()));
                let user = random.random_range(0..USERS);
                (
                    "DocumentRemoved",
                    json!({ "doc_id": id(document), "user_id": format!("user-{user}"), "at": at(index) }),
                )
            }
            _ => {
                live.push(added);
                added += 1;
                ("DocumentAdded", version(&mut random, added - 1, index))
            }
        };
        batch.push(record(source, event, &fields).await?);
        if batch.len() == BATCH || index + 1 == source.events {
            let records = std::mem::take(&mut batch);
            source.log.append_all("document", records).await.map_err(|error| cannot(&error))?;
        }
    }
    Ok(())
}

fn version(random: &mut StdRng, document: usize, index: usize) -> Json {
    let user = random.random_range(0..USERS);
    json!({
        "doc_id": id(document), "name": format!("report {index}.txt"), "mime_type": "text/plain",
        "content": { "blob": format!("{index:032x}"), "sha256": format!("{index:064x}"), "size": index },
        "user_id": format!("user-{user}"), "at": at(index),
    })
}

fn id(document: usize) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &document.to_be_bytes()).to_string()
}

fn at(index: usize) -> String {
    records::time_text((START_S + index as i64) * 1000)
}

async fn record(source: &Source, name: &str, fields: &Json) -> Result<NewRecord, Failure> {
    let topic: &Topic =
        &source.topology.topics.iter().find(|plan| plan.topic.event(name).is_some()).ok_or_else(missing)?.topic;
    let event = topic.event(name).ok_or_else(missing)?;
    let id = source.registry.register(&topic.subject(event), &event.schema).await;
    let id = id.map_err(|error| Failure::because("the registry does not answer", &error))?;
    let fields = fields.as_object().ok_or_else(missing)?;
    let (value, payload) =
        records::payload(&event.schema, id, fields).map_err(|problems| Failure::new(problems.join("; ")))?;
    Ok(NewRecord {
        key: Some(topic.message_key(event, &value).into()),
        payload: Some(payload.into()),
        ..NewRecord::default()
    })
}

fn missing() -> Failure {
    Failure::new("the bench writes events of the document domain, which this project does not declare")
        .mend("Run it in Headwater's own folder.")
}
