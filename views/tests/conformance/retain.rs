//! Rows that are shown for some days: hidden by every store at the same moment, pages filled all the same, and deleted
//! where the table may be pruned.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_engine::table::{Direction, Feeding, Retain, Row, RowPosition, Table};
use headwater_schemas::{FieldType, Type, Value};
use headwater_views::{PageRequest, Store};

use crate::{cassandra, column, deployment, flush, key, puts, step, stores, transactional_stores};

const DAYS: u32 = 30;
const DAY_MS: i64 = 86_400_000;
/// 1 January 2026.
const NOW_MS: i64 = 1_767_225_600_000;

/// `seen(shop, n; at)`, shown for 30 days after `at`.
fn seen(ty: Type, pruned: bool, fed: Feeding) -> Table {
    let mut table = Table {
        name: "seen".to_owned(),
        doc: None,
        columns: vec![column("shop", Type::String), column("n", Type::Long), column("at", ty)],
        partition: 1,
        clustering: vec![Direction::Ascending],
        state: vec![],
        fed,
        retain: Some(Retain { days: DAYS, column: 2, pruned }),
    };
    table.columns[2].ty.nullable = true;
    table
}

fn row(n: i64, at: Value) -> Row {
    let position = RowPosition { partition: 0, offset: n };
    Row { values: vec![Value::string("s"), Value::Long(n), at], state: vec![], position, hidden: false }
}

/// An instant at which rows have so many milliseconds left.
fn left(ms: i64) -> Value {
    Value::Timestamp((NOW_MS - i64::from(DAYS) * DAY_MS + ms) * 1000)
}

fn numbers(rows: &[Row]) -> Vec<i64> {
    let number = |row: &Row| match &row.values[1] {
        Value::Long(n) => *n,
        other => panic!("{other:?} is no number"),
    };
    rows.iter().map(number).collect()
}

async fn shown(store: &Store, table: &Table) -> Vec<i64> {
    numbers(&store.snapshot().await.unwrap().at(NOW_MS).table_rows(table, 1, 1000).await.unwrap())
}

async fn kept(store: &Store, table: &Table) -> Vec<i64> {
    numbers(&store.table_rows(table, 1, 1000).await.unwrap())
}

#[tokio::test]
async fn rows_are_hidden_from_their_moment_on() {
    let day = |days: i32| Value::Date((NOW_MS / DAY_MS) as i32 - DAYS as i32 + days);
    let instants = [left(-1), left(0), left(1), Value::Null, left(-(1 << 40)), left(1 << 40)];
    let days = [day(-1), day(0), day(1), Value::Null, day(-700_000), day(700_000)];
    for (ty, values) in [(Type::TimestampMillis, &instants), (Type::TimestampMicros, &instants), (Type::Date, &days)] {
        let table = seen(ty, false, Feeding::ByOne);
        let rows: Vec<Row> = values.iter().enumerate().map(|(n, at)| row(n as i64, at.clone())).collect();
        let keys: Vec<_> = rows.iter().map(|row| key(row.key(&table))).collect();
        let (stores, _kept) = stores().await;
        for store in stores {
            store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
            flush(&store, &[step(None, 1)], &table, &puts(rows.clone())).await.unwrap();
            assert_eq!(shown(&store, &table).await, [2, 3, 5], "{store:?}");
            let mut now = store.snapshot().await.unwrap().at(NOW_MS);
            let found = now.get(&table, 1, &keys).await.unwrap();
            assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, true, false, true]);
            // A millisecond before, one more; and whoever does not say what time it is sees what there is.
            let mut before = store.snapshot().await.unwrap().at(NOW_MS - 1);
            assert_eq!(numbers(&before.table_rows(&table, 1, 9).await.unwrap()), [1, 2, 3, 5]);
            assert_eq!(numbers(&before.table_rows(&table, 1, 2).await.unwrap()), [1, 2], "as many as asked for");
            assert_eq!(kept(&store, &table).await, [0, 1, 2, 3, 4, 5]);
            // The fold sees all of them, and nothing is deleted of a table that is not pruned.
            assert_eq!(store.sweep_rows(&table, 1, NOW_MS).await.unwrap(), 0);
            let mut under_way = store.begin(&crate::target(), &[step(Some(1), 2)]).await.unwrap();
            assert!(under_way.read(&table, &keys).await.unwrap().iter().all(Option::is_some));
            under_way.abandon().await;
        }
    }
}

