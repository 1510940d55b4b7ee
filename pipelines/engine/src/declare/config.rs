//! `headwater.yaml`: where the log, the registry, the stores and the blobs are. Paths are relative to the project's folder;
//! `${NAME}` is replaced from the environment: in paths as they are read, in what names a server as it is opened.

mod servers;

use std::path::PathBuf;

use super::{Text, check_name, place_of};
use crate::source::Diagnostic;
use crate::yaml::{Kind, Node, quoted};
pub use servers::{CassandraConfig, KafkaConfig, PostgresConfig, RegistryServer, Secret, Template};

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub log: LogConfig,
    pub registry: RegistryConfig,
    /// In declared order.
    pub stores: Vec<(String, StoreConfig)>,
    pub blobs: BlobConfig,
}

#[derive(Clone, Debug, PartialEq)]
pub enum LogConfig {
    /// A folder for SQLite files.
    Embedded(PathBuf),
    Kafka(KafkaConfig),
}

#[derive(Clone, Debug, PartialEq)]
pub enum RegistryConfig {
    /// A folder for SQLite files.
    Embedded(PathBuf),
    Remote(RegistryServer),
}

#[derive(Clone, Debug, PartialEq)]
pub enum StoreConfig {
    /// A database file.
    Sqlite(PathBuf),
    Postgres(PostgresConfig),
    Cassandra(CassandraConfig),
}

#[derive(Clone, Debug, PartialEq)]
pub enum BlobConfig {
    Folder(PathBuf),
}

/// The value of an environment variable.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Everything embedded, under `data/`.
impl Default for Config {
    fn default() -> Self {
        let data = || PathBuf::from("data");
        Self {
            log: LogConfig::Embedded(data()),
            registry: RegistryConfig::Embedded(data()),
            stores: ["operational", "reporting"]
                .map(|name| (name.to_owned(), StoreConfig::Sqlite(data().join(format!("{name}.db")))))
                .into(),
            blobs: BlobConfig::Folder(data().join("blobs")),
        }
    }
}

/// Reads `headwater.yaml`; a section that is left out is embedded, under `data/`.
pub fn read(node: &Node, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<Config> {
    if node.is_null() {
        return Some(Config::default());
    }
    let before = out.len();
    let default = Config::default();
    let mut fields = node.fields("the configuration", &place_of(node), out)?;
    let mut section = |key: &'static str, form, example, later, out: &mut Vec<Diagnostic>| {
        let (key, node) = fields.entry(key)?;
        Some(Section { key, form, example, later }.read(node, environment, out))
    };
    let blobs = section("blobs", "folder", "data/blobs", &["s3"][..], out);
    let log = fields.entry("log").and_then(|(key, node)| read_log(key, node, environment, out));
    let registry = fields.entry("registry").and_then(|(key, node)| read_registry(key, node, environment, out));
    let stores = fields.entry("stores").map(|(key, node)| read_stores(key, node, environment, out));
    fields.finish(&[], out);
    if out.len() > before {
        return None;
    }
    Some(Config {
        log: log.unwrap_or(default.log),
        registry: registry.unwrap_or(default.registry),
        stores: stores.unwrap_or(default.stores),
        blobs: blobs.flatten().map_or(default.blobs, BlobConfig::Folder),
    })
}

/// A section with one form that is built, and others that are not yet.
struct Section<'n> {
    key: &'n Node,
    form: &'static str,
    /// What to write: `data`.
    example: &'static str,
    later: &'static [&'static str],
}

impl Section<'_> {
    fn read(&self, node: &Node, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<PathBuf> {
        let before = out.len();
        let owner = format!("`{}`", self.key.key_text().value);
        if let Some(text) = node.as_text().filter(|_| !node.is_null()) {
            let error = Diagnostic::error(&node.span, format!("{owner} must say what it is"));
            let help =
                format!("write `{}: {{ {}: {} }}`", self.key.key_text().value, self.form, quoted_if_needed(text));
            out.push(error.label("expected a mapping").help(help));
            return None;
        }
        let mut fields = node.fields(&owner, &self.key.span, out)?;
        let value = fields.optional(self.form);
        let others = fields.entries().iter().any(|(key, _)| key.as_text() != Some(self.form));
        let told = out.len();
        fields.finish(self.later, out);
        for error in out[told..].iter_mut().filter(|error| error.help.is_none()) {
            error.help = Some(format!("write `{}: {}`", self.form, self.example));
        }
        match value {
            Some(node) => read_path(node, &format!("`{}`", self.form), environment, out),
            None => {
                if !others && out.len() == before {
                    let error = Diagnostic::error(&self.key.span, format!("{owner} says nothing"));
                    let help = format!("add `{}: {}`, or leave it out", self.form, self.example);
                    out.push(error.label(format!("`{}` is missing", self.form)).help(help));
                }
                None
            }
        }
    }
}

/// Whether the section is of this form alone.
fn is_form(node: &Node, form: &str, embedded: &str) -> bool {
    let Kind::Mapping(entries) = &node.kind else { return false };
    let has = |form| entries.iter().any(|(key, _)| key.as_text() == Some(form));
    has(form) && !has(embedded)
}

