//! `check` and `test`: every mistake named, with its place.

use crate::project::Project;

#[test]
fn the_projects_own_declarations_are_right() {
    let project = Project::new();
    let said = project.run(&["check"]).fine();
    assert!(said.starts_with("Nothing wrong in 2 topics, 1 topology, 5 views, 3 commands, 5 queries, "), "{said}");
    assert!(!project.path("data").exists(), "check makes nothing");
}

#[test]
fn five_mistakes_in_three_files_are_all_named_with_their_places() {
    let project = Project::new();
    let topology = "pipelines/document/topology.yaml";
    project.edit(
        topology,
        "mime_type: last(mime_type)\n      created_by: first",
        "mime_type: last(mimetype)\n      created_by: first",
    );
    project.edit(topology, "store: operational", "store: operatoinal");
    project.edit("pipelines/document/commands.yaml", "emits: DocumentAdded", "emits: DocumentAded");
    project.edit("pipelines/document/queries.yaml", "    row: totals", "    row: total");
    project.edit(
        "pipelines/document/queries.yaml",
        "size: { default: 50, max: 500 }",
        "size: { default: many, max: 500 }",
    );
    let ran = project.run(&["check"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert_eq!(ran.out, "");
    for (place, named, offered) in [
        ("topology.yaml:4:8", "operatoinal", "`operational`"),
        ("topology.yaml:20:23", "mimetype", "`mime_type`"),
        ("commands.yaml:7:12", "DocumentAded", "`DocumentAdded`"),
        ("queries.yaml:11:22", "many", "whole number"),
        ("queries.yaml:18:10", "there is no view `total`", "queries.yaml"),
    ] {
        for part in [place, named, offered] {
            assert!(ran.err.contains(part), "{part} is in:\n{}", ran.err);
        }
    }
    assert!(ran.err.trim_end().ends_with("5 errors in 3 files"), "{}", ran.err);
}

#[test]
fn mistakes_are_json_for_programs() {
    let project = Project::new();
    project.edit("pipelines/document/topology.yaml", "store: operational", "store: operatoinal");
    let ran = project.run(&["check", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let said: serde_json::Value = serde_json::from_str(&ran.out).expect("one document");
    let found = &said["diagnostics"][0];
    assert_eq!(found["file"], "pipelines/document/topology.yaml");
    assert_eq!((&found["line"], &found["column"]), (&4.into(), &8.into()));
    assert_eq!((&found["severity"], &found["code"]), (&"error".into(), &"unknown-name".into()));
    assert_eq!(found["help"], "did you mean `operational`?");
    assert!(found["message"].as_str().is_some_and(|message| message.contains("operatoinal")), "{said}");
}

/// Whatever a program may get is in the help, with what the exit codes mean.
#[test]
fn the_help_names_every_code() {
    let help = Project::new().run(&["check", "--help"]).fine();
    let words: Vec<&str> = help.split_whitespace().collect();
    for code in headwater_engine::source::Code::ALL {
        let named = |word: &&&str| word.trim_end_matches([',', '.']) == code.as_str();
        assert!(words.iter().any(|word| named(&word)), "{} is not in:\n{help}", code.as_str());
    }
    assert!(help.contains("Exit codes: 0"), "{help}");
}

/// A report that goes to a file or a pipe has no colours in it.
#[test]
fn colours_are_for_terminals() {
    let project = Project::new();
    project.edit("pipelines/document/topology.yaml", "store: operational", "store: operatoinal");
    let ran = project.run(&["check"]);
    assert!(ran.err.contains("operatoinal") && !ran.err.contains('\u{1b}'), "{}", ran.err);
}

#[test]
fn the_domains_own_tests_pass_and_a_wrong_one_fails_by_row() {
    let project = Project::new();
    let said = project.run(&["test"]).fine();
    assert!(said.contains("all passed"), "{said}");
    project.edit(
        "pipelines/document/tests/totals.yaml",
        "{ documents: 2, versions: 5 }",
        "{ documents: 2, versions: 6 }",
    );
    let ran = project.run(&["test", "totals"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    for part in ["pipelines/document/tests/totals.yaml:", "view `totals` differs", "versions: \"6\"", "versions: \"5\""]
    {
        assert!(ran.out.contains(part), "{part} in:\n{}", ran.out);
    }
}

#[test]
fn a_test_that_nothing_matches_is_wrong_usage() {
    let ran = Project::new().run(&["test", "no such test"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
}
