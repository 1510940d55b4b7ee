//! What the command API and the query API share: problem documents, identity, position tokens, request limits, health,
//! telemetry, OpenAPI, and the one way a router is served.
//!
//! Every answer that is not a success is an RFC 9457 [`Problem`]; every request passes [`front::guard`], which bounds it,
//! traces it and counts it; [`serve::serve`] is the only place that accepts connections.

pub mod body;
pub mod etag;
pub mod front;
pub mod health;
pub mod identity;
pub mod limits;
pub mod openapi;
pub mod parameters;
pub mod problem;
pub mod serve;
pub mod telemetry;
pub mod token;
pub mod trace;
pub mod wait;

pub use identity::{Caller, Identity, Keys};
pub use limits::Limits;
pub use problem::{Place, Problem};
pub use token::PositionToken;
pub use trace::TraceContext;
