//! A topology and a log as the files of a project: what a data engineer would write, to be pasted into a test.

use std::fmt::Write as _;

use crate::expr::Expr;
use crate::fold::{Outcome, Row};
use crate::topology::{Alias, Argument, Column, Field, Order, Record, Reducer, Retain, Topic, Topology, View};
use crate::value::{Type, Value, line_fields, place_fields};

/// A path and what stands there.
pub type File = (String, String);

/// All files of the project but its test.
pub fn project(topology: &Topology) -> Vec<File> {
    let mut files = vec![
        ("headwater.yaml".to_owned(), "stores:\n  operational: { sqlite: data/views.db }\n".to_owned()),
        ("pipelines/things/topology.yaml".to_owned(), self::topology(topology)),
    ];
    for topic in &topology.topics {
        let folder = format!("schemas/{}", topic.name);
        files.push((format!("{folder}/topic.yaml"), self::topic(topic)));
        for event in topic.events.iter().filter(|event| !event.ignored) {
            files.push((format!("{folder}/{}.avsc", event.name), schema(topic, event.name, &event.fields)));
        }
    }
    files
}

/// The digits that a decimal field of this scale has.
pub fn precision(scale: u32) -> u32 {
    if scale == 2 { 6 } else { 38 }
}

fn topic(topic: &Topic) -> String {
    let names = |fields: &[Field]| fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut text = format!("topic: {}\n", topic.name);
    match topic.key.as_slice() {
        [field] => text += &format!("key: {}\n", field.name),
        fields => text += &format!("key: [{}]\nkey_format: json\n", names(fields)),
    }
    text += &format!("partitions: {}\nretention: forever\n", topic.partitions);
    if topic.compacted {
        text += "cleanup: compact\n";
    }
    if let Some(last) = topic.deduplicate {
        text += &format!("deduplicate: {{ by: event_id, last: {last} }}\n");
    }
    let (ignored, events): (Vec<_>, Vec<_>) = topic.events.iter().partition(|event| event.ignored);
    let names: Vec<&str> = events.iter().map(|event| event.name).collect();
    text += &format!("events: [{}]\n", names.join(", "));
    let older: Vec<String> =
        events.iter().filter_map(|event| Some(format!("{}: [{}]", event.name, event.was?))).collect();
    if !older.is_empty() {
        text += &format!("was: {{ {} }}\n", older.join(", "));
    }
    text.extend(ignored.iter().map(|event| format!("ignore: [{}]\n", event.name)));
    text
}

