//! The forms of the configuration that name servers: Kafka, a schema registry, Postgres, Cassandra.
//!
//! What may differ from place to place (addresses, users) is a [`Template`], and what must be kept secret a [`Secret`]:
//! both are resolved when the server is opened, so a project is checked without knowing either.

use std::path::PathBuf;

use super::super::Text;
use super::super::shape::{COLUMN, Form, Key, Rule, Shape, VARIABLE};
use super::Environment;
use crate::source::Diagnostic;
use crate::yaml::{Node, quoted};

/// Text in which `${NAME}` stands for the environment's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

/// Where a secret comes from: never from the configuration's own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Variable(String),
    /// A file, whose last line break is not part of it.
    File(PathBuf),
}

/// `kafka:` of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaConfig {
    /// `host:port`, comma-separated.
    pub brokers: Template,
    pub tls: bool,
    /// The authority that signed the brokers' certificates; None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    pub login: Option<(Template, Secret)>,
    /// A SASL mechanism.
    pub mechanism: String,
    /// How many brokers keep each record of a topic that is made; None: as the brokers have it.
    pub replication: Option<u32>,
}

/// `url:` of the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryServer {
    /// Of Confluent's API; comma-separated where it has several addresses.
    pub url: Template,
    pub ca_file: Option<PathBuf>,
    pub login: Option<(Template, Secret)>,
    pub token: Option<Secret>,
}

/// `postgres:` of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresConfig {
    /// As libpq has it: `postgres://user@host:5432/database?sslmode=verify-full`.
    pub url: Template,
    /// Where the URL has none.
    pub password: Option<Secret>,
    /// The Postgres schema that holds the tables.
    pub schema: String,
}

/// `cassandra:` of a store.
#[derive(Clone, Debug, PartialEq)]
pub struct CassandraConfig {
    /// `host:port` of some nodes, one or comma-separated each.
    pub nodes: Vec<Template>,
    pub keyspace: String,
    /// A keyspace after which a missing one is made; never said in a file.
    pub like: Option<String>,
    /// The one nearby; None where there is only one.
    pub datacenter: Option<Template>,
    pub tls: bool,
    /// The authority that signed the nodes' certificates; None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    pub login: Option<(Template, Secret)>,
    /// How many days the guard of a row that is gone is kept; None: the default.
    pub guard_days: Option<u32>,
}

/// The SASL mechanisms that need no more than a user and a password.
const MECHANISMS: [&str; 3] = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"];

const USER: Key =
    Key::optional("user", Form::Text, "headwater", "The user, who needs a password: `password` or `password_file`.");

const PASSWORD: Key = Key::optional(
    "password",
    Form::Like(VARIABLE),
    "\"${PASSWORD}\"",
    "The environment variable that holds the password.",
);

const PASSWORD_FILE: Key =
    Key::optional("password_file", Form::Text, "secrets/password", "The file that holds the password.");

const CA_FILE: Key = Key::optional(
    "ca_file",
    Form::Text,
    "secrets/ca.pem",
    "The authority that signed the servers' certificates, in PEM; those that the system trusts unless given.",
);

const ONE_PASSWORD: Rule = Rule::AtMostOne(&["password", "password_file"]);

const LOGIN: &[Rule] = &[Rule::Needs("user", &["password", "password_file"]), ONE_PASSWORD];

pub(super) static KAFKA: Shape = Shape::new(
    "How Kafka is reached.",
    &[
        Key::required("brokers", Form::Text, "\"${KAFKA_BROKERS}\"", "`host:port` of some brokers, comma-separated."),
        CA_FILE,
        Key::optional(
            "tls",
            Form::Boolean,
            "true",
            "Whether with TLS: always with `user`, and with `ca_file` unless given.",
        ),
        USER,
        PASSWORD,
        PASSWORD_FILE,
        Key::optional("mechanism", Form::Word(&MECHANISMS), "SCRAM-SHA-512", "How the user logs in, of SASL."),
        Key::optional(
            "replication",
            Form::Integer(1, 64),
            "3",
            "How many brokers keep each record of a topic that is made here; as the brokers have it unless given.",
        ),
    ],
)
.rules(LOGIN);

