//! Flushes: all or nothing, once, and in order of their positions; deployments and resets around them.

use headwater_engine::table::{RowPosition, ViewWrites};
use headwater_schemas::Value;
use headwater_views::{FlushTarget, PageRequest, PositionMove, StoreError};

use crate::{
    deployment, flush, key, next, puts, step, stores, target, transactional_stores, version, version_key, versions,
};

#[tokio::test]
async fn a_flush_is_seen_whole_and_once() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        assert_eq!(next(&store).await, None);
        let mut changed = store.changed();
        let mut before = store.snapshot().await.unwrap();
        assert_eq!(before.positions("documents", 1).await.unwrap(), vec![]);

        let mut under_way = store.begin(&target(), &[step(None, 2)]).await.unwrap();
        assert_eq!(under_way.read(&table, &[version_key("d", 1)]).await.unwrap(), vec![None]);
        assert_eq!(next(&store).await, None, "an open flush shows nothing");
        assert!(!changed.has_changed().unwrap());
        let writes = puts(vec![version("d", 1, "a"), version("d", 2, "b")]);
        under_way.commit(&[(&table, &writes)], &[]).await.unwrap();

        assert!(changed.has_changed().unwrap());
        changed.mark_unchanged();
        assert_eq!(next(&store).await, Some(2));
        let rows = store.table_rows(&table, 1, 10).await.unwrap();
        assert_eq!(rows, vec![version("d", 2, "b"), version("d", 1, "a")], "number descends");
        // An older snapshot goes on showing what it showed, where there are snapshots.
        if !store.keeps_parts() {
            assert_eq!(before.positions("documents", 1).await.unwrap(), vec![]);
            assert_eq!(before.table_rows(&table, 1, 10).await.unwrap(), vec![]);
        }

        // The reply to that commit was lost, say: the same again is fenced, and nothing is written.
        let again = flush(&store, &[step(None, 2)], &table, &writes).await;
        assert!(matches!(again, Err(StoreError::Fenced { expected: None, found: Some(2), .. })), "{again:?}");
        assert!(!changed.has_changed().unwrap());
        drop(before);
        store.close().await;
    }
}

