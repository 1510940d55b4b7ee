//! A request to a command, from its headers to its answer.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use headwater_engine::allow::Verdict;
use headwater_http::etag::IfMatch;
use headwater_http::parameters::Parameters;
use headwater_http::wait::After;
use headwater_http::{Caller, Place, Problem, TraceContext, body};
use tracing::Instrument;
use uuid::Uuid;

use crate::attempt::{Attempt, Landed, refused};
use crate::blobs::Noted;
use crate::claims::now_us;
use crate::flight::Unwritten;
use crate::given::Given;
use crate::promise::Repeatable;
use crate::record::Envelope;
use crate::server::{Endpoint, Server};
use crate::settings::Step;
use crate::{json_text, upload};

/// The request header that asks never to do the same twice.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const IDEMPOTENCY_KEY_CHARACTERS: usize = 255;

/// Answers a request.
pub(crate) async fn answer(server: Arc<Server>, endpoint: Arc<Endpoint>, request: Request) -> Response {
    let name = endpoint.command.name.clone();
    let answer = take(server, endpoint, request).await;
    let outcome = match &answer {
        Ok(_) => "accepted",
        Err(problem) if problem.status().is_server_error() => "failed",
        Err(_) => "refused",
    };
    metrics::counter!("headwater_commands_total", "command" => name, "outcome" => outcome).increment(1);
    answer.map_or_else(IntoResponse::into_response, IntoResponse::into_response)
}

async fn take(
    server: Arc<Server>,
    endpoint: Arc<Endpoint>,
    request: Request,
) -> Result<crate::answer::Answer, Problem> {
    let (mut parts, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Problem::malformed(Place::Path, "", "expected a path in UTF-8, percent-encoded"))?;
    let request = Request::from_parts(parts, body);
    let mut attempt = of(server, endpoint, &request, &params)?;
    let noted = match attempt.endpoint.command.takes_upload() {
        true => Some(upload::read(&mut attempt, request).await?),
        false => {
            fields(&mut attempt, request).await?;
            attempt.check()?;
            None
        }
    };
    carry_out(attempt, noted).await
}

/// What the request line and the headers say.
fn of(
    server: Arc<Server>,
    endpoint: Arc<Endpoint>,
    request: &Request,
    params: &RawPathParams,
) -> Result<Attempt, Problem> {
    let headers = request.headers();
    let command = &endpoint.command;
    let caller = Caller::of(headers, &server.api.keys)?;
    if command.allow.before_row(caller.who()) == Verdict::No {
        return Err(refused(command, &caller));
    }
    let if_match = IfMatch::of(headers)?;
    if if_match.is_some() && command.on.is_none() {
        return Err(Problem::malformed(Place::Header, "If-Match", "this command looks at no row: leave it out"));
    }
    let sub = caller.0.as_ref().map(|identity| identity.sub.as_str());
    let route = format!("{:?} {}", command.method, command.path);
    let repeatable = idempotency_key(headers)?.map(|key| Repeatable::new(sub, &route, &key));
    let trace = request.extensions().get::<TraceContext>().copied();
    let envelope = Envelope {
        event_id: repeatable.as_ref().map_or_else(Uuid::new_v4, |repeatable| repeatable.event_id),
        now_us: now_us(),
        trace: trace.unwrap_or_else(|| TraceContext::of(headers)),
        tracestate: Envelope::tracestate(headers),
    };
    let text = |name: &str| params.iter().find(|(param, _)| *param == name).map(|(_, text)| text);
    Ok(Attempt {
        given: Given::path(command, text),
        after: After::of(headers, &server.api.limits)?,
        path: request.uri().path().to_owned(),
        upload: None,
        server,
        endpoint,
        caller,
        if_match,
        repeatable,
        envelope,
    })
}

/// The fields of a JSON body.
async fn fields(attempt: &mut Attempt, request: Request) -> Result<(), Problem> {
    Parameters::of(request.uri())?.refuse_unknown(&[])?;
    let (parts, body) = request.into_parts();
    let text = body::read(body, &attempt.server.api.limits).await?;
    let content_type = parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if !content_type.map_or(text.is_empty(), is_json) {
        return Err(Problem::unsupported_media_type("application/json"));
    }
    let body = json_text::object(&text)?;
    let command = attempt.endpoint.command.clone();
    attempt.given.json(&command, &body, |_| None);
    Ok(())
}

/// `application/json`, or a type that builds on it.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Carries the attempt out, whether or not the client is still there: what was begun is finished.
async fn carry_out(attempt: Attempt, noted: Option<Noted>) -> Result<crate::answer::Answer, Problem> {
    let slot = attempt.server.flight_slot()?;
    let finish = async move {
        let landed = attempt.run().await;
        if let Some(noted) = noted {
            named(noted, &landed).await;
            attempt.server.api.settings.reached(Step::UploadNamed);
        }
        drop(slot);
        landed
    };
    match tokio::spawn(finish.instrument(tracing::Span::current())).await {
        Ok(Ok(landed)) => Ok(landed.answer),
        Ok(Err(unwritten)) => Err(unwritten.into()),
        Err(error) => Err(Problem::internal(error)),
    }
}

/// What becomes of the content that was stored.
async fn named(noted: Noted, landed: &Result<Landed, Unwritten>) {
    match landed {
        Ok(landed) if landed.blob.as_deref() == Some(noted.blob.as_ref()) => noted.named().await,
        // An earlier attempt's event stands, with that attempt's content.
        Ok(_) | Err(Unwritten::Refused(_)) => noted.remove().await,
        Err(Unwritten::Unknown(_)) => noted.leave(),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = sent.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| {
        let printable = key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        printable && (1..=IDEMPOTENCY_KEY_CHARACTERS).contains(&key.len())
    });
    match (key, sent.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => {
            let expected = format!("expected one, of 1 to {IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters");
            Err(Problem::malformed(Place::Header, "Idempotency-Key", expected))
        }
    }
}
