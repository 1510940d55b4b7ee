//! Appends: what is acknowledged is there, as given, in order, where Kafka would put it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use headwater_log::{Appended, LogError, NewRecord, Offset, Partition, Record, partition_for};

use super::subject::{Subject, at, header, record, within};

pub(crate) async fn records_come_back_as_they_were_given_in_order(mut it: Subject) {
    let t = it.name("t");
    let info = it.topic(t, 1).await;
    let mut given = vec![
        record("k", "plain"),
        NewRecord::default(),
        NewRecord { key: Some(Bytes::new()), payload: Some(Bytes::new()), ..Default::default() },
        NewRecord { payload: None, ..record("tombstone", "") },
        record("\0 \u{1f30a}", vec![0, 255, 0]),
        NewRecord {
            headers: vec![header("a", "1"), header("a", "2"), header("", ""), header("ünicode", vec![0, 1])],
            ..record("k", "with headers")
        },
        record("k", vec![7; 200_000]),
    ];
    for (i, record) in given.iter_mut().enumerate() {
        record.timestamp_ms = Some(it.timestamps_ms()[i]);
        let appended = it.log.append(t, record.clone()).await.unwrap();
        assert_eq!(appended, Appended { topic: info.id, partition: Partition(0), offset: Offset(i as i64) });
    }
    let expected: Vec<Record> = given
        .into_iter()
        .zip(0..)
        .map(|(new, offset)| Record {
            offset: Offset(offset),
            timestamp_ms: new.timestamp_ms.unwrap(),
            key: new.key,
            payload: new.payload,
            headers: new.headers,
        })
        .collect();
    assert_eq!(it.all(t, Partition(0)).await, expected);
    it.reopen().await;
    assert_eq!(it.all(t, Partition(0)).await, expected);
    assert_eq!(it.log.append(t, record("k", "after")).await.unwrap().offset, Offset(7));
}

