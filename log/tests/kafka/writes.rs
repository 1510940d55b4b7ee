//! Writing, and topics as the log makes them.

use std::collections::BTreeMap;

use headwater_log::{LogError, NewRecord, Offset, Partition, TopicSpec, partition_for};
use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::cluster::{DEADLINE, P0, admin, at, client, connected, raw_topic, topic, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_goes_where_librdkafkas_murmur2_puts_it() {
    let log = connected().await;
    let name = topic(&log, 7).await.name;
    let producer: FutureProducer = client().set("partitioner", "murmur2_random").create().unwrap();
    for i in 0..300_u32 {
        let key: Vec<u8> = (0..i % 23).map(|at| (i.wrapping_mul(2_654_435_761) >> (at % 24)) as u8).collect();
        let key = [key.as_slice(), &i.to_le_bytes()[..(i % 5) as usize]].concat();
        let record = FutureRecord::to(&name).key(&key).payload("x");
        let theirs = producer.send(record, DEADLINE).await.map_err(|(error, _)| error).unwrap().partition;
        if !key.is_empty() {
            assert_eq!(partition_for(&key, 7), Partition(theirs), "{key:?}");
        }
        let ours =
            log.append(&name, NewRecord { key: Some(key.clone().into()), ..NewRecord::default() }).await.unwrap();
        assert_eq!(ours.partition, partition_for(&key, 7), "{key:?}");
    }
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_finds_too_large_is_too_large() {
    let log = connected().await;
    let name = raw_topic(&log, &[("max.message.bytes", "2000")]).await;
    let noise: Vec<u8> = (0..20_000).map(|_| rand::random()).collect();
    let refused = log.append(&name, at(0, noise)).await;
    let (what, limit) = ("its bytes are", "max.message.bytes of the topic");
    let expected = LogError::TooLarge { topic: name.clone(), what, limit, allowed: 2_000, found: 20_000 };
    assert_eq!(refused, Err(expected));
    assert_eq!(log.append(&name, at(0, "small")).await.unwrap().offset, Offset(0));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_cannot_hold_is_refused_and_harms_nobody() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    for timestamp_ms in [i64::MIN, -1, 0, i64::MAX] {
        let refused = log.append(&name, NewRecord { timestamp_ms: Some(timestamp_ms), ..at(0, "x") }).await;
        assert!(matches!(refused, Err(LogError::Unwritable { .. })), "{timestamp_ms}: {refused:?}");
    }
    let compacted = raw_topic(&log, &[("cleanup.policy", "compact")]).await;
    let refused = log.append(&compacted, at(0, "no key")).await;
    assert!(matches!(refused, Err(LogError::Unwritable { .. })), "{refused:?}");
    assert_eq!(log.append(&name, at(0, "x")).await.unwrap().offset, Offset(0));
    log.close().await;
}

async fn settings(topic: &str) -> BTreeMap<String, String> {
    let asked = [ResourceSpecifier::Topic(topic)];
    let found = admin().describe_configs(&asked, &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    found.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_made_as_declared_and_its_other_settings_are_left_alone() {
    let log = connected().await;
    let made = topic(&log, 2).await;
    let found = settings(&made.name).await;
    assert_eq!((found["retention.ms"].as_str(), found["cleanup.policy"].as_str()), ("-1", "delete"));
    assert!(found["max.message.bytes"].parse::<usize>().unwrap() > 1 << 20);

    let name = raw_topic(&log, &[("max.message.bytes", "2000")]).await;
    let spec = |retention_days, compact| TopicSpec { name: name.clone(), partitions: 1, retention_days, compact };
    assert_eq!(log.topic(&name).await.unwrap().retention_days, Some(7), "the broker's default");
    for (days, compact, ms, policy) in [
        (Some(3), false, "259200000", "delete"),
        (None, false, "-1", "delete"),
        (None, true, "-1", "compact"),
        (Some(1), true, "86400000", "compact,delete"),
        (Some(1), false, "86400000", "delete"),
    ] {
        assert_eq!(log.ensure_topic(&spec(days, compact)).await.unwrap().retention_days, days);
        let found = settings(&name).await;
        assert_eq!((found["retention.ms"].as_str(), found["max.message.bytes"].as_str()), (ms, "2000"));
        assert_eq!(found["cleanup.policy"], policy);
    }
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_sends_what_was_accepted() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    let appends: Vec<_> = (0..200)
        .map(|i| {
            let (log, name) = (log.clone(), name.clone());
            tokio::spawn(async move { log.append(&name, at(0, format!("{i}"))).await })
        })
        .collect();
    log.close().await;
    let mut acknowledged = 0;
    for append in appends {
        match within(append).await.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(LogError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let log = connected().await;
    assert_eq!(log.extents(&name).await.unwrap()[0].end, Offset(acknowledged));
    assert_eq!(log.read(&name, P0, Offset(0), 1_000, 1 << 20).await.unwrap().len() as i64, acknowledged);
    log.close().await;
}
