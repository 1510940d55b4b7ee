//! `new` and `json-schema`: a project that is right as it is made, and does what its README says.

use std::process::Command;

use serde_json::Value as Json;

use crate::project::{Project, Ran};

/// The indented lines of a README, a block each.
fn blocks(readme: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in readme.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(code), Some(block)) => block.push_str(&format!("{code}\n")),
            (None, Some(block)) if !block.is_empty() => blocks.push(String::new()),
            _ => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

#[test]
fn a_new_project_does_what_its_readme_says() {
    let project = Project::empty();
    let said = project.run(&["new", "."]).fine();
    for line in ["  cd .\n", "  headwater check\n", "  headwater test\n", "  headwater up\n"] {
        assert!(said.contains(line), "{said}");
    }
    let readme = std::fs::read_to_string(project.path("README.md")).expect("a README");
    let blocks = blocks(&readme);
    let [first, tries] = blocks.as_slice() else { panic!("two blocks: {blocks:#?}") };
    let words = first.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    assert_eq!(words.collect::<Vec<_>>(), ["headwater check", "headwater test", "headwater up"]);

    let checked = project.run(&["check"]).fine();
    assert_eq!(checked, "Nothing wrong in 1 topic, 1 topology, 3 views, 3 commands, 3 queries, 2 tests.\n");
    assert!(project.run(&["test"]).fine().contains("all passed"));
    let up = project.up(&[]);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_headwater")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").expect("a path"));
    let mut shell = Command::new("bash");
    assert_eq!(tries.matches("http://127.0.0.1:8080").count(), 2, "{tries}");
    shell.arg("-euc").arg(tries.replace("http://127.0.0.1:8080", &up.url)).current_dir(project.path("."));
    let said = Ran::from(shell.env("PATH", path).env("no_proxy", "*").output().expect("bash and curl")).fine();
    let answers: Vec<Json> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [added, listed] = answers.as_slice() else { panic!("two answers: {said}") };
    assert!(added["order_id"].is_string(), "{added}");
    let item = &listed["items"][0];
    assert_eq!((&item["title"], &item["order_id"]), (&"First".into(), &added["order_id"]), "{listed}");
}

#[test]
fn what_is_there_is_left_alone() {
    let project = Project::empty();
    let made = project.run(&["new", "shop", "--domain", "category", "--store", "postgres", "--json"]).lines();
    assert_eq!((&made[0]["project"], &made[0]["folder"]), (&"shop".into(), &"shop".into()));
    for path in made[0]["files"].as_array().expect("files") {
        assert!(project.path("shop").join(path.as_str().expect("a path")).is_file(), "{path}");
    }
    let config = std::fs::read_to_string(project.path("shop/headwater.yaml")).expect("a file");
    assert!(config.contains("${DATABASE_URL}"), "{config}");
    // No server is asked.
    project.run(&["--project", "shop", "check"]).fine();
    std::fs::write(project.path("file"), "").expect("written");
    for (arguments, said) in [
        (&["new", "shop"][..], "shop is not empty"),
        (&["new", "file"], "file is not a folder"),
        (&["new", "file/shop"], "file/shop"),
        (&["new", "my shop"], "\"my shop\" cannot be the name of a project"),
        (&["new", "-x"], "-x"),
        (&["new", ".."], "is not empty"),
        (&["new", "two", "--domain", "Order"], "a domain is a letter, then lower-case letters"),
        (&["new", "two", "--domain", "a/../../b"], "a domain is a letter"),
        (&["new", "two", "--domain", "doc"], "/docs"),
        (&["new", "two", "--store", "paper"], "cassandra"),
    ] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:#?}");
        assert!(ran.err.contains(said) && ran.out.is_empty(), "{arguments:?} says {said:?}: {ran:#?}");
    }
    assert!(!project.path("two").exists() && !project.path("my shop").exists());
}

#[test]
fn schemas_are_written_anew() {
    let project = Project::empty();
    project.run(&["new", "shop"]).fine();
    let path = project.path("shop/.headwater/schemas/topic.json");
    let written = std::fs::read_to_string(&path).expect("a schema");
    std::fs::write(&path, "old").expect("written");
    assert_eq!(project.run(&["json-schema", "topic"]).fine(), written);
    let said = project.run(&["json-schema", "--output", "shop/.headwater/schemas"]).fine();
    assert_eq!(said.lines().count(), 6, "{said}");
    assert_eq!(std::fs::read_to_string(&path).expect("a schema"), written);
    assert_eq!(project.run(&["json-schema"]).code, Some(2));
    assert_eq!(project.run(&["json-schema", "topics"]).code, Some(2));
}
