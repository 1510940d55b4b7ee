//! What only Cassandra needs: writes that land late, rows that are gone, parts of rows, partitions that are taken over.

#![allow(clippy::unwrap_used)]

#[path = "cassandra/server.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ethnum::I256;
use headwater_dev_servers::Keyspace;
use headwater_engine::table::{
    Column, Feeding, Key, Merge, Merged, Row, RowPosition, StateColumn, StateType, SumResult, Table, ViewWrites,
};
use headwater_schemas::{FieldType, Type, Value};
use headwater_views::{
    CassandraOptions, Deployment, FlushTarget, PageRequest, ParkedFilter, ParkedRecord, PositionMove, Store, StoreError,
};
use server::{keyspace, options};

fn column(name: &str, ty: Type) -> Column {
    Column { name: name.to_owned(), ty: FieldType::required(ty), doc: None }
}

/// `documents(doc_id; name)`.
fn documents(fed: Feeding) -> Table {
    Table {
        name: "documents".to_owned(),
        doc: Some("It's a 'test'".to_owned()),
        columns: vec![column("doc_id", Type::String), column("name", Type::String)],
        partition: 1,
        clustering: vec![],
        state: vec![],
        fed,
        retain: None,
    }
}

fn document(name: &str, offset: i64) -> Row {
    Row {
        values: vec![Value::string("d"), Value::string(name)],
        state: vec![],
        position: RowPosition { partition: 0, offset },
        hidden: false,
    }
}

/// `sales(product; orders, quantity)`, fed by many partitions.
fn sales() -> Table {
    let merge = Merge {
        columns: vec![Merged::Count, Merged::Sum { sum: 1, count: 2, result: SumResult::Long }],
        rows: Some(0),
        always: false,
        shown: None,
    };
    let state = [("rows", StateType::Count), ("q_sum", StateType::Wide), ("q_count", StateType::Count)];
    Table {
        name: "sales".to_owned(),
        doc: None,
        columns: vec![
            column("shop", Type::String),
            column("product", Type::String),
            column("orders", Type::Long),
            Column { ty: FieldType::nullable(Type::Long), ..column("quantity", Type::Long) },
        ],
        partition: 1,
        clustering: vec![headwater_engine::table::Direction::Descending],
        state: state.map(|(name, ty)| StateColumn { name: name.to_owned(), ty }).into(),
        fed: Feeding::ByMany(merge),
        retain: None,
    }
}

/// One partition's part of a product's sales, in a lane.
fn part(product: &str, (partition, offset): (i32, i64), lane: &[u8], (rows, quantity): (i64, i64)) -> Row {
    Row {
        values: vec![
            Value::string("s"),
            Value::string(product),
            Value::Long(partition.into()),
            Value::Bytes(lane.into()),
            Value::Long(rows),
            if rows == 0 { Value::Null } else { Value::Long(quantity) },
        ],
        state: vec![Value::Long(rows), Value::Wide(Box::new(I256::from(quantity))), Value::Long(rows)],
        position: RowPosition { partition, offset },
        hidden: false,
    }
}

fn deployment(tables: &[Table], fingerprint: &str) -> Deployment {
    Deployment {
        topology: "shop".to_owned(),
        generation: 1,
        tables: tables.to_vec(),
        declaration: "d".to_owned(),
        fingerprint: fingerprint.to_owned(),
    }
}

fn target() -> FlushTarget {
    FlushTarget { topology: "shop".to_owned(), generation: 1 }
}

fn step(from: Option<i64>, to: i64, epoch: i64) -> PositionMove {
    PositionMove { topic: "t".to_owned(), topic_id: [1; 16], partition: 0, from, to, epoch }
}

fn puts(rows: Vec<Row>) -> ViewWrites {
    ViewWrites { puts: rows, ..ViewWrites::default() }
}

fn deletes(offset: i64) -> ViewWrites {
    let at = RowPosition { partition: 0, offset };
    ViewWrites { deletes: vec![(key(&[Value::string("d")]), at)], ..ViewWrites::default() }
}

fn key(values: &[Value]) -> Key {
    Arc::from(values)
}

/// Writes as a worker does that does not know what others have done: nothing is compared.
async fn write(store: &Store, table: &Table, writes: &ViewWrites) {
    store.begin(&target(), &[]).await.unwrap().commit(&[(table, writes)], &[]).await.unwrap();
}

/// What a fold reads back, guards too.
async fn kept(store: &Store, table: &Table) -> Option<Row> {
    let mut flush = store.begin(&target(), &[]).await.unwrap();
    flush.read(table, &[key(&[Value::string("d")])]).await.unwrap().remove(0)
}

