//! Content that comes with a command: multipart (a JSON part `event`, then the part `content`), or the body as it is with
//! the fields in the query string. Checked before it is read, streamed in bounded memory, hashed on the way.

use axum::body::Body;
use axum::extract::multipart::{Field as Part, Multipart};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use headwater_engine::command::{Command, Upload};
use headwater_http::body::{BodyError, paced};
use headwater_http::parameters::Parameters;
use headwater_http::{Place, Problem};
use headwater_schemas::Field;
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};
use serde_json::Map;
use sha2::{Digest, Sha256};

use crate::attempt::Attempt;
use crate::blobs::{Blobs, Note, Noted, new_name, problem};
use crate::claims::now_us;
use crate::json_text;
use crate::request::is_json;
use crate::settings::Step;

/// Content is stored in parts of this size, two at a time.
const PART_BYTES: usize = 8 * 1024 * 1024;
const PARTS_AT_A_TIME: usize = 1;
/// What a multipart body may have beside its content: the event, part headers, boundaries.
const MULTIPART_EXTRA_BYTES: u64 = 64 * 1024;
/// What content is that nobody says anything about.
const UNKNOWN: &str = "application/octet-stream";

/// What is known of content before it is read.
#[derive(Debug, Default)]
struct About {
    file_name: Option<String>,
    mime_type: Option<String>,
}

impl About {
    /// What a field that is left out takes: the file's name, its type.
    fn of(&self, field: &Field) -> Option<String> {
        match field.name.as_str() {
            "name" => self.file_name.clone(),
            "mime_type" => Some(self.mime_type.clone().unwrap_or_else(|| self.guessed())),
            _ => None,
        }
    }

    fn guessed(&self) -> String {
        let guess = self.file_name.as_ref().and_then(|name| mime_guess::from_path(name).first_raw());
        guess.unwrap_or(UNKNOWN).to_owned()
    }
}

/// Reads the fields and the content of a request whose headers have passed. The content is stored when this returns.
pub(crate) async fn read(attempt: &mut Attempt, request: Request) -> Result<Noted, Problem> {
    let _slot = attempt.server.upload_slot()?;
    let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().map(str::to_owned));
    match content_type {
        None => raw(attempt, request, None).await,
        Some(Ok(text)) if is_multipart(&text) => multipart(attempt, request).await,
        Some(Ok(text)) => raw(attempt, request, Some(text)).await,
        Some(Err(_)) => Err(Problem::malformed(Place::Header, "Content-Type", "expected a type and a subtype")),
    }
}

fn is_multipart(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("multipart/form-data")
}

/// The body is the content.
async fn raw(attempt: &mut Attempt, request: Request, mime_type: Option<String>) -> Result<Noted, Problem> {
    let parameters = Parameters::of(request.uri())?;
    let about = About { file_name: None, mime_type };
    let command = attempt.endpoint.command.clone();
    attempt.given.query(&command, &parameters, |field| about.of(field));
    let noted = noted(attempt).await?;
    let limits = &attempt.server.api.limits;
    let limit = attempt.server.api.settings.upload_bytes;
    let chunks = paced(request.into_body(), limits.body_stall, limit).map_err(Problem::from);
    store(attempt, noted, std::pin::pin!(chunks)).await
}

/// `event`, then `content`.
async fn multipart(attempt: &mut Attempt, request: Request) -> Result<Noted, Problem> {
    Parameters::of(request.uri())?.refuse_unknown(&[])?;
    let limits = attempt.server.api.limits.clone();
    let limit = attempt.server.api.settings.upload_bytes;
    let whole = limit.saturating_add(limits.body_bytes as u64).saturating_add(MULTIPART_EXTRA_BYTES);
    let (parts, body) = request.into_parts();
    let body = Body::from_stream(paced(body, limits.body_stall, whole));
    let mut multipart = Multipart::from_request(Request::from_parts(parts, body), &())
        .await
        .map_err(|rejection| Problem::bad_request(format!("the multipart body is malformed: {rejection}")))?;
    let missing =
        || Problem::unprocessable("the request has no part `content`").error(Place::Body, "content", "is missing");
    let mut part = multipart.next_field().await.map_err(part_problem)?.ok_or_else(missing)?;
    let mut fields = Map::new();
    if part.name() == Some("event") {
        fields = event(&mut part, limits.body_bytes).await?;
        drop(part);
        part = multipart.next_field().await.map_err(part_problem)?.ok_or_else(missing)?;
    }
    if part.name() != Some("content") {
        return Err(unexpected(&part));
    }
    let about =
        About { file_name: part.file_name().map(str::to_owned), mime_type: part.content_type().map(str::to_owned) };
    let command = attempt.endpoint.command.clone();
    attempt.given.json(&command, &fields, |field| about.of(field));
    let noted = noted(attempt).await?;
    let mut taken = 0u64;
    let chunks = (&mut part).map_err(part_problem).and_then(|chunk: Bytes| {
        taken += chunk.len() as u64;
        std::future::ready(if taken > limit { Err(Problem::too_large(limit)) } else { Ok(chunk) })
    });
    let noted = store(attempt, noted, std::pin::pin!(chunks)).await?;
    drop(part);
    match multipart.next_field().await {
        Ok(None) => Ok(noted),
        Ok(Some(part)) => {
            let problem = unexpected(&part);
            noted.remove().await;
            Err(problem)
        }
        Err(error) => {
            noted.remove().await;
            Err(part_problem(error))
        }
    }
}

