//! Reads: bounds, ranges, retention, waiting, and the search for a header.

use futures::FutureExt;
use headwater_log::{Extent, LogError, NewRecord, Offset, Partition};

use super::subject::{DAY_MS, Subject, at, header, offsets, range, record, spec, within};

const P0: Partition = Partition(0);

pub(crate) async fn a_read_is_bounded_by_records_and_by_bytes(it: Subject) {
    let t = it.name("t");
    it.topic(t, 2).await;
    it.log.append_all(t, (0..10).map(|_| at(0, vec![0; 100])).collect()).await.unwrap();
    it.log.append(t, at(1, "elsewhere")).await.unwrap();
    let cases: &[(i64, usize, usize, &[i64])] = &[
        (0, 3, 10_000, &[0, 1, 2]),
        (8, 3, 10_000, &[8, 9]),
        (10, 3, 10_000, &[]),
        (0, 0, 10_000, &[]),
        (0, 10, 250, &[0, 1]),
        (0, 10, 300, &[0, 1, 2]),
        (4, 10, 0, &[4]),
        (4, 10, 99, &[4]),
        (0, usize::MAX, usize::MAX, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ];
    for (from, records, bytes, expected) in cases {
        let read = it.log.read(t, P0, Offset(*from), *records, *bytes).await.unwrap();
        assert_eq!(offsets(&read), *expected, "from {from}, {records} records, {bytes} bytes");
    }
}

pub(crate) async fn an_offset_that_is_not_there_is_out_of_range(it: Subject) {
    let t = it.name("t");
    it.log.ensure_topic(&spec(t, 1, Some(1))).await.unwrap();
    for timestamp in [0, 0, 0, 10 * DAY_MS, 10 * DAY_MS] {
        it.log.append(t, NewRecord { timestamp_ms: Some(timestamp), ..at(0, "x") }).await.unwrap();
    }
    assert_eq!(it.log.enforce_retention(10 * DAY_MS).await, Ok(3));
    let (earliest, end) = range(3, 5);
    assert_eq!(it.log.extents(t).await.unwrap(), [Extent { partition: P0, earliest, end }]);
    for wanted in [-1, 0, 2, 6, i64::MAX] {
        let wanted = Offset(wanted);
        let expected = LogError::OffsetOutOfRange { topic: t.into(), partition: P0, wanted, earliest, end };
        assert_eq!(it.log.read(t, P0, wanted, 1, 1).await, Err(expected.clone()));
        assert_eq!(it.log.find_header(t, P0, wanted, "a", b"b").await, Err(expected));
    }
    assert_eq!(offsets(&it.log.read(t, P0, Offset(3), 9, 99).await.unwrap()), [3, 4]);
    assert_eq!(it.log.read(t, P0, Offset(5), 9, 99).await, Ok(vec![]));
}

pub(crate) async fn retention_takes_prefixes_and_never_gives_an_offset_twice(mut it: Subject) {
    let t = it.name("t");
    let forever = it.name("forever");
    it.log.ensure_topic(&spec(t, 2, Some(1))).await.unwrap();
    it.topic(forever, 1).await;
    // More than one step of the sweep, in one partition only.
    let old = (0..2_500).map(|_| NewRecord { timestamp_ms: Some(0), ..at(0, "x") }).collect();
    it.log.append_all(t, old).await.unwrap();
    it.log.append(t, NewRecord { timestamp_ms: Some(DAY_MS), ..at(1, "x") }).await.unwrap();
    it.log.append(forever, NewRecord { timestamp_ms: Some(0), ..at(0, "x") }).await.unwrap();
    assert_eq!(it.log.enforce_retention(DAY_MS).await, Ok(0), "as old as is kept");
    assert_eq!(it.log.enforce_retention(DAY_MS + 1).await, Ok(2_500));
    assert_eq!(it.log.enforce_retention(DAY_MS + 1).await, Ok(0));
    for _ in 0..2 {
        let (earliest, end) = range(2_500, 2_500);
        assert_eq!(it.log.extents(t).await.unwrap()[0], Extent { partition: P0, earliest, end });
        assert_eq!(it.log.extents(t).await.unwrap()[1].earliest, Offset(0));
        it.reopen().await;
    }
    assert_eq!(it.log.append(t, at(0, "x")).await.unwrap().offset, Offset(2_500));
    assert_eq!(it.all(t, Partition(1)).await.len(), 1);
    assert_eq!(it.all(forever, P0).await.len(), 1);
}

pub(crate) async fn retention_stops_at_the_first_young_record(it: Subject) {
    let t = it.name("t");
    it.log.ensure_topic(&spec(t, 1, Some(1))).await.unwrap();
    for day in [0, 0, 9, 0, 9] {
        it.log.append(t, NewRecord { timestamp_ms: Some(day * DAY_MS), ..at(0, "x") }).await.unwrap();
    }
    assert_eq!(it.log.enforce_retention(9 * DAY_MS).await, Ok(2));
    assert_eq!(offsets(&it.all(t, P0).await), [2, 3, 4]);
    assert_eq!(it.log.enforce_retention(i64::MIN).await, Ok(0));
    assert_eq!(it.log.enforce_retention(i64::MAX).await, Ok(3));
}

pub(crate) async fn a_wait_ends_when_the_record_is_there(it: Subject) {
    let t = it.name("t");
    it.topic(t, 2).await;
    it.log.append(t, at(0, "x")).await.unwrap();
    within(it.log.wait(t, P0, Offset(-1))).await.unwrap();
    within(it.log.wait(t, P0, Offset(0))).await.unwrap();
    // Polled once and dropped: nothing is left behind.
    assert_eq!(it.log.wait(t, P0, Offset(1)).now_or_never(), None);
    let log = it.log.clone();
    let waiting = tokio::spawn(async move {
        log.wait(t, P0, Offset(2)).await.unwrap();
        log.read(t, P0, Offset(2), 1, 1).await.unwrap()
    });
    for _ in 0..5 {
        it.log.append(t, at(1, "another partition")).await.unwrap();
    }
    assert!(!waiting.is_finished());
    it.log.append(t, at(0, "y")).await.unwrap();
    assert_eq!(it.log.wait(t, P0, Offset(2)).now_or_never(), None);
    it.log.append(t, at(0, "z")).await.unwrap();
    assert_eq!(within(waiting).await.unwrap()[0].payload.as_deref(), Some(&b"z"[..]));
}

pub(crate) async fn a_header_is_found(it: Subject) {
    let t = it.name("t");
    it.topic(t, 2).await;
    let with = |partition, headers| NewRecord { headers, ..at(partition, "x") };
    // The value of the second looks like a stored header `ce_id: 7`.
    let disguised = [&[0, 5][..], b"ce_id", &[0, 0, 0, 1], b"7"].concat();
    let records = vec![
        with(0, vec![]),
        with(0, vec![header("other", disguised)]),
        with(1, vec![header("ce_id", "7")]),
        with(0, vec![header("ce_id", "77"), header("ce_idx", "7")]),
        with(0, vec![header("a", "1"), header("ce_id", "7"), header("b", "")]),
        with(0, vec![header("ce_id", "7")]),
        record("k", "after"),
    ];
    it.log.append_all(t, records).await.unwrap();
    let cases: &[(i64, &str, &[u8], Option<i64>)] = &[
        (0, "ce_id", b"7", Some(3)),
        (3, "ce_id", b"7", Some(3)),
        (4, "ce_id", b"7", Some(4)),
        (5, "ce_id", b"7", None),
        (0, "ce_id", b"77", Some(2)),
        (0, "ce_id", b"", None),
        (0, "b", b"", Some(3)),
        (0, "", b"7", None),
    ];
    for (from, name, value, expected) in cases {
        let found = it.log.find_header(t, P0, Offset(*from), name, value).await.unwrap();
        assert_eq!(found.map(|record| record.offset.0), *expected, "{name} from {from}");
    }
}
