//! What is said of costs, sizes and hot rows, rule by rule, over small topologies.

use headwater_engine::explain::{Explanation, Growth, ViewExplained};

use super::places;

const TOPIC: &str =
    "topic: order\nkey: order_id\npartitions: 4\nretention: forever\nevents: [OrderPlaced, OrderCancelled]\n";
const PLACED: &str = r#"{ "type": "record", "name": "OrderPlaced", "fields": [
  { "name": "order_id", "type": "string" },
  { "name": "customer_id", "type": "string" },
  { "name": "paid", "type": "boolean" },
  { "name": "tier", "type": { "type": "enum", "name": "Tier", "symbols": ["low", "middle", "high"] } },
  { "name": "lines", "type": { "type": "array", "items": "string" } },
  { "name": "total", "type": "long" },
  { "name": "at", "type": { "type": "long", "logicalType": "timestamp-micros" } } ] }"#;
const CANCELLED: &str = r#"{ "type": "record", "name": "OrderCancelled", "fields": [
  { "name": "order_id", "type": "string" } ] }"#;

/// The views that every case may read.
const VIEWS: &str = "
  orders:
    key: [order_id]
    from: [OrderPlaced, OrderCancelled]
    create_when: OrderPlaced
    delete_when: OrderCancelled
    columns: { customer: last(customer_id), total: last(total), placed: last(at), lines: last(lines) }
";

