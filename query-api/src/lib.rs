//! The query API: declared queries, run against the views of the generation that is active when a request arrives.
//!
//! A request is read (path, query string, headers), waits where it asks to (`Headwater-After`), takes one snapshot of
//! each store that it needs, with the positions before the rows, and answers with the token of what it reflects. Which
//! view and which key is settled when a query is compiled; here is only what depends on the request.

mod answer;
mod cursor;
mod describe;
mod disposition;
mod file;
mod page;
mod range;
mod reading;
mod request;
mod row;
mod sorted;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use headwater_engine::query::{Answer, Query};
use headwater_http::{Keys, Limits, Problem, front};
use headwater_views::Store;
use object_store::ObjectStore;

pub use describe::describe;

/// What the query API needs.
#[derive(Clone, Debug)]
pub struct QueryApi {
    pub queries: Vec<Arc<Query>>,
    /// By topology: every one that a query reads or joins.
    pub topologies: HashMap<String, Served>,
    pub blobs: Arc<dyn ObjectStore>,
    pub keys: Keys,
    pub limits: Limits,
    /// Tells which time bucket a walk starts from, and which rows are past their `retain`.
    pub clock: fn() -> SystemTime,
}

/// A topology as it is deployed.
#[derive(Clone, Debug)]
pub struct Served {
    pub store: Store,
    /// Of the declaration that the queries were compiled from. A generation that was declared otherwise is not answered
    /// from.
    pub fingerprint: String,
}

/// Why there is no router.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RouterError {
    #[error("query `{query}` reads topology `{topology}`, which is not served here")]
    NotServed { query: String, topology: String },
    #[error("queries `{first}` and `{second}` take the same path")]
    Clash { first: String, second: String },
}

/// One query and all it needs.
#[derive(Clone)]
struct Endpoint {
    api: Arc<QueryApi>,
    query: Arc<Query>,
}

/// The queries' routes. Merge them with the commands', then pass both through [`front::guard`].
///
/// # Errors
/// Where two queries clash, or one reads what is not served.
pub fn router(api: QueryApi) -> Result<Router, RouterError> {
    let api = Arc::new(api);
    let mut routes = Router::new();
    for (index, query) in api.queries.iter().enumerate() {
        check(&api, index, query)?;
        let one = Endpoint { api: Arc::clone(&api), query: Arc::clone(query) };
        routes = routes.route(&query.route.to_string(), get(handle).with_state(one));
    }
    Ok(front::timed(routes, &api.limits))
}

fn check(api: &QueryApi, index: usize, query: &Query) -> Result<(), RouterError> {
    let topologies = std::iter::once(&query.topology).chain(query.joins.iter().map(|join| &join.topology));
    for topology in topologies {
        if !api.topologies.contains_key(&topology.name) {
            let (query, topology) = (query.name.clone(), topology.name.clone());
            return Err(RouterError::NotServed { query, topology });
        }
    }
    match api.queries[..index].iter().find(|other| other.route.clashes(&query.route)) {
        None => Ok(()),
        Some(other) => Err(RouterError::Clash { first: other.name.clone(), second: query.name.clone() }),
    }
}

async fn handle(State(one): State<Endpoint>, request: Request) -> Response {
    let answered = match &one.query.answer {
        Answer::Row => row::answer(&one.api, &one.query, request).await,
        Answer::Page { .. } => page::answer(&one.api, &one.query, request).await,
        Answer::File { .. } => file::answer(&one.api, &one.query, request).await,
    };
    answered.unwrap_or_else(Problem::into_response)
}
