//! Queries that compile, and what is said of those that do not. Over the document domain as it is declared.

use std::path::Path;
use std::sync::Arc;

use headwater_schemas::{Event, KeyFormat, Topic, avsc};

use super::*;
use crate::declare;
use crate::source::{Diagnostic, Sources};
use crate::yaml;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn node(text: &str) -> yaml::Node {
    let mut sources = Sources::default();
    let id = sources.add("test.yaml", text.to_owned());
    yaml::parse(id, text).unwrap()
}

fn topic(domain: &str) -> Arc<Topic> {
    let dir = root().join("schemas").join(domain);
    let text = std::fs::read_to_string(dir.join("topic.yaml")).unwrap();
    let decl = declare::topic::read(&node(&text), &mut Vec::new()).unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let schemas = avsc::parse_all(&files).unwrap();
    let key: Vec<String> = decl.key.iter().map(|field| field.value.clone()).collect();
    let event = |name: &str| {
        let schema = schemas.iter().find(|schema| schema.short_name() == name).unwrap();
        Event::new(Arc::new(schema.clone()), Vec::new(), &key).unwrap()
    };
    Arc::new(Topic {
        name: decl.topic.value.clone(),
        domain: domain.to_owned(),
        key_format: KeyFormat::String,
        partitions: decl.partitions.value,
        retention_days: None,
        compact: false,
        deduplicate: None,
        events: decl.events.iter().map(|name| event(name)).collect(),
        ignore: Vec::new(),
        key,
    })
}

fn topologies() -> Vec<Arc<Topology>> {
    topologies_with("date_trunc('month', updated)")
}

/// The document domain, its documents by update in buckets of this expression.
fn topologies_with(bucket: &str) -> Vec<Arc<Topology>> {
    let text = std::fs::read_to_string(root().join("pipelines/document/topology.yaml")).unwrap();
    let text = text.replace("date_trunc('month', updated)", bucket);
    let decl = declare::topology::read(&node(&text), &mut Vec::new()).unwrap();
    let topics = [topic("document"), topic("user")];
    vec![Arc::new(crate::plan::compile(&decl, &topics).unwrap())]
}

fn compile_all(text: &str) -> Vec<Result<Query, Vec<Diagnostic>>> {
    let topologies = topologies();
    let mut out = Vec::new();
    let decls = declare::query::read(&node(text), &mut out).unwrap();
    assert!(out.is_empty(), "{out:?}");
    decls.iter().map(|decl| compile(decl, &topologies)).collect()
}

fn compile_one(text: &str) -> Result<Query, Vec<Diagnostic>> {
    let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
    compile_all(&format!("queries:\n  q:\n{lines}")).remove(0)
}

#[test]
fn the_document_domains_queries_compile() {
    let text = std::fs::read_to_string(root().join("pipelines/document/queries.yaml")).unwrap();
    let queries: Vec<Query> = compile_all(&text).into_iter().map(Result::unwrap).collect();
    let names: Vec<&str> = queries.iter().map(|query| query.name.as_str()).collect();
    assert_eq!(names, ["list_documents", "count_documents", "get_document", "list_versions", "download_version"]);

    let list = &queries[0];
    assert_eq!(list.parameters, []);
    let Answer::Page { walk: Some(walk), size_default, size_max, sort: None } = list.answer else {
        panic!("{:?}", list.answer)
    };
    assert_eq!((walk.column, walk.unit, walk.back, size_default, size_max), (0, Unit::Month, 240, 50, 500));
    let join = &list.joins[0];
    let updated_by = list.table().column("updated_by").unwrap().0;
    assert_eq!((join.table().name.as_str(), join.key.as_slice()), ("authors", [updated_by].as_slice()));
    assert_eq!(join.column, Some(1));

    assert_eq!((queries[1].parameters.len(), &queries[1].answer), (0, &Answer::Row));
    let download = &queries[4];
    let from: Vec<_> = download.parameters.iter().map(|p| (p.name.as_str(), p.column, p.place)).collect();
    assert_eq!(from, [("doc_id", 0, Place::Path), ("number", 1, Place::Path)]);
    assert!(matches!(download.answer, Answer::File { .. }));
}

