//! Downloads: whole and in parts, their names and types, what is not modified, and blobs that are not what they should be.

use headwater_schemas::Value;
use reqwest::{Method, Response};
use sha2::{Digest, Sha256};

use crate::kit::{Kind, World, at, problem, text};

const PATH: &str = "/documents/d1/versions/1/content";

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A version of d1 with this content, in the blob store and in the view.
async fn add(world: &World, number: i64, name: &str, mime_type: &str, content: &[u8]) {
    let blob = format!("blob-{number}");
    std::fs::write(world.blobs.join(&blob), content).unwrap();
    refer(world, number, name, mime_type, &blob, &hex(content), content.len() as i64).await;
}

async fn refer(world: &World, number: i64, name: &str, mime_type: &str, blob: &str, sha256: &str, size: i64) {
    let content = Value::Record([text(blob), text(sha256), Value::Long(size)].into());
    let row = vec![
        text("d1"),
        Value::Long(number),
        text(name),
        text(mime_type),
        content,
        text("alice"),
        at("2026-01-01T00:00:00Z"),
    ];
    world.put(&[("document_versions", vec![row])]).await;
}

async fn get(world: &World, headers: &[(&str, &str)]) -> Response {
    let request = headers.iter().fold(world.get(PATH), |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_file_comes_as_it_was_with_its_name_and_type() {
    let world = World::start(Kind::Sqlite).await;
    let content: Vec<u8> = (0..1_000_003u32).map(|n| (n * 7 % 251) as u8).collect();
    add(&world, 1, "naïve.bin", "application/x-thing", &content).await;
    let response = get(&world, &[]).await;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(header(&response, "content-type"), "application/x-thing");
    assert_eq!(header(&response, "content-length"), "1000003");
    assert_eq!(header(&response, "accept-ranges"), "bytes");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert_eq!(header(&response, "content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(header(&response, "etag"), format!("\"{}\"", hex(&content)));
    assert!(response.headers().contains_key("headwater-position"));
    let disposition = "attachment; filename=\"na_ve.bin\"; filename*=UTF-8''na%C3%AFve.bin";
    assert_eq!(header(&response, "content-disposition"), disposition);
    assert!(response.bytes().await.unwrap() == content);

    let head = world.ask(Method::HEAD, Some(("alice", &[])), PATH).send().await.unwrap();
    assert_eq!(header(&head, "content-length"), "1000003");
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let world = World::start(Kind::Memory).await;
    add(&world, 1, "empty", "", b"").await;
    let response = get(&world, &[]).await;
    assert_eq!(header(&response, "content-length"), "0");
    assert_eq!(header(&response, "content-type"), "application/octet-stream");
    assert_eq!(response.bytes().await.unwrap().len(), 0);
    assert_eq!(get(&world, &[("range", "bytes=0-")]).await.status().as_u16(), 416);
}

#[tokio::test]
async fn parts_are_what_was_asked_for() {
    let world = World::start(Kind::Memory).await;
    let content = b"0123456789";
    add(&world, 1, "digits", "text/plain", content).await;
    let tag = format!("\"{}\"", hex(content));
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Headers<'_>, u16, &str, &str); 12] = [
        (&[("range", "bytes=0-0")], 206, "0", "bytes 0-0/10"),
        (&[("range", "bytes=3-5")], 206, "345", "bytes 3-5/10"),
        (&[("range", "bytes=8-")], 206, "89", "bytes 8-9/10"),
        (&[("range", "bytes=-2")], 206, "89", "bytes 8-9/10"),
        (&[("range", "bytes=5-500")], 206, "56789", "bytes 5-9/10"),
        (&[("range", "bytes=0-9")], 206, "0123456789", "bytes 0-9/10"),
        (&[("range", "bytes=1-2,4-5")], 200, "0123456789", ""),
        (&[("range", "pages=1-2")], 200, "0123456789", ""),
        (&[("range", "bytes=1-2"), ("if-range", &tag)], 206, "12", "bytes 1-2/10"),
        (&[("range", "bytes=1-2"), ("if-range", "\"other\"")], 200, "0123456789", ""),
        (&[("range", "bytes=1-2"), ("if-none-match", &tag)], 304, "", ""),
        (&[("range", "bytes=1-2"), ("if-none-match", "\"other\"")], 206, "12", "bytes 1-2/10"),
    ];
    for (headers, status, body, range) in cases {
        let response = get(&world, headers).await;
        assert_eq!(response.status().as_u16(), status, "{headers:?}");
        assert_eq!(header(&response, "content-range"), range, "{headers:?}");
        if status != 304 {
            assert_eq!(header(&response, "content-length"), body.len().to_string(), "{headers:?}");
        }
        assert_eq!(response.text().await.unwrap(), body, "{headers:?}");
    }
    let beyond = get(&world, &[("range", "bytes=10-")]).await;
    assert_eq!((beyond.status().as_u16(), header(&beyond, "content-range")), (416, "bytes */10"));
    let (status, _, document) = problem(world.get(PATH).header("range", "bytes=b-a")).await;
    assert_eq!((status, document["errors"][0]["field"].as_str()), (400, Some("Range")));
}

#[tokio::test]
async fn a_blob_that_is_not_what_was_added_is_never_given_whole() {
    let world = World::start(Kind::Memory).await;
    let content = vec![b'x'; 500_000];
    // The right length, other bytes: found out at the end, so the end never comes.
    std::fs::write(world.blobs.join("changed"), &content).unwrap();
    refer(&world, 1, "a", "text/plain", "changed", &hex(b"other"), content.len() as i64).await;
    let response = get(&world, &[]).await;
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.bytes().await.is_err());
    // Another length, no blob, a blob outside the store: found out before.
    refer(&world, 1, "a", "text/plain", "changed", &hex(&content), 7).await;
    assert_eq!(problem(world.get(PATH)).await.1, "internal");
    std::fs::write(world.blobs.parent().unwrap().join("secret"), b"secret").unwrap();
    for (blob, expected) in [
        ("missing", "content-missing"),
        ("../secret", "internal"),
        ("/etc/passwd", "content-missing"),
        ("", "internal"),
    ] {
        refer(&world, 1, "a", "text/plain", blob, &hex(b"secret"), 6).await;
        let (status, code, document) = problem(world.get(PATH)).await;
        assert_eq!((status, code.as_str()), (500, expected), "{blob}");
        assert!(!document.to_string().contains("secret"), "{document}");
    }
    refer(&world, 1, "a", "text/plain", "changed", "no hash", 1).await;
    assert_eq!(problem(world.get(PATH)).await.1, "internal");
}

#[tokio::test]
async fn hostile_names_and_types_stay_in_their_headers() {
    let world = World::start(Kind::Memory).await;
    for (name, mime_type) in [("x\r\nX-Evil: 1", "text/html\r\nX-Evil: 1"), ("../../\"\\", "a"), ("", "té/xt")] {
        add(&world, 1, name, mime_type, b"<script>").await;
        let response = get(&world, &[]).await;
        assert_eq!(response.status().as_u16(), 200);
        assert!(!response.headers().contains_key("x-evil"));
        assert_eq!(header(&response, "content-type"), "application/octet-stream");
        assert!(header(&response, "content-disposition").starts_with("attachment; filename=\""));
    }
}
