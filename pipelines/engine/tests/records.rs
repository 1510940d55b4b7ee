//! Expressions over whole records: paths into what an event nests, and what the record says beside its event; through the
//! fold, under every schedule.

use std::path::Path;

use headwater_engine::harness;
use headwater_engine::project::Project;

const TOPIC: &str = "topic: shop\nkey: id\npartitions: 2\nretention: forever\nevents: [Placed, Cancelled]\n";

const PLACED: &str = r#"{ "type": "record", "name": "Placed", "namespace": "shop", "fields": [
    { "name": "id", "type": "string" },
    { "name": "note", "type": ["null", "string"], "default": null },
    { "name": "address", "type": ["null", { "type": "record", "name": "Address", "fields": [
        { "name": "street", "type": "string" }, { "name": "city", "type": ["null", "string"] }] }] },
    { "name": "lines", "type": { "type": "array", "items": { "type": "record", "name": "Line", "fields": [
        { "name": "product", "type": "string" }, { "name": "quantity", "type": "int" }] } } },
    { "name": "attributes", "type": { "type": "map", "values": "string" } } ] }"#;

const CANCELLED: &str = r#"{ "type": "record", "name": "Cancelled", "namespace": "shop", "fields": [
    { "name": "id", "type": "string" } ] }"#;

const TOPOLOGY: &str = r#"
topology: shop
store: operational
reads: [shop]
views:
  orders:
    key: [id]
    from: [Placed, Cancelled]
    columns:
      status: "last(case _event when 'Cancelled' then 'cancelled' else 'placed' end)"
      changed: last(_time)
      source: "last(_header['ce_source'])"
      written: last(_key)
      city: last(Placed.address.city)
      first_product: last(Placed.lines[1].product)
      second: "last(Placed.lines[2].quantity)"
      lines: last(cardinality(Placed.lines))
      gift: "last(Placed.attributes['gift'] = 'yes')"
      placed_in: "last(concat(Placed.address.street, ', ', Placed.address.city))"
  latest:
    key: [id]
    from: [Cancelled]
    columns:
      at: last(_offset)
      event: last(Cancelled._event)
"#;

const TEST: &str = r#"
test: what an order says
given:
  - Placed:
      id: a
      address: { street: Main, city: Bern }
      lines: [{ product: tea, quantity: 2 }, { product: jam, quantity: 5 }]
      attributes: { gift: "yes" }
      _time: "2026-01-01T10:00:00Z"
      _headers: { ce_source: web, other: x }
  - Placed:
      id: b
      address: null
      lines: []
      attributes: {}
      _time: "2026-01-02T10:00:00.123Z"
  - Cancelled:
      id: a
      _time: "2026-01-03T10:00:00Z"
expect:
  orders:
    - id: a
      status: cancelled
      changed: "2026-01-03T10:00:00Z"
      source: null
      written: a
      city: Bern
      first_product: tea
      second: 5
      lines: 2
      gift: true
      placed_in: Main, Bern
    - id: b
      status: placed
      changed: "2026-01-02T10:00:00.123Z"
      source: null
      written: b
      city: null
      first_product: null
      second: null
      lines: 0
      gift: null
      placed_in: ", "
  latest:
    - { id: a, event: Cancelled }
"#;

const HEADERS: &str = r#"
test: headers are read by their names
given:
  - Cancelled: { id: a, _headers: { ce_source: web } }
expect:
  orders:
    - { id: a, source: web, status: cancelled }
"#;

fn load(topology: &str) -> Result<Project, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    write("headwater.yaml", "stores:\n  operational: { sqlite: data/views.db }\n");
    write("schemas/shop/topic.yaml", TOPIC);
    write("schemas/shop/Placed.avsc", PLACED);
    write("schemas/shop/Cancelled.avsc", CANCELLED);
    write("pipelines/shop/topology.yaml", topology);
    write("pipelines/shop/tests/orders.yaml", TEST);
    write("pipelines/shop/tests/headers.yaml", HEADERS);
    Project::load(dir.path(), None).map_err(|report| report.to_string())
}

#[test]
fn paths_and_what_stands_beside_the_event() {
    let project = load(TOPOLOGY).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(project.tests.len(), 2);
    for case in &project.tests {
        let verdict = harness::run(case, &project.topologies).expect("the events can be written");
        assert!(verdict.passed(), "{verdict:?}");
    }
}

/// What no view reads is neither decoded nor laid out.
#[test]
fn what_is_needed_is_described() {
    let project = load(TOPOLOGY).unwrap_or_else(|report| panic!("{report}"));
    let description = &project.topologies[0].description;
    let needed: Vec<&str> = description.lines().filter(|line| line.starts_with("event ")).collect();
    assert_eq!(
        needed,
        [
            "event shop/Placed: id string, _time, _header, _key, address record shop.Address or null, \
             lines array of record shop.Line, attributes map of string",
            "event shop/Cancelled: id string, _time, _header, _key, _offset",
        ]
    );
}

#[test]
fn mistakes() {
    for (from, to, said) in [
        ("_header['ce_source']", "_header.ce_source", "a map's value: ['ce_source']"),
        ("last(_time)", "last(_tme)", "did you mean `_time`?"),
        ("address.city)\n", "address.town)\n", "record Address has no field `town`"),
        ("lines[1].product)", "lines.product)", "an element comes first, counted from 1: [1]"),
    ] {
        assert!(TOPOLOGY.contains(from), "{from}");
        let report = load(&TOPOLOGY.replacen(from, to, 1)).expect_err("a mistake");
        assert!(report.contains(said), "{to}: {report}");
    }
}
