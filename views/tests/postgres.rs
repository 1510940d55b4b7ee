//! What is particular to Postgres: workers side by side, connections that break, who may enter, and what people see.

#![allow(clippy::unwrap_used)]

#[path = "postgres/entry.rs"]
mod entry;
#[path = "postgres/extremes.rs"]
mod extremes;
#[path = "postgres/server.rs"]
mod server;
#[path = "postgres/tables.rs"]
mod tables;
#[path = "postgres/workers.rs"]
mod workers;

use std::time::Duration;

use headwater_engine::table::{Column, Direction, Feeding, Merge, Merged, Row, RowPosition, Table, ViewWrites};
use headwater_schemas::{FieldType, Type, Value};
use headwater_views::{Deployment, FlushTarget, PositionMove, PostgresOptions, Store, StoreError};
use sqlx::{Connection, PgConnection};

use server::Schema;

fn column(name: &str, ty: Type) -> Column {
    Column { name: name.to_owned(), ty: FieldType::required(ty), doc: None }
}

/// `totals(name desc, day; n)`.
fn totals(shared: bool) -> Table {
    let merge = Merge { columns: vec![Merged::Count], rows: None, always: false, shown: None };
    let fed = if shared { Feeding::ByMany(merge) } else { Feeding::ByOne };
    Table {
        name: "totals".to_owned(),
        doc: None,
        columns: vec![column("shop", Type::String), column("name", Type::String), column("n", Type::Long)],
        partition: 1,
        clustering: vec![Direction::Descending],
        state: vec![],
        fed,
        retain: None,
    }
}

fn total(name: &str, n: i64) -> Row {
    Row {
        values: vec![Value::string("s"), Value::string(name), Value::Long(n)],
        state: vec![],
        position: RowPosition { partition: 4, offset: n },
        hidden: false,
    }
}

fn deployment(tables: &[Table]) -> Deployment {
    Deployment {
        topology: "shop".to_owned(),
        generation: 1,
        tables: tables.to_vec(),
        declaration: "d".to_owned(),
        fingerprint: "f".to_owned(),
    }
}

fn target() -> FlushTarget {
    FlushTarget { topology: "shop".to_owned(), generation: 1 }
}

fn step(partition: i32, from: Option<i64>) -> PositionMove {
    let to = from.unwrap_or(0) + 1;
    PositionMove { topic: "t".to_owned(), topic_id: [1; 16], partition, from, to, epoch: 0 }
}

fn puts(rows: Vec<Row>) -> ViewWrites {
    ViewWrites { puts: rows, ..ViewWrites::default() }
}

fn options(schema: &Schema) -> PostgresOptions {
    let mut options = PostgresOptions::new(schema.url.clone().into());
    (options.schema, options.connections) = (schema.name.clone(), 4);
    options.acquire_timeout = Duration::from_secs(30);
    options
}

async fn open(schema: &Schema) -> Store {
    Store::open_postgres(options(schema)).await.unwrap()
}

async fn by_hand(schema: &Schema) -> PgConnection {
    let mut connection = PgConnection::connect(&schema.url).await.unwrap();
    execute(&mut connection, &format!("SET search_path = \"{}\"", schema.name)).await;
    connection
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

async fn flush(store: &Store, table: &Table, from: Option<i64>, rows: Vec<Row>) -> Result<(), StoreError> {
    store.begin(&target(), &[step(0, from)]).await?.commit(&[(table, &puts(rows))], &[]).await
}

async fn next(store: &Store, partition: i32) -> Option<i64> {
    let positions = store.positions("shop", 1).await.unwrap();
    positions.iter().find(|position| position.partition == partition).map(|position| position.next)
}

/// Polls a condition of the server, as SQL that gives one boolean, until it holds.
async fn until(connection: &mut PgConnection, condition: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {condition}")));
        if query.fetch_one(&mut *connection).await.unwrap() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "never: {condition}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
