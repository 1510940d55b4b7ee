//! Commands against one small project: what is refused, with its place, and what comes of facts.

use std::path::Path;
use std::sync::Arc;

use headwater_schemas::json::to_json;
use headwater_schemas::{FieldType, KeyCodec, Type, Value};
use serde_json::json;
use uuid::Uuid;

use super::{Command, Facts, Upload};
use crate::project::Project;
use crate::table::{Row, RowPosition};

const FILES: &[(&str, &str)] = &[
    (
        "headwater.yaml",
        "log: { embedded: data }\nregistry: { embedded: data }\nstores:\n  main: { sqlite: data/m.db }\n  other: { sqlite: data/o.db }\nblobs: { folder: data/blobs }\n",
    ),
    ("schemas/thing/topic.yaml", "topic: thing\nkey: id\npartitions: 2\nretention: forever\nevents: [Made, Changed]\n"),
    (
        "schemas/thing/Made.avsc",
        r#"{"type": "record", "name": "Made", "fields": [
            {"name": "id", "type": "string"},
            {"name": "name", "type": "string"},
            {"name": "size", "type": "int", "default": 1},
            {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["red", "blue"]}},
            {"name": "by", "type": ["null", "string"], "default": null},
            {"name": "content", "type": {"type": "record", "name": "Content", "fields": [
                {"name": "blob", "type": "string"}, {"name": "sha256", "type": "string"}, {"name": "size", "type": "long"}]}}]}"#,
    ),
    (
        "schemas/thing/Changed.avsc",
        r#"{"type": "record", "name": "Changed", "fields": [
            {"name": "id", "type": "string"}, {"name": "name", "type": "string"}, {"name": "size", "type": "int"}]}"#,
    ),
    ("schemas/other/topic.yaml", "topic: other\nkey: id\npartitions: 2\nretention: forever\nevents: [Told]\n"),
    (
        "schemas/other/Told.avsc",
        r#"{"type": "record", "name": "Told", "fields": [{"name": "id", "type": "string"}, {"name": "text", "type": "string"}]}"#,
    ),
    (
        "pipelines/thing/topology.yaml",
        "topology: thing\nstore: main\nreads: [thing, other]\nviews:
  things:
    key: [id]
    from: [Made, Changed]
    create_when: Made
    columns:
      name: last(name)
      size: last(size)
      made_by: first(Made.by)
  things_by_name:
    from: things
    key: { partition: [ name: lower(name) ], clustering: [id] }
    columns: [size]
  things_by_maker:
    from: things
    key: { partition: [ made_by: \"coalesce(made_by, 'nobody')\" ], clustering: [id] }
    columns: [size]
  told:
    key: [id]
    from: [Told]
    columns:
      text: last(text)
  total:
    from: things
    key: []
    columns:
      count: count()
",
    ),
    (
        "pipelines/other/topology.yaml",
        "topology: again\nstore: other\nreads: [thing]\nviews:
  sizes:
    key: [id]
    from: [Made]
    columns:
      size: last(size)
",
    ),
    (
        "pipelines/thing/queries.yaml",
        "queries:\n  get_thing:\n    get: \"/things/{id}\"\n    allow: anyone\n    row: things\n",
    ),
];

/// The project with these commands; or each mistake, as `the words marked: message`.
fn load(commands: &str) -> Result<Project, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for (path, text) in FILES {
        write(&folder.path().join(path), text);
    }
    write(&folder.path().join("pipelines/thing/commands.yaml"), commands);
    Project::load(folder.path(), None).map_err(|report| {
        let place = |found: &crate::source::Diagnostic| {
            let text = report.sources().text(found.span.file);
            format!("{}: {}", &text[found.span.range.clone()], found.message)
        };
        report.diagnostics().iter().map(place).collect()
    })
}

fn one(command: &str) -> Result<Arc<Command>, Vec<String>> {
    load(&format!("commands:\n  make:\n{command}")).map(|project| project.commands[0].clone())
}

const MAKE: &str = "    post: /things\n    allow: signed_in\n    emits: Made\n";
const SET: &str = "    set:\n      id: new_id()\n      by: actor()\n      content: upload()\n";

const CHANGE: &str = "    put: \"/things/{id}\"\n    allow: signed_in\n    on: things\n    emits: Changed\n";

