//! `headwater.yaml`: where the log, the registry, the stores and the blobs are. Paths are relative to the project's folder;
//! `${NAME}` is replaced from the environment: in paths as they are read, in what names a server as it is opened.

mod servers;

use std::path::PathBuf;

use super::shape::{self, Form, Key, Names, Rule, Shape};
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

/// `headwater.yaml`.
pub(super) static CONFIG: Shape = Shape::new(
    "Where the log, the registry, the stores and the blobs are. What is left out is embedded, under `data/`. Paths are \
     relative to the project's folder; `${NAME}` is taken from the environment, and secrets never stand here.",
    &[
        Key::optional(
            "blobs",
            Form::Keys(&BLOBS),
            "{ folder: data/blobs }",
            "Where uploaded files are kept: the log holds their hashes.",
        ),
        Key::optional(
            "log",
            Form::Any(&[Form::Keys(&EMBEDDED_LOG), Form::Keys(&KAFKA_LOG)]),
            "{ embedded: data }",
            "The event log: `embedded`, in SQLite files, or `kafka`.",
        ),
        Key::optional(
            "registry",
            Form::Any(&[Form::Keys(&EMBEDDED_REGISTRY), Form::Keys(&servers::REGISTRY)]),
            "{ embedded: data }",
            "Where schemas have their ids: `embedded`, in SQLite files, or the `url` of a registry.",
        ),
        Key::optional(
            "stores",
            Form::Names(&STORES),
            "{ operational: { sqlite: data/operational.db } }",
            "Where views are kept: a name for each store, which topologies name. `operational` and `reporting` unless given.",
        ),
    ],
);

static BLOBS: Shape =
    Shape::new("A folder of this machine.", &[Key::optional("folder", Form::Text, "data/blobs", "The folder.")])
        .rules(&[Rule::ExactlyOne(&["folder"])]);

static EMBEDDED_LOG: Shape = Shape::new(
    "The log in SQLite files: nothing to install, for one machine.",
    &[Key::optional("embedded", Form::Text, "data", "The folder of its files.")],
)
.rules(&[Rule::ExactlyOne(&["embedded"])]);

static KAFKA_LOG: Shape = Shape::new(
    "The log in Kafka.",
    &[Key::optional(
        "kafka",
        Form::Keys(&servers::KAFKA),
        "{ brokers: \"${KAFKA_BROKERS}\" }",
        "How Kafka is reached.",
    )],
)
.rules(&[Rule::ExactlyOne(&["kafka"])]);

static EMBEDDED_REGISTRY: Shape = Shape::new(
    "The registry in SQLite files: nothing to install, for one machine.",
    &[Key::optional("embedded", Form::Text, "data", "The folder of its files.")],
)
.rules(&[Rule::ExactlyOne(&["embedded"])]);

static STORES: Names = Names::of(
    shape::NAME,
    Form::Any(&[Form::Keys(&SQLITE_STORE), Form::Keys(&POSTGRES_STORE), Form::Keys(&CASSANDRA_STORE)]),
)
.at_least(1);

static SQLITE_STORE: Shape = Shape::new(
    "Views in an SQLite file: nothing to install, for one machine.",
    &[Key::optional("sqlite", Form::Text, "data/views.db", "The database's file.")],
)
.rules(&[Rule::ExactlyOne(&["sqlite"])]);

static POSTGRES_STORE: Shape = Shape::new(
    "Views in Postgres: a table each, with a SQL view over it by the plain name.",
    &[Key::optional(
        "postgres",
        Form::Any(&[Form::Text, Form::Keys(&servers::POSTGRES)]),
        "{ url: \"${DATABASE_URL}\" }",
        "How Postgres is reached: its URL, or a mapping with it.",
    )],
)
.rules(&[Rule::ExactlyOne(&["postgres"])]);

