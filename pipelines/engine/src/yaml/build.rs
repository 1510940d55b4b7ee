//! From parser events to a [`Node`]: an explicit stack, so that depth is a count and not the machine's stack.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as RawSpan};

use super::{Kind, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, mistake};
use crate::source::{Code, Diagnostic, FileId, Span};

/// Bytes of text that aliases may stand for, all together.
const MAX_EXPANDED_BYTES: usize = 8 * MAX_BYTES;

pub(super) fn tree(file: FileId, text: &str, out: &mut Vec<Diagnostic>) -> Option<Node> {
    let at = |range| Span { file, range };
    if text.len() > MAX_BYTES {
        out.push(
            Diagnostic::error(
                &at(0..0),
                format!("the file has {} bytes, more than the {MAX_BYTES} allowed", text.len()),
            )
            .help("split it: a folder may hold many topologies, each in a folder of its own"),
        );
        return None;
    }
    if let Some((index, c)) = control(text) {
        let message = format!("the control character U+{:04X} cannot stand in YAML", u32::from(c));
        out.push(Diagnostic::error(&at(index..index + c.len_utf8()), message).label("remove this"));
        return None;
    }
    let mut builder = Builder::new(file, text);
    let node = builder.run();
    out.append(&mut builder.mistakes);
    node
}