/// Commands, and what is wrong with each.
type Cases = Vec<(String, &'static [&'static str])>;

fn check(cases: Cases) {
    for (command, expected) in cases {
        let found = one(&command).err().unwrap_or_default();
        assert_eq!(found, expected, "{command}");
    }
}

#[test]
fn fields_that_cannot_be_given_are_named_where_they_are() {
    check(vec![
        (format!("{MAKE}    set:\n      idd: new_id()\n"), &["idd: event `Made` has no field `idd`"]),
        ("    post: /things\n    allow: signed_in\n    emits: Mad\n".into(), &["Mad: there is no event `Mad`"]),
        (
            format!("{MAKE}    set:\n      size: \"'a'\"\n      colour: \"'green'\"\n      name: nam\n"),
            &[
                "'a': `size` is int, and this gives string",
                "'green': `colour` expected enum Colour, found green",
                "nam: there is no `nam` here",
            ],
        ),
        (format!("{MAKE}    set:\n      id: upload()\n"), &["upload(): `id` cannot note an upload"]),
        (
            "    post: \"/things/{id}\"\n    allow: signed_in\n    emits: Made\n    set:\n      id: new_id()\n".into(),
            &["new_id(): `id` is given by the path and by `set:`"],
        ),
        (
            "    post: \"/stuff/{key}\"\n    allow: anyone\n    emits: Made\n".into(),
            &["/stuff/{key}: `{key}` is neither a field of `Made` nor a key of `on:`"],
        ),
        (
            "    post: /things\n    allow: anyone\n    emits: Changed\n    set:\n      name: actor()\n".into(),
            &["actor(): `name` may not be null, and `actor()` is where nobody is signed in"],
        ),
        (
            format!("{CHANGE}    set:\n      name: \"told[id].text\"\n"),
            &["told[id].text: `told` is not the view that `on:` names"],
        ),
    ]);
}

#[test]
fn rows_and_values_that_cannot_be_held_are_named_where_they_are() {
    check(vec![
        (
            "    put: /things\n    allow: anyone\n    on: things\n    emits: Changed\n".into(),
            &["/things: the path does not name the key of view `things`"],
        ),
        (
            "    put: \"/things/{id}\"\n    allow: anyone\n    on: told\n    emits: Changed\n".into(),
            &["told: view `told` is not owned by the key of topic `thing`"],
        ),
        (
            "    put: /things\n    allow: anyone\n    on: total\n    emits: Changed\n".into(),
            &["total: view `total` is not owned by the key of topic `thing`"],
        ),
        (
            "    put: /things\n    allow: anyone\n    on: thing\n    emits: Changed\n".into(),
            &["thing: there is no view `thing`"],
        ),
        (
            format!(
                "{CHANGE}    require:\n      - that: name\n        say: x\n      - that: size > 0\n        say: x\n        status: 503\n"
            ),
            &[
                "name: a requirement is true or false, and this is string",
                "503: `status` must be a whole number from 400 to 499, not `503`",
            ],
        ),
        (
            format!("{MAKE}    body:\n      name: string\n      extra: text\n"),
            &["name: `name` is given already", "text: `text` is not the type of a body field"],
        ),
        (
            format!("{MAKE}    unique: things\n"),
            &["things: view `things` is not a re-keyed copy of a view that `Made` feeds"],
        ),
        (
            format!("{CHANGE}    unique: things_by_maker\n"),
            &["things_by_maker: what `Changed` makes of `things.made_by` is not known from the event"],
        ),
        (
            format!(
                "{MAKE}    unique: things_by_name\n  change:\n    put: \"/sizes/{{id}}\"\n    allow: anyone\n    on: sizes\n    emits: Changed\n"
            ),
            &[
                "sizes: commands of topic `thing` name views of two topologies: `things_by_name` of `thing`, and `sizes` of `again`",
            ],
        ),
        (
            format!("{MAKE}  also:\n    post: /things\n    allow: anyone\n    emits: Changed\n"),
            &["/things: commands `make` and `also` take the same requests"],
        ),
        (
            "    put: \"/things/{id}\"\n    allow: owner(maker)\n    on: things\n    emits: Changed\n".into(),
            &["maker: the row has no column `maker`"],
        ),
    ]);
}