async fn seen(store: &Store, table: &Table) -> Option<Row> {
    store.get(table, 1, &[key(&[Value::string("d")])]).await.unwrap().remove(0)
}

async fn open(tables: &[Table]) -> (Store, Keyspace) {
    let keyspace = keyspace().await;
    let store = Store::open_cassandra(options(&keyspace)).await.unwrap();
    store.create(&deployment(tables, "f")).await.unwrap();
    (store, keyspace)
}

#[tokio::test]
async fn what_lands_late_never_wins() {
    let table = documents(Feeding::ByOne);
    let (store, _keyspace) = open(std::slice::from_ref(&table)).await;
    write(&store, &table, &puts(vec![document("new", 5)])).await;
    write(&store, &table, &puts(vec![document("old", 3)])).await;
    assert_eq!(seen(&store, &table).await, Some(document("new", 5)));
    // Gone at 7: the row is a guard, which the fold sees and no reader does.
    write(&store, &table, &deletes(7)).await;
    write(&store, &table, &puts(vec![document("late", 6)])).await;
    assert_eq!(seen(&store, &table).await, None);
    let guard = kept(&store, &table).await.unwrap();
    assert!(guard.hidden);
    assert_eq!(guard.position, RowPosition { partition: 0, offset: 7 });
    // A delete that lands late takes nothing away.
    write(&store, &table, &puts(vec![document("again", 9)])).await;
    write(&store, &table, &deletes(8)).await;
    assert_eq!(seen(&store, &table).await, Some(document("again", 9)));
}

#[tokio::test]
async fn mapped_rows_need_no_guard() {
    let table = documents(Feeding::Mapped);
    let (store, keyspace) = open(std::slice::from_ref(&table)).await;
    write(&store, &table, &puts(vec![document("a", 5)])).await;
    write(&store, &table, &deletes(7)).await;
    write(&store, &table, &puts(vec![document("late", 6)])).await;
    assert_eq!((seen(&store, &table).await, kept(&store, &table).await), (None, None));
    let cql = format!("SELECT count(*) FROM {}.documents_g1", keyspace.name);
    let rows = keyspace.session().await.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
    assert_eq!(rows.single_row::<(i64,)>().unwrap(), (0,));
}

#[tokio::test]
async fn parts_and_lanes_are_summed_before_anything_is_left_out() {
    let (table, parts) = (sales(), sales().in_parts().unwrap());
    let (store, _keyspace) = open(std::slice::from_ref(&table)).await;
    let rows = vec![
        part("apple", (0, 4), b"", (2, 10)),
        part("apple", (1, 9), b"", (1, 5)),
        // What was added in the main part of one partition and taken back in the lane of a redriven key.
        part("pear", (0, 5), b"", (1, 3)),
        part("pear", (0, 8), b"order 1", (-1, -3)),
        part("plum", (0, 6), b"", (1, 2)),
        part("plum", (0, 9), b"order 2", (0, 4)),
    ];
    write(&store, &parts, &puts(rows)).await;
    let page = |after: Option<&str>, limit| PageRequest {
        partition: vec![Value::string("s")],
        after: after.map(|product| vec![Value::string(product)]),
        limit,
    };
    let shown = |rows: Vec<Row>| rows.iter().map(|row| format!("{:?}", &row.values[1..])).collect::<Vec<_>>();
    let sold = |product: &str, orders, quantity| {
        format!("{:?}", [Value::string(product), Value::Long(orders), Value::Long(quantity)])
    };
    let (plum, apple) = (&sold("plum", 1, 6), &sold("apple", 3, 15));
    let all = store.page(&table, 1, &page(None, 9)).await.unwrap();
    let apples = all[1].clone();
    assert_eq!(shown(all), [plum.as_str(), apple], "pears came and went");
    assert_eq!(shown(store.page(&table, 1, &page(None, 1)).await.unwrap()), [plum.as_str()]);
    assert_eq!(shown(store.page(&table, 1, &page(Some("plum"), 1)).await.unwrap()), [apple.as_str()]);
    assert_eq!(shown(store.table_rows(&table, 1, 9).await.unwrap()), [plum.as_str(), apple]);
    // A part that changes makes another version of the row, and hides no other part.
    write(&store, &parts, &puts(vec![part("apple", (0, 12), b"", (3, 11))])).await;
    let keys = [key(&[Value::string("s"), Value::string("apple")]), key(&[Value::string("s"), Value::string("pear")])];
    let found = store.get(&table, 1, &keys).await.unwrap();
    assert_ne!(found[0].as_ref().map(|row| row.position), Some(apples.position));
    assert_eq!(shown(found.into_iter().flatten().collect()), [sold("apple", 4, 16)]);
}

