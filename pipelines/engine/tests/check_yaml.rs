//! The YAML reader: places, values as written, and whatever bytes it is given.

use headwater_engine::declare;
use headwater_engine::project::Report;
use headwater_engine::source::{Diagnostic, FileId, Sources, Span, Spanned};
use headwater_engine::yaml::{self, Kind, Node};
use proptest::prelude::*;

fn parse(text: &str) -> Node {
    yaml::parse(FileId(0), text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
}

/// Every scalar with the text at its place.
fn scalars(node: &Node, text: &str, out: &mut Vec<(String, String)>) {
    match &node.kind {
        Kind::Scalar { text: value, .. } => out.push((value.clone(), text[node.span.range.clone()].to_owned())),
        Kind::Sequence(items) => items.iter().for_each(|item| scalars(item, text, out)),
        Kind::Mapping(entries) => entries.iter().for_each(|(key, value)| {
            scalars(key, text, out);
            scalars(value, text, out);
        }),
    }
}

#[test]
fn scalars_keep_their_text_and_their_place() {
    let text = "\u{feff}größe: 1.10\r\n'ja, nein': \"a b\"  # what\nlist: [no, 0123, ~, 'it''s', \"\\u00e9\" , a: b]\n\
                deep:\n- x y\n-   {k: v}\n- &a anchored\n- *a\nfolded: one\n  two\nblock: |\n  text\nempty:\n";
    let mut found = Vec::new();
    scalars(&parse(text), text, &mut found);
    let same = ["größe", "1.10", "ja, nein", "a b", "list", "no", "0123", "~", "x y", "k", "v", "anchored", "a", "b"];
    for value in same {
        assert!(found.contains(&(value.into(), value.into())), "{value}: {found:?}");
    }
    let differing = [("it's", "it''s"), ("é", "\\u00e9"), ("one two", "one\n  two"), ("", "empty")];
    for (value, source) in differing {
        assert!(found.contains(&(value.into(), source.into())), "{value}: {found:?}");
    }
}

#[test]
fn collections_end_where_they_end() {
    for (text, expected) in [
        ("a: { b: \"c\" }  # d\n", "{ b: \"c\" }"),
        ("a: [ b, 'c' ]\n", "[ b, 'c' ]"),
        ("a:\n  b: c\n  d: \"e\"\n\nf: g\n", "b: c\n  d: \"e\""),
        ("a:\n  - b\n  - c # d\nf: g\n", "- b\n  - c"),
        ("a: &x { b: c }\nf: g\n", "&x { b: c }"),
    ] {
        let Kind::Mapping(entries) = parse(text).kind else { panic!("{text}") };
        assert_eq!(&text[entries[0].1.span.range.clone()], expected, "{text}");
    }
}

#[test]
fn a_part_of_a_text_has_a_place() {
    for (text, part) in [("a: sum(x)\n", "x"), ("a: \"sum(x)\"\n", "x"), ("a: 'sum(''x)'\n", "sum(''x)")] {
        let Kind::Mapping(entries) = parse(text).kind else { panic!("{text}") };
        let value = entries[0].1.as_text().unwrap();
        let value = Spanned::new(value.to_owned(), entries[0].1.span.clone());
        let at = value.find('x').unwrap();
        assert_eq!(&text[value.part(at..at + 1).range], part, "{text}");
    }
}

#[test]
fn null_is_what_is_not_written() {
    let Kind::Mapping(entries) = parse("a:\nb: ~\nc: null\nd: ''\ne: \"null\"\nf: {g: , h: }\n").kind else { panic!() };
    let nulls: Vec<bool> = entries.iter().map(|(_, value)| value.is_null()).collect();
    assert_eq!(nulls, [true, true, true, false, false, false]);
}

/// Everything that is read of a file, and drawn of what is wrong with it.
fn read_all(text: &str) {
    let mut out: Vec<Diagnostic> = Vec::new();
    let mut sources = Sources::default();
    let file = sources.add("file.yaml", text);
    if let Some(node) = yaml::parse_into(file, text, &mut out) {
        check_places(&node, text);
        declare::topic::read(&node, &mut out);
        declare::topology::read(&node, &mut out);
        declare::command::read(&node, &mut out);
        declare::query::read(&node, &mut out);
        declare::test::read(&node, &mut out);
        declare::config::read(&node, &|name| (name == "HOME").then(String::new), &mut out);
    }
    for diagnostic in &out {
        let Span { range, .. } = &diagnostic.span;
        assert!(range.start <= range.end && range.end <= text.len(), "{diagnostic:?}\n{text:?}");
        assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end), "{diagnostic:?}\n{text:?}");
        assert!(!diagnostic.message.is_empty());
    }
    let report = Report::new(sources, out);
    report.render(true);
    report.json();
}

