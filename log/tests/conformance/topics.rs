//! Topics: created, compared, deleted.

use headwater_log::{LogError, NewRecord, Offset, Partition};

use super::subject::{Subject, at, spec};

pub(crate) async fn a_topic_is_created_once_and_compared_after_that(mut it: Subject) {
    let document = it.name("document");
    let a = it.name("a");
    let made = it.topic(document, 3).await;
    assert_eq!((made.name.as_str(), made.partitions, made.retention_days), (document, 3, None));
    assert_eq!(it.topic(document, 3).await, made);
    it.reopen().await;
    assert_eq!(it.log.topic(document).await.unwrap(), made);

    let differs = it.log.ensure_topic(&spec(document, 4, None)).await.unwrap_err();
    assert_eq!(differs, LogError::PartitionsDiffer { topic: document.into(), declared: 4, existing: 3 });
    assert!(differs.to_string().contains("has 3 partitions") && differs.to_string().contains("4 are declared"));

    let kept = it.log.ensure_topic(&spec(document, 3, Some(7))).await.unwrap();
    assert_eq!((kept.id, kept.retention_days), (made.id, Some(7)));
    assert_eq!(it.log.topic(document).await.unwrap(), kept);

    it.topic(a, 1).await;
    let names: Vec<_> = it.log.topics().await.unwrap().into_iter().map(|topic| topic.name).collect();
    let names: Vec<_> = names.into_iter().filter(|name| it.owns(name)).collect();
    assert_eq!(names, [a, document]);
    let invalid = it.log.ensure_topic(&spec("no/way", 1, None)).await.unwrap_err();
    assert!(matches!(invalid, LogError::InvalidTopic { .. }), "{invalid}");
}

pub(crate) async fn a_topic_created_again_has_another_id_and_none_of_the_old_records(it: Subject) {
    let t = it.name("t");
    let first = it.topic(t, 2).await;
    it.log.append_all(t, (0..20).map(|i| at(i % 2, "old")).collect()).await.unwrap();
    assert_eq!(it.all(t, Partition(1)).await.len(), 10);

    it.log.delete_topic(t).await.unwrap();
    let gone = LogError::UnknownTopic { topic: t.into() };
    assert_eq!(it.log.topic(t).await, Err(gone.clone()));
    assert_eq!(it.log.read(t, Partition(0), Offset(0), 1, 1).await, Err(gone.clone()));
    assert_eq!(it.log.append(t, at(0, "x")).await, Err(gone.clone()));
    assert_eq!(it.log.delete_topic(t).await, Err(gone));

    let second = it.topic(t, 2).await;
    assert_ne!(first.id, second.id);
    assert_eq!(it.all(t, Partition(1)).await, []);
    let appended = it.log.append(t, at(1, "new")).await.unwrap();
    assert_eq!((appended.topic, appended.offset), (second.id, Offset(0)));
    assert_eq!(it.all(t, Partition(1)).await[0].payload.as_deref(), Some(&b"new"[..]));
    assert_eq!(it.log.enforce_retention(i64::MAX).await, Ok(0));
}

pub(crate) async fn what_is_not_there_is_named(it: Subject) {
    let t = it.name("t");
    let u = it.name("u");
    it.topic(t, 2).await;
    let no_topic = LogError::UnknownTopic { topic: u.into() };
    assert_eq!(it.log.topic(u).await, Err(no_topic.clone()));
    assert_eq!(it.log.extents(u).await, Err(no_topic.clone()));
    assert_eq!(it.log.append(u, NewRecord::default()).await, Err(no_topic.clone()));
    assert_eq!(it.log.append_all(u, vec![NewRecord::default()]).await, Err(no_topic.clone()));
    assert_eq!(it.log.wait(u, Partition(0), Offset(0)).await, Err(no_topic.clone()));
    assert_eq!(it.log.find_header(u, Partition(0), Offset(0), "a", b"b").await, Err(no_topic.clone()));
    assert_eq!(it.log.consumer("g", &[t.into(), u.into()]).await.err(), Some(no_topic));
    for partition in [-1, 2, i32::MAX] {
        let partition = Partition(partition);
        let no_partition = LogError::UnknownPartition { topic: t.into(), partition, partitions: 2 };
        assert_eq!(it.log.read(t, partition, Offset(0), 1, 1).await, Err(no_partition.clone()));
        assert_eq!(it.log.wait(t, partition, Offset(0)).await, Err(no_partition.clone()));
        assert_eq!(it.log.find_header(t, partition, Offset(0), "a", b"b").await, Err(no_partition));
    }
}

pub(crate) async fn a_closed_log_says_so(it: Subject) {
    let t = it.name("t");
    let u = it.name("u");
    it.topic(t, 1).await;
    let log = it.log.clone();
    let waiting = tokio::spawn(async move { log.wait(t, Partition(0), Offset(0)).await });
    it.log.append(t, at(0, "x")).await.unwrap();
    let accepted = it.log.append(t, at(0, "y"));
    accepted.await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let log = it.log.clone();
    let waiting = tokio::spawn(async move { log.wait(t, Partition(0), Offset(9)).await });
    it.log.close().await;
    assert_eq!(waiting.await.unwrap(), Err(LogError::Closed));
    assert_eq!(it.log.append(t, at(0, "z")).await, Err(LogError::Closed));
    assert_eq!(it.log.read(t, Partition(0), Offset(0), 1, 1).await, Err(LogError::Closed));
    assert_eq!(it.log.ensure_topic(&spec(u, 1, None)).await, Err(LogError::Closed));
    it.log.close().await;
}
