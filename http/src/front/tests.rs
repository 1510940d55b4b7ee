//! What a request meets before and after its handler, asked of a router without a network.

use super::*;
use axum::body::Body;
use axum::http::Request;
use axum::routing::{get, post};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tower::ServiceExt;

fn routes() -> Router {
    Router::new()
        .route("/things/{id}", get(|| async { "thing" }).post(|| async { "made" }))
        .route("/panics", post(panics))
        .route("/trace", get(|trace: axum::Extension<TraceContext>| async move { trace.traceparent() }))
}

async fn panics() -> &'static str {
    panic!("secret of the house")
}

async fn ask(app: &Router, method: &str, uri: &str, headers: &[(&str, &str)]) -> (Response, String) {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (Response::from_parts(parts, Body::empty()), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_failure_is_a_problem() {
    let limits = Limits { uri_bytes: 100, header_bytes: 500, ..Limits::default() };
    let app = guard(routes(), &limits);
    let long = "x".repeat(600);
    let long_path = format!("/things/{}", "y".repeat(100));
    let cases = [
        ("GET", "/nothing", "", 404, "not-found"),
        ("GET", "/things/a/b", "", 404, "not-found"),
        ("DELETE", "/things/1", "", 405, "method-not-allowed"),
        ("POST", "/panics", "", 500, "internal"),
        ("GET", &long_path, "", 414, "uri-too-long"),
        ("GET", "/things/1", &long, 431, "headers-too-large"),
    ];
    for (method, uri, cookie, status, code) in cases {
        let (response, body) = ask(&app, method, uri, &[("cookie", cookie)]).await;
        let document: Json = serde_json::from_str(&body).unwrap();
        assert_eq!(response.status().as_u16(), status, "{uri}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{uri}");
        assert_eq!(document["type"], json!(format!("urn:headwater:problem:{code}")), "{uri}");
        let id = response.headers()["headwater-request"].to_str().unwrap();
        assert_eq!(document["instance"], json!(format!("urn:headwater:trace:{id}")), "{uri}");
        assert!(!body.contains("secret"), "{body}");
    }
    let (response, _) = ask(&app, "DELETE", "/things/1", &[]).await;
    let allow = response.headers()["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn every_answer_is_guarded_and_traced() {
    let app = guard(routes(), &Limits::default());
    let (response, body) = ask(&app, "GET", "/things/1", &[]).await;
    assert_eq!((response.status().as_u16(), body.as_str()), (200, "thing"));
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["x-frame-options"], "DENY");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (response, body) = ask(&app, "GET", "/trace", &[("traceparent", parent)]).await;
    assert_eq!(response.headers()["headwater-request"], "0af7651916cd43dd8448eb211c80319c");
    let here = TraceContext::parse(&body).unwrap();
    assert_eq!(here.trace_id_hex(), "0af7651916cd43dd8448eb211c80319c");
    assert_ne!(body, parent);
}

#[tokio::test]
async fn beyond_the_slots_a_request_is_turned_away() {
    let (entered, is_in) = tokio::sync::oneshot::channel::<()>();
    let (leave, may_leave) = tokio::sync::oneshot::channel::<()>();
    let channels = Arc::new(std::sync::Mutex::new(Some((entered, may_leave))));
    let slow = get(move || async move {
        let taken = channels.lock().unwrap().take();
        if let Some((entered, may_leave)) = taken {
            entered.send(()).unwrap();
            may_leave.await.unwrap();
        }
        "done"
    });
    let app = guard(Router::new().route("/slow", slow), &Limits { concurrent_requests: 1, ..Limits::default() });
    let first = tokio::spawn({
        let app = app.clone();
        async move { ask(&app, "GET", "/slow", &[]).await.0.status() }
    });
    is_in.await.unwrap();
    let (turned_away, body) = ask(&app, "GET", "/slow", &[]).await;
    assert_eq!(turned_away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(turned_away.headers()["retry-after"], "1");
    assert!(body.contains("urn:headwater:problem:busy"), "{body}");
    leave.send(()).unwrap();
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    assert_eq!(ask(&app, "GET", "/slow", &[]).await.0.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_given_up() {
    let stuck = Router::new().route("/stuck", get(std::future::pending::<&str>));
    let limits = Limits {
        request_time: Duration::from_millis(10),
        longest_wait: Duration::from_millis(10),
        ..Limits::default()
    };
    let (response, body) = ask(&guard(timed(stuck, &limits), &limits), "GET", "/stuck", &[]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("urn:headwater:problem:too-slow"), "{body}");
}
