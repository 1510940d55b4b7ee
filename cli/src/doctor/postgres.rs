//! Stores in Postgres: whether each can be reached and used by its role, and whether what is committed there stays.

use headwater_engine::declare::config::{PostgresConfig, StoreConfig};
use headwater_engine::project::Project;
use headwater_views::{PostgresFacts, PostgresOptions, StoreError};

use super::{Finding, Looked, clock, failed};
use crate::environment;

/// The oldest that has all that a store uses, the oldest that its makers still mend, and the newest that is known here.
const OLDEST: u32 = 12;
const MAINTAINED: u32 = 14;
const NEWEST: u32 = 18;

pub(super) async fn look(project: &Project) -> Looked {
    let mut looked = Looked::default();
    for (name, config) in &project.config.stores {
        match config {
            StoreConfig::Sqlite(_) | StoreConfig::Cassandra(_) => {}
            StoreConfig::Postgres(postgres) => looked.extend(store(project, name, postgres).await),
        }
    }
    looked
}

async fn store(project: &Project, name: &str, config: &PostgresConfig) -> Looked {
    let about = format!("stores.{name}");
    let options = match environment::postgres_options(project, name, config) {
        Ok(options) => options,
        Err(failure) => {
            return Looked::unusable(vec![failed(&about, failure, &format!("See `{about}` in headwater.yaml."))]);
        }
    };
    let facts = match options.facts().await {
        Ok(facts) => facts,
        Err(error) => {
            let mend = match &error {
                StoreError::Setup { .. } => "see its user, database, password and certificates",
                _ => "see its host and port, and whether the server runs",
            };
            let mend = format!("In `{about}.postgres.url` of headwater.yaml {mend}.");
            return Looked::unusable(vec![Finding::wrong(about, error.to_string(), mend)]);
        }
    };
    let mut findings = vec![version(&about, &facts)];
    let schema = config.schema.as_str();
    let denied = rights(&about, schema, &facts);
    findings.extend(durability(&about, &facts));
    findings.extend(connections(&about, &facts, &options));
    if !facts.tls && !facts.is_loopback {
        findings.push(Finding::note(
            &about,
            "the connection is not encrypted",
            format!("Add ?sslmode=verify-full&sslrootcert=FILE to `{about}.postgres.url`."),
        ));
    }
    let uncertain = i64::try_from(facts.round_trip.as_millis()).unwrap_or(i64::MAX);
    findings.extend(clock(&about, facts.clock_ahead_ms, uncertain));
    if facts.standbys > 0 && facts.waits_for.is_empty() {
        findings.push(Finding::note(
            &about,
            format!("{} standbys follow, and a commit waits for none: a failover may lose the latest", facts.standbys),
            "Set synchronous_standby_names, or fold the views anew after a failover.",
        ));
    }
    let is_usable = denied.is_empty() && facts.has_schema;
    if denied.is_empty() && !facts.has_schema {
        let found = format!("the schema {schema} is not there yet");
        findings.push(Finding::note(&about, found, "The next start makes it: headwater up"));
    }
    findings.extend(denied);
    Looked { findings, is_usable }
}

fn version(about: &str, facts: &PostgresFacts) -> Finding {
    let (major, minor) = (facts.version / 10_000, facts.version % 10_000);
    let how = if facts.tls { "with TLS" } else { "without TLS" };
    let found = format!("Postgres {major}.{minor} answers {how}, as {} in {}", facts.role, facts.database);
    match major {
        ..OLDEST => Finding::wrong(about, found, format!("It is too old: {OLDEST} is the oldest that will do.")),
        OLDEST..MAINTAINED => Finding::note(about, found, "Its makers no longer mend it: plan an upgrade."),
        MAINTAINED..=NEWEST => Finding::ok(about, found),
        _ => Finding::note(about, found, format!("It is newer than what is known here, which ends at {NEWEST}.")),
    }
}

fn rights(about: &str, schema: &str, facts: &PostgresFacts) -> Vec<Finding> {
    let (role, database) = (&facts.role, &facts.database);
    let mut findings = Vec::new();
    if facts.encoding != "UTF8" {
        let found = format!("the database {database} has the encoding {}", facts.encoding);
        findings.push(Finding::wrong(about, found, "Name a database in its URL that was made with ENCODING 'UTF8'."));
    }
    if facts.is_standby {
        findings.push(Finding::wrong(about, "it is a standby, which takes no writes", "Name the primary in its URL."));
    }
    if !facts.has_schema && !facts.may_create_schema {
        findings.push(Finding::wrong(
            about,
            format!("there is no schema {schema}, and the role {role} may not make it"),
            format!("CREATE SCHEMA {schema} AUTHORIZATION {role} — or GRANT CREATE ON DATABASE {database} TO {role}"),
        ));
    } else if facts.has_schema && !facts.may_create_tables {
        findings.push(Finding::wrong(
            about,
            format!("the role {role} may not make tables in the schema {schema}"),
            format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role} — or name another role or schema in `{about}`"),
        ));
    } else if !facts.denied_tables.is_empty() {
        findings.push(Finding::wrong(
            about,
            format!("the role {role} may not read and write {} in the schema {schema}", facts.denied_tables.join(", ")),
            format!("Name the role that made them in `{about}`: it owns them, and drops them at a reset."),
        ));
    }
    findings
}

fn durability(about: &str, facts: &PostgresFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let off = |setting: &str| format!("{setting} is off: a crash of the server may lose or break what was committed");
    for (setting, on) in [("fsync", facts.fsync), ("full_page_writes", facts.full_page_writes)] {
        if !on {
            findings.push(Finding::wrong(about, off(setting), format!("Set {setting} = on in postgresql.conf.")));
        }
    }
    if facts.synchronous_commit == "off" {
        let mend = format!("ALTER ROLE {} RESET synchronous_commit — or set it to on in postgresql.conf", facts.role);
        let found = "synchronous_commit is off: a crash of the server may lose claims of commands that were answered";
        findings.push(Finding::wrong(about, found, mend));
    }
    if findings.is_empty() {
        let found = format!(
            "commits are durable (synchronous_commit {}, fsync and full_page_writes on); {} by default, and each \
             transaction names its own",
            facts.synchronous_commit, facts.isolation
        );
        findings.push(Finding::ok(about, found));
    }
    findings
}

/// Each process takes up to so many; `run`, `command-api` and `query-api` are three.
fn connections(about: &str, facts: &PostgresFacts, options: &PostgresOptions) -> Option<Finding> {
    let each = i64::from(options.connections);
    let free = (facts.connections - facts.used).max(0);
    let limit = facts.role_connections.filter(|limit| *limit < each);
    if let Some(limit) = limit {
        let mend = format!("ALTER ROLE {} CONNECTION LIMIT -1", facts.role);
        return Some(Finding::note(
            about,
            format!("its role may have {limit} connections, and a process takes up to {each}"),
            mend,
        ));
    }
    let found = format!("{free} of {} connections are free, and a process takes up to {each}", facts.connections);
    Some(match free {
        free if free < each => Finding::wrong(about, found, "Raise max_connections, or end what holds them."),
        free if free < each * 3 => {
            Finding::note(about, found, "It does for one process: raise max_connections for more.")
        }
        _ => Finding::ok(about, found),
    })
}
