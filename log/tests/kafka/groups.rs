//! Groups: who has which partition, and how it changes hands.

use std::time::Duration;

use headwater_log::{Delivery, GroupOffset, Log, Offset, Partition};
use tokio::sync::Mutex;

use super::cluster::{Store, at, connected, options, started, topic, turn, within};

const PARTITIONS: i32 = 6;

async fn write(log: &Log, topic: &str, from: i64, count: i64) {
    let records = (from..from + count).map(|i| at((i % i64::from(PARTITIONS)) as i32, format!("{i}"))).collect();
    log.append_all(topic, records).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_change_hands_and_every_record_is_delivered_once() {
    let log = connected().await;
    let name = topic(&log, PARTITIONS as u32).await.name;
    let (group, topics) = (format!("{name}.g"), [name.clone()]);
    let mut store = Store::default();
    let mut a = log.consumer(&group, &topics).await.unwrap();
    write(&log, &name, 0, 600).await;
    within(async {
        while store.seen.len() < 600 {
            turn("a", &mut a, &mut store).await.unwrap();
        }
    })
    .await;
    // A second member joins while records come; both work until each has half.
    let mut b = log.consumer(&group, &topics).await.unwrap();
    let store = Mutex::new(store);
    let each = |store: &Store| {
        let of = |name| store.owner.values().filter(|owner| **owner == name).count();
        (of("a"), of("b"))
    };
    let mut written = 600;
    within(async {
        while each(&*store.lock().await) != (3, 3) {
            write(&log, &name, written, 60).await;
            written += 60;
            for (who, member) in [("a", &mut a), ("b", &mut b)] {
                let mut store = store.lock().await;
                while let Ok(turned) =
                    tokio::time::timeout(Duration::from_millis(5), turn(who, member, &mut store)).await
                {
                    turned.unwrap();
                }
            }
        }
    })
    .await;
    // The second leaves, and the first has all again.
    {
        let mut store = store.lock().await;
        store.owner.retain(|_, owner| *owner == "a");
        drop(b);
        within(async {
            while each(&store) != (6, 0) || store.seen.len() < written as usize {
                turn("a", &mut a, &mut store).await.unwrap();
            }
        })
        .await;
    }
    let store = store.into_inner();
    assert!(store.seen.values().all(|times| *times == 1), "a record was delivered twice");
    assert_eq!(store.seen.len() as i64, written);
    drop(a);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_is_not_anothers_before_it_is_let_go() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    let (group, topics) = (format!("{name}.g"), [name.clone(), topic(&log, 1).await.name]);
    let mut a = log.consumer(&group, &topics).await.unwrap();
    assert!(matches!(within(a.next()).await, Ok(Delivery::Assigned(all)) if all.len() == 2));
    let mut b = log.consumer(&group, &topics).await.unwrap();
    let mut waiting = tokio::spawn(async move { (b.next().await, b) });
    let Ok(Delivery::Revoked(revoked)) = within(a.next()).await else { panic!("nothing was revoked") };
    // Whatever time passes, the other has nothing while this member has not come back.
    assert!(tokio::time::timeout(Duration::from_millis(700), &mut waiting).await.is_err());
    let going_on = tokio::spawn(async move { (a.next().await, a) });
    let (given, b) = within(waiting).await.unwrap();
    assert_eq!(given, Ok(Delivery::Assigned(revoked)));
    drop(b);
    assert!(matches!(within(going_on).await.unwrap().0, Ok(Delivery::Assigned(_))));
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_does_not_come_back_is_replaced_and_told() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    let (group, topics) = (format!("{name}.g"), [name.clone()]);
    let mut short = options();
    (short.session_timeout, short.max_poll_interval) = (Duration::from_secs(2), Duration::from_secs(2));
    let other = Log::connect_kafka(short).await.unwrap();
    log.append(&name, at(0, "x")).await.unwrap();
    let mut stuck = other.consumer(&group, &topics).await.unwrap();
    assert!(matches!(within(stuck.next()).await, Ok(Delivery::Assigned(_))));
    stuck.start(&name, Partition(0), Offset(0)).await.unwrap();
    assert!(matches!(within(stuck.next()).await, Ok(Delivery::Records { .. })));
    // It calls `next` no more.
    let mut healthy = log.consumer(&group, &topics).await.unwrap();
    assert!(matches!(within(healthy.next()).await, Ok(Delivery::Assigned(_))));
    assert!(matches!(within(stuck.next()).await, Ok(Delivery::Revoked(_))));
    drop((stuck, healthy));
    other.close().await;
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_waits_for_another_to_come_to_its_end() {
    let log = connected().await;
    let name = topic(&log, 3).await.name;
    log.append_all(&name, (0..9_000).map(|_| at(0, "x")).collect()).await.unwrap();
    log.append_all(&name, vec![at(1, "y"), at(2, "z")]).await.unwrap();
    let mut consumer = started(&log, &name).await;
    let mut silent = vec![Partition(1), Partition(2)];
    within(async {
        while !silent.is_empty() {
            // There is always more of partition 0.
            log.append_all(&name, (0..500).map(|_| at(0, "x")).collect()).await.unwrap();
            let Delivery::Records { partition, .. } = consumer.next().await.unwrap() else { panic!() };
            silent.retain(|it| *it != partition);
        }
    })
    .await;
    drop(consumer);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_commits_is_seen_by_tools() {
    let log = connected().await;
    let name = topic(&log, 2).await.name;
    let mut consumer = started(&log, &name).await;
    let group = format!("{name}.g");
    let place = |partition, next| (name.clone(), Partition(partition), Offset(next));
    consumer.commit(&[place(0, 3), place(1, 4)]).await.unwrap();
    consumer.commit(&[place(0, 5)]).await.unwrap();
    let expect =
        |partition, next| GroupOffset { topic: name.clone(), partition: Partition(partition), next: Offset(next) };
    within(async {
        while log.group_offsets(&group).await.unwrap() != [expect(0, 5), expect(1, 4)] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(log.group_offsets(&format!("{group}.other")).await.unwrap(), []);
    // It waits until the member has left.
    drop(consumer);
    log.delete_groups(&[group.clone(), group.clone(), format!("{group}.other")]).await.unwrap();
    assert_eq!(log.group_offsets(&group).await.unwrap(), []);
    log.close().await;
}
