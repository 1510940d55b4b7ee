//! `key_format: avro`: the document domain with its message keys in Confluent's wire format.

use std::sync::Arc;

use headwater_log::{Log, NewRecord, Offset, Record};
use headwater_schemas::key::KeySchema;
use headwater_schemas::{KeyFormat, Registry, Topic};
use reqwest::{Method, StatusCode};
use serde_json::Value as Json;

use crate::client::Client;
use crate::project::{DEADLINE, Project};

/// Gives a topic keys in Avro.
pub(crate) fn in_avro(project: &Project, topic: &str, key: &str) {
    let name = format!("schemas/{topic}/topic.yaml");
    project.edit(&name, &format!("\nkey: {key}\n"), &format!("\nkey: {key}\nkey_format: avro\n"));
}

/// Every record of a topic, with its partition.
async fn records(log: &Log, topic: &str) -> Vec<Record> {
    let mut all = Vec::new();
    for extent in log.extents(topic).await.expect("the topic") {
        all.extend(log.read(topic, extent.partition, Offset(0), 100, 1 << 20).await.expect("its records"));
    }
    all
}

/// What a query answers once the views have passed `after`.
async fn reading(client: &Client, path: &str, after: &str) -> Json {
    let request = client.request(Method::GET, path).header("headwater-after", after).header("prefer", "wait=30");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    response.json().await.expect("JSON")
}

