//! One suite for every backend: the same inputs, the same rows, the same refusals.
//!
//! The oracle is a plain list of rows kept by the tests, ordered by comparing values, and neither store.

#![allow(clippy::unwrap_used)]

#[path = "cassandra/server.rs"]
mod cassandra;
#[path = "conformance/flushes.rs"]
mod flushes;
#[path = "conformance/oracle.rs"]
mod oracle;
#[path = "conformance/parking.rs"]
mod parking;
#[path = "conformance/random.rs"]
mod random;
#[path = "conformance/retain.rs"]
mod retain;
#[path = "postgres/server.rs"]
mod server;
#[path = "conformance/shapes.rs"]
mod shapes;
#[path = "conformance/shown.rs"]
mod shown;

use std::sync::Arc;

use headwater_engine::table::{
    Column, Direction, Feeding, Row, RowPosition, StateColumn, StateType, Table, ViewWrites,
};
use headwater_schemas::{FieldType, Type, Value};
use headwater_views::{
    Deployment, FlushTarget, Limits, MemoryStore, PositionMove, PostgresOptions, SqliteOptions, Store, StoreError,
};

pub(crate) const LIMITS: Limits = Limits { max_parked_per_key: 3 };

/// What stores are kept in, for as long as they are used.
pub(crate) struct Kept {
    _folder: tempfile::TempDir,
    _schema: Option<server::Schema>,
    _keyspace: Option<headwater_dev_servers::Keyspace>,
}

/// A store of each kind.
pub(crate) async fn stores() -> (Vec<Store>, Kept) {
    let (mut stores, mut kept) = transactional_stores().await;
    let (store, keyspace) = cassandra_store().await;
    stores.insert(0, store);
    kept._keyspace = Some(keyspace);
    (stores, kept)
}

pub(crate) async fn cassandra_store() -> (Store, headwater_dev_servers::Keyspace) {
    let keyspace = cassandra::keyspace().await;
    let mut options = cassandra::options(&keyspace);
    options.limits = LIMITS;
    (Store::open_cassandra(options).await.unwrap(), keyspace)
}

/// Those whose flush is one transaction.
pub(crate) async fn transactional_stores() -> (Vec<Store>, Kept) {
    let (mut stores, mut kept) = embedded_stores().await;
    let schema = server::Schema::fresh();
    let mut options = PostgresOptions::new(schema.url.clone().into());
    (options.schema, options.connections, options.limits) = (schema.name.clone(), 6, LIMITS);
    stores.insert(0, Store::open_postgres(options).await.unwrap());
    kept._schema = Some(schema);
    (stores, kept)
}

/// Those that need no server and hold whatever dates and instants there are.
pub(crate) async fn embedded_stores() -> (Vec<Store>, Kept) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(folder.path().join("new/folder/views.db"));
    options.limits = LIMITS;
    let sqlite = Store::open_sqlite(options).await.unwrap();
    let kept = Kept { _folder: folder, _schema: None, _keyspace: None };
    (vec![sqlite, Store::Memory(MemoryStore::new(LIMITS))], kept)
}

pub(crate) fn column(name: &str, ty: Type) -> Column {
    Column { name: name.to_owned(), ty: FieldType::required(ty), doc: None }
}

/// `versions(doc_id, number desc; name, size)`, with a hidden count.
pub(crate) fn versions() -> Table {
    Table {
        name: "versions".to_owned(),
        doc: None,
        columns: vec![
            column("doc_id", Type::String),
            column("number", Type::Long),
            column("name", Type::String),
            column("size", Type::Decimal { precision: 10, scale: 2 }),
        ],
        partition: 1,
        clustering: vec![Direction::Descending],
        state: vec![StateColumn { name: "n".to_owned(), ty: StateType::Count }],
        fed: Feeding::ByOne,
        retain: None,
    }
}

pub(crate) fn version(doc_id: &str, number: i64, name: &str) -> Row {
    let size = headwater_schemas::Decimal { unscaled: i128::from(number) * 100, scale: 2 };
    Row {
        values: vec![Value::string(doc_id), Value::Long(number), Value::string(name), Value::Decimal(size)],
        state: vec![Value::Long(number)],
        position: RowPosition { partition: 0, offset: number },
        hidden: false,
    }
}

pub(crate) fn key(values: &[Value]) -> headwater_engine::table::Key {
    Arc::from(values)
}

pub(crate) fn version_key(doc_id: &str, number: i64) -> headwater_engine::table::Key {
    key(&[Value::string(doc_id), Value::Long(number)])
}

pub(crate) fn deployment(tables: &[Table]) -> Deployment {
    Deployment {
        topology: "documents".to_owned(),
        generation: 1,
        tables: tables.to_vec(),
        declaration: "views: {}".to_owned(),
        fingerprint: "f1".to_owned(),
    }
}

pub(crate) fn target() -> FlushTarget {
    FlushTarget { topology: "documents".to_owned(), generation: 1 }
}

pub(crate) fn step(from: Option<i64>, to: i64) -> PositionMove {
    PositionMove { topic: "document".to_owned(), topic_id: [7; 16], partition: 0, from, to, epoch: 0 }
}

pub(crate) fn puts(rows: Vec<Row>) -> ViewWrites {
    ViewWrites { puts: rows, ..ViewWrites::default() }
}

pub(crate) async fn flush(
    store: &Store,
    moves: &[PositionMove],
    table: &Table,
    writes: &ViewWrites,
) -> Result<(), StoreError> {
    store.begin(&target(), moves).await?.commit(&[(table, writes)], &[]).await
}

pub(crate) async fn next(store: &Store) -> Option<i64> {
    store.positions("documents", 1).await.unwrap().first().map(|position| position.next)
}
