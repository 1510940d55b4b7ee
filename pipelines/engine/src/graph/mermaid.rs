//! Mermaid, which GitHub and others draw where it stands in a page.

use std::fmt::Write;

use super::{Graph, Kind, Node};

impl Graph {
    /// A Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for (index, (name, store)) in self.topologies.iter().enumerate() {
            if !self.has_views(index) {
                continue;
            }
            let views = self.nodes.iter().enumerate().filter(|(_, node)| node.kind.is_view());
            let views = views.filter(|(_, node)| node.topology == Some(index));
            line(
                &mut out,
                format_args!("  subgraph t{index}[\"{}\"]", escaped(&format!("topology {name}, in {store}"))),
            );
            for (place, node) in views {
                line(&mut out, format_args!("    {}", box_of(place, node)));
            }
            line(&mut out, format_args!("  end"));
        }
        for (place, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.kind.is_view()) {
            line(&mut out, format_args!("  {}", box_of(place, node)));
        }
        for edge in &self.edges {
            let arrow = if edge.aside { "-.->" } else { "-->" };
            let label = if edge.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&edge.label)) };
            line(&mut out, format_args!("  n{} {arrow}{label} n{}", edge.from, edge.to));
        }
        for (index, _) in self.topologies.iter().enumerate().filter(|(index, _)| self.has_views(*index)) {
            line(&mut out, format_args!("  style t{index} {FRAME}"));
        }
        for (class, style) in CLASSES {
            line(&mut out, format_args!("  classDef {class} {style}"));
        }
        out
    }

    /// An empty frame would not be Mermaid.
    fn has_views(&self, topology: usize) -> bool {
        self.nodes.iter().any(|node| node.kind.is_view() && node.topology == Some(topology))
    }
}

/// Of a topology's frame.
const FRAME: &str = "fill:#f6f8fa,stroke:#d0d7de,color:#1f2328";
/// Of every kind of box: readable in light and in dark pages.
const CLASSES: [(&str, &str); 5] = [
    ("command", "fill:#fde8e0,stroke:#b4532a,color:#1f2328"),
    ("topic", "fill:#fff3d1,stroke:#9a6700,color:#1f2328"),
    ("owned", "fill:#e2effd,stroke:#2468b0,color:#1f2328"),
    ("shared", "fill:#eee6fb,stroke:#7044c0,color:#1f2328,stroke-width:3px"),
    ("query", "fill:#e0f5e6,stroke:#2c7a4b,color:#1f2328"),
];

fn box_of(place: usize, node: &Node) -> String {
    let label = format!("\"{}<br/><small>{}</small>\"", escaped(&node.name), escaped(&node.detail));
    let (open, close, class) = match node.kind {
        Kind::Command => ("[", "]", "command"),
        Kind::Topic => ("([", "])", "topic"),
        Kind::Owned => ("[", "]", "owned"),
        Kind::Shared => ("[", "]", "shared"),
        Kind::Query => ("(", ")", "query"),
    };
    format!("n{place}{open}{label}{close}:::{class}")
}

/// Text within quotes: what Mermaid or HTML would read otherwise is written by its code.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | ';' => out.push_str(&format!("#{};", u32::from(c))),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
