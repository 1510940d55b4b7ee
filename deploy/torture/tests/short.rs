//! The short form: a fixed number of faults on each stack.

use std::path::{Path, PathBuf};

use headwater_torture::run::{Options, run};
use headwater_torture::stack::Stack;
use tokio::sync::watch;

/// The program that this workspace builds, beside this test.
fn program() -> PathBuf {
    let torture = Path::new(env!("CARGO_BIN_EXE_headwater-torture"));
    let program = torture.with_file_name("headwater");
    assert!(program.exists(), "{} is missing: cargo build --package headwater", program.display());
    program
}

async fn survives(stack: Stack, seed: u64, faults: u32) {
    let options = Options { stack, seed, minutes: None, faults: Some(faults), program: program(), keep: false };
    let (_keep, interrupted) = watch::channel(false);
    let report = run(&options, interrupted).await.expect("it runs");
    assert!(report.is_fine(), "{}", report.text());
    assert_eq!(report.kills(), u64::from(faults), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_default_survives() {
    survives(Stack::Embedded, 1, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_and_postgres_survive() {
    survives(Stack::KafkaPostgres, 2, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_and_cassandra_survive() {
    survives(Stack::KafkaCassandra, 3, 5).await;
}
