//! One row by its key: who may, what is joined, what is wrong with a request, what has not changed.

use headwater_schemas::{Decimal, Value};
use reqwest::Method;
use serde_json::json;

use crate::kit::{BOTH, World, document, json, problem, text};

async fn world(kind: crate::kit::Kind) -> World {
    let world = World::start(kind).await;
    let documents = vec![document("d1", "a.txt", "alice", "bob"), document("a/b ü", "odd", "carol", "nobody")];
    let authors = vec![vec![text("alice"), text("alice@example.org")], vec![text("bob"), Value::Null]];
    world.put(&[("documents", documents), ("authors", authors)]).await;
    world
}

#[tokio::test]
async fn a_row_is_answered_with_what_is_joined() {
    for kind in BOTH {
        let world = world(kind).await;
        assert_eq!(
            json(world.get("/documents/d1")).await,
            json!({
                "doc_id": "d1",
                "name": "a.txt",
                "mime_type": "text/plain",
                "created_by": "alice",
                "created": "2026-01-02T03:04:05Z",
                "updated_by": "bob",
                "updated": "2026-06-01T00:00:00.000001Z",
                "versions": 2,
                "created_by_email": "alice@example.org",
                "updated_by_email": null,
            })
        );
        let odd = json(world.get("/documents/a%2Fb%20%C3%BC")).await;
        assert_eq!((&odd["doc_id"], &odd["created_by_email"]), (&json!("a/b ü"), &json!(null)));
        let own = json(world.get("/own/d1")).await;
        assert_eq!(own["author"], json!({ "user_id": "alice", "email": "alice@example.org" }));
        // A grand total exists before anything contributes.
        assert_eq!(own["totals"], json!({ "documents": 0, "versions": null }));
    }
}

#[tokio::test]
async fn a_grand_total_is_there_from_the_start() {
    for kind in BOTH {
        let world = World::start(kind).await;
        assert_eq!(json(world.get_as(None, "/documents/count")).await, json!({ "documents": 0, "versions": null }));
        let versions = Value::Decimal(Decimal { unscaled: 5, scale: 0 });
        world.put(&[("totals", vec![vec![Value::Long(3), versions]])]).await;
        assert_eq!(json(world.get_as(None, "/documents/count")).await, json!({ "documents": 3, "versions": "5" }));
    }
}

