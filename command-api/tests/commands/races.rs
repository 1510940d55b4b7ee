//! Each claim among concurrent clients, in one process and through two servers on one store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use headwater_command_api::{Settings, Step};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, eventually, settings, settled, told};

const CLIENTS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_take_one_value_one_has_it() {
    for world in World::both().await {
        let twin = world.twin(settings()).await;
        for path in ["/members", "/accounts"] {
            let answers = join_all((0..CLIENTS).map(|i| {
                let body = match path {
                    "/members" => json!({ "nick": if i % 3 == 0 { "ANNA" } else { "anna" } }),
                    _ => json!({ "email": if i % 3 == 0 { "A@b.c" } else { "a@b.c" }, "name": format!("n{i}") }),
                };
                let world = if i % 2 == 0 { &world } else { &twin };
                settled(move || world.post(path, body.clone()))
            }))
            .await;
            let accepted = answers.iter().filter(|(status, _)| *status == StatusCode::ACCEPTED).count();
            assert_eq!(accepted, 1, "{path}: {answers:?}");
            for (status, body) in answers.iter().filter(|(status, _)| *status != StatusCode::ACCEPTED) {
                assert_eq!(*status, StatusCode::CONFLICT, "{body}");
                assert_eq!(body["type"], "urn:headwater:problem:not-unique");
                assert_eq!(body["errors"][0]["field"], if path == "/members" { "nick" } else { "email" });
            }
            assert_eq!(world.records(path.trim_matches('/').trim_end_matches('s')).await.len(), 1);
        }
        twin.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_free_again_once_its_owner_has_left_it() {
    let world = World::sqlite(settings()).await;
    let (status, opened) =
        told(world.post("/accounts", json!({ "email": "x@y", "name": "n" })).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{opened}");
    let path = format!("/accounts/{}", opened["account_id"].as_str().unwrap());
    let patch = |body: serde_json::Value| world.request(Method::PATCH, &path).json(&body);
    // Its own value is its own; another one frees it, and nobody releases anything.
    assert_eq!(patch(json!({ "email": "X@Y" })).send().await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(patch(json!({ "email": "z@y" })).send().await.unwrap().status(), StatusCode::ACCEPTED);
    let again = eventually(async || {
        let (status, body) =
            told(world.post("/accounts", json!({ "email": "x@y", "name": "m" })).send().await.unwrap()).await;
        // Until the view shows the change, the value is its old owner's.
        (status != StatusCode::CONFLICT).then_some((status, body))
    })
    .await;
    assert_eq!(again.0, StatusCode::ACCEPTED, "{}", again.1);
    let (status, body) = told(patch(json!({ "email": "x@Y" })).send().await.unwrap()).await;
    assert_eq!((status, &body["type"]), (StatusCode::CONFLICT, &json!("urn:headwater:problem:not-unique")));
}

/// A command that is held up for longer than a claim lasts, while the views stand still: nothing but the claim tells it
/// that the value went to somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_was_gone_takes_the_value_again() {
    for mut world in World::both().await {
        let (status, opened) =
            told(world.post("/accounts", json!({ "email": "a@a", "name": "n" })).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{opened}");
        let id = opened["account_id"].as_str().unwrap();
        world.row_soon("accounts", id).await;
        world.stop_worker().await;
        let (stalled, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let hook = {
            let (stalled, go_on) = (Arc::clone(&stalled), Arc::clone(&go_on));
            move |step| {
                // The first time only.
                if step == Step::ValueFree && !stalled.swap(true, Ordering::SeqCst) {
                    while !go_on.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            }
        };
        let wait = Duration::from_secs(1);
        let slow = world.twin(Settings { wait, at: Some(Arc::new(hook)), ..settings() }).await;
        let patch = slow.request(Method::PATCH, &format!("/accounts/{id}")).json(&json!({ "email": "b@b" }));
        let patch = tokio::spawn(async move { told(patch.send().await.unwrap()).await });
        eventually(async || stalled.load(Ordering::SeqCst).then_some(())).await;
        let taken = settled(|| world.post("/accounts", json!({ "email": "b@b", "name": "m" }))).await;
        assert_eq!(taken.0, StatusCode::ACCEPTED, "{}", taken.1);
        go_on.store(true, Ordering::SeqCst);
        let (status, body) = patch.await.unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        let mut emails = Vec::new();
        for record in world.records("account").await {
            emails.push(world.event("account", &record).await["email"].as_str().unwrap().to_owned());
        }
        emails.sort();
        assert_eq!(emails, ["a@a", "b@b"]);
        slow.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_increments_are_fifty() {
    for world in World::both().await {
        let twin = world.twin(settings()).await;
        let token = world.token("anna");
        let started = world.post("/counters", json!({ "counter_id": "c" })).send().await.unwrap();
        assert_eq!(started.status(), StatusCode::ACCEPTED, "{:?}", started.text().await);
        join_all((0..CLIENTS).map(|i| {
            let (world, token) = (if i % 2 == 0 { &world } else { &twin }, &token);
            async move {
                eventually(async || {
                    let row = world.row("counters", "c").await?;
                    let headwater_schemas::Value::Long(value) = row.values[1] else { panic!("{row:?}") };
                    let request = world.request(Method::PUT, "/counters/c").bearer_auth(token);
                    let request = request.header("if-match", world.etag(&row)).json(&json!({ "value": value + 1 }));
                    let (status, body) = told(request.send().await.unwrap()).await;
                    let lost = [StatusCode::PRECONDITION_FAILED, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
                    assert!(lost || status == StatusCode::ACCEPTED, "{status} {body}");
                    (status == StatusCode::ACCEPTED).then_some(())
                })
                .await;
            }
        }))
        .await;
        assert_eq!(world.records("counter").await.len(), 1 + CLIENTS);
        let value = headwater_schemas::Value::Long(CLIENTS as i64);
        eventually(async || world.row("counters", "c").await.filter(|row| row.values[1] == value)).await;
        twin.close().await;
    }
}

/// Without If-Match a requirement over the row is exact all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_guard_is_exact_among_commands() {
    for world in World::both().await {
        let token = world.token("anna");
        world.post("/counters", json!({ "counter_id": "c" })).send().await.unwrap();
        let values: Vec<i64> = (0..20).map(|i| (i * 7) % 20).collect();
        let answers = join_all(values.iter().map(|value| {
            let request =
                world.request(Method::PUT, "/counters/c").bearer_auth(&token).json(&json!({ "value": value }));
            async move { told(request.send().await.unwrap()).await }
        }))
        .await;
        // A counter only rises: so it did in the log, whatever was refused.
        let mut written = Vec::new();
        for record in world.records("counter").await {
            written.push(world.event("counter", &record).await["value"].as_i64().unwrap());
        }
        assert!(written.is_sorted(), "{written:?}");
        for (status, body) in &answers {
            assert!(*status == StatusCode::ACCEPTED || body["detail"] == "a counter only rises", "{status} {body}");
        }
        let accepted = answers.iter().filter(|(status, _)| *status == StatusCode::ACCEPTED).count();
        assert_eq!(accepted + 1, written.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_is_one_event() {
    for world in World::both().await {
        let twin = world.twin(settings()).await;
        world.post("/counters", json!({ "counter_id": "c" })).send().await.unwrap();
        let token = world.token("anna");
        let cases = [
            (Method::POST, "/notes", json!({ "text": "hello" }), "note"),
            (Method::POST, "/members", json!({ "nick": "bert" }), "member"),
            (Method::POST, "/accounts", json!({ "email": "b@b", "name": "b" }), "account"),
            (Method::PUT, "/counters/c", json!({ "value": 7 }), "counter"),
        ];
        for (method, path, body, topic) in cases {
            let before = world.records(topic).await.len();
            let answers = join_all((0..CLIENTS).map(|i| {
                let (world, token) = (if i % 2 == 0 { &world } else { &twin }, &token);
                let (method, body) = (&method, &body);
                settled(move || {
                    let request = world.request(method.clone(), path).json(body);
                    request.header("idempotency-key", "k 1").bearer_auth(token)
                })
            }))
            .await;
            for answer in &answers {
                assert_eq!(answer.0, StatusCode::ACCEPTED, "{path}: {}", answer.1);
                assert_eq!(answer.1, answers[0].1, "the same answer to all");
            }
            assert_eq!(world.records(topic).await.len() - before, 1, "{path}");
            // Somebody else's key is another key.
            let other = world.request(method, path).json(&body).header("idempotency-key", "k 1");
            let other = told(other.bearer_auth(world.token("bert")).send().await.unwrap()).await;
            assert_ne!(other.1["event_id"], answers[0].1["event_id"]);
        }
        twin.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_for_one_request_only() {
    let world = World::sqlite(settings()).await;
    let send = |text: &str| world.post("/notes", json!({ "text": text })).header("idempotency-key", "k").send();
    let first = told(send("a").await.unwrap()).await;
    assert_eq!(first.0, StatusCode::ACCEPTED);
    let other = told(send("b").await.unwrap()).await;
    assert_eq!(
        (other.0, &other.1["type"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("urn:headwater:problem:idempotency-key-reused"))
    );
    // Spelled otherwise it is the same request.
    let spelled = world.request(Method::POST, "/notes").header("idempotency-key", "k");
    let spelled = spelled.header("content-type", "application/json").body("{ \"stars\": null, \"text\":\"\\u0061\" }");
    assert_eq!(told(spelled.send().await.unwrap()).await, first);
    for key in ["", &"k".repeat(256), "k\u{e9}"] {
        let request = world.post("/notes", json!({ "text": "a" }));
        let request =
            request.header("idempotency-key", reqwest::header::HeaderValue::from_bytes(key.as_bytes()).unwrap());
        let (status, body) = told(request.send().await.unwrap()).await;
        assert_eq!(
            (status, &body["errors"][0]["field"]),
            (StatusCode::BAD_REQUEST, &json!("Idempotency-Key")),
            "{key}"
        );
    }
    // What was refused is not kept: the same request may be right later.
    let closed = || {
        world
            .request(Method::DELETE, "/accounts/nobody")
            .header("idempotency-key", "d")
            .bearer_auth(world.token_with("a", &["administrator"]))
    };
    for _ in 0..2 {
        assert_eq!(told(closed().send().await.unwrap()).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(world.records("note").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn post_then_put_at_once_just_works() {
    for world in World::both().await {
        let token = world.token("anna");
        for i in 0..10 {
            let counter = format!("c{i}");
            let started = world.post("/counters", json!({ "counter_id": counter })).send().await.unwrap();
            assert_eq!(started.status(), StatusCode::ACCEPTED);
            let path = format!("/counters/{counter}");
            for value in [1, 2] {
                let put = world.request(Method::PUT, &path).bearer_auth(&token).json(&json!({ "value": value }));
                let (status, body) = told(put.send().await.unwrap()).await;
                assert_eq!(status, StatusCode::ACCEPTED, "{body}");
            }
        }
    }
}