pub(crate) async fn a_record_that_is_there_is_not_written_again(it: Subject) {
    let t = it.name("t");
    let u = it.name("u");
    it.topic(t, 3).await;
    let with = |id: &str| NewRecord { headers: vec![header("id", id.to_owned())], ..record("k", "x") };
    let once = async |id: &str, from| it.log.append_once(t, with(id), "id", Offset(from)).await.unwrap();
    let partition = partition_for(b"k", 3);
    let first = it.log.append(t, with("a")).await.unwrap();
    assert_eq!(once("a", 0).await, first);
    let second = once("b", 0).await;
    assert_eq!((second.partition, second.offset), (partition, Offset(1)));
    // What lies before is not looked at, nor is another partition, nor another header.
    assert_eq!(once("a", 1).await.offset, Offset(2));
    it.log.append(t, NewRecord { partition: Some(Partition((partition.0 + 1) % 3)), ..with("c") }).await.unwrap();
    it.log.append(t, NewRecord { headers: vec![header("other", "c")], ..record("k", "x") }).await.unwrap();
    assert_eq!(once("c", 0).await.offset, Offset(4));
    // Of many at once one writes, also where they share a transaction.
    let all = join_all((0..50).map(|i| {
        let (log, record) = (&it.log, with(["d", "e"][i % 2]));
        async move { log.append_once(t, record, "id", Offset(0)).await.unwrap() }
    }))
    .await;
    assert_eq!(all.iter().map(|appended| appended.offset).collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(it.all(t, partition).await.len(), 7);
    let missing = it.log.append_once(u, with("a"), "id", Offset(0)).await;
    assert!(matches!(missing, Err(LogError::UnknownTopic { .. })), "{missing:?}");
}

pub(crate) async fn a_key_goes_where_kafka_would_put_it(it: Subject) {
    let t = it.name("t");
    it.topic(t, 7).await;
    // 21 -> -973932308: positive 1173551340, modulo 7 is 3. abc -> 479470107, modulo 7 is 4.
    for (key, partition) in [("21", 3), ("abc", 4)] {
        assert_eq!(it.log.append(t, record(key, "x")).await.unwrap().partition, Partition(partition), "{key}");
    }
    let keys: Vec<String> = (0..200).map(|i| format!("key-{i}")).collect();
    let all = it.log.append_all(t, keys.iter().map(|key| record(key, "x")).collect()).await.unwrap();
    for (key, appended) in keys.iter().zip(all) {
        assert_eq!(appended.partition, partition_for(key.as_bytes(), 7), "{key}");
    }
    let chosen = NewRecord { partition: Some(Partition(6)), ..record("21", "x") };
    assert_eq!(it.log.append(t, chosen).await.unwrap().partition, Partition(6));
}

pub(crate) async fn records_without_a_key_are_spread(it: Subject) {
    let a = it.name("a");
    let b = it.name("b");
    it.topic(a, 4).await;
    it.topic(b, 4).await;
    let mut seen: BTreeMap<(&str, Partition), usize> = BTreeMap::new();
    for _ in 0..40 {
        // Turn and turn about, which would keep a topic to half of its partitions if they shared one count.
        for topic in [a, b] {
            let appended = it.log.append(topic, NewRecord::default()).await.unwrap();
            *seen.entry((topic, appended.partition)).or_default() += 1;
        }
    }
    assert_eq!(seen.values().copied().collect::<Vec<_>>(), [10; 8]);
}

pub(crate) async fn one_bad_append_fails_alone(it: Subject) {
    let t = it.name("t");
    let nowhere = it.name("nowhere");
    it.topic(t, 2).await;
    let log = &it.log;
    let appends = (0..60).map(|i| async move {
        match i % 3 {
            0 => log.append(t, at(0, "good")).await.map(|_| ()),
            1 => log.append(t, at(2, "no such partition")).await.map(|_| ()),
            _ => log.append(nowhere, at(0, "no such topic")).await.map(|_| ()),
        }
    });
    for (i, result) in join_all(appends).await.into_iter().enumerate() {
        match (i % 3, result) {
            (0, Ok(())) | (1, Err(LogError::UnknownPartition { .. })) | (2, Err(LogError::UnknownTopic { .. })) => {}
            (_, result) => panic!("append {i}: {result:?}"),
        }
    }
    let mixed = vec![at(0, "good"), at(-1, "bad")];
    assert!(matches!(it.log.append_all(t, mixed).await, Err(LogError::UnknownPartition { .. })));
    assert_eq!(it.all(t, Partition(0)).await.len(), 20);
    assert_eq!(it.log.append(t, at(0, "next")).await.unwrap().offset, Offset(20));
}

pub(crate) async fn limits_are_named(it: Subject) {
    let t = it.name("t");
    it.topic(t, 1).await;
    let headers = |count: usize, name: usize, value: usize| NewRecord {
        headers: (0..count).map(|_| header(&"n".repeat(name), vec![0; value])).collect(),
        ..Default::default()
    };
    let cases = [
        ("max_record_bytes", 1 << 20, record("k", vec![0; (1 << 20) - 1]), record("k", vec![0; 1 << 20])),
        ("max_key_bytes", 65_535, record(&"k".repeat(65_535), ""), record(&"k".repeat(65_536), "")),
        ("max_headers", 100, headers(100, 1, 1), headers(101, 1, 1)),
        ("max_header_name_bytes", 1_024, headers(1, 1_024, 0), headers(1, 1_025, 0)),
        ("max_header_bytes", 65_536, headers(2, 1_024, 31_744), headers(2, 1_024, 31_745)),
    ];
    let mut end = 0;
    for (name, most, fits, too_large) in cases {
        assert_eq!(it.log.append(t, fits).await.unwrap().offset, Offset(end), "{name}");
        end += 1;
        match it.log.append(t, too_large.clone()).await {
            Err(LogError::TooLarge { limit, allowed, .. }) => assert_eq!((limit, allowed), (name, most)),
            found => panic!("{name}: {found:?}"),
        }
        let all = it.log.append_all(t, vec![record("k", "small"), too_large]).await;
        assert!(matches!(all, Err(LogError::TooLarge { limit, .. }) if limit == name), "{all:?}");
    }
    assert_eq!(it.log.extents(t).await.unwrap()[0].end, Offset(end));
}

pub(crate) async fn append_all_keeps_the_order_over_many_transactions(it: Subject) {
    let t = it.name("t");
    it.topic(t, 3).await;
    assert_eq!(it.log.append_all(t, vec![]).await, Ok(vec![]));
    let count = 9_000;
    let records = (0..count).map(|i| at(i % 3, format!("{i}"))).collect();
    let appended = it.log.append_all(t, records).await.unwrap();
    for (i, appended) in (0..).zip(&appended) {
        assert_eq!((appended.partition, appended.offset), (Partition(i % 3), Offset(i64::from(i / 3))));
    }
    for partition in 0..3 {
        let expected: Vec<String> = (0..count / 3).map(|i| format!("{}", i * 3 + partition)).collect();
        let read = it.log.read(t, Partition(partition), Offset(0), usize::MAX, usize::MAX).await.unwrap();
        let found: Vec<&[u8]> = read.iter().map(|record| record.payload.as_deref().unwrap()).collect();
        assert_eq!(found, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    }
}

pub(crate) async fn concurrent_appends_get_distinct_offsets_and_become_visible_in_order(it: Subject) {
    let t = it.name("t");
    const TASKS: i64 = 300;
    const EACH: i64 = 10;
    it.topic(t, 3).await;
    let done = Arc::new(AtomicBool::new(false));
    // Reads on while records are written: it must never meet an offset before those below it.
    let readers: Vec<_> = (0..3)
        .map(|partition| {
            let (log, done) = (it.log.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut from = Offset(0);
                loop {
                    let last_round = done.load(Ordering::Acquire);
                    let records = log.read(t, Partition(partition), from, 50, 1 << 20).await.unwrap();
                    for record in &records {
                        assert_eq!(record.offset, from, "partition {partition}");
                        from = from.next();
                    }
                    if records.is_empty() && last_round {
                        return from;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers = (0..TASKS).map(|task| {
        let log = it.log.clone();
        tokio::spawn(async move {
            let mut appended = Vec::new();
            for i in 0..EACH {
                let record = at((task % 3) as i32, format!("{task}/{i}"));
                appended.push((log.append(t, record).await.unwrap(), format!("{task}/{i}")));
            }
            // One task's appends, each awaited before the next, ascend.
            assert!(appended.windows(2).all(|pair| pair[0].0.offset < pair[1].0.offset));
            appended
        })
    });
    let appended: Vec<_> = within(join_all(writers)).await.into_iter().flat_map(Result::unwrap).collect();
    done.store(true, Ordering::Release);
    for reader in readers {
        assert_eq!(within(reader).await.unwrap(), Offset(TASKS / 3 * EACH));
    }
    let distinct: BTreeSet<_> = appended.iter().map(|(at, _)| (at.partition, at.offset)).collect();
    assert_eq!(distinct.len() as i64, TASKS * EACH);
    let mut kept = BTreeMap::new();
    for partition in (0..3).map(Partition) {
        let records = it.all(t, partition).await;
        kept.extend(records.into_iter().map(|record| ((partition, record.offset), record.payload.unwrap())));
    }
    for (at, payload) in appended {
        assert_eq!(kept[&(at.partition, at.offset)], payload);
    }
}

pub(crate) async fn a_time_is_given_where_there_is_none(it: Subject) {
    let t = it.name("t");
    it.topic(t, 1).await;
    let now_ms = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let before = now_ms();
    it.log.append(t, at(0, "x")).await.unwrap();
    let after = now_ms();
    let found = it.all(t, Partition(0)).await[0].timestamp_ms;
    assert!((before..=after).contains(&found), "{found} is not in {before}..={after}");
}
