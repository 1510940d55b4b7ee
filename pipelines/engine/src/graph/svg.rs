//! SVG that stands alone: it needs no font, no style and no program but what shows it, and is readable on light and on dark
//! pages. Every box and arrow has a title, which is its tooltip and what a screen reader says.

use std::fmt::Write;

use super::layout::{self, Item, Placed, Point, Rect};
use super::{Edge, Graph, Kind, Node};

/// Pixels.
const NAME_SIZE: f64 = 13.0;
const DETAIL_SIZE: f64 = 11.0;
/// The widest that a letter of a fixed-width font is, of its size.
const LETTER: f64 = 0.62;
const BOX_HEIGHT: f64 = 44.0;
const BOX_PADDING: f64 = 12.0;
/// Letters of a second line; the rest is in the title.
const DETAIL_LETTERS: usize = 52;
const MARGIN: f64 = 24.0;
/// Around a topology's views, and above them for its name.
const FRAME: f64 = 16.0;
const FRAME_TITLE: f64 = 22.0;
/// For the columns' headings, and below everything for the legend.
const HEAD: f64 = 78.0;
const LEGEND: f64 = 64.0;

const STYLE: &str = include_str!("style.css");

impl Graph {
    /// Where its boxes and arrows are, before margins.
    pub fn placed(&self) -> Placed {
        // What no topology reads comes last.
        let item = |node: &Node| Item {
            layer: node.layer,
            band: node.topology.unwrap_or(self.topologies.len()),
            width: width_of(node),
            height: BOX_HEIGHT,
        };
        let items: Vec<Item> = self.nodes.iter().map(item).collect();
        let arrows: Vec<(usize, usize)> = self.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        layout::place(&items, &arrows)
    }

    /// A picture.
    pub fn svg(&self) -> String {
        let placed = self.placed();
        let (width, height) = (placed.width + 2.0 * MARGIN, HEAD + placed.height + FRAME + MARGIN + LEGEND);
        let width = width.max(legend_width() + 2.0 * MARGIN);
        let mut out = String::new();
        line(
            &mut out,
            format_args!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
                 height=\"{height:.0}\" role=\"graphics-document document\" aria-labelledby=\"title desc\">"
            ),
        );
        line(&mut out, format_args!("<title id=\"title\">{}</title>", escaped(&self.title())));
        line(&mut out, format_args!("<desc id=\"desc\">{}</desc>", escaped(&self.summary())));
        line(&mut out, format_args!("<style>\n{STYLE}</style>"));
        line(&mut out, format_args!("<rect class=\"page\" width=\"100%\" height=\"100%\"/>"));
        self.headings(&mut out, &placed);
        line(&mut out, format_args!("<g transform=\"translate({MARGIN:.0} {HEAD:.0})\">"));
        self.frames(&mut out, &placed);
        for (edge, points) in self.edges.iter().zip(&placed.arrows) {
            arrow(&mut out, edge, points);
        }
        for (node, rect) in self.nodes.iter().zip(&placed.boxes) {
            draw(&mut out, node, *rect);
        }
        line(&mut out, format_args!("</g>"));
        legend(&mut out, height - LEGEND);
        line(&mut out, format_args!("</svg>"));
        out
    }

    fn title(&self) -> String {
        let names: Vec<&str> = self.topologies.iter().map(|(name, _)| name.as_str()).collect();
        let noun = if names.len() == 1 { "topology" } else { "topologies" };
        format!("Dataflow of {noun} {}", names.join(", "))
    }

    fn summary(&self) -> String {
        let count = |of: fn(Kind) -> bool| self.nodes.iter().filter(|node| of(node.kind)).count();
        let (commands, topics) = (count(|kind| kind == Kind::Command), count(|kind| kind == Kind::Topic));
        let (views, queries) = (count(Kind::is_view), count(|kind| kind == Kind::Query));
        format!("Commands {commands}, topics {topics}, views {views}, queries {queries}, from left to right.")
    }

    /// What each column holds; that of views once, over all of theirs.
    fn headings(&self, out: &mut String, placed: &Placed) {
        let mut before = None;
        for (index, (x, _)) in placed.layers.iter().enumerate() {
            let word = self.nodes.iter().find(|node| node.layer == index).map(|node| node.kind.word());
            let Some(word) = word.filter(|word| before != Some(*word)) else { continue };
            before = Some(word);
            let many = if word == "query" { "queries".to_owned() } else { format!("{word}s") };
            line(out, format_args!("<text class=\"head\" x=\"{:.1}\" y=\"{:.1}\">{many}</text>", x + MARGIN, MARGIN));
        }
    }

    /// Around a topology's views, and the arrows that pass between them.
    fn frame(&self, placed: &Placed, topology: usize) -> Option<Rect> {
        let is_view = |node: &Node| node.kind.is_view() && node.topology == Some(topology);
        let views = self.nodes.iter().zip(&placed.boxes).filter(|(node, _)| is_view(node));
        let views = views.map(|(_, rect)| *rect).reduce(around)?;
        let arrows = self.edges.iter().zip(&placed.arrows);
        let arrows = arrows.filter(|(edge, _)| self.nodes[edge.to].topology == Some(topology));
        let lanes = arrows.flat_map(|(_, points)| &points[1..points.len() - 1]);
        let lanes = lanes.filter(|(x, _)| (views.x..=views.x + views.width).contains(x));
        let lanes = lanes.map(|&(x, y)| Rect { x, y, width: 0.0, height: 0.0 });
        Some(lanes.fold(views, around))
    }

    /// A frame around each topology's views.
    fn frames(&self, out: &mut String, placed: &Placed) {
        for (index, (name, store)) in self.topologies.iter().enumerate() {
            let Some(rect) = self.frame(placed, index) else { continue };
            let (x, y) = (rect.x - FRAME, rect.y - FRAME - FRAME_TITLE);
            let (width, height) = (rect.width + 2.0 * FRAME, rect.height + 2.0 * FRAME + FRAME_TITLE);
            let title = escaped(&format!("topology {name}, in store {store}"));
            line(
                out,
                format_args!(
                    "<g class=\"frame\"><title>{title}</title>\
                     <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"10\"/>\
                     <text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
                    x + FRAME,
                    y + FRAME + 4.0,
                    escaped(name)
                ),
            );
        }
    }
}

