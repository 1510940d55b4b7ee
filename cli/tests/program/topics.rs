//! `produce` and `consume`: JSON lines in and out of a topic.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::project::Project;

const ANN: &str = r#"{"user_id":"ann","email":"ann@example.org","at":"2026-01-01T00:00:00Z"}"#;

#[test]
fn what_is_produced_is_consumed_and_can_be_produced_again() {
    let project = Project::new();
    let input = format!(
        "{ANN}\n\n{}\n",
        r#"{"_event":"UserRegistered","_key":"bob","_time":"2026-01-02T03:04:05.006Z","_headers":{"x":"y"},"user_id":"bob","email":"b@example.org","first_name":"Bob","last_name":"Ünal","at":"2026-01-02T00:00:00.000001Z"}"#
    );
    let said = project.run_with(&["produce", "user", "UserRegistered"], &input).fine();
    assert_eq!(said, "2 records written to user.\n");
    let lines = project.run(&["consume", "user"]).lines();
    let by = |user: &str| lines.iter().find(|line| line["user_id"] == user).expect("the user");
    assert_eq!(by("ann")["_event"], "UserRegistered");
    assert_eq!(by("ann")["_key"], "ann");
    assert_eq!(by("ann")["first_name"], "", "the schema's default");
    assert_eq!(by("bob")["last_name"], "Ünal");
    assert_eq!(by("bob")["_time"], "2026-01-02T03:04:05.006Z");
    assert_eq!(by("bob")["_headers"]["x"], "y");
    assert_eq!(by("bob")["at"], "2026-01-02T00:00:00.000001Z");

    let copy = Project::new();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    copy.run_with(&["produce", "user"], &text).fine();
    assert_eq!(copy.run(&["consume", "user"]).lines(), lines);
}

#[test]
fn every_wrong_line_is_named_and_nothing_of_its_batch_is_written() {
    let project = Project::new();
    let input = [
        ANN,
        "not json",
        r#"{"user_id":"bob","email":7,"at":"yesterday"}"#,
        r#"{"user_id":"bob","emial":"b@example.org","at":"2026-01-01T00:00:00Z"}"#,
        "[]",
        r#"{"_event":"UserRenamed","user_id":"bob","email":"b","at":"2026-01-01T00:00:00Z"}"#,
        r#"{"_key":"zed","user_id":"bob","email":"b@example.org","at":"2026-01-01T00:00:00Z"}"#,
    ]
    .join("\n");
    let ran = project.run_with(&["produce", "user", "UserRegistered"], &input);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    for part in [
        "line 2:",
        "line 3: email",
        "line 3: at",
        "line 4: email",
        "line 4: emial",
        "line 5:",
        "line 6: _event",
        "line 7: _key",
    ] {
        assert!(ran.err.contains(part), "{part} in:\n{}", ran.err);
    }
    assert!(!ran.err.contains("line 1:"), "{}", ran.err);
    assert!(ran.out.starts_with("0 records written"), "{}", ran.out);
    assert_eq!(project.run(&["consume", "user"]).fine(), "");
}

#[test]
fn a_batch_before_the_wrong_one_is_written_and_said_to_be() {
    let project = Project::new();
    let line = |n: usize| format!(r#"{{"user_id":"u{n}","email":"e","at":"2026-01-01T00:00:00Z"}}"#);
    let mut lines: Vec<String> = (1..=1500).map(line).collect();
    lines[1200] = "{}".to_owned();
    let ran = project.run_with(&["--json", "produce", "user", "UserRegistered"], &lines.join("\n"));
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let said: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((&said["written"], &said["unwritten_from_line"]), (&1000.into(), &1001.into()), "{said}");
    assert!(said["problems"].as_array().is_some_and(|all| all.iter().all(|one| one["line"] == 1201)), "{said}");
    assert_eq!(project.run(&["consume", "user"]).lines().len(), 1000);
}

#[test]
fn a_record_without_a_value_is_written_by_its_key_and_as_it_was_read() {
    let project = Project::new();
    let input =
        ["{\"_event\":\"Tombstone\",\"user_id\":\"ann\"}", "{\"_event\":\"Tombstone\",\"_key\":\"bob\"}"].join("\n");
    project.run_with(&["produce", "user"], &input).fine();
    project.run_with(&["produce", "user", "Tombstone"], "{\"user_id\":\"cid\"}").fine();
    let written = project.run(&["consume", "user"]).fine();
    let told = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        format!("{} {}", line["_event"], line["_key"])
    };
    let mut keys: Vec<String> = written.lines().map(told).collect();
    keys.sort();
    assert_eq!(keys, ["\"Tombstone\" \"ann\"", "\"Tombstone\" \"bob\"", "\"Tombstone\" \"cid\""]);
    project.run_with(&["produce", "user"], &written).fine();
    assert_eq!(project.run(&["consume", "user"]).lines().len(), 6);
    for (line, said) in [
        ("{}", "user_id"),
        ("{\"user_id\":\"ann\",\"email\":\"e\"}", "email"),
        ("{\"_key\":null}", "_key"),
        ("{\"_key\":\"bob\",\"user_id\":\"ann\"}", "expected ann"),
    ] {
        let ran = project.run_with(&["produce", "user", "Tombstone"], line);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert!(ran.err.contains(said), "{said} in {}", ran.err);
    }
}

