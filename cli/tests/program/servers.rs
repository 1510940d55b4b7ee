//! The document domain, unchanged, on real Kafka, a real registry, and real Postgres or Cassandra.

use reqwest::{Method, StatusCode};
use serde_json::Value as Json;

use crate::avro_keys::in_avro;
use crate::client::Client;
use crate::project::Project;

async fn content(client: &Client, id: &str, number: usize) -> Vec<u8> {
    let response = client.request(Method::GET, &format!("/documents/{id}/versions/{number}/content")).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    response.bytes().await.expect("a body").to_vec()
}

/// What a client sees of everything, once its own last write shows.
async fn seen(client: &Client, id: &str, after: &str) -> Vec<Json> {
    let mut all = Vec::new();
    for path in ["/documents", "/documents/count", &format!("/documents/{id}"), &format!("/documents/{id}/versions")] {
        let request = client.request(Method::GET, path).header("headwater-after", after).header("prefer", "wait=30");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        all.push(response.json().await.expect("JSON"));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_goes_all_the_way_through_kafka_into_postgres_and_survives_a_kill() {
    a_document_goes_all_the_way_and_survives_a_kill(&Project::on_servers(), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_goes_all_the_way_through_kafka_into_cassandra_and_survives_a_kill() {
    let (project, keyspace) = Project::on_cassandra().await;
    // With keys in Avro, whose schema is one more.
    in_avro(&project, "document", "doc_id");
    a_document_goes_all_the_way_and_survives_a_kill(&project, 6).await;
    // As anyone else sees it.
    let cql = format!("SELECT name, versions FROM {}.documents_g1", keyspace.name);
    let found = keyspace.session().await.query_unpaged(cql, ()).await.expect("an answer");
    let found = found.into_rows_result().expect("rows");
    let rows: Vec<(String, i64)> = found.rows().expect("its types").map(|row| row.expect("a row")).collect();
    assert_eq!(rows, [("plan.txt".to_owned(), 2)]);
}

async fn a_document_goes_all_the_way_and_survives_a_kill(project: &Project, registered: usize) {
    let ann = r#"{"user_id":"ann","email":"ann@example.org","at":"2026-01-01T00:00:00Z"}"#;
    let topic = project.run(&["check", "--json"]);
    assert_eq!(topic.code, Some(0), "{topic:#?}");
    let user = std::fs::read_to_string(project.path("schemas/user/topic.yaml")).expect("the topic");
    let user = user.lines().find_map(|line| line.strip_prefix("topic: ")).expect("its name").to_owned();
    project.run_with(&["produce", &user, "UserRegistered"], ann).fine();
    let mut up = project.up(&[]);
    let client = Client::new(project, &up.url, "ann");

    let first = client.upload("/documents", "plan.txt", "text/plain", b"one").await.expect("an answer");
    assert_eq!(first.status(), StatusCode::ACCEPTED);
    let first: Json = first.json().await.expect("JSON");
    let id = first["doc_id"].as_str().expect("an id").to_owned();
    let versions = format!("/documents/{id}/versions");
    // A second version at once: the command waits until the views show the first, and where the worker has only just started
    // says for how long it did, and to try again.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let second = loop {
        let second = client.upload(&versions, "plan.txt", "text/plain", b"two").await.expect("an answer");
        let tries = second.status() == StatusCode::SERVICE_UNAVAILABLE && std::time::Instant::now() < deadline;
        if !tries {
            break second;
        }
        assert!(second.headers().contains_key("retry-after"), "{:?}", second.headers());
    };
    assert_eq!(second.status(), StatusCode::ACCEPTED, "{}", second.text().await.unwrap_or_default());
    let after = second.headers()["headwater-position"].to_str().expect("text").to_owned();
    let before = seen(&client, &id, &after).await;
    assert_eq!(before[0]["items"][0]["versions"], 2, "{}", before[0]);
    assert_eq!(before[0]["items"][0]["updated_by_email"], "ann@example.org", "{}", before[0]);

    up.kill();
    let mut up = project.up(&[]);
    let client = client.at(&up.url);
    let again = seen(&client, &id, &after).await;
    for (before, again) in before.iter().zip(&again) {
        assert_eq!(before["items"], again["items"]);
        assert_eq!(before["documents"], again["documents"]);
    }
    assert_eq!((content(&client, &id, 1).await, content(&client, &id, 2).await), (b"one".to_vec(), b"two".to_vec()));
    assert_eq!(up.signal("TERM"), Some(0));

    let schemas = project.run(&["schema", "check"]).fine();
    assert_eq!(schemas.matches(": registered as version 1").count(), registered, "{schemas}");
    let status = project.run(&["status"]).fine();
    let doctor = project.run(&["doctor"]);
    assert_eq!(doctor.code, Some(0), "{doctor:#?}\n{status}");
}
