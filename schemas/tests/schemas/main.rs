//! The crate seen from outside: schemas in, values through, and two other implementations of Avro as oracles.

#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod apache;
mod arrow;
mod avsc;
mod decode;
mod evolution;
mod generate;
mod json;
mod keys;
mod malformed;
mod registry;
mod resolution;
