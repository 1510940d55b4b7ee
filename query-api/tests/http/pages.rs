//! Pages: in order, every row once, whatever changes meanwhile; walks through empty partitions; cursors that hold.

use std::collections::BTreeMap;

use headwater_engine::query::MOST_SORTED;
use headwater_schemas::Value;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};

use crate::kit::{BOTH, Kind, NOW, World, json, problem, text};

const DAY: i64 = 86_400_000_000;

/// A row of `documents_by_update`: month, updated, doc_id, name, mime_type, updated_by, versions.
fn by_update(updated: i64, id: &str, name: &str, by: &str) -> Vec<Value> {
    let month = headwater_engine::query::Unit::Month.floor(updated).unwrap();
    let (month, updated) = (Value::Timestamp(month), Value::Timestamp(updated));
    vec![month, updated, text(id), text(name), text("text/plain"), text(by), Value::Long(1)]
}

/// Follows `next` from `path` to the end; the items of each page.
async fn all_pages(world: &World, path: &str, between: impl AsyncFn(usize)) -> Vec<Vec<Json>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = json(world.get(&format!("{path}{cursor}"))).await;
        pages.push(page["items"].as_array().unwrap().clone());
        between(pages.len()).await;
        let Some(next) = page["next"].as_str() else { return pages };
        cursor = format!("&cursor={next}");
        assert!(pages.len() < 500, "no end of pages");
    }
}

#[tokio::test]
async fn a_partition_is_paged_in_its_order() {
    for kind in BOTH {
        let world = World::start(kind).await;
        let row = |n: i64| {
            let created = Value::Timestamp(n / 2 * DAY);
            vec![text("alice"), created, text(&format!("d{n}")), text("a"), Value::Long(n)]
        };
        world.put(&[("documents_by_owner", (0..7).map(row).collect())]).await;
        // created desc, doc_id asc; three a page unless asked.
        let pages = all_pages(&world, "/owners/alice/documents?", async |_| {}).await;
        let ids = |page: &Vec<Json>| page.iter().map(|item| item["versions"].as_i64().unwrap()).collect::<Vec<_>>();
        assert_eq!(pages.iter().map(ids).collect::<Vec<_>>(), [vec![6, 4, 5], vec![2, 3, 0], vec![1]]);
        // A page that is just full has no empty one after it.
        let pages = all_pages(&world, "/owners/alice/documents?size=7", async |_| {}).await;
        assert_eq!(pages.len(), 1);
        let empty = json(world.get_as(Some(("bob", &[])), "/owners/bob/documents")).await;
        assert_eq!(empty, json!({ "items": [], "next": null }));
    }
}

#[tokio::test]
async fn a_partition_is_sorted() {
    for kind in BOTH {
        let world = World::start(kind).await;
        let row = |(n, (name, versions)): (i64, &(&str, Value))| {
            vec![text("alice"), Value::Timestamp(n * DAY), text(&format!("d{n}")), text(name), versions.clone()]
        };
        let long = Value::Long;
        let all = [("a", long(2)), ("b", long(9)), ("c", long(2)), ("b", long(2)), ("e", long(-1)), ("b", long(2))];
        world.put(&[("documents_by_owner", (0..).zip(&all).map(row).collect())]).await;
        // Of equal ones the newest first, as the view has them.
        let sorted = ["d1", "d0", "d5", "d3", "d2", "d4"];
        for size in [1, 2, 3, 6, 20] {
            let pages = all_pages(&world, &format!("/owners/alice/most?size={size}"), async |_| {}).await;
            let ids: Vec<&str> = pages.iter().flatten().map(|item| item["doc_id"].as_str().unwrap()).collect();
            assert_eq!(ids, sorted, "{size} a page");
            assert_eq!(pages.len(), sorted.len().div_ceil(size), "{size} a page");
        }
        let bob = json(world.get_as(Some(("bob", &[])), "/owners/bob/most")).await;
        assert_eq!(bob, json!({ "items": [], "next": null }));
    }
}

