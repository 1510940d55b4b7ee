//! The forms of `from:`, as declared tests that the harness runs: data in `forms/*.txt`, each case a project.

#[path = "forms/random.rs"]
mod random;

use std::path::Path;

use headwater_engine::harness;
use headwater_engine::project::Project;

/// Writes the files that `--- path` starts.
fn write(dir: &Path, text: &str) {
    let mut file: Option<(&str, String)> = None;
    let put = |file: Option<(&str, String)>| {
        let Some((path, text)) = file else { return };
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    for line in text.lines() {
        match (line.strip_prefix("--- "), &mut file) {
            (Some(path), _) => put(file.replace((path, String::new()))),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => panic!("not in a file: {line:?}"),
        }
    }
    put(file);
}

/// Runs every case of a file, each in a project of its own over the schemas in `base.txt`.
fn run(cases: &str) {
    let mut wrong = Vec::new();
    for case in cases.split("=== ").filter(|case| !case.is_empty()) {
        let (name, files) = case.split_once('\n').expect("a name, then files");
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), include_str!("forms/base.txt"));
        write(dir.path(), files);
        let project = match Project::load(dir.path(), None) {
            Ok(project) => project,
            Err(report) => {
                wrong.push(format!("{name}: {report}"));
                continue;
            }
        };
        assert!(!project.tests.is_empty(), "{name}: tests nothing");
        for test in &project.tests {
            let verdict = harness::run(test, &project.topologies).expect("it runs");
            wrong.extend(verdict.failures.iter().map(|failure| format!("{name}: {}: {failure:?}", test.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn over_events() {
    run(include_str!("forms/events.txt"));
}

#[test]
fn over_views() {
    run(include_str!("forms/views.txt"));
}

#[test]
fn of_keys_of_several_fields() {
    run(include_str!("forms/keys.txt"));
}

#[test]
fn without_repeats() {
    run(include_str!("forms/repeats.txt"));
}

#[test]
fn over_records_without_a_value() {
    run(include_str!("forms/tombstones.txt"));
}

#[test]
fn over_several_topics() {
    run(include_str!("forms/topics.txt"));
}
