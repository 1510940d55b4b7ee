//! The torture test: faults on real servers under load, and the views equal to a separately written fold.
//!
//! `headwater-torture --help` says how it is run, [`run`] what it does, and each file below one part of it.

mod audit;
mod clients;
mod events;
mod faults;
mod fold;
mod ground;
mod ledger;
mod process;
mod project;
mod proxy;
mod report;
pub mod run;
mod seen;
mod servers;
pub mod stack;
mod writer;

pub use report::Report;

/// What goes wrong here is told to a person and ends the run: which kind it is decides nothing.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
