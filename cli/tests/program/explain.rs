//! `explain` and `graph`: what is declared, said and drawn without any server.

use crate::project::Project;

#[test]
fn the_dataflow_is_explained_without_any_server() {
    let project = Project::new();
    let said = project.run(&["explain"]).fine();
    assert!(said.starts_with("topology document, in store operational (SQLite)"), "{said}");
    for view in ["documents", "document_versions", "documents_by_update", "authors", "totals"] {
        assert!(said.contains(&format!("\nview {view} (level ")), "{view} has a block in:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours where no terminal reads them: {said}");
    let one = project.run(&["explain", "document", "--view", "totals"]).fine();
    assert!(one.starts_with("view totals (level 1)"), "{one}");
    assert!(!one.contains("view documents (") && said.contains(&one), "only that view, in the same words:\n{one}");
    assert!(!project.path("data").exists(), "nothing is made");
}

#[test]
fn it_is_json_for_programs() {
    let project = Project::new();
    let said: serde_json::Value = serde_json::from_str(&project.run(&["explain", "--json"]).fine()).expect("JSON");
    let views = said["topologies"][0]["views"].as_array().expect("views");
    let of = |name: &str| views.iter().find(|view| view["name"] == name).expect("the view");
    assert_eq!(of("documents")["owned"], true);
    assert_eq!((&of("totals")["owned"], &of("totals")["columns"][0]["owned"]), (&false.into(), &false.into()));
    assert_eq!(of("documents_by_update")["cost"]["writes"], serde_json::json!({ "least": 1, "most": 2 }));
    let one = project.run(&["explain", "--json", "--view", "totals"]).fine();
    let one: serde_json::Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(one["topologies"][0]["views"], serde_json::json!([of("totals")]));
}

#[test]
fn the_dataflow_is_drawn_three_ways() {
    let project = Project::new();
    for (arguments, starts) in [
        (&["graph"][..], "<svg "),
        (&["graph", "document", "--format", "svg"], "<svg "),
        (&["graph", "--format", "mermaid"], "flowchart LR\n"),
        (&["graph", "--format", "dot"], "digraph headwater {\n"),
    ] {
        let said = project.run(arguments).fine();
        assert!(said.starts_with(starts), "{arguments:?}: {said}");
        assert!(said.contains("documents_by_update") && said.contains("list_documents"), "{arguments:?}: {said}");
    }
    for (file, starts) in [("a.svg", "<svg "), ("a.mmd", "flowchart"), ("a.dot", "digraph")] {
        let said = project.run(&["graph", "--output", file]).fine();
        assert_eq!(said, format!("Wrote {file}.\n"));
        let text = std::fs::read_to_string(project.path(file)).expect("the file");
        assert!(text.starts_with(starts), "{file}: {text}");
    }
    let said: serde_json::Value = serde_json::from_str(&project.run(&["graph", "--json"]).fine()).expect("JSON");
    let (nodes, edges) = (said["nodes"].as_array().expect("nodes"), said["edges"].as_array().expect("edges"));
    assert_eq!(nodes.len(), 2 + 5 + 5 + 3, "topics, views, queries, commands");
    assert!(edges.iter().all(|edge| edge["to"].as_u64().is_some_and(|to| to < nodes.len() as u64)), "{said}");
}

#[test]
fn a_name_that_is_not_there_offers_the_nearest() {
    let project = Project::new();
    for (arguments, said, offered) in [
        (&["explain", "documnt"][..], "no topology is called documnt", "`document`"),
        (&["explain", "--view", "totls"], "no view is called totls", "`totals`"),
        (&["explain", "document", "--view", "autors"], "no view is called autors in topology document", "`authors`"),
        (&["graph", "documents"], "no topology is called documents", "`document`"),
        (&["graph", "--format", "png"], "invalid value 'png'", "mermaid"),
        (&["graph", "--output", "nowhere/a.svg"], "nowhere/a.svg cannot be written", "nowhere"),
    ] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:#?}");
        assert_eq!(ran.out, "", "{arguments:?}");
        for part in [said, offered] {
            assert!(ran.err.contains(part), "{arguments:?} says {part:?}: {ran:#?}");
        }
    }
}

#[test]
fn a_project_with_mistakes_is_not_explained() {
    let project = Project::new();
    project.edit("pipelines/document/topology.yaml", "store: operational", "store: operatoinal");
    for command in ["explain", "graph"] {
        let ran = project.run(&[command]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{command}");
        assert!(ran.err.contains("operatoinal"), "{command}: {}", ran.err);
    }
}
