//! The pure core: declarations, `check`, expressions, the fold and the test harness. No I/O but reading a project's
//! files, and no clock.

pub mod allow;
pub mod batch;
pub mod cache;
pub mod command;
pub mod declare;
pub mod diagnostics;
pub mod explain;
pub mod expr;
pub mod fold;
pub mod graph;
pub mod harness;
pub mod plan;
pub mod project;
pub mod query;
pub mod route;
pub mod source;
pub mod table;
pub mod test;
pub mod unknown;
pub mod yaml;
