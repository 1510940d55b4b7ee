//! What each metric of the workers says, as `/metrics` explains it.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Describes the metrics of the workers to the recorder of this process.
pub fn describe_metrics() {
    let counters = [
        (
            "headwater_runner_events_total",
            "Events folded, by topology. Divided by headwater_runner_rows_written_total, both as rates: how many events one \
             written row stands for (coalescing).",
        ),
        ("headwater_runner_rows_written_total", "Rows put and deleted in acknowledged flushes, by topology and view."),
        ("headwater_runner_duplicates_total", "Records that were delivered again and skipped."),
        ("headwater_runner_ignored_total", "Records of events that no view reads."),
        ("headwater_runner_unknown_total", "Records of events that their topic does not declare."),
        ("headwater_runner_absent_total", "Events that change a row which is not there."),
        ("headwater_runner_parked_total", "Records parked, with those that wait behind them on their key."),
        ("headwater_runner_cache_hits_total", "Rows that the fold needed and that were kept from an earlier flush."),
        ("headwater_runner_cache_misses_total", "Rows that the fold needed and that were read from the store."),
        (
            "headwater_runner_retries_total",
            "Times that a worker went back to the stored positions to try again, by reason: unavailable (the log, the \
             registry or the store does not answer), fenced (another worker was first), refused (the store refuses a row).",
        ),
    ];
    for (name, help) in counters {
        describe_counter!(name, help);
    }
    let gauges = [
        (
            "headwater_runner_lag_records",
            Unit::Count,
            "End of the partition less the position: an upper bound, zero at the end.",
        ),
        (
            "headwater_runner_lag_seconds",
            Unit::Seconds,
            "Age of the partition's oldest record that is not in the views yet; zero where there is none.",
        ),
        (
            "headwater_view_freshness_seconds",
            Unit::Seconds,
            "Age of the oldest record of the view's topics that it does not reflect yet, an upper bound of how old its rows \
             are; zero where nothing is behind.",
        ),
    ];
    for (name, unit, help) in gauges {
        describe_gauge!(name, unit, help);
    }
    describe_histogram!(
        "headwater_runner_flush_seconds",
        Unit::Seconds,
        "From the begin of a flush to its acknowledgement: positions compared, rows read, folded and written."
    );
    describe_histogram!("headwater_runner_batch_records", Unit::Count, "Records of one flush.");
}
