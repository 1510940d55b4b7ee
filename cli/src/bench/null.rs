//! Decode and fold alone: the rows stay in maps, so that what is left is the engine's own cost.

use std::collections::{BTreeMap, HashMap};

use headwater_engine::batch::{Batch, Decoder, Positions, Record};
use headwater_engine::fold::{Fold, Step};
use headwater_engine::plan::Topology;
use headwater_engine::table::{Key, Row, Table, ViewWrites};
use headwater_log::Partition;
use headwater_schemas::Value;

use super::Source;
use crate::failure::Failure;

const BATCH_RECORDS: usize = 10_000;
const BATCH_BYTES: usize = 16 << 20;

/// The rows of a view, by partition key, then by clustering key.
type View = HashMap<Vec<u8>, BTreeMap<Vec<u8>, Row>>;

/// The rows of every view.
pub(super) struct Rows<'t> {
    topology: &'t Topology,
    views: Vec<View>,
    pub(super) written: u64,
}

/// Folds the whole log, a partition after the other.
pub(super) async fn fold(source: &Source) -> Result<Rows<'_>, Failure> {
    let topology = &source.topology;
    let mut decoder = Decoder::new(topology.clone());
    let mut rows = Rows { topology, views: topology.views.iter().map(|_| HashMap::new()).collect(), written: 0 };
    let mut next = Positions::new();
    for (index, plan) in topology.topics.iter().enumerate() {
        for partition in 0..plan.topic.partitions {
            let partition = Partition(i32::try_from(partition).unwrap_or(i32::MAX));
            fold_partition(source, index, partition, &mut decoder, &mut next, &mut rows).await?;
        }
    }
    Ok(rows)
}

async fn fold_partition(
    source: &Source,
    topic: usize,
    partition: Partition,
    decoder: &mut Decoder,
    next: &mut Positions,
    rows: &mut Rows<'_>,
) -> Result<(), Failure> {
    let name = &source.topology.topics[topic].topic.name;
    let mut from = headwater_log::Offset(0);
    loop {
        let read = source.log.read(name, partition, from, BATCH_RECORDS, BATCH_BYTES).await;
        let read = read.map_err(|error| Failure::because("the bench's log cannot be read", &error))?;
        let Some(last) = read.last() else { return Ok(()) };
        from = last.offset.next();
        let records: Vec<Record> = read
            .into_iter()
            .map(|record| Record {
                topic,
                partition: partition.0,
                offset: record.offset.0,
                timestamp_ms: record.timestamp_ms,
                key: record.key,
                payload: record.payload,
                headers: Vec::new(),
            })
            .collect();
        for (topic, id) in decoder.unlearned(&records) {
            let writer = source.registry.by_id(id).await;
            let writer = writer.map_err(|error| Failure::because("the registry does not answer", &error))?;
            decoder.learn(topic, id, &writer);
        }
        let mut fold = Fold::new(source.topology.clone(), Batch::decode(decoder, records, next), &|_| None);
        loop {
            match fold.step() {
                Step::Read(needs) => {
                    let found = needs.iter().map(|(view, keys)| keys.iter().map(|key| rows.get(*view, key)).collect());
                    fold.supply(found.collect());
                }
                Step::Done(outcome) => {
                    rows.write(outcome.writes);
                    break;
                }
            }
        }
    }
}

impl Rows<'_> {
    fn get(&self, view: usize, key: &Key) -> Option<Row> {
        let (partition, clustering) = self.place(view, key);
        self.views[view].get(&partition)?.get(&clustering).cloned()
    }

    fn write(&mut self, writes: Vec<ViewWrites>) {
        for write in writes {
            let view = write.view;
            self.written += (write.partition_deletes.len() + write.deletes.len() + write.puts.len()) as u64;
            for (key, _) in &write.partition_deletes {
                let mut partition = Vec::new();
                key.iter().for_each(|value| encode(value, &mut partition));
                self.views[view].remove(&partition);
            }
            for (key, _) in &write.deletes {
                let (partition, clustering) = self.place(view, key);
                if let Some(rows) = self.views[view].get_mut(&partition) {
                    rows.remove(&clustering);
                }
            }
            for row in write.puts {
                let (partition, clustering) = self.place(view, row.key(self.table(view)));
                self.views[view].entry(partition).or_default().insert(clustering, row);
            }
        }
    }

    fn table(&self, view: usize) -> &Table {
        &self.topology.views[view].table
    }

    fn place(&self, view: usize, key: &[Value]) -> (Vec<u8>, Vec<u8>) {
        let (mut partition, mut clustering) = (Vec::new(), Vec::new());
        for (index, value) in key.iter().enumerate() {
            encode(value, if index < self.table(view).partition { &mut partition } else { &mut clustering });
        }
        (partition, clustering)
    }

    /// The visible rows, by view.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, Vec<&Row>)> {
        self.views.iter().zip(&self.topology.views).map(|(rows, view)| {
            let visible = rows.values().flat_map(BTreeMap::values).filter(|row| !row.hidden);
            (view.table.name.as_str(), visible.collect())
        })
    }
}

/// Bytes that differ where keys differ; the document domain's keys are text, numbers and instants.
fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Long(number) | Value::Timestamp(number) => out.extend_from_slice(&number.to_be_bytes()),
        other => out.extend_from_slice(format!("{other:?};").as_bytes()),
    }
}