/// The first control character that is no white space, and where it stands.
fn control(text: &str) -> Option<(usize, char)> {
    let white = |byte: u8| matches!(byte, b'\n' | b'\r' | b'\t');
    // Nearly every text has none, which its bytes tell much faster: those from U+0080 begin with 0xC2.
    let suspicious = |byte: u8| (byte < b' ' && !white(byte)) || byte == 0x7f || byte == 0xc2;
    if !text.bytes().any(suspicious) {
        return None;
    }
    text.char_indices().find(|&(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// Characters to bytes: the parser counts characters.
struct Offsets {
    /// The byte-order mark, if there is one, is not the parser's to see.
    skipped: usize,
    len: usize,
    /// None where every character is a byte.
    by_char: Option<Vec<u32>>,
}

impl Offsets {
    fn new(text: &str, skipped: usize) -> Self {
        let rest = &text[skipped..];
        let by_char = (!rest.is_ascii())
            .then(|| rest.char_indices().map(|(byte, _)| u32::try_from(byte).unwrap_or(u32::MAX)).collect());
        Self { skipped, len: text.len(), by_char }
    }

    fn byte(&self, marker: &Marker) -> usize {
        let index = match &self.by_char {
            None => marker.index(),
            Some(bytes) => bytes.get(marker.index()).map_or(self.len, |&byte| byte as usize),
        };
        (index + self.skipped).min(self.len)
    }
}

/// A collection that is still open.
struct Frame {
    open: Open,
    start: usize,
    /// Where its last child ends, quotes included.
    end: usize,
    anchor: usize,
    style: Style,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Block,
    /// `[…]` or `{…}`.
    Flow,
    /// `a: b` as an element of `[…]`.
    FlowPair,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<(Node, Node)>,
        /// A key whose value is yet to come, and where it stands, quotes included.
        key: Option<(Node, Range<usize>)>,
        places: Places,
    },
}

/// A mapping of at most so many keys is searched, not indexed.
const FEW_KEYS: usize = 16;

/// The byte where each key of an open mapping first stands.
#[derive(Default)]
struct Places {
    /// As the entries are.
    in_order: Vec<usize>,
    /// Of more than [`FEW_KEYS`].
    by_name: HashMap<String, usize>,
}

impl Places {
    fn of(&self, name: &str, entries: &[(Node, Node)]) -> Option<usize> {
        if entries.len() > FEW_KEYS {
            return self.by_name.get(name).copied();
        }
        let named = entries.iter().position(|(key, _)| key.as_text() == Some(name));
        named.and_then(|index| self.in_order.get(index).copied())
    }

    /// Keeps where the last of the entries stands.
    fn add(&mut self, place: usize, entries: &[(Node, Node)]) {
        self.in_order.push(place);
        let not_indexed = match entries.len() {
            0..=FEW_KEYS => return,
            len if self.by_name.is_empty() => 0..len,
            len => len - 1..len,
        };
        let names = entries[not_indexed.clone()].iter().map(|(key, _)| key.as_text().unwrap_or_default().to_owned());
        self.by_name.extend(names.zip(self.in_order[not_indexed].iter().copied()));
    }
}

/// A finished node, and the bytes that it takes in the file: an alias's, not those of what it stands for.
struct Done {
    node: Node,
    place: Range<usize>,
    /// Nothing is written: the parser supplied it.
    implied: bool,
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    offsets: Offsets,
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    expanded_bytes: usize,
    mistakes: Vec<Diagnostic>,
    /// The tree is not what its author meant: to read on would be noise.
    broken: bool,
    /// Up to here the text was already said to need quotes.
    quoted_until: usize,
}

/// Reading cannot go on; the reason is among the mistakes.
struct Stop;

impl<'t> Builder<'t> {
    fn new(file: FileId, text: &'t str) -> Self {
        let skipped = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self {
            file,
            text,
            offsets: Offsets::new(text, skipped),
            stack: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            expanded_bytes: 0,
            mistakes: Vec::new(),
            broken: false,
            quoted_until: 0,
        }
    }

    fn run(&mut self) -> Option<Node> {
        let text = self.text;
        let mut documents = 0;
        for event in Parser::new_from_str(&text[self.offsets.skipped..]) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let at = self.offsets.byte(error.marker());
                    // What follows a text that needs quotes on its line is that text's doing.
                    let known = self.broken && !text[self.quoted_until.min(at)..at].contains('\n');
                    if !known {
                        let mut found = mistake::explain(self.file, text, at, error.info());
                        if !text[at..].trim().is_empty() {
                            let help = found.help.map(|help| format!("{help}; ")).unwrap_or_default();
                            found.help = Some(format!("{help}the rest of this file is checked once this is right"));
                        }
                        self.mistakes.push(found);
                    }
                    return None;
                }
            };
            let done = match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let at = self.offsets.byte(&span.start);
                        self.refuse(
                            at..(at + 3).min(text.len()),
                            "a file holds one document",
                            "a second document starts here",
                        );
                        return None;
                    }
                    Ok(())
                }
                event => self.event(event, &span),
            };
            if done.is_err() {
                return None;
            }
        }
        if self.broken {
            return None;
        }
        if self.root.is_none() {
            self.refuse(0..0, "the file declares nothing", "");
        }
        self.root.take()
    }

    fn event(&mut self, event: Event<'_>, span: &RawSpan) -> Result<(), Stop> {
        let place = self.offsets.byte(&span.start)..self.offsets.byte(&span.end);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.no_tag(tag.is_some(), &place);
                self.scalar(text.into_owned(), style, anchor, place)
            }
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::SequenceStart(anchor, tag) => {
                self.no_tag(tag.is_some(), &place);
                self.open(Open::Sequence(Vec::new()), anchor, &place)
            }
            Event::MappingStart(anchor, tag) => {
                self.no_tag(tag.is_some(), &place);
                let open = Open::Mapping { entries: Vec::new(), key: None, places: Places::default() };
                self.open(open, anchor, &place)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(&place),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn refuse(&mut self, range: Range<usize>, message: impl Into<String>, label: &str) {
        let span = Span { file: self.file, range };
        self.mistakes.push(Diagnostic::error(&span, message).label(label));
    }

    fn no_tag(&mut self, tagged: bool, place: &Range<usize>) {
        if !tagged {
            return;
        }
        let source = &self.text[place.start..];
        let start = place.start + source.find('!').unwrap_or(0);
        let len = self.text[start..].find(char::is_whitespace).unwrap_or(1);
        let tag = &self.text[start..start + len];
        let span = Span { file: self.file, range: start..start + len };
        self.mistakes.push(
            Diagnostic::error(&span, format!("the tag `{tag}` is not part of this language"))
                .label("a YAML tag")
                .help("leave it out; quote the text if the `!` belongs to it"),
        );
        self.broken = true;
    }

    fn count(&mut self, nodes: usize, at: &Range<usize>) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        self.refuse(
            at.clone(),
            format!("the file holds more than {MAX_NODES} nodes, aliases expanded"),
            "too many here",
        );
        Err(Stop)
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, anchor: usize, place: Range<usize>) -> Result<(), Stop> {
        self.count(1, &place)?;
        let quoted = style != ScalarStyle::Plain;
        let implied = !quoted && text.is_empty();
        let mut place = place;
        let mut range = place.clone();
        if anchor > 0 {
            range.start = after_anchor(self.text, &range);
        }
        if matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) {
            // The parser's end is past the spaces that follow.
            let end = closing_quote(self.text, range.start).min(range.end);
            place.end = (end + 1).min(range.end);
            range = (range.start + 1).min(end)..end;
        }
        if !quoted && !implied {
            self.needs_quotes(&text, &range);
        }
        let node = Node { span: Span { file: self.file, range }, kind: Kind::Scalar { text, quoted } };
        self.keep_anchor(anchor, &node, &place)?;
        self.push(Done { node, place, implied })
    }

    /// A plain scalar that a comma or a comment cut off in the middle of its parentheses.
    fn needs_quotes(&mut self, text: &str, range: &Range<usize>) {
        if range.start < self.quoted_until || mistake::is_balanced(text) {
            return;
        }
        let in_flow = self.stack.last().is_some_and(|frame| frame.style != Style::Block);
        let rest = &self.text[range.end..];
        let cut_by_comment = rest.starts_with([' ', '\t']) && rest.trim_start_matches([' ', '\t']).starts_with('#');
        if !in_flow && !cut_by_comment {
            return;
        }
        let whole = mistake::whole_value(self.text, range.start);
        self.quoted_until = whole.end;
        self.mistakes.push(mistake::quote_this(self.file, self.text, whole));
        self.broken = true;
    }

    fn alias(&mut self, anchor: usize, place: Range<usize>) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            self.refuse(place, "an alias cannot stand inside what it stands for", "this is a part of its own anchor");
            return Err(Stop);
        };
        let (nodes, bytes, depth) = measure(&node);
        self.count(nodes, &place)?;
        self.bound_bytes(bytes, &place)?;
        if self.stack.len() + depth > MAX_DEPTH {
            return self.too_deep(&place);
        }
        self.push(Done { node, place, implied: false })
    }

    fn bound_bytes(&mut self, bytes: usize, place: &Range<usize>) -> Result<(), Stop> {
        self.expanded_bytes += bytes;
        if self.expanded_bytes <= MAX_EXPANDED_BYTES {
            return Ok(());
        }
        self.refuse(place.clone(), format!("aliases stand for more than {MAX_EXPANDED_BYTES} bytes"), "too much here");
        Err(Stop)
    }

    fn too_deep(&mut self, place: &Range<usize>) -> Result<(), Stop> {
        self.refuse(place.clone(), format!("nested more than {MAX_DEPTH} deep"), "too deep");
        Err(Stop)
    }

    fn open(&mut self, open: Open, anchor: usize, place: &Range<usize>) -> Result<(), Stop> {
        self.count(1, place)?;
        if self.stack.len() >= MAX_DEPTH {
            return self.too_deep(place);
        }
        let start = if anchor > 0 { after_anchor(self.text, place) } else { place.start };
        let bracketed = !place.is_empty() && self.text[start..].starts_with(['[', '{']);
        let in_flow = self.stack.last().is_some_and(|frame| frame.style != Style::Block);
        let style = match (bracketed, in_flow) {
            (true, _) => Style::Flow,
            (false, true) => Style::FlowPair,
            (false, false) => Style::Block,
        };
        self.stack.push(Frame { open, start: place.start, end: place.end, anchor, style });
        Ok(())
    }

    fn close(&mut self, place: &Range<usize>) -> Result<(), Stop> {
        // The parser pairs starts and ends; without a frame there is nothing to close.
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        // The parser's end is past the spaces and the comment that follow the bracket.
        let bracket_end = (place.start + 1).min(place.end);
        let end = if frame.style == Style::Flow { bracket_end } else { frame.end };
        let kind = match frame.open {
            Open::Sequence(items) => Kind::Sequence(items),
            Open::Mapping { entries, .. } => Kind::Mapping(entries),
        };
        let range = frame.start..end.max(frame.start);
        let node = Node { span: Span { file: self.file, range: range.clone() }, kind };
        self.keep_anchor(frame.anchor, &node, &range)?;
        self.push(Done { node, place: range, implied: false })
    }

    fn keep_anchor(&mut self, anchor: usize, node: &Node, place: &Range<usize>) -> Result<(), Stop> {
        if anchor == 0 {
            return Ok(());
        }
        let (nodes, bytes, _) = measure(node);
        self.count(nodes, place)?;
        self.bound_bytes(bytes, place)?;
        self.anchors.insert(anchor, node.clone());
        Ok(())
    }

    fn push(&mut self, done: Done) -> Result<(), Stop> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(done.node);
            return Ok(());
        };
        if !done.implied {
            frame.end = frame.end.max(done.place.end);
        }
        match &mut frame.open {
            Open::Sequence(items) => items.push(done.node),
            Open::Mapping { key, .. } => match key.take() {
                Some((key, place)) => self.entry(key, place, done),
                None if done.implied => {
                    self.refuse(done.place, "a value without a key", "the key is missing");
                    return Err(Stop);
                }
                None if done.node.as_text().is_none() => {
                    self.refuse(done.place, "a key must be a text", "a collection cannot be a key");
                    return Err(Stop);
                }
                None => *key = Some((done.node, done.place)),
            },
        }
        Ok(())
    }

    /// An entry of the mapping on top of the stack.
    fn entry(&mut self, key: Node, place: Range<usize>, mut value: Done) {
        let Some(Frame { open: Open::Mapping { entries, places, .. }, style, .. }) = self.stack.last_mut() else {
            return;
        };
        if value.implied {
            value.node.span = key.span.clone();
        }
        let name = key.as_text().unwrap_or_default();
        let is_merge = name == "<<" && matches!(key.kind, Kind::Scalar { quoted: false, .. });
        let lone = value.implied && *style == Style::Flow && !has_colon(self.text, place.end);
        let first = places.of(name, entries);
        // What is right is most of it, and copies nothing.
        if first.is_none() && !is_merge && !lone {
            entries.push((key, value.node));
            places.add(place.start, entries);
            return;
        }
        let (name, range) = (name.to_owned(), key.span.range.clone());
        let before = entries.last().map(|(_, value)| value.clone());
        if first.is_none() && !is_merge {
            entries.push((key, value.node));
            places.add(place.start, entries);
        }
        self.judge_key(&name, range, first, is_merge);
        if lone {
            self.lone_key(&name, &place, before);
        }
    }

    fn judge_key(&mut self, name: &str, range: Range<usize>, first: Option<usize>, is_merge: bool) {
        if is_merge {
            self.refuse(range, "merge keys (`<<`) are not part of this language", "write the keys out");
        } else if let Some(first) = first {
            let line = self.text[..first].bytes().filter(|&byte| byte == b'\n').count() + 1;
            let span = Span { file: self.file, range };
            self.mistakes.push(
                Diagnostic::error(&span, format!("`{name}` stands twice"))
                    .label(format!("again here; first in line {line}"))
                    .help("a key stands once: rename or remove one of them")
                    .code(Code::Duplicate),
            );
        }
    }

    /// `{a, b: c}`: a key without a value is a comma that belongs to a text.
    fn lone_key(&mut self, name: &str, place: &Range<usize>, before: Option<Node>) {
        self.broken = true;
        if place.end <= self.quoted_until {
            return;
        }
        self.quoted_until = place.end;
        let value =
            before.filter(|node| matches!(&node.kind, Kind::Scalar { quoted: false, text } if !text.is_empty()));
        if let Some(value) = value {
            let range = value.span.range.start..place.end;
            self.mistakes.push(mistake::quote_this(self.file, self.text, range));
            return;
        }
        let span = Span { file: self.file, range: place.clone() };
        self.mistakes.push(
            Diagnostic::error(&span, format!("`{name}` is a key without a value"))
                .label("no `: value` follows")
                .help(format!("write `{name}: value`, or quote this if the comma belongs to a text")),
        );
    }
}

