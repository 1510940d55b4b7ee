//! Workers, and what they report of themselves.

mod bench;
mod freshness;