static CASSANDRA_STORE: Shape = Shape::new(
    "Views in Cassandra: a table each.",
    &[Key::optional(
        "cassandra",
        Form::Keys(&servers::CASSANDRA),
        "{ nodes: [\"${CASSANDRA_NODE}\"] }",
        "How Cassandra is reached.",
    )],
)
.rules(&[Rule::ExactlyOne(&["cassandra"])]);

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
    let mut fields = node.fields(&CONFIG, "the configuration", &place_of(node), out)?;
    let blobs = fields.entry("blobs");
    let blobs =
        blobs.and_then(|(key, node)| Section { key, shape: &BLOBS, later: &["s3"] }.read(node, environment, out));
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
        blobs: blobs.map_or(default.blobs, BlobConfig::Folder),
    })
}

/// A section with one form that is built, and others that are not yet.
struct Section<'n> {
    key: &'n Node,
    /// Of one key.
    shape: &'static Shape,
    later: &'static [&'static str],
}

impl Section<'_> {
    fn read(&self, node: &Node, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<PathBuf> {
        let before = out.len();
        let [Key { name: form, example, .. }] = self.shape.keys else { return None };
        let owner = format!("`{}`", self.key.key_text().value);
        if let Some(text) = node.as_text().filter(|_| !node.is_null()) {
            let error = Diagnostic::error(&node.span, format!("{owner} must say what it is"));
            let help = format!("write `{}: {{ {form}: {} }}`", self.key.key_text().value, quoted_if_needed(text));
            out.push(error.label("expected a mapping").help(help));
            return None;
        }
        let mut fields = node.fields(self.shape, &owner, &self.key.span, out)?;
        let value = fields.get(form);
        let others = fields.entries().iter().any(|(key, _)| key.as_text() != Some(form));
        let told = out.len();
        fields.finish(self.later, out);
        for error in out[told..].iter_mut().filter(|error| error.help.is_none()) {
            error.help = Some(format!("write `{form}: {example}`"));
        }
        match value {
            Some(node) => read_path(node, &format!("`{form}`"), environment, out),
            None => {
                if !others && out.len() == before {
                    let error = Diagnostic::error(&self.key.span, format!("{owner} says nothing"));
                    let help = format!("add `{form}: {example}`, or leave it out");
                    out.push(error.label(format!("`{form}` is missing")).help(help));
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
        let mut fields = node.fields(&KAFKA_LOG, "`log`", &key.span, out)?;
        let kafka = fields.entry("kafka").and_then(|(key, node)| KafkaConfig::read(key, node, environment, out));
        fields.finish(&[], out);
        return kafka.map(LogConfig::Kafka);
    }
    let section = Section { key, shape: &EMBEDDED_LOG, later: &[] };
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
    let section = Section { key, shape: &EMBEDDED_REGISTRY, later: &[] };
    section.read(node, environment, out).map(RegistryConfig::Embedded)
}

fn read_store(key: &Node, node: &Node, environment: Environment<'_>, out: &mut Vec<Diagnostic>) -> Option<StoreConfig> {
    if is_form(node, "postgres", "sqlite") {
        let owner = format!("`{}`", key.key_text().value);
        let mut fields = node.fields(&POSTGRES_STORE, &owner, &key.span, out)?;
        let postgres =
            fields.entry("postgres").and_then(|(key, node)| PostgresConfig::read(key, node, environment, out));
        fields.finish(&[], out);
        return postgres.map(StoreConfig::Postgres);
    }
    if is_form(node, "cassandra", "sqlite") {
        let owner = format!("`{}`", key.key_text().value);
        let mut fields = node.fields(&CASSANDRA_STORE, &owner, &key.span, out)?;
        let cassandra =
            fields.entry("cassandra").and_then(|(key, node)| CassandraConfig::read(key, node, environment, out));
        fields.finish(&[], out);
        return cassandra.map(StoreConfig::Cassandra);
    }
    let section = Section { key, shape: &SQLITE_STORE, later: &[] };
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
