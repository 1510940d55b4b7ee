//! What a person reads.

use headwater_engine::explain::Explanation;
use headwater_engine::graph::Graph;
use headwater_engine::project::Project;

use super::places;

fn explained(project: &Project) -> Vec<Explanation> {
    project.topologies.iter().map(|topology| Explanation::of(project, topology)).collect()
}

#[test]
fn each_domain() {
    let project = places::repository();
    for explanation in explained(&project) {
        insta::assert_snapshot!(format!("explain_{}", explanation.topology), explanation.text());
    }
    for topology in &project.topologies {
        let graph = Graph::of(&project, Some(&topology.name));
        insta::assert_snapshot!(format!("dot_{}", topology.name), graph.dot());
        insta::assert_snapshot!(format!("mermaid_{}", topology.name), graph.mermaid());
    }
}

/// Copies, aggregates, arrays, shared rows, rows beside others, retention and repeats.
#[test]
fn each_recipe() {
    let texts = places::recipes()
        .iter()
        .flat_map(|(name, project)| {
            let texts =
                explained(project).into_iter().map(|explanation| format!("=== {name}\n\n{}", explanation.text()));
            texts.collect::<Vec<_>>()
        })
        .collect::<Vec<_>>();
    insta::assert_snapshot!("explain_recipes", texts.join("\n"));
}

#[test]
fn lines_fit_a_page() {
    let projects = places::recipes().into_iter().map(|(_, project)| project).chain([places::repository()]);
    for explanation in projects.flat_map(|project| explained(&project)) {
        for line in explanation.text().lines() {
            assert!(line.chars().count() <= 120, "{line}");
            assert_eq!(line.trim_end(), line, "nothing hangs over");
        }
    }
}