#[tokio::test]
async fn more_rows_than_can_be_sorted_are_refused() {
    let world = World::start(Kind::Memory).await;
    let row = |n: i64| vec![text("alice"), Value::Timestamp(n), text("d"), text("a"), Value::Long(n)];
    let most = i64::try_from(MOST_SORTED).unwrap();
    world.put(&[("documents_by_owner", (0..most).map(row).collect())]).await;
    let page = json(world.get("/owners/alice/most?size=1")).await;
    assert_eq!(page["items"][0]["versions"], json!(most - 1));
    world.put(&[("documents_by_owner", vec![row(most)])]).await;
    let (status, code, _) = problem(world.get("/owners/alice/most?size=1")).await;
    assert_eq!((status, code.as_str()), (422, "too-many-to-sort"));
}

#[tokio::test]
async fn a_cursor_is_of_one_query_and_one_partition() {
    let world = World::start(Kind::Sqlite).await;
    let row = |owner: &str, n: i64| vec![text(owner), Value::Timestamp(n), text("d"), text("a"), Value::Long(n)];
    let rows = (0..9).flat_map(|n| [row("alice", n), row("bob", n)]).collect();
    world.put(&[("documents_by_owner", rows)]).await;
    let page = json(world.get("/owners/alice/documents?size=2")).await;
    let next = page["next"].as_str().unwrap().to_owned();
    json(world.get(&format!("/owners/alice/documents?cursor={next}"))).await;
    let mut flipped = next.clone().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    let bob = Some(("bob", &[][..]));
    for (who, path) in [
        (bob, format!("/owners/bob/documents?cursor={next}")),
        (None, format!("/days?cursor={next}")),
        (None, format!("/days?cursor={}", "A".repeat(5000))),
        (bob, format!("/owners/bob/documents?cursor={}", String::from_utf8(flipped).unwrap())),
        (bob, "/owners/bob/documents?cursor=".to_owned()),
    ] {
        let (status, _, document) = problem(world.get_as(who, &path)).await;
        assert_eq!((status, &document["errors"][0]["field"]), (400, &json!("cursor")), "{path}");
    }
}

#[tokio::test]
async fn a_cursor_of_views_that_were_rebuilt_is_gone() {
    let world = World::start(Kind::Sqlite).await;
    let row = |n: i64| vec![text("alice"), Value::Timestamp(n), text("d"), text("a"), Value::Long(n)];
    world.put(&[("documents_by_owner", (0..9).map(row).collect())]).await;
    let page = json(world.get("/owners/alice/documents?size=2")).await;
    let next = page["next"].as_str().unwrap().to_owned();
    let generation = world.store.reset(&world.topology.name).await.unwrap();
    let deployment = headwater_views::Deployment {
        topology: world.topology.name.clone(),
        generation,
        tables: world.topology.views.iter().map(|view| view.table.clone()).collect(),
        declaration: String::new(),
        fingerprint: crate::kit::FINGERPRINT.into(),
    };
    world.store.create(&deployment).await.unwrap();
    let (status, code, _) = problem(world.get(&format!("/owners/alice/documents?cursor={next}"))).await;
    assert_eq!((status, code.as_str()), (410, "cursor-expired"));
}

#[tokio::test]
async fn a_walk_goes_back_through_empty_partitions_as_far_as_declared() {
    for kind in BOTH {
        let world = World::start(kind).await;
        let now = NOW as i64 * 1_000_000;
        // Next month (a clock ahead), this one, two years ago, and 21 years ago: more than 240 months.
        let ages = [-20, 0, 3, 2 * 365, 21 * 365];
        let rows = ages.iter().map(|days| by_update(now - days * DAY, &format!("d{days}"), "a", "bob")).collect();
        let bob = vec![text("bob"), text("bob@example.org")];
        world.put(&[("documents_by_update", rows), ("authors", vec![bob])]).await;
        for size in [1, 2, 50] {
            let pages = all_pages(&world, &format!("/documents?size={size}"), async |_| {}).await;
            let ids: Vec<String> =
                pages.iter().flatten().map(|item| item["doc_id"].as_str().unwrap().to_owned()).collect();
            assert_eq!(ids, ["d-20", "d0", "d3", "d730"], "{size}");
            assert!(pages.iter().flatten().all(|item| item["updated_by_email"] == "bob@example.org"));
        }
    }
}

