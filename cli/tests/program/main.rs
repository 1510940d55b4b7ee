//! The `headwater` program as a person or a script runs it: the real binary, on projects of its own.

mod against;
mod avro_keys;
mod check;
mod client;
mod doctor;
mod explain;
mod killed;
mod metrics;
mod new;
mod project;
mod servers;
mod serving;
mod topics;
mod usage;
