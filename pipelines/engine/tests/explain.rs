//! What `explain` says and `graph` draws: snapshots that a person reads, and pictures in which nothing overlaps.

mod explain {
    mod generated;
    mod pictures;
    mod places;
    mod rules;
    mod texts;
}
