//! Real servers for tests.
//!
//! A test that needs a server asks for it here, and `deploy/dev/servers` starts it unless it runs: nothing is skipped, and
//! a server that cannot be started fails the test with what the script said. All test processes share the servers, so each
//! test works in names of its own ([`fresh_name`]) and stops no server that it was not given to itself.

mod keyspace;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub use keyspace::Keyspace;
use serde::Deserialize;

/// Where everything is, as `deploy/dev/servers env --json` tells it.
#[derive(Clone, Debug, Deserialize)]
pub struct Servers {
    pub tls: Tls,
    pub kafka: Kafka,
    pub cassandra: Cassandra,
    pub registry: Registry,
    pub postgres: Postgres,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Tls {
    /// The certificate of the authority that signed all servers' certificates, as PEM.
    pub ca_file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Kafka {
    /// Without TLS, for development.
    pub bootstrap: String,
    /// SASL_SSL, with `sasl_mechanism`.
    pub tls_bootstrap: String,
    pub sasl_mechanism: String,
    pub user: String,
    pub password_file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Cassandra {
    /// Speaks TLS to who begins with it, and plainly to who does not.
    pub address: String,
    pub datacenter: String,
    pub user: String,
    pub password_file: PathBuf,
    pub admin_user: String,
    pub admin_password_file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Registry {
    pub url: String,
    pub tls_url: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Postgres {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password_file: PathBuf,
    pub admin_user: String,
    pub admin_password_file: PathBuf,
}

/// Starts these servers (`kafka`, `cassandra`, `registry`, `postgres`) where they do not run, waits until they answer, and
/// tells where everything is. Blocks; call it once a process.
///
/// # Panics
/// With what the script said, if a server cannot be started.
pub fn start(names: &[&str]) -> Servers {
    script(&[&["up"], names].concat());
    serde_json::from_str(&script(&["env", "--json"])).expect("`servers env --json` tells where everything is")
}

/// The same as [`Servers`] as the environment variables of `deploy/dev/servers env`, by which a profile names the servers.
///
/// # Panics
/// If the script cannot be run.
pub fn variables() -> Vec<(String, String)> {
    let script = script_path();
    let output = Command::new("bash").args(["-c", r#"eval "$("$0" env)" && env -0"#]).arg(&script).output();
    let output = output.unwrap_or_else(|error| panic!("bash cannot be run: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let variables = text.split('\0').filter_map(|line| line.split_once('='));
    variables.filter(|(name, _)| name.starts_with("HEADWATER_")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

/// A name that no other test uses, now or later: `prefix`, then letters and digits. Fits topics, schemas, keyspaces.
pub fn fresh_name(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_micros());
    format!("{prefix}_{now:x}_{:x}_{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A password that a file holds.
///
/// # Panics
/// If the file cannot be read.
pub fn password(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim().to_owned()
}

fn script_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers")
}

fn script(arguments: &[&str]) -> String {
    let script = script_path();
    let output = Command::new(&script)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", script.display()));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "`deploy/dev/servers {}` failed:\n{out}{err}", arguments.join(" "));
    out.into_owned()
}
