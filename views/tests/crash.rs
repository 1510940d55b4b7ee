//! kill -9 at any moment, and readers in another process: rows, parked records and positions always agree.

#![allow(clippy::unwrap_used)]

#[path = "postgres/server.rs"]
mod server;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_engine::table::{Column, Feeding, Key, Row, RowPosition, Table, ViewWrites};
use headwater_schemas::{FieldType, Type, Value};
use headwater_views::{
    Deployment, FlushTarget, ParkedFilter, ParkedRecord, PositionMove, PostgresOptions, SqliteOptions, Store,
};
use sqlx::{Connection, PgConnection};

const ROWS: i64 = 300;
const KILLS: u64 = 30;

fn table() -> Table {
    let column = |name: &str| Column { name: name.to_owned(), ty: FieldType::required(Type::Long), doc: None };
    Table {
        name: "counts".to_owned(),
        doc: None,
        columns: vec![column("id"), column("seen")],
        partition: 1,
        clustering: vec![],
        state: vec![],
        fed: Feeding::ByOne,
        retain: None,
    }
}

/// Opens the store at a place: a file, or a URL and a schema with a space between them.
async fn open(place: &str) -> Store {
    let store = match place.split_once(' ') {
        None => {
            let options = SqliteOptions { busy_timeout: Duration::from_secs(30), ..SqliteOptions::new(place) };
            Store::open_sqlite(options).await.unwrap()
        }
        Some((url, schema)) => {
            let mut options = PostgresOptions::new(url.into());
            (options.schema, options.connections) = (schema.to_owned(), 4);
            options.acquire_timeout = Duration::from_secs(60);
            Store::open_postgres(options).await.unwrap()
        }
    };
    let deployment = Deployment {
        topology: "counting".to_owned(),
        generation: 1,
        tables: vec![table()],
        declaration: String::new(),
        fingerprint: String::new(),
    };
    store.create(&deployment).await.unwrap();
    store
}

/// One flush: every row counts one more, a record parks, the position moves by one.
async fn count(store: &Store, from: i64) {
    let target = FlushTarget { topology: "counting".to_owned(), generation: 1 };
    let step = PositionMove {
        topic: "t".to_owned(),
        topic_id: [1; 16],
        partition: 0,
        from: (from > 0).then_some(from),
        to: from + 1,
        epoch: 0,
    };
    let mut flush = store.begin(&target, &[step]).await.unwrap();
    let keys: Vec<Key> = (0..ROWS).map(|id| Key::from([Value::Long(id)].as_slice())).collect();
    let rows = flush.read(&table(), &keys).await.unwrap();
    let puts = rows.into_iter().zip(0..).map(|(row, id)| {
        let seen = row.map_or(0, |row| if let Value::Long(n) = row.values[1] { n } else { panic!("{row:?}") });
        Row {
            values: vec![Value::Long(id), Value::Long(seen + 1)],
            state: vec![],
            position: RowPosition { partition: 0, offset: from },
            hidden: false,
        }
    });
    let writes = ViewWrites { puts: puts.collect(), ..ViewWrites::default() };
    let parked = ParkedRecord {
        topic: "t".to_owned(),
        partition: 0,
        offset: from,
        timestamp_ms: 0,
        key: Some(from.to_be_bytes().to_vec().into()),
        payload: None,
        headers: vec![],
        reason: "a test".to_owned(),
        is_head: true,
    };
    flush.commit(&[(&table(), &writes)], &[parked]).await.unwrap();
}

/// The position, which every row and the parked records agree with.
async fn verified(store: &Store) -> i64 {
    let mut snapshot = store.snapshot().await.unwrap();
    let next = snapshot.positions("counting", 1).await.unwrap().first().map_or(0, |position| position.next);
    let rows = snapshot.table_rows(&table(), 1, usize::MAX).await.unwrap();
    let expected = if next == 0 { 0 } else { ROWS };
    assert_eq!(rows.len(), usize::try_from(expected).unwrap());
    for row in rows {
        assert_eq!(row.values[1], Value::Long(next), "{row:?} at position {next}");
    }
    next
}

