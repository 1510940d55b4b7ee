//! What is asked of a registry beside schemas, which the library of schemas does not ask.

use reqwest::{Method, Url};
use schema_registry_converter::schema_registry_common::RawError;
use secrecy::ExposeSecret;

use super::{Failed, Login, RemoteOptions};

pub(super) struct Client {
    http: reqwest::Client,
    urls: Vec<String>,
    login: Login,
}

/// An HTTP client that trusts whom the options say.
pub(super) fn builder(options: &RemoteOptions) -> Result<reqwest::ClientBuilder, String> {
    let client = reqwest::Client::builder();
    let Some(file) = &options.ca_file else { return Ok(client) };
    let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let certificate = reqwest::Certificate::from_pem(&pem).map_err(|error| format!("{}: {error}", file.display()))?;
    // These and no others: whoever names an authority means it.
    Ok(client.tls_certs_only([certificate]))
}

impl Client {
    pub(super) fn new(
        builder: reqwest::ClientBuilder,
        urls: Vec<String>,
        options: &RemoteOptions,
    ) -> Result<Self, String> {
        let http = builder.timeout(options.timeout).build().map_err(|error| error.to_string())?;
        Ok(Self { http, urls, login: options.login.clone() })
    }

    pub(super) async fn delete(&self, path: &[&str], query: &[(&str, &str)]) -> Result<(), Failed> {
        self.ask(Method::DELETE, path, query).await.map(drop)
    }

    pub(super) async fn get(&self, path: &[&str]) -> Result<reqwest::Response, Failed> {
        self.ask(Method::GET, path, &[]).await
    }

    /// Asks one address after the other, until one answers.
    async fn ask(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<reqwest::Response, Failed> {
        let mut failed = Failed::Unreachable("it has no address".to_owned());
        for url in &self.urls {
            let mut url = Url::parse(url).map_err(|error| Failed::Unreachable(error.to_string()))?;
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop_if_empty().extend(path);
            }
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            failed = match self.send(self.http.request(method.clone(), url)).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // The others are asked only where this one is not there: all are of one registry.
            if !matches!(failed, Failed::Unreachable(_)) {
                break;
            }
        }
        Err(failed)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Failed> {
        let request = match &self.login {
            Login::None => request,
            Login::Basic { user, password } => request.basic_auth(user, Some(password.expose_secret())),
            Login::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        let unreachable = |error: reqwest::Error| Failed::Unreachable(causes(&error.without_url()));
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let told = answer.json::<RawError>().await;
        let (code, why) = told.map_or_else(|_| (0, "it does not say why".to_owned()), |it| (it.error_code, it.message));
        Err(Failed::answered(u32::from(status.as_u16()), code, why))
    }
}

/// An error with what it comes of: that a certificate is refused stands in the innermost.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
