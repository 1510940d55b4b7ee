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

/// A project of one topology over one topic, with one test.
fn verdict(topology: &str, test: &str) -> harness::Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    let schema = r#"{ "type": "record", "name": "Read", "namespace": "reading", "fields": [
        { "name": "id", "type": "string" }, { "name": "room", "type": "string" }, { "name": "n", "type": "long" } ] }"#;
    let topic = "topic: reading\nkey: id\npartitions: 3\nretention: forever\nevents: [Read]\n";
    for (path, text) in [
        ("headwater.yaml", "stores:\n  operational: { sqlite: data/views.db }\n"),
        ("schemas/reading/topic.yaml", topic),
        ("schemas/reading/Read.avsc", schema),
        ("pipelines/readings/topology.yaml", topology),
        ("pipelines/readings/tests/all.yaml", test),
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let project = Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{report}"));
    harness::run(&project.tests[0], &project.topologies).expect("events that their schemas take")
}

#[test]
fn equal_values_of_an_order_by_are_told() {
    let verdict = verdict(
        "topology: readings\nstore: operational\nreads: [reading]\nviews:\n  rooms:\n    key: [room]\n    from: Read\n    \
         columns: { newest: last(id order by n) }\n",
        "test: a tie\ngiven:\n  - Read: { id: a, room: r, n: 1 }\n  - Read: { id: b, room: r, n: 1 }\n\
         expect:\n  rooms:\n    - { room: r, newest: b }\n",
    );
    let lines: Vec<&String> = verdict.failures.iter().flat_map(|failure| &failure.lines).collect();
    assert!(lines.iter().any(|line| line.contains("At equal values of its `order by`")), "{lines:?}");
}

#[test]
fn another_reason_than_expected_is_told() {
    let verdict = verdict(
        "topology: readings\nstore: operational\nreads: [reading]\nviews:\n  readings:\n    key: [id]\n    from: Read\n    \
         columns: { share: \"sum(100 / n)\" }\n",
        "test: a reason\ngiven:\n  - Read: { id: a, room: r, n: 0 }\n\
         expect:\n  readings: []\nparked:\n  - { event: 1, reason: misrouted }\n",
    );
    let said: Vec<&String> = verdict.failures.iter().map(|failure| &failure.message).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("event 1 was parked for another reason than `misrouted`: "), "{said:?}");
    assert!(said[0].contains("division by zero"), "{said:?}");
}

/// A row with a NaN is the same row under every fault, though no NaN is equal to another.
#[test]
fn a_nan_is_itself() {
    let topology = "topology: readings\nstore: operational\nreads: [reading]\nviews:\n  rooms:\n    key: [id]\n    from: Read\n    \
                    columns: { x: last(cast(room as double precision)), readings: count() }\n";
    let test = "test: nobody knows\ngiven:\n  - Read: { id: r1, room: NaN }\n  - Read: { id: r1, room: NaN }\nexpect:\n  rooms:\n    \
                - { id: r1, readings: 2 }\n";
    let verdict = verdict(topology, test);
    assert!(verdict.passed(), "{:#?}", verdict.failures);
}
