//! A fold without a store: decode and fold alone, of records taken as a worker takes them. Rows are kept only where the fold reads
//! them back, as any store would have to; what is never read is dropped, unless the rows are to be digested.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::fold::{Fold, Step};
use headwater_engine::plan::Topology;
use headwater_engine::table::{Key, Row, Table, ViewWrites};
use headwater_log::{Consumer, Delivery, Offset, Partition};
use headwater_schemas::Value;
use rustc_hash::FxHashMap;

use super::meter::thread_cpu;
use super::path::Source;
use crate::failure::Failure;

/// As the runner's.
const BATCH_RECORDS: usize = 10_000;
const BATCH_BYTES: usize = 16 << 20;

/// Bytes that differ where keys differ.
type KeyBytes = Box<[u8]>;

/// The rows of a view.
#[derive(Default)]
struct View {
    rows: FxHashMap<KeyBytes, Row>,
    /// The keys of a partition; only where whole partitions are deleted.
    partitions: FxHashMap<KeyBytes, Vec<KeyBytes>>,
    /// Some of its rows were asked for, or all are wanted.
    kept: bool,
}

/// The rows of every view.
pub(super) struct Rows<'t> {
    topology: &'t Arc<Topology>,
    views: Vec<View>,
    pub(super) written: u64,
    /// What decoding and folding alone have cost, without reading the log.
    pub(super) folding: Duration,
}

/// Reads the whole log and drops it: what the other paths pay for their events.
pub(super) async fn read(source: &Source) -> Result<(), Failure> {
    let mut reader = Reader::new(source).await?;
    while !reader.next().await?.is_empty() {}
    Ok(())
}

/// Folds the whole log. `keep_all`: every row is kept, for the digest.
pub(super) async fn fold(source: &Source, keep_all: bool) -> Result<Rows<'_>, Failure> {
    let topology = &source.topology;
    let mut decoder = Decoder::new(topology.clone());
    let views = topology.views.iter().map(|_| View { kept: keep_all, ..View::default() }).collect();
    let mut rows = Rows { topology, views, written: 0, folding: Duration::ZERO };
    let mut next = Positions::new();
    let mut reader = Reader::new(source).await?;
    loop {
        let records = reader.next().await?;
        if records.is_empty() {
            return Ok(rows);
        }
        for topic in decoder.unlearned_keys() {
            let keys = source.registry.key_codec(&topology.topics[topic].topic).await;
            decoder.learn_keys(topic, keys.map_err(|error| Failure::because("the registry does not answer", &error))?);
        }
        for (topic, id) in decoder.unlearned(&records) {
            let writer = source.registry.by_id(id).await;
            let writer = writer.map_err(|error| Failure::because("the registry does not answer", &error))?;
            decoder.learn(topic, id, &writer);
        }
        let before = thread_cpu();
        rows.fold(Batch::decode(&decoder, records, &mut next));
        rows.folding += thread_cpu().saturating_sub(before);
    }
}

/// Reads every topic as a worker does, as the only member of a group.
struct Reader<'s> {
    source: &'s Source,
    consumer: Consumer,
    /// Where partitions end that are not read yet.
    left: HashMap<(usize, Partition), Offset>,
}

impl<'s> Reader<'s> {
    async fn new(source: &'s Source) -> Result<Self, Failure> {
        let mut left = HashMap::new();
        for (topic, extents) in source.ends().await?.into_iter().enumerate() {
            let some = extents.into_iter().filter(|extent| extent.end > extent.earliest);
            left.extend(some.map(|extent| ((topic, extent.partition), extent.end)));
        }
        let names: Vec<String> = source.topology.topics.iter().map(|plan| plan.topic.name.clone()).collect();
        // Generations begin at 1.
        let group = headwater_runner::group(&source.topology.name, 0);
        if let Some(groups) = &source.groups {
            groups.note(&source.topology, 0);
        }
        let consumer = source.log.consumer(&group, &names).await.map_err(|error| unreadable(&error))?;
        Ok(Self { source, consumer, left })
    }

