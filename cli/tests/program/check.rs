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
    project.edit("pipelines/document/commands.yaml", "emits: DocumentRemoved", "emits: DocumentRemovd");
    project.edit(
        "pipelines/document/commands.yaml",
        "    delete: \"/documents/{doc_id}\"",
        "    delette: \"/documents/{doc_id}\"",
    );
    project.edit("schemas/document/topic.yaml", "partitions: 10", "partitions: ten");
    let ran = project.run(&["check"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    assert_eq!(ran.out, "");
    for part in [
        "mimetype",
        "operatoinal",
        "DocumentRemovd",
        "delette",
        "ten",
        "topology.yaml:",
        "commands.yaml:",
        "topic.yaml:",
    ] {
        assert!(ran.err.contains(part), "{part} is named in:\n{}", ran.err);
    }
    // The nearest valid names are offered.
    for part in ["`operational`", "`DocumentRemoved`", "`delete`"] {
        assert!(ran.err.contains(part), "{part} is offered in:\n{}", ran.err);
    }
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
    assert_eq!(found["line"], 3);
    assert!(found["message"].as_str().is_some_and(|message| message.contains("operatoinal")), "{said}");
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
    for part in ["pipelines/document/tests/totals.yaml:", "view `totals` differs", "versions: 6", "versions: 5"] {
        assert!(ran.out.contains(part), "{part} in:\n{}", ran.out);
    }
}

#[test]
fn a_test_that_nothing_matches_is_wrong_usage() {
    let ran = Project::new().run(&["test", "no such test"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
}