#[tokio::test]
async fn positions_move_only_from_what_is_stored() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let nothing = ViewWrites::default();
        let fenced = [step(Some(0), 1), step(Some(5), 6), step(None, -1)];
        for step in fenced {
            let refused = flush(&store, std::slice::from_ref(&step), &table, &nothing).await;
            assert!(matches!(refused, Err(StoreError::Fenced { found: None, .. })), "{step:?}: {refused:?}");
        }
        // No position is not position 0.
        flush(&store, &[step(None, 0)], &table, &nothing).await.unwrap();
        flush(&store, &[step(Some(0), 7)], &table, &nothing).await.unwrap();
        for step in [step(None, 8), step(Some(0), 8), step(Some(8), 9), step(Some(7), 6)] {
            let refused = flush(&store, std::slice::from_ref(&step), &table, &nothing).await;
            assert!(matches!(refused, Err(StoreError::Fenced { found: Some(7), .. })), "{step:?}: {refused:?}");
        }
        // One wrong move undoes those that were right.
        let other = PositionMove { partition: 1, ..step(None, 3) };
        let refused = flush(&store, &[other.clone(), step(Some(6), 8)], &table, &nothing).await;
        assert!(matches!(refused, Err(StoreError::Fenced { partition: 0, .. })), "{refused:?}");
        assert_eq!(store.positions("documents", 1).await.unwrap().len(), 1);
        // Nothing read since then is no move.
        flush(&store, &[other, step(Some(7), 7)], &table, &nothing).await.unwrap();
        let stored = store.positions("documents", 1).await.unwrap();
        assert_eq!(stored.iter().map(|p| (p.partition, p.next)).collect::<Vec<_>>(), vec![(0, 7), (1, 3)]);

        let recreated = PositionMove { topic_id: [8; 16], ..step(Some(7), 8) };
        let refused = flush(&store, &[recreated], &table, &nothing).await;
        assert!(matches!(refused, Err(StoreError::TopicChanged { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn of_two_zombies_one_wins() {
    let (stores, _kept) = transactional_stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        for round in 0..20i64 {
            let from = (round > 0).then_some(round);
            let attempts = (0..4).map(|worker| {
                let (store, table) = (store.clone(), table.clone());
                tokio::spawn(async move {
                    let mut under_way = store.begin(&target(), &[step(from, round + 1)]).await?;
                    let read = under_way.read(&table, &[version_key("d", 0)]).await?;
                    let seen = read[0].as_ref().map_or(0, |row| match row.state[0] {
                        Value::Long(n) => n,
                        _ => panic!("the count is a long"),
                    });
                    let mut row = version("d", 0, &format!("worker {worker}"));
                    row.state = vec![Value::Long(seen + 1)];
                    under_way.commit(&[(&table, &puts(vec![row]))], &[]).await
                })
            });
            let mut won = 0;
            for attempt in attempts.collect::<Vec<_>>() {
                match attempt.await.unwrap() {
                    Ok(()) => won += 1,
                    Err(StoreError::Fenced { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(won, 1);
        }
        let row = store.get(&table, 1, &[version_key("d", 0)]).await.unwrap().remove(0).unwrap();
        assert_eq!(row.state, vec![Value::Long(20)]);
    }
}

#[tokio::test]
async fn a_flush_that_is_dropped_or_refused_leaves_nothing() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        flush(&store, &[step(None, 1)], &table, &puts(vec![version("d", 1, "a")])).await.unwrap();

        drop(store.begin(&target(), &[step(Some(1), 2)]).await.unwrap());
        store.begin(&target(), &[step(Some(1), 2)]).await.unwrap().abandon().await;
        let bad = puts(vec![version("d", 2, "fine"), version("d", 3, "with a \0 in it")]);
        let refused = flush(&store, &[step(Some(1), 2)], &table, &bad).await;
        let Err(StoreError::Refused { view, key, position, by_shape, reason }) = refused else { panic!("{refused:?}") };
        assert!(by_shape, "{reason}");
        assert_eq!((view.as_str(), key.as_str()), ("versions", "doc_id=\"d\", number=3"));
        assert_eq!(position, Some(RowPosition { partition: 0, offset: 3 }));
        assert!(reason.contains("NUL"), "{reason}");

        assert_eq!(next(&store).await, Some(1));
        assert_eq!(store.table_rows(&table, 1, 10).await.unwrap(), vec![version("d", 1, "a")]);
        flush(&store, &[step(Some(1), 2)], &table, &ViewWrites::default()).await.unwrap();
    }
}

/// Whoever waits may give up at any moment: the store goes on, and rows and positions agree.
#[tokio::test]
async fn calls_may_be_cancelled_anywhere() {
    let (stores, _kept) = transactional_stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let (mut done, mut cut) = (0i64, 0);
        for round in 0..300u64 {
            let from = next(&store).await;
            let to = from.unwrap_or(0) + 1;
            let work = async {
                let mut under_way = store.begin(&target(), &[step(from, to)]).await?;
                under_way.read(&table, &[version_key("d", 0)]).await?;
                let mut row = version("d", 0, "x");
                row.state = vec![Value::Long(to)];
                under_way.commit(&[(&table, &puts(vec![row]))], &[]).await
            };
            match polled_at_most(work, round % 48).await {
                Some(Ok(())) => done += 1,
                // The commit of the round before was cancelled, and landed after its position was read.
                Some(Err(StoreError::Fenced { found, .. })) => assert_eq!(found, Some(to)),
                Some(Err(other)) => panic!("{other}"),
                None => cut += 1,
            }
            let mut snapshot = store.snapshot().await.unwrap();
            let position = snapshot.positions("documents", 1).await.unwrap().first().map(|p| p.next);
            let row = snapshot.get(&table, 1, &[version_key("d", 0)]).await.unwrap().remove(0);
            assert_eq!(row.map(|row| row.state), position.map(|next| vec![Value::Long(next)]));
        }
        assert!(done > 0, "{done} done, {cut} cut");
        loop {
            let from = next(&store).await;
            assert!(from >= Some(done), "what was acknowledged is there: {from:?} of {done}");
            match flush(&store, &[step(from, 1000)], &table, &ViewWrites::default()).await {
                Ok(()) => break,
                // A cancelled commit was still under way, and the position is read again.
                Err(StoreError::Fenced { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// The future's output, or None where it is dropped after so many polls that were not ready.
async fn polled_at_most<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
        std::task::Poll::Pending => {
            left -= 1;
            std::task::Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_topology_is_deployed_once_and_reset_whole() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = versions();
        let first = deployment(std::slice::from_ref(&table));
        assert_eq!(store.active("documents").await.unwrap(), None);
        assert_eq!(store.reset("documents").await.unwrap(), 1);
        assert!(matches!(store.begin(&target(), &[]).await, Err(StoreError::NoGeneration { .. })));
        assert!(matches!(store.table_rows(&table, 1, 1).await, Err(StoreError::NoGeneration { .. })));

        assert_eq!(store.next_generation("documents").await.unwrap(), 1);
        assert_eq!(store.create(&first).await.unwrap(), 1);
        assert_eq!(store.create(&first).await.unwrap(), 1);
        // Two processes that both found nothing deployed: the second takes the first one's generation.
        let late = headwater_views::Deployment { generation: 2, ..first.clone() };
        assert_eq!(store.create(&late).await.unwrap(), 1);
        let active = store.active("documents").await.unwrap().unwrap();
        assert_eq!(
            (active.generation, active.declaration.as_str(), active.fingerprint.as_str()),
            (1, "views: {}", "f1")
        );
        let other = headwater_views::Deployment { fingerprint: "f2".to_owned(), generation: 2, ..first.clone() };
        let refused = store.create(&other).await;
        assert!(matches!(refused, Err(StoreError::Deployed { generation: 1, .. })), "{refused:?}");
        let thief = headwater_views::Deployment { topology: "orders".to_owned(), ..first.clone() };
        let refused = store.create(&thief).await;
        assert!(matches!(refused, Err(StoreError::Declaration { .. })), "{refused:?}");
        assert_eq!(store.active("orders").await.unwrap(), None);

        flush(&store, &[step(None, 1)], &table, &puts(vec![version("d", 1, "a")])).await.unwrap();
        store.swap_claim("turn", b"d", None, b"held", None).await.unwrap();
        assert_eq!(store.reset("documents").await.unwrap(), 2);
        assert_eq!(store.active("documents").await.unwrap(), None);
        assert_eq!(next(&store).await, None);
        assert!(store.claim("turn", b"d").await.unwrap().is_some(), "claims are not of views");
        // A worker of the dropped generation wakes up: with or without a position, there is nothing to write to.
        for from in [Some(1), None] {
            let late = flush(&store, &[step(from, 2)], &table, &ViewWrites::default()).await;
            assert!(matches!(late, Err(StoreError::NoGeneration { .. })), "{late:?}");
        }
        let reused = store.create(&first).await;
        assert!(matches!(reused, Err(StoreError::NoGeneration { .. })), "{reused:?}");
        assert_eq!(store.create(&other).await.unwrap(), 2);
        assert_eq!(store.table_rows(&table, 2, 10).await.unwrap(), vec![]);
        let target = FlushTarget { generation: 2, ..target() };
        let under_way = store.begin(&target, &[step(None, 1)]).await.unwrap();
        under_way.commit(&[(&table, &puts(vec![version("d", 2, "b")]))], &[]).await.unwrap();
        assert_eq!(store.table_rows(&table, 2, 10).await.unwrap(), vec![version("d", 2, "b")]);
        assert_eq!(store.next_generation("documents").await.unwrap(), 3);
    }
}

/// A flush that was begun before a reset does not outlive it: the two wait for each other.
#[tokio::test]
async fn a_reset_waits_for_the_flush_under_way() {
    let (stores, _kept) = transactional_stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let under_way = store.begin(&target(), &[step(None, 1)]).await.unwrap();
        let resetting = tokio::spawn({
            let store = store.clone();
            async move { store.reset("documents").await }
        });
        tokio::task::yield_now().await;
        under_way.commit(&[(&table, &puts(vec![version("d", 1, "a")]))], &[]).await.unwrap();
        assert_eq!(resetting.await.unwrap().unwrap(), 2);
        assert!(matches!(store.table_rows(&table, 1, 1).await, Err(StoreError::NoGeneration { .. })));
    }
}

#[tokio::test]
async fn many_rows_are_written_read_and_paged_in_order() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = versions();
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        // Past any chunk's length, and of every power of two.
        let rows: Vec<_> = (0..1023).map(|n| version(&format!("d{}", n % 3), n, "name")).collect();
        flush(&store, &[step(None, 1023)], &table, &puts(rows.clone())).await.unwrap();
        let keys: Vec<_> = (0..1100).rev().map(|n| version_key(&format!("d{}", n % 3), n)).collect();
        let found = store.get(&table, 1, &keys).await.unwrap();
        for (i, row) in found.iter().enumerate() {
            assert_eq!(*row, rows.get(1099 - i).cloned());
        }
        let mut after = None;
        let mut paged = Vec::new();
        loop {
            let request = PageRequest { partition: vec![Value::string("d1")], after, limit: 50 };
            let page = store.page(&table, 1, &request).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(vec![last.values[1].clone()]);
            paged.extend(page);
        }
        let mut expected: Vec<_> = rows.iter().filter(|row| row.values[0] == Value::string("d1")).cloned().collect();
        expected.reverse();
        assert_eq!(paged, expected);

        let at = RowPosition { partition: 0, offset: 2000 };
        let deletes = (0..700).map(|n| (version_key(&format!("d{}", n % 3), n), at)).collect();
        let partitions = vec![(key(&[Value::string("d2")]), at), (key(&[Value::string("none")]), at)];
        let mut new = version("d2", 1, "new");
        new.position.offset = 2001;
        let writes = ViewWrites { deletes, partition_deletes: partitions, puts: vec![new], view: 0 };
        flush(&store, &[step(Some(1023), 2000)], &table, &writes).await.unwrap();
        let left = store.table_rows(&table, 1, usize::MAX).await.unwrap();
        let kept = rows.iter().filter(|row| kept_of(row));
        assert_eq!(left.len(), kept.count() + 1);
    }
}

fn kept_of(row: &headwater_engine::table::Row) -> bool {
    let Value::Long(number) = row.values[1] else { return false };
    number >= 700 && row.values[0] != Value::string("d2")
}
