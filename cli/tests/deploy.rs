//! `deploy/`: the servers that the scripts start and those of Docker Compose are the same, and as the tests need them.
//!
//! Both are made from `deploy/dev`: versions, ports and one template a server. What is said twice is compared here; what must
//! not change by accident is held here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A text's lines without comments and without the space around them.
fn lines(path: &str) -> Vec<String> {
    let text = read(path);
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// `NAME=VALUE` lines.
fn settings(path: &str) -> BTreeMap<String, String> {
    let pairs: BTreeMap<String, String> = lines(path)
        .iter()
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{path}: `{line}` is not NAME=VALUE")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(!pairs.is_empty(), "{path} says something");
    pairs
}

/// One service of the compose file: its lines, from its name to the next.
fn service(name: &str) -> Vec<String> {
    let text = read("docker-compose.yaml");
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let indent = line.len() - line.trim_start().len();
        if indent <= 2 {
            inside = indent == 2 && line.trim() == format!("{name}:");
        } else if inside {
            found.push(line.trim().to_owned());
        }
    }
    assert!(!found.is_empty(), "docker-compose.yaml has a service {name}");
    found
}

/// The names that a text takes from outside as `${NAME...}`.
fn taken(text: &str) -> BTreeSet<String> {
    text.split("${")
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_' || c.is_ascii_digit()).collect())
        .collect()
}

#[track_caller]
fn holds(place: &str, lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|line| line == wanted), "{place} must say `{wanted}`; it says:\n{}", lines.join("\n"));
}

#[test]
fn compose_runs_the_pinned_versions() {
    let versions = settings("dev/versions.env");
    let images = [
        ("kafka", "apache/kafka", "KAFKA_VERSION"),
        ("cassandra", "cassandra", "CASSANDRA_VERSION"),
        ("registry", "apicurio/apicurio-registry-mem", "REGISTRY_VERSION"),
        ("postgres", "postgres", "POSTGRES_VERSION"),
    ];
    for (name, image, version) in images {
        assert!(versions.contains_key(version), "versions.env pins {version}");
        let wanted = format!("image: {image}:${{{version}:?run deploy/dev/servers env --compose}}");
        holds(name, &service(name), &wanted);
    }
    for line in lines("docker-compose.yaml").iter().filter(|line| line.starts_with("image:")) {
        assert!(line.contains("_VERSION:?"), "`{line}`: versions stand in versions.env alone");
    }
}

#[test]
fn compose_publishes_the_ports_of_the_scripts_on_this_machine_alone() {
    let defaults = settings("dev/defaults.env");
    let mut published = BTreeSet::new();
    let mut in_ports = false;
    for line in lines("docker-compose.yaml") {
        in_ports = line == "ports:" || (in_ports && line.starts_with("- "));
        if !in_ports || line == "ports:" {
            continue;
        }
        let mapping = line.strip_prefix("- 127.0.0.1:").unwrap_or_else(|| panic!("`{line}`: not for the network"));
        // Inside and outside alike, for the templates know one number.
        let names = taken(mapping);
        assert_eq!(names.len(), 1, "`{line}`: one port, inside and outside");
        published.extend(names);
    }
    // Two are for a server's own use.
    let wanted: BTreeSet<String> = defaults
        .keys()
        .filter(|name| name.ends_with("_PORT") && !name.contains("CONTROLLER") && !name.contains("STORAGE"))
        .cloned()
        .collect();
    assert_eq!(published, wanted);
}

#[test]
fn ports_differ_and_clash_with_nothing_usual() {
    let defaults = settings("dev/defaults.env");
    let ports: Vec<u16> = defaults
        .iter()
        .filter(|(name, _)| name.ends_with("_PORT"))
        .map(|(name, value)| value.parse().unwrap_or_else(|_| panic!("{name}={value} is a port")))
        .collect();
    let different: BTreeSet<u16> = ports.iter().copied().collect();
    assert_eq!(different.len(), ports.len(), "{defaults:?}");
    // Headwater's own, the servers' usual ones, and from 32768 on those that the system gives to clients.
    for usual in [8080, 8081, 5432, 9042, 9092] {
        assert!(!different.contains(&usual), "port {usual} is another's");
    }
    assert!(different.last().is_some_and(|port| *port < 32768), "{different:?}");
}

