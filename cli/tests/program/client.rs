//! A client of a running Headwater, as curl would be.

use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use serde_json::Value as Json;

use crate::project::{DEADLINE, Project};

/// Who sends.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    token: String,
    pub(crate) url: String,
}

impl Client {
    pub(crate) fn new(project: &Project, url: &str, sub: &str) -> Self {
        let token = project.run(&["token", "--sub", sub]).fine().trim().to_owned();
        let http = reqwest::Client::builder().timeout(DEADLINE).build().expect("a client");
        Self { http, token, url: url.to_owned() }
    }

    /// The same caller, at an instance that listens elsewhere.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// Sends content to an upload command.
    pub(crate) async fn upload(
        &self,
        path: &str,
        name: &str,
        mime_type: &str,
        content: &[u8],
    ) -> Result<Response, reqwest::Error> {
        self.request(Method::POST, &named(path, name, mime_type)).body(content.to_vec()).send().await
    }

    /// Sends content with a key, again and again until it is accepted or nobody answers any more.
    pub(crate) async fn insist(&self, path: &str, key: &str, content: &str) -> Option<Json> {
        loop {
            let request = self.request(Method::POST, &named(path, "a.txt", "text/plain"));
            let response = request.header("idempotency-key", key).body(content.to_owned()).send().await.ok()?;
            match response.status() {
                StatusCode::ACCEPTED => return response.json().await.ok(),
                StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                other => panic!("{path}: {other}: {}", response.text().await.unwrap_or_default()),
            }
        }
    }

    /// The answer of a query, which must be 200.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> impl Future<Output = Json> {
        let request = self.request(Method::GET, path);
        let path = path.to_owned();
        async move {
            let response = request.send().await.expect("an answer");
            let status = response.status();
            let text = response.text().await.expect("a body");
            assert_eq!(status, StatusCode::OK, "{path}: {text}");
            serde_json::from_str(&text).expect("JSON")
        }
    }

    /// The answer of a query once it is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        let started = Instant::now();
        loop {
            let response = self.request(Method::GET, path).send().await.expect("an answer");
            let answer: Json = response.json().await.expect("JSON");
            if wanted(&answer) {
                return answer;
            }
            assert!(started.elapsed() < DEADLINE, "{path} stays {answer}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A path with the fields of an upload in its query string.
fn named(path: &str, name: &str, mime_type: &str) -> String {
    let mut url = reqwest::Url::parse("http://x").expect("a url");
    url.query_pairs_mut().append_pair("name", name).append_pair("mime_type", mime_type);
    format!("{path}?{}", url.query().unwrap_or_default())
}
