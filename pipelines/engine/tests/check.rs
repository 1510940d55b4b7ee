//! Mistakes in a project's files, and what `check` says of each: data in `check/*.txt`, the reports a person reads in
//! `snapshots/`.
//!
//! A case is the right project in `check/base.txt` with something changed:
//!
//! ```text
//! === what is wrong
//! --- path            the file's whole text follows
//! ~~~ path            lines with `-` are found in the file, and replaced by those with `+`
//! !!! path            the file is not there
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use headwater_engine::project::{Project, Report};

type Files = BTreeMap<String, String>;

fn environment(name: &str) -> Option<String> {
    (name == "DATA").then(|| "data".to_owned())
}

fn write(dir: &Path, files: &Files) {
    for (path, text) in files {
        let file = dir.join(path);
        let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&file, text));
        written.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

fn load(files: &Files) -> Result<Project, Report> {
    let dir = tempfile::tempdir().expect("a folder for the case");
    write(dir.path(), files);
    Project::load_with(dir.path(), None, &environment)
}

/// What `check` prints of a project.
fn report(files: &Files) -> String {
    match load(files) {
        Ok(project) => format!("RIGHT\n{}", project.report().render(false)),
        Err(report) => report.render(false),
    }
}

fn base() -> Files {
    let mut files = Files::new();
    change(&mut files, include_str!("check/base.txt"));
    files
}

/// Applies a case's changes.
fn change(files: &mut Files, text: &str) {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (mark, path) = line.split_once(' ').unwrap_or_else(|| panic!("not a mark and a path: {line:?}"));
        let mut body = Vec::new();
        let is_mark = |line: &str| ["--- ", "~~~ ", "!!! "].iter().any(|mark| line.starts_with(mark));
        while let Some(line) = lines.next_if(|line| !is_mark(line)) {
            body.push(line);
        }
        match mark {
            "---" => {
                files.insert(path.into(), body.join("\n") + "\n");
            }
            "~~~" => edit(files.get_mut(path).unwrap_or_else(|| panic!("no file {path}")), &body),
            "!!!" => {
                files.remove(path).unwrap_or_else(|| panic!("no file {path}"));
            }
            other => panic!("unknown mark {other:?}"),
        }
    }
}

/// Applies one file's `-` and `+` lines; a block of `-` lines is one place.
fn edit(text: &mut String, body: &[&str]) {
    let mut lines = body.iter().filter(|line| !line.is_empty()).peekable();
    while lines.peek().is_some() {
        let mut take = |mark: char| {
            let mut block = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(mark)) {
                block.push_str(&line[1..]);
                block.push('\n');
            }
            block
        };
        let (old, new) = (take('-'), take('+'));
        assert!(!old.is_empty(), "an edit starts with `-`: {body:?}");
        assert_eq!(text.matches(&old).count(), 1, "not once in the file: {old:?}\n{text}");
        *text = text.replace(&old, &new);
    }
}

/// The cases of one file: name and changes.
fn cases(text: &str) -> Vec<(String, String)> {
    let mut cases: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("=== ") {
            Some(name) => cases.push((name.to_owned(), String::new())),
            None => {
                let (_, body) = cases.last_mut().expect("a case starts with `=== `");
                body.push_str(line);
                body.push('\n');
            }
        }
    }
    cases
}

fn reports(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check").join(file);
    let mut out = String::new();
    for (name, body) in cases(&std::fs::read_to_string(path).expect("the cases' file")) {
        let mut files = base();
        change(&mut files, body.trim_end_matches('\n'));
        out.push_str(&format!("=== {name}\n\n{}\n\n", report(&files)));
    }
    out
}

#[test]
fn the_base_is_right() {
    let report = report(&base());
    assert_eq!(report, "RIGHT\nnothing is wrong");
}

#[test]
fn yaml_mistakes() {
    insta::assert_snapshot!(reports("yaml.txt"));
}

#[test]
fn config_mistakes() {
    insta::assert_snapshot!(reports("config.txt"));
}

#[test]
fn topic_mistakes() {
    insta::assert_snapshot!(reports("topic.txt"));
}

#[test]
fn topology_mistakes() {
    insta::assert_snapshot!(reports("topology.txt"));
}

#[test]
fn command_and_query_mistakes() {
    insta::assert_snapshot!(reports("ends.txt"));
}

#[test]
fn test_file_mistakes() {
    insta::assert_snapshot!(reports("tests.txt"));
}

#[test]
fn project_mistakes() {
    insta::assert_snapshot!(reports("project.txt"));
}

/// This repository's own declarations.
#[test]
fn the_projects_own_files_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if let Err(report) = Project::load_with(&root, None, &environment) {
        panic!("{report}");
    }
}

#[test]
fn reports_for_programs() {
    let mut files = base();
    change(&mut files, "~~~ schemas/order/topic.yaml\n-partitions: 4\n+partitions: vier\n+# größer\n+partitoin: 4");
    let json = load(&files).unwrap_err().json();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn files_that_are_no_text() {
    let dir = tempfile::tempdir().unwrap();
    let topic = dir.path().join("schemas/order/topic.yaml");
    std::fs::create_dir_all(topic.parent().unwrap()).unwrap();
    std::fs::write(&topic, b"topic: order\nkey: \xff\xfe\n").unwrap();
    std::fs::write(dir.path().join("headwater.yaml"), "log: { embedded: \"data\u{1}\" }\n").unwrap();
    let tests = dir.path().join("pipelines/shop/tests");
    std::fs::create_dir_all(&tests).unwrap();
    std::fs::write(tests.join("large.yaml"), vec![b'#'; headwater_engine::yaml::MAX_BYTES + 1]).unwrap();
    std::fs::create_dir(tests.join("folder.yaml")).unwrap();
    let report = Project::load_with(dir.path(), None, &environment).unwrap_err();
    insta::assert_snapshot!(report.render(false));
}

#[test]
fn a_configuration_of_another_place() {
    let files = base();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("profile.yaml");
    std::fs::write(&config, "stores: { operational: { sqlite: elsewhere.db } }\n").unwrap();
    let project = tempfile::tempdir().unwrap();
    write(project.path(), &files);
    let loaded = Project::load_with(project.path(), Some(&config), &environment).unwrap();
    assert_eq!(loaded.config.stores.len(), 1);
    assert_eq!(loaded.path(Path::new("elsewhere.db")), project.path().join("elsewhere.db"));
    let below = project.path().join("pipelines/shop");
    assert_eq!(Project::find(&below).as_deref(), Some(project.path()));
}