async fn upload(client: &Client, path: &str, content: &str) -> (Json, String) {
    let answer = client.upload(path, "a.txt", "text/plain", content.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let after = answer.headers()["headwater-position"].to_str().expect("text").to_owned();
    (answer.json().await.expect("JSON"), after)
}

/// Writes the event of a record under keys that are not its own, and a value of the key's schema.
async fn append_wrong_keys(log: Log, written: &Record, (expected, id): (&[u8], &str), schema_id: u32) {
    // The same event under other keys.
    let other_id = [&[0], &(schema_id + 1).to_be_bytes()[..], &expected[5..]].concat();
    let of_another = [&expected[..5], b"\x06bob"].concat();
    for key in [&other_id, &of_another, &expected[..expected.len() - 1].to_vec(), &id.as_bytes().to_vec()] {
        let payload = written.payload.clone();
        let record = NewRecord { key: Some(key.clone().into()), payload, ..NewRecord::default() };
        log.append("document", record).await.expect("appended");
    }
    // A value that says to be of the key's schema.
    let (key, payload) = ([&expected[..5], b"\x06cid"].concat(), expected.to_vec());
    let record = NewRecord { key: Some(key.into()), payload: Some(payload.into()), ..NewRecord::default() };
    log.append("document", record).await.expect("appended");
    log.close().await;
}

/// Waits until all of that is parked, each for what is wrong with it.
fn all_are_parked(project: &Project, schema_id: u32) {
    let started = std::time::Instant::now();
    let parked = loop {
        let parked = project.run(&["parked", "list", "--json"]).lines();
        if parked.len() == 5 {
            break parked;
        }
        assert!(started.elapsed() < DEADLINE, "{parked:?}");
    };
    for (reason, key) in [
        (
            format!(
                "misrouted: the message key has the schema id {}, and the keys of this topic have {schema_id}",
                schema_id + 1
            ),
            None,
        ),
        ("misrouted: the record's message key is not the event's key".to_owned(), Some("bob")),
        (format!("schema {schema_id} is no record: it is string"), Some("cid")),
        ("the message ends in the middle of a value".to_owned(), None),
        ("misrouted: the message key: expected a zero byte first".to_owned(), None),
    ] {
        let found = parked.iter().find(|entry| entry["reason"].as_str().is_some_and(|text| text.contains(&reason)));
        let found = found.unwrap_or_else(|| panic!("{reason} in {parked:?}"));
        assert_eq!(found["record"]["_key"].as_str(), key, "{found}");
        assert_eq!(found["record"]["_key_base64"].is_string(), key.is_none(), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_write_avro_keys_views_follow_them_and_people_read_them() {
    let project = Project::new();
    in_avro(&project, "document", "doc_id");
    let mut up = project.up(&[]);
    let client = Client::new(&project, &up.url, "ann");
    let (first, after) = upload(&client, "/documents", "one").await;
    let id = first["doc_id"].as_str().expect("an id").to_owned();
    reading(&client, "/documents", &after).await;
    // A command on a row: it takes the key's turn, and waits until the views have passed the event before.
    let (_, after) = upload(&client, &format!("/documents/{id}/versions"), "two").await;
    let list = reading(&client, "/documents", &after).await;
    assert_eq!(
        (&list["items"][0]["doc_id"], &list["items"][0]["versions"]),
        (&id.as_str().into(), &2.into()),
        "{list}"
    );

    let said = project.run(&["schema", "check", "--topic", "document", "--json"]).lines();
    let key = said.iter().find(|line| line["subject"] == "document-key").expect("the key's subject");
    assert_eq!((&key["state"], &key["version"]), (&"registered".into(), &1.into()), "{key}");
    let schema_id = u32::try_from(key["id"].as_u64().expect("an id")).expect("of 32 bits");

    let lines = project.run(&["consume", "document", "--key", &id]).lines();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["_key"] == id.as_str() && line["_headers"]["ce_subject"] == id.as_str()));
    let log = Log::open_embedded(&project.path("data")).await.expect("the log");
    let written = records(&log, "document").await;
    let mut expected = vec![0];
    expected.extend(schema_id.to_be_bytes());
    // A length in Avro is twice as much.
    expected.push(u8::try_from(id.len() * 2).expect("a short id"));
    expected.extend(id.as_bytes());
    assert!(written.iter().all(|record| record.key.as_deref() == Some(&expected)), "{written:?}");

    append_wrong_keys(log, &written[0], (&expected, &id), schema_id).await;
    all_are_parked(&project, schema_id);
    let of_bob = project.run(&["parked", "list", "--key", "bob"]).fine();
    assert!(of_bob.contains(" bob ") && of_bob.lines().count() == 2, "{of_bob}");
    assert_eq!(client.get("/documents").await["items"][0]["versions"], 2, "none of them was applied");
    assert_eq!(up.signal("TERM"), Some(0));
}

#[test]
fn avro_keys_are_produced_as_they_are_consumed() {
    let project = Project::new();
    in_avro(&project, "user", "user_id");
    let input = [
        r#"{"_event":"UserRegistered","user_id":"ann","email":"a@example.org","at":"2026-01-01T00:00:00Z"}"#,
        r#"{"_event":"UserRegistered","_key":"bob","user_id":"bob","email":"b@example.org","at":"2026-01-01T00:00:00Z"}"#,
        r#"{"_event":"Tombstone","user_id":"ann"}"#,
        r#"{"_event":"Tombstone","_key":"bob"}"#,
    ];
    project.run_with(&["produce", "user"], &input.join("\n")).fine();
    let lines = project.run(&["consume", "user"]).lines();
    let mut keys: Vec<&str> = lines.iter().filter_map(|line| line["_key"].as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["ann", "ann", "bob", "bob"]);
    let copy = Project::new();
    in_avro(&copy, "user", "user_id");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    copy.run_with(&["produce", "user"], &text).fine();
    assert_eq!(copy.run(&["consume", "user"]).lines(), lines);
    for (line, said) in [
        (input[0].replace("{\"_event\"", "{\"_key\":\"bob\",\"_event\""), "_key: expected ann, which user_id says"),
        (
            r#"{"_event":"Tombstone","_key_base64":"AAAA"}"#.to_owned(),
            "_key: the message key: expected 5 bytes of header",
        ),
    ] {
        let ran = project.run_with(&["produce", "user"], &line);
        assert!(ran.code == Some(1) && ran.err.contains(said), "{ran:#?}");
    }
}

/// Registers a first version of a topic's key, as another program might have.
async fn first_key(project: &Project, topic: &str, text: &str) {
    let topic = Topic {
        name: topic.to_owned(),
        domain: String::new(),
        key: Vec::new(),
        key_format: KeyFormat::Avro(Arc::new(KeySchema::parse(text).expect("Avro"))),
        partitions: 1,
        retention_days: None,
        compact: false,
        deduplicate: None,
        events: Vec::new(),
        ignore: Vec::new(),
    };
    let registry = Registry::open_embedded(&project.path("data")).await.expect("a registry");
    registry.key_codec(&topic).await.expect("registered");
}

#[tokio::test]
async fn a_key_that_is_not_the_registered_one_is_refused_at_the_start() {
    let project = Project::new();
    in_avro(&project, "user", "user_id");
    in_avro(&project, "document", "doc_id");
    first_key(&project, "user", r#""long""#).await;
    // As Java registers it: of the same shape.
    first_key(&project, "document", r#"{"type":"string","avro.java.string":"String"}"#).await;
    project.run_with(&["produce", "document"], "").fine();
    let problem = "user-key: version 1 (id 1), which all keys of the topic have, is long; the declared key is string";
    let ran = project.run_with(&["produce", "user"], "");
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    let said = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [problem, "Declare the key with the types, names and order that version 1 of user-key has"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let ran = project.run(&["schema", "check", "--topic", "user", "--json"]);
    assert!(ran.code == Some(1) && ran.out.contains(problem), "{ran:#?}");
    let ran = project.run(&["doctor"]);
    assert!(format!("{}{}", ran.out, ran.err).contains("user-key"), "doctor says so too: {ran:#?}");
}