#[tokio::test]
async fn one_request_looks_at_a_bounded_number_of_partitions() {
    let world = World::start(Kind::Sqlite).await;
    let now = NOW as i64 * 1_000_000;
    let row = |days: i64| {
        let updated = now - days * DAY;
        let day = headwater_engine::query::Unit::Day.floor(updated).unwrap();
        vec![Value::Timestamp(day), Value::Timestamp(updated), text(&format!("d{days}")), text("a")]
    };
    world.put(&[("documents_by_day", vec![row(1), row(600), row(1000), row(1001)])]).await;
    let pages = all_pages(&world, "/days?size=50", async |_| {}).await;
    assert!(pages.len() >= 4, "1002 partitions in {} requests", pages.len());
    let ids: Vec<&str> = pages.iter().flatten().map(|item| item["doc_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["d1", "d600", "d1000"]);
}

/// What happens between two pages.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    /// Another row of this number: new, or moved to now.
    Touch(u8),
    Remove(u8),
}

/// Pages of random sizes over random rows, while other rows come, move and go: rows that nobody touched come once each,
/// and everything comes in order.
#[test]
fn pages_hold_while_rows_change() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let change = prop_oneof![
        2 => Just(Change::Nothing),
        2 => (0u8..8).prop_map(Change::Touch),
        1 => (0u8..8).prop_map(Change::Remove),
    ];
    let rows = prop::collection::btree_map(0u8..40, 0i64..400, 0..30);
    let plan = (rows, prop::collection::vec(change, 1..12), 1usize..7);
    for kind in BOTH {
        let mut runner = TestRunner::new(Config { cases: 24, ..Config::default() });
        let run = |(rows, changes, size): (BTreeMap<u8, i64>, Vec<Change>, usize)| {
            runtime.block_on(go_through(kind, &rows, &changes, size));
            Ok(())
        };
        runner.run(&plan, run).unwrap();
    }
}

async fn go_through(kind: Kind, rows: &BTreeMap<u8, i64>, changes: &[Change], size: usize) {
    let world = World::start(kind).await;
    let now = NOW as i64 * 1_000_000;
    // Rows below 8 are those that change.
    let current = std::sync::Mutex::new(rows.clone());
    let put = |n: u8, days: i64| by_update(now - days * DAY, &format!("d{n:02}"), "a", "u");
    let all: Vec<_> = rows.iter().map(|(n, days)| put(*n, *days)).collect();
    world.put(&[("documents_by_update", all)]).await;
    let between = async |page: usize| {
        let change = &changes[page % changes.len()];
        let (Change::Touch(n) | Change::Remove(n)) = change else { return };
        let before = current.lock().unwrap().remove(n);
        if let Some(days) = before {
            world.delete("documents_by_update", &put(*n, days)[..3]).await;
        }
        if let Change::Touch(n) = change {
            world.put(&[("documents_by_update", vec![put(*n, 0)])]).await;
            current.lock().unwrap().insert(*n, 0);
        }
    };
    let pages = all_pages(&world, &format!("/documents?size={size}"), between).await;
    assert!(pages.iter().all(|page| page.len() <= size));
    let seen: Vec<(String, String)> = pages
        .iter()
        .flatten()
        .map(|item| (item["updated"].as_str().unwrap().to_owned(), item["doc_id"].as_str().unwrap().to_owned()))
        .collect();
    let in_order =
        seen.windows(2).all(|pair| pair[0].0 > pair[1].0 || (pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1));
    assert!(in_order, "{seen:?}");
    for n in rows.keys().filter(|n| **n >= 8) {
        let times = seen.iter().filter(|(_, id)| *id == format!("d{n:02}")).count();
        assert_eq!(times, 1, "d{n:02} in {seen:?}");
    }
}

#[test]
fn hostile_cursors_never_panic() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::start(Kind::Memory));
    let mut runner = TestRunner::new(Config { cases: 200, ..Config::default() });
    let run = |cursor: String| {
        let (status, _, _) = runtime.block_on(problem(world.get(&format!("/documents?cursor={cursor}"))));
        prop_assert_eq!(status, 400);
        Ok(())
    };
    runner.run(&"[A-Za-z0-9_-]{0,120}", run).unwrap();
}
