//! Commands that look at a row: absent rows, rights, conditions, and what is not there yet.

use headwater_log::NewRecord;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, eventually, settings, told};

#[tokio::test(flavor = "multi_thread")]
async fn who_may_and_what_is_there() {
    let world = World::sqlite(settings()).await;
    let (status, opened) =
        told(world.post("/accounts", json!({ "email": "x@y", "name": "n" })).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{opened}");
    let path = format!("/accounts/{}", opened["account_id"].as_str().unwrap());
    let delete = |path: &str| world.request(Method::DELETE, path);
    let administrator = world.token_with("root", &["administrator"]);
    let cases = [
        (delete(&path), StatusCode::UNAUTHORIZED),
        (delete(&path).bearer_auth("nonsense"), StatusCode::UNAUTHORIZED),
        (delete(&path).bearer_auth(world.token("anna")), StatusCode::FORBIDDEN),
        (delete("/accounts/unknown").bearer_auth(&administrator), StatusCode::NOT_FOUND),
        (
            delete(&path).bearer_auth(&administrator).header("if-match", "\"g1.p0.o999.h0\""),
            StatusCode::PRECONDITION_FAILED,
        ),
        (delete(&path).bearer_auth(&administrator).header("if-match", "nonsense"), StatusCode::BAD_REQUEST),
        (delete(&path).bearer_auth(&administrator).header("headwater-after", "nonsense"), StatusCode::BAD_REQUEST),
        (delete(&path).bearer_auth(&administrator).body("x"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (delete(&path).bearer_auth(&administrator).json(&json!({ "x": 1 })), StatusCode::UNPROCESSABLE_ENTITY),
        (world.post("/notes", json!({ "text": "x" })).header("if-match", "*"), StatusCode::BAD_REQUEST),
        (world.request(Method::GET, &path), StatusCode::METHOD_NOT_ALLOWED),
        (delete(&path).bearer_auth(&administrator).header("if-match", "*"), StatusCode::ACCEPTED),
        (delete(&path).bearer_auth(&administrator), StatusCode::NOT_FOUND),
    ];
    for (i, (request, expected)) in cases.into_iter().enumerate() {
        let (status, body) = told(request.send().await.unwrap()).await;
        assert_eq!(status, expected, "{i}: {body}");
    }
    // What was refused left no trace.
    assert_eq!(world.records("account").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_where_and_what() {
    let world = World::sqlite(settings()).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = world.post("/accounts", json!({ "email": "x@y", "name": "n" }));
    let response = request.header("traceparent", trace).header("tracestate", "a=b").send().await.unwrap();
    let headers = response.headers().clone();
    let (_, body) = told(response).await;
    let id = body["account_id"].as_str().unwrap();
    assert_eq!(headers["location"], format!("/accounts/{id}"));
    assert_eq!(headers["headwater-position"], body["position"].as_str().unwrap());
    let record = world.records("account").await.remove(0);
    let header = |name: &str| String::from_utf8(record.header(name).unwrap().to_vec()).unwrap();
    assert_eq!(header("ce_id"), body["event_id"].as_str().unwrap());
    assert_eq!(
        [header("ce_type"), header("ce_specversion"), header("ce_source"), header("ce_subject")],
        ["account.AccountOpened", "1.0", "/commands/open_account", id]
    );
    assert_eq!(header("content-type"), "avro/binary");
    assert_eq!(header("traceparent")[..35], trace[..35]);
    assert_eq!(header("tracestate"), "a=b");
    assert_eq!(record.key.as_deref(), Some(id.as_bytes()));
    let event = world.event("account", &record).await;
    assert_eq!((&event["email"], &event["account_id"]), (&json!("x@y"), &json!(id)));
    // The token names the record: with it a command waits for the views.
    let patch = world.request(Method::PATCH, &format!("/accounts/{id}")).json(&json!({ "name": "m" }));
    let patch = patch.header("headwater-after", body["position"].as_str().unwrap()).header("prefer", "wait=20");
    assert_eq!(patch.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let changed = world.row_soon("accounts", id).await;
    assert_eq!(changed.values[1], headwater_schemas::Value::string("x@y"));
}

/// A row that is not what the log says decides nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_key_refuses_commands() {
    for world in World::both().await {
        let token = world.token("anna");
        world.post("/counters", json!({ "counter_id": "c" })).send().await.unwrap();
        let poison = NewRecord { key: Some("c".into()), payload: Some("poison".into()), ..NewRecord::default() };
        world.api.log.append("counter", poison).await.unwrap();
        let put = || world.request(Method::PUT, "/counters/c").bearer_auth(&token).json(&json!({ "value": 1 }));
        let body = eventually(async || {
            let (status, body) = told(put().send().await.unwrap()).await;
            (status == StatusCode::CONFLICT).then_some(body)
        })
        .await;
        assert_eq!(body["type"], "urn:headwater:problem:parked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_what_commands_take() {
    let world = World::memory(settings()).await;
    let mut document = headwater_http::openapi::Document::new("clubs", "1");
    headwater_command_api::describe(world.api.commands.iter().map(|command| &**command), &mut document);
    let document = document.build();
    let take_note = &document["paths"]["/notes"]["post"];
    let fields = &take_note["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(fields["required"], json!(["text"]));
    let names: Vec<&String> = fields["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["text", "stars", "price"]);
    let change = &document["paths"]["/accounts/{account_id}"]["patch"];
    assert_eq!(change["requestBody"]["content"]["application/json"]["schema"]["required"], json!([]));
    for status in ["202", "404", "409", "412", "422", "503"] {
        assert!(change["responses"].get(status).is_some(), "{status}");
    }
    let file = &document["paths"]["/files"]["post"]["requestBody"]["content"];
    assert!(file["multipart/form-data"]["schema"]["properties"]["content"].is_object());
    let accepted = &document["paths"]["/files"]["post"]["responses"]["202"]["content"]["application/json"]["schema"];
    assert_eq!(accepted["required"], json!(["file_id", "event_id", "position"]));
    assert!(document["paths"]["/accounts/{account_id}"]["delete"].get("requestBody").is_none());
}
