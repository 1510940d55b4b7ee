//! `/live`, `/ready` and `/metrics`.
//!
//! Live is: the process answers. Ready is: every registered check holds; one that does not says why. A part of the process
//! registers a [`Gate`] and keeps it; a gate that is dropped (its worker ended) does not hold any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value as Json, json};

use crate::Problem;

/// The checks of this process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// By name: None holds, Some says why not.
    checks: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// One check, kept by whoever knows. It does not hold until [`Gate::open`].
#[derive(Debug)]
pub struct Gate {
    name: String,
    health: Health,
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// A new check, which does not hold yet. A second one of the same name takes the first one's place.
    pub fn register(&self, name: &str) -> Gate {
        self.set(name, Some("starting".to_owned()));
        Gate { name: name.to_owned(), health: self.clone() }
    }

    /// The checks that do not hold, and why. Empty: ready.
    pub fn reasons(&self) -> Vec<(String, String)> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.iter().filter_map(|(name, why)| Some((name.clone(), why.clone()?))).collect()
    }

    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// The routes; `/metrics` where metrics are kept. Merge them after [`crate::front::guard`], so that they answer when
    /// nothing else does.
    pub fn routes(&self, metrics: Option<PrometheusHandle>) -> Router {
        let routes = Router::new()
            .route("/live", get(|| async { ([(CACHE_CONTROL, "no-store")], "live\n") }))
            .route("/ready", get(ready))
            .with_state(self.clone());
        match metrics {
            None => routes,
            Some(handle) => routes.route("/metrics", get(render).with_state(handle)),
        }
    }

    fn set(&self, name: &str, why: Option<String>) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), why);
    }
}

impl Gate {
    /// It holds.
    pub fn open(&self) {
        self.health.set(&self.name, None);
    }

    /// It does not hold; `why` in a few words, without secrets.
    pub fn close(&self, why: impl Into<String>) {
        self.health.set(&self.name, Some(why.into()));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close("stopped");
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let reasons = health.reasons();
    if reasons.is_empty() {
        return ([(CACHE_CONTROL, "no-store")], axum::Json(json!({ "ready": true }))).into_response();
    }
    let detail = reasons.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; ");
    let checks: serde_json::Map<String, Json> = reasons.into_iter().map(|(name, why)| (name, why.into())).collect();
    Problem::unavailable(detail, Duration::from_secs(1)).code("not-ready").with("checks", checks).into_response()
}

async fn render(State(metrics): State<PrometheusHandle>) -> Response {
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (kind, metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_every_check_holds() {
        let health = Health::new();
        assert!(health.is_ready());
        let log = health.register("log");
        let store = health.register("store");
        log.open();
        assert_eq!(health.reasons(), [("store".to_owned(), "starting".to_owned())]);
        store.open();
        assert!(health.is_ready());
        log.close("the disk is full");
        assert_eq!(health.reasons(), [("log".to_owned(), "the disk is full".to_owned())]);
        log.open();
        drop(store);
        assert_eq!(health.reasons(), [("store".to_owned(), "stopped".to_owned())]);
    }
}
