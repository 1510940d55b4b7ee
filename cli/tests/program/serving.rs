//! `up`: commands in, queries out, the same answers after a kill -9.

use reqwest::{Method, StatusCode};
use serde_json::Value as Json;

use crate::client::Client;
use crate::project::Project;

/// Every byte there is, and not text.
fn every_byte() -> Vec<u8> {
    (0..=255u8).cycle().take(100_000).collect()
}

async fn added(client: &Client, path: &str, name: &str, mime_type: &str, content: &[u8]) -> (Json, String) {
    let response = client.upload(path, name, mime_type, content).await.expect("an answer");
    let status = response.status();
    let position =
        response.headers().get("headwater-position").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let answer: Json = response.json().await.expect("JSON");
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    (answer, position.expect("a position"))
}

/// What a client sees of everything.
async fn seen(client: &Client, id: &str) -> Vec<Json> {
    vec![
        client.get("/documents").await["items"].clone(),
        client.get("/documents/count").await,
        client.get(&format!("/documents/{id}")).await,
        client.get(&format!("/documents/{id}/versions")).await["items"].clone(),
    ]
}

async fn content(client: &Client, id: &str, number: usize) -> (Vec<u8>, String, String) {
    let response = client.request(Method::GET, &format!("/documents/{id}/versions/{number}/content")).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    let (kind, disposition) = (header("content-type"), header("content-disposition"));
    (response.bytes().await.expect("a body").to_vec(), kind, disposition)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_goes_all_the_way_and_survives_a_kill() {
    let project = Project::new();
    let ann = r#"{"user_id":"ann","email":"ann@example.org","at":"2026-01-01T00:00:00Z"}"#;
    project.run_with(&["produce", "user", "UserRegistered"], ann).fine();
    let mut up = project.up(&[]);
    let client = Client::new(&project, &up.url, "ann");

    let (first, _) = added(&client, "/documents", "plan.bin", "application/octet-stream", &every_byte()).await;
    let id = first["doc_id"].as_str().expect("an id").to_owned();
    let (_, position) =
        added(&client, &format!("/documents/{id}/versions"), "Plän „2“.txt", "text/plain", "zwei".as_bytes()).await;

    let reading =
        client.request(Method::GET, "/documents").header("headwater-after", position).header("prefer", "wait=10");
    let list: Json = reading.send().await.expect("an answer").json().await.expect("JSON");
    let row = &list["items"][0];
    assert_eq!(
        (&row["doc_id"], &row["name"], &row["versions"]),
        (&id.as_str().into(), &"Plän „2“.txt".into(), &2.into())
    );
    client.until("/documents", |list| list["items"][0]["updated_by_email"] == "ann@example.org").await;

    let before = seen(&client, &id).await;
    assert_eq!(before[1]["documents"], 1);
    assert_eq!(before[3].as_array().map(Vec::len), Some(2));
    assert_eq!((&before[3][0]["number"], &before[3][1]["number"]), (&2.into(), &1.into()));
    up.kill();

    let mut up = project.up(&[]);
    let client = client.at(&up.url);
    assert_eq!(seen(&client, &id).await, before);
    let (bytes, kind, disposition) = content(&client, &id, 1).await;
    assert!(bytes == every_byte(), "version 1 is what was sent");
    assert_eq!(kind, "application/octet-stream");
    assert!(disposition.contains("plan.bin"), "{disposition}");
    let (bytes, kind, _) = content(&client, &id, 2).await;
    assert_eq!(bytes, "zwei".as_bytes());
    assert!(kind.starts_with("text/plain"), "{kind}");
    assert_eq!(up.signal("TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_followed_from_the_request_to_the_views() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let project = Project::new();
    let logs = project.path("logs");
    let file = std::fs::File::create(&logs).expect("a file");
    let mut up = project.up_with(&[], |command| {
        command.env("HEADWATER_LOG", "headwater=debug").stderr(file);
    });
    let client = Client::new(&project, &up.url, "ann");
    let request = client.request(Method::POST, "/documents?name=a.txt").body("x");
    let answer = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")).send().await;
    let position = answer.expect("an answer").headers()["headwater-position"].clone();
    let reading = client.request(Method::GET, "/documents").header("headwater-after", position);
    let answer = reading.header("prefer", "wait=30").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(up.signal("TERM"), Some(0));
    let logs = std::fs::read_to_string(logs).expect("logs");
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let reflected: Vec<Json> = lines.filter(|line| line["message"] == "the views reflect a record").collect();
    assert_eq!(reflected.len(), 1, "{logs}");
    assert_eq!((&reflected[0]["trace_id"], &reflected[0]["topic"]), (&TRACE.into(), &"document".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_a_problem_and_leaves_no_trace() {
    let project = Project::new();
    let up = project.up(&[]);
    let client = Client::new(&project, &up.url, "ann");
    let anonymous = reqwest::Client::new();
    let url = format!("{}/documents?name=a&mime_type=text/plain", up.url);
    assert_eq!(anonymous.post(url).body("x").send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    for (path, name, kind, status) in [
        ("/documents", "", "text/plain", 422),
        ("/documents", &"n".repeat(256), "text/plain", 422),
        ("/documents", "a.txt", "plain", 422),
        ("/documents/nowhere/versions", "a.txt", "text/plain", 404),
        ("/nothing", "a.txt", "text/plain", 404),
    ] {
        let response = client.upload(path, name, kind, b"x").await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{path} {name} {kind}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    let removed = client.request(Method::DELETE, "/documents/nowhere").send().await.expect("an answer");
    assert_eq!(removed.status(), StatusCode::NOT_FOUND);
    assert_eq!(client.get("/documents/count").await["documents"], 0);
    assert_eq!(project.run(&["consume", "document"]).fine(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_removes_a_document_and_nothing_of_it_is_left() {
    let project = Project::new();
    let up = project.up(&[]);
    let (ann, bob) = (Client::new(&project, &up.url, "ann"), Client::new(&project, &up.url, "bob"));
    let (first, _) = added(&ann, "/documents", "a.txt", "text/plain", b"").await;
    let path = format!("/documents/{}", first["doc_id"].as_str().expect("an id"));
    let refused = bob.request(Method::DELETE, &path).send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let (bytes, ..) = content(&ann, first["doc_id"].as_str().expect("an id"), 1).await;
    assert_eq!(bytes, b"", "an empty file is a file");
    let removed = ann.request(Method::DELETE, &path).send().await.expect("an answer");
    assert_eq!(removed.status(), StatusCode::ACCEPTED, "{:?}", removed.text().await);
    ann.until("/documents/count", |count| count["documents"] == 0).await;
    let gone = ann.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_declaration_is_named_and_folded_anew_when_asked() {
    let project = Project::new();
    let mut up = project.up(&[]);
    let client = Client::new(&project, &up.url, "ann");
    let (first, _) = added(&client, "/documents", "a.txt", "text/plain", b"one").await;
    let id = first["doc_id"].as_str().expect("an id").to_owned();
    client.until("/documents/count", |count| count["documents"] == 1).await;
    let before = seen(&client, &id).await;
    assert_eq!(up.signal("INT"), Some(0));

    let topology = "pipelines/document/topology.yaml";
    project.edit(topology, "      versions: sum(versions)", "      versions: sum(versions)\n      most: count()");
    let ran = project.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.err.contains("most") && ran.err.contains("--reset document"), "{}", ran.err);

    let up = project.up(&["--reset", "document"]);
    let client = client.at(&up.url);
    let count = client.until("/documents/count", |count| count["documents"] == 1).await;
    assert_eq!(count["most"], 1);
    let after = seen(&client, &id).await;
    assert_eq!(after[2..], before[2..], "the same rows, folded anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_on_the_same_address_says_so() {
    let project = Project::new();
    let up = project.up(&[]);
    let address = up.url.trim_start_matches("http://").to_owned();
    let ran = project.run(&["up", "--listen", &address]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.err.contains("cannot be listened on") && ran.err.contains("--listen"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_adds_a_folder_once() {
    let project = Project::new();
    let files = tempfile::tempdir().expect("a folder");
    for (name, content) in [("a.md", "# a"), ("b/ü.txt", "b"), ("empty", "")] {
        let path = files.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    let up = project.up(&[]);
    let folder = files.path().to_str().expect("text");
    let said = project.run(&["demo", folder, "--url", &up.url]).fine();
    for part in ["a.md", "b/ü.txt", "empty", "@example.org", "3 latest documents, of 3 in all"] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
    project.run(&["demo", folder, "--url", &up.url]).fine();
    let client = Client::new(&project, &up.url, "ann");
    assert_eq!(client.get("/documents/count").await["versions"], "3", "the second time changes nothing");
    let status: Json = serde_json::from_str(&project.run(&["status", "--json"]).fine()).expect("JSON");
    assert_eq!(
        (&status["topologies"][0]["lag_records"], &status["topologies"][0]["parked_records"]),
        (&0.into(), &0.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn its_parts_run_as_processes_of_their_own() {
    use std::io::{BufRead, BufReader};
    let project = Project::new();
    let start = |part: &str| {
        let mut child = project.command(&[part, "--listen", "127.0.0.1:0"]).spawn().expect("it runs");
        let mut line = String::new();
        let mut err = BufReader::new(child.stderr.take().expect("stderr"));
        while !line.contains("http://") {
            line.clear();
            assert!(err.read_line(&mut line).expect("a line") > 0, "{part} ended");
        }
        // What it says later is let go by: a full pipe would stop it.
        std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("a url");
        (Ended(child), url.split("/ready").next().expect("a url").to_owned())
    };
    let (_worker, _) = start("run");
    let (_commands, commands) = start("command-api");
    let (_queries, queries) = start("query-api");
    let client = Client::new(&project, &commands, "ann");
    let (first, _) = added(&client, "/documents", "a.txt", "text/plain", b"one").await;
    let id = first["doc_id"].as_str().expect("an id").to_owned();
    // It looks at a row that another process writes.
    added(&client, &format!("/documents/{id}/versions"), "a.txt", "text/plain", b"two").await;
    let reader = client.at(&queries);
    reader.until(&format!("/documents/{id}"), |row| row["versions"] == 2).await;
    assert_eq!(content(&reader, &id, 2).await.0, b"two");
}

/// Killed when dropped.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Already gone where it failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
