//! Parked records and claims.

use bytes::Bytes;
use headwater_engine::table::ViewWrites;
use headwater_views::{Claim, ParkedFilter, ParkedKey, ParkedRecord, PositionMove, Store};

use crate::{deployment, step, stores, target, versions};

fn record(offset: i64, key: Option<&str>, is_head: bool) -> ParkedRecord {
    ParkedRecord {
        topic: "document".to_owned(),
        partition: i32::from(key == Some("k2")),
        offset,
        timestamp_ms: 1_700_000_000_000 + offset,
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        payload: (offset != 3).then(|| Bytes::from(format!("body {offset}\0"))),
        headers: vec![
            ("ce_id".to_owned(), Bytes::from(offset.to_string())),
            (String::new(), Bytes::new()),
            ("ce_id".to_owned(), Bytes::from_static(b"\0\xff")),
        ],
        reason: format!("because of {offset}"),
        is_head,
    }
}

async fn park(store: &Store, from: Option<i64>, to: i64, parked: &[ParkedRecord]) {
    let table = versions();
    let places = [0, 1].map(|partition| ("document".to_owned(), partition));
    let epochs = store.take_over(&target(), &places).await.unwrap();
    let moves = [0, 1].map(|partition| PositionMove {
        partition: i32::try_from(partition).unwrap(),
        epoch: epochs[partition],
        ..step(from, to)
    });
    let under_way = store.begin(&target(), &moves).await.unwrap();
    under_way.commit(&[(&table, &ViewWrites::default())], parked).await.unwrap();
}

async fn offsets(store: &Store, filter: ParkedFilter, limit: usize) -> Vec<i64> {
    let found = store.parked("documents", &filter, limit).await.unwrap();
    found.iter().map(|parked| parked.record.offset).collect()
}

#[tokio::test]
async fn records_are_parked_with_the_flush() {
    let (stores, _kept) = stores().await;
    for store in stores {
        store.create(&deployment(&[versions()])).await.unwrap();
        let batch = [record(1, Some("k1"), true), record(2, None, true), record(3, Some("k1"), false)];
        let undone = store.begin(&target(), &[step(None, 4)]).await.unwrap();
        undone.abandon().await;
        assert_eq!(offsets(&store, ParkedFilter::default(), 9).await, vec![] as Vec<i64>);

        park(&store, None, 4, &batch).await;
        let found = store.parked("documents", &ParkedFilter::default(), 9).await.unwrap();
        assert!(found.iter().all(|parked| parked.generation == 1));
        assert_eq!(found.into_iter().map(|parked| parked.record).collect::<Vec<_>>(), batch);

        // k1 has room for one more body; after that it is only counted. Keyless records are not bound by it.
        let more: Vec<_> = (4..8).map(|n| record(n, Some("k1"), false)).chain([record(9, Some("k2"), true)]).collect();
        park(&store, Some(4), 10, &more).await;
        let all = offsets(&store, ParkedFilter::default(), 99).await;
        assert_eq!(all, vec![1, 2, 3, 4, 9]);
        let key = |key: &str, partition, first_offset, count| ParkedKey {
            topic: "document".to_owned(),
            partition,
            key: Bytes::copy_from_slice(key.as_bytes()),
            first_offset,
            count,
        };
        let keys = vec![key("k1", 0, 1, 6), key("k2", 1, 9, 1)];
        assert_eq!(store.parked_keys("documents", 1).await.unwrap(), keys);
        assert_eq!(store.parked_keys("documents", 2).await.unwrap(), vec![]);

        // What failed again is not counted again, kept or not; its reason is the new one.
        let again =
            [ParkedRecord { reason: "still".to_owned(), ..record(1, Some("k1"), true) }, record(6, Some("k1"), false)];
        park(&store, Some(10), 10, &again).await;
        assert_eq!(store.parked_keys("documents", 1).await.unwrap(), keys);
        assert_eq!(offsets(&store, ParkedFilter::default(), 99).await, all);
        // Where there is no transaction what is parked stays as it was first written.
        if !store.keeps_parts() {
            let first = store.parked("documents", &ParkedFilter::default(), 1).await.unwrap().remove(0);
            assert_eq!(first.record.reason, "still");
        }
        filters(&store).await;

        store.reset("documents").await.unwrap();
        assert_eq!(offsets(&store, ParkedFilter::default(), 99).await, vec![] as Vec<i64>);
        assert_eq!(store.parked_keys("documents", 1).await.unwrap(), vec![]);
    }
}