#[tokio::test]
async fn pages_are_filled_past_what_is_hidden() {
    let ages = |n: i64| if n % 7 == 3 || (40..150).contains(&n) { left(0) } else { left(n + 1) };
    let expected: Vec<i64> = (0..200).filter(|&n| ages(n) != left(0)).collect();
    let (stores, _kept) = stores().await;
    for store in stores {
        let table = seen(Type::TimestampMicros, false, Feeding::ByOne);
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let rows = (0..200).map(|n| row(n, ages(n))).collect();
        flush(&store, &[step(None, 1)], &table, &puts(rows)).await.unwrap();
        let mut now = store.snapshot().await.unwrap().at(NOW_MS);
        for limit in [1, 7, 64, 1000] {
            let mut found: Vec<i64> = Vec::new();
            let mut after = None;
            loop {
                let request = PageRequest { partition: vec![Value::string("s")], after, limit };
                let page = now.page(&table, 1, &request).await.unwrap();
                found.extend(numbers(&page));
                assert!(page.len() == limit || found.len() == expected.len(), "a page is full, or the last");
                match page.last() {
                    Some(last) if page.len() == limit => after = Some(vec![last.values[1].clone()]),
                    _ => break,
                }
            }
            assert_eq!(found, expected, "{limit} a page");
        }
        let nothing = PageRequest { partition: vec![Value::string("s")], after: None, limit: 0 };
        assert_eq!(now.page(&table, 1, &nothing).await.unwrap(), vec![]);
    }
}

/// Latest first, what comes after the first row that is past is past too: the rest of the partition is not read.
#[tokio::test]
async fn a_page_in_order_of_time_ends_with_the_first_that_is_past() {
    let (stores, _kept) = stores().await;
    for store in stores {
        let mut table = seen(Type::TimestampMicros, false, Feeding::ByOne);
        table.columns.swap(1, 2);
        table.columns[1].ty = FieldType::required(Type::TimestampMicros);
        table.clustering = vec![Direction::Descending, Direction::Ascending];
        table.retain = Some(Retain { days: DAYS, column: 1, pruned: false });
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let of = |n: i64| {
            let mut row = row(n, left((n - 10) / 2));
            row.values.swap(1, 2);
            row
        };
        flush(&store, &[step(None, 1)], &table, &puts((0..20).map(of).collect())).await.unwrap();
        let mut now = store.snapshot().await.unwrap().at(NOW_MS);
        let mut request = PageRequest { partition: vec![Value::string("s")], after: None, limit: 5 };
        let numbers = |rows: Vec<Row>| rows.into_iter().map(|row| row.values[2].clone()).collect::<Vec<_>>();
        let page = now.page(&table, 1, &request).await.unwrap();
        request.after = page.last().map(|row| row.values[1..3].to_vec());
        assert_eq!(numbers(page), [18, 19, 16, 17, 14].map(Value::Long));
        assert_eq!(numbers(now.page(&table, 1, &request).await.unwrap()), [15, 12, 13].map(Value::Long));
    }
}

#[tokio::test]
async fn what_is_past_is_swept_in_bounded_steps() {
    let (stores, _kept) = transactional_stores().await;
    for store in stores {
        for (generation, ty, past, later) in [
            (1, Type::TimestampMicros, left(0), left(1)),
            (2, Type::TimestampMillis, left(0), left(1)),
            (3, Type::Date, Value::Date(-900), Value::Date((NOW_MS / DAY_MS) as i32)),
        ] {
            let table = seen(ty, true, Feeding::ByOne);
            let deployed = headwater_views::Deployment { generation, ..deployment(std::slice::from_ref(&table)) };
            store.create(&deployed).await.unwrap();
            let at = |n: i64| match n {
                2100 => later.clone(),
                2101 => Value::Null,
                _ => past.clone(),
            };
            let target = headwater_views::FlushTarget { generation, ..crate::target() };
            let writes = puts((0..2102).map(|n| row(n, at(n))).collect());
            let under_way = store.begin(&target, &[step(None, 1)]).await.unwrap();
            under_way.commit(&[(&table, &writes)], &[]).await.unwrap();
            assert_eq!(store.sweep_rows(&table, generation, NOW_MS - 86_400_000 * 70_000).await.unwrap(), 0);
            let mut swept = Vec::new();
            while swept.last() != Some(&0) {
                swept.push(store.sweep_rows(&table, generation, NOW_MS).await.unwrap());
            }
            assert_eq!(swept, [1000, 1000, 100, 0]);
            assert_eq!(numbers(&store.table_rows(&table, generation, 9).await.unwrap()), [2100, 2101]);
            // A row that comes again is a new one.
            let again = puts(vec![row(5, later.clone())]);
            let under_way = store.begin(&target, &[step(Some(1), 2)]).await.unwrap();
            under_way.commit(&[(&table, &again)], &[]).await.unwrap();
            assert_eq!(numbers(&store.table_rows(&table, generation, 9).await.unwrap()), [5, 2100, 2101]);
            store.reset("documents").await.unwrap();
        }
    }
}

