//! The query API over real connections, on both stores: rows are put through the stores' own flushes, as a worker does,
//! and asked for as a client does.

mod files;
mod kit;
mod pages;
mod positions;
mod rows;
