//! Rows that are shown for some days: gone for every reader from their moment on, and pages full all the same.

use headwater_schemas::Value;
use serde_json::{Value as Json, json};

use crate::kit::{BOTH, NOW, World, json, problem, text};

/// Microseconds since 1970 at which a row has so many seconds left of its 30 days, by the API's clock.
fn left(seconds: i64) -> Value {
    Value::Timestamp((NOW.cast_signed() - 30 * 86_400 + seconds) * 1_000_000)
}

#[tokio::test]
async fn what_is_past_is_in_no_answer() {
    for kind in BOTH {
        let world = World::start(kind).await;
        // Of twelve documents every other one is past, the last one as of this second.
        let seconds = |n: i64| if n % 2 == 0 { n + 1 } else { n - 11 };
        let name = |n: i64| text(&format!("n{n:02}"));
        let of = |n: i64| vec![text("alice"), name(n), text(&format!("d{n}")), left(seconds(n))];
        let by_id = |n: i64| vec![text(&format!("d{n}")), name(n), left(seconds(11 - n))];
        world
            .put(&[("recent_documents", (0..12).map(of).collect()), ("recent_document", (0..12).map(by_id).collect())])
            .await;
        let mut pages: Vec<Vec<Json>> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = json(world.get(&format!("/owners/alice/recent?{cursor}"))).await;
            pages.push(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("cursor={next}");
        }
        let names = |page: &Vec<Json>| page.iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
        let names: Vec<Vec<Json>> = pages.iter().map(names).collect();
        assert_eq!(names, [["n00", "n02", "n04"], ["n06", "n08", "n10"]].map(|page| page.map(Json::from).to_vec()));
        // In that view the even ones are past: a join finds none.
        assert!(pages.iter().flatten().all(|item| item["again"] == Json::Null), "{pages:?}");
        for n in 0..12 {
            let path = format!("/recent/d{n}");
            if n % 2 == 1 {
                let row = json(world.get(&path)).await;
                assert_eq!(row["name"], json!(format!("n{n:02}")));
            } else {
                let (status, code, _) = problem(world.get(&path)).await;
                assert_eq!((status, code.as_str()), (404, "not-found"), "{n}");
            }
        }
    }
}