fn check_places(node: &Node, text: &str) {
    assert!(text.get(node.span.range.clone()).is_some(), "{:?} of {text:?}", node.span);
    match &node.kind {
        Kind::Scalar { .. } => {}
        Kind::Sequence(items) => items.iter().for_each(|item| check_places(item, text)),
        Kind::Mapping(entries) => entries.iter().for_each(|(key, value)| {
            check_places(key, text);
            check_places(value, text);
        }),
    }
}

/// As large as a file may be, of one thing.
#[test]
fn large_files_are_read_or_refused() {
    let pieces = [
        "[",
        "{",
        "- ",
        "? ",
        "a: ",
        "k\n",
        "&a ",
        "'",
        "\"\\",
        "!t ",
        "|\n",
        "#\n",
        "[],",
        "{},",
        "(",
        "a,",
        "\n",
        " ",
        "é",
        "- k: {v\n",
        "- [f(a, b)]\n",
    ];
    for piece in pieces {
        for start in ["", "topic: [", "views: {"] {
            let mut text = start.to_owned();
            text.push_str(&piece.repeat((yaml::MAX_BYTES - text.len()) / piece.len()));
            read_all(&text);
        }
    }
    let many: String = (0..40_000).map(|index| format!("k{index}: [a{index}, b, b]\n")).collect();
    read_all(&many);
    read_all(&format!("reads:\n{many}").replace("\nk", "\n- k"));
}

const FILES: [&str; 6] = [
    "topic: order\nkey: order_id\npartitions: 4\nretention: 30\nevents: [Placed, \"Größer\"]\nwas: { Placed: [Made] }\n",
    "topology: shop\nstore: main\nreads: [order]\nviews:\n  orders:\n    key:\n      partition: [a, b: \"f(x, 'y')\"]\n      \
     clustering: [at desc]\n    from: [Placed]\n    columns: { a: last(x), b: 'count()' }\n",
    "commands:\n  place:\n    post: \"/orders/{id}\"\n    allow: signed_in\n    emits: Placed\n    set: { at: now() }\n    \
     require:\n      - { that: \"x > 1\", say: no, status: 409 }\n",
    "queries:\n  one:\n    get: /a\n    allow: anyone\n    page: v\n    walk: { m: { back: 3 } }\n    size: { default: 5 }\n",
    "test: é\ngiven:\n  - Placed: { a: 1, b: [x, y], _time: ~ }\nexpect:\n  v: [{ a: 1 }, { b: |\n text\n }]\nparked: [1]\n",
    "log: { embedded: \"${HOME}/${NOT}\" }\nstores: &a\n  x: { sqlite: a.db }\nblobs: *a\n",
];

const PIECES: [&str; 26] = [
    ":", ": ", ",", "[", "]", "{", "}", "\"", "'", "#", " #", "&a ", "*a", "!t ", "|", ">", "-", "- ", "\n", "\n  ",
    "\t", "?", "? ", "<<: ", "é🍵", "\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
        read_all(&text);
    }

    #[test]
    fn any_structure_is_read_or_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        let mut text = String::new();
        for (index, piece) in pieces.iter().enumerate() {
            text.push_str(piece);
            if index % 3 == 0 {
                text.push('k');
            }
        }
        read_all(&text);
    }

    #[test]
    fn a_slip_anywhere_is_read_or_refused(
        file in prop::sample::select(&FILES[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..6usize, prop::sample::select(&PIECES[..])), 1..4),
    ) {
        let mut characters: Vec<char> = file.chars().collect();
        for (at, removed, piece) in edits {
            let start = at.index(characters.len() + 1);
            let end = (start + removed).min(characters.len());
            characters.splice(start..end, piece.chars());
        }
        read_all(&characters.into_iter().collect::<String>());
    }
}