/// Where the scalar starts that an anchor (`&name `) stands before.
fn after_anchor(text: &str, range: &Range<usize>) -> usize {
    let source = &text[range.clone()];
    let rest = source.trim_start_matches(|c: char| !c.is_whitespace()).trim_start();
    range.end - rest.len()
}

/// Where the quote is that closes the one at `start`.
fn closing_quote(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let Some(&quote) = bytes.get(start) else { return text.len() };
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        let escaped =
            (byte == b'\\' && quote == b'"') || (byte == quote && quote == b'\'' && bytes.get(at + 1) == Some(&quote));
        if byte == quote && !escaped {
            return at;
        }
        at += if escaped { 2 } else { 1 };
    }
    text.len()
}

/// Whether a colon follows, which makes an empty value an intended null.
fn has_colon(text: &str, at: usize) -> bool {
    text[at..].trim_start().starts_with(':')
}

/// How many nodes, bytes of text and levels a node has.
fn measure(node: &Node) -> (usize, usize, usize) {
    let sum = |parts: &mut dyn Iterator<Item = &Node>| {
        parts.map(measure).fold((1, 0, 0), |(nodes, bytes, depth), (n, b, d)| (nodes + n, bytes + b, depth.max(d)))
    };
    match &node.kind {
        Kind::Scalar { text, .. } => (1, text.len(), 0),
        Kind::Sequence(items) => {
            let (nodes, bytes, depth) = sum(&mut items.iter());
            (nodes, bytes, depth + 1)
        }
        Kind::Mapping(entries) => {
            let (nodes, bytes, depth) = sum(&mut entries.iter().flat_map(|(key, value)| [key, value]));
            (nodes, bytes, depth + 1)
        }
    }
}
