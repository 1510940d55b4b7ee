//! What a loop written by hand does with the orders of `headwater bench`: the rival that its figures are held against.
//!
//! The same log, store, drivers, allocator, TLS, batch size and requests under way at once; positions with the rows. What it
//! leaves out is what Headwater is for: declarations, schemas that change, events that cannot be applied, rivals for a
//! partition, rows that do not fit in memory. It knows one schema and one table, keeps every row it has seen, and stops at
//! the first surprise. Records are decoded with the project's own decoder, which is the fastest there is here.
//!
//! `headwater bench --by-hand target/release/headwater-by-hand` runs it and tells it where by its standard input.

mod cassandra;
mod customers;
mod meter;
mod postgres;
mod reader;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::customers::{Batch, Customers};
use crate::meter::Meter;
use crate::reader::Reader;

/// As `headwater` has it: what they allocate with is no difference between the two.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What goes wrong here is told to a person and ends the run.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What is to be done.
#[derive(Clone, Deserialize)]
struct Order {
    /// librdkafka's settings of how the cluster is reached.
    kafka: BTreeMap<String, String>,
    topic: String,
    partitions: i32,
    /// Of the one event, in Avro.
    schema: String,
    batch_records: usize,
    store: Place,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Postgres {
        url: String,
        schema: String,
    },
    Cassandra {
        nodes: Vec<String>,
        keyspace: String,
        login: Option<(String, String)>,
        ca_file: Option<PathBuf>,
        concurrency: usize,
    },
}

/// Closed, like Headwater's own.
enum Store {
    Postgres(postgres::Postgres),
    Cassandra(Box<cassandra::Cassandra>),
}

impl Store {
    async fn open(place: &Place) -> Fallible<Self> {
        Ok(match place {
            Place::Postgres { url, schema } => Store::Postgres(postgres::Postgres::open(url, schema).await?),
            Place::Cassandra { .. } => Store::Cassandra(Box::new(cassandra::Cassandra::open(place).await?)),
        })
    }

    async fn write(&mut self, batch: &Batch<'_>) -> Fallible<()> {
        match self {
            Store::Postgres(store) => store.write(batch).await,
            Store::Cassandra(store) => store.write(batch).await,
        }
    }

    /// The rows as they stand there, for the digest.
    async fn rows(&mut self) -> Fallible<Customers> {
        match self {
            Store::Postgres(store) => store.rows().await,
            Store::Cassandra(store) => store.rows().await,
        }
    }
}

#[derive(Serialize)]
struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    peak_rss_mb: f64,
    rows_written: usize,
    digest: String,
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let order: Order = serde_json::from_str(&text)?;
    let mut store = Store::open(&order.store).await?;
    let meter = Meter::start();
    let rows_written = run(&order, &mut store).await?;
    let (seconds, cpu_seconds, peak_rss_mb) = meter.stop();
    let digest = store.rows().await?.digest();
    println!("{}", serde_json::to_string(&Measured { seconds, cpu_seconds, peak_rss_mb, rows_written, digest })?);
    Ok(())
}

/// Reads to the end of the topic, a batch while the one before is written; how many rows were written.
async fn run(order: &Order, store: &mut Store) -> Fallible<usize> {
    let (batches, mut queue) = tokio::sync::mpsc::channel(1);
    let (asked, reader) = (order.clone(), std::thread::Builder::new());
    let reader = reader.spawn(move || Reader::open(&asked)?.run(asked.batch_records, &batches))?;
    let mut customers = Customers::default();
    let mut written = 0;
    while let Some(orders) = queue.recv().await {
        let batch = customers.apply(orders);
        written += batch.rows.len();
        store.write(&batch).await?;
    }
    reader.join().map_err(|_| "the reader failed")??;
    Ok(written)
}