/// The last of these views, explained.
fn explained(views: &str) -> ViewExplained {
    let dir = tempfile::tempdir().expect("a folder");
    let views = format!("topology: shop\nstore: operational\nreads: [order]\nviews:{VIEWS}{views}");
    for (path, text) in [
        ("headwater.yaml", "stores:\n  operational: { sqlite: data/o.db }\n"),
        ("schemas/order/topic.yaml", TOPIC),
        ("schemas/order/OrderPlaced.avsc", PLACED),
        ("schemas/order/OrderCancelled.avsc", CANCELLED),
        ("pipelines/shop/topology.yaml", &views),
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let project = places::load(dir.path().to_owned());
    Explanation::of(&project, &project.topologies[0]).views.into_iter().find(|view| view.name == "it").expect("it")
}

#[test]
fn rows_of_an_event_are_counted() {
    for (view, reads, writes) in [
        ("key: [order_id]\n    from: OrderPlaced\n    columns: { n: count() }", "1", "1"),
        (
            "key: [customer_id]\n    from: { a: { event: OrderPlaced, where: paid } }\n    columns: { n: count() }",
            "0-1",
            "0-1",
        ),
        (
            "key: [who]\n    from:\n      a: { event: OrderPlaced, as: { who: customer_id } }\n      \
             b: { event: OrderPlaced, as: { who: order_id } }\n    columns: { n: count() }",
            "2",
            "2",
        ),
        (
            "key: [line]\n    from: { a: { event: OrderPlaced, each: { line: lines } } }\n    columns: { n: count() }",
            "n",
            "n",
        ),
        // A copy whose key holds what may change moves; it is never read.
        ("from: orders\n    key: { partition: [customer], clustering: [order_id] }\n    columns: [total]", "0", "1-2"),
        ("from: orders\n    key: [order_id]\n    columns: [total]", "0", "1"),
        ("from: { a: { view: orders, where: total > 5 } }\n    key: [order_id]\n    columns: [total]", "0", "0-1"),
        ("from: orders\n    key: [customer]\n    columns: { n: count() }", "1-2", "1-2"),
        ("from: orders\n    key: []\n    columns: { n: count() }", "1", "1"),
        (
            "from: { a: { view: orders, each: { line: lines } } }\n    key: [line]\n    columns: { n: count() }",
            "n",
            "n",
        ),
    ] {
        let it = explained(&format!("  it:\n    {view}\n"));
        assert_eq!(
            (it.cost.reads.to_string().as_str(), it.cost.writes.to_string().as_str()),
            (reads, writes),
            "{view}"
        );
    }
}

#[test]
fn what_grows_and_what_is_hot_is_said() {
    let copy = |key: &str| format!("from: orders\n    key: {key}\n    columns: [total]");
    let of_events = |key: &str| format!("from: OrderPlaced\n    key: {key}\n    columns: {{ n: count() }}");
    for (view, growth, note, hot) in [
        (of_events("[]"), Growth::Fixed, None, Some("one hot row")),
        (of_events("[order_id]"), Growth::Fixed, None, None),
        (of_events("[customer_id]"), Growth::Fixed, None, None),
        (of_events("[paid, tier]"), Growth::Fixed, None, Some("few hot rows")),
        (of_events("[{ one: \"'x'\" }]"), Growth::Fixed, None, Some("few hot rows")),
        (of_events("[{ day: \"date_trunc('day', at)\" }]"), Growth::Fixed, None, Some("hot row")),
        (
            of_events("{ partition: [paid], clustering: [order_id] }"),
            Growth::Unbounded,
            Some("grows without bound"),
            None,
        ),
        (
            of_events("{ partition: [customer_id], clustering: [order_id] }"),
            Growth::WithKey,
            Some("grows with each customer_id"),
            None,
        ),
        (copy("{ partition: [customer], clustering: [order_id] }"), Growth::WithKey, None, None),
        // A row a day.
        (
            of_events("{ partition: [customer_id], clustering: [{ day: cast(at as date) }] }"),
            Growth::WithKey,
            None,
            None,
        ),
        (
            copy("{ partition: [], clustering: [placed desc, order_id] }"),
            Growth::Unbounded,
            Some("grows without bound"),
            None,
        ),
        (
            copy("{ partition: [{ month: \"date_trunc('month', placed)\" }], clustering: [order_id] }"),
            Growth::Bounded,
            None,
            Some("hot partition"),
        ),
        (
            copy("{ partition: [], clustering: [placed desc, order_id] }\n    retain: { days: 30, after: placed }"),
            Growth::Bounded,
            None,
            None,
        ),
    ] {
        let it = explained(&format!("  it:\n    {view}\n"));
        assert_eq!(it.size.growth, growth, "{view}: {:?}", it.size);
        assert_eq!(it.size.note.as_deref(), note, "{view}");
        assert_eq!(it.hot.as_ref().map(|hot| hot.note), hot, "{view}");
        assert_eq!(it.size.note.is_some(), it.size.advice.is_some(), "what is worth a look comes with advice: {view}");
    }
}

/// The advice names a time that is there.
#[test]
fn advice_is_of_what_is_declared() {
    let advice = |view: &str| explained(&format!("  it:\n    {view}\n")).size.advice.unwrap_or_default();
    let of_events =
        "from: OrderPlaced\n    key: { partition: [paid], clustering: [order_id] }\n    columns: { n: count() }";
    assert!(advice(of_events).contains("date_trunc('month', at)"), "{}", advice(of_events));
    let copy = "from: orders\n    key: { partition: [], clustering: [order_id] }\n    columns: [total]";
    assert!(advice(copy).contains("date_trunc('month', placed)"), "{}", advice(copy));
    assert!(advice(copy).contains("a time of orders"), "{}", advice(copy));
}

/// What Cassandra is told of follows how a view is made, and each form says another thing.
#[test]
fn each_way_to_write_is_told_apart() {
    let on_cassandra = |view: &str| explained(&format!("  it:\n    {view}\n")).stores[1].says.clone();
    for (view, says) in [
        (
            "from: OrderPlaced\n    key: [order_id]\n    columns: { n: count() }",
            &["whole rows at their event's offset"][..],
        ),
        (
            "from: [OrderPlaced, OrderCancelled]\n    create_when: OrderPlaced\n    delete_when: OrderCancelled\n    \
             key: [order_id]\n    columns: { n: count() }",
            &["whole rows", "hidden guard"],
        ),
        (
            "from: [OrderPlaced, OrderCancelled]\n    create_when: OrderPlaced\n    delete_when: OrderCancelled\n    \
             key: { partition: [order_id], clustering: [at] }\n    columns: { n: count() }",
            &["whole rows", "a partition is deleted"],
        ),
        (
            "from: OrderPlaced\n    key: [customer_id]\n    columns: { n: count() }",
            &["each of the 4 partitions of topic order"],
        ),
        (
            "from: orders\n    key: [customer]\n    columns: { n: count() }",
            &["each of the 4 partitions", "hidden guard"],
        ),
        ("from: orders\n    key: [order_id]\n    columns: [total]", &["never read back"]),
        (
            "from: orders\n    key: [order_id]\n    retain: { days: 3, after: placed }\n    columns: [placed]",
            &["never read back", "time to live"],
        ),
    ] {
        let said = on_cassandra(view);
        for part in says {
            assert!(said.contains(part), "{part:?} in {said:?} of {view}");
        }
    }
}