pub(super) static REGISTRY: Shape = Shape::new(
    "A registry of Confluent's API.",
    &[
        Key::required(
            "url",
            Form::Text,
            "\"${SCHEMA_REGISTRY_URL}\"",
            "Its address; several, comma-separated, where it has several.",
        ),
        CA_FILE,
        USER,
        PASSWORD,
        PASSWORD_FILE,
        Key::optional(
            "token",
            Form::Like(VARIABLE),
            "\"${REGISTRY_TOKEN}\"",
            "The environment variable that holds a bearer token.",
        ),
        Key::optional("token_file", Form::Text, "secrets/token", "The file that holds a bearer token."),
    ],
)
.rules(&[Rule::Needs("user", &["password", "password_file"]), ONE_PASSWORD, Rule::AtMostOne(&["token", "token_file"])]);

pub(super) static POSTGRES: Shape = Shape::new(
    "How Postgres is reached.",
    &[
        Key::required(
            "url",
            Form::Text,
            "\"${DATABASE_URL}\"",
            "As libpq has it: `postgres://user@host:5432/database?sslmode=verify-full`.",
        ),
        PASSWORD,
        PASSWORD_FILE,
        Key::optional(
            "schema",
            COLUMN,
            "headwater",
            "The Postgres schema that holds the tables; `headwater` unless given. A store has one of its own.",
        ),
    ],
)
.rules(&[ONE_PASSWORD]);

pub(super) static CASSANDRA: Shape = Shape::new(
    "How Cassandra is reached.",
    &[
        Key::required(
            "nodes",
            Form::TextOrTexts(&Form::Text),
            "[\"${CASSANDRA_NODE}\"]",
            "`host:port` of some nodes.",
        ),
        Key::optional(
            "keyspace",
            COLUMN,
            "headwater",
            "The keyspace that holds the tables, which you make; `headwater` unless given. A store has one of its own.",
        ),
        Key::optional(
            "datacenter",
            Form::Text,
            "dc1",
            "The one nearby, whose quorums are asked. Left out where there is only one.",
        ),
        CA_FILE,
        Key::optional("tls", Form::Boolean, "true", "Whether with TLS; with `ca_file` unless given."),
        USER,
        PASSWORD,
        PASSWORD_FILE,
        Key::optional(
            "guard_days",
            // The tables' tombstones are kept for ten days, which guards may not outlive.
            Form::Integer(1, 10),
            "7",
            "How many days the guard of a row that is gone is kept; 7 unless given. No worker may be frozen for longer.",
        ),
    ],
)
.rules(LOGIN);

impl Template {
    /// With the environment's values.
    ///
    /// # Errors
    /// The first variable that is not set.
    pub fn resolve(&self, environment: Environment<'_>) -> Result<String, String> {
        let part = |part: &Part| match part {
            Part::Literal(text) => Ok(text.clone()),
            Part::Variable(name) => environment(name).ok_or_else(|| name.clone()),
        };
        self.0.iter().map(part).collect()
    }

