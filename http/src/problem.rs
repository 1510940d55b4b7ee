//! Problem documents (RFC 9457): what every answer that is not a success says.
//!
//! A problem names what is wrong, where (`errors`, by place and field), and what to do. `type` is
//! `urn:headwater:problem:<code>`, the word that a program decides by. What went wrong inside is never told: it is logged
//! under an id, and the problem names the id.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use headwater_schemas::json::FieldError;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::trace::TraceContext;

/// A problem document, and the headers that go with it. Boxed: it is the error of nearly every function here.
#[derive(Clone, Debug)]
pub struct Problem(Box<Contents>);

#[derive(Clone, Debug)]
struct Contents {
    status: StatusCode,
    code: &'static str,
    title: String,
    detail: String,
    errors: Vec<FieldProblem>,
    extensions: Map<String, Json>,
    headers: HeaderMap,
}

/// One thing that is wrong with the request.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct FieldProblem {
    /// Where: the body, the path, the query string or a header.
    #[serde(rename = "in")]
    pub place: Place,
    /// The field's path (`lines[0].product`), the parameter's or the header's name.
    pub field: String,
    /// What was expected and what was found.
    pub message: String,
}

/// The part of a request that a field is in.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Body,
    Path,
    Query,
    Header,
}

impl Problem {
    /// A problem of any status. `code` ends the type URN: lower case, words joined by hyphens. The title is the status's
    /// reason phrase.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Contents {
            status,
            code,
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            extensions: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// 400: a header, a parameter or a cursor is malformed; `message` says what was expected.
    pub fn malformed(place: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::bad_request("the request is malformed: see `errors`").error(place, field, message)
    }

