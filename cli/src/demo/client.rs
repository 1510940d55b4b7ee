//! The demo as an HTTP client: it says who it is, keeps its keys, waits when it is told to, and reads its own writes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headwater_http::PositionToken;
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value as Json;

use crate::failure::Failure;

/// How often a request that could not be answered yet is sent again.
const TRIES: u32 = 20;
const REQUEST_TIME: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    /// By person.
    tokens: Vec<String>,
    /// Where all that was written stands: a read that carries it reflects it.
    written: Mutex<PositionToken>,
}

/// A content to send, and what is said of it.
pub(crate) struct Upload<'a> {
    pub(crate) name: &'a str,
    pub(crate) mime_type: &'a str,
    pub(crate) content: Vec<u8>,
    /// The `Idempotency-Key`.
    pub(crate) key: String,
    pub(crate) person: usize,
}

impl Client {
    pub(crate) fn new(base: &str, tokens: Vec<String>) -> Result<Self, Failure> {
        let base = Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http") && url.has_host());
        let base = base.ok_or_else(|| {
            Failure::new("--url is no address of a Headwater").mend("Write it like http://127.0.0.1:8080")
        })?;
        let http = reqwest::Client::builder().timeout(REQUEST_TIME).build();
        let http = http.map_err(|error| Failure::because("no HTTP client can be made", &error))?;
        Ok(Self { http, base, tokens, written: Mutex::new(PositionToken::new()) })
    }

    /// Whether anybody answers.
    pub(crate) async fn reachable(&self) -> Result<(), Failure> {
        let sent = self.http.get(self.url(&["live"])?).send().await;
        sent.map(drop).map_err(|error| {
            Failure::because(format!("nothing answers at {}", self.base), &error)
                .mend("Start Headwater first (`headwater up`), or say where it listens: --url http://HOST:PORT")
        })
    }

    /// Adds a document; its id.
    pub(crate) async fn add(&self, upload: Upload<'_>) -> Result<String, Failure> {
        let answer = self.upload(&["documents"], upload).await?;
        match &answer["doc_id"] {
            Json::String(id) => Ok(id.clone()),
            _ => Err(Failure::new(format!("expected a doc_id in the answer, found {answer}"))),
        }
    }

    pub(crate) async fn add_version(&self, document: &str, upload: Upload<'_>) -> Result<(), Failure> {
        self.upload(&["documents", document, "versions"], upload).await.map(drop)
    }

    /// The latest documents.
    pub(crate) async fn list(&self, size: usize) -> Result<Vec<Json>, Failure> {
        let mut url = self.url(&["documents"])?;
        url.query_pairs_mut().append_pair("size", &size.to_string());
        let answer = self.send(|| self.reading(url.clone())).await?;
        match &answer["items"] {
            Json::Array(rows) => Ok(rows.clone()),
            _ => Err(Failure::new(format!("expected items in the answer, found {answer}"))),
        }
    }

    pub(crate) async fn count(&self) -> Result<Json, Failure> {
        let url = self.url(&["documents", "count"])?;
        self.send(|| self.reading(url.clone())).await
    }

    async fn upload(&self, path: &[&str], upload: Upload<'_>) -> Result<Json, Failure> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().append_pair("name", upload.name).append_pair("mime_type", upload.mime_type);
        let content = bytes::Bytes::from(upload.content);
        let request = || {
            self.http
                .request(Method::POST, url.clone())
                .bearer_auth(&self.tokens[upload.person])
                .header("idempotency-key", &upload.key)
                .header("content-type", "application/octet-stream")
                .body(content.clone())
        };
        self.send(request).await
    }

    fn reading(&self, url: Url) -> RequestBuilder {
        let request = self.http.get(url).bearer_auth(&self.tokens[0]).header("prefer", "wait=10");
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_empty() { request } else { request.header("headwater-after", written.to_string()) }
    }

    /// Sends until there is an answer: where it is told to come back later, it does.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Json, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let response = request().send().await;
            let response = response.map_err(|error| Failure::because("Headwater does not answer", &error))?;
            let later = retry_after(&response).filter(|_| tries < TRIES);
            if let Some(wait) = later {
                tokio::time::sleep(wait).await;
                continue;
            }
            return self.answer(response).await;
        }
    }

    async fn answer(&self, response: Response) -> Result<Json, Failure> {
        let status = response.status();
        let position = response.headers().get("headwater-position").and_then(|value| value.to_str().ok());
        if let Some(Ok(position)) = position.map(PositionToken::parse) {
            self.written.lock().unwrap_or_else(PoisonError::into_inner).merge(&position);
        }
        let text = response.text().await.map_err(|error| Failure::because("Headwater's answer broke off", &error))?;
        let json: Json = serde_json::from_str(&text).unwrap_or(Json::String(text));
        if status.is_success() {
            return Ok(json);
        }
        let detail = json["detail"].as_str().or(json["title"].as_str()).unwrap_or("no reason was given");
        Err(Failure::new(format!("Headwater answers {status}: {detail}")))
    }

    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::new("--url cannot have a path after it"))?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }
}

/// How long to wait before the request is sent again, where the answer asks for that.
fn retry_after(response: &Response) -> Option<Duration> {
    let again = matches!(
        response.status(),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
    );
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    again.then(|| Duration::from_secs(seconds).clamp(Duration::from_millis(100), Duration::from_secs(10)))
}