async fn filters(store: &Store) {
    let none = ParkedFilter::default;
    let cases = [
        (ParkedFilter { generation: Some(2), ..none() }, vec![]),
        (ParkedFilter { topic: Some("document".to_owned()), partition: Some(1), ..none() }, vec![9]),
        (ParkedFilter { topic: Some("' OR 1=1 --".to_owned()), ..none() }, vec![]),
        (ParkedFilter { key: Some(Bytes::from_static(b"k1")), ..none() }, vec![1, 3, 4]),
        (ParkedFilter { heads_only: true, ..none() }, vec![1, 2, 9]),
        (ParkedFilter { after: Some((1, "document".to_owned(), 0, 3)), ..none() }, vec![4, 9]),
        (ParkedFilter { after: Some((1, "document".to_owned(), 1, 0)), ..none() }, vec![9]),
    ];
    for (filter, expected) in cases {
        assert_eq!(offsets(store, filter.clone(), 99).await, expected, "{filter:?}");
    }
    assert_eq!(offsets(store, none(), 2).await, vec![1, 2]);
}

#[tokio::test]
async fn a_storm_of_parked_records_is_kept_in_sets() {
    let (stores, _kept) = stores().await;
    for store in stores {
        store.create(&deployment(&[versions()])).await.unwrap();
        let records: Vec<_> = (0..1500).map(|n| record(n, Some(&format!("key {}", n % 700)), n < 700)).collect();
        park(&store, None, 1500, &records).await;
        assert_eq!(offsets(&store, ParkedFilter::default(), 2000).await, (0..1500).collect::<Vec<_>>());
        let keys = store.parked_keys("documents", 1).await.unwrap();
        assert_eq!(keys.len(), 700);
        assert_eq!(keys.iter().map(|key| key.count).sum::<u64>(), 1500);
    }
}

#[tokio::test]
async fn claims_change_only_from_the_version_expected() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let kind = "turn'; --";
        let key = b"document\0d1\xff";
        let claim = |version, body: &[u8], expires_at_ms| Claim { version, body: body.to_vec(), expires_at_ms };
        assert_eq!(store.claim(kind, key).await.unwrap(), None);
        assert!(!store.swap_claim(kind, key, Some(1), b"x", None).await.unwrap());
        assert!(store.swap_claim(kind, key, None, b"a", Some(10)).await.unwrap());
        assert!(!store.swap_claim(kind, key, None, b"b", None).await.unwrap());
        assert_eq!(store.claim(kind, key).await.unwrap(), Some(claim(1, b"a", Some(10))));
        assert!(store.swap_claim(kind, key, Some(1), b"", None).await.unwrap());
        assert_eq!(store.claim(kind, key).await.unwrap(), Some(claim(2, b"", None)));
        assert_eq!(store.claim("other", key).await.unwrap(), None);
        assert!(!store.drop_claim(kind, key, 1).await.unwrap());
        assert!(store.drop_claim(kind, key, 2).await.unwrap());
        assert!(!store.drop_claim(kind, key, 2).await.unwrap());
        assert_eq!(store.claim(kind, key).await.unwrap(), None);

        for (name, expires) in [(b"1", Some(1)), (b"2", Some(2)), (b"3", None)] {
            assert!(store.swap_claim("expiring", name, None, b"", expires).await.unwrap());
        }
        if store.keeps_parts() {
            // Cassandra drops them itself, a day later.
            assert_eq!(store.sweep_claims(i64::MAX).await.unwrap(), 0);
            continue;
        }
        assert_eq!(store.sweep_claims(2).await.unwrap(), 1);
        assert_eq!(store.sweep_claims(2).await.unwrap(), 0);
        assert_eq!(store.claim("expiring", b"1").await.unwrap(), None);
        assert!(store.claim("expiring", b"2").await.unwrap().is_some());
        assert_eq!(store.sweep_claims(i64::MAX).await.unwrap(), 1);
        assert!(store.claim("expiring", b"3").await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_count_by_swapping_one_claim() {
    let (stores, _kept) = stores().await;
    for store in stores {
        // Conditional writes to one row wait for each other in Cassandra, and give up where there are many.
        let count: u64 = if store.keeps_parts() { 4 } else { 100 };
        let tasks = (0..count).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                loop {
                    let seen = store.claim("counter", b"c").await.unwrap();
                    let count =
                        seen.as_ref().map_or(0, |claim| u64::from_be_bytes(claim.body.clone().try_into().unwrap()));
                    let body = (count + 1).to_be_bytes();
                    if store.swap_claim("counter", b"c", seen.map(|claim| claim.version), &body, None).await.unwrap() {
                        return;
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let claim = store.claim("counter", b"c").await.unwrap().unwrap();
        assert_eq!((claim.version, claim.body), (count.cast_signed(), count.to_be_bytes().to_vec()));
    }
}
