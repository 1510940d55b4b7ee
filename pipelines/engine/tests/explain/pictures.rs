//! Nothing in a picture overlaps, everything is in it, and no arrow runs through a box.

use headwater_engine::graph::layout::{Placed, Rect};
use headwater_engine::graph::{Graph, Kind};

use super::{generated, places};

fn graphs() -> Vec<(String, Graph)> {
    let mut graphs = vec![
        ("thirty views".to_owned(), Graph::of(&generated::thirty_views(), None)),
        ("one of three".to_owned(), Graph::of(&generated::thirty_views(), Some("shipment"))),
        ("the repository".to_owned(), Graph::of(&places::repository(), None)),
    ];
    graphs.extend(places::recipes().into_iter().map(|(name, project)| (name, Graph::of(&project, None))));
    graphs
}

fn overlap(a: Rect, b: Rect) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

#[test]
fn boxes_do_not_overlap_and_are_within_the_picture() {
    for (name, graph) in graphs() {
        let placed = graph.placed();
        assert_eq!(placed.boxes.len(), graph.nodes.len());
        for (index, rect) in placed.boxes.iter().enumerate() {
            let node = &graph.nodes[index].name;
            assert!(rect.x >= 0.0 && rect.x + rect.width <= placed.width, "{name}: {node} at {rect:?}");
            assert!(rect.y >= 0.0 && rect.y + rect.height <= placed.height, "{name}: {node} at {rect:?}");
            for (other, at) in placed.boxes.iter().enumerate().skip(index + 1) {
                assert!(!overlap(*rect, *at), "{name}: {node} is over {}", graph.nodes[other].name);
            }
        }
        let drawn = drawn(&graph.svg());
        assert_eq!(drawn.boxes.len(), graph.nodes.len() + frames(&graph).len(), "{name}");
        for rect in &drawn.boxes {
            assert!(rect.x >= 0.0 && rect.x + rect.width <= drawn.width, "{name}: {rect:?} in {}", drawn.width);
            assert!(rect.y >= 0.0 && rect.y + rect.height <= drawn.height, "{name}: {rect:?} in {}", drawn.height);
        }
    }
}

/// An arrow is straight where it crosses a layer and curved only between layers, so it is enough to look at the layers.
#[test]
fn no_arrow_runs_through_a_box() {
    for (name, graph) in graphs() {
        let Placed { boxes, arrows, layers, height, .. } = graph.placed();
        for (edge, points) in graph.edges.iter().zip(&arrows) {
            assert_eq!(points.len() % 2, 0, "{name}: {}", edge.title);
            assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0), "{name}: {} goes back", edge.title);
            for lane in points[1..points.len() - 1].chunks(2) {
                let ((left, y), (right, _)) = (lane[0], lane[1]);
                assert!(layers.contains(&(left, right - left)), "{name}: {} crosses a layer", edge.title);
                assert!((-1.0..=height + 1.0).contains(&y), "{name}: {} is in the picture", edge.title);
                let way = Rect { x: left, y: y - 2.0, width: right - left, height: 4.0 };
                let met = boxes.iter().position(|rect| overlap(*rect, way));
                assert_eq!(met.map(|met| &graph.nodes[met].name), None, "{name}: {}", edge.title);
            }
        }
    }
}

/// A frame holds the views of its topology, and nothing of another.
#[test]
fn frames_keep_topologies_apart() {
    for (name, graph) in graphs() {
        let placed = graph.placed();
        let frames = frames(&graph);
        for (index, frame) in &frames {
            for (node, rect) in graph.nodes.iter().zip(&placed.boxes) {
                let inside = node.kind.is_view() && node.topology == Some(*index);
                assert!(inside || !overlap(*frame, *rect), "{name}: {} is in another's frame", node.name);
            }
            for (other, at) in frames.iter().filter(|(other, _)| other != index) {
                assert!(!overlap(*frame, *at), "{name}: frames {index} and {other}");
            }
        }
    }
}

