//! One mistake in this repository's own document domain is one error, at its line; several are as many, and nothing else
//! follows from them.

use std::path::{Path, PathBuf};

use headwater_engine::project::{Project, Report};

/// A copy of the project's declarations.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().expect("a folder"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for folder in ["schemas/document", "schemas/user", "pipelines/document", "pipelines/document/tests"] {
            for entry in std::fs::read_dir(root.join(folder)).expect("a folder of the project") {
                let path = entry.expect("an entry").path();
                if path.is_file() {
                    copy.write(&Path::new(folder).join(path.file_name().expect("a name")), &read(&path));
                }
            }
        }
        copy.write(Path::new("headwater.yaml"), &read(&root.join("headwater.yaml")));
        copy
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }

    /// Replaces the first `find` that stands in the file.
    fn edit(&self, file: &str, find: &str, replace: &str) {
        let path = full(file);
        let text = String::from_utf8(read(&self.path(&path))).expect("text");
        assert!(text.contains(find), "{find:?} is not in {file}");
        self.write(Path::new(&path), text.replacen(find, replace, 1).as_bytes());
    }

    fn check(&self) -> Report {
        match Project::load_with(self.0.path(), None, &|_| None) {
            Ok(project) => project.report(),
            Err(report) => report,
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The short names of the cases below.
fn full(file: &str) -> String {
    match file {
        "topology" | "commands" | "queries" => format!("pipelines/document/{file}.yaml"),
        "topic" => "schemas/document/topic.yaml".into(),
        "config" => "headwater.yaml".into(),
        file if file.ends_with(".avsc") => format!("schemas/document/{file}"),
        file => format!("pipelines/document/tests/{file}"),
    }
}

/// `file:line:column: message (help)` of each.
fn said(report: &Report) -> Vec<String> {
    let one = |d: &headwater_engine::source::Diagnostic| {
        let place = report.sources().place(&d.span);
        let path = report.sources().path(d.span.file).display();
        let help = d.help.as_deref().unwrap_or("-");
        format!("{path}:{}:{}: {} ({help})", place.line, place.column, d.message)
    };
    report.diagnostics().iter().map(one).collect()
}

/// File, what is there, what stands there instead, the line of the error (of another file: `topic:3`), and a part of its
/// message or help.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[track_caller]
fn each_is_one_error(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (file, find, replace, at, part) in cases {
        let (named, line) = at.rsplit_once(':').unwrap_or((file, at));
        let copy = Copy::new();
        copy.edit(file, find, replace);
        let found = said(&copy.check());
        let fine = match found.as_slice() {
            [one] => one.starts_with(&format!("{}:{line}:", full(named))) && one.contains(part),
            _ => false,
        };
        if !fine {
            wrong.push(format!("{file}: {find:?} -> {replace:?}, line {at}, {part:?}:\n  {}", found.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn the_copy_is_right() {
    assert_eq!(said(&Copy::new().check()), Vec::<String>::new());
}

#[test]
fn one_mistake_in_a_topology_is_one_error() {
    each_is_one_error(&[
        ("topology", "last(mime_type)", "last(mimetype)", "20", "did you mean `mime_type`?"),
        ("topology", "versions: count()", "versions: cnt()", "25", "did you mean `count()`?"),
        ("topology", "versions: count()", "versions: coutn()", "25", "did you mean `count()`?"),
        ("topology", "name: last(name)", "name: lats(name)", "19", "did you mean `last(name)`?"),
        ("topology", "name: last(name)", "name: last(lowr(name))", "19", "did you mean `lower`?"),
        ("topology", "name: last(name)", "name: last(name", "19", "this expression ends too early"),
        ("topology", "name: last(name)", "name: name", "19", "write `last(name)`"),
        ("topology", "name: last(name)", "name:", "19", "must be an expression"),
        ("topology", "updated: last(at)", "updated: avg(at)", "24", "`avg` takes numbers"),
        ("topology", "created_by: first(user_id)", "created_by: sum(user_id)", "21", "`sum` takes numbers"),
        ("topology", "store: operational", "store: operatoinal", "4", "did you mean `operational`?"),
        ("topology", "  - document", "  - documnt", "6", "did you mean `document`?"),
        ("topology", "  - user\n", "", "55", "add `user` to `reads:`"),
        ("topology", "retry:", "retyr:", "8", "did you mean `retry`?"),
        ("topology", "times: 3", "times: many", "9", "a whole number"),
        ("topology", "reads:", "raeds:", "5", "did you mean `reads`?"),
        ("topology", "topology: document", "topologie: document", "3", "did you mean `topology`?"),
        ("topology", "from: [DocumentAdded,", "from: [DocumentAded,", "15", "did you mean `DocumentAdded`?"),
        ("topology", "DocumentRemoved]\n    create", "DocumentRemvoed]\n    create", "15", "`DocumentRemoved`?"),
        ("topology", "create_when: DocumentAdded", "create_when: DocumentAded", "16", "`DocumentAdded`?"),
        ("topology", "    create_when: DocumentAdded\n", "", "16", "add `create_when:`"),
        ("topology", "create_when:", "creat_when:", "16", "did you mean `create_when`?"),
        ("topology", "columns:\n      name", "colums:\n      name", "18", "did you mean `columns`?"),
        ("topology", "key: [doc_id]", "key: [docid]", "14", "did you mean `doc_id`?"),
        ("topology", "key: [doc_id]", "keys: [doc_id]", "14", "did you mean `key`?"),
        ("topology", "key: [doc_id]", "key: doc_id", "14", "write `key: [doc_id]`"),
        ("topology", "delete_when: DocumentRemoved", "delete_when: DocumentRemovd", "17", "`DocumentRemoved`?"),
        ("topology", "delete_when: DocumentRemoved", "delet_when: DocumentRemoved", "17", "`delete_when`?"),
        ("topology", "partition: [doc_id]", "partition: [docid]", "32", "did you mean `doc_id`?"),
        ("topology", "with: documents", "with: document", "30", "did you mean `documents`?"),
        ("topology", "with: documents", "wiht: documents", "30", "did you mean `with`?"),
        ("topology", "number: documents.versions", "number: documents.version", "37", "`documents.versions`?"),
        ("topology", "clustering: [number desc]", "clustering: [number descending]", "33", "needs a name"),
        ("topology", "from: documents", "from: document", "46", "did you mean `documents`?"),
        ("topology", "from: documents", "form: documents", "46", "did you mean `from`?"),
        ("topology", "'month', updated", "'month', updatd", "49", "did you mean `updated`?"),
        ("topology", "date_trunc('month'", "date_trnc('month'", "49", "did you mean `date_trunc`?"),
        ("topology", "date_trunc('month'", "date_trunc('moth'", "49", "moth"),
        ("topology", "[updated desc, doc_id]", "[updated desc]", "48", "add `doc_id`"),
        ("topology", "mime_type, updated_by", "mimetype, updated_by", "51", "did you mean `mime_type`?"),
        ("topology", "key: [user_id]", "key: [usr_id]", "55", "did you mean `user_id`?"),
        ("topology", "email: last(email)", "email: last(emial)", "58", "did you mean `email`?"),
        ("topology", "sum(versions)", "sum(version)", "66", "did you mean `versions`?"),
        ("topology", "sum(versions)", "sum(name)", "66", "`sum` takes numbers"),
        ("topology", "  documents:\n", "  Documents:\n", "13", "cannot be the name of a view"),
        ("topology", "views:", "veiws:", "11", "did you mean `views`?"),
    ]);
}

#[test]
fn one_mistake_in_commands_or_queries_is_one_error() {
    each_is_one_error(&[
        ("commands", "emits: DocumentAdded", "emits: DocumentAded", "7", "did you mean `DocumentAdded`?"),
        ("commands", "emits: DocumentAdded", "emit: DocumentAdded", "7", "did you mean `emits`?"),
        ("commands", "post: /documents", "psot: /documents", "5", "did you mean `post`?"),
        ("commands", "post: /documents", "post: documents", "5", "a path begins with `/`"),
        ("commands", "allow: signed_in", "allow: signd_in", "6", "expected a rule"),
        ("commands", "allow: signed_in", "alow: signed_in", "6", "did you mean `allow`?"),
        ("commands", "user_id: actor()", "userid: actor()", "10", "did you mean `user_id`?"),
        ("commands", "user_id: actor()", "user_id: actr()", "10", "did you mean `actor`?"),
        ("commands", "at: now()", "at: nwo()", "11", "did you mean `now`?"),
        ("commands", "at: now()", "at: actor()", "11", "`at` is timestamp"),
        ("commands", "content: upload()", "content: uplaod()", "12", "did you mean `upload`?"),
        ("commands", "doc_id: new_id()", "doc_id: newid()", "9", "did you mean `new_id`?"),
        ("commands", "length(name) between", "lenght(name) between", "14", "did you mean `length`?"),
        ("commands", "length(name) between", "length(nmae) between", "14", "did you mean `name`?"),
        ("commands", "say: name must", "sya: name must", "15", "did you mean `say`?"),
        ("commands", "on: documents", "on: documnts", "22", "did you mean `documents`?"),
        ("commands", "on: documents", "no: documents", "22", "did you mean `on`?"),
        ("commands", "owner(created_by)", "owner(createdby)", "37", "did you mean `created_by`?"),
        (
            "commands",
            "delete: \"/documents/{doc_id}\"",
            "delete: \"/documents/{docid}\"",
            "35",
            "did you mean `doc_id`?",
        ),
        (
            "commands",
            "    on: documents\n    allow: \"owner",
            "    on: documnts\n    allow: \"owner",
            "36",
            "`documents`?",
        ),
        ("queries", "page: documents_by_update", "page: documents_by_updat", "8", "`documents_by_update`?"),
        ("queries", "month: { back: 240 }", "moth: { back: 240 }", "10", "did you mean `month`?"),
        ("queries", "back: 240", "bakc: 240", "10", "did you mean `back`?"),
        ("queries", "size: { default: 50, max: 500 }", "size: { default: 50, max: 5 }", "11", "more than the 5"),
        ("queries", "max: 500", "max: 10001", "11", "1 to 10000"),
        ("queries", "authors[updated_by].email", "author[updated_by].email", "13", "did you mean `authors`?"),
        ("queries", "authors[updated_by].email", "authors[updatedby].email", "13", "did you mean `updated_by`?"),
        ("queries", "authors[updated_by].email", "authors[updated_by].emial", "13", "did you mean `email`?"),
        ("queries", "authors[updated_by].email", "authors[versions].email", "13", "`versions` is a long"),
        ("commands", "on: documents\n    allow: \"owner", "on:\n    allow: \"owner", "36", "`on` must be a text"),
        ("commands", "commands:\n", "", "3", "the file has no `commands`"),
        ("commands", "commands:", "comands:", "3", "did you mean `commands`?"),
        ("queries", "queries:\n", "", "4", "the file has no `queries`"),
        ("queries", "row: totals", "row: total", "18", "did you mean `totals`?"),
        ("queries", "row: totals", "rwo: totals", "18", "did you mean `row`?"),
        ("queries", "get: /documents/count", "get: /documents", "16", "answer the same requests"),
        ("queries", "/documents/{doc_id}\"", "/documents/{docid}\"", "21", "did you mean `doc_id`?"),
        ("queries", "file: document_versions", "file: documents", "40", "`content`"),
    ]);
}

#[test]
fn one_mistake_in_a_schema_or_a_topic_is_one_error() {
    each_is_one_error(&[
        ("topic", "topic: document", "topc: document", "3", "did you mean `topic`?"),
        ("topic", "topic: document", "topic: Document!", "3", "cannot be the name of a topic"),
        ("topic", "key: doc_id", "key: docid", "4", "did you mean `doc_id`?"),
        ("topic", "key: doc_id", "kye: doc_id", "4", "did you mean `key`?"),
        ("topic", "key: doc_id\n", "", "3", "has no `key`"),
        ("topic", "partitions: 10", "partitions: ten", "5", "a whole number"),
        ("topic", "retention: forever", "retention: for ever", "6", "`forever`"),
        ("topic", "- VersionAdded", "- VersionAded", "9", "did you mean `VersionAdded`?"),
        ("topic", "  - VersionAdded\n", "", "VersionAdded.avsc:3", "is no event of topic `document`"),
        ("topic", "events:", "evnets:", "7", "did you mean `events`?"),
        (
            "VersionAdded.avsc",
            "\"mime_type\", \"type\": \"string\"",
            "\"mime_type\", \"type\": \"strng\"",
            "9",
            "did you mean `string`?",
        ),
        ("VersionAdded.avsc", "\"type\": \"record\"", "\"type\": \"recrd\"", "2", "did you mean `record`?"),
        ("VersionAdded.avsc", "\"fields\": [", "\"feilds\": [", "6", "did you mean `fields`?"),
        ("VersionAdded.avsc", "timestamp-micros", "timestamp-mikros", "12", "did you mean `timestamp-micros`?"),
        ("VersionAdded.avsc", "document.Content", "document.Contnt", "10", "did you mean `Content`?"),
        ("DocumentAdded.avsc", "\"name\": \"doc_id\"", "\"name\": \"docid\"", "topic:4", "has no field `doc_id`"),
        ("DocumentRemoved.avsc", "\"fields\": [", "\"fields\": ", "8", "expected JSON"),
        ("Content.avsc", "\"Content\"", "\"Contnt\"", "3", "others use `document.Content`"),
        (
            "Content.avsc",
            "\"namespace\": \"document\"",
            "\"namespace\": \"docment\"",
            "3",
            "others use `document.Content`",
        ),
        ("Content.avsc", "\"type\": \"long\"", "\"type\": \"lnog\"", "9", "did you mean `long`?"),
    ]);
}

#[test]
fn one_mistake_in_a_test_or_the_configuration_is_one_error() {
    each_is_one_error(&[
        ("add.yaml", "DocumentAdded:", "DocumentAded:", "4", "did you mean `DocumentAdded`?"),
        ("add.yaml", "mime_type: text/plain\n", "mimetype: text/plain\n", "7", "did you mean `mime_type`?"),
        ("add.yaml", "size: 12 }\n      user", "size: twelve }\n      user", "8", "a whole number"),
        ("add.yaml", "  documents:", "  document:", "12", "did you mean `documents`?"),
        ("add.yaml", "created_by: ann", "createdby: ann", "13", "did you mean `created_by`?"),
        ("add.yaml", "expect:", "expects:", "11", "did you mean `expect`?"),
        ("add.yaml", "given:", "givn:", "3", "did you mean `given`?"),
        ("misrouted.yaml", "event: 2", "event: 9", "9", "1 to 4"),
        ("config", "stores:", "store:", "8", "did you mean `stores`?"),
        ("config", "  operational:", "  operations:", "topology:4", "did you mean `operations`?"),
        ("config", "sqlite:", "sqlit:", "10", "did you mean `sqlite`?"),
        ("config", "embedded: data", "embeded: data", "5", "did you mean `embedded`?"),
    ]);
}

/// Independent mistakes, some in what reads another's mistake.
#[test]
fn five_mistakes_in_three_files_are_five_errors() {
    let copy = Copy::new();
    for (file, find, replace) in [
        ("topology", "last(mime_type)", "last(mimetype)"),
        ("topology", "sum(versions)", "sum(version)"),
        ("commands", "owner(created_by)", "owner(createdby)"),
        ("commands", "at: now()", "at: nwo()"),
        ("queries", "authors[updated_by].email", "authors[updatedby].email"),
    ] {
        copy.edit(file, find, replace);
    }
    insta::assert_snapshot!(copy.check().render(false));
}

/// The one that the README makes, and another in a view that reads it.
#[test]
fn a_view_of_a_mistaken_one_is_checked() {
    let copy = Copy::new();
    copy.edit("topology", "last(mime_type)", "last(mimetype)");
    copy.edit("topology", "[name, mime_type, updated_by,", "[nmae, mime_type, updated_by,");
    let found = said(&copy.check());
    assert_eq!(
        found,
        [
            "pipelines/document/topology.yaml:20:23: there is no `mimetype` here (did you mean `mime_type`?)",
            "pipelines/document/topology.yaml:51:15: there is no `nmae` here (did you mean `name`?)",
        ]
    );
}

/// A file that is not there is one error, wherever its names are used.
#[test]
fn a_file_that_is_missing_is_said_once() {
    for (file, part) in [
        ("topology", "query `list_documents` reads a view, and no topology declares any"),
        ("topic", "this schema is on no topic"),
        ("VersionAdded.avsc", "event `VersionAdded` has no schema"),
        ("config", "there is no such file"),
    ] {
        let copy = Copy::new();
        std::fs::remove_file(copy.path(full(file))).expect("removed");
        let found = said(&copy.check());
        assert!(matches!(found.as_slice(), [one] if one.contains(part)), "{file}: {found:#?}");
    }
}

/// What cannot be read is one error, and what is wrong elsewhere is said beside it.
#[test]
fn a_file_that_cannot_be_read_is_one_error() {
    let files = ["topology", "commands", "queries", "topic", "config", "VersionAdded.avsc", "Content.avsc", "add.yaml"];
    let broken: [(&str, &[u8], &str); 3] = [
        ("not UTF-8", b"a: \xff\n", "is not UTF-8"),
        ("not YAML or JSON", b"a: \"b\n", ""),
        ("too large", &[b'#'; headwater_engine::yaml::MAX_BYTES + 1], "more than the"),
    ];
    for file in files {
        for (what, bytes, part) in &broken {
            let copy = Copy::new();
            copy.write(Path::new(&full(file)), bytes);
            let found = said(&copy.check());
            let fine = matches!(found.as_slice(), [one] if one.starts_with(&full(file)) && one.contains(part));
            assert!(fine, "{file}, {what}: {found:#?}");
            let other = if file == "queries" {
                ("commands", "at: now()", "at: nwo()")
            } else {
                ("queries", "/{number}", "/{nr!}")
            };
            copy.edit(other.0, other.1, other.2);
            assert_eq!(said(&copy.check()).len(), 2, "{file}, {what}: {:#?}", said(&copy.check()));
        }
    }
}
