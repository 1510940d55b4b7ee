//! The JSON Schemas of the files hold: what an editor says by them is what `check` says.
//!
//! They are made of the shapes that the files are read by, so the keys are the same by construction. What is seen to here:
//! that every form is too, by changing one thing at a time in files that say everything that can be said
//! (`json_schema/forms.txt`) and comparing the two verdicts; and that the files of this repository name schemas that are
//! up to date.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_engine::declare;
use headwater_engine::declare::json_schema::{FOLDER, FileKind, KINDS, as_json};
use headwater_engine::project::Project;
use headwater_engine::source::{Code, Diagnostic, FileId, Span};
use headwater_engine::test;
use headwater_engine::yaml::{self, Kind, Node};
use jsonschema::Validator;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn validator(kind: &FileKind) -> Validator {
    jsonschema::validator_for(&kind.schema()).unwrap_or_else(|error| panic!("{}: {error}", kind.name))
}

fn kind(name: &str) -> &'static FileKind {
    KINDS.iter().find(|kind| kind.name == name).unwrap_or_else(|| panic!("there is no kind {name}"))
}

fn node(text: &str) -> Node {
    yaml::parse(FileId(0), text).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"))
}

/// The project's files under a folder, by their kinds.
fn files(dir: &Path) -> Vec<(&'static FileKind, PathBuf)> {
    fn walk(dir: &Path, inside: &str, found: &mut Vec<(&'static FileKind, PathBuf)>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = format!("{inside}{}", path.file_name().expect("a name").to_string_lossy());
            match FileKind::of(&name) {
                _ if path.is_dir() => walk(&path, &format!("{name}/"), found),
                Some(kind) => found.push((kind, path)),
                None => {}
            }
        }
    }
    let mut found = Vec::new();
    for part in ["schemas", "pipelines"] {
        if dir.join(part).is_dir() {
            walk(&dir.join(part), &format!("{part}/"), &mut found);
        }
    }
    found.push((kind("headwater"), dir.join("headwater.yaml")));
    found
}

/// Every project of the repository, the repository itself first.
fn projects() -> Vec<PathBuf> {
    let root = root();
    let recipes = fs::read_dir(root.join("docs/recipes")).expect("recipes").map(|entry| entry.expect("one").path());
    let mut projects: Vec<PathBuf> = recipes.filter(|dir| dir.is_dir()).collect();
    projects.extend([root.join("docs/language"), root.join("command-api/tests/project"), root.join("deploy/dev")]);
    projects.sort();
    projects.insert(0, root);
    projects
}