/// A worker that dies in the middle leaves what derives from a row written before the row, and the position behind both:
/// who comes after it does the same again. The other way round, the row would say that its event is done.
#[tokio::test]
async fn what_derives_from_a_row_is_written_before_it_and_the_position_last() {
    let source = documents(Feeding::ByOne);
    let derived = Table { name: "copies".to_owned(), ..documents(Feeding::Mapped) };
    // A write to a table that is not there fails as one does that a server never answers.
    for (broken, written) in [("copies_g1", [false, false]), ("documents_g1", [false, true])] {
        let (store, keyspace) = open(&[source.clone(), derived.clone()]).await;
        let epoch = store.take_over(&target(), &[("t".to_owned(), 0)]).await.unwrap()[0];
        let cql = format!("DROP TABLE {}.{broken}", keyspace.name);
        keyspace.session().await.query_unpaged(cql, ()).await.unwrap();
        let row = puts(vec![document("a", 1)]);
        let flush = store.begin(&target(), &[step(None, 2, epoch)]).await.unwrap();
        let done = flush.commit(&[(&source, &row), (&derived, &row)], &[]).await;
        assert!(done.is_err(), "{broken} is not there");
        assert_eq!(store.positions("shop", 1).await.unwrap(), [], "without {broken}");
        for (table, written) in [&source, &derived].into_iter().zip(written) {
            if broken != format!("{}_g1", table.name) {
                assert_eq!(seen(&store, table).await.is_some(), written, "{} without {broken}", table.name);
            }
        }
    }
}

fn poison(offset: i64, key: &'static str) -> ParkedRecord {
    ParkedRecord {
        topic: "t".to_owned(),
        partition: 0,
        offset,
        timestamp_ms: 1,
        key: Some(Bytes::from_static(key.as_bytes())),
        payload: None,
        headers: vec![],
        reason: "poison".to_owned(),
        is_head: true,
    }
}

#[tokio::test]
async fn who_was_overtaken_parks_nothing_and_writes_nothing_of_that_batch() {
    let table = documents(Feeding::ByOne);
    let (store, _keyspace) = open(std::slice::from_ref(&table)).await;
    let place = [("t".to_owned(), 0)];
    let old = store.take_over(&target(), &place).await.unwrap()[0];
    let new = store.take_over(&target(), &place).await.unwrap()[0];
    assert!(new > old);
    let writes = puts(vec![document("frozen", 1)]);
    let frozen = store.begin(&target(), &[step(None, 2, old)]).await.unwrap();
    let refused = frozen.commit(&[(&table, &writes)], &[poison(0, "k")]).await;
    assert!(matches!(&refused, Err(StoreError::TakenOver { partition: 0, .. })), "{refused:?}");
    assert_eq!(seen(&store, &table).await, None);
    assert_eq!(store.parked_keys("shop", 1).await.unwrap(), []);
    assert_eq!(store.positions("shop", 1).await.unwrap(), []);

    let living = store.begin(&target(), &[step(None, 2, new)]).await.unwrap();
    living.commit(&[(&table, &writes)], &[poison(0, "k")]).await.unwrap();
    // What died before its position moved is done again by whoever comes next: nothing is counted twice.
    let next = store.take_over(&target(), &place).await.unwrap()[0];
    let again = store.begin(&target(), &[step(Some(2), 2, next)]).await.unwrap();
    again.commit(&[(&table, &writes)], &[poison(0, "k")]).await.unwrap();
    let keys = store.parked_keys("shop", 1).await.unwrap();
    assert_eq!(keys.iter().map(|key| (key.first_offset, key.count)).collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(store.parked("shop", &ParkedFilter::default(), 9).await.unwrap().len(), 1);
}

/// A key may have been marked by the newer worker already, further on: then there is no marker to write that would be refused.
#[tokio::test]
async fn who_was_overtaken_parks_nothing_below_a_marker_either() {
    let table = documents(Feeding::ByOne);
    let (store, _keyspace) = open(std::slice::from_ref(&table)).await;
    let place = [("t".to_owned(), 0)];
    let old = store.take_over(&target(), &place).await.unwrap()[0];
    let new = store.take_over(&target(), &place).await.unwrap()[0];
    let nothing = ViewWrites::default();
    let frozen = store.begin(&target(), &[step(None, 4, old)]).await.unwrap();
    let living = store.begin(&target(), &[step(None, 6, new)]).await.unwrap();
    living.commit(&[(&table, &nothing)], &[poison(5, "k")]).await.unwrap();
    let refused = frozen.commit(&[(&table, &nothing)], &[poison(3, "k")]).await;
    assert!(matches!(&refused, Err(StoreError::TakenOver { partition: 0, .. })), "{refused:?}");
    let parked = store.parked("shop", &ParkedFilter::default(), 9).await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.record.offset).collect::<Vec<_>>(), [5]);
}

