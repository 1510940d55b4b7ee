//! Avro schemas, topics, decode plans and the wire format: what may be said on each topic.
//!
//! The one idea: a *decode plan* is compiled once from a writer's schema and the fields that a topology needs, and then
//! turns a message into a row of borrowed values without allocating. Everything else here serves that: the schemas it is
//! compiled from, the values it gives, the JSON that people read and write, and the registry that holds every version.
//!
//! The default features hold the registry (I/O); the engine leaves them off.

pub mod avsc;
pub mod encode;
pub mod instant;
pub mod json;
pub mod key;
mod layout;
pub mod plan;
#[cfg(feature = "registry")]
pub mod registry;
pub mod topic;
pub mod types;
pub mod value;
pub mod wire;

pub use avsc::{Schema, SchemaError};
pub use encode::{EncodeError, encode};
pub use json::FieldError;
pub use key::{KeyCodec, KeyFormat, KeyProblem};
pub use plan::{DecodeError, DecodePlan, ResolveError};
#[cfg(feature = "registry")]
pub use registry::{Registry, RegistryError};
pub use topic::{Event, Topic};
pub use types::{EnumType, Field, FieldType, RecordLink, RecordType, Type};
pub use value::{Decimal, Value, ValueRef};
pub use wire::SchemaId;
