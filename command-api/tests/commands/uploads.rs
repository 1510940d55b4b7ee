//! Content: streamed, checked before it is read, hashed, bounded, and gone where nothing came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_command_api::{Settings, sweep_once};
use headwater_http::Limits;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, eventually, settings, told};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn event_part(fields: Json) -> Part {
    Part::text(fields.to_string()).mime_str("application/json").expect("a type")
}

fn content_part(bytes: &'static [u8]) -> Part {
    Part::bytes(bytes).file_name("résumé \u{202e}.txt").mime_str("text/plain").expect("a type")
}

async fn files(world: &World) -> Vec<Json> {
    let mut events = Vec::new();
    for record in world.records("file").await {
        events.push(world.event("file", &record).await);
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn content_comes_with_its_fields_or_by_itself() {
    for world in World::both().await {
        let post = || world.request(Method::POST, "/files").bearer_auth(world.token("anna"));
        let whole = Form::new().part("event", event_part(json!({ "name": "a", "mime_type": "x/y" })));
        let cases: Vec<(RequestBuilder, &str, &str, &[u8])> = vec![
            (post().multipart(whole.part("content", content_part(b"one"))), "a", "x/y", b"one"),
            (
                post().multipart(Form::new().part("event", event_part(json!({}))).part("content", content_part(b""))),
                "résumé \u{202e}.txt",
                "text/plain",
                b"",
            ),
            (
                post().multipart(Form::new().part("content", content_part(b"two"))),
                "résumé \u{202e}.txt",
                "text/plain",
                b"two",
            ),
            (
                world
                    .request(Method::POST, "/files?name=b%2Fc+d&mime_type=a/b")
                    .bearer_auth(world.token("anna"))
                    .body("three"),
                "b/c d",
                "a/b",
                b"three",
            ),
            (
                world
                    .request(Method::POST, "/files?name=x")
                    .bearer_auth(world.token("anna"))
                    .header("content-type", "application/json")
                    .body("{"),
                "x",
                "application/json",
                b"{",
            ),
        ];
        for (i, (request, name, mime_type, content)) in cases.into_iter().enumerate() {
            let (status, body) = told(request.send().await.unwrap()).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{i}: {body}");
            let id = body["file_id"].as_str().unwrap();
            let event = files(&world).await.into_iter().find(|event| event["file_id"] == id).expect("the event");
            assert_eq!((&event["name"], &event["mime_type"]), (&json!(name), &json!(mime_type)), "{i}");
            assert_eq!(event["content"]["sha256"], hex(&Sha256::digest(content)), "{i}");
            assert_eq!(event["content"]["size"], content.len(), "{i}");
            let blob = world.api.blob_folder.as_ref().unwrap().join(event["content"]["blob"].as_str().unwrap());
            assert_eq!(std::fs::read(blob).unwrap(), content, "{i}");
        }
        // Every note has served.
        eventually(async || (world.blobs().len() == 5).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing() {
    let world = World::sqlite(Settings { upload_bytes: 1000, ..settings() }).await;
    let added = Form::new().part("content", content_part(b"one"));
    let added = world.request(Method::POST, "/files").bearer_auth(world.token("anna")).multipart(added);
    let (_, added) = told(added.send().await.unwrap()).await;
    let own = format!("/files/{}", added["file_id"].as_str().unwrap());
    eventually(async || (world.blobs().len() == 1).then_some(())).await;

    let post = |form: Form| world.request(Method::POST, "/files").bearer_auth(world.token("anna")).multipart(form);
    let event = |fields: Json| Form::new().part("event", event_part(fields));
    let put = |path: &str, sub: &str| {
        world
            .request(Method::PUT, path)
            .bearer_auth(world.token(sub))
            .multipart(Form::new().part("content", content_part(b"x")))
    };
    static LARGE: [u8; 1001] = [7; 1001];
    let cases = [
        (post(event(json!({ "name": "", "x": 1 })).part("content", content_part(b"x"))), 422),
        (post(event(json!({ "name": "a" }))), 422),
        (post(event(json!([])).part("content", content_part(b"x"))), 400),
        (post(Form::new().text("other", "x")), 422),
        (post(event(json!({})).part("content", content_part(b"x")).text("more", "x")), 422),
        (post(Form::new().part("content", content_part(b"x")).part("event", event_part(json!({})))), 422),
        (post(Form::new().part("content", content_part(&LARGE))), 413),
        (world.request(Method::POST, "/files?name=x").bearer_auth(world.token("anna")).body(LARGE.to_vec()), 413),
        (world.request(Method::POST, "/files").bearer_auth(world.token("anna")).body("x"), 422),
        (world.request(Method::POST, "/files?name=x&size=1").bearer_auth(world.token("anna")).body("x"), 422),
        (world.request(Method::POST, "/files?name=x").body("x"), 401),
        (put(&own, "bert"), 403),
        (put("/files/unknown", "anna"), 404),
        (put(&own, "anna").header("if-match", "\"g1.p0.o999.h0\""), 412),
        (
            world
                .request(Method::POST, "/files")
                .bearer_auth(world.token("anna"))
                .header("content-type", "multipart/form-data")
                .body("x"),
            400,
        ),
        (
            world
                .request(Method::POST, "/files")
                .bearer_auth(world.token("anna"))
                .header("content-type", "multipart/form-data; boundary=b")
                .body("--b\r\nnonsense"),
            400,
        ),
    ];
    for (i, (request, expected)) in cases.into_iter().enumerate() {
        let (status, body) = told(request.send().await.unwrap()).await;
        assert_eq!(status.as_u16(), expected, "{i}: {body}");
    }
    let nameless = world.request(Method::POST, "/files?name=").bearer_auth(world.token("anna")).body("x");
    assert_eq!(told(nameless.send().await.unwrap()).await.1["errors"][0]["in"], "query");
    assert_eq!(put(&own, "anna").send().await.unwrap().status(), StatusCode::ACCEPTED);
    // Two events, two blobs, no notes, nothing half written.
    eventually(async || (world.blobs().len() == 2).then_some(())).await;
    assert_eq!(files(&world).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_upload_is_one_event_and_one_blob() {
    let world = World::sqlite(settings()).await;
    let send = |content: &'static [u8]| {
        let form = Form::new().part("content", content_part(content));
        let request = world.request(Method::POST, "/files").bearer_auth(world.token("anna"));
        request.header("idempotency-key", "once").multipart(form).send()
    };
    let first = told(send(b"one").await.unwrap()).await;
    assert_eq!(first.0, StatusCode::ACCEPTED, "{}", first.1);
    assert_eq!(told(send(b"one").await.unwrap()).await, first);
    assert_eq!(told(send(b"two").await.unwrap()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    eventually(async || (world.blobs().len() == 1).then_some(())).await;
    assert_eq!(files(&world).await.len(), 1);
}

/// A client that leaves, and one that stops: nothing is kept of either, and nothing is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_or_stalls_in_the_middle_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { body_stall: Duration::from_millis(300), ..Limits::default() };
    let world = World::with_limits(folder.path(), settings(), limits).await;
    let head = format!(
        "POST /files?name=x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\n0123456789",
        world.token("anna")
    );
    let mut stalled = tokio::net::TcpStream::connect(world.address()).await.unwrap();
    stalled.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stalled.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));

    let mut left = tokio::net::TcpStream::connect(world.address()).await.unwrap();
    left.write_all(head.as_bytes()).await.unwrap();
    eventually(async || (!world.blobs().is_empty()).then_some(())).await;
    drop(left);
    eventually(async || world.blobs().is_empty().then_some(())).await;
    assert!(files(&world).await.is_empty());
}

/// What a crash leaves is swept, and nothing that an event names.
#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_takes_only_what_no_event_names() {
    let world = World::sqlite(settings()).await;
    let form = Form::new().part("content", content_part(b"kept"));
    let request = world.request(Method::POST, "/files").bearer_auth(world.token("anna")).multipart(form);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::ACCEPTED);
    eventually(async || (world.blobs().len() == 1).then_some(())).await;
    let kept = world.blobs();
    assert_eq!(sweep_once(&world.api).await.unwrap().1, 0);
    assert_eq!(world.blobs(), kept);
}

const GIBIBYTE: u64 = 1 << 30;
const CHILD: &str = "HEADWATER_LARGE_UPLOAD";

/// The child: it alone is measured.
#[tokio::test(flavor = "multi_thread")]
async fn large_child() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let world = World::sqlite(settings()).await;
    let chunk = Bytes::from((0..1 << 16).map(|i| (i * 31 % 251) as u8).collect::<Vec<u8>>());
    let mut hash = Sha256::new();
    for _ in 0..GIBIBYTE >> 16 {
        hash.update(&chunk);
    }
    let expected = hex(&hash.finalize());
    let chunks = futures::stream::iter((0..GIBIBYTE >> 16).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let form =
        Form::new().part("content", Part::stream_with_length(Body::wrap_stream(chunks), GIBIBYTE).file_name("big"));
    let request = world.request(Method::POST, "/files").bearer_auth(world.token("anna")).multipart(form);
    let (status, body) = told(request.timeout(Duration::from_secs(300)).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let event = files(&world).await.remove(0);
    assert_eq!(
        (event["content"]["sha256"].as_str(), event["content"]["size"].as_u64()),
        (Some(&*expected), Some(GIBIBYTE))
    );
    assert_eq!(std::fs::metadata(&world.blobs()[0]).unwrap().len(), GIBIBYTE);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("PEAK {}", peak.trim().trim_end_matches(" kB"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_passes_in_little_memory() {
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "uploads::large_child", "--nocapture"])
        .env(CHILD, "1")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let peak = told.lines().find_map(|line| line.strip_prefix("PEAK ")).and_then(|peak| peak.parse::<u64>().ok());
    let peak_kib = peak.unwrap_or_else(|| panic!("{told}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert!(peak_kib < 100 * 1024, "{peak_kib} KiB at the peak");
}

/// Uploads have a bound of their own, and tell it.
#[tokio::test(flavor = "multi_thread")]
async fn more_uploads_than_there_is_room_for_are_told_to_wait() {
    let world = Arc::new(World::memory(Settings { uploads: 0, ..settings() }).await);
    let request = world.request(Method::POST, "/files?name=x").bearer_auth(world.token("anna")).body("x");
    let response = request.send().await.unwrap();
    assert_eq!(
        (response.status(), response.headers()["retry-after"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"1"[..])
    );
}