#[test]
fn what_the_path_does_not_name_is_asked_in_the_query_string() {
    let query = compile_one("get: /versions\nallow: anyone\npage: document_versions").unwrap();
    assert_eq!(query.parameters, [Parameter { name: "doc_id".into(), column: 0, place: Place::Query }]);
    let query = compile_one("get: \"/versions/{number}\"\nallow: anyone\nrow: document_versions").unwrap();
    let places: Vec<_> = query.parameters.iter().map(|parameter| parameter.place).collect();
    assert_eq!(places, [Place::Query, Place::Path]);
    let query = compile_one("get: /months\nallow: anyone\npage: documents_by_update").unwrap();
    assert_eq!(query.parameters[0].name, "month");
}

#[test]
fn a_join_may_be_a_whole_row() {
    let text = "get: \"/d/{doc_id}\"\nallow: anyone\nrow: documents\njoin:\n  author: \"authors[created_by]\"";
    let query = compile_one(text).unwrap();
    assert_eq!((query.joins[0].column, query.joins[0].ty()), (None, None));
    let text = "get: \"/d/{doc_id}\"\nallow: anyone\nrow: documents\njoin:\n  all: \"totals[].documents\"";
    assert!(compile_one(text).unwrap().joins[0].key.is_empty());
}

/// A query, and what is said of it.
const MISTAKES: [(&str, &[&str]); 18] = [
    ("get: /d\nallow: anyone\nrow: document", &["there is no view `document`"]),
    (
        "get: d\nallow: nobody\nrow: totals",
        &["a path begins with `/`", "expected a rule in this `allow` rule, found `nobody`"],
    ),
    (
        "get: \"/d/{name}\"\nallow: anyone\nrow: documents",
        &["`name` is not in the key of view `documents`, so this query would scan the whole view"],
    ),
    (
        "get: \"/d/{updated_by}\"\nallow: anyone\npage: documents_by_update\nwalk:\n  month: { back: 3 }",
        &[
            "`updated_by` is not in the partition of view `documents_by_update`, so this query would scan the whole view",
        ],
    ),
    ("get: \"/d/{doc}\"\nallow: anyone\nrow: documents", &["view `documents` has no column `doc`"]),
    ("get: \"/d/{id}\"\nallow: anyone\nrow: totals", &["view `totals` has no column `id`"]),
    (
        "get: \"/m/{month}\"\nallow: anyone\npage: documents_by_update\nwalk:\n  month: { back: 3 }",
        &["`month` is walked, so the path cannot name it"],
    ),
    (
        "get: /d\nallow: anyone\npage: documents",
        &["a page of view `documents` would scan it: each of its partitions is one row"],
    ),
    ("get: /d\nallow: anyone\npage: totals", &["view `totals` has one row, so there is nothing to page"]),
    (
        "get: /d\nallow: anyone\npage: documents_by_update\nwalk:\n  updated: { back: 3 }",
        &["`updated` is not a partition column of view `documents_by_update`"],
    ),
    (
        "get: \"/d/{doc_id}\"\nallow: anyone\npage: document_versions\nwalk:\n  doc_id: { back: 3 }",
        &["`doc_id` is no time bucket, so nothing says which partition comes before another"],
    ),
    (
        "get: \"/d/{doc_id}\"\nallow: anyone\nfile: documents",
        &["view `documents` has no column `content`, which a file needs"],
    ),
    (
        "get: \"/d/{doc_id}/{number}\"\nallow: anyone\nfile: { view: document_versions, content: name, name: number }",
        &[
            "column `name` is a string, and content is what `upload()` gives: a record of `blob` (string), `sha256` (string or \
             bytes) and `size` (long)",
            "column `number` is a long, and a file's name is a string",
        ],
    ),
    (
        "get: \"/d/{doc_id}\"\nallow: anyone\nrow: documents\njoin:\n  e: \"author[created_by].email\"\n  name: \"authors[created_by].email\"\n  f: \"authors[created].email\"\n  g: \"authors[created_by].mail\"\n  h: \"authors[].email\"\n  i: authors.email",
        &[
            "there is no view `author`",
            "the answer has a field `name` already",
            "`created` is a timestamp-micros, and the key column `user_id` of view `authors` is a string",
            "view `authors` has no column `mail`",
            "view `authors` has a key of `user_id`: a join names its whole key",
            "this is not a join",
        ],
    ),
    (
        "get: \"/d/{doc_id}/{number}\"\nallow: anyone\nfile: document_versions\njoin:\n  e: \"authors[created_by].email\"",
        &["a file is answered as it is: it has no fields to join to"],
    ),
    (
        "get: \"/d/{doc_id}\"\nallow: owner(created_by)\npage: document_versions",
        &["the rows of a page may have different owners in `created_by`, which is no partition column"],
    ),
    (
        "get: \"/d/{doc_id}\"\nallow: owner(versions)\nrow: documents",
        &["column `versions` is a long, and a caller's subject is a string"],
    ),
    ("get: /live\nallow: anyone\nrow: totals", &["`/live` is a path that Headwater serves itself"]),
];

