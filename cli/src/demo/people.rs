//! The demo's users, registered through events as the user domain would.

use headwater_log::{Header, NewRecord, Offset, partition_for};
use serde_json::json;
use uuid::Uuid;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::records;

pub(crate) struct Person {
    pub(crate) id: &'static str,
    email: &'static str,
    first_name: &'static str,
    last_name: &'static str,
}

pub(crate) const PEOPLE: [Person; 4] = [
    Person { id: "alice", email: "alice@example.org", first_name: "Alice", last_name: "Arden" },
    Person { id: "bob", email: "bob@example.org", first_name: "Bob", last_name: "Birch" },
    Person { id: "chiara", email: "chiara@example.org", first_name: "Chiara", last_name: "Conti" },
    Person { id: "dai", email: "dai@example.org", first_name: "Dai", last_name: "Davies" },
];

const TOPIC: &str = "user";
const EVENT: &str = "UserRegistered";

/// Registers those who are not registered yet.
pub(crate) async fn register(environment: &Environment) -> Result<(), Failure> {
    let topic = environment.topic(TOPIC)?.clone();
    environment.declare_topic(&topic).await?;
    let event = topic.event(EVENT).ok_or_else(|| Failure::new(format!("the topic {TOPIC} has no event {EVENT}")))?;
    let registered = environment.registry.register(&topic.subject(event), &event.schema).await;
    let id = registered.map_err(|error| Failure::because("the registry does not answer", &error))?;
    let keys = environment.keys_of(&topic).await?;
    for person in &PEOPLE {
        let event_id =
            Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("headwater/demo/{}", person.id).as_bytes()).to_string();
        let fields = json!({
            "user_id": person.id, "email": person.email, "first_name": person.first_name,
            "last_name": person.last_name, "at": records::time_text(chrono::Utc::now().timestamp_millis()),
        });
        let Some(fields) = fields.as_object() else { continue };
        let (value, payload) = records::payload(&event.schema, id, fields).map_err(|problems| {
            Failure::new(format!("a {EVENT} cannot be written: {}", problems.join("; ")))
                .mend("The demo needs the user topic as it was declared at first.")
        })?;
        let key = keys.of_record(event, &value);
        let partition = partition_for(&key, topic.partitions);
        let cannot = |error| Failure::because(format!("the topic {TOPIC} cannot be used"), &error);
        let extents = environment.log.extents(TOPIC).await.map_err(cannot)?;
        let from =
            extents.iter().find(|extent| extent.partition == partition).map_or(Offset(0), |extent| extent.earliest);
        let there =
            environment.log.find_header(TOPIC, partition, from, "ce_id", event_id.as_bytes()).await.map_err(cannot)?;
        if there.is_some() {
            continue;
        }
        let header =
            |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned().into_bytes().into() };
        let headers = vec![
            header("ce_specversion", "1.0"),
            header("ce_id", &event_id),
            header("ce_source", "headwater/demo"),
            header("ce_type", &event.schema.record.name),
        ];
        let record =
            NewRecord { key: Some(key.into()), payload: Some(payload.into()), headers, ..NewRecord::default() };
        environment.log.append(TOPIC, record).await.map_err(cannot)?;
    }
    Ok(())
}