#[test]
fn every_file_here_is_right_by_its_schema() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (kind, path) in projects().iter().flat_map(|project| files(project)) {
        seen.insert(kind.name);
        let text = fs::read_to_string(&path).expect("a file");
        if let Err(error) = validator(kind).validate(&as_json(&node(&text))) {
            wrong.push(format!("{} at {}: {error}", path.display(), error.instance_path()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen.len(), KINDS.len(), "files of every kind: {seen:?}");
}

#[test]
fn the_files_here_name_their_schemas_and_these_are_up_to_date() {
    let root = root();
    let mut wrong = Vec::new();
    for kind in &KINDS {
        let path = root.join(FOLDER).join(format!("{}.json", kind.name));
        if fs::read_to_string(&path).unwrap_or_default() != kind.text() {
            wrong.push(format!("{} is not up to date: headwater json-schema --output {FOLDER}", path.display()));
        }
    }
    for (kind, path) in files(&root) {
        let text = fs::read_to_string(&path).expect("a file");
        if text.lines().next() != Some(&kind.modeline()) {
            wrong.push(format!("{} does not begin with {}", path.display(), kind.modeline()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_modeline_leads_to_the_schema() {
    let root = root();
    let profile = root.join("deploy/dev/headwater.yaml");
    for path in files(&root).into_iter().map(|(_, path)| path).chain([profile]) {
        let text = fs::read_to_string(&path).expect("a file");
        let first = text.lines().next().unwrap_or_default();
        let schema = first.strip_prefix("# yaml-language-server: $schema=").unwrap_or_default();
        let schema = path.parent().expect("a folder").join(schema);
        assert!(schema.is_file(), "{}: {first}", path.display());
    }
}

/// The files that say everything, with their kinds.
fn forms() -> Vec<(&'static FileKind, Node)> {
    let forms = include_str!("json_schema/forms.txt").split("=== ").skip(1);
    forms
        .map(|form| {
            let (name, text) = form.split_once('\n').expect("a kind and a file");
            (kind(name), node(text))
        })
        .collect()
}

#[test]
fn everything_that_can_be_said_is_said_here() {
    let mut said = BTreeSet::new();
    for (kind, node) in forms() {
        mark(&kind.schema(), &as_json(&node), kind.name, &mut said);
    }
    let mut all = BTreeSet::new();
    for kind in &KINDS {
        properties(&kind.schema(), kind.name, &mut |path, _, _| all.extend([path.to_owned()]));
    }
    let missing: Vec<_> = all.difference(&said).collect();
    assert!(missing.is_empty() && all.len() > 80, "not in forms.txt, of {}: {missing:#?}", all.len());
}

/// Each property that is there, by its place in the schema.
fn mark(schema: &Value, value: &Value, path: &str, said: &mut BTreeSet<String>) {
    for (index, form) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        mark(form, value, &format!("{path}|{index}"), said);
    }
    for item in value.as_array().into_iter().flatten() {
        mark(&schema["items"], item, &format!("{path}[]"), said);
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(property) => {
                said.insert(format!("{path}.{key}"));
                mark(property, value, &format!("{path}.{key}"), said);
            }
            None => mark(&schema["additionalProperties"], value, &format!("{path}.*"), said),
        }
    }
}

/// Each property of a schema: its place, name and schema.
fn properties(schema: &Value, path: &str, each: &mut dyn FnMut(&str, &str, &Value)) {
    for (index, form) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        properties(form, &format!("{path}|{index}"), each);
    }
    if schema["items"].is_object() {
        properties(&schema["items"], &format!("{path}[]"), each);
    }
    if schema["additionalProperties"].is_object() {
        properties(&schema["additionalProperties"], &format!("{path}.*"), each);
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        each(&format!("{path}.{key}"), key, property);
        properties(property, &format!("{path}.{key}"), each);
    }
}

#[test]
fn every_key_says_what_it_is_and_its_example_is_right() {
    let mut wrong = Vec::new();
    let mut examples = 0;
    for kind in &KINDS {
        properties(&kind.schema(), kind.name, &mut |path, _, schema| {
            let description = schema["description"].as_str().unwrap_or_default();
            if description.len() < 10 || !description.ends_with('.') {
                wrong.push(format!("{path} is described as {description:?}"));
            }
            let validator = jsonschema::validator_for(schema).expect("a schema");
            for example in schema["examples"].as_array().into_iter().flatten() {
                examples += 1;
                if !validator.is_valid(example) {
                    wrong.push(format!("{path}: {example} is no example of it"));
                }
            }
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(examples > 80, "{examples} examples");
}

#[test]
fn a_file_is_of_a_kind_by_its_place() {
    for (path, name) in [
        ("headwater.yaml", Some("headwater")),
        ("schemas/order/topic.yaml", Some("topic")),
        ("pipelines/shop/tests/a.yaml", Some("tests")),
        ("pipelines/shop/tests/.yaml", None),
        ("pipelines/shop/topic.yaml", None),
        ("topic.yaml", None),
        ("deploy/headwater.yaml", None),
    ] {
        assert_eq!(FileKind::of(path).map(|kind| kind.name), name, "{path}");
    }
    let modeline = "# yaml-language-server: $schema=../../../.headwater/schemas/tests.json";
    assert_eq!(kind("tests").modeline(), modeline);
}

/// What `check` says of one file.
struct Check {
    project: Project,
}

impl Check {
    fn says(&self, kind: &FileKind, node: &Node) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        let everywhere = |_: &str| Some("x".to_owned());
        match kind.name {
            "headwater" => drop(declare::config::read(node, &everywhere, &mut out)),
            "topic" => drop(declare::topic::read(node, &mut out)),
            "topology" => drop(declare::topology::read(node, &mut out)),
            "commands" => drop(declare::command::read(node, &mut out)),
            "queries" => drop(declare::query::read(node, &mut out)),
            "tests" => {
                for decl in declare::test::read(node, &mut out).unwrap_or_default() {
                    let compiled = test::compile(&decl, &self.project.topics, &self.project.topologies);
                    out.extend(compiled.err().unwrap_or_default());
                }
            }
            other => panic!("nothing reads {other}"),
        }
        out
    }
}

/// A file with one thing changed.
#[derive(Clone)]
struct Changed {
    what: String,
    file: Node,
    /// The same, where the new value is a scalar, with it quoted where it was not, and the other way round.
    other_way: Node,
}

impl Changed {
    fn of(what: impl Into<String>, kind: &Kind) -> Self {
        let file = at(kind.clone());
        let other_way = match kind {
            Kind::Scalar { text, quoted } if !file.is_null() => at(scalar(text, !quoted)),
            _ => file.clone(),
        };
        Self { what: what.into(), file, other_way }
    }

    /// The same within a larger file.
    fn within(self, place: &str, put: impl Fn(Node) -> Node) -> Self {
        Self { what: format!("{place}{}", self.what), file: put(self.file), other_way: put(self.other_way) }
    }
}

fn scalar(text: &str, quoted: bool) -> Kind {
    Kind::Scalar { text: text.to_owned(), quoted }
}

fn at(kind: Kind) -> Node {
    Node { span: Span { file: FileId(0), range: 0..0 }, kind }
}

fn x() -> Node {
    at(scalar("x", false))
}

/// What stands in a value's place.
fn others() -> Vec<Changed> {
    let names = [&*"n".repeat(48), &*"n".repeat(49)].map(|name| scalar(name, false));
    let [name, long_name] = names;
    [
        ("nothing", scalar("", false)),
        ("an empty text", scalar("", true)),
        ("spaces", scalar("  ", true)),
        ("words", scalar("Two words!", false)),
        ("a name", name),
        ("a long name", long_name),
        ("0", scalar("0", false)),
        ("7", scalar("7", false)),
        ("7 in quotes", scalar("7", true)),
        ("99999", scalar("99999", false)),
        ("-7.5", scalar("-7.5", false)),
        ("true", scalar("true", false)),
        ("an empty list", Kind::Sequence(Vec::new())),
        ("a list", Kind::Sequence(vec![x()])),
        ("a list of the same", Kind::Sequence(vec![x(), x()])),
        ("a list of lists", Kind::Sequence(vec![at(Kind::Sequence(vec![]))])),
        ("an empty mapping", Kind::Mapping(Vec::new())),
        ("a mapping", Kind::Mapping(vec![(x(), x())])),
        ("a mapping of two", Kind::Mapping(vec![(x(), x()), (at(scalar("y", false)), x())])),
    ]
    .iter()
    .map(|(what, kind)| Changed::of(format!(" is {what}"), kind))
    .collect()
}

/// Every file that differs from this one in one thing.
fn changes(file: &Node) -> Vec<Changed> {
    let mut found = others();
    match &file.kind {
        Kind::Scalar { .. } => {}
        Kind::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                let put =
                    |changed: &[Node]| at(Kind::Sequence([&items[..index], changed, &items[index + 1..]].concat()));
                let place = format!("[{index}]");
                found.push(Changed::of(format!("{place} is left out"), &put(&[]).kind));
                found.push(Changed::of(format!("{place} is there twice"), &put(&[item.clone(), item.clone()]).kind));
                found.extend(changes(item).into_iter().map(|changed| changed.within(&place, |node| put(&[node]))));
            }
        }
        Kind::Mapping(entries) => {
            let more = [&entries[..], &[(at(scalar("unheard_of", false)), x())]].concat();
            found.push(Changed::of(" has a key more", &Kind::Mapping(more)));
            for (index, (key, value)) in entries.iter().enumerate() {
                let put = |changed: &[(Node, Node)]| {
                    at(Kind::Mapping([&entries[..index], changed, &entries[index + 1..]].concat()))
                };
                let name = key.as_text().unwrap_or_default();
                found.push(Changed::of(format!(".{name} is left out"), &put(&[]).kind));
                for other in [format!("{name}x"), "Two words!".to_owned(), "n".repeat(49)] {
                    let called = put(&[(at(scalar(&other, false)), value.clone())]);
                    found.push(Changed::of(format!(".{name} is called {other:?}"), &called.kind));
                }
                let put = |node| put(&[(key.clone(), node)]);
                found.extend(changes(value).into_iter().map(|changed| changed.within(&format!(".{name}"), put)));
            }
        }
    }
    found
}

/// A message without what is particular: what it quotes, and numbers.
fn general(message: &str) -> String {
    let particular = |word: &str| word.contains(['`', '"']) || word.chars().any(|c| c.is_ascii_digit());
    // What is quoted may have a space in it.
    let message = message.replace("Two words!", "words");
    message.split(' ').map(|word| if particular(word) { "…" } else { word }).collect::<Vec<_>>().join(" ")
}

/// An editor marks nothing that `check` takes, but for what is quoted or not; and it marks every key that is not known or
/// missing and every value of another kind. The rest is in the snapshot: what only `check` says.
#[test]
fn what_is_changed_is_judged_alike() {
    let check = Check { project: Project::load(&root(), None).expect("a right project") };
    let (mut wrong, mut only_check) = (Vec::new(), BTreeSet::new());
    let (mut right, mut refused) = (0, 0);
    for (kind, file) in forms() {
        let schema = validator(kind);
        let takes = |node: &Node| schema.is_valid(&as_json(node));
        assert!(takes(&file), "{}: {:?}", kind.name, schema.validate(&as_json(&file)));
        assert!(check.says(kind, &file).is_empty(), "{}: {:#?}", kind.name, check.says(kind, &file));
        for Changed { what, file, other_way } in changes(&file) {
            let said = check.says(kind, &file);
            match (said.first(), takes(&file)) {
                (None, true) => right += 1,
                (None, false) if takes(&other_way) => right += 1,
                (None, false) => wrong.push(format!("{}{what}: check takes it", kind.name)),
                (Some(_), false) => refused += 1,
                (Some(first), true) => {
                    let must = [Code::UnknownKey, Code::MissingKey, Code::WrongType];
                    if let Some(error) = said.iter().find(|error| must.contains(&error.code)) {
                        wrong.push(format!("{}{what}: the schema takes it. {}", kind.name, error.message));
                    }
                    only_check.insert(format!("{}: {}", kind.name, general(&first.message)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(right > 300 && refused > 3000, "{right} right, {refused} refused");
    insta::assert_snapshot!(only_check.into_iter().collect::<Vec<_>>().join("\n"));
}
