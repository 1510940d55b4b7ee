//! What the store itself costs: flushes of 10,000 rows, reads of 10,000 keys, one row, one page.
//!
//! Rows are those of a documents view: a text key, eight columns, a hidden count. "new" flushes into an empty table,
//! "again" over the same keys, in an order that is not the key's.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headwater_engine::table::{
    Column, Direction, Feeding, Key, Row, RowPosition, StateColumn, StateType, Table, ViewWrites,
};
use headwater_schemas::{FieldType, Type, Value};
use headwater_views::{Deployment, FlushTarget, PageRequest, PositionMove, SqliteOptions, Store};
use tokio::runtime::Runtime;

const ROWS: i64 = 10_000;

fn table() -> Table {
    let types = [
        ("folder", Type::String),
        ("doc_id", Type::String),
        ("name", Type::String),
        ("mime_type", Type::String),
        ("created_by", Type::Uuid),
        ("created", Type::TimestampMicros),
        ("updated", Type::TimestampMicros),
        ("versions", Type::Long),
        ("price", Type::Decimal { precision: 12, scale: 2 }),
        ("weight", Type::Double),
    ];
    let column = |(name, ty): (&str, Type)| Column { name: name.to_owned(), ty: FieldType::nullable(ty), doc: None };
    Table {
        name: "documents".to_owned(),
        doc: None,
        columns: types.into_iter().map(column).collect(),
        partition: 1,
        clustering: vec![Direction::Descending],
        state: vec![StateColumn { name: "n".to_owned(), ty: StateType::Count }],
        fed: Feeding::ByOne,
        retain: None,
    }
}

fn row(n: i64) -> Row {
    // A permutation, so that keys do not come in order.
    let id = n * 7_919 % ROWS;
    let uuid = [u8::try_from(id % 256).unwrap_or(0); 16];
    let price = headwater_schemas::Decimal { unscaled: i128::from(id), scale: 2 };
    Row {
        values: vec![
            Value::string(format!("folder {}", id % 100)),
            Value::string(format!("document-{id:08}")),
            Value::string(format!("quarterly report {id}.pdf")),
            Value::string("application/pdf"),
            Value::Uuid(uuid),
            Value::Timestamp(1_700_000_000_000_000 + id),
            Value::Timestamp(1_700_000_000_000_000 + n),
            Value::Long(n),
            Value::Decimal(price),
            Value::Double(1.0 / 3.0),
        ],
        state: vec![Value::Long(1)],
        position: RowPosition { partition: 0, offset: n },
        hidden: false,
    }
}

async fn flush(store: &Store, writes: &ViewWrites) {
    let at = store.positions("t", 1).await.expect("positions").first().map(|position| position.next);
    let step = PositionMove {
        topic: "t".to_owned(),
        topic_id: [0; 16],
        partition: 0,
        from: at,
        to: at.unwrap_or(0) + ROWS,
        epoch: 0,
    };
    let target = FlushTarget { topology: "t".to_owned(), generation: 1 };
    let flush = store.begin(&target, &[step]).await.expect("begin");
    flush.commit(&[(&table(), writes)], &[]).await.expect("commit");
}

async fn created(store: Store) -> Store {
    let deployment = Deployment {
        topology: "t".to_owned(),
        generation: 1,
        tables: vec![table()],
        declaration: String::new(),
        fingerprint: String::new(),
    };
    store.create(&deployment).await.expect("create");
    store
}

fn stores(runtime: &Runtime, folder: &std::path::Path) -> Vec<(&'static str, Store)> {
    runtime.block_on(async {
        let sqlite = Store::open_sqlite(SqliteOptions::new(folder.join("views.db"))).await.expect("open");
        vec![("sqlite", created(sqlite).await), ("memory", created(Store::memory()).await)]
    })
}

fn flushes(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let writes = ViewWrites { puts: (0..ROWS).map(row).collect(), ..ViewWrites::default() };
    let all = ViewWrites {
        partition_deletes: (0..100)
            .map(|n| {
                let partition = [Value::string(format!("folder {n}"))];
                (Key::from(partition.as_slice()), RowPosition { partition: 0, offset: 0 })
            })
            .collect(),
        ..ViewWrites::default()
    };
    let mut group = c.benchmark_group("flush of 10000 rows");
    group.throughput(Throughput::Elements(ROWS.unsigned_abs())).sample_size(10);
    for (name, store) in stores(&runtime, folder.path()) {
        group.bench_function(format!("{name}/new"), |b| {
            b.to_async(&runtime).iter_custom(|times| {
                let (store, writes, all) = (&store, &writes, &all);
                async move {
                    let mut spent = Duration::ZERO;
                    for _ in 0..times {
                        flush(store, all).await;
                        let started = Instant::now();
                        flush(store, writes).await;
                        spent += started.elapsed();
                    }
                    spent
                }
            });
        });
        group.bench_function(format!("{name}/again"), |b| b.to_async(&runtime).iter(|| flush(&store, &writes)));
    }
}

fn reads(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let rows: Vec<Row> = (0..ROWS).map(row).collect();
    let keys: Vec<Key> = rows.iter().map(|row| Key::from(row.key(&table()))).collect();
    let page = PageRequest { partition: vec![Value::string("folder 7")], after: None, limit: 50 };
    let table = table();
    for (name, store) in stores(&runtime, folder.path()) {
        runtime.block_on(flush(&store, &ViewWrites { puts: rows.clone(), ..ViewWrites::default() }));
        let mut group = c.benchmark_group("read");
        group.sample_size(20);
        group.bench_function(format!("{name}/10000 keys"), |b| {
            b.to_async(&runtime).iter(|| store.get(&table, 1, &keys))
        });
        group.bench_function(format!("{name}/one key"), |b| {
            b.to_async(&runtime).iter(|| store.get(&table, 1, &keys[..1]))
        });
        group.bench_function(format!("{name}/page of 50"), |b| {
            b.to_async(&runtime).iter(|| store.page(&table, 1, &page))
        });
    }
}

criterion_group!(benches, flushes, reads);
criterion_main!(benches);
