//! What every log promises, each promise tested on every backend.
//!
//! A case is a function of a [`Subject`]; the macros at the end run each on memory, on SQLite and on Kafka, save
//! those that rest on something that only a log in this process can promise.

#![allow(clippy::unwrap_used)] // the functions that tests call are tests, which clippy does not see

mod conformance {
    pub(crate) mod appends;
    pub(crate) mod consumers;
    pub(crate) mod reads;
    pub(crate) mod subject;
    pub(crate) mod topics;
}

use conformance::subject::Subject;
use conformance::{appends, consumers, reads, topics};

macro_rules! run {
    ($backend:ident, $subject:expr, $($room:ident :: $case:ident),* $(,)?) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $room::$case($subject).await;
                }
            )*
        }
    };
}

macro_rules! on_every_log {
    ($($room:ident :: $case:ident),* $(,)?) => {
        run!(memory, Subject::memory(), $($room::$case),*);
        run!(sqlite, Subject::sqlite().await, $($room::$case),*);
        run!(kafka, Subject::kafka().await, $($room::$case),*);
    };
}

macro_rules! on_embedded_logs {
    ($($room:ident :: $case:ident),* $(,)?) => {
        run!(memory_alone, Subject::memory(), $($room::$case),*);
        run!(sqlite_alone, Subject::sqlite().await, $($room::$case),*);
    };
}

on_every_log! {
    topics::a_topic_is_created_once_and_compared_after_that,
    topics::a_topic_created_again_has_another_id_and_none_of_the_old_records,
    topics::what_is_not_there_is_named,
    topics::a_closed_log_says_so,
    appends::records_come_back_as_they_were_given_in_order,
    appends::a_key_goes_where_kafka_would_put_it,
    appends::records_without_a_key_are_spread,
    appends::one_bad_append_fails_alone,
    appends::limits_are_named,
    appends::a_record_that_is_there_is_not_written_again,
    appends::append_all_keeps_the_order_over_many_transactions,
    appends::concurrent_appends_get_distinct_offsets_and_become_visible_in_order,
    appends::a_time_is_given_where_there_is_none,
    reads::a_read_is_bounded_by_records_and_by_bytes,
    reads::a_wait_ends_when_the_record_is_there,
    reads::a_header_is_found,
    consumers::partitions_are_assigned_first_and_silent_until_started,
    consumers::every_record_is_delivered_once_in_order_however_often_next_is_dropped,
    consumers::a_waiting_consumer_wakes,
    consumers::a_consumer_may_start_elsewhere,
}

// Kafka removes what retention does not keep when it sees fit, commits without waiting, fetches partitions in an order of its
// own, and takes a deleted topic's partitions away: `kafka.rs` has what it promises of these.
on_embedded_logs! {
    reads::an_offset_that_is_not_there_is_out_of_range,
    reads::retention_takes_prefixes_and_never_gives_an_offset_twice,
    reads::retention_stops_at_the_first_young_record,
    consumers::no_partition_is_starved,
    consumers::a_position_out_of_range_stays_an_error,
    consumers::a_recreated_topic_is_noticed,
    consumers::commits_are_seen_per_group,
    consumers::a_group_that_is_deleted_is_forgotten,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_passes_gaps() {
    consumers::a_consumer_passes_gaps().await;
}
