//! Random appends, reads, retention and restarts against the simplest model of a partition: a vector and where it starts.

#![allow(clippy::unwrap_used)] // the functions that tests call are tests, which clippy does not see

use std::collections::BTreeMap;

use headwater_log::{Header, Log, LogError, NewRecord, Offset, Partition, Record, TopicSpec, partition_for};
use proptest::prelude::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const PARTITIONS: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Given>),
    Read { partition: i32, from: i64, max_records: usize, max_bytes: usize },
    Retention { day: i64 },
    Reopen,
}

#[derive(Clone, Debug)]
struct Given {
    key: Vec<u8>,
    payload: Option<Vec<u8>>,
    header: Option<(String, Vec<u8>)>,
    day: i64,
}

/// A partition: what it ever held, and the first offset that it still holds.
#[derive(Debug, Default)]
struct Model {
    records: Vec<Record>,
    earliest: usize,
}

fn given() -> impl Strategy<Value = Given> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let header = prop::option::of(("[a-c]{0,2}", bytes()));
    (bytes(), prop::option::of(bytes()), header, 0..6_i64).prop_map(|(key, payload, header, day)| Given {
        key,
        payload,
        header,
        day,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(given(), 0..12).prop_map(Step::Append),
        4 => (0..PARTITIONS as i32, -1..40_i64, 0..9_usize, 0..120_usize).prop_map(
            |(partition, from, max_records, max_bytes)| Step::Read { partition, from, max_records, max_bytes }
        ),
        2 => (0..9_i64).prop_map(|day| Step::Retention { day }),
        1 => Just(Step::Reopen),
    ]
}

impl Given {
    fn new_record(&self) -> NewRecord {
        let header = |(name, value): &(String, Vec<u8>)| Header { name: name.clone(), value: value.clone().into() };
        NewRecord {
            key: Some(self.key.clone().into()),
            payload: self.payload.clone().map(Into::into),
            headers: self.header.iter().map(header).collect(),
            timestamp_ms: Some(self.day * DAY_MS),
            partition: None,
        }
    }
}

impl Model {
    fn append(&mut self, new: NewRecord) -> Offset {
        let offset = Offset(self.records.len() as i64);
        let timestamp_ms = new.timestamp_ms.unwrap();
        let NewRecord { key, payload, headers, .. } = new;
        self.records.push(Record { offset, timestamp_ms, key, payload, headers });
        offset
    }

    fn read(
        &self,
        partition: Partition,
        from: i64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let (earliest, end) = (self.earliest as i64, self.records.len() as i64);
        if from < earliest || from > end {
            let (wanted, earliest, end) = (Offset(from), Offset(earliest), Offset(end));
            return Err(LogError::OffsetOutOfRange { topic: "t".into(), partition, wanted, earliest, end });
        }
        let mut bytes = 0;
        let held = self.records[from as usize..].iter().take(max_records).enumerate();
        let fits = held.take_while(|(i, record)| {
            bytes += record.size();
            *i == 0 || bytes <= max_bytes
        });
        Ok(fits.map(|(_, record)| record.clone()).collect())
    }

    fn retain(&mut self, now_ms: i64, days: i64) -> u64 {
        let before = self.earliest;
        while self.records.get(self.earliest).is_some_and(|record| record.timestamp_ms < now_ms - days * DAY_MS) {
            self.earliest += 1;
        }
        (self.earliest - before) as u64
    }
}

async fn compare(mut log: Log, folder: Option<&tempfile::TempDir>, steps: &[Step]) {
    let spec = TopicSpec { name: "t".into(), partitions: PARTITIONS, retention_days: Some(2), compact: false };
    log.ensure_topic(&spec).await.unwrap();
    let mut models: BTreeMap<Partition, Model> =
        (0..PARTITIONS as i32).map(|partition| (Partition(partition), Model::default())).collect();
    for step in steps {
        match step {
            Step::Append(given) => {
                let appended = log.append_all("t", given.iter().map(Given::new_record).collect()).await.unwrap();
                for (given, appended) in given.iter().zip(appended) {
                    let partition = partition_for(&given.key, PARTITIONS);
                    let model = models.get_mut(&partition).unwrap();
                    assert_eq!((appended.partition, appended.offset), (partition, model.append(given.new_record())));
                }
            }
            Step::Read { partition, from, max_records, max_bytes } => {
                let partition = Partition(*partition);
                let found = log.read("t", partition, Offset(*from), *max_records, *max_bytes).await;
                assert_eq!(found, models[&partition].read(partition, *from, *max_records, *max_bytes));
            }
            Step::Retention { day } => {
                let expected: u64 = models.values_mut().map(|model| model.retain(day * DAY_MS, 2)).sum();
                assert_eq!(log.enforce_retention(day * DAY_MS).await, Ok(expected));
            }
            Step::Reopen => {
                if let Some(folder) = folder {
                    log.close().await;
                    log = Log::open_embedded(folder.path()).await.unwrap();
                }
            }
        }
        for extent in log.extents("t").await.unwrap() {
            let model = &models[&extent.partition];
            assert_eq!((extent.earliest.0, extent.end.0), (model.earliest as i64, model.records.len() as i64));
        }
    }
}

fn block_on(what: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn memory_is_the_model(steps in prop::collection::vec(step(), 0..40)) {
        block_on(compare(Log::memory(), None, &steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn sqlite_is_the_model(steps in prop::collection::vec(step(), 0..40)) {
        block_on(async {
            let folder = tempfile::TempDir::new().unwrap();
            compare(Log::open_embedded(folder.path()).await.unwrap(), Some(&folder), &steps).await;
        });
    }
}