/// The part `event`: an object, as a JSON body is.
async fn event(part: &mut Part<'_>, limit: usize) -> Result<Map<String, serde_json::Value>, Problem> {
    if part.content_type().is_some_and(|content_type| !is_json(content_type)) {
        return Err(Problem::unsupported_media_type("application/json in the part `event`"));
    }
    let mut text = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(part_problem)? {
        if text.len() + chunk.len() > limit {
            return Err(Problem::too_large(limit as u64));
        }
        text.extend_from_slice(&chunk);
    }
    json_text::object(&text)
}

/// Decides all that can be decided before the content is read, then notes where it will be.
async fn noted(attempt: &Attempt) -> Result<Noted, Problem> {
    attempt.check()?;
    let key = attempt.key().await?;
    let trail = attempt.trail(&key).await?;
    attempt.look_ahead(&trail).await?;
    let note = Note::new(
        new_name(),
        attempt.envelope.event_id,
        key,
        trail,
        attempt.decider(),
        attempt.endpoint.store_name.clone(),
    );
    let api = &attempt.server.api;
    let blobs = Blobs { store: api.blobs.clone(), folder: api.blob_folder.clone() };
    let noted = blobs.note(&note).await?;
    api.settings.reached(Step::UploadNoted);
    Ok(noted)
}

/// Stores the content, and takes down what it is. Whatever fails leaves nothing.
async fn store(
    attempt: &mut Attempt,
    noted: Noted,
    mut chunks: impl Stream<Item = Result<Bytes, Problem>> + Unpin,
) -> Result<Noted, Problem> {
    let blobs = &attempt.server.api.blobs;
    let upload = blobs.put_multipart(&noted.blob).await.map_err(problem)?;
    let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let mut hash = Sha256::new();
    let mut size = 0u64;
    let read: Result<(), Problem> = async {
        while let Some(chunk) = chunks.next().await.transpose()? {
            writer.wait_for_capacity(PARTS_AT_A_TIME).await.map_err(problem)?;
            hash.update(&chunk);
            size += chunk.len() as u64;
            // Copied: a chunk may be a small part of a large buffer that it would keep.
            writer.write(&chunk);
        }
        Ok(())
    }
    .await;
    let finished = match read {
        Ok(()) if size > 0 => writer.finish().await.map(|_| ()).map_err(problem),
        Ok(()) => {
            // Not every store takes an upload without parts.
            abort(writer).await;
            blobs.put(&noted.blob, PutPayload::default()).await.map(|_| ()).map_err(problem)
        }
        Err(problem) => {
            abort(writer).await;
            Err(problem)
        }
    };
    if let Err(problem) = finished {
        noted.remove().await;
        return Err(problem);
    }
    attempt.server.api.settings.reached(Step::ContentStored);
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    attempt.upload = Some(Upload { blob: noted.blob.to_string(), sha256, size });
    // The event is of now, not of when a long upload began.
    attempt.envelope.now_us = now_us();
    Ok(noted)
}

async fn abort(writer: WriteMultipart) {
    if let Err(error) = writer.abort().await {
        tracing::warn!(%error, "an upload that broke off is left for the sweep");
    }
}

fn unexpected(part: &Part<'_>) -> Problem {
    let name = part.name().unwrap_or_default().to_owned();
    let detail =
        "a multipart body has the part `event` with the fields as JSON, then the part `content`, and no others";
    Problem::unprocessable(detail).error(Place::Body, name, "is not expected here")
}

/// A body that stalled or broke off lies below what multipart says of it.
fn part_problem(error: axum::extract::multipart::MultipartError) -> Problem {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(found) = source {
        if let Some(body) = found.downcast_ref::<BodyError>() {
            return body.clone().into();
        }
        source = found.source();
    }
    Problem::bad_request(format!("the multipart body is malformed: {}", error.body_text()))
}

/// Media types and shapes of what an upload may be, for the document.
pub(crate) fn describe(command: &Command, event: serde_json::Value) -> headwater_http::openapi::Body {
    let content = serde_json::json!({ "type": "string", "format": "binary" });
    let needs_event = command.body.fields.iter().any(|field| field.default.is_none() && !is_told(field));
    let mut required = vec!["content"];
    if needs_event {
        required.insert(0, "event");
    }
    let form = serde_json::json!({
        "type": "object",
        "properties": { "event": event, "content": content },
        "required": required,
    });
    headwater_http::openapi::Body {
        description: Some(
            "The fields and the content; or the content alone, and the fields in the query string.".into(),
        ),
        content: vec![("multipart/form-data".into(), form), ("*/*".into(), content)],
    }
}

/// Fields that the content's own part tells.
fn is_told(field: &Field) -> bool {
    matches!(field.name.as_str(), "name" | "mime_type")
}