#[tokio::test]
async fn an_older_position_never_comes_back() {
    let table = documents(Feeding::ByOne);
    let (store, _keyspace) = open(std::slice::from_ref(&table)).await;
    let nothing = ViewWrites::default();
    // Both begin at once; the one that is further ends first.
    let slow = store.begin(&target(), &[step(None, 3, 0)]).await.unwrap();
    let fast = store.begin(&target(), &[step(None, 9, 0)]).await.unwrap();
    fast.commit(&[(&table, &nothing)], &[]).await.unwrap();
    slow.commit(&[(&table, &nothing)], &[]).await.unwrap();
    assert_eq!(store.positions("shop", 1).await.unwrap()[0].next, 9);
}

#[tokio::test]
async fn what_was_half_made_is_finished_and_first_starts_agree() {
    let keyspace = keyspace().await;
    let open = async || Store::open_cassandra(options(&keyspace)).await.unwrap();
    let stores = [open().await, open().await, open().await];
    let tables = [documents(Feeding::ByOne), sales()];
    let made = stores.iter().map(|store| {
        let deployment = deployment(&tables, "f");
        async move { store.create(&deployment).await.unwrap() }
    });
    assert_eq!(futures::future::join_all(made).await, [1, 1, 1]);
    // As a process leaves it that died after it had said what it was going to make.
    assert_eq!(stores[0].reset("shop").await.unwrap(), 2);
    let cql =
        format!("UPDATE {}.\"_catalog\" SET state = 'making', generation = 2 WHERE topology = 'shop'", keyspace.name);
    keyspace.session().await.query_unpaged(cql, ()).await.unwrap();
    let late = Deployment { generation: 3, ..deployment(&tables, "f") };
    assert_eq!(stores[1].create(&late).await.unwrap(), 2);
    assert_eq!(stores[2].table_rows(&tables[0], 2, 1).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let keyspace = keyspace().await;
    type Change<'c> = &'c dyn Fn(&mut CassandraOptions);
    let refused = async |change: Change<'_>| {
        let mut options = options(&keyspace);
        change(&mut options);
        match Store::open_cassandra(options).await {
            Err(StoreError::Setup { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    let cases: [(&str, Change); 6] = [
        ("there is no keyspace nobody", &|options| options.keyspace = "nobody".to_owned()),
        ("is no keyspace for a store", &|options| options.keyspace = "No; DROP".to_owned()),
        ("there is no datacenter mars", &|options| options.datacenter = Some("mars".to_owned())),
        ("mend `user` or `password`", &|options| options.login = Some(("headwater".into(), "wrong".to_owned().into()))),
        ("set `user` and `password`", &|options| options.login = None),
        ("`ca_file`", &|options| options.ca_file = Some("/nowhere.pem".into())),
    ];
    for (expected, change) in cases {
        let reason = refused(change).await;
        assert!(reason.contains(expected), "{expected}: {reason}");
        assert!(!reason.contains("wrong"), "{reason}");
    }
    // A certificate that nobody here signed.
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy("/etc/ssl/certs/ca-certificates.crt", other.path()).unwrap();
    let reason = refused(&|options| options.ca_file = Some(other.path().to_owned())).await;
    assert!(reason.contains("not trusted"), "{reason}");
    // Another's keyspace.
    let cql = format!("CREATE TABLE {}.theirs (k int PRIMARY KEY)", keyspace.name);
    keyspace.session().await.query_unpaged(cql, ()).await.unwrap();
    let refused = Store::open_cassandra(options(&keyspace)).await;
    assert!(matches!(refused, Err(StoreError::NotAStore { .. })), "{refused:?}");
}

/// The driver waits for ever for a node that takes a connection and says nothing.
#[tokio::test]
async fn a_cluster_that_hangs_is_unavailable() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = CassandraOptions::new(vec![silent.local_addr().unwrap().to_string()], "headwater");
    options.connect_timeout = Duration::from_millis(100);
    options.request_timeout = Duration::from_millis(100);
    let opened = tokio::time::timeout(Duration::from_secs(10), Store::open_cassandra(options)).await;
    assert!(matches!(opened, Ok(Err(StoreError::Unavailable { .. }))), "{opened:?}");
}
