//! The documentation holds: every recipe in `docs/recipes` is a project whose tests pass, and every example of
//! `docs/language.md` is checked and its tests run, as `headwater check` and `headwater test` do.
//!
//! A fenced block of the page says after its language what it is:
//!
//! ```text
//! yaml topology, yaml views    a topology, or its views over every topic: an example begins
//! yaml tests, yaml queries     tests and queries of the example
//! yaml schemas/a/topic.yaml    a file of the example that follows, or is all of it
//! text says                    the example is refused, with these messages and no others
//! yaml given                   an event, for the expressions that follow
//! sql values                   an expression a line, and behind `--` what it gives of that event
//! ```
//!
//! The schemas are those of `docs/language`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use headwater_engine::harness;
use headwater_engine::project::{Project, Report};

const TOPOLOGY: &str = "pipelines/shop/topology.yaml";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Runs a project's tests; what is wrong, a line each. A warning is wrong here, and so is a view that no test names.
fn failures(project: &Project) -> Vec<String> {
    let mut wrong = Vec::new();
    if !project.report().is_empty() {
        wrong.push(project.report().render(false));
    }
    for test in &project.tests {
        let verdict = harness::run(test, &project.topologies).expect("its events can be written");
        wrong.extend(
            verdict
                .failures
                .iter()
                .map(|failure| format!("{}: {}\n{}", test.name, failure.message, failure.lines.join("\n"))),
        );
    }
    let expected = |view: &str| project.tests.iter().flat_map(|test| &test.expect).any(|rows| rows.view == view);
    let views = project.topologies.iter().flat_map(|topology| &topology.views).map(|view| view.table.name.as_str());
    wrong.extend(
        views
            .filter(|view| !view.starts_with("seen_") && !expected(view))
            .map(|view| format!("no test expects rows of {view}")),
    );
    wrong
}