/// The one row of a table without key columns goes too.
#[tokio::test]
async fn a_single_row_is_swept() {
    let (stores, _kept) = transactional_stores().await;
    for store in stores {
        let mut table = seen(Type::TimestampMicros, true, Feeding::ByOne);
        (table.partition, table.clustering) = (0, vec![]);
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        flush(&store, &[step(None, 1)], &table, &puts(vec![row(1, left(5))])).await.unwrap();
        assert_eq!(store.sweep_rows(&table, 1, NOW_MS + 4).await.unwrap(), 0);
        assert_eq!(store.sweep_rows(&table, 1, NOW_MS + 5).await.unwrap(), 1);
        assert_eq!(kept(&store, &table).await, Vec::<i64>::new());
    }
}

/// What Cassandra's store is told that the time is.
static CLOCK_MS: AtomicI64 = AtomicI64::new(NOW_MS);

fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(CLOCK_MS.load(Ordering::SeqCst).unsigned_abs())
}

#[tokio::test]
async fn cassandra_is_told_how_long_rows_live() {
    for fed in [Feeding::ByOne, Feeding::Mapped] {
        CLOCK_MS.store(NOW_MS, Ordering::SeqCst);
        let keyspace = cassandra::keyspace().await;
        let mut options = cassandra::options(&keyspace);
        options.clock = clock;
        let store = Store::open_cassandra(options).await.unwrap();
        let table = seen(Type::TimestampMicros, true, fed.clone());
        store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
        let ages = [left(-1), left(0), left(86_400_000), Value::Null, left(86_400_000 * 365 * 15)];
        let rows: Vec<Row> = ages.iter().enumerate().map(|(n, at)| row(n as i64, at.clone())).collect();
        let keys: Vec<_> = rows.iter().map(|row| key(row.key(&table))).collect();
        flush(&store, &[step(None, 1)], &table, &puts(rows.clone())).await.unwrap();
        assert_eq!(kept(&store, &table).await, [2, 3, 4], "what is past is written as what is gone");
        // As Cassandra has it: 1 is what is gone, with its position where rows are read back.
        let session = keyspace.session().await;
        let cql = format!("SELECT n, \"_hidden\", TTL(\"_pos\") FROM {}.seen_g1 WHERE shop = 's'", keyspace.name);
        let found = session.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
        let found: Vec<(i64, bool, Option<i32>)> = found.rows().unwrap().map(Result::unwrap).collect();
        let numbers = found.iter().map(|(n, hidden, _)| (*n, *hidden)).collect::<Vec<_>>();
        let alive = [(2, false), (3, false), (4, false)];
        let gone: &[(i64, bool)] = if fed == Feeding::Mapped { &[] } else { &[(0, true), (1, true)] };
        assert_eq!(numbers, [gone, &alive].concat());
        let ttl = |n: i64| found.iter().find(|(found, ..)| *found == n).unwrap().2;
        // A day, less what passed since.
        assert!(ttl(2).is_some_and(|ttl| (1..=86_400).contains(&ttl)), "{:?}", ttl(2));
        assert_eq!((ttl(3), ttl(4)), (None, None), "for ever, and longer than Cassandra counts");

        // Delivered again when it is past meanwhile, the same event's row is gone.
        CLOCK_MS.store(NOW_MS + 86_400_000, Ordering::SeqCst);
        flush(&store, &[step(Some(1), 2)], &table, &puts(rows)).await.unwrap();
        assert_eq!(kept(&store, &table).await, [3, 4]);
        // And comes back whole with a later one.
        let mut back = row(2, left(1 << 40));
        back.position.offset = 9;
        flush(&store, &[step(Some(2), 10)], &table, &puts(vec![back.clone()])).await.unwrap();
        assert_eq!(store.get(&table, 1, &keys).await.unwrap()[2], Some(back));
        assert_eq!(store.sweep_rows(&table, 1, i64::MAX).await.unwrap(), 0, "that is Cassandra's own affair");
    }
}
