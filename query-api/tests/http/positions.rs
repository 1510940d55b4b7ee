//! Read-your-writes and monotonic reads: waiting, giving up, parked keys, replaced topics, several instances.

use std::time::Duration;

use headwater_http::PositionToken;
use headwater_http::token::TopicKey;
use serde_json::json;

use crate::kit::{BOTH, Kind, TOPIC, TOPIC_ID, World, document, json, problem};

const PATH: &str = "/documents/d1";

fn wrote(offset: i64, key: &str) -> String {
    PositionToken::written(TopicKey::new(TOPIC_ID, TOPIC), 0, offset, Some(key.as_bytes())).to_string()
}

#[tokio::test]
async fn what_is_not_reflected_yet_is_told() {
    for kind in BOTH {
        let world = World::start(kind).await;
        let offset = world.put(&[("documents", vec![document("d1", "a", "u", "u")])]).await;
        json(world.get(PATH).header("headwater-after", wrote(offset, "d1"))).await;
        let request = world.get(PATH).header("headwater-after", wrote(offset + 5, "d1"));
        let (status, code, document) = problem(request).await;
        assert_eq!((status, code.as_str()), (503, "not-reflected-yet"));
        let waiting = json!([{ "topic": "document", "partition": 0, "reflected": 0, "wanted": 5 }]);
        assert_eq!(document["waiting"], waiting);
        // Another partition, of which nothing was ever read.
        let token = PositionToken::written(TopicKey::new(TOPIC_ID, TOPIC), 3, 0, None).to_string();
        let (status, _, document) = problem(world.get(PATH).header("headwater-after", token)).await;
        assert_eq!((status, &document["waiting"][0]["reflected"]), (503, &json!(-1)));
        // A topic that this topology does not read is nothing to wait for.
        let token = PositionToken::written(TopicKey::new([1; 16], "orders"), 0, 99, None).to_string();
        json(world.get(PATH).header("headwater-after", token)).await;
    }
}

#[tokio::test]
async fn a_wait_ends_once_it_is_reflected() {
    for kind in BOTH {
        let world = World::start(kind).await;
        world.put(&[]).await;
        let request = world.get(PATH).header("headwater-after", wrote(1, "d1")).header("prefer", "wait=30");
        let answer = tokio::spawn(request.send());
        world.put(&[("documents", vec![document("d1", "a", "u", "u")])]).await;
        let response = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap().unwrap();
        assert_eq!(response.status().as_u16(), 200);
    }
}

#[tokio::test]
async fn a_wait_for_another_process_ends_too() {
    let reader = World::start(Kind::Sqlite).await;
    let writer = reader.another().await;
    writer.put(&[]).await;
    let request = reader.get(PATH).header("headwater-after", wrote(1, "d1")).header("prefer", "wait=30");
    let answer = tokio::spawn(request.send());
    writer.put(&[("documents", vec![document("d1", "a", "u", "u")])]).await;
    let response = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap().unwrap();
    assert_eq!(response.status().as_u16(), 200);
}

#[tokio::test]
async fn a_wait_that_is_over_is_told() {
    let world = World::start(Kind::Memory).await;
    let request = world.get(PATH).header("headwater-after", wrote(1, "d1")).header("prefer", "wait=1");
    let (status, code, _) = problem(request).await;
    assert_eq!((status, code.as_str()), (503, "not-reflected-yet"));
}

#[tokio::test]
async fn who_wrote_to_a_parked_key_is_told() {
    for kind in BOTH {
        let world = World::start(kind).await;
        let before = world.put(&[("documents", vec![document("d1", "a", "u", "u")])]).await;
        let parked = world.park("d1").await;
        let (status, code, document) = problem(world.get(PATH).header("headwater-after", wrote(parked, "d1"))).await;
        assert_eq!((status, code.as_str(), &document["offset"]), (409, "parked", &json!(parked)));
        // What was written before it is reflected, and so is what others wrote.
        json(world.get(PATH).header("headwater-after", wrote(before, "d1"))).await;
        json(world.get(PATH).header("headwater-after", wrote(parked, "d2"))).await;
    }
}

#[tokio::test]
async fn a_token_of_a_topic_that_was_made_again_is_gone() {
    for kind in BOTH {
        let world = World::start(kind).await;
        world.put(&[("documents", vec![document("d1", "a", "u", "u")])]).await;
        let token = PositionToken::written(TopicKey::new([8; 16], TOPIC), 0, 0, None).to_string();
        let (status, code, _) = problem(world.get(PATH).header("headwater-after", token)).await;
        assert_eq!((status, code.as_str()), (410, "topic-replaced"));
    }
}

#[tokio::test]
async fn answers_carry_what_they_reflect_from_instance_to_instance() {
    let one = World::start(Kind::Sqlite).await;
    let two = one.another().await;
    for name in ["a", "b", "c"] {
        one.put(&[("documents", vec![document("d1", name, "u", "u")])]).await;
        let response = one.get(PATH).send().await.unwrap();
        let token = response.headers()["headwater-position"].to_str().unwrap().to_owned();
        let seen = json(two.get(PATH).header("headwater-after", &token).header("prefer", "wait=10")).await;
        assert_eq!(seen["name"], json!(name));
        // The token is of exactly what was written, and errors carry it too.
        let missing = one.get("/documents/none").send().await.unwrap();
        assert_eq!(missing.headers()["headwater-position"].to_str().unwrap(), token);
        let page = one.get("/documents").send().await.unwrap();
        assert_eq!(page.headers()["headwater-position"].to_str().unwrap(), token);
    }
}