fn facts<'a>(params: &'a [Option<Value>], body: &'a [Option<Value>], row: Option<&'a Row>) -> Facts<'a> {
    Facts { params, body, row, actor: Some("anna"), now_us: 0, event_id: Uuid::from_u128(1), upload: None }
}

#[test]
fn an_event_comes_of_facts() {
    let make = one(&format!("{MAKE}{SET}")).unwrap();
    let names: Vec<&str> = make.body.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["name", "size", "colour"]);
    assert!(make.takes_upload() && !make.takes_turns);
    let body = [Some(Value::string("n")), Some(Value::Long(7)), Some(Value::string("red"))];
    let upload = Upload { blob: "b".into(), sha256: "ff".into(), size: 3 };
    let facts = Facts { upload: Some(&upload), ..facts(&[], &body, None) };
    let record = make.record_of(&facts).unwrap();
    let id = Uuid::new_v5(&facts.event_id, b"id").to_string();
    let ty = FieldType::required(Type::Record(make.record().clone()));
    assert_eq!(
        to_json(&ty, &record),
        json!({ "id": id, "name": "n", "size": 7, "colour": "red", "by": "anna", "content": { "blob": "b", "sha256": "ff", "size": 3 } })
    );
    let keys = KeyCodec::offline(&make.topic);
    assert_eq!(make.message_key(&keys, &Facts { upload: None, ..facts.clone() }).unwrap(), id.as_bytes());
    assert_eq!(make.location(&record).unwrap(), format!("/things/{id}"));
    assert_eq!(make.ids(&record).collect::<Vec<_>>(), [("id", &Value::string(id.as_str()))]);
    assert_eq!(make.blob_of(&record), Some("b"));
    let without = make.record_of(&Facts { upload: None, body: &[None, None, None], ..facts }).unwrap_err();
    let fields: Vec<&str> = without.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(fields, ["name", "size", "colour", "content"]);
}

#[test]
fn a_row_is_read_and_required() {
    let change = one("    put: \"/things/{id}\"\n    allow: owner(made_by)\n    on: things\n    emits: Changed
    unique: things_by_name
    set:
      name: \"coalesce(body.name, things.name)\"
      size: \"things.size + body.more\"
    body:
      more: int
    require:
      - that: more > 0
        say: more must be more
      - that: things.made_by = actor()
        say: not yours
        status: 409
")
    .unwrap();
    assert!(change.takes_turns);
    let fields: Vec<(&str, bool)> =
        change.body.fields.iter().map(|field| (field.name.as_str(), field.default.is_some())).collect();
    assert_eq!(fields, [("more", false), ("name", true)]);
    let position = RowPosition { partition: 0, offset: 0 };
    let values = vec![Value::string("t1"), Value::string("Old"), Value::Long(5), Value::string("bert")];
    let row = Row { values, state: vec![], position, hidden: false };
    let params = [Some(Value::string("t1"))];
    let body = [Some(Value::Long(2)), Some(Value::Null)];
    let known = facts(&params, &body, Some(&row));
    let record = change.record_of(&known).unwrap();
    assert_eq!(record, Value::Record([Value::string("t1"), Value::string("Old"), Value::Long(7)].into()));
    assert_eq!(change.on.as_ref().unwrap().key(&params).unwrap().to_vec(), [Value::string("t1")]);
    let taken = change.unique.as_ref().unwrap().taken(&record).unwrap();
    assert_eq!((taken.value.to_vec(), taken.owner.to_vec()), (vec![Value::string("old")], vec![Value::string("t1")]));
    let says = |facts: &Facts<'_>| change.unmet(facts).iter().map(|require| require.say.clone()).collect::<Vec<_>>();
    assert_eq!(says(&known), ["not yours"]);
    let none = [Some(Value::Long(-1)), Some(Value::Null)];
    assert_eq!(says(&Facts { body: &none, ..facts(&params, &none, None) }), ["more must be more"]);
    // What is missing was reported as missing.
    assert!(says(&facts(&params, &[None, None], None)).is_empty());
    // Too large for the field, and nothing else.
    let large = [Some(Value::Long(i64::from(i32::MAX))), Some(Value::Null)];
    let errors = change.record_of(&facts(&params, &large, Some(&row))).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["size"]);
}
