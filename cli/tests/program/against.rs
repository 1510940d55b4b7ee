//! `test --against`: the declared tests on a profile's own log, registry and stores, of which nothing is left.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use headwater_dev_servers::{Servers, password};

use crate::avro_keys::in_avro;
use crate::project::{Project, Ran};

/// Runs with a folder for temporary files of its own.
fn in_folder(project: &Project, temporary: &Path, arguments: &[&str]) -> Ran {
    Ran::from(project.command(arguments).env("TMPDIR", temporary).output().expect("it runs"))
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn break_totals(project: &Project) {
    project.edit(
        "pipelines/document/tests/totals.yaml",
        "{ documents: 2, versions: 5 }",
        "{ documents: 2, versions: 6 }",
    );
}

#[track_caller]
fn shows_the_difference(ran: &Ran) {
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    for part in [
        "totals.yaml:",
        "view `totals` differs",
        "- { documents: 2, versions: \"6\" }",
        "+ { documents: 2, versions: \"5\" }",
    ] {
        assert!(ran.out.contains(part), "{part} in:\n{}", ran.out);
    }
}

#[test]
fn on_the_embedded_profile_the_domain_passes_and_nothing_is_left() {
    let project = Project::new();
    let temporary = tempfile::tempdir().expect("a folder");
    let said = in_folder(&project, temporary.path(), &["test", "--against", "headwater.yaml"]).fine();
    assert!(said.contains("all passed; each plainly"), "{said}");
    assert!(!project.path("data").exists(), "the profile's own folder is left alone");
    assert_eq!(entries(temporary.path()), [""; 0]);

    break_totals(&project);
    let ran = in_folder(&project, temporary.path(), &["test", "totals", "--against", "headwater.yaml"]);
    shows_the_difference(&ran);
    let ran = in_folder(&project, temporary.path(), &["test", "totals", "--against", "headwater.yaml", "--json"]);
    let said: serde_json::Value = serde_json::from_str(ran.out.lines().last().expect("a line")).expect("JSON");
    assert_eq!((ran.code, &said["ok"], &said["runs"]), (Some(1), &false.into(), &3.into()), "{said}");
    assert_eq!(entries(temporary.path()), [""; 0]);
}

#[test]
fn what_is_kept_is_named() {
    let project = Project::new();
    let temporary = tempfile::tempdir().expect("a folder");
    let ran = in_folder(&project, temporary.path(), &["test", "totals", "--against", "headwater.yaml", "--keep"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let left = entries(temporary.path());
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(ran.err.contains(&left[0]) && ran.err.contains(&format!("{}-0-document", left[0])), "{}", ran.err);
    assert!(entries(&temporary.path().join(&left[0])).contains(&"log.db".to_owned()));
}

#[test]
fn a_server_that_is_not_there_is_one_error_that_names_its_setting() {
    for (from, to, named) in [
        ("log:\n  embedded: data", "log:\n  kafka:\n    brokers: 127.0.0.1:9", "log:"),
        ("registry:\n  embedded: data", "registry:\n  url: http://127.0.0.1:9", "registry:"),
        (
            "    sqlite: data/operational.db",
            "    postgres:\n      url: postgres://nobody@127.0.0.1:9/nothing\n      schema: none",
            "stores.operational",
        ),
    ] {
        let project = Project::new();
        let temporary = tempfile::tempdir().expect("a folder");
        project.edit("headwater.yaml", from, to);
        let ran = in_folder(&project, temporary.path(), &["test", "totals", "--against", "headwater.yaml"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{named}: {ran:#?}");
        assert_eq!(ran.err.matches("error:").count(), 1, "{}", ran.err);
        assert!(ran.err.contains(named), "{named} in: {}", ran.err);
        assert_eq!(entries(temporary.path()), [""; 0], "{named}");
    }
}

/// Everything on the servers that a run of tests has made, by its name.
async fn scratch(servers: &Servers) -> BTreeSet<String> {
    let options = headwater_log::KafkaOptions::new(servers.kafka.bootstrap.clone());
    let log = headwater_log::Log::connect_kafka(options).await.expect("Kafka");
    let topics = log.topics().await.expect("topics").into_iter().map(|topic| topic.name);
    let mut found: BTreeSet<String> = topics.collect();
    log.close().await;
    let subjects = reqwest::get(format!("{}/subjects", servers.registry.url)).await.expect("the registry");
    found.extend(subjects.json::<Vec<String>>().await.expect("subjects"));
    let postgres = &servers.postgres;
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-c", "SELECT nspname FROM pg_namespace", "-h", &postgres.host]);
    psql.args(["-p", &postgres.port.to_string(), "-U", &postgres.user, "-d", &postgres.database]);
    let schemas = psql.env("PGPASSWORD", password(&postgres.password_file)).output().expect("psql");
    assert!(schemas.status.success(), "{schemas:?}");
    found.extend(String::from_utf8_lossy(&schemas.stdout).lines().map(str::to_owned));
    found.retain(|name| name.starts_with("headwater-test-") || name.starts_with("headwater_test_"));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn on_real_servers_the_domain_passes_and_nothing_is_left() {
    let project = Project::on_servers();
    in_avro(&project, "document", "doc_id");
    let servers = headwater_dev_servers::start(&["kafka", "registry", "postgres"]);
    let before = scratch(&servers).await;
    let said = project.run(&["test", "--against", "headwater.yaml"]).fine();
    assert!(said.contains("all passed; each plainly") && said.contains("on Kafka and Postgres"), "{said}");
    assert_eq!(scratch(&servers).await, before);

    // Interrupted in the middle.
    let mut child = project.command(&["test", "--against", "headwater.yaml"]).spawn().expect("it runs");
    let mut first = String::new();
    // Kept: whoever reads is there to the end.
    let mut out = BufReader::new(child.stdout.take().expect("stdout"));
    out.read_line(&mut first).expect("a line");
    assert!(first.starts_with("ok"), "{first}");
    assert_ne!(scratch(&servers).await, before);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(scratch(&servers).await, before);

    break_totals(&project);
    shows_the_difference(&project.run(&["test", "totals", "--against", "headwater.yaml"]));
    assert_eq!(scratch(&servers).await, before);
}
