//! The command API over TCP, with real logs, stores and workers: what clients are told, and what ends up in the log, among
//! concurrent clients and across a crash at every step.

#[path = "commands/bodies.rs"]
mod bodies;
#[path = "commands/crashes.rs"]
mod crashes;
#[path = "commands/races.rs"]
mod races;
#[path = "commands/rows.rs"]
mod rows;
#[path = "commands/uploads.rs"]
mod uploads;
#[path = "commands/world.rs"]
mod world;