    /// The next records; none after the last.
    async fn next(&mut self) -> Result<Vec<Record>, Failure> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while !self.left.is_empty() && records.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            match self.consumer.next().await.map_err(|error| unreadable(&error))? {
                Delivery::Assigned(partitions) => {
                    for (topic, partition) in partitions {
                        let started = self.consumer.start(&topic, partition, Offset(0)).await;
                        started.map_err(|error| unreadable(&error))?;
                    }
                }
                Delivery::Revoked(_) => return Err(Failure::new("the bench has lost partitions of its own topics")),
                Delivery::Records { topic, partition, records: delivered, next, .. } => {
                    let Some((topic, _)) = self.source.topology.topic(&topic) else { continue };
                    if self.left.get(&(topic, partition)).is_some_and(|end| next >= *end) {
                        self.left.remove(&(topic, partition));
                    }
                    bytes +=
                        delivered.iter().map(|record| record.payload.as_ref().map_or(0, Bytes::len)).sum::<usize>();
                    records.extend(delivered.into_iter().map(|record| incoming(topic, partition, record)));
                }
            }
        }
        Ok(records)
    }
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::because("the bench's log cannot be read", error)
}

fn incoming(topic: usize, partition: Partition, record: headwater_log::Record) -> Record {
    Record {
        topic,
        partition: partition.0,
        offset: record.offset.0,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        payload: record.payload,
        headers: Vec::new(),
    }
}

impl Rows<'_> {
    fn fold(&mut self, batch: Batch) {
        let mut fold = Fold::new(self.topology.clone(), batch, &|_| None);
        loop {
            match fold.step() {
                Step::Read(needs) => {
                    fold.supply(needs.iter().map(|(view, keys)| self.get(*view, keys)).collect());
                }
                Step::Done(outcome) => return self.write(outcome.writes),
            }
        }
    }

    fn get(&mut self, view: usize, keys: &[Key]) -> Vec<Option<Row>> {
        let view = &mut self.views[view];
        view.kept = true;
        let mut bytes = Vec::new();
        let found = keys.iter().map(|key| {
            bytes.clear();
            encode(key, &mut bytes);
            view.rows.get(bytes.as_slice()).cloned()
        });
        found.collect()
    }

    fn write(&mut self, writes: Vec<ViewWrites>) {
        for write in writes {
            self.written += (write.partition_deletes.len() + write.deletes.len() + write.puts.len()) as u64;
            let plan = &self.topology.views[write.view];
            let view = &mut self.views[write.view];
            if view.kept {
                view.write(&plan.table, plan.deletes_partitions, write);
            }
        }
    }

    /// The visible rows, by view.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, Vec<&Row>)> {
        self.views.iter().zip(&self.topology.views).map(|(rows, view)| {
            let visible = rows.rows.values().filter(|row| !row.hidden);
            (view.table.name.as_str(), visible.collect())
        })
    }
}

impl View {
    fn write(&mut self, table: &Table, deletes_partitions: bool, write: ViewWrites) {
        for (key, _) in &write.partition_deletes {
            for key in self.partitions.remove(&bytes(key)).unwrap_or_default() {
                self.rows.remove(&key);
            }
        }
        for (key, _) in &write.deletes {
            self.rows.remove(&bytes(key));
        }
        for row in write.puts {
            let key = bytes(row.key(table));
            if deletes_partitions {
                let partition = bytes(&row.key(table)[..table.partition]);
                self.partitions.entry(partition).or_default().push(key.clone());
            }
            self.rows.insert(key, row);
        }
    }
}

fn bytes(key: &[Value]) -> KeyBytes {
    let mut bytes = Vec::new();
    encode(key, &mut bytes);
    bytes.into()
}

/// The keys of both loads are text, numbers and instants.
fn encode(key: &[Value], out: &mut Vec<u8>) {
    for value in key {
        match value {
            Value::String(text) => {
                out.extend_from_slice(&(text.len() as u64).to_be_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Value::Long(number) | Value::Timestamp(number) => out.extend_from_slice(&number.to_be_bytes()),
            other => out.extend_from_slice(format!("{other:?};").as_bytes()),
        }
    }
}
