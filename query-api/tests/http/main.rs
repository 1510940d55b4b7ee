//! The query API over real connections, on both stores: rows are put through the stores' own flushes, as a worker does,
//! and asked for as a client does.

#![allow(clippy::unwrap_used)] // What is arranged for a test may only fail as the test's failure.

mod files;
mod kit;
mod pages;
mod positions;
mod retain;
mod rows;
