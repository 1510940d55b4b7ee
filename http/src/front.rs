//! What every request passes before and after its handler: bounds, trace, panics, metrics, headers.
//!
//! One function, read top to bottom, instead of a stack of layers: the order is what matters here.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::sync::Semaphore;
use tracing::Instrument;

use crate::trace::CURRENT;
use crate::{Limits, Problem, TraceContext};

/// The trace id of the request, on every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("headwater-request");
/// Where a request has no route, metrics say so: a raw path would make a series each.
const NO_ROUTE: &str = "(none)";

struct Front {
    limits: Limits,
    slots: Semaphore,
}

/// Wraps the routes of an API: [`Limits`], a [`TraceContext`] in the request's extensions, 404 and 405 as problems, panics
/// as 500, `headwater_http_requests_total` and `headwater_http_request_seconds` by method, route and status.
///
/// Merge the routers first: a method that none of them has is then told with all that the path has.
pub fn guard(routes: Router, limits: &Limits) -> Router {
    let front = Arc::new(Front { limits: limits.clone(), slots: Semaphore::new(limits.concurrent_requests) });
    routes
        .fallback(|| async { Problem::not_found("there is nothing at this path; `/docs` lists what there is") })
        .method_not_allowed_fallback(|| async {
            Problem::method_not_allowed("this path takes other methods: see the `Allow` header")
        })
        .layer(middleware::from_fn_with_state(front, pass))
}

/// Bounds the time to answer, from the end of the headers: for every route that takes no upload. 503 beyond it.
pub fn timed(routes: Router, limits: &Limits) -> Router {
    // A wish to wait comes on top of the time to answer.
    let time = limits.request_time + limits.longest_wait;
    routes.layer(middleware::from_fn(move |request: Request, next: Next| async move {
        match tokio::time::timeout(time, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let detail = format!("this took longer than {} s and was given up", time.as_secs());
                Problem::unavailable(detail, std::time::Duration::from_secs(5)).code("too-slow").into_response()
            }
        }
    }))
}

async fn pass(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let trace = TraceContext::of(request.headers());
    request.extensions_mut().insert(trace);
    let span = tracing::info_span!("request", %method, route, trace_id = %trace.trace_id_hex());
    let answer = CURRENT.scope(trace, answer(&front, request, next)).instrument(span.clone());
    let mut response = answer.await;
    finish(response.headers_mut(), &trace);
    let elapsed = started.elapsed();
    let status = response.status();
    span.in_scope(|| {
        let elapsed_ms = elapsed.as_secs_f64() * 1e3;
        match status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            true => tracing::error!(status = status.as_u16(), elapsed_ms, "answered"),
            false => tracing::debug!(status = status.as_u16(), elapsed_ms, "answered"),
        }
    });
    count(&method, route, status, elapsed.as_secs_f64());
    response
}

async fn answer(front: &Front, request: Request, next: Next) -> Response {
    if let Err(problem) = within_bounds(&request, &front.limits) {
        return problem.into_response();
    }
    let Ok(_slot) = front.slots.try_acquire() else {
        let detail = "more requests are being answered than this instance takes; try again";
        let problem = Problem::unavailable(detail, std::time::Duration::from_secs(1)).code("busy");
        return problem.into_response();
    };
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let what = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Problem::internal(format!("panicked: {what}")).into_response()
        }
    }
}

fn within_bounds(request: &Request, limits: &Limits) -> Result<(), Problem> {
    let uri = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if uri > limits.uri_bytes {
        return Err(Problem::uri_too_long(limits.uri_bytes));
    }
    // As they are on the wire in HTTP/1.1: `name: value\r\n`.
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers > limits.header_bytes {
        return Err(Problem::headers_too_large(limits.header_bytes));
    }
    Ok(())
}

/// Headers that every answer has; those that the handler set stay.
fn finish(headers: &mut HeaderMap, trace: &TraceContext) {
    let defaults = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&trace.trace_id_hex()) {
        headers.insert(REQUEST_ID, id);
    }
}

fn count(method: &Method, route: String, status: StatusCode, seconds: f64) {
    // Methods are the client's words: only those that routes have become labels.
    let method = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let status = status.as_str().to_owned();
    metrics::counter!("headwater_http_requests_total", "method" => method, "route" => route.clone(), "status" => status)
        .increment(1);
    metrics::histogram!("headwater_http_request_seconds", "method" => method, "route" => route).record(seconds);
}

#[cfg(test)]
mod tests;
