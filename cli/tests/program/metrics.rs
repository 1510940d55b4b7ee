//! `/metrics`: how fresh each view is, while nothing happens and while its store takes nothing.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use headwater_dev_servers::{Servers, password};
use reqwest::{Method, StatusCode};

use crate::client::Client;
use crate::project::{DEADLINE, Project};

async fn metrics(client: &Client) -> String {
    let answer = client.request(Method::GET, "/metrics").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.expect("text")
}

/// The value of a series, by its name and labels as they stand there.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn freshness(metrics: &str, view: &str) -> Option<f64> {
    value(metrics, &format!("headwater_view_freshness_seconds{{topology=\"document\",view=\"{view}\"}}"))
}

/// The metrics once a view's freshness is as wanted: it is looked at every few seconds.
async fn until(client: &Client, view: &str, wanted: impl Fn(f64) -> bool) -> String {
    let started = Instant::now();
    loop {
        let metrics = metrics(client).await;
        if freshness(&metrics, view).is_some_and(&wanted) {
            return metrics;
        }
        assert!(started.elapsed() < DEADLINE, "{view} stays so:\n{metrics}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Nobody writes positions for as long as this is kept; they can be read.
fn lock(servers: &Servers, schema: &str) -> Child {
    let postgres = &servers.postgres;
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", &postgres.host, "-p", &postgres.port.to_string()]);
    psql.args(["-U", &postgres.admin_user, "-d", &postgres.database]);
    psql.env("PGPASSWORD", password(&postgres.admin_password_file)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = psql.spawn().expect("psql");
    let sql = format!("BEGIN; LOCK TABLE {schema}._positions IN SHARE ROW EXCLUSIVE MODE;\n\\echo locked\n");
    child.stdin.as_mut().expect("stdin").write_all(sql.as_bytes()).expect("written");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("stdout")).read_line(&mut line).expect("a line");
    assert_eq!(line, "locked\n");
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_as_old_as_what_it_does_not_show_and_others_are_not() {
    let project = Project::on_servers();
    let servers = headwater_dev_servers::start(&["postgres"]);
    let profile = std::fs::read_to_string(project.path("headwater.yaml")).expect("the profile");
    let schema = profile.lines().find_map(|line| line.trim().strip_prefix("schema: ")).expect("its schema");
    let up = project.up(&[]);
    let client = Client::new(&project, &up.url, "ann");
    let answer = client.upload("/documents", "a.txt", "text/plain", b"one").await.expect("an answer");
    let after = answer.headers()["headwater-position"].to_str().expect("text").to_owned();
    let seen = client.request(Method::GET, "/documents").header("headwater-after", after).header("prefer", "wait=30");
    assert_eq!(seen.send().await.expect("an answer").status(), StatusCode::OK);
    let idle = until(&client, "documents", |seconds| seconds == 0.0).await;
    assert_eq!(freshness(&idle, "totals"), Some(0.0), "{idle}");
    assert_eq!(value(&idle, "headwater_runner_events_total{topology=\"document\"}"), Some(1.0), "{idle}");
    let rows = |view| format!("headwater_runner_rows_written_total{{topology=\"document\",view=\"{view}\"}}");
    for view in ["documents", "document_versions", "documents_by_update", "totals"] {
        assert_eq!(value(&idle, &rows(view)), Some(1.0), "{view}:\n{idle}");
    }
    assert!(idle.contains("# HELP headwater_view_freshness_seconds Age of the oldest record"), "{idle}");
    assert!(idle.contains("headwater_runner_batch_records_bucket{topology=\"document\",le=\"10000\"} 1"), "{idle}");

    let mut lock = lock(&servers, schema);
    let answer = client.upload("/documents", "b.txt", "text/plain", b"two").await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let stuck = until(&client, "documents", |seconds| seconds > 0.0).await;
    let seconds = freshness(&stuck, "documents").expect("its freshness");
    // What derives from it is as old; what users alone feed is not.
    assert_eq!(freshness(&stuck, "totals"), Some(seconds), "{stuck}");
    assert_eq!(freshness(&stuck, "authors"), Some(0.0), "{stuck}");
    until(&client, "documents", |later| later > seconds).await;
    let status: serde_json::Value = serde_json::from_str(&project.run(&["status", "--json"]).fine()).expect("JSON");
    let views = status["topologies"][0]["views"].as_array().expect("views").clone();
    let of = |view: &str| views.iter().find(|it| it["view"] == view).and_then(|it| it["freshness_seconds"].as_f64());
    assert!(of("documents") > Some(seconds) && of("authors") == Some(0.0), "{views:?}");
    let table = project.run(&["status", "--views"]).fine();
    assert!(table.lines().any(|line| line.starts_with("document ") && line.contains("  authors ")), "{table}");

    drop(lock.stdin.take());
    assert!(lock.wait().expect("it ends").success());
    until(&client, "documents", |seconds| seconds == 0.0).await;
}