/// The program that is killed: claims, flushes, says so, for ever.
#[tokio::test]
async fn counting_program() {
    let Ok(place) = std::env::var("HEADWATER_COUNTING") else { return };
    let store = open(&place).await;
    let mut from = verified(&store).await;
    loop {
        let seen = store.claim("counter", b"c").await.unwrap().map(|claim| claim.version);
        assert!(store.swap_claim("counter", b"c", seen, b"", None).await.unwrap());
        println!("claimed {}", seen.unwrap_or(0) + 1);
        count(&store, from).await;
        from += 1;
        println!("flushed {from}");
    }
}

fn start(place: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "counting_program", "--nocapture"])
        .env("HEADWATER_COUNTING", place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

fn number(line: &str, word: &str) -> Option<i64> {
    line.split_once(word)?.1.trim().parse().ok()
}

#[tokio::test]
async fn whatever_moment_it_is_killed_at_positions_and_rows_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    kill_and_verify(path.to_str().unwrap(), None).await;
}

#[tokio::test]
async fn whatever_moment_it_is_killed_at_postgres_has_all_of_a_flush_or_nothing() {
    let schema = server::Schema::with_own_role(true);
    let place = format!("{} {}", schema.url, schema.name);
    kill_and_verify(&place, Some(&schema)).await;
}

/// Waits until the server has noticed that the program is gone: until then a statement that it had sent may still run.
async fn until_alone(schema: &server::Schema) {
    let mut connection = PgConnection::connect(&server::admin_url()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let sessions = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = $1");
        let sessions: i64 = sessions.bind(schema.role()).fetch_one(&mut connection).await.unwrap();
        if sessions == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{sessions} sessions of a killed program are still there");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn kill_and_verify(place: &str, schema: Option<&server::Schema>) {
    let mut last = 0;
    for kill in 0..KILLS {
        let (mut child, mut lines) = start(place);
        let (mut flushed, mut claimed) = (0, 0);
        let mut seen = 0;
        while seen <= kill % 4 {
            let line = lines.next().expect("the program runs until it is killed");
            claimed = number(&line, "claimed ").unwrap_or(claimed);
            if let Some(next) = number(&line, "flushed ") {
                flushed = next;
                seen += 1;
            }
        }
        // Not to wait for anything: to be somewhere else in the next flush each time.
        std::thread::sleep(Duration::from_micros(kill * 397 % 6000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            claimed = number(&line, "claimed ").unwrap_or(claimed);
            flushed = number(&line, "flushed ").unwrap_or(flushed);
        }
        if let Some(schema) = schema {
            until_alone(schema).await;
        }
        let store = open(place).await;
        let next = verified(&store).await;
        assert!(next == flushed || next == flushed + 1, "flushed {flushed}, found {next}");
        assert!(next > last);
        last = next;
        let claim = store.claim("counter", b"c").await.unwrap().unwrap();
        assert!(claim.version == claimed || claim.version == claimed + 1, "claimed {claimed}, found {claim:?}");
        let parked = store.parked("counting", &ParkedFilter::default(), usize::MAX).await.unwrap();
        assert_eq!(parked.len(), usize::try_from(next).unwrap());
        store.close().await;
    }
}

#[tokio::test]
async fn another_process_reads_whole_flushes_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.db");
    let place = path.to_str().unwrap();
    let store = open(place).await;
    let (mut child, lines) = start(place);
    let reader = std::thread::spawn(move || lines.count());
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut seen, mut moved) = (0, 0);
    while moved < 50 {
        assert!(Instant::now() < deadline, "the writer is at {seen} after a minute");
        let next = verified(&store).await;
        assert!(next >= seen, "positions never go back");
        moved += u32::from(next > seen);
        seen = next;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(reader.join().unwrap() > 50);
}
