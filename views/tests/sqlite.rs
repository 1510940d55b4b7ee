//! What is particular to SQLite: its file, the tables that people look into, and what its failures mean.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use headwater_engine::table::{
    Column, Direction, Feeding, Merge, Merged, Row, RowPosition, StateColumn, StateType, Table, ViewWrites,
};
use headwater_schemas::{Decimal, FieldType, Type, Value};
use headwater_views::{Deployment, FlushTarget, ParkedRecord, PositionMove, SqliteOptions, Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row as _, SqliteConnection};

fn column(name: &str, ty: Type) -> Column {
    Column { name: name.to_owned(), ty: FieldType::required(ty), doc: None }
}

fn prices() -> Table {
    Table {
        name: "prices".to_owned(),
        doc: None,
        columns: vec![
            column("price", Type::Decimal { precision: 5, scale: 2 }),
            column("day", Type::Date),
            column("name", Type::String),
            column("paid", Type::Decimal { precision: 5, scale: 2 }),
            column("weight", Type::Double),
        ],
        partition: 1,
        clustering: vec![Direction::Descending],
        state: vec![],
        fed: Feeding::ByOne,
        retain: None,
    }
}

fn price(cents: i128, name: &str) -> Row {
    let amount = Value::Decimal(Decimal { unscaled: cents, scale: 2 });
    Row {
        values: vec![amount.clone(), Value::Date(0), Value::string(name), amount, Value::Double(f64::NAN)],
        state: vec![],
        position: RowPosition { partition: 4, offset: 9 },
        hidden: false,
    }
}

fn deployment() -> Deployment {
    Deployment {
        topology: "shop".to_owned(),
        generation: 1,
        tables: vec![prices()],
        declaration: "d".to_owned(),
        fingerprint: "f".to_owned(),
    }
}

async fn flush(store: &Store, from: Option<i64>, rows: Vec<Row>) -> Result<(), StoreError> {
    let target = FlushTarget { topology: "shop".to_owned(), generation: 1 };
    let step = PositionMove {
        topic: "t".to_owned(),
        topic_id: [1; 16],
        partition: 0,
        from,
        to: from.unwrap_or(0) + 1,
        epoch: 0,
    };
    let writes = ViewWrites { puts: rows, ..ViewWrites::default() };
    store.begin(&target, &[step]).await?.commit(&[(&prices(), &writes)], &[]).await
}

async fn next(store: &Store) -> Option<i64> {
    store.positions("shop", 1).await.unwrap().first().map(|position| position.next)
}

async fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open_sqlite(SqliteOptions { busy_timeout: Duration::from_millis(500), ..SqliteOptions::new(path) }).await
}

async fn by_hand(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

#[tokio::test]
async fn the_plain_name_shows_what_people_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    let cents = [-99_999, -1_234, -5, 0, 7, 1_234, 99_999];
    let rows = cents.iter().map(|cents| price(*cents, "it's")).collect();
    flush(&store, None, rows).await.unwrap();

    let mut connection = by_hand(&path).await;
    let found = sqlx::query("SELECT * FROM prices").fetch_all(&mut connection).await.unwrap();
    let names: Vec<&str> = found[0].columns().iter().map(sqlx::Column::name).collect();
    assert_eq!(names, ["price", "day", "name", "paid", "weight"]);
    for row in &found {
        assert_eq!(row.get::<String, _>("price"), row.get::<String, _>("paid"), "a key's decimal reads as any other");
        assert_eq!((row.get::<&str, _>("day"), row.get::<&str, _>("name")), ("1970-01-01", "it's"));
    }
    let prices: Vec<String> = found.iter().map(|row| row.get("price")).collect();
    assert_eq!(prices, ["-999.99", "-12.34", "-0.05", "0.00", "0.07", "12.34", "999.99"], "in key order");
    let hidden: (i64, i64) =
        sqlx::query_as("SELECT _pos, _part FROM prices_g1 LIMIT 1").fetch_one(&mut connection).await.unwrap();
    assert_eq!(hidden, (9, 4));
}

#[tokio::test]
async fn the_plain_name_leaves_out_what_no_topic_has_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    let merge = Merge { columns: vec![Merged::Count; 3], rows: None, always: false, shown: Some(0) };
    let state = vec![StateColumn { name: "_made".to_owned(), ty: StateType::Flag }];
    let table = Table { state, fed: Feeding::ByMany(merge), ..prices() };
    store.create(&Deployment { tables: vec![table.clone()], ..deployment() }).await.unwrap();
    let row = |cents, made| Row { state: vec![Value::Boolean(made)], ..price(cents, "a") };
    let writes = ViewWrites { puts: vec![row(7, false), row(8, true)], ..ViewWrites::default() };
    let target = FlushTarget { topology: "shop".to_owned(), generation: 1 };
    store.begin(&target, &[]).await.unwrap().commit(&[(&table, &writes)], &[]).await.unwrap();
    let mut connection = by_hand(&path).await;
    let shown: Vec<String> = sqlx::query_scalar("SELECT price FROM prices").fetch_all(&mut connection).await.unwrap();
    assert_eq!(shown, ["0.08"]);
}

