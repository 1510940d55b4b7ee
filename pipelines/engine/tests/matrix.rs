//! The declared tests of this repository under the matrix of faults: every run leaves the same rows.

use std::path::Path;

use headwater_engine::harness;
use headwater_engine::project::Project;

#[test]
fn declared_tests_hold_under_faults_by_the_rules_of_every_store() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
    assert!(!project.tests.is_empty());
    for case in &project.tests {
        let verdict = harness::run(case, &project.topologies).expect("events that their schemas take");
        assert!(verdict.passed(), "{}: {:#?}", case.name, verdict.failures);
        for (rules, runs) in &verdict.by_rules {
            assert!(*runs > 0, "{}: no run by the rules of {rules}", case.name);
        }
    }
}

/// A test that fails says which rows it is about.
#[test]
fn rows_that_are_not_expected_are_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
    let case = project
        .tests
        .iter_mut()
        .find(|case| case.expect.iter().any(|view| view.view == "totals" && !view.rows.is_empty()));
    let case = case.expect("a test that names the totals");
    case.given.pop();
    let verdict = harness::run(case, &project.topologies).expect("events that their schemas take");
    let totals = verdict.failures.iter().find(|failure| failure.message == "view `totals` differs");
    let lines = &totals.expect("the totals differ").lines;
    assert!(lines[0].starts_with("- { ") && lines[1].starts_with("+ { "), "{lines:?}");
}
