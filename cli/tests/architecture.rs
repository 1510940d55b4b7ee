//! The rooms and what may be in them, asked of cargo itself: see ARCHITECTURE.md, whose invariants name these tests.

use std::path::Path;
use std::process::Command;

/// What the engine may not know: clocks and I/O are outside it.
const NOT_IN_THE_ENGINE: [&str; 9] =
    ["tokio", "rdkafka", "scylla", "sqlx", "libsqlite3-sys", "axum", "hyper", "reqwest", "object_store"];

/// Who may name a database driver: the stores, the embedded log, the embedded registry.
const NAMES_SQLX: [&str; 3] = ["headwater-log", "headwater-schemas", "headwater-views"];

/// The rooms of the way through, and what each may lean on. Nothing reaches back.
const ROOMS: [(&str, &[&str]); 10] = [
    ("headwater-schemas", &[]),
    ("headwater-log", &[]),
    ("headwater-engine", &["headwater-schemas"]),
    // What is held against the engine knows nothing of it; its tests know both.
    ("headwater-oracle", &[]),
    ("headwater-views", &["headwater-engine", "headwater-schemas"]),
    ("headwater-runner", &["headwater-engine", "headwater-log", "headwater-schemas", "headwater-views"]),
    ("headwater-http", &["headwater-engine", "headwater-schemas", "headwater-views"]),
    (
        "headwater-command-api",
        &["headwater-engine", "headwater-http", "headwater-log", "headwater-schemas", "headwater-views"],
    ),
    ("headwater-query-api", &["headwater-engine", "headwater-http", "headwater-schemas", "headwater-views"]),
    (
        "headwater",
        &[
            "headwater-command-api",
            "headwater-engine",
            "headwater-http",
            "headwater-log",
            "headwater-query-api",
            "headwater-runner",
            "headwater-schemas",
            "headwater-views",
        ],
    ),
];

/// The names of the packages that one depends on, tests aside: all of them, or those that its manifest names.
fn dependencies(package: &str, direct: bool) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--locked", "--package", package, "--edges", "normal,build"]);
    cargo.args(["--prefix", "none", "--format", "{p}", "--no-dedupe"]);
    if direct {
        cargo.args(["--depth", "1"]);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = cargo.current_dir(root).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    // `serde v1.0.228` or `headwater v0.1.0 (/path)`; the first line is the package itself.
    let mut names: Vec<String> =
        text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    assert!(!names.is_empty(), "{package} depends on something");
    names
}

#[test]
fn the_engine_does_no_io_and_knows_no_clock() {
    let all = dependencies("headwater-engine", false);
    let wrong: Vec<&String> = all.iter().filter(|name| NOT_IN_THE_ENGINE.contains(&name.as_str())).collect();
    assert!(wrong.is_empty(), "headwater-engine depends on {wrong:?}");
}

#[test]
fn nothing_reaches_back() {
    for (room, leans_on) in ROOMS {
        let own: Vec<String> =
            dependencies(room, true).into_iter().filter(|name| name.starts_with("headwater")).collect();
        let wrong: Vec<&String> = own.iter().filter(|name| !leans_on.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{room} leans on {wrong:?}");
    }
}

#[test]
fn databases_are_named_by_stores_log_and_registry_only() {
    for (room, _) in ROOMS {
        let names_it = dependencies(room, true).iter().any(|name| name == "sqlx");
        assert!(!names_it || NAMES_SQLX.contains(&room), "{room} names sqlx");
    }
    // A list that nobody keeps would pass for ever.
    assert!(dependencies("headwater-views", true).iter().any(|name| name == "sqlx"));
}
