//! The crate seen from outside: schemas in, values through, and two other implementations of Avro as oracles.

mod apache;
mod arrow;
mod avsc;
mod decode;
mod evolution;
mod generate;
mod json;
mod malformed;
mod registry;
mod resolution;
