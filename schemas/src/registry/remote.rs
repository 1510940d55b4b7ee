//! A registry over HTTP with Confluent's API: Confluent's own, Apicurio's, Karapace.
//!
//! Whether a schema may be registered is judged here first, by the same plan as everywhere, and then once more by the
//! registry with its own rule. Ids and versions never change their schema, so what was read once is kept.

mod client;
mod facts;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_versions, get_schema_by_id, get_schema_by_subject_and_version, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};
use secrecy::{ExposeSecret, SecretString};

use super::{First, RegistryError, Version, compatible, unreadable};
use crate::avsc::{Fingerprint, Schema};
use crate::key::KeySchema;
use crate::wire::SchemaId;
use client::Client;
pub use facts::RegistryFacts;

/// What the registry answers where it has no such thing: subject, version, schema.
/// <https://docs.confluent.io/platform/current/schema-registry/develop/api.html#errors>
const NOT_FOUND: [u32; 3] = [40401, 40402, 40403];

/// Where a registry is, and how to be let in.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Of the Confluent API, as in `https://registry:8081`; all of one registry, asked in this order.
    pub urls: Vec<String>,
    pub login: Login,
    /// The authority that signed its certificate, as a PEM file; None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How long one call may take.
    pub timeout: Duration,
}

/// How a caller shows who it is.
#[derive(Clone, Debug, Default)]
pub enum Login {
    #[default]
    None,
    Basic {
        user: String,
        password: SecretString,
    },
    Bearer(SecretString),
}

impl RemoteOptions {
    /// One address, no login, the system's authorities.
    pub fn new(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], login: Login::None, ca_file: None, timeout: Duration::from_secs(10) }
    }
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|url| without_login(url)).collect();
        f.debug_struct("RemoteOptions").field("urls", &urls).field("login", &self.login).finish_non_exhaustive()
    }
}

/// See [`Registry::Remote`](super::Registry::Remote).
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    /// For messages: without what may stand between `//` and `@`.
    place: String,
    settings: SrSettings,
    /// For what the library of `settings` does not ask.
    client: Client,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<SchemaId, Arc<Schema>>,
    registered: HashMap<(String, Fingerprint), SchemaId>,
    versions: HashMap<(String, u32), Version>,
    /// By subject of keys.
    firsts: HashMap<String, First>,
}

impl Remote {
    pub(super) fn new(options: &RemoteOptions) -> Result<Self, RegistryError> {
        let urls: Vec<String> = options.urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        let place = urls.iter().map(|url| without_login(url)).collect::<Vec<_>>().join(", ");
        let wrong = |reason: String| RegistryError::Denied { place: place.clone(), reason };
        let (first, others) = urls.split_first().ok_or_else(|| wrong("it has no address".to_owned()))?;
        let client = || client::builder(options).map_err(wrong);
        let mut builder = SrSettings::new_builder(first.clone());
        for url in others {
            builder.add_url(url.clone());
        }
        match &options.login {
            Login::None => {}
            Login::Basic { user, password } => {
                builder.set_basic_authorization(user, Some(password.expose_secret()));
            }
            Login::Bearer(token) => {
                builder.set_token_authorization(token.expose_secret());
            }
        }
        let settings = builder.set_timeout(options.timeout).build_with(client()?);
        let settings = settings.map_err(|error| wrong(error.error))?;
        let client = Client::new(client()?, urls, options).map_err(wrong)?;
        Ok(Self { shared: Arc::new(Shared { place, settings, client, known: RwLock::default() }) })
    }

