//! `headwater graph`: the dataflow as a picture.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use headwater_engine::graph::Graph as Dataflow;

use crate::context::Context;
use crate::explain::check_topology;
use crate::failure::{Answer, Failure};

/// Draw commands, topics, views and queries as SVG, Mermaid or DOT
#[derive(Debug, Args)]
#[command(
    long_about = "Draws what flows into what, from the declarations alone and with no server: commands, topics, views and \
                  queries from left to right, a frame around the views of each topology. A solid arrow feeds; a dashed one \
                  is only looked at (a row that stands beside, a join). Views with a bold edge have rows that many partitions \
                  feed.\n\nThe SVG needs nothing else to be drawn, follows a page's light or dark colours, and says more \
                  where the pointer rests. Mermaid is drawn by GitHub and others where it stands in a page; DOT is for \
                  Graphviz.",
    after_help = "Examples:\n  headwater graph --output dataflow.svg\n  headwater graph document --format mermaid\n  \
                  headwater graph --format dot | dot -Tpng > dataflow.png\n  headwater graph --json | jq '.nodes[].name'\n\n\
                  With --json, one document of nodes and edges (by the nodes' places) in place of a picture.\n\n\
                  Exit codes: 0 drawn, 1 there are mistakes in the project, 2 wrong usage or no project."
)]
pub(crate) struct Graph {
    /// Only this topology, with what writes and reads it
    topology: Option<String>,

    /// How it is written [default: by FILE's ending (.mmd, .dot, .gv), else svg]
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<Format>,

    /// Into this file; otherwise to stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Svg,
    Mermaid,
    Dot,
}

impl Format {
    /// By a file's ending.
    fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()? {
            "mmd" | "mermaid" => Some(Format::Mermaid),
            "dot" | "gv" => Some(Format::Dot),
            _ => None,
        }
    }
}

impl Graph {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        check_topology(&project, self.topology.as_deref())?;
        let graph = Dataflow::of(&project, self.topology.as_deref());
        let text = self.text(context, &graph)?;
        let mut out = context.output();
        match &self.output {
            Some(file) => {
                let written = std::fs::write(file, text);
                written.map_err(|error| Failure::because(format!("{} cannot be written", file.display()), &error))?;
                if !context.json {
                    out.line(format!("Wrote {}.", file.display()))?;
                }
            }
            None => out.line(text.trim_end())?,
        }
        out.flush()?;
        Ok(Answer::Yes)
    }

    fn text(&self, context: &Context, graph: &Dataflow) -> Result<String, Failure> {
        if context.json {
            let json = serde_json::to_string(graph);
            return json.map_err(|error| Failure::because("the graph cannot be written as JSON", &error));
        }
        let format = self.format.or_else(|| Format::of(self.output.as_deref()?)).unwrap_or(Format::Svg);
        Ok(match format {
            Format::Svg => graph.svg(),
            Format::Mermaid => graph.mermaid(),
            Format::Dot => graph.dot(),
        })
    }
}
