//! Consumers: assignment, start, order, fairness, waiting.

use std::collections::BTreeMap;

use futures::FutureExt;
use headwater_log::{Consumer, Delivery, GroupOffset, Log, LogError, NewRecord, Offset, Partition, Record};

use super::subject::{DAY_MS, Subject, at, offsets, range, spec, within};

async fn started(log: &Log, topic: &str) -> Consumer {
    let mut consumer = log.consumer(&format!("{topic}.g"), &[topic.to_owned()]).await.unwrap();
    let Ok(Delivery::Assigned(partitions)) = consumer.next().await else { panic!("no assignment") };
    for (topic, partition) in partitions {
        consumer.start(&topic, partition, Offset(0)).await.unwrap();
    }
    consumer
}

async fn records(consumer: &mut Consumer) -> (Partition, Vec<Record>, Offset, Offset) {
    match within(consumer.next()).await.unwrap() {
        Delivery::Records { partition, records, next, end, .. } => (partition, records, next, end),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn partitions_are_assigned_first_and_silent_until_started(it: Subject) {
    let a = it.name("a");
    let b = it.name("b");
    let c = it.name("c");
    it.topic(a, 2).await;
    it.topic(b, 1).await;
    it.log.append_all(a, vec![at(0, "x"), at(1, "y")]).await.unwrap();
    it.log.append(b, at(0, "z")).await.unwrap();
    let mut consumer = it.log.consumer(it.name("g"), &[b.into(), a.into(), b.into()]).await.unwrap();
    let all = [(a, 0), (a, 1), (b, 0)].map(|(topic, partition)| (topic.to_owned(), Partition(partition)));
    assert_eq!(consumer.next().await, Ok(Delivery::Assigned(all.to_vec())));
    for _ in 0..20 {
        assert!(consumer.next().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    consumer.start(a, Partition(1), Offset(0)).await.unwrap();
    let (partition, found, next, end) = records(&mut consumer).await;
    assert_eq!((partition, offsets(&found), next, end), (Partition(1), vec![0], Offset(1), Offset(1)));
    for round in 1..10 {
        it.log.append_all(a, vec![at(0, "silent"), at(1, "heard")]).await.unwrap();
        let (partition, found, ..) = records(&mut consumer).await;
        assert_eq!((partition, offsets(&found)), (Partition(1), vec![round]));
    }
    for (topic, partition) in [(c, 0), (a, 2)] {
        let partition = Partition(partition);
        let expected = Err(LogError::NotAssigned { topic: topic.into(), partition });
        assert_eq!(consumer.start(topic, partition, Offset(0)).await, expected);
        assert_eq!(consumer.commit(&[(topic.into(), partition, Offset(0))]).await, expected);
    }
}

pub(crate) async fn every_record_is_delivered_once_in_order_however_often_next_is_dropped(it: Subject) {
    let t = it.name("t");
    const RECORDS: i64 = 5_000;
    it.topic(t, 3).await;
    let mut consumer = started(&it.log, t).await;
    let log = it.log.clone();
    let writer = tokio::spawn(async move {
        for from in (0..RECORDS).step_by(100) {
            let some = (from..from + 100).map(|i| at((i % 3) as i32, format!("{i}"))).collect();
            log.append_all(t, some).await.unwrap();
        }
    });
    let mut positions = BTreeMap::new();
    let mut seen = 0;
    within(async {
        while seen < RECORDS {
            // Polled once and dropped over and over, as a select with other work does.
            let Some(delivery) = consumer.next().now_or_never() else {
                tokio::task::yield_now().await;
                continue;
            };
            let Delivery::Records { partition, records, next, end, .. } = delivery.unwrap() else { panic!() };
            let position = positions.entry(partition).or_insert(Offset(0));
            for record in &records {
                assert_eq!(record.offset, *position);
                let expected = format!("{}", record.offset.0 * 3 + i64::from(partition.0));
                assert_eq!(record.payload.as_deref(), Some(expected.as_bytes()));
                *position = position.next();
            }
            assert!(next == *position && end >= next);
            seen += records.len() as i64;
        }
    })
    .await;
    writer.await.unwrap();
    assert_eq!(seen, RECORDS);
    assert!(consumer.next().now_or_never().is_none());
}

pub(crate) async fn no_partition_is_starved(it: Subject) {
    let t = it.name("t");
    it.topic(t, 3).await;
    // Far more in one partition than it gives in its turn.
    it.log.append_all(t, (0..25_000).map(|_| at(0, "x")).collect()).await.unwrap();
    it.log.append_all(t, vec![at(1, "y"), at(2, "z")]).await.unwrap();
    let mut consumer = started(&it.log, t).await;
    let (mut of_the_first, mut others) = (0, Vec::new());
    while others.len() < 2 {
        let (partition, found, ..) = records(&mut consumer).await;
        match partition.0 {
            0 => of_the_first += found.len(),
            other => others.push(other),
        }
        assert!(of_the_first < 20_000, "the others wait for {of_the_first} records, and have given {others:?}");
    }
    others.sort_unstable();
    assert_eq!(others, [1, 2]);
}

pub(crate) async fn a_waiting_consumer_wakes(it: Subject) {
    let t = it.name("t");
    it.topic(t, 2).await;
    let mut consumer = started(&it.log, t).await;
    for round in 0..20 {
        assert!(consumer.next().now_or_never().is_none());
        let waiting = tokio::spawn(async move {
            let delivered = records(&mut consumer).await;
            (consumer, delivered)
        });
        it.log.append(t, at(round % 2, format!("{round}"))).await.unwrap();
        let (again, (partition, found, ..)) = within(waiting).await.unwrap();
        consumer = again;
        assert_eq!((partition.0, offsets(&found)), (round % 2, vec![i64::from(round / 2)]));
    }
}

pub(crate) async fn a_consumer_may_start_elsewhere(it: Subject) {
    let t = it.name("t");
    it.topic(t, 1).await;
    it.log.append_all(t, (0..10).map(|i| at(0, format!("{i}"))).collect()).await.unwrap();
    let mut consumer = started(&it.log, t).await;
    assert_eq!(records(&mut consumer).await.1.len(), 10);
    for (from, expected) in [(7, vec![7, 8, 9]), (0, (0..10).collect()), (9, vec![9])] {
        consumer.start(t, Partition(0), Offset(from)).await.unwrap();
        assert_eq!(offsets(&records(&mut consumer).await.1), expected);
    }
    // Started again while a batch from the old place is on its way.
    consumer.start(t, Partition(0), Offset(1)).await.unwrap();
    assert!(consumer.next().now_or_never().is_none_or(|it| it.is_ok()));
    consumer.start(t, Partition(0), Offset(8)).await.unwrap();
    assert_eq!(offsets(&records(&mut consumer).await.1), [8, 9]);
}

pub(crate) async fn a_position_out_of_range_stays_an_error(it: Subject) {
    let t = it.name("t");
    it.log.ensure_topic(&spec(t, 1, Some(1))).await.unwrap();
    let old = NewRecord { timestamp_ms: Some(0), ..at(0, "x") };
    it.log.append_all(t, vec![old; 4]).await.unwrap();
    it.log.append(t, at(0, "young")).await.unwrap();
    it.log.enforce_retention(2 * DAY_MS).await.unwrap();
    let mut consumer = started(&it.log, t).await;
    let (earliest, end) = range(4, 5);
    for wanted in [0, 6] {
        consumer.start(t, Partition(0), Offset(wanted)).await.unwrap();
        for _ in 0..3 {
            let expected = LogError::OffsetOutOfRange {
                topic: t.into(),
                partition: Partition(0),
                wanted: Offset(wanted),
                earliest,
                end,
            };
            assert_eq!(within(consumer.next()).await, Err(expected));
        }
    }
    consumer.start(t, Partition(0), Offset(4)).await.unwrap();
    assert_eq!(offsets(&records(&mut consumer).await.1), [4]);
}

pub(crate) async fn a_recreated_topic_is_noticed(it: Subject) {
    let t = it.name("t");
    let first = it.topic(t, 1).await;
    it.log.append(t, at(0, "old")).await.unwrap();
    let mut consumer = started(&it.log, t).await;
    records(&mut consumer).await;
    assert!(consumer.next().now_or_never().is_none());
    it.log.delete_topic(t).await.unwrap();
    assert_eq!(within(consumer.next()).await, Err(LogError::UnknownTopic { topic: t.into() }));
    let second = it.topic(t, 1).await;
    it.log.append_all(t, vec![at(0, "new"), at(0, "newer")]).await.unwrap();
    let expected = LogError::TopicRecreated { topic: t.into(), expected: first.id, found: second.id };
    assert_eq!(within(consumer.next()).await, Err(expected.clone()));
    assert_eq!(consumer.commit(&[(t.into(), Partition(0), Offset(1))]).await, Err(expected));
}

pub(crate) async fn commits_are_seen_per_group(mut it: Subject) {
    let t = it.name("t");
    it.topic(t, 2).await;
    let topics = [t.to_owned()];
    let mut a = it.log.consumer("a", &topics).await.unwrap();
    let mut b = it.log.consumer("b", &topics).await.unwrap();
    let place = |partition, next| (t.to_owned(), Partition(partition), Offset(next));
    a.commit(&[place(0, 3), place(1, 4)]).await.unwrap();
    a.commit(&[place(0, 5)]).await.unwrap();
    b.commit(&[place(1, 9)]).await.unwrap();
    let expect = |partition, next| GroupOffset { topic: t.into(), partition: Partition(partition), next: Offset(next) };
    for _ in 0..2 {
        assert_eq!(it.log.group_offsets("a").await.unwrap(), [expect(0, 5), expect(1, 4)]);
        assert_eq!(it.log.group_offsets("b").await.unwrap(), [expect(1, 9)]);
        assert_eq!(it.log.group_offsets("c").await.unwrap(), []);
        it.reopen().await;
    }
    it.log.delete_topic(t).await.unwrap();
    it.topic(t, 2).await;
    assert_eq!(it.log.group_offsets("a").await.unwrap(), []);
}

pub(crate) async fn a_group_that_is_deleted_is_forgotten(it: Subject) {
    let t = it.name("t");
    it.topic(t, 1).await;
    let mut consumer = it.log.consumer("a", &[t.to_owned()]).await.unwrap();
    consumer.commit(&[(t.to_owned(), Partition(0), Offset(3))]).await.unwrap();
    assert_eq!(it.log.group_offsets("a").await.unwrap().len(), 1);
    it.log.delete_groups(&["a".to_owned(), "a".to_owned(), "nobody's".to_owned()]).await.unwrap();
    assert_eq!(it.log.group_offsets("a").await.unwrap(), []);
}

/// Only memory can leave gaps; Kafka does.
pub(crate) async fn a_consumer_passes_gaps() {
    let it = Subject::memory();
    let Log::Memory(memory) = &it.log else { panic!() };
    it.topic("t", 1).await;
    memory.leave_gap("t", Partition(0), 5).unwrap();
    it.log.append("t", at(0, "x")).await.unwrap();
    memory.leave_gap("t", Partition(0), 3).unwrap();
    let mut consumer = started(&it.log, "t").await;
    let (_, found, next, end) = records(&mut consumer).await;
    assert_eq!((offsets(&found), next, end), (vec![5], Offset(9), Offset(9)));
    assert!(consumer.next().now_or_never().is_none());
    memory.leave_gap("t", Partition(0), 2).unwrap();
    let (_, found, next, end) = records(&mut consumer).await;
    assert_eq!((offsets(&found), next, end), (vec![], Offset(11), Offset(11)));
    assert_eq!(offsets(&it.log.read("t", Partition(0), Offset(2), 9, 99).await.unwrap()), [5]);
}