fn read_log(key: &Node, node: &Node, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<LogConfig> {
    if is_form(node, "kafka", "embedded") {
        let mut fields = node.fields("`log`", &key.span, out)?;
        let kafka = fields.entry("kafka").and_then(|(key, node)| KafkaConfig::read(key, node, environment, out));
        fields.finish(&[], out);
        return kafka.map(LogConfig::Kafka);
    }
    let section = Section { key, form: "embedded", example: "data", later: &[] };
    section.read(node, environment, out).map(LogConfig::Embedded)
}

fn read_registry(
    key: &Node,
    node: &Node,
    environment: Environment<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<RegistryConfig> {
    if is_form(node, "url", "embedded") {
        return RegistryServer::read(key, node, environment, out).map(RegistryConfig::Remote);
    }
    let section = Section { key, form: "embedded", example: "data", later: &[] };
    section.read(node, environment, out).map(RegistryConfig::Embedded)
}

fn read_store(key: &Node, node: &Node, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<StoreConfig> {
    if is_form(node, "postgres", "sqlite") {
        let owner = format!("`{}`", key.key_text().value);
        let mut fields = node.fields(&owner, &key.span, out)?;
        let postgres =
            fields.entry("postgres").and_then(|(key, node)| PostgresConfig::read(key, node, environment, out));
        fields.finish(&[], out);
        return postgres.map(StoreConfig::Postgres);
    }
    if is_form(node, "cassandra", "sqlite") {
        let owner = format!("`{}`", key.key_text().value);
        let mut fields = node.fields(&owner, &key.span, out)?;
        let cassandra =
            fields.entry("cassandra").and_then(|(key, node)| CassandraConfig::read(key, node, environment, out));
        fields.finish(&[], out);
        return cassandra.map(StoreConfig::Cassandra);
    }
    let section = Section { key, form: "sqlite", example: "data/views.db", later: &[] };
    section.read(node, environment, out).map(StoreConfig::Sqlite)
}

fn read_stores(
    key: &Node,
    node: &Node,
    environment: Environment<'_>,
    out: &mut Vec<Diagnostic>,
) -> Vec<(String, StoreConfig)> {
    let mut stores: Vec<(String, StoreConfig)> = Vec::new();
    let Some(entries) = node.entries("`stores`", out) else { return stores };
    if entries.is_empty() {
        let error = Diagnostic::error(&key.span, "there is no store").label("`stores` names none");
        out.push(error.help("add `operational: { sqlite: data/operational.db }`, or leave the section out"));
    }
    for (name, node) in entries {
        let text = name.key_text();
        check_name(&text, "store", out);
        let Some(store) = read_store(name, node, environment, out) else { continue };
        if let Some((other, _)) = stores.iter().find(|(_, other)| *other == store) {
            let (what, label) = match store {
                StoreConfig::Sqlite(_) => ("file", "a store has a file of its own"),
                StoreConfig::Postgres(_) => ("Postgres schema", "a store has a schema of its own"),
                StoreConfig::Cassandra(_) => ("keyspace", "a store has a keyspace of its own"),
            };
            let message = format!("stores `{other}` and `{}` are the same {what}", text.value);
            out.push(Diagnostic::error(&node.span, message).label(label));
        }
        stores.push((text.value, store));
    }
    stores
}

fn read_path(node: &Node, owner: &str, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    let text = node.text(owner, out)?;
    let path = substitute(&text, environment, out)?;
    if path.trim().is_empty() || path.contains('\0') {
        // Never the value itself: it may be a secret that was put in the wrong place.
        let error = Diagnostic::error(&text.span, format!("{owner} must be a path"));
        out.push(error.label("empty once the environment is put in"));
        return None;
    }
    Some(PathBuf::from(path))
}

fn quoted_if_needed(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'));
    if plain { text.to_owned() } else { quoted(text) }
}

/// Puts the environment's values in place of `${NAME}`.
fn substitute(text: &Text, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<String> {
    let mut result = String::new();
    let mut sound = true;
    let mut at = 0;
    while let Some(start) = text[at..].find("${").map(|index| at + index) {
        result.push_str(&text[at..start]);
        let Some(end) = text[start..].find('}').map(|index| start + index) else {
            let error = Diagnostic::error(&text.part(start..text.len()), "`${` without its `}`");
            out.push(error.label("never closed").help("write `${NAME}`"));
            return None;
        };
        let name = &text[start + 2..end];
        at = end + 1;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match environment(name).filter(|_| is_name) {
            Some(value) => result.push_str(&value),
            None => {
                sound = false;
                let message = if is_name {
                    format!("the environment has no variable `{name}`")
                } else {
                    format!("`{name}` is not the name of an environment variable")
                };
                let error = Diagnostic::error(&text.part(start..at), message).label("not set");
                out.push(if is_name { error.help(format!("set it: `export {name}=…`")) } else { error });
            }
        }
    }
    result.push_str(&text[at..]);
    sound.then_some(result)
}