    pub(super) async fn register(&self, subject: &str, schema: &Schema) -> Result<SchemaId, RegistryError> {
        let key = (subject.to_owned(), schema.fingerprint);
        if let Some(id) = self.read(|known| known.registered.get(&key).copied()) {
            return Ok(id);
        }
        compatible(subject, schema, &self.versions(subject).await?)?;
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.text.to_string());
        let posted = match post_schema(&self.shared.settings, subject.to_owned(), supplied).await {
            Ok(posted) => Ok(SchemaId(posted.id)),
            Err(error) => match self.failed(error) {
                Failed::Refused(reason) => self
                    .registered_meanwhile(subject, schema)
                    .await?
                    .ok_or_else(|| RegistryError::Refused { subject: subject.to_owned(), reason }),
                failed => Err(self.error(failed)),
            },
        };
        let id = posted?;
        self.write(|known| {
            known.by_id.insert(id, Arc::new(schema.clone()));
            known.registered.insert(key, id);
        });
        Ok(id)
    }

    /// The id of a schema that another registered at the same time. Apicurio refuses the second, as if it were another schema.
    async fn registered_meanwhile(&self, subject: &str, schema: &Schema) -> Result<Option<SchemaId>, RegistryError> {
        let versions = self.versions(subject).await?;
        Ok(versions.iter().find(|v| v.schema.fingerprint == schema.fingerprint).map(|v| v.id))
    }

    pub(super) async fn by_id(&self, id: SchemaId) -> Result<Arc<Schema>, RegistryError> {
        if let Some(schema) = self.read(|known| known.by_id.get(&id).cloned()) {
            return Ok(schema);
        }
        // Ids are Java's `int`: what is none is no question for the registry, which would answer as if it were not there.
        if i32::try_from(id.0).is_err() {
            return Err(RegistryError::UnknownId(id));
        }
        let found = get_schema_by_id(id.0, &self.shared.settings).await;
        let found = found.map_err(|error| match self.failed(error) {
            Failed::NotFound => RegistryError::UnknownId(id),
            failed => self.error(failed),
        })?;
        self.parse(id, &found.schema)
    }

    /// Registers a key's schema. Another's may be there meanwhile, and the registry refuse ours for it.
    pub(super) async fn register_key(&self, subject: &str, schema: &KeySchema) -> Result<(), RegistryError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.text.to_string());
        let posted = post_schema(&self.shared.settings, subject.to_owned(), supplied).await;
        posted.map(drop).map_err(|error| match self.failed(error) {
            Failed::Refused(reason) => RegistryError::Refused { subject: subject.to_owned(), reason },
            failed => self.error(failed),
        })
    }

    pub(super) async fn first_key(&self, subject: &str) -> Result<Option<First>, RegistryError> {
        if let Some(first) = self.read(|known| known.firsts.get(subject).cloned()) {
            return Ok(Some(first));
        }
        let numbers = self.numbers(subject).await?;
        if !numbers.contains(&1) {
            let gone = || Err(RegistryError::NoFirstKey { subject: subject.to_owned() });
            return if numbers.is_empty() { Ok(None) } else { gone() };
        }
        let found = get_schema_by_subject_and_version(&self.shared.settings, subject, Some(1)).await;
        let found = found.map_err(|error| self.error(self.failed(error)))?;
        let first = First { id: SchemaId(found.id), text: found.schema.into() };
        self.write(|known| known.firsts.insert(subject.to_owned(), first.clone()));
        Ok(Some(first))
    }

    /// The numbers of a subject's versions; none where it is unknown.
    async fn numbers(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        match get_all_versions(&self.shared.settings, subject.to_owned()).await {
            Ok(numbers) => Ok(numbers),
            Err(error) => match self.failed(error) {
                Failed::NotFound => Ok(Vec::new()),
                failed => Err(self.error(failed)),
            },
        }
    }

    pub(super) async fn versions(&self, subject: &str) -> Result<Vec<Version>, RegistryError> {
        let numbers = self.numbers(subject).await?;
        let mut versions = Vec::with_capacity(numbers.len());
        for number in numbers {
            versions.push(self.version(subject, number).await?);
        }
        versions.sort_by_key(|version| version.version);
        Ok(versions)
    }

    /// Twice, as the API has it: a subject is marked as deleted first, and forgotten then.
    pub(super) async fn delete_subject(&self, subject: &str) -> Result<(), RegistryError> {
        self.write(|known| {
            known.registered.retain(|(registered, _), _| registered != subject);
            known.versions.retain(|(registered, _), _| registered != subject);
            known.firsts.remove(subject);
        });
        for permanent in ["false", "true"] {
            let deleted = self.shared.client.delete(&["subjects", subject], &[("permanent", permanent)]).await;
            match deleted {
                Ok(()) | Err(Failed::NotFound) => {}
                Err(failed) => return Err(self.error(failed)),
            }
        }
        Ok(())
    }

    async fn version(&self, subject: &str, number: u32) -> Result<Version, RegistryError> {
        let key = (subject.to_owned(), number);
        if let Some(version) = self.read(|known| known.versions.get(&key).cloned()) {
            return Ok(version);
        }
        let found = get_schema_by_subject_and_version(&self.shared.settings, subject, Some(number)).await;
        let found = found.map_err(|error| self.error(self.failed(error)))?;
        let id = SchemaId(found.id);
        let schema = match self.read(|known| known.by_id.get(&id).cloned()) {
            Some(schema) => schema,
            None => self.parse(id, &found.schema)?,
        };
        let version = Version { version: number, id, schema };
        self.write(|known| known.versions.insert(key, version.clone()));
        Ok(version)
    }

    fn parse(&self, id: SchemaId, text: &str) -> Result<Arc<Schema>, RegistryError> {
        let schema = Schema::parse_registered(text).map_err(|e| unreadable(&self.shared.place, id, text, &e))?;
        let schema = Arc::new(schema);
        self.write(|known| known.by_id.insert(id, schema.clone()));
        Ok(schema)
    }

    fn read<T>(&self, ask: impl FnOnce(&Known) -> T) -> T {
        ask(&self.shared.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.shared.known.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn failed(&self, error: SRCError) -> Failed {
        let mut source: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
        let mut told = None;
        while let Some(cause) = source {
            told = told.or_else(|| cause.downcast_ref::<RawError>());
            source = cause.source();
        }
        let Some(told) = told else {
            // No answer, or one that is no registry's.
            return Failed::Unreachable(error.cause.unwrap_or(error.error));
        };
        // "HTTP request to schema registry failed with status 404 Not Found"
        let status = error.error.split_whitespace().find_map(|word| word.parse::<u32>().ok()).unwrap_or(0);
        let reason = format!("{} ({})", told.message, if told.error_code == 0 { status } else { told.error_code });
        Failed::answered(status, told.error_code, reason)
    }

    fn error(&self, failed: Failed) -> RegistryError {
        let place = self.shared.place.clone();
        match failed {
            Failed::Unreachable(reason) | Failed::Refused(reason) => RegistryError::Unreachable { place, reason },
            Failed::Denied(reason) => RegistryError::Denied { place, reason },
            Failed::NotFound => {
                RegistryError::Corrupt { place, reason: "it listed a version that it does not have".to_owned() }
            }
        }
    }
}

/// What an answer means.
enum Failed {
    NotFound,
    Denied(String),
    Refused(String),
    Unreachable(String),
}

impl Failed {
    /// By an answer's status and the registry's own code.
    fn answered(status: u32, code: u32, reason: String) -> Self {
        match status {
            404 if NOT_FOUND.contains(&code) => Failed::NotFound,
            401 | 403 => Failed::Denied(reason),
            409 | 422 => Failed::Refused(reason),
            _ => Failed::Unreachable(format!("it answers {status}: {reason}")),
        }
    }
}

/// An address without user and password.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => url.to_owned(),
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings hold the password.
        f.debug_struct("Remote").field("place", &self.shared.place).finish_non_exhaustive()
    }
}