#[test]
fn recipes() {
    let mut wrong = Vec::new();
    let index = fs::read_to_string(docs().join("recipes/README.md")).expect("an index");
    let mut count = 0;
    for entry in fs::read_dir(docs().join("recipes")).expect("recipes") {
        let dir = entry.expect("a recipe").path();
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        if !dir.is_dir() {
            continue;
        }
        count += 1;
        let readme = fs::read_to_string(dir.join("README.md")).unwrap_or_default();
        if readme.lines().count() < 5 || !index.contains(&format!("]({name}/README.md)")) {
            wrong.push(format!("{name}: a recipe says when to use it, and the index names it"));
        }
        match Project::load(&dir, None) {
            Ok(project) => wrong.extend(failures(&project).iter().map(|failure| format!("{name}: {failure}"))),
            Err(report) => wrong.push(format!("{name}: {}", report.render(false))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(index.matches("/README.md)").count(), count, "the index names each recipe once");
}

/// A fenced block of the page.
struct Block {
    line: usize,
    /// What stands behind the fence: `yaml views`.
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => open = Some(Block { line: index + 1, info: info.into(), text: String::new() }),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[derive(Default)]
struct Example {
    line: usize,
    files: BTreeMap<String, String>,
    /// It is refused with these messages.
    says: Option<String>,
}

/// The examples of a page, each the files that it adds to the base.
fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut files = BTreeMap::new();
    let mut given: Option<String> = None;
    for Block { line, info, text } in blocks(page) {
        let begun = |path: &str, text: String, files: &mut BTreeMap<String, String>| {
            let mut files = std::mem::take(files);
            files.insert(path.to_owned(), text);
            Example { line, files, says: None }
        };
        let last = examples.last_mut().filter(|_| files.is_empty());
        match info.as_str() {
            "text" | "sh" => {}
            "yaml topology" => examples.push(begun(TOPOLOGY, text, &mut files)),
            "yaml views" => examples.push(begun(TOPOLOGY, over_all_topics(&text, &files), &mut files)),
            "text says" if last.is_none() => {
                examples.push(Example { line, files: std::mem::take(&mut files), says: Some(text) });
            }
            "text says" => last.expect("an example").says = Some(text),
            "yaml given" => given = Some(text),
            "sql values" => {
                let example = values(&text, given.as_ref().expect("an event is given"));
                examples.push(Example { line, ..example });
            }
            "yaml tests" => {
                let files = &mut last.unwrap_or_else(|| panic!("line {line}: tests of nothing")).files;
                files.insert(format!("pipelines/shop/tests/{line}.yaml"), text);
            }
            "yaml queries" => {
                let files = &mut last.unwrap_or_else(|| panic!("line {line}: queries of nothing")).files;
                files.insert("pipelines/shop/queries.yaml".into(), text);
            }
            info => {
                let path = info.split_once(' ').map(|(_, path)| path).filter(|path| path.starts_with("schemas/"));
                let path = path.unwrap_or_else(|| panic!("line {line}: nothing runs a block of `{info}`"));
                files.insert(path.to_owned(), text);
            }
        }
    }
    assert!(files.is_empty(), "files of no example: {:?}", files.keys());
    examples
}

/// A topology of these views, which reads every topic: a topic is called as its folder.
fn over_all_topics(views: &str, files: &BTreeMap<String, String>) -> String {
    let base = fs::read_dir(docs().join("language/schemas")).expect("schemas");
    let mut topics: Vec<String> =
        base.map(|entry| entry.expect("a topic").file_name().to_string_lossy().into_owned()).collect();
    topics.extend(files.keys().filter_map(|path| path.split('/').nth(1)).map(str::to_owned));
    topics.sort_unstable();
    topics.dedup();
    format!("topology: shop\nstore: operational\nreads: [{}]\n{views}", topics.join(", "))
}

/// A view for each expression, whose only column is what it gives of the event.
fn values(text: &str, given: &str) -> Example {
    let (mut views, mut expect) = (String::from("views:\n"), String::new());
    for (index, line) in text.lines().enumerate() {
        let (expression, value) =
            line.split_once(" -- ").unwrap_or_else(|| panic!("an expression and its value: {line}"));
        let text = expression.trim().replace('\\', "\\\\").replace('"', "\\\"");
        let key = "key: [order_id], from: OrderPlaced";
        writeln!(views, "  v{index}: {{ {key}, columns: {{ it: \"last({text})\" }} }}").expect("written");
        writeln!(expect, "  v{index}: [{{ it: {} }}]", value.trim()).expect("written");
    }
    let files = BTreeMap::from([
        (TOPOLOGY.to_owned(), over_all_topics(&views, &BTreeMap::new())),
        ("pipelines/shop/tests/values.yaml".to_owned(), format!("test: values\ngiven:\n{given}expect:\n{expect}")),
    ]);
    Example { files, ..Example::default() }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            fs::copy(&from, &to).expect("copied");
        }
    }
}

/// What is wrong with an example.
fn judge(example: &Example) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a folder");
    copy(&docs().join("language"), dir.path());
    for (path, text) in &example.files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    match (Project::load(dir.path(), None), &example.says) {
        (Ok(project), None) => failures(&project),
        (Ok(_), Some(_)) => vec!["it is not refused".into()],
        (Err(report), None) => vec![report.render(false)],
        (Err(report), Some(says)) if said(&report) == *says => Vec::new(),
        (Err(report), Some(_)) => vec![format!("it is refused with other words:\n{}", said(&report))],
    }
}

/// Each message, and below it what to write instead.
fn said(report: &Report) -> String {
    let mut said = String::new();
    for diagnostic in report.diagnostics() {
        writeln!(said, "{}", diagnostic.message).expect("written");
        if let Some(help) = &diagnostic.help {
            writeln!(said, "  help: {help}").expect("written");
        }
    }
    said
}

#[test]
fn language() {
    let page = fs::read_to_string(docs().join("language.md")).expect("the page");
    let examples = examples(&page);
    assert!(!examples.is_empty(), "the page has no example");
    let judged = examples.iter().flat_map(|example| {
        judge(example).into_iter().map(|failure| format!("docs/language.md:{}: {failure}", example.line))
    });
    let wrong: Vec<String> = judged.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