/// The smallest rectangle with both in it.
fn around(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
    Rect { x, y, width: right - x, height: bottom - y }
}

/// What is shown of a second line.
fn shown(detail: &str) -> String {
    if detail.chars().count() <= DETAIL_LETTERS {
        return detail.to_owned();
    }
    let cut: String = detail.chars().take(DETAIL_LETTERS - 1).collect();
    format!("{cut}…")
}

/// Letters of other scripts are up to twice as wide.
fn text_width(text: &str, size: f64) -> f64 {
    let letters: f64 = text.chars().map(|c| if c.is_ascii() || c == '…' { LETTER } else { 2.0 * LETTER }).sum();
    letters * size
}

fn width_of(node: &Node) -> f64 {
    let text = text_width(&node.name, NAME_SIZE).max(text_width(&shown(&node.detail), DETAIL_SIZE));
    (text + 2.0 * BOX_PADDING).ceil()
}

fn draw(out: &mut String, node: &Node, rect: Rect) {
    let class = class_of(node.kind);
    let Rect { x, y, width, height } = rect;
    let round = if node.kind == Kind::Topic { height / 2.0 } else { 6.0 };
    let text_x = x + BOX_PADDING;
    line(
        out,
        format_args!(
            "<g class=\"{class}\" role=\"img\"><title>{}</title>\
             <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.0}\"/>\
             <text class=\"name\" x=\"{text_x:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"detail\" x=\"{text_x:.1}\" y=\"{:.1}\">{}</text></g>",
            escaped(&node.title),
            y + 18.0,
            escaped(&node.name),
            y + 34.0,
            escaped(&shown(&node.detail)),
        ),
    );
}

fn class_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Command => "command",
        Kind::Topic => "topic",
        Kind::Owned => "owned",
        Kind::Shared => "shared",
        Kind::Query => "query",
    }
}

/// A curve with a head.
fn arrow(out: &mut String, edge: &Edge, points: &[Point]) {
    const HEAD_LENGTH: f64 = 7.0;
    let class = if edge.aside { "arrow aside" } else { "arrow" };
    let Some((&(x, y), rest)) = points.split_first() else { return };
    let mut path = format!("M{x:.1} {y:.1}");
    let mut from = (x, y);
    for (index, &(x, y)) in rest.iter().enumerate() {
        let x_end = if index + 1 == rest.len() { x - HEAD_LENGTH } else { x };
        // Odd points lie across a layer from the ones before them: straight.
        if index % 2 == 1 {
            let _ = write!(path, " H{x_end:.1}");
        } else {
            let middle = (from.0 + x_end) / 2.0;
            let _ = write!(path, " C{middle:.1} {:.1} {middle:.1} {y:.1} {x_end:.1} {y:.1}", from.1);
        }
        from = (x, y);
    }
    let (x, y) = from;
    let head = format!("M{x:.1} {y:.1} l-{HEAD_LENGTH} -3.5 v7 z");
    line(
        out,
        format_args!(
            "<g class=\"{class}\"><title>{}</title><path d=\"{path}\"/><path class=\"tip\" d=\"{head}\"/></g>",
            escaped(&edge.title)
        ),
    );
}

const LEGEND_ITEMS: [(&str, &str); 7] = [
    ("command", "command"),
    ("topic", "topic"),
    ("owned", "view: one partition feeds a row"),
    ("shared", "view: many partitions feed a row"),
    ("query", "query"),
    ("arrow", "feeds"),
    ("arrow aside", "is looked at: beside, join"),
];

fn legend_item_width(text: &str) -> f64 {
    text_width(text, DETAIL_SIZE) + 26.0 + 22.0
}

fn legend_width() -> f64 {
    LEGEND_ITEMS.iter().map(|(_, text)| legend_item_width(text)).sum()
}

fn legend(out: &mut String, top: f64) {
    let y = top + LEGEND / 2.0;
    let mut x = MARGIN;
    line(out, format_args!("<g class=\"legend\">"));
    for (class, text) in LEGEND_ITEMS {
        let sign = if class.starts_with("arrow") {
            format!("<path d=\"M{x:.1} {y:.1} h20\"/>")
        } else {
            let round = if class == "topic" { 6 } else { 3 };
            format!("<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"20\" height=\"12\" rx=\"{round}\"/>", y - 6.0)
        };
        let (text_x, text_y) = (x + 26.0, y + 4.0);
        line(
            out,
            format_args!(
                "<g class=\"{class}\">{sign}<text class=\"detail\" x=\"{text_x:.1}\" y=\"{text_y:.1}\">{text}</text></g>"
            ),
        );
        x += legend_item_width(text);
    }
    line(out, format_args!("</g>"));
}

/// Text of an element or an attribute. What XML has no place for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
