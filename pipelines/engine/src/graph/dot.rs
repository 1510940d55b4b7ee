//! Graphviz's DOT.

use std::fmt::Write;

use super::{Graph, Kind, Node};

impl Graph {
    /// A digraph for `dot -Tsvg`.
    pub fn dot(&self) -> String {
        let mut out =
            String::from("digraph headwater {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\"];\n");
        for (index, (name, store)) in self.topologies.iter().enumerate() {
            let title = quoted(&format!("topology {name}, in {store}"));
            line(&mut out, format_args!("  subgraph cluster_{index} {{\n    label={title};"));
            let views = self.nodes.iter().enumerate().filter(|(_, node)| node.kind.is_view());
            for (place, node) in views.filter(|(_, node)| node.topology == Some(index)) {
                line(&mut out, format_args!("    {}", box_of(place, node)));
            }
            line(&mut out, format_args!("  }}"));
        }
        for (place, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.kind.is_view()) {
            line(&mut out, format_args!("  {}", box_of(place, node)));
        }
        for edge in &self.edges {
            let style = if edge.aside { ", style=dashed" } else { "" };
            let label = if edge.label.is_empty() { String::new() } else { format!("label={}, ", quoted(&edge.label)) };
            let title = quoted(&edge.title);
            line(&mut out, format_args!("  n{} -> n{} [{label}tooltip={title}{style}];", edge.from, edge.to));
        }
        out.push_str("}\n");
        out
    }
}

fn box_of(place: usize, node: &Node) -> String {
    let more = match node.kind {
        Kind::Command => "fillcolor=\"#fde8e0\"",
        Kind::Topic => "fillcolor=\"#fff3d1\", shape=cds",
        Kind::Owned => "fillcolor=\"#e2effd\"",
        Kind::Shared => "fillcolor=\"#eee6fb\", peripheries=2",
        Kind::Query => "fillcolor=\"#e0f5e6\"",
    };
    let label = format!("{}\n{}", node.name, node.detail);
    format!("n{place} [label={}, tooltip={}, {more}];", quoted(&label), quoted(&node.title))
}

/// A quoted string; a line's end is written `\n`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
