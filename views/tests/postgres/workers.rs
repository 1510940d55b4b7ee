//! Workers side by side, and connections that break at every point of a flush.

use headwater_engine::table::{Key, Table};
use headwater_schemas::Value;
use headwater_views::{Flush, Store, StoreError};

use crate::server::Schema;
use crate::{by_hand, deployment, execute, flush, next, open, options, puts, step, target, total, totals, until};

fn key(name: &str) -> Key {
    [Value::string("s"), Value::string(name)].as_slice().into()
}

async fn read(under_way: &mut Flush, table: &Table) -> i64 {
    let found = under_way.read(table, &[key("all")]).await.unwrap().remove(0);
    found.map_or(0, |row| if let Value::Long(n) = row.values[2] { n } else { panic!("{row:?}") })
}

/// Reads the one total, adds one, writes it.
async fn count(store: Store, table: Table, partition: i32, from: Option<i64>) -> Result<(), StoreError> {
    let mut under_way = store.begin(&target(), &[step(partition, from)]).await?;
    let seen = read(&mut under_way, &table).await;
    under_way.commit(&[(&table, &puts(vec![total("all", seen + 1)]))], &[]).await
}

/// A session of this role waits for a lock.
fn waiting(schema: &Schema) -> String {
    let role = schema.role();
    format!("EXISTS (SELECT FROM pg_stat_activity WHERE usename = '{role}' AND wait_event_type = 'Lock')")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_workers_that_share_a_row_lose_nothing() {
    let schema = Schema::with_own_role(true);
    let (first, second) = (open(&schema).await, open(&schema).await);
    let table = totals(true);
    first.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let mut watcher = by_hand(&schema).await;

    // The second comes while the first is between its read and its write.
    let mut under_way = first.begin(&target(), &[step(0, None)]).await.unwrap();
    let seen = read(&mut under_way, &table).await;
    let counting = tokio::spawn(count(second.clone(), table.clone(), 1, None));
    let finished = async {
        while !counting.is_finished() {
            tokio::task::yield_now().await
        }
    };
    let condition = waiting(&schema);
    tokio::select! {
        () = until(&mut watcher, &condition) => {}
        () = finished => {}
    }
    under_way.commit(&[(&table, &puts(vec![total("all", seen + 1)]))], &[]).await.unwrap();
    counting.await.unwrap().unwrap();
    assert_eq!(first.table_rows(&table, 1, 9).await.unwrap(), vec![total("all", 2)]);

    let workers = [(first.clone(), 0), (second, 1)].map(|(store, partition)| {
        let table = table.clone();
        tokio::spawn(async move {
            for from in 1..40 {
                count(store.clone(), table.clone(), partition, Some(from)).await.unwrap();
            }
        })
    });
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(first.table_rows(&table, 1, 9).await.unwrap(), vec![total("all", 80)]);
}

#[tokio::test]
async fn workers_that_own_their_rows_do_not_wait_for_each_other() {
    let schema = Schema::fresh();
    let (first, second) = (open(&schema).await, open(&schema).await);
    let table = totals(false);
    first.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let under_way = first.begin(&target(), &[step(0, None)]).await.unwrap();
    count(second.clone(), table.clone(), 1, None).await.unwrap();
    under_way.commit(&[(&table, &puts(vec![total("mine", 1)]))], &[]).await.unwrap();
    assert_eq!((next(&first, 0).await, next(&first, 1).await), (Some(1), Some(1)));
    assert_eq!(first.table_rows(&table, 1, 9).await.unwrap(), vec![total("mine", 1), total("all", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_second_with_a_partition_is_fenced() {
    let schema = Schema::with_own_role(true);
    let (first, second) = (open(&schema).await, open(&schema).await);
    let table = totals(false);
    first.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let mut watcher = by_hand(&schema).await;
    for from in [None, Some(1), Some(2)] {
        let under_way = first.begin(&target(), &[step(0, from)]).await.unwrap();
        let zombie = tokio::spawn(count(second.clone(), table.clone(), 0, from));
        until(&mut watcher, &waiting(&schema)).await;
        under_way.commit(&[], &[]).await.unwrap();
        let fenced = zombie.await.unwrap();
        assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    }
    assert_eq!(first.table_rows(&table, 1, 9).await.unwrap(), vec![]);
}

/// Ends every other session of the role, whatever it is doing.
async fn break_connections(connection: &mut sqlx::PgConnection, schema: &Schema) {
    let role = schema.role();
    let sessions = format!("pg_stat_activity WHERE usename = '{role}' AND pid <> pg_backend_pid()");
    execute(connection, &format!("SELECT pg_terminate_backend(pid) FROM {sessions}")).await;
    until(connection, &format!("NOT EXISTS (SELECT FROM {sessions})")).await;
}

#[tokio::test]
async fn a_connection_that_breaks_in_a_flush_undoes_it() {
    let schema = Schema::with_own_role(true);
    let store = open(&schema).await;
    let table = totals(true);
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let mut other = by_hand(&schema).await;
    count(store.clone(), table.clone(), 0, None).await.unwrap();

    let mut under_way = store.begin(&target(), &[step(0, Some(1))]).await.unwrap();
    let seen = read(&mut under_way, &table).await;
    break_connections(&mut other, &schema).await;
    let broken = under_way.commit(&[(&table, &puts(vec![total("all", seen + 1)]))], &[]).await.unwrap_err();
    assert!(broken.is_transient(), "{broken:?}");
    let mut under_way = store.begin(&target(), &[step(0, Some(1))]).await.unwrap();
    break_connections(&mut other, &schema).await;
    assert!(under_way.read(&table, &[key("all")]).await.unwrap_err().is_transient());
    // It did not write what it was to write: nor may it commit.
    assert!(under_way.commit(&[], &[]).await.unwrap_err().is_transient());

    // Idle connections that broke are not the next caller's affair.
    break_connections(&mut other, &schema).await;
    assert_eq!(next(&store, 0).await, Some(1));
    count(store.clone(), table.clone(), 0, Some(1)).await.unwrap();
    break_connections(&mut other, &schema).await;
    // A claim is not tried twice behind its caller's back.
    if let Err(broken) = store.swap_claim("k", b"c", None, b"", None).await {
        assert!(broken.is_transient(), "{broken:?}");
        assert!(store.swap_claim("k", b"c", None, b"", None).await.unwrap());
    }
    assert_eq!(store.claim("k", b"c").await.unwrap().unwrap().version, 1);
    assert_eq!(store.table_rows(&table, 1, 9).await.unwrap(), vec![total("all", 2)]);
}

/// Makes the commit of whatever writes to the table wait for a lock that `connection` then holds.
async fn hold_commits(connection: &mut sqlx::PgConnection, lock: i64) {
    execute(
        connection,
        &format!(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ \
             BEGIN PERFORM pg_advisory_xact_lock({lock}); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON totals_g1 DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION hold(); SELECT pg_advisory_lock({lock})"
        ),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_the_commit_leaves_all_or_nothing() {
    let schema = Schema::with_own_role(true);
    let store = open(&schema).await;
    let table = totals(true);
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let mut other = by_hand(&schema).await;
    let lock = i64::from(std::process::id()) << 20 | 1;
    hold_commits(&mut other, lock).await;

    // Everything is written, and the commit is on its way, when the connection breaks.
    let counting = tokio::spawn(count(store.clone(), table.clone(), 0, None));
    until(&mut other, &waiting(&schema)).await;
    break_connections(&mut other, &schema).await;
    let broken = counting.await.unwrap().unwrap_err();
    assert!(broken.is_transient(), "{broken:?}");
    assert_eq!(next(&store, 0).await, None);

    // The caller goes away instead, and the commit lands: whoever tries again finds the position moved.
    let counting = tokio::spawn(count(store.clone(), table.clone(), 0, None));
    until(&mut other, &waiting(&schema)).await;
    counting.abort();
    assert!(counting.await.unwrap_err().is_cancelled());
    execute(&mut other, &format!("SELECT pg_advisory_unlock({lock})")).await;
    let again = count(store.clone(), table.clone(), 0, None).await;
    assert!(matches!(again, Err(StoreError::Fenced { found: Some(1), .. })), "{again:?}");
    execute(&mut other, "DROP TRIGGER hold ON totals_g1").await;
    count(store.clone(), table.clone(), 0, Some(1)).await.unwrap();
    assert_eq!(store.table_rows(&table, 1, 9).await.unwrap(), vec![total("all", 2)]);
}

#[tokio::test]
async fn what_is_locked_or_used_up_is_unavailable_until_it_is_not() {
    let schema = Schema::fresh();
    let mut options = options(&schema);
    (options.connections, options.acquire_timeout) = (1, std::time::Duration::from_millis(300));
    let store = Store::open_postgres(options).await.unwrap();
    let table = totals(false);
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    flush(&store, &table, None, vec![total("a", 1)]).await.unwrap();

    let mut other = by_hand(&schema).await;
    execute(&mut other, "BEGIN; SELECT * FROM _positions FOR UPDATE").await;
    let locked = flush(&store, &table, Some(1), vec![]).await.unwrap_err();
    assert!(locked.is_transient(), "{locked:?}");
    execute(&mut other, "ROLLBACK").await;

    let held = store.snapshot().await.unwrap();
    let full = flush(&store, &table, Some(1), vec![]).await.unwrap_err();
    assert!(full.is_transient(), "{full:?}");
    drop(held);
    flush(&store, &table, Some(1), vec![]).await.unwrap();
    store.close().await;
    assert!(store.positions("shop", 1).await.unwrap_err().is_transient());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_and_create_at_once() {
    let schema = Schema::fresh();
    let table = totals(false);
    let starting = (0..8).map(|_| {
        let (mut options, deployment) = (options(&schema), deployment(std::slice::from_ref(&table)));
        options.connections = 1;
        tokio::spawn(async move {
            let store = Store::open_postgres(options).await?;
            store.create(&deployment).await?;
            Ok::<Store, StoreError>(store)
        })
    });
    let mut stores = Vec::new();
    for start in starting.collect::<Vec<_>>() {
        stores.push(start.await.unwrap().unwrap());
    }
    for (from, store) in (0i64..).zip(&stores) {
        flush(store, &table, (from > 0).then_some(from), vec![total("a", from)]).await.unwrap();
    }
    let resets = stores.iter().map(|store| store.reset("shop"));
    for next in futures::future::join_all(resets).await {
        assert_eq!(next.unwrap(), 2);
    }
    assert_eq!(stores[0].active("shop").await.unwrap(), None);
}
