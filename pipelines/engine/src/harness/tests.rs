//! The matrix against itself: a rule taken out is found out.

use std::path::Path;
use std::sync::Arc;

use super::arrangement;
use super::matrix::{Effort, Matrix};
use super::mutation::Mutation;
use super::schedule::{AT_ONCE, Cut, Fault, Rules, Schedule, Then};
use super::shrink;
use crate::plan::Topology;
use crate::project::Project;

const VISITS: &str = "topic: visit\nkey: id\npartitions: 3\nretention: forever\nevents: [Visited]\n";
const TOPIC: &str = "topic: order\nkey: id\npartitions: 3\nretention: forever\nevents: [Placed, Changed, Cancelled]\n";

/// One view of each kind that keeps rows in another way.
const SHOP: &str = r#"
topology: shop
store: operational
reads: [order]
views:
  orders:
    key: [id]
    from: [Placed, Changed, Cancelled]
    create_when: Placed
    delete_when: Cancelled
    columns:
      product: first(product)
      quantity: last(quantity)
      note: last(note)
      changes: count()
  lines:
    with: orders
    key:
      partition: [id]
      clustering: [number desc]
    from: [Placed, Changed, Cancelled]
    delete_when: Cancelled
    columns:
      number: orders.changes
      quantity: last(quantity)
  by_product:
    from: orders
    key:
      partition: [product]
      clustering: [id]
    columns: [quantity]
  products:
    from: orders
    key: [product]
    columns:
      orders: count()
      quantity: sum(quantity)
  sold:
    key: [product]
    from: [Placed]
    columns:
      times: count()
      share: "sum(100 / quantity)"
  total:
    from: orders
    key: []
    columns:
      orders: count()
      share: "sum(100 / (quantity - 7))"
"#;

/// Nothing but a source and what derives from it.
const SMALL: &str = r#"
topology: small
store: operational
reads: [order]
views:
  placed:
    key: [id]
    from: [Placed, Changed]
    create_when: Placed
    columns:
      quantity: last(quantity)
  all:
    from: placed
    key: []
    columns:
      orders: count()
"#;

/// Rows of two topics, one of which makes them.
const PEOPLE: &str = r#"
topology: people
store: operational
reads: [visit, order]
views:
  people:
    key: [id]
    from: [Placed, Changed, Cancelled, Visited]
    create_when: Placed
    delete_when: Cancelled
    columns:
      product: first(Placed.product)
      quantity: last(Placed.quantity, Changed.quantity)
      visits: count(Visited.page)
      pages: collect_list(Visited.page)
      share: "sum(100 / Visited.page)"
"#;

/// Which topology, what is given, and that as events by what they are, in one line: kind, order, product, quantity, note.
const LOGS: [(&str, &str, &[&str]); 15] = [
    ("shop", "one order", &["P a p 1"]),
    ("shop", "two orders of one product", &["P a p 1", "P b p 2"]),
    ("shop", "an order cancelled", &["P a p 1", "X a"]),
    ("shop", "an order placed again", &["P a p 1", "X a", "P a q 2"]),
    ("shop", "an order placed twice, then cancelled", &["P a p 1", "P a q 1", "X a"]),
    ("shop", "an order among others", &["P a p 1", "P b p 2", "C a p 3"]),
    ("shop", "a note that comes and goes", &["P a p 1 x", "C a p 1 y", "C a p 1 x"]),
    ("shop", "the second of two orders changed", &["P a p 1", "P b p 2", "C b p 3"]),
    ("shop", "an order placed again as it was", &["P a p 1", "X a", "P a p 1"]),
    ("shop", "orders among orders", &["P a p 1", "P c p 1", "P b p 2", "C a p 3"]),
    ("shop", "poison in a row of many orders", &["P a p 0", "P b p 2", "C a p 3"]),
    ("shop", "poison in the grand total", &["P a p 7", "P b p 2", "C a p 3"]),
    ("people", "visits around an order", &["V a 1", "P a p 1", "V a 2"]),
    ("people", "visits of one who comes back", &["P a p 1", "V a 1", "X a", "V a 2", "P a q 2"]),
    ("people", "poison beside an order", &["P a p 1", "V a 0", "C a p 2", "V a 1"]),
];

fn event(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let (kind, names) = match words[0] {
        "P" => ("Placed", ["product", "quantity", "note"].as_slice()),
        "C" => ("Changed", ["product", "quantity", "note"].as_slice()),
        "V" => ("Visited", ["page"].as_slice()),
        _ => ("Cancelled", [].as_slice()),
    };
    let mut fields = format!("id: {}", words[1]);
    for (name, word) in names.iter().zip(words.iter().skip(2)) {
        fields.push_str(&format!(", {name}: {word}"));
    }
    format!("  - {kind}: {{ {fields} }}\n")
}