fn schema(topic: &Topic, name: &str, fields: &[Field]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| {
            let (ty, name) = (avro(&field.ty), &field.name);
            match field.nullable {
                true => format!(r#"  {{ "name": "{name}", "type": ["null", {ty}], "default": null }}"#),
                false => format!(r#"  {{ "name": "{name}", "type": {ty} }}"#),
            }
        })
        .collect();
    let (fields, space) = (fields.join(",\n"), topic.name);
    format!("{{ \"type\": \"record\", \"name\": \"{name}\", \"namespace\": \"{space}\", \"fields\": [\n{fields} ] }}\n")
}

fn avro(ty: &Type) -> String {
    match ty {
        Type::Boolean => r#""boolean""#.to_owned(),
        Type::Int => r#""int""#.to_owned(),
        Type::Long => r#""long""#.to_owned(),
        Type::Double => r#""double""#.to_owned(),
        Type::Text => r#""string""#.to_owned(),
        Type::Time => r#"{ "type": "long", "logicalType": "timestamp-micros" }"#.to_owned(),
        Type::Decimal(scale) => {
            let precision = precision(*scale);
            format!(r#"{{ "type": "bytes", "logicalType": "decimal", "precision": {precision}, "scale": {scale} }}"#)
        }
        Type::Date => r#"{ "type": "int", "logicalType": "date" }"#.to_owned(),
        Type::Lines => format!(r#"{{ "type": "array", "items": {} }}"#, record("Line", &line_fields(), &["q", "r"])),
        Type::Place => record("Place", &place_fields(), &["city"]),
        Type::Map => r#"{ "type": "map", "values": "string" }"#.to_owned(),
        Type::List(of) => format!(r#"{{ "type": "array", "items": {} }}"#, avro(of)),
    }
}

fn record(name: &str, fields: &[(&str, Type)], nullable: &[&str]) -> String {
    let field = |(name, ty): &(&str, Type)| match nullable.contains(name) {
        true => format!(r#"{{ "name": "{name}", "type": ["null", {}] }}"#, avro(ty)),
        false => format!(r#"{{ "name": "{name}", "type": {} }}"#, avro(ty)),
    };
    let fields: Vec<String> = fields.iter().map(field).collect();
    // The same in every topic.
    format!(r#"{{ "type": "record", "name": "{name}", "namespace": "parts", "fields": [{}] }}"#, fields.join(", "))
}

fn topology(topology: &Topology) -> String {
    let read = (0..topology.topics.len()).filter(|topic| topology.reads_topic(*topic));
    let read: Vec<&str> = read.map(|topic| topology.topics[topic].name).collect();
    let mut text = format!("topology: things\nstore: operational\nreads: [{}]\nviews:\n", read.join(", "));
    for view in &topology.views {
        text += &format!("  {}:\n", view.name);
        if let Some(with) = view.with {
            text += &format!("    with: {}\n", topology.views[with].name);
        }
        key(view, &mut text);
        from(topology, view, &mut text);
        for (word, aliases) in [("create_when", &view.create_when), ("delete_when", &view.delete_when)] {
            let names: Vec<&str> = aliases.iter().map(|alias| view.called(*alias, topology)).collect();
            if !names.is_empty() {
                text += &format!("    {word}: [{}]\n", names.join(", "));
            }
        }
        columns(topology, view, &mut text);
        if let Some(Retain { days, after }) = &view.retain {
            text += &format!("    retain: {{ days: {days}, after: {after} }}\n");
        }
    }
    text
}

fn quoted(expression: &str) -> String {
    serde_json::Value::from(expression).to_string()
}

fn plain(name: &str) -> String {
    name.to_owned()
}

fn key(view: &View, text: &mut String) {
    if view.key.is_empty() {
        return text.push_str("    key: []\n");
    }
    let entries = |entries: &[(String, Expr)], indent: &str| {
        let entry = |(name, expr): &(String, Expr)| match expr.written(&plain) {
            written if written == *name => format!("{indent}- {name}\n"),
            written => format!("{indent}- {name}: {}\n", quoted(&written)),
        };
        entries.iter().map(entry).collect::<String>()
    };
    let (partition, clustering) = view.key.split_at(view.partition);
    if clustering.is_empty() {
        *text += &format!("    key:\n{}", entries(partition, "      "));
    } else {
        let (partition, clustering) = (entries(partition, "        "), entries(clustering, "        "));
        let partition = if view.partition == 0 { " []\n".to_owned() } else { format!("\n{partition}") };
        *text += &format!("    key:\n      partition:{partition}      clustering:\n{clustering}");
    }
}

fn from(topology: &Topology, view: &View, text: &mut String) {
    let kind = if view.source.is_some() { "view" } else { "event" };
    let of =
        |alias: &Alias| view.source.map_or(topology.event_name(alias.event), |source| &topology.views[source].name);
    if view.aliases.iter().all(|alias| alias.name.is_none()) {
        let listed: Vec<&str> = view.aliases.iter().map(of).collect();
        return match listed.as_slice() {
            [one] => *text += &format!("    from: {one}\n"),
            many => *text += &format!("    from: [{}]\n", many.join(", ")),
        };
    }
    text.push_str("    from:\n");
    for alias in &view.aliases {
        let mut parts = vec![format!("{kind}: {}", of(alias))];
        if let Some(array) = &alias.each {
            parts.push(format!("each: {{ line: {array} }}"));
        }
        if !alias.renames.is_empty() {
            let renames: Vec<String> = alias.renames.iter().map(|(new, old)| format!("{new}: {old}")).collect();
            parts.push(format!("as: {{ {} }}", renames.join(", ")));
        }
        if let Some(filter) = &alias.filter {
            parts.push(format!("where: {}", quoted(&filter.written(&plain))));
        }
        let name = alias.name.as_deref().unwrap_or_default();
        *text += &format!("      {name}: {{ {} }}\n", parts.join(", "));
    }
}

fn columns(topology: &Topology, view: &View, text: &mut String) {
    let is_listed = |(name, column): &(String, Column)| matches!(column, Column::Plain(Expr::Name(own)) if own == name);
    if view.is_copy() && view.columns.iter().all(is_listed) {
        let names: Vec<&str> = view.columns.iter().map(|(name, _)| name.as_str()).collect();
        return *text += &format!("    columns: [{}]\n", names.join(", "));
    }
    text.push_str("    columns:\n");
    for (name, column) in &view.columns {
        let written = match column {
            Column::Reducer(reducer) => self::reducer(topology, view, reducer),
            Column::Plain(expr) => expr.written(&plain),
            Column::Computed(reducers, expr) => expr.written(&|part| {
                let which = part.trim_start_matches('#').parse().ok().and_then(|part: usize| reducers.get(part));
                which.map_or_else(String::new, |part| reducer(topology, view, part))
            }),
        };
        *text += &format!("      {name}: {}\n", quoted(&written));
    }
}

fn reducer(topology: &Topology, view: &View, reducer: &Reducer) -> String {
    let (name, before) = reducer.kind.written();
    let argument = match &reducer.argument {
        Argument::None => String::new(),
        Argument::Same(expr) => expr.written(&plain),
        Argument::Each(by_alias) => {
            let argument = |(alias, expr): &(usize, Expr)| {
                // What an event says beside its fields, and another view's column, is the same under every alias.
                let is_own = |name: &str| !name.starts_with('_') && (!name.contains('.') || name.starts_with("line."));
                let of = |name: &str| match is_own(name) {
                    false => name.to_owned(),
                    true => format!("{}.{name}", view.called(*alias, topology)),
                };
                expr.written(&of)
            };
            by_alias.iter().map(argument).collect::<Vec<_>>().join(", ")
        }
    };
    let direction = |order: &Order| if order.desc { " desc" } else { "" };
    let order = |order: &Order| format!("{}{}", order.by.written(&plain), direction(order));
    let order: Vec<String> = reducer.order.iter().map(order).collect();
    let order = (!order.is_empty()).then(|| format!(" order by {}", order.join(", ")));
    let filter = reducer.filter.as_ref().map(|filter| format!(" filter (where {})", filter.written(&plain)));
    format!("{name}({before}{argument}{}){}", order.unwrap_or_default(), filter.unwrap_or_default())
}

/// A log as a test's file, with what it should come to, if that is known. What is ignored, and under which older name an
/// event was written, is a comment.
pub fn test(topology: &Topology, log: &[Record], outcome: Option<&Outcome>) -> String {
    let mut text = "test: generated\ngiven:\n".to_owned();
    if log.iter().all(|record| topology.is_ignored(record.event)) {
        text = "test: generated\ngiven: []\n".to_owned();
    }
    for record in log {
        let mut fields: Vec<String> =
            record.fields.iter().map(|(name, value)| format!("{name}: {}", yaml(value))).collect();
        if record.event == topology.tombstone(record.event.topic) {
            fields.push(format!("_topic: {}", topology.topics[record.event.topic].name));
        }
        fields.push(format!("_time: {}", yaml(&record.time)));
        if !record.headers.is_empty() {
            let headers: Vec<String> = record.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            fields.push(format!("_headers: {{ {} }}", headers.join(", ")));
        }
        let (name, written) = (topology.event_name(record.event), topology.written_as(record));
        // A test gives no records but those of events, by their names.
        let (before, after) = match written {
            _ if topology.is_ignored(record.event) => ("# ", String::new()),
            Some(older) => ("", format!("    # written as {older}")),
            None => ("", String::new()),
        };
        let _ = writeln!(text, "  {before}- {name}: {{ {} }}{after}", fields.join(", "));
    }
    let Some(outcome) = outcome else { return text + "expect: {}\n" };
    text += "expect:\n";
    for (view, rows) in topology.views.iter().zip(&outcome.views) {
        let none = if rows.is_empty() { " []" } else { "" };
        let _ = writeln!(text, "  {}:{none}", view.name);
        rows.iter().for_each(|row| text += &format!("    - {}\n", self::row(row)));
    }
    if !outcome.parked.is_empty() {
        text += "parked:\n";
        let event = |(place, _): &(usize, _)| format!("  - {{ event: {} }}\n", place + 1);
        text.extend(outcome.parked.iter().map(event));
    }
    text
}

pub fn row(row: &Row) -> String {
    let columns: Vec<String> = row.iter().map(|(name, value)| format!("{name}: {}", yaml(value))).collect();
    format!("{{ {} }}", columns.join(", "))
}

fn yaml(value: &Value) -> String {
    match value {
        Value::List(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Record(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", yaml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_json().to_string(),
    }
}