    fn read(text: &Text, out: &mut Vec<Diagnostic>) -> Option<Self> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(start) = text[at..].find("${").map(|index| at + index) {
            let end = text[start..].find('}').map(|index| start + index);
            let name = end.map(|end| &text[start + 2..end]).filter(|name| is_variable(name));
            let (Some(end), Some(name)) = (end, name) else {
                let place = text.part(start..end.map_or(text.len(), |end| end + 1));
                let error = Diagnostic::error(&place, "this is not the name of an environment variable");
                out.push(error.label("expected `${NAME}`"));
                return None;
            };
            parts.push(Part::Literal(text[at..start].to_owned()));
            parts.push(Part::Variable(name.to_owned()));
            at = end + 1;
        }
        parts.push(Part::Literal(text[at..].to_owned()));
        parts.retain(|part| *part != Part::Literal(String::new()));
        if parts.is_empty() {
            out.push(Diagnostic::error(&text.span, "this is empty").label("expected an address"));
            return None;
        }
        Some(Self(parts))
    }

    /// The text that stands in the file, each variable as one letter.
    fn literal(&self) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Variable(_) => "$".to_owned(),
        };
        self.0.iter().map(part).collect()
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// An address, which may not hold a password in plain sight.
fn read_address(node: &Node, owner: &str, out: &mut Vec<Diagnostic>) -> Option<Template> {
    let text = node.text(owner, out)?;
    let template = Template::read(&text, out)?;
    let literal = template.literal();
    let authority = literal.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let password =
        authority.rsplit_once('@').and_then(|(login, _)| login.split_once(':')).map(|(_, password)| password);
    if password.is_some_and(|password| !matches!(password, "" | "$")) {
        let error = Diagnostic::error(&text.span, "a password stands in this file");
        let help = "take it out, and name an environment variable in its place: `${PASSWORD}`";
        out.push(error.label("secrets come from the environment or from files").help(help));
        return None;
    }
    Some(template)
}

