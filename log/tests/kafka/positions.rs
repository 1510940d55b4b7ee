//! Positions: gaps are passed, and what is not there is never skipped.

use headwater_log::{Delivery, Log, LogError, NewRecord, Offset, TopicSpec};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::cluster::{
    DEADLINE, P0, at, client, connected, drain, fresh, raw_topic, remove_before, started, texts, topic, within,
};

/// A producer of transactions, and what it writes in each.
fn transactional() -> BaseProducer {
    let mut config: ClientConfig = client();
    let producer: BaseProducer = config.set("transactional.id", fresh("transaction")).create().unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    producer
}

fn produce(producer: &BaseProducer, topic: &str, payloads: &[&str]) {
    for payload in payloads {
        let record = BaseRecord::<(), str>::to(topic).partition(0).payload(payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_records_are_gaps_and_positions_pass_them() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    let mut consumer = started(&log, &name).await;
    let producer = transactional();
    producer.begin_transaction().unwrap();
    produce(&producer, &name, &["lost", "lost too"]);
    producer.abort_transaction(DEADLINE).unwrap();
    // Nothing but a gap: two records and the mark of the abort.
    let (records, _) = drain(&mut consumer, &[Offset(3)]).await;
    assert_eq!(records, []);
    producer.begin_transaction().unwrap();
    produce(&producer, &name, &["kept", "kept too"]);
    producer.commit_transaction(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    produce(&producer, &name, &["lost again"]);
    producer.abort_transaction(DEADLINE).unwrap();
    consumer.start(&name, P0, Offset(0)).await.unwrap();
    let (records, _) = drain(&mut consumer, &[Offset(8)]).await;
    assert_eq!(texts(&records), ["kept", "kept too"]);
    assert_eq!(log.extents(&name).await.unwrap()[0].end, Offset(8));
    assert_eq!(texts(&log.read(&name, P0, Offset(0), 9, 999).await.unwrap()), ["kept", "kept too"]);
    assert_eq!(log.read(&name, P0, Offset(6), 9, 999).await.unwrap(), []);
    // What is not committed is not there yet.
    producer.begin_transaction().unwrap();
    produce(&producer, &name, &["undecided"]);
    log.append(&name, at(0, "behind it")).await.unwrap();
    assert_eq!(log.extents(&name).await.unwrap()[0].end, Offset(8));
    assert_eq!(log.read(&name, P0, Offset(8), 9, 999).await.unwrap(), []);
    producer.commit_transaction(DEADLINE).unwrap();
    within(log.wait(&name, P0, Offset(9))).await.unwrap();
    let mut found = Vec::new();
    within(async {
        while found.len() < 2 {
            let Delivery::Records { records, .. } = consumer.next().await.unwrap() else { panic!() };
            found.extend(texts(&records));
        }
    })
    .await;
    assert_eq!(found, ["undecided", "behind it"]);
    drop(consumer);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_and_an_empty_payload_are_told_apart() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    let record = |key: &'static str, payload: Option<&'static str>| NewRecord {
        key: Some(key.into()),
        payload: payload.map(Into::into),
        ..NewRecord::default()
    };
    log.append_all(&name, vec![record("a", None), record("b", Some("")), record("", None)]).await.unwrap();
    let mut consumer = started(&log, &name).await;
    let (records, _) = drain(&mut consumer, &[Offset(3)]).await;
    let found: Vec<_> = records.iter().map(|it| (it.key.as_deref(), it.payload.as_deref())).collect();
    assert_eq!(found, [(Some(&b"a"[..]), None), (Some(b"b"), Some(&b""[..])), (Some(b""), None)]);
    drop(consumer);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_has_gaps_and_positions_pass_them() {
    let log = connected().await;
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.0"),
        ("segment.ms", "100"),
        ("max.compaction.lag.ms", "100"),
    ];
    let name = raw_topic(&log, &settings).await;
    let keyed = |key: &'static str, payload: String| NewRecord {
        key: Some(key.into()),
        payload: Some(payload.into()),
        ..NewRecord::default()
    };
    log.append_all(&name, (0..50).map(|i| keyed("same", format!("{i}"))).collect()).await.unwrap();
    // The cleaner works in its own time, on all but the newest segment, which each append may begin.
    let mut written = 50;
    within(async {
        loop {
            log.append(&name, keyed("other", format!("{written}"))).await.unwrap();
            written += 1;
            let kept = log.read(&name, P0, Offset(0), 1_000, 1 << 20).await.unwrap();
            if kept.iter().filter(|record| record.key.as_deref() == Some(b"same")).count() == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    })
    .await;
    let mut consumer = started(&log, &name).await;
    let (records, _) = drain(&mut consumer, &[Offset(written)]).await;
    assert!(records.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    let same: Vec<_> = records.iter().filter(|record| record.key.as_deref() == Some(b"same")).collect();
    assert_eq!((same.len(), same[0].offset, same[0].payload.as_deref()), (1, Offset(49), Some(&b"49"[..])));
    drop(consumer);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_retention_has_overrun_stays_an_error() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    log.append_all(&name, (0..6).map(|i| at(0, format!("{i}"))).collect()).await.unwrap();
    remove_before(&name, 4).await;
    let out_of_range = |wanted| LogError::OffsetOutOfRange {
        topic: name.clone(),
        partition: P0,
        wanted: Offset(wanted),
        earliest: Offset(4),
        end: Offset(6),
    };
    for wanted in [-1, 0, 3, 7, i64::MAX] {
        assert_eq!(log.read(&name, P0, Offset(wanted), 1, 1).await, Err(out_of_range(wanted)));
        assert_eq!(log.find_header(&name, P0, Offset(wanted), "a", b"b").await, Err(out_of_range(wanted)));
    }
    let mut consumer = started(&log, &name).await;
    for wanted in [0, 3, 7] {
        consumer.start(&name, P0, Offset(wanted)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(within(consumer.next()).await, Err(out_of_range(wanted)));
        }
    }
    consumer.start(&name, P0, Offset(4)).await.unwrap();
    let Ok(Delivery::Records { records, next, .. }) = within(consumer.next()).await else { panic!() };
    assert_eq!((texts(&records), next), (vec!["4".to_owned(), "5".to_owned()], Offset(6)));
    drop(consumer);
    log.close().await;
}

async fn again(log: &Log, name: &str, records: i32) -> headwater_log::TopicId {
    log.delete_topic(name).await.unwrap();
    let spec = TopicSpec { name: name.to_owned(), partitions: 1, retention_days: None, compact: false };
    let id = within(async {
        loop {
            // Its old files may still be on their way out.
            if let Ok(info) = log.ensure_topic(&spec).await {
                return info.id;
            }
        }
    })
    .await;
    log.append_all(name, (0..records).map(|i| at(0, format!("new {i}"))).collect()).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_again_is_noticed_whether_its_end_moved_back_or_not() {
    let log = connected().await;
    for records in [0, 1, 9] {
        let first = topic(&log, 1).await;
        log.append_all(&first.name, (0..3).map(|_| at(0, "old")).collect()).await.unwrap();
        let mut consumer = started(&log, &first.name).await;
        drain(&mut consumer, &[Offset(3)]).await;
        let found = again(&log, &first.name, records).await;
        let topic = first.name.clone();
        let expected = LogError::TopicRecreated { topic: topic.clone(), expected: first.id, found };
        within(async {
            loop {
                match consumer.next().await {
                    // Kafka takes the old topic's partition away and gives the new one's.
                    Ok(Delivery::Revoked(_)) | Err(LogError::UnknownTopic { .. } | LogError::Unavailable { .. }) => {}
                    Ok(Delivery::Assigned(_)) => consumer.start(&topic, P0, Offset(3)).await.unwrap(),
                    Ok(Delivery::Records { records, .. }) => panic!("{records:?}"),
                    Err(LogError::OffsetOutOfRange { .. }) => {}
                    Err(error) => return assert_eq!(error, expected),
                }
            }
        })
        .await;
        assert_eq!(within(consumer.next()).await, Err(expected));
    }
    log.close().await;
}
