//! Freshness of views: zero where nothing they read is behind, else the age of the oldest record that is.

use headwater_runner::{freshness, lag};
use serde_json::json;

use crate::bench::Bench;

const NOW_MS: i64 = 1_800_000_000_000;

/// The freshness of each view at a time.
async fn at(bench: &Bench, now_ms: i64) -> Vec<(String, Option<i64>)> {
    let lag = lag(&bench.topology, bench.generation, &bench.log, &bench.store, now_ms).await.expect("the lag");
    let mut views: Vec<_> =
        freshness(&bench.topology, &lag).into_iter().map(|view| (view.view, view.oldest_ms)).collect();
    views.sort();
    views
}

/// All views that documents feed, and the one that users do.
fn ages(documents: Option<i64>, users: Option<i64>) -> Vec<(String, Option<i64>)> {
    let of = |view: &str, age| (view.to_owned(), age);
    vec![
        of("authors", users),
        of("document_versions", documents),
        of("documents", documents),
        of("documents_by_update", documents),
        of("totals", documents),
    ]
}

async fn added(bench: &Bench, doc: &str, timestamp_ms: i64) {
    let fields = json!({
        "doc_id": doc, "name": "a.txt", "mime_type": "text/plain", "user_id": "u", "at": "2026-01-01T00:00:00Z",
        "content": { "blob": "b", "sha256": "00", "size": 1 },
    });
    bench.append("DocumentAdded", &fields, timestamp_ms, |_| ()).await;
}

#[tokio::test]
async fn views_are_as_old_as_the_oldest_record_of_their_own_topics_that_they_do_not_reflect() {
    let bench = Bench::new().await;
    assert_eq!(at(&bench, NOW_MS).await, ages(None, None), "nothing was ever written");
    // In several partitions; the oldest counts, and those that stay silent do not.
    for (doc, age) in [("a", 3_000), ("b", 7_000), ("c", 2_000), ("d", 1_000)] {
        added(&bench, doc, NOW_MS - age).await;
    }
    assert_eq!(at(&bench, NOW_MS).await, ages(Some(7_000), None), "no worker, and users are silent");
    assert_eq!(at(&bench, NOW_MS + 60_000).await, ages(Some(67_000), None), "stuck: it grows");
    let ann = json!({ "user_id": "ann", "email": "ann@example.org", "at": "2026-01-01T00:00:00Z" });
    bench.append("UserRegistered", &ann, NOW_MS - 500, |_| ()).await;
    assert_eq!(at(&bench, NOW_MS).await, ages(Some(7_000), Some(500)), "each by its own topics");
    bench.catch_up(100).await;
    assert_eq!(at(&bench, NOW_MS + 86_400_000).await, ages(None, None), "idle, however long");
    added(&bench, "e", NOW_MS + 86_400_000).await;
    assert_eq!(at(&bench, NOW_MS + 86_401_000).await, ages(Some(1_000), None), "only what came since");
    // A producer's clock that runs ahead.
    assert_eq!(at(&bench, NOW_MS).await, ages(Some(0), None));
}