#[test]
fn mistakes_are_named_all_at_once() {
    for (text, expected) in MISTAKES {
        let errors = compile_one(text).expect_err(text);
        let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(messages, expected, "{text}");
        for error in &errors {
            assert!(!error.label.is_empty(), "{}", error.message);
        }
    }
}

#[test]
fn a_scan_is_refused_with_the_view_to_declare() {
    let errors = compile_one("get: \"/d/{name}\"\nallow: anyone\nrow: documents").unwrap_err();
    assert_eq!(
        errors[0].help.as_deref(),
        Some(
            "declare a view `documents_by_name` with `from: documents` and `key: { partition: [name], clustering: [doc_id] \
             }`, and query that by `page: documents_by_name`"
        )
    );
}

#[test]
fn places_are_of_the_words_themselves() {
    let text = "queries:\n  q:\n    get: \"/d/{name}\"\n    allow: anyone\n    row: documents\n    join:\n      e: \"authors[nobody].email\"\n";
    let errors = compile_all(text).remove(0).unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| &text[error.span.range.clone()]).collect();
    assert_eq!(places, ["nobody", "{name}"]);
}

#[test]
fn only_what_begins_where_a_walk_steps_is_walked() {
    let text = "queries:\n  q:\n    get: /d\n    allow: anyone\n    page: documents_by_update\n    walk: { month: { back: 9 } }\n";
    let decl = declare::query::read(&node(text), &mut Vec::new()).unwrap().remove(0);
    let units = ["minute", "hour", "day", "week", "month", "quarter", "year"];
    let mut cases: Vec<(String, bool)> = Vec::new();
    for unit in units {
        cases.push((format!("date_trunc('{unit}', updated)"), true));
        cases.push((format!("date_trunc('{unit}', updated, 'UTC')"), true));
        cases.push((format!("date_trunc('{unit}', updated) + interval '1 day'"), false));
    }
    for unit in ["day", "week", "month", "quarter"] {
        for zone in ["Europe/Amsterdam", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Sydney"] {
            cases.push((format!("date_trunc('{unit}', updated, '{zone}')"), false));
        }
    }
    cases.push(("date_trunc('hour', updated, 'Asia/Kolkata')".into(), false));
    // Whole hours away, hours begin together.
    cases.push(("date_trunc('hour', updated, 'Europe/Amsterdam')".into(), true));
    cases.push(("date_trunc('month', updated + interval '1 hour')".into(), false));
    cases.push(("updated".into(), false));
    for (bucket, walked) in cases {
        let compiled = compile(&decl, &topologies_with(&bucket));
        assert_eq!(compiled.is_ok(), walked, "{bucket}: {compiled:?}");
        if let Err(errors) = compiled {
            assert!(errors[0].message.starts_with("`month` is no time bucket"), "{bucket}: {errors:?}");
        }
    }
}
