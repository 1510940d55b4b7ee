//! `doctor` on real servers: each thing that is wrong is one finding, which names its setting and says how to mend it.

mod cassandra;

use std::io::Write;
use std::process::{Command, Stdio};

use headwater_dev_servers::{Servers, fresh_name, password};
use serde_json::Value as Json;

use crate::project::Project;

/// Runs `doctor`, and gives what is wrong.
#[track_caller]
fn wrong(project: &Project) -> Vec<Json> {
    let ran = project.run(&["doctor", "--json"]);
    let findings: Vec<Json> = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("JSON: {ran:#?}"));
    let wrong: Vec<Json> = findings.into_iter().filter(|finding| finding["state"] == "wrong").collect();
    assert_eq!(ran.code, Some(i32::from(!wrong.is_empty())), "{wrong:#?}");
    wrong
}

/// There is one thing wrong: about this, and with all of these in what is said.
#[track_caller]
fn one(project: &Project, about: &str, parts: &[&str]) {
    let wrong = wrong(project);
    let said = format!("{wrong:#?}");
    assert_eq!(wrong.len(), 1, "{said}");
    assert_eq!(wrong[0]["about"], about, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// Statements by the administrator, on standard input.
fn as_admin(servers: &Servers, sql: &str) {
    let postgres = &servers.postgres;
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", &postgres.host, "-p", &postgres.port.to_string()]);
    psql.args(["-U", &postgres.admin_user, "-d", &postgres.database]);
    psql.env("PGPASSWORD", password(&postgres.admin_password_file)).stdin(Stdio::piped());
    let mut child = psql.spawn().expect("psql");
    child.stdin.take().expect("stdin").write_all(sql.as_bytes()).expect("written");
    assert!(child.wait().expect("it ends").success(), "{sql}");
}

#[test]
fn servers_that_do_are_said_to_and_nothing_is_made() {
    let project = Project::on_servers();
    let said = project.run(&["doctor"]).fine();
    for part in ["Kafka answers, with 1 broker", "Postgres 15.", "with TLS", "is not there yet", "commits are durable"]
    {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
    assert_eq!(
        project.run(&["doctor"]).fine().matches("is not there yet").count(),
        said.matches("is not there yet").count()
    );
}

#[test]
fn what_is_wrong_with_a_connection_is_one_finding_that_names_its_setting() {
    let url = "postgres://${HEADWATER_POSTGRES_USER}@${HEADWATER_POSTGRES_ADDRESS}";
    let secret = |name: &str| format!("password_file: \"${{HEADWATER_{name}_PASSWORD_FILE}}\"");
    let wrong_secret = "password_file: wrong.password".to_owned();
    let postgres = "stores.operational";
    let cases: [(&str, String, String, &[&str]); 6] = [
        ("log", "${HEADWATER_KAFKA_TLS_BOOTSTRAP}".into(), "127.0.0.1:9".into(), &["`log:`"]),
        ("log", secret("KAFKA"), wrong_secret.clone(), &["denies access", "`log:`"]),
        ("registry", "${HEADWATER_REGISTRY_TLS_URL}".into(), "https://127.0.0.1:9".into(), &["registry.url"]),
        (postgres, url.into(), "postgres://nobody@127.0.0.1:9".into(), &["stores.operational.postgres.url"]),
        (postgres, secret("POSTGRES"), wrong_secret, &["password authentication failed", "stores.operational"]),
        (
            postgres,
            "sslrootcert=${HEADWATER_TLS_CA_FILE}".into(),
            "sslrootcert=${HEADWATER_OTHER_CA_FILE}".into(),
            &["certificate", "stores.operational.postgres.url"],
        ),
    ];
    for (about, from, to, parts) in cases {
        let mut project = Project::on_servers();
        std::fs::write(project.path("wrong.password"), "wrong\n").expect("written");
        project.set("HEADWATER_OTHER_CA_FILE", other_authority(&project));
        project.edit("headwater.yaml", &from, &to);
        one(&project, about, parts);
    }
}

/// The certificate of an authority that has signed nothing here.
fn other_authority(project: &Project) -> String {
    let (key, certificate) = (project.path("other.key"), project.path("other.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=Somebody else", "-keyout"]).arg(key).arg("-out").arg(&certificate);
    let made = openssl.output().expect("openssl");
    assert!(made.status.success(), "{made:?}");
    certificate.display().to_string()
}

#[test]
fn a_certificate_that_the_registry_or_kafka_does_not_show_is_named() {
    for (section, about, part) in
        [("mechanism: SCRAM-SHA-512\n    ", "log", "`log:`"), ("_TLS_URL}\"\n  ", "registry", "registry.ca_file")]
    {
        let mut project = Project::on_servers();
        project.set("HEADWATER_OTHER_CA_FILE", other_authority(&project));
        project.edit(
            "headwater.yaml",
            &format!("{section}ca_file: \"${{HEADWATER_TLS_CA_FILE}}\""),
            &format!("{section}ca_file: \"${{HEADWATER_OTHER_CA_FILE}}\""),
        );
        one(&project, about, &[part, "certificate"]);
    }
}

#[test]
fn a_role_without_rights_is_told_which_it_lacks() {
    let mut project = Project::on_servers();
    let servers = headwater_dev_servers::start(&["postgres"]);
    let (role, schema) = (fresh_name("r"), fresh_name("s"));
    std::fs::write(project.path("role.password"), "only-here\n").expect("written");
    as_admin(&servers, &format!("CREATE ROLE {role} LOGIN PASSWORD 'only-here';"));
    project.set("HEADWATER_POSTGRES_USER", role.clone());
    project.set("HEADWATER_POSTGRES_PASSWORD_FILE", project.path("role.password").display().to_string());
    let own = std::fs::read_to_string(project.path("headwater.yaml")).expect("the profile");
    let own = own.lines().find_map(|line| line.trim().strip_prefix("schema: ")).expect("its schema").to_owned();
    project.edit("headwater.yaml", &format!("schema: {own}"), &format!("schema: {schema}"));

    one(&project, "stores.operational", &[&role, &schema, "AUTHORIZATION"]);
    as_admin(&servers, &format!("CREATE SCHEMA {schema};"));
    one(&project, "stores.operational", &[&format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}")]);
    as_admin(
        &servers,
        &format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}; CREATE TABLE {schema}.theirs (a int);"),
    );
    one(&project, "stores.operational", &["may not read and write theirs"]);
    as_admin(&servers, &format!("DROP TABLE {schema}.theirs; ALTER ROLE {role} SET synchronous_commit = off;"));
    one(&project, "stores.operational", &["synchronous_commit is off", "ALTER ROLE"]);
    as_admin(&servers, &format!("DROP SCHEMA {schema} CASCADE; DROP ROLE {role};"));
}

/// Changes what users may do in Kafka, with Kafka's own tool.
fn acl(servers: &Servers, arguments: &[&str]) {
    let folder = servers.tls.ca_file.parent().and_then(std::path::Path::parent).expect("the servers' folder");
    let java = std::fs::read_to_string(folder.join("kafka/java.args")).expect("how Kafka is run");
    let classes =
        java.lines().find_map(|line| line.strip_prefix("-cp ")).expect("its classes").trim_matches('"').to_owned();
    let mut tool = Command::new("java");
    tool.args(["-cp", &classes, "org.apache.kafka.tools.AclCommand", "--bootstrap-server", &servers.kafka.bootstrap]);
    let done = tool.arg("--force").args(arguments).output().expect("java");
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_user_without_rights_in_kafka_is_told_which_it_lacks() {
    let project = Project::on_servers();
    let servers = headwater_dev_servers::start(&["kafka"]);
    let user = std::fs::read_to_string(project.path("schemas/user/topic.yaml")).expect("the topic");
    let topic = user.lines().find_map(|line| line.strip_prefix("topic: ")).expect("its name").to_owned();
    let ann = r#"{"user_id":"ann","email":"ann@example.org","at":"2026-01-01T00:00:00Z"}"#;
    project.run_with(&["produce", &topic, "UserRegistered"], ann).fine();
    // What is not allowed once something is, is denied.
    let principal = format!("User:{}", servers.kafka.user);
    let mut allowed = vec!["--add", "--allow-principal", &principal, "--topic", &topic];
    allowed.extend(["--operation", "Read", "--operation", "DescribeConfigs"]);
    acl(&servers, &allowed);
    one(&project, "log", &[&format!("may not write to {topic}"), "Grant Write", "log.kafka"]);
    acl(&servers, &["--remove", "--topic", &topic]);
    assert_eq!(wrong(&project), [Json::Null; 0]);
    acl(&servers, &["--add", "--deny-principal", &principal, "--operation", "Describe", "--topic", &topic]);
    one(&project, "log", &[&format!("may not look at {topic}"), "Grant Describe", "log.kafka"]);
    acl(&servers, &["--remove", "--topic", &topic]);
}
