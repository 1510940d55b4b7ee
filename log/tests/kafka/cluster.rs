//! The broker that tests share, and what they do to it past the log.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use headwater_dev_servers::Servers;
use headwater_log::{
    Consumer, Delivery, KafkaOptions, Log, LogError, NewRecord, Offset, Partition, Record, TopicInfo, TopicSpec,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

/// What a wait may take before the test fails. Nothing waits for it to pass.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const P0: Partition = Partition(0);

pub(crate) fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| headwater_dev_servers::start(&["kafka"]))
}

pub(crate) fn options() -> KafkaOptions {
    KafkaOptions::new(&servers().kafka.bootstrap)
}

pub(crate) async fn connected() -> Log {
    Log::connect_kafka(options()).await.unwrap()
}

pub(crate) fn fresh(what: &str) -> String {
    headwater_dev_servers::fresh_name(what)
}

pub(crate) async fn topic(log: &Log, partitions: u32) -> TopicInfo {
    let spec = TopicSpec { name: fresh("log_test"), partitions, retention_days: None, compact: false };
    log.ensure_topic(&spec).await.unwrap()
}

pub(crate) fn at(partition: i32, payload: impl Into<Bytes>) -> NewRecord {
    NewRecord { partition: Some(Partition(partition)), payload: Some(payload.into()), ..NewRecord::default() }
}

pub(crate) fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &servers().kafka.bootstrap);
    config
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

/// Creates a topic of one partition with settings that the log does not make.
pub(crate) async fn raw_topic(log: &Log, settings: &[(&str, &str)]) -> String {
    let name = fresh("log_test");
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
    let topic = settings.iter().fold(topic, |topic, (setting, value)| topic.set(setting, value));
    admin().create_topics([&topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    within(async {
        while log.extents(&name).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    name
}

/// Removes what is before this offset, as retention would.
pub(crate) async fn remove_before(topic: &str, before: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, KafkaOffset::Offset(before)).unwrap();
    admin().delete_records(&list, &AdminOptions::new()).await.unwrap();
}

/// Fails the test where this takes longer than the deadline.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("this should have happened long ago")
}

/// A member that has been given partitions and started all of them at the beginning.
pub(crate) async fn started(log: &Log, topic: &str) -> Consumer {
    let mut consumer = log.consumer(&format!("{topic}.g"), &[topic.to_owned()]).await.unwrap();
    let Ok(Delivery::Assigned(partitions)) = within(consumer.next()).await else { panic!("no assignment") };
    for (topic, partition) in partitions {
        consumer.start(&topic, partition, Offset(0)).await.unwrap();
    }
    consumer
}

pub(crate) fn texts(records: &[Record]) -> Vec<String> {
    let text = |record: &Record| String::from_utf8(record.payload.as_deref().unwrap().to_vec()).unwrap();
    records.iter().map(text).collect()
}

/// Takes what comes until each of these partitions is at its end, and answers all records and the positions.
pub(crate) async fn drain(consumer: &mut Consumer, ends: &[Offset]) -> (Vec<Record>, Vec<Offset>) {
    let (mut all, mut positions) = (Vec::new(), vec![Offset(0); ends.len()]);
    within(async {
        while positions != ends {
            let Delivery::Records { partition, records, next, end, .. } = consumer.next().await.unwrap() else {
                panic!("no records")
            };
            assert!(next > positions[partition.0 as usize] && end >= next);
            assert!(records.last().is_none_or(|last| last.offset < next));
            positions[partition.0 as usize] = next;
            all.extend(records);
        }
    })
    .await;
    (all, positions)
}

/// How one member's life shows to others: what it owns and how far it is, as a store would keep it.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) owner: BTreeMap<Partition, &'static str>,
    pub(crate) next: BTreeMap<Partition, Offset>,
    pub(crate) seen: BTreeMap<(Partition, Offset), u32>,
}

/// One turn of a member's loop, as a worker does it.
pub(crate) async fn turn(name: &'static str, member: &mut Consumer, store: &mut Store) -> Result<(), LogError> {
    match member.next().await? {
        Delivery::Assigned(partitions) => {
            for (topic, partition) in partitions {
                let other = store.owner.insert(partition, name);
                assert_eq!(other, None, "partition {partition} has two owners");
                let from = store.next.get(&partition).copied().unwrap_or(Offset(0));
                member.start(&topic, partition, from).await?;
            }
        }
        Delivery::Revoked(partitions) => {
            for (_, partition) in partitions {
                assert_eq!(store.owner.remove(&partition), Some(name));
            }
        }
        Delivery::Records { partition, records, next, .. } => {
            assert_eq!(store.owner.get(&partition), Some(&name), "records of a partition that another has");
            for record in records {
                *store.seen.entry((partition, record.offset)).or_default() += 1;
            }
            store.next.insert(partition, next);
        }
    }
    Ok(())
}
