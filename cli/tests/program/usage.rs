//! Exit codes, usage and what is said where something is missing.

use crate::project::Project;

#[test]
fn exit_codes_are_0_1_and_2() {
    let project = Project::new();
    for (arguments, code, said) in [
        (&["--version"][..], 0, "headwater "),
        (&["help-me"], 2, "unrecognized subcommand"),
        (&["check", "--project", "/nowhere"], 2, "is not a folder"),
        (&["status"], 2, "there is no log"),
        (&["consume", "user"], 2, "there is no log"),
        (&["produce", "nothing"], 2, "no topic is called nothing"),
        (&["produce", "user", "Nothing"], 2, "the topic user has no event Nothing"),
        (&["token", "--sub", ""], 2, "--sub"),
        (&["token", "--sub", "a", "--hours", "0"], 2, "--hours"),
        (&["up", "--listen", "nowhere"], 2, "--listen"),
        (&["up", "--reset", "nothing"], 2, "no topology is called nothing"),
        (&["parked", "show", "x"], 2, "TOPIC/PARTITION/OFFSET"),
        (&["demo", "--url", "ftp://x"], 2, "--url"),
        (&["demo", "--url", "http://127.0.0.1:9"], 2, "headwater up"),
    ] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:#?}");
        assert!(format!("{}{}", ran.out, ran.err).contains(said), "{arguments:?} says {said:?}: {ran:#?}");
        if code != 0 {
            assert_eq!(ran.out, "", "{arguments:?}: errors go to stderr");
        }
    }
}

#[test]
fn outside_a_project_it_says_how_to_name_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Project::new().command(&["check"]);
    let ended = command.current_dir(folder.path()).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--project"), "{ended:?}");
}

#[test]
fn a_project_is_found_from_a_folder_within() {
    let project = Project::new();
    let ended = project.command(&["check"]).current_dir(project.path("pipelines/document")).output().expect("it runs");
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn every_command_has_help_with_an_example() {
    let project = Project::new();
    for command in [
        "new",
        "check",
        "test",
        "explain",
        "graph",
        "up",
        "run",
        "command-api",
        "query-api",
        "status",
        "parked",
        "produce",
        "consume",
        "token",
        "schema",
        "json-schema",
        "doctor",
        "demo",
        "bench",
    ] {
        let said = project.run(&[command, "--help"]).fine();
        assert!(said.contains("headwater "), "{command}: {said}");
        assert!(said.contains("Example"), "{command}: {said}");
    }
}

#[test]
fn a_token_says_who_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    let token = project.run(&["token", "--sub", "alice", "--role", "administrator"]).fine();
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    let key = std::fs::metadata(project.path("data/keys/signing.pem")).expect("the key");
    assert_eq!(key.permissions().mode() & 0o077, 0);
    let keys = headwater_http::Keys::load_or_create(&project.path("data/keys")).expect("the keys");
    let identity = keys.verify(token.trim()).expect("it holds");
    assert_eq!((identity.sub.as_str(), identity.roles.as_slice()), ("alice", &["administrator".to_owned()][..]));
}

#[test]
fn doctor_says_what_is_wrong_and_how_to_mend_it() {
    let project = Project::new();
    let said = project.run(&["doctor"]).fine();
    assert!(said.contains("nothing was started here yet"), "{said}");
    let line = r#"{"user_id":"ann","email":"ann@example.org","at":"2026-01-01T00:00:00Z"}"#;
    project.run_with(&["produce", "user", "UserRegistered"], line).fine();
    project.edit("schemas/user/topic.yaml", "partitions: 10", "partitions: 3");
    let ran = project.run(&["doctor", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let findings: Vec<serde_json::Value> = serde_json::from_str(&ran.out).expect("JSON");
    let wrong: Vec<_> = findings.iter().filter(|finding| finding["state"] == "wrong").collect();
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    assert_eq!(wrong[0]["found"], "user has 10 partitions and is declared with 3");
    assert!(wrong[0]["mend"].as_str().is_some_and(|mend| mend.contains("partitions: 10")), "{wrong:#?}");
}