#[test]
fn what_compose_takes_is_written_for_it() {
    let mut written: BTreeSet<String> = settings("dev/versions.env").into_keys().collect();
    written.extend(settings("dev/defaults.env").into_keys());
    for line in lines("dev/lib/compose.sh") {
        if let Some((name, _)) = line.strip_prefix("echo \"").and_then(|rest| rest.split_once('=')) {
            written.insert(name.to_owned());
        }
    }
    let missing: Vec<String> = taken(&lines("docker-compose.yaml").join("\n")).difference(&written).cloned().collect();
    assert!(missing.is_empty(), "`servers env --compose` does not write {missing:?}");
    for (name, heap) in [
        ("kafka", "HEADWATER_KAFKA_HEAP"),
        ("cassandra", "HEADWATER_CASSANDRA_HEAP"),
        ("registry", "HEADWATER_REGISTRY_HEAP"),
    ] {
        assert!(taken(&service(name).join("\n")).contains(heap), "{name} has the heap of defaults.env");
        let args = lines(&format!("dev/{name}/java.args"));
        holds("java.args", &args, &format!("-Xmx@{heap}@"));
    }
}

#[test]
fn containers_read_what_the_templates_made() {
    let mounts = "- ${HEADWATER_COMPOSE_CONFIG:?}:/config:ro";
    let reads = [
        ("kafka", "kafka/server.properties", "/config/server.properties"),
        ("cassandra", "cassandra/cassandra.yaml", "/config/cassandra.yaml"),
        ("postgres", "postgres/postgresql.conf", "/config/postgresql.conf"),
    ];
    let rendered = lines("dev/lib/compose.sh").join("\n");
    for (name, template, file) in reads {
        let service = service(name);
        holds(name, &service, mounts);
        assert!(service.iter().any(|line| line.contains(file)), "{name} is started with {file}");
        assert!(rendered.contains(&format!("render \"$DEV/{template}\"")), "{template} is rendered for compose");
    }
}

#[test]
fn settings_that_matter_are_what_the_tests_rely_on() {
    let kafka = lines("dev/kafka/server.properties");
    for wanted in [
        "auto.create.topics.enable=false",
        "min.insync.replicas=1",
        "offsets.topic.replication.factor=1",
        "transaction.state.log.replication.factor=1",
        "transaction.state.log.min.isr=1",
        "sasl.enabled.mechanisms=SCRAM-SHA-512",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "log.dirs=@KAFKA_DATA@",
    ] {
        holds("server.properties", &kafka, wanted);
    }
    let cassandra = lines("dev/cassandra/cassandra.yaml");
    for wanted in [
        "authenticator: PasswordAuthenticator",
        "authorizer: CassandraAuthorizer",
        "optional: true",
        "materialized_views_enabled: false",
        "auto_snapshot: false",
        "commitlog_sync: periodic",
    ] {
        holds("cassandra.yaml", &cassandra, wanted);
    }
    let postgres = lines("dev/postgres/postgresql.conf");
    for wanted in [
        "ssl = on",
        "password_encryption = 'scram-sha-256'",
        "fsync = on",
        "synchronous_commit = on",
        "full_page_writes = on",
        "timezone = 'UTC'",
    ] {
        holds("postgresql.conf", &postgres, wanted);
    }
}

#[test]
fn every_way_in_asks_for_a_password_or_is_kafkas_plain_one() {
    let hba = lines("dev/postgres/pg_hba.conf");
    assert!(!hba.is_empty());
    for line in &hba {
        assert!(line.ends_with(" scram-sha-256") || line == "local all postgres peer", "pg_hba.conf: `{line}`");
    }
    // Cassandra comes with a superuser whose password everyone knows.
    holds("cassandra.sh", &lines("dev/cassandra/cassandra.sh"), "DROP ROLE IF EXISTS cassandra;");
    assert!(service("cassandra-roles").iter().any(|line| line.contains("/config/cassandra-roles.cql")));
}

#[test]
fn both_registries_refuse_what_breaks_readers_and_keep_their_ids() {
    let rule = r#"{"compatibility":"BACKWARD_TRANSITIVE"}"#;
    for (place, text) in
        [("registry.sh", lines("dev/registry/registry.sh")), ("registry-rule", service("registry-rule"))]
    {
        assert!(text.iter().any(|line| line.contains(rule)), "{place} sets {rule}");
    }
    for (place, text) in [("java.args", lines("dev/registry/java.args")), ("registry", service("registry"))] {
        assert!(text.iter().any(|line| line.contains("jdbc:h2:file:") && line.contains(";WRITE_DELAY=0")), "{place}");
    }
}