#[tokio::test]
async fn a_store_opened_again_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    flush(&store, None, vec![price(1, "a")]).await.unwrap();
    assert!(store.swap_claim("k", b"c", None, b"body", None).await.unwrap());
    let before = format!("{:?}", store.table_rows(&prices(), 1, 9).await.unwrap());
    store.close().await;
    assert!(!folder.path().join("views.db-wal").exists(), "closing folds the WAL into the file");
    let closed = store.claim("k", b"c").await;
    assert!(matches!(closed, Err(StoreError::Unavailable { .. })), "{closed:?}");

    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    assert_eq!(next(&store).await, Some(1));
    assert_eq!(format!("{:?}", store.table_rows(&prices(), 1, 9).await.unwrap()), before);
    assert_eq!(store.claim("k", b"c").await.unwrap().unwrap().body, b"body");
    flush(&store, Some(1), vec![]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_and_create_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("views.db");
    let starting = (0..8).map(|_| {
        let path = path.clone();
        tokio::spawn(async move {
            let options = SqliteOptions { busy_timeout: Duration::from_secs(30), ..SqliteOptions::new(path) };
            let store = Store::open_sqlite(options).await?;
            store.create(&deployment()).await?;
            Ok::<Store, StoreError>(store)
        })
    });
    let mut stores = Vec::new();
    for start in starting.collect::<Vec<_>>() {
        stores.push(start.await.unwrap().unwrap());
    }
    for (i, store) in stores.iter().enumerate() {
        let from = i64::try_from(i).unwrap();
        flush(store, (i > 0).then_some(from), vec![price(i128::from(from), "x")]).await.unwrap();
    }
    let lagging = flush(&stores[0], Some(1), vec![]).await;
    assert!(matches!(lagging, Err(StoreError::Fenced { found: Some(8), .. })), "{lagging:?}");
    assert_eq!(stores[0].table_rows(&prices(), 1, 99).await.unwrap().len(), 8);
}

