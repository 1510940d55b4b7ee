//! A project of thirty views: three topologies of ten, over four topics, with commands and queries.

use std::path::Path;

use headwater_engine::project::Project;

use super::places;

const DOMAINS: [(&str, &str); 3] = [("order", "Order"), ("shipment", "Shipment"), ("invoice", "Invoice")];

pub(crate) fn thirty_views() -> Project {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |path: String, text: String| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    write("headwater.yaml".into(), "stores:\n  operational: { sqlite: data/o.db }\n".into());
    topic(&write, "customer", "customer_id", &["CustomerKept"], &[("name", "\"string\"")]);
    for (name, event) in DOMAINS {
        let events = ["Placed", "Changed", "Cancelled"].map(|what| format!("{event}{what}"));
        let fields = [
            ("customer_id", "\"string\""),
            ("kind", "\"string\""),
            ("total", "{ \"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 12, \"scale\": 2 }"),
            ("at", "{ \"type\": \"long\", \"logicalType\": \"timestamp-micros\" }"),
        ];
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        topic(&write, name, &format!("{name}_id"), &events, &fields);
        for (file, text) in [("topology", TOPOLOGY), ("queries", QUERIES), ("commands", COMMANDS)] {
            write(format!("pipelines/{name}/{file}.yaml"), text.replace("$it", name).replace("$It", event));
        }
    }
    let project = places::load(dir.path().to_owned());
    assert_eq!(project.topologies.iter().map(|topology| topology.views.len()).sum::<usize>(), 30);
    project
}

fn topic(write: &impl Fn(String, String), name: &str, key: &str, events: &[&str], fields: &[(&str, &str)]) {
    let listed = events.join(", ");
    let text = format!("topic: {name}\nkey: {key}\npartitions: 12\nretention: forever\nevents: [{listed}]\n");
    write(format!("schemas/{name}/topic.yaml"), text);
    for event in events {
        let key = [(key, "\"string\"")];
        let fields = key.iter().chain(fields);
        let fields: Vec<String> =
            fields.map(|(name, ty)| format!("{{ \"name\": \"{name}\", \"type\": {ty} }}")).collect();
        let fields = fields.join(", ");
        let schema = format!("{{ \"type\": \"record\", \"name\": \"{event}\", \"fields\": [{fields}] }}");
        write(format!("schemas/{name}/{event}.avsc"), schema);
    }
}

const TOPOLOGY: &str = r#"
topology: $it
store: operational
reads: [$it, customer]
views:
  $its:
    doc: What stands now.
    key: [$it_id]
    from: [$ItPlaced, $ItChanged, $ItCancelled]
    create_when: $ItPlaced
    delete_when: $ItCancelled
    columns:
      customer: last(customer_id)
      kind: last(kind)
      total: last(total)
      placed: last(at)
      versions: count()
  $it_versions:
    with: $its
    key: { partition: [$it_id], clustering: [version desc] }
    from: [$ItPlaced, $ItChanged, $ItCancelled]
    delete_when: $ItCancelled
    columns:
      version: $its.versions
      total: last(total)
  $its_by_month:
    from: $its
    key:
      partition: [{ month: "date_trunc('month', placed)" }]
      clustering: [placed desc, $it_id]
    columns: [customer, total]
  $its_by_customer:
    from: $its
    key: { partition: [customer], clustering: [placed desc, $it_id] }
    columns: [total]
  $it_totals:
    from: $its
    key: []
    columns: { number: count(), total: sum(total) }
  $it_customers:
    from: $its
    key: [customer]
    columns: { number: count(), total: sum(total) }
  $it_kinds:
    from: [$ItPlaced]
    key: [kind]
    columns: { number: count(), largest: max(total) }
  $it_months:
    from: $its_by_month
    key: [month]
    columns: { number: count(), total: sum(total) }
  large_$its_by_customer_with_a_long_name:
    from: { large: { view: $its_by_customer, where: "total > 100" } }
    key: { partition: [customer], clustering: [total desc, placed, $it_id] }
    columns: []
  $it_names:
    key: [customer_id]
    from: CustomerKept
    columns: { name: last(name) }
"#;

const QUERIES: &str = r#"
queries:
  get_$it:
    get: "/$its/{$it_id}"
    allow: signed_in
    row: $its
    join: { customer_name: "$it_names[customer].name" }
  list_$it_versions:
    get: "/$its/{$it_id}/versions"
    allow: signed_in
    page: $it_versions
  list_$its:
    get: /$its
    allow: signed_in
    page: $its_by_month
    walk: { month: { back: 24 } }
    join: { customer_name: "$it_names[customer].name" }
  list_$its_of_customer:
    get: "/customers/{customer}/$its"
    allow: signed_in
    page: $its_by_customer
  count_$its:
    get: /$its/count
    allow: anyone
    row: $it_totals
  list_large_$its:
    get: "/customers/{customer}/large-$its"
    allow: signed_in
    page: large_$its_by_customer_with_a_long_name
"#;

const COMMANDS: &str = r#"
commands:
  place_$it:
    post: /$its
    allow: signed_in
    emits: $ItPlaced
    set: { $it_id: new_id(), at: now() }
  change_$it:
    put: "/$its/{$it_id}"
    allow: signed_in
    on: $its
    emits: $ItChanged
    set: { at: now() }
  cancel_$it:
    delete: "/$its/{$it_id}"
    allow: signed_in
    on: $its
    emits: $ItCancelled
    set: { at: now() }
"#;