    /// 401: nobody is signed in, and this needs somebody.
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "this needs somebody signed in: send `Authorization: Bearer <token>`",
        )
        .header(WWW_AUTHENTICATE, "Bearer realm=\"headwater\"")
    }

    /// 401: a token was sent that does not hold; `why` says what is wrong with it.
    pub fn bad_token(why: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "bad-token", format!("the bearer token is refused: {why}"))
            .header(WWW_AUTHENTICATE, "Bearer realm=\"headwater\", error=\"invalid_token\"")
    }

    /// 403: this caller may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 405: not by this method.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
    }

    /// 408: the client stopped sending in the middle.
    pub fn request_timeout(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", detail)
            .header(HeaderName::from_static("connection"), "close")
    }

    /// 409: the request is at odds with how things stand.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 409: an event of this key is parked, so what was asked for is not reflected until an operator redrives or drops it.
    pub fn parked(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "parked", detail)
    }

    /// 410: what this speaks of was replaced and will not come back.
    pub fn gone(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", detail)
    }

    /// 412: `If-Match` names another state than the current one.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", detail)
    }

    /// 413: the body has more than `limit_bytes`.
    pub fn too_large(limit_bytes: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the body may have at most {limit_bytes} bytes"))
            .with("limit_bytes", limit_bytes)
    }

    /// 414: the request target is longer than `limit_bytes`.
    pub fn uri_too_long(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            "uri-too-long",
            format!("the path and query string may have at most {limit_bytes} bytes together"),
        )
        .with("limit_bytes", limit_bytes)
    }

    /// 415: the body is of another type than `expected`.
    pub fn unsupported_media_type(expected: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            format!("the body's Content-Type must be {expected}"),
        )
    }

    /// 416: none of the ranges lies within the content's `size` bytes.
    pub fn range_not_satisfiable(size: u64) -> Self {
        Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range-not-satisfiable",
            format!("the content has {size} bytes, and the range asks for none of them"),
        )
        .header(CONTENT_RANGE, &format!("bytes */{size}"))
    }

    /// 422: well formed, and not acceptable.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", detail)
    }

    /// 422: these fields of the body are wrong, all of them at once.
    pub fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let count = errors.len();
        let detail = match count {
            1 => "a field of the body is wrong: see `errors`".to_owned(),
            _ => format!("{count} fields of the body are wrong: see `errors`"),
        };
        errors.into_iter().fold(Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", detail), |p, e| {
            p.error(Place::Body, e.path, e.message)
        })
    }

    /// 429: too many from this caller.
    pub fn too_many_requests(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail).retry_after(retry_after)
    }

    /// 431: the headers have more than `limit_bytes`.
    pub fn headers_too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            format!("the headers may have at most {limit_bytes} bytes together"),
        )
        .with("limit_bytes", limit_bytes)
    }

    /// 500: something that should not happen did. `error` goes to the log under an id; the client is told the id.
    pub fn internal(error: impl fmt::Display) -> Self {
        let incident = Uuid::new_v4();
        tracing::error!(%incident, error = %error, "a request failed inside");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("something failed inside; the log tells what, under the id {incident}"),
        )
        .with("incident", incident.to_string())
    }

    /// 503: not now; try again after this long (whole seconds, rounded up).
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(retry_after)
    }

    /// Another code: the word a program decides by where one status has several causes.
    pub fn code(mut self, code: &'static str) -> Self {
        self.0.code = code;
        self
    }

    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.0.title = title.into();
        self
    }

    /// One more thing that is wrong.
    pub fn error(mut self, place: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.errors.push(FieldProblem { place, field: field.into(), message: message.into() });
        self
    }

    /// An extension member. Names that RFC 9457 defines are not taken.
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        if !["type", "title", "status", "detail", "instance", "errors"].contains(&name) {
            self.0.extensions.insert(name.to_owned(), value.into());
        }
        self
    }

    /// `Retry-After`, in whole seconds, rounded up, at least 1.
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.header(RETRY_AFTER, &seconds.max(1).to_string())
    }

    /// `Allow`, on a 405.
    pub fn allow(self, methods: &str) -> Self {
        self.header(ALLOW, methods)
    }

    /// A header of the answer. A value that no header may have is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is wrong, for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The word after `urn:headwater:problem:`.
    pub fn code_str(&self) -> &'static str {
        self.0.code
    }

    pub fn errors(&self) -> &[FieldProblem] {
        &self.0.errors
    }

    /// The document. `instance` is the request's trace id, where a request is being answered.
    pub fn document(&self) -> Json {
        let mut document = Map::new();
        document.insert("type".into(), format!("urn:headwater:problem:{}", self.0.code).into());
        document.insert("title".into(), self.0.title.as_str().into());
        document.insert("status".into(), self.0.status.as_u16().into());
        document.insert("detail".into(), self.0.detail.as_str().into());
        if let Some(trace) = TraceContext::current() {
            document.insert("instance".into(), format!("urn:headwater:trace:{}", trace.trace_id_hex()).into());
        }
        if !self.0.errors.is_empty() {
            document.insert("errors".into(), json!(self.0.errors));
        }
        document.extend(self.0.extensions.clone());
        Json::Object(document)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.document().to_string()));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.0.status.as_u16(), self.0.title, self.0.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_everything_in_its_document() {
        let problem = Problem::unprocessable("no")
            .error(Place::Body, "lines[0].product", "expected a string, found 3")
            .with("waiting", json!([1]))
            .with("status", 200);
        assert_eq!(
            problem.document(),
            json!({
                "type": "urn:headwater:problem:unprocessable",
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "no",
                "errors": [{ "in": "body", "field": "lines[0].product", "message": "expected a string, found 3" }],
                "waiting": [1],
            })
        );
    }

    #[test]
    fn what_failed_inside_stays_inside() {
        let document = Problem::internal("disk /secret is full").document().to_string();
        assert!(!document.contains("secret"), "{document}");
        assert!(document.contains("incident"), "{document}");
    }

    #[test]
    fn headers_fit_the_status() {
        let cases = [
            (Problem::unauthenticated(), "www-authenticate", "Bearer realm=\"headwater\""),
            (Problem::unavailable("x", Duration::from_millis(1500)), "retry-after", "2"),
            (Problem::unavailable("x", Duration::ZERO), "retry-after", "1"),
            (Problem::range_not_satisfiable(7), "content-range", "bytes */7"),
            (Problem::not_found("x"), "content-type", "application/problem+json"),
        ];
        for (problem, header, expected) in cases {
            let response = problem.into_response();
            assert_eq!(response.headers()[header], expected);
        }
    }
}