/// `key: "${NAME}"`, or `key_file: path`.
fn read_secret(
    fields: &mut crate::yaml::Fields<'_>,
    [key, file_key]: [&'static str; 2],
    environment: Environment<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Secret> {
    let (direct, file) = (fields.entry(key), fields.get(file_key));
    if let (Some((name, _)), Some(_)) = (direct, file) {
        let error = Diagnostic::error(&name.span, format!("`{key}` and `{file_key}` say the same twice"));
        out.push(error.label("keep one of them"));
    }
    if let Some((_, node)) = direct {
        let text = node.text(&format!("`{key}`"), out)?;
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|name| is_variable(name));
        if name.is_none() {
            // Never the value: it is a secret in the wrong place.
            let error = Diagnostic::error(&text.span, format!("`{key}` must be one environment variable"));
            let help = format!("write `{key}: \"${{NAME}}\"`, or `{file_key}: path/to/file`");
            out.push(error.label("secrets come from the environment or from files").help(help));
        }
        return name.map(|name| Secret::Variable(name.to_owned()));
    }
    super::read_path(file?, &format!("`{file_key}`"), environment, out).map(Secret::File)
}

/// `user` with its password; both or neither.
fn read_login(
    fields: &mut crate::yaml::Fields<'_>,
    environment: Environment<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<(Template, Secret)> {
    let user = fields.entry("user");
    let before = out.len();
    let secret = read_secret(fields, ["password", "password_file"], environment, out);
    let told = out.len() > before;
    let (name, node) = user?;
    let user = node.text("`user`", out).and_then(|text| Template::read(&text, out));
    if secret.is_none() && !told {
        let error = Diagnostic::error(&name.span, "`user` has no password").label("`password` is missing");
        out.push(error.help("add `password: \"${NAME}\"`, or `password_file: path/to/file`"));
    }
    Some((user?, secret?))
}

fn read_file(
    fields: &mut crate::yaml::Fields<'_>,
    key: &'static str,
    environment: Environment<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<PathBuf> {
    let node = fields.get(key)?;
    super::read_path(node, &format!("`{key}`"), environment, out)
}

impl KafkaConfig {
    pub(super) fn read(
        key: &Node,
        node: &Node,
        environment: Environment<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut fields = node.fields(&KAFKA, "`kafka`", &key.span, out)?;
        let brokers = fields.get("brokers");
        let brokers = brokers.and_then(|node| read_address(node, "`brokers`", out));
        let ca_file = read_file(&mut fields, "ca_file", environment, out);
        let tls = fields.boolean("tls", out);
        let login = read_login(&mut fields, environment, out);
        let mechanism = fields.get("mechanism").and_then(|node| node.text("`mechanism`", out));
        let replication = fields.integer("replication", out);
        fields.finish(&[], out);
        if let Some(mechanism) = &mechanism
            && !MECHANISMS.contains(&mechanism.as_str())
        {
            let error = Diagnostic::error(&mechanism.span, format!("{} is no mechanism", quoted(mechanism)));
            out.push(error.label(format!("expected {}", MECHANISMS.join(", "))));
        }
        if let (Some(tls), Some(_)) = (tls.as_ref().filter(|tls| !tls.value), &login) {
            let error = Diagnostic::error(&tls.span, "a password would be sent without TLS");
            out.push(error.label("leave this out").help("with `user`, TLS is always used"));
        }
        let tls = login.is_some() || tls.map_or(ca_file.is_some(), |tls| tls.value);
        let mechanism = mechanism.map_or_else(|| MECHANISMS[0].to_owned(), |mechanism| mechanism.value);
        Some(Self { brokers: brokers?, tls, ca_file, login, mechanism, replication: replication.map(|n| n.value) })
    }
}

impl RegistryServer {
    /// Reads the whole section: `url` stands beside what it needs.
    pub(super) fn read(
        key: &Node,
        node: &Node,
        environment: Environment<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut fields = node.fields(&REGISTRY, "`registry`", &key.span, out)?;
        let url = fields.get("url");
        let url = url.and_then(|node| read_address(node, "`url`", out));
        let ca_file = read_file(&mut fields, "ca_file", environment, out);
        let login = read_login(&mut fields, environment, out);
        let token = read_secret(&mut fields, ["token", "token_file"], environment, out);
        fields.finish(&[], out);
        Some(Self { url: url?, ca_file, login, token })
    }
}

impl PostgresConfig {
    pub(super) fn read(
        key: &Node,
        node: &Node,
        environment: Environment<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        if node.as_text().is_some() {
            let url = read_address(node, "`postgres`", out)?;
            return Some(Self { url, password: None, schema: "headwater".to_owned() });
        }
        let mut fields = node.fields(&POSTGRES, "`postgres`", &key.span, out)?;
        let url = fields.get("url");
        let url = url.and_then(|node| read_address(node, "`url`", out));
        let password = read_secret(&mut fields, ["password", "password_file"], environment, out);
        let schema = fields.text("schema", out);
        fields.finish(&[], out);
        if let Some(schema) = &schema {
            super::check_name(schema, "Postgres schema", out);
        }
        let schema = schema.map_or_else(|| "headwater".to_owned(), |schema| schema.value);
        Some(Self { url: url?, password, schema })
    }
}

impl CassandraConfig {
    pub(super) fn read(
        key: &Node,
        node: &Node,
        environment: Environment<'_>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut fields = node.fields(&CASSANDRA, "`cassandra`", &key.span, out)?;
        let nodes = fields.text_or_texts("nodes", out);
        let nodes: Option<Vec<Template>> =
            nodes.and_then(|nodes| nodes.iter().map(|text| Template::read(text, out)).collect());
        let keyspace = fields.text("keyspace", out);
        let datacenter = fields.text("datacenter", out);
        let datacenter = datacenter.and_then(|text| Template::read(&text, out));
        let ca_file = read_file(&mut fields, "ca_file", environment, out);
        let tls = fields.boolean("tls", out);
        let login = read_login(&mut fields, environment, out);
        let guard_days = fields.integer("guard_days", out);
        fields.finish(&[], out);
        if let Some(keyspace) = &keyspace {
            super::check_name(keyspace, "keyspace", out);
        }
        Some(Self {
            nodes: nodes?,
            keyspace: keyspace.map_or_else(|| "headwater".to_owned(), |keyspace| keyspace.value),
            like: None,
            datacenter,
            tls: tls.map_or(ca_file.is_some(), |tls| tls.value),
            ca_file,
            login,
            guard_days: guard_days.map(|days| days.value),
        })
    }
}