/// The shop, with a test for each log.
fn project() -> Project {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("headwater.yaml", "stores:\n  operational: { sqlite: data/views.db }\n");
    write("schemas/order/topic.yaml", TOPIC);
    let field = |name: &str, ty: &str| format!(r#"{{ "name": "{name}", "type": {ty} }}"#);
    let id = field("id", "\"string\"");
    let note = r#"{ "name": "note", "type": ["null", "string"], "default": null }"#;
    let whole = [id.clone(), field("product", "\"string\""), field("quantity", "\"int\""), note.to_owned()].join(", ");
    for (name, fields) in [("Placed", &whole), ("Changed", &whole), ("Cancelled", &id)] {
        let record = format!(r#"{{ "type": "record", "name": "{name}", "namespace": "order", "fields": [{fields}] }}"#);
        write(&format!("schemas/order/{name}.avsc"), &record);
    }
    let page = field("page", "\"int\"");
    let visited =
        format!(r#"{{ "type": "record", "name": "Visited", "namespace": "visit", "fields": [{id}, {page}] }}"#);
    write("schemas/visit/Visited.avsc", &visited);
    write("schemas/visit/topic.yaml", VISITS);
    write("pipelines/people/topology.yaml", PEOPLE);
    write("pipelines/shop/topology.yaml", SHOP);
    write("pipelines/small/topology.yaml", SMALL);
    for (index, (_, name, events)) in LOGS.iter().enumerate() {
        let given: String = events.iter().map(|line| event(line)).collect();
        write(&format!("pipelines/shop/tests/{index}.yaml"), &format!("test: {name}\ngiven:\n{given}expect: {{}}\n"));
    }
    Project::load(dir.path(), None).unwrap_or_else(|report| panic!("{report}"))
}

fn topology<'p>(project: &'p Project, name: &str) -> &'p Arc<Topology> {
    project.topologies.iter().find(|topology| topology.name == name).unwrap()
}

const THOROUGH: Effort = Effort { faulty: 300, shuffles: 2 };
/// For rules that matter at few moments.
const LONG: Effort = Effort { faulty: 1200, shuffles: 2 };

/// The log, and the shortest schedule, that catches a mutation under these rules.
fn caught(project: &Project, rules: Rules, mutation: Option<Mutation>, effort: Effort) -> Option<String> {
    LOGS.iter().find_map(|(topology, name, _)| {
        let case = project.tests.iter().find(|case| case.name == *name).unwrap();
        let topology = self::topology(project, topology);
        let mut matrix = Matrix::new(&case.given, topology, effort, mutation).unwrap();
        matrix.first();
        let failed = matrix.fails(rules).map(|failing| matrix.told(&failing));
        let changed = arrangement::changed(&case.given, topology).unwrap();
        let told = failed.or_else(|| matrix.fails_changed(rules, &changed))?;
        Some(format!("{name}\n  {}\n    {}", told.message, told.lines.join("\n    ")))
    })
}

/// Every way in which a frozen worker goes on beside another, on the small topology: some rules matter at one moment only.
fn caught_beside_another(project: &Project, mutation: Option<Mutation>) -> Option<String> {
    let case = project.tests.iter().find(|case| case.name == "an order among others").unwrap();
    let topology = topology(project, "small");
    let mut matrix = Matrix::new(&case.given, topology, Effort { faulty: 0, shuffles: 0 }, mutation).unwrap();
    matrix.first();
    let plain = Schedule { log: 1, ..Schedule::plain(Rules::Cassandra, 1) };
    let steps = matrix.judge(&plain).0.steps;
    let paces = [1, 2, 3, AT_ONCE];
    let all = steps * steps * paces.len() * 2;
    let failing = (0..all).find_map(|number| {
        let (at, after) = (number % steps, number / steps % steps);
        let (pace, backwards) =
            (paces[number / steps / steps % paces.len()], number / steps / steps / paces.len() == 1);
        let fault = Fault { at, then: Then::GoesOn { after, pace }, cut: Cut::AllInOne, doubts: None };
        let schedule = Schedule { backwards, faults: vec![fault], ..plain.clone() };
        (!matrix.judge(&schedule).1).then_some(schedule)
    })?;
    let shortest = shrink::shortest(&mut matrix, failing);
    let told = matrix.told(&shortest);
    Some(format!("{} ({})\n  {}\n    {}", case.name, topology.name, told.message, told.lines.join("\n    ")))
}

#[test]
fn all_rules_kept_nothing_fails() {
    let project = project();
    for rules in [Rules::Sql, Rules::Cassandra] {
        assert_eq!(caught(&project, rules, None, THOROUGH), None, "{rules}");
    }
    assert_eq!(caught_beside_another(&project, None), None);
}

#[test]
fn each_rule_taken_out_is_found_out() {
    use Mutation::*;
    let project = project();
    let in_cassandra = [
        ClockTimestamps,
        EpochTimestamps,
        NoFence,
        OnePart,
        OnePartOfTopics,
        SourcesFirst,
        PositionFirst,
        ChangedColumns,
        DeletedAggregates,
        NetWrites,
        MixedReads,
        CachedAggregates,
        DeletedSources,
        QuorumOne,
        NoReadRepair,
        AnyTopic,
        AnyPartitions,
        ParkedLast,
        MarkerOfAnyone,
        MarkerLast,
        MarkersBeforeTakeover,
    ];
    let in_sql = [AnyTopic, NoSwap, NoTurns, NoTransaction, KeptCache, ReadsOutside, PositionsAfterReads];
    let each = in_cassandra.map(|mutation| (Rules::Cassandra, mutation)).into_iter();
    let mut found = String::new();
    for (rules, mutation) in each.chain(in_sql.map(|mutation| (Rules::Sql, mutation))) {
        let caught = caught(&project, rules, Some(mutation), THOROUGH);
        let caught = caught.or_else(|| caught_beside_another(&project, Some(mutation)));
        let caught = caught.or_else(|| self::caught(&project, rules, Some(mutation), LONG));
        let caught = caught.unwrap_or_else(|| "NOT CAUGHT".to_owned());
        found.push_str(&format!("{mutation:?}: {}\n", caught.trim_end()));
    }
    assert!(!found.contains("NOT CAUGHT"), "{found}");
    insta::assert_snapshot!(found.trim_end());
}