/// The boxes of each topology's views together.
fn frames(graph: &Graph) -> Vec<(usize, Rect)> {
    let placed = graph.placed();
    let around = |a: Rect, b: Rect| {
        let (x, y) = (a.x.min(b.x), a.y.min(b.y));
        let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
        Rect { x, y, width: right - x, height: bottom - y }
    };
    let of = |index: usize| {
        let views = graph.nodes.iter().zip(&placed.boxes);
        let views = views.filter(|(node, _)| node.kind.is_view() && node.topology == Some(index));
        views.map(|(_, rect)| *rect).reduce(around).map(|rect| (index, rect))
    };
    (0..graph.topologies.len()).filter_map(of).collect()
}

/// What an SVG shows, with the margins that its group is moved by.
struct Drawn {
    width: f64,
    height: f64,
    boxes: Vec<Rect>,
}

fn drawn(svg: &str) -> Drawn {
    let number = |text: &str, name: &str| -> f64 {
        let (_, rest) = text.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{name} of {text}"));
        rest.split('"').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} of {text}"))
    };
    let head = svg.lines().next().expect("a head");
    let (_, moved) = svg.split_once("translate(").expect("a group");
    let moved: Vec<f64> =
        moved.split(')').next().expect("two numbers").split(' ').map(|n| n.parse().expect("a number")).collect();
    let rects = svg.lines().filter(|line| line.contains("<rect ") && line.contains("<title>"));
    let boxes = rects.map(|line| {
        let (_, rect) = line.split_once("<rect").expect("a rectangle");
        let (x, y) = (number(rect, "x") + moved[0], number(rect, "y") + moved[1]);
        Rect { x, y, width: number(rect, "width"), height: number(rect, "height") }
    });
    Drawn { width: number(head, "width"), height: number(head, "height"), boxes: boxes.collect() }
}

/// Each letter of a fixed-width font is at most 0.62 of its size wide.
#[test]
fn text_fits_its_box() {
    let graph = Graph::of(&generated::thirty_views(), None);
    let placed = graph.placed();
    for (node, rect) in graph.nodes.iter().zip(&placed.boxes) {
        assert!(node.name.chars().count() as f64 * 13.0 * 0.62 <= rect.width - 20.0, "{}", node.name);
    }
}

#[test]
fn a_picture_says_what_is_in_it_and_is_well_formed() {
    let project = places::repository();
    let graph = Graph::of(&project, None);
    let svg = graph.svg();
    for node in &graph.nodes {
        let title = node.title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        assert!(svg.contains(&format!("<title>{title}</title>")), "{title}");
    }
    let (opened, closed) = (svg.matches("<g").count(), svg.matches("</g>").count());
    assert_eq!(opened, closed, "groups");
    assert!(graph.nodes.iter().any(|node| node.kind == Kind::Shared), "totals are shared");
    assert!(svg.contains("prefers-color-scheme: dark"), "readable on dark pages");
}

/// Names and documentation are written by others: none of it is markup here.
#[test]
fn names_and_titles_are_escaped() {
    let mut graph = Graph::of(&places::repository(), None);
    let hostile = "a\"]; <script>&b#`\\\u{1b}";
    graph.nodes[0].name = hostile.to_owned();
    graph.nodes[0].title = hostile.to_owned();
    graph.edges[0].label = hostile.to_owned();
    graph.edges[0].title = hostile.to_owned();
    let (svg, mermaid, dot) = (graph.svg(), graph.mermaid(), graph.dot());
    assert!(!svg.contains("<script>") && svg.contains("a&quot;]; &lt;script&gt;&amp;b#"), "{svg}");
    assert!(mermaid.contains("\"a#34;]#59; #60;script#62;#38;b#35;#96;#92; <br/>"), "{mermaid}");
    assert!(dot.contains("label=\"a\\\"]; <script>&b#`\\\\ \\n"), "{dot}");
    for text in [svg, mermaid, dot] {
        assert!(!text.contains('\u{1b}'), "no control characters");
    }
}

/// The picture that the documentation shows.
#[test]
fn the_documented_picture_is_true() {
    let file = places::root().join("docs/images/document.svg");
    let drawn = std::fs::read_to_string(&file).unwrap_or_default();
    let now = Graph::of(&places::repository(), Some("document")).svg();
    let help = "draw it anew: headwater graph document --output docs/images/document.svg";
    assert!(drawn == now, "docs/images/document.svg is of another dataflow; {help}");
}
