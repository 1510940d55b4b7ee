//! What is wrong with a request is told all at once, each thing with its place.

use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};

use crate::world::{World, settings, told};

fn named(body: &Json) -> Vec<(String, String)> {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| (text(&error["in"]), text(&error["field"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_named_at_once() {
    let world = World::memory(settings()).await;
    let cases = [
        (json!({}), vec!["text"]),
        (
            json!({ "text": 1, "stars": "x", "colour": "red", "note_id": "mine", "price": "1.234" }),
            vec!["colour", "note_id", "price", "stars", "text"],
        ),
        (json!({ "text": "", "stars": 3000000000u64 }), vec!["stars", "text"]),
        (json!({ "text": "" }), vec!["text"]),
        (json!({ "text": "a\u{0}b" }), vec!["text"]),
        (json!({ "text": null }), vec!["text"]),
    ];
    for (sent, expected) in cases {
        let (status, body) = told(world.post("/notes", sent.clone()).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{sent}: {body}");
        let mut fields: Vec<String> = named(&body).into_iter().map(|(_, field)| field).collect();
        fields.sort_unstable();
        assert_eq!(fields, expected, "{sent}: {body}");
    }
    assert!(world.records("note").await.is_empty());
    // Any text that is text is data.
    for text in
        ["../../etc/passwd", "\u{202e}txt.exe", "\n\r\t\u{1b}[31m", &"é".repeat(2000), "'; drop table notes; --"]
    {
        let (status, body) = told(world.post("/notes", json!({ "text": text })).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        let row = world.row_soon("notes", body["note_id"].as_str().unwrap()).await;
        assert_eq!(row.values[1], headwater_schemas::Value::string(text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_are_told_where() {
    let world = World::memory(settings()).await;
    let raw = |content_type: Option<&str>, body: &'static str| {
        let request = world.request(Method::POST, "/notes").body(body);
        match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        }
    };
    let json_type = Some("application/json");
    let cases = [
        (raw(json_type, "{\n \"text\": }"), StatusCode::BAD_REQUEST, "malformed-json"),
        (raw(json_type, "{\"text\": \"a\", \"text\": \"b\"}"), StatusCode::BAD_REQUEST, "malformed-json"),
        (raw(json_type, "[1]"), StatusCode::BAD_REQUEST, "malformed-json"),
        (raw(None, "{\"text\": \"a\"}"), StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
        (raw(Some("text/plain"), "{\"text\": \"a\"}"), StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type"),
        (raw(json_type, ""), StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields"),
        (world.post("/notes?x=1", json!({ "text": "a" })), StatusCode::BAD_REQUEST, "bad-request"),
        (world.post("/notes", json!({ "text": "a".repeat(1 << 20) })), StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        (
            world.post("/notes", json!({ "text": "a".repeat((1 << 20) - 100) })),
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
        ),
        (
            world.request(Method::PUT, "/counters/%ff").bearer_auth(world.token("a")).json(&json!({ "value": 1 })),
            StatusCode::BAD_REQUEST,
            "bad-request",
        ),
        (raw(Some("application/vnd.x+json; charset=utf-8"), "{\"text\": \"a\"}"), StatusCode::ACCEPTED, ""),
    ];
    for (i, (request, status, code)) in cases.into_iter().enumerate() {
        let (found, body) = told(request.send().await.unwrap()).await;
        assert_eq!(found, status, "{i}: {body}");
        let ty = body["type"].as_str().unwrap_or_default();
        assert_eq!(ty.rsplit(':').next().unwrap(), code, "{i}: {body}");
    }
    let (_, body) = told(raw(json_type, "{\n \"text\": }").send().await.unwrap()).await;
    assert_eq!((&body["line"], &body["column"]), (&json!(2), &json!(10)));
    assert_eq!(world.records("note").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_hold_is_told_in_its_own_words() {
    let world = World::sqlite(settings()).await;
    let token = world.token("anna");
    world.post("/counters", json!({ "counter_id": "c" })).send().await.unwrap();
    let put =
        |value: Json| world.request(Method::PUT, "/counters/c").bearer_auth(&token).json(&json!({ "value": value }));
    assert_eq!(put(json!(5)).send().await.unwrap().status(), StatusCode::ACCEPTED);
    let (status, body) = told(put(json!(-1)).send().await.unwrap()).await;
    assert_eq!((status, &body["detail"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("value must not be negative")));
    assert_eq!(named(&body), [("body".to_owned(), "value".to_owned())]);
    let (status, body) = told(put(json!(3)).send().await.unwrap()).await;
    assert_eq!((status, &body["detail"]), (StatusCode::CONFLICT, &json!("a counter only rises")));
}