#[tokio::test]
async fn who_may_not_is_told_so() {
    let world = world(BOTH[0]).await;
    let administrator: &[&str] = &["administrator"];
    let cases = [
        (None, "/documents/d1", 401),
        (Some(("bob", &[][..])), "/documents/d1", 200),
        (None, "/own/d1", 401),
        (None, "/own/none", 401),
        (Some(("alice", &[][..])), "/own/d1", 200),
        (Some(("bob", &[][..])), "/own/d1", 403),
        (Some(("root", administrator)), "/own/d1", 200),
        (Some(("bob", &[][..])), "/own/none", 404),
        (Some(("alice", &[][..])), "/owners/alice/documents", 200),
        (Some(("bob", &[][..])), "/owners/alice/documents", 403),
        (None, "/documents/count", 200),
    ];
    for (who, path, expected) in cases {
        let response = world.get_as(who, path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{who:?} {path}");
        assert_eq!(response.headers().contains_key("www-authenticate"), expected == 401, "{who:?} {path}");
    }
    // A token that does not hold is refused even where anyone may.
    for bad in ["Bearer nonsense", "Bearer ", "Basic YTpi", "Bearer a.b.c"] {
        let request = world.get_as(None, "/documents/count").header("authorization", bad);
        let (status, code, _) = problem(request).await;
        assert_eq!((status, code.as_str()), (401, "bad-token"), "{bad}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let world = world(BOTH[1]).await;
    let cases = [
        ("/documents/none", 404, "not-found", ""),
        ("/documents/%00", 400, "bad-request", "doc_id"),
        ("/documents/%FF", 400, "bad-request", ""),
        ("/documents/d1?verbose=1", 400, "bad-request", "verbose"),
        ("/documents/count?x", 400, "bad-request", "x"),
        ("/documents?size=0", 400, "bad-request", "size"),
        ("/documents?size=501", 400, "bad-request", "size"),
        ("/documents?size=ten", 400, "bad-request", "size"),
        ("/documents?size=1&size=2", 400, "bad-request", "size"),
        ("/documents?cursor=abc", 400, "bad-request", "cursor"),
        ("/month", 400, "bad-request", "month"),
        ("/month?month=June", 400, "bad-request", "month"),
        ("/documents/d1/versions/one/content", 400, "bad-request", "number"),
        ("/documents/d1/versions/99999999999999999999/content", 400, "bad-request", "number"),
        ("/documents/d1/versions/7/content", 404, "not-found", ""),
        ("/nothing", 404, "not-found", ""),
    ];
    for (path, status, code, field) in cases {
        let (found, word, document) = problem(world.get(path)).await;
        assert_eq!((found, word.as_str()), (status, code), "{path}: {document}");
        let named = document["errors"][0]["field"].as_str().unwrap_or_default();
        assert_eq!(named, field, "{path}: {document}");
    }
    let (status, _, _) = problem(world.ask(Method::POST, Some(("alice", &[])), "/documents/d1")).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn hostile_headers_are_named() {
    let world = world(BOTH[0]).await;
    for (header, value) in [
        ("headwater-after", "nonsense"),
        ("headwater-after", "AAAA"),
        ("prefer", "wait=-5"),
        ("if-none-match", "unquoted"),
    ] {
        let (status, _, document) = problem(world.get("/documents/d1").header(header, value)).await;
        let named = document["errors"][0]["field"].as_str().unwrap().to_lowercase();
        assert_eq!((status, named.as_str()), (400, header), "{value}: {document}");
    }
}

#[tokio::test]
async fn an_answer_is_not_repeated_to_who_has_it() {
    for kind in BOTH {
        let world = world(kind).await;
        let first = world.get("/documents/d1").send().await.unwrap();
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with("\"g1.p0.o0.h"), "{tag}");
        assert!(first.headers().contains_key("headwater-position"));
        assert_eq!(first.headers()["cache-control"], "private, no-cache");

        let again = world.get("/documents/d1").header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(again.status().as_u16(), 304);
        assert_eq!(again.headers()["etag"].to_str().unwrap(), tag);
        assert!(again.headers().contains_key("headwater-position"));

        // What is joined changed, so the answer did; the row's own position did not.
        world.put(&[("authors", vec![vec![text("bob"), text("bob@example.org")]])]).await;
        let changed = world.get("/documents/d1").header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(changed.status().as_u16(), 200);
        let other = changed.headers()["etag"].to_str().unwrap().to_owned();
        assert!(other.starts_with("\"g1.p0.o0.h") && other != tag, "{other}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let world = world(BOTH[0]).await;
    let get = world.get("/documents/d1").send().await.unwrap();
    let head = world.ask(Method::HEAD, Some(("alice", &[])), "/documents/d1").send().await.unwrap();
    for name in ["etag", "content-type", "content-length", "headwater-position"] {
        assert_eq!(get.headers().get(name), head.headers().get(name), "{name}");
    }
    assert_eq!(head.text().await.unwrap(), "");
}

#[tokio::test]
async fn another_declaration_is_not_answered_from() {
    for kind in BOTH {
        let world = world(kind).await;
        let topology = &world.topology;
        let generation = world.store.reset(&topology.name).await.unwrap();
        let (status, code, _) = problem(world.get("/documents/d1")).await;
        assert_eq!((status, code.as_str()), (503, "not-built-yet"));
        let deployment = headwater_views::Deployment {
            topology: topology.name.clone(),
            generation,
            tables: topology.views.iter().map(|view| view.table.clone()).collect(),
            declaration: String::new(),
            fingerprint: "another".into(),
        };
        world.store.create(&deployment).await.unwrap();
        let (status, code, _) = problem(world.get("/documents/d1")).await;
        assert_eq!((status, code.as_str()), (503, "declared-anew"));
    }
}

#[tokio::test]
async fn the_document_says_what_each_query_takes_and_gives() {
    let world = World::start(BOTH[0]).await;
    let mut document = headwater_http::openapi::Document::new("documents", "1");
    headwater_query_api::describe(&world.queries, &mut document);
    let document = document.build();
    let page = &document["paths"]["/documents"]["get"];
    let parameters = page["parameters"].as_array().unwrap();
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["size", "cursor", "If-None-Match", "Headwater-After", "Prefer"]);
    assert_eq!(parameters[0]["schema"], json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 50 }));
    let item = &page["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["items"]["items"];
    assert_eq!(item["properties"]["updated_by_email"]["type"], json!(["string", "null"]));
    assert_eq!(page["security"], json!([{ "bearer": [] }]));
    assert_eq!(document["paths"]["/documents/count"]["get"]["security"], json!([{}, { "bearer": [] }]));
    let download = &document["paths"]["/documents/{doc_id}/versions/{number}/content"]["get"]["responses"];
    assert!(download["206"].is_object() && download["416"].is_object(), "{download}");
    // What is referred to is defined.
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
