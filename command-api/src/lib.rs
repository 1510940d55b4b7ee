//! The command API: declared commands over HTTP. A request is checked, decided and answered with 202 once its event is
//! durable in the log; nothing else is ever written.
//!
//! What makes it right among concurrent clients, processes and crashes is claims: rows of the view store that change only
//! by compare-and-swap. A key's *turn* orders the commands that look at a row, a *unique value* is held while its
//! event is on its way, an *`Idempotency-Key`* promises one answer. [`Step`] names what a command does in order; a crash
//! between any two is mended by whoever comes next.

mod answer;
mod attempt;
mod blobs;
mod claims;
mod flight;
mod given;
mod json_text;
mod key;
mod openapi;
mod promise;
mod queue;
mod reads;
mod record;
mod request;
mod server;
mod settings;
mod turn;
mod unique;
mod upload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::routing::MethodRouter;
use headwater_engine::command::{Command, Method};
use headwater_http::{Keys, Limits, Problem, front};
use headwater_log::Log;
use headwater_schemas::registry::Registry;
use headwater_views::Store;
use object_store::ObjectStore;

pub use openapi::describe;
pub use settings::{Settings, Step};

use claims::now_ms;
use flight::Flights;
use server::{Endpoint, Server};

/// What the command API works with. Everything is a handle: cloning is cheap.
#[derive(Clone)]
pub struct CommandApi {
    pub commands: Vec<Arc<Command>>,
    /// Has the topics of all commands.
    pub log: Log,
    pub registry: Registry,
    /// By their names in `headwater.yaml`.
    pub stores: BTreeMap<String, Store>,
    /// Where content goes. A local folder must sync what it writes (`with_fsync`), or an acknowledged event may name
    /// content that a power cut took.
    pub blobs: Arc<dyn ObjectStore>,
    /// The local folder that `blobs` is, if it is one: what crashed uploads leave there is swept.
    pub blob_folder: Option<PathBuf>,
    pub keys: Keys,
    pub limits: Limits,
    pub settings: Settings,
}

/// Why there is no command API of these parts.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SetupError {
    #[error("command {command} looks at views in the store `{store}`, and there is no such store")]
    NoStore { command: String, store: String },
    #[error("command {command} has nowhere to keep its claims: at least one store is needed")]
    NoStores { command: String },
}

/// The routes of all commands, without a front: merge them with others, then guard them.
pub fn router(api: CommandApi) -> Result<Router, SetupError> {
    let server = Arc::new(Server::new(api));
    let mut timed = Router::new();
    let mut uploads = Router::new();
    for command in &server.api.commands {
        let endpoint = Arc::new(endpoint(&server.api, command)?);
        let server = server.clone();
        let handler = move |request: Request| request::answer(server.clone(), endpoint.clone(), request);
        let route = MethodRouter::new();
        let route = match command.method {
            Method::Post => route.post(handler),
            Method::Put => route.put(handler),
            Method::Patch => route.patch(handler),
            Method::Delete => route.delete(handler),
        };
        let routes = if command.takes_upload() { &mut uploads } else { &mut timed };
        *routes = std::mem::take(routes).route(&command.path.to_string(), route);
    }
    // An upload's own bounds are on its size and its pauses.
    Ok(front::timed(timed, &server.api.limits).merge(uploads.layer(DefaultBodyLimit::disable())))
}

/// The store of the views that the topic's commands name; where they name none, the first.
fn endpoint(api: &CommandApi, command: &Arc<Command>) -> Result<Endpoint, SetupError> {
    let named = command.home.as_ref().map(|home| home.store.clone());
    let name = named.or_else(|| api.stores.keys().next().cloned());
    let name = name.ok_or_else(|| SetupError::NoStores { command: command.name.clone() })?;
    match api.stores.get(&name) {
        Some(store) => Ok(Endpoint::new(command.clone(), name, store.clone())),
        None => Err(SetupError::NoStore { command: command.name.clone(), store: name }),
    }
}

/// Sweeps what has expired, again and again until `shutdown` resolves: claims, and content that no event names.
pub async fn sweep(api: CommandApi, shutdown: impl Future<Output = ()>) {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            () = tokio::time::sleep(api.settings.sweep_every) => {}
        }
        if let Err(problem) = sweep_once(&api).await {
            tracing::warn!(%problem, "the sweep will go on later");
        }
    }
}

/// Sweeps once; how many claims and how many blobs are gone.
pub async fn sweep_once(api: &CommandApi) -> Result<(u64, usize), Problem> {
    let mut claims = 0;
    for store in api.stores.values() {
        // Whoever still holds a claim's version has long stopped by the time that it has expired.
        loop {
            let swept = store.sweep_claims(now_ms()).await?;
            claims += swept;
            if swept == 0 {
                break;
            }
        }
    }
    let flights = Flights { log: api.log.clone(), delivery_timeout: api.settings.delivery_timeout };
    let blobs = blobs::sweep(api, &flights).await?;
    metrics::counter!("headwater_blobs_swept_total").increment(blobs as u64);
    Ok((claims, blobs))
}