#[test]
fn checking_writes_nothing() {
    let project = Project::new();
    let said = project.run_with(&["produce", "user", "UserRegistered", "--check"], ANN).fine();
    assert_eq!(said, "1 record checked, nothing wrong.\n");
    assert_eq!(project.run(&["consume", "user"]).fine(), "");
}

#[test]
fn a_part_of_a_topic_can_be_asked_for() {
    let project = Project::new();
    let line = |n: usize| format!(r#"{{"user_id":"u{}","email":"e{n}","at":"2026-01-01T00:00:00Z"}}"#, n % 5);
    let input: Vec<String> = (0..40).map(line).collect();
    project.run_with(&["produce", "user", "UserRegistered"], &input.join("\n")).fine();
    let emails = |arguments: &[&str]| -> Vec<String> {
        let lines = project.run(arguments).lines();
        lines.iter().map(|line| line["email"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(emails(&["consume", "user", "--key", "u3"]), ["e3", "e8", "e13", "e18", "e23", "e28", "e33", "e38"]);
    assert_eq!(emails(&["consume", "user", "--limit", "7"]).len(), 7);
    assert_eq!(emails(&["consume", "user", "--from", "end"]).len(), 0);
    assert_eq!(emails(&["consume", "user", "--event", "UserRenamed"]).len(), 0);
    let ran = project.run(&["consume", "user", "--partition", "10"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.err.contains("partitions 0 to 9"), "{}", ran.err);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let project = Project::new();
    let line = |n: usize| format!(r#"{{"user_id":"u{n}","email":"{}","at":"2026-01-01T00:00:00Z"}}"#, "e".repeat(200));
    let input: Vec<String> = (0..5000).map(line).collect();
    project.run_with(&["produce", "user", "UserRegistered"], &input.join("\n")).fine();
    let mut child = project.command(&["consume", "user"]).spawn().expect("it runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut first).expect("a line");
    assert!(first.starts_with("{\"_event\":\"UserRegistered\""), "{first}");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn following_shows_what_another_process_writes_and_ends_with_a_signal() {
    let project = Project::new();
    project.run_with(&["produce", "user", "UserRegistered"], ANN).fine();
    let mut following =
        project.command(&["consume", "user", "--follow"]).stderr(Stdio::inherit()).spawn().expect("it runs");
    let mut lines = BufReader::new(following.stdout.take().expect("stdout")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert!(next().contains("\"ann\""));
    project.run_with(&["produce", "user", "UserRegistered"], &ANN.replace("ann", "bob")).fine();
    assert!(next().contains("\"bob\""));
    let sent = std::process::Command::new("kill").args(["-INT", &following.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    assert_eq!(following.wait().expect("it ends").code(), Some(0));
}

#[test]
fn schemas_are_compared_and_published_ahead_of_a_start() {
    let project = Project::new();
    let schema = |action: &str| project.run(&["schema", action, "--topic", "user"]);
    assert!(schema("check").fine().contains("user-user.UserRegistered: new\n"));
    assert!(schema("publish").fine().contains("user-user.UserRegistered: registered (id 1)\n"));
    assert!(schema("publish").fine().contains("user-user.UserRegistered: was registered (id 1)\n"));
    assert!(schema("diff").fine().contains("user-user.UserRegistered: registered as version 1 (id 1)\n"));
    let file = "schemas/user/UserRegistered.avsc";
    let before = r#"{ "name": "first_name","#;
    let added = format!(r#"{{ "name": "nick", "type": "string", "default": "" }}, {before}"#);
    project.edit(file, before, &added);
    let said = schema("diff").fine();
    assert!(
        said.contains("UserRegistered: new version, after 1 version\n    + nick: string (has a default)\n"),
        "{said}"
    );
    // Without its default it cannot read what is in the log: nothing of the topic is published.
    project.edit(file, r#""nick", "type": "string", "default": """#, r#""nick", "type": "string""#);
    for action in ["check", "publish"] {
        let ran = schema(action);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert!(ran.out.contains("refused") && ran.out.contains("nick: "), "{}", ran.out);
    }
    let lines = project.run(&["schema", "check", "--json"]).out;
    let states: Vec<&str> =
        lines.lines().filter_map(|line| line.split("\"state\":\"").nth(1)?.split('"').next()).collect();
    assert_eq!(states, ["new", "new", "new", "refused", "registered"]);
}

#[test]
fn a_server_that_the_environment_does_not_name_is_said_so() {
    let project = Project::new();
    project.edit("headwater.yaml", "registry:\n  embedded: data", "registry:\n  url: \"${NO_SUCH_REGISTRY}\"");
    project.run(&["check"]).fine();
    let ran = project.run(&["schema", "check"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.err.contains("NO_SUCH_REGISTRY") && ran.err.contains("registry.url"), "{}", ran.err);
}