#[tokio::test]
async fn another_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    let mut connection = by_hand_new(&other).await;
    sqlx::raw_sql("CREATE TABLE t (a)").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but it is long enough to look at: ".repeat(40)).unwrap();
    for path in [other, text] {
        let before = std::fs::read(&path).unwrap();
        let refused = open(&path).await;
        assert!(matches!(refused, Err(StoreError::NotAStore { .. })), "{refused:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    let path = folder.path().join("newer.db");
    open(&path).await.unwrap().close().await;
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&mut by_hand(&path).await).await.unwrap();
    let refused = open(&path).await;
    assert!(matches!(refused, Err(StoreError::Newer { found: 99, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_reader_comes_in_beside_a_long_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    let target = FlushTarget { topology: "shop".to_owned(), generation: 1 };
    let flush = store.begin(&target, &[]).await.unwrap();
    let reader = open(&path).await.unwrap();
    assert!(reader.active("shop").await.unwrap().is_some());
    drop(flush);
}

async fn by_hand_new(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

#[tokio::test]
async fn what_cannot_be_opened_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [folder.path().to_owned(), file.join("views.db")] {
        let refused = open(&path).await;
        assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_busy_store_is_unavailable_until_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    let mut other = by_hand(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let busy = flush(&store, None, vec![]).await.unwrap_err();
    assert!(busy.is_transient() && matches!(busy, StoreError::Unavailable { .. }), "{busy:?}");
    assert!(store.swap_claim("k", b"c", None, b"", None).await.unwrap_err().is_transient());
    assert_eq!(next(&store).await, None, "readers do not wait for writers");
    // The one writer of this process, held by a flush, is waited for as long.
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let target = FlushTarget { topology: "shop".to_owned(), generation: 1 };
    let held = store.begin(&target, &[]).await.unwrap();
    assert!(store.begin(&target, &[]).await.unwrap_err().is_transient());
    drop(held);
    flush(&store, None, vec![price(1, "a")]).await.unwrap();
}

#[tokio::test]
async fn a_refusal_of_sqlite_names_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON prices_g1 WHEN NEW.name = 'bad' \
                   BEGIN SELECT RAISE(ABORT, 'no bad names'); END";
    sqlx::raw_sql(trigger).execute(&mut by_hand(&path).await).await.unwrap();
    let mut rows: Vec<Row> = (0..100).map(|cents| price(cents, "good")).collect();
    rows[77] = price(77, "bad");
    rows[77].position.offset = 1234;
    let refused = flush(&store, None, rows.clone()).await;
    let Err(StoreError::Refused { view, key, position, by_shape, reason }) = refused else { panic!("{refused:?}") };
    assert!(!by_shape, "{reason}");
    assert_eq!((view.as_str(), key.as_str()), ("prices", "price=0.77, day=1970-01-01"));
    assert_eq!(position.unwrap().offset, 1234);
    assert!(reason.contains("no bad names"), "{reason}");
    assert_eq!(next(&store).await, None);
    rows.remove(77);
    flush(&store, None, rows).await.unwrap();
    assert_eq!(store.table_rows(&prices(), 1, 999).await.unwrap().len(), 99);
}

#[tokio::test]
async fn a_damaged_row_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    for (damage, place) in [
        ("UPDATE prices_g1 SET paid = '1.234'", "prices_g1.paid"),
        ("UPDATE prices_g1 SET day = 'soon'", "prices_g1.day"),
        ("UPDATE prices_g1 SET price = '1'", "prices_g1.price"),
    ] {
        sqlx::raw_sql("DELETE FROM prices_g1").execute(&mut by_hand(&path).await).await.unwrap();
        flush(&store, next(&store).await, vec![price(1, "a")]).await.unwrap();
        sqlx::raw_sql(damage).execute(&mut by_hand(&path).await).await.unwrap();
        let found = store.table_rows(&prices(), 1, 9).await;
        let Err(StoreError::Corrupt { place: found, .. }) = found else { panic!("{found:?}") };
        assert_eq!(found, place);
    }
    // A row of another type is not even taken in by hand.
    let strict = sqlx::raw_sql("UPDATE prices_g1 SET weight = 'heavy'").execute(&mut by_hand(&path).await).await;
    assert!(strict.is_err());
}

#[tokio::test]
async fn a_file_that_is_no_database_any_more_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let store = open(&path).await.unwrap();
    store.create(&deployment()).await.unwrap();
    flush(&store, None, (0..500).map(|cents| price(cents, "a")).collect()).await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    bytes[4096..].chunks_mut(97).for_each(|chunk| chunk[0] ^= 0x5a);
    std::fs::write(&path, bytes).unwrap();
    assert!(pages > 4);
    let found = async {
        let store = open(&path).await?;
        store.positions("shop", 1).await?;
        store.table_rows(&prices(), 1, 999).await
    };
    let found = found.await;
    assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{found:?}");
}

/// The whole program of the disk-full test, run by [`a_full_disk_is_unavailable_and_passes`] with a bound on file sizes.
#[tokio::test]
async fn full_disk_program() {
    let Ok(path) = std::env::var("HEADWATER_FULL_DISK") else { return };
    let store = open(Path::new(&path)).await.unwrap();
    store.create(&deployment()).await.unwrap();
    flush(&store, None, vec![price(1, "a")]).await.unwrap();
    // Less than the cache, so that it fails at the commit, and more, so that it fails on the way.
    for megabytes in [8, 64] {
        let big = "x".repeat(megabytes * 1024 * 1024 / 64);
        let rows = (100..164).map(|cents| price(cents, &big)).collect();
        let full = flush(&store, Some(1), rows).await.unwrap_err();
        assert!(matches!(full, StoreError::Unavailable { .. }), "{full:?}");
        assert_eq!(next(&store).await, Some(1));
        assert_eq!(store.table_rows(&prices(), 1, 999).await.unwrap().len(), 1);
        let target = FlushTarget { topology: "shop".to_owned(), generation: 1 };
        let parked: ParkedRecord = ParkedRecord {
            topic: "t".to_owned(),
            partition: 0,
            offset: 1,
            timestamp_ms: 0,
            key: None,
            payload: Some(big.repeat(64).into()),
            headers: vec![],
            reason: String::new(),
            is_head: true,
        };
        let full = store.begin(&target, &[]).await.unwrap().commit(&[], &[parked]).await.unwrap_err();
        assert!(matches!(full, StoreError::Unavailable { .. }), "{full:?}");
    }
    assert!(store.swap_claim("k", b"c", None, b"small", None).await.unwrap());
    flush(&store, Some(1), vec![price(2, "b")]).await.unwrap();
    assert_eq!(next(&store).await, Some(2));
    println!("went on");
}

#[test]
fn a_full_disk_is_unavailable_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("sh")
        // In blocks of 512 bytes: 4 MiB. A write past it fails as on a full disk, once its signal is ignored.
        .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" --exact full_disk_program --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env("HEADWATER_FULL_DISK", folder.path().join("views.db"))
        .output()
        .unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && shown.contains("went on"), "{shown}");
}
