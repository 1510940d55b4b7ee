//! A topology's description: canonical text, the same however the declaration was laid out.

use std::fmt::Write;

use headwater_schemas::KeyFormat;
use headwater_schemas::topic::Identity;

use super::{FOLD_VERSION, Needed, TopicPlan, View};
use crate::declare::{ColumnsDecl, InputDecl, KeyEntry, TOMBSTONE, Text, TopologyDecl, ViewDecl};
use crate::table::Direction;

/// Describes what a topology computes: the events and fields it reads, and each view's rules and column types.
pub(super) fn describe(decl: &TopologyDecl, topics: &[TopicPlan], views: &[View]) -> String {
    let mut out = format!("fold {FOLD_VERSION}\n");
    for plan in topics {
        for (event, needs) in plan.topic.events.iter().zip(&plan.events).filter(|(_, needs)| needs.used) {
            let record = &event.schema.record;
            let fields = needs.needed.iter().map(|&index| match Needed::of(record.fields.len(), index) {
                Needed::Metadata(metadata) => metadata.name().to_owned(),
                Needed::Field(field) => {
                    let field = &record.fields[field];
                    format!("{} {}{}", field.name, field.ty.ty, if field.ty.nullable { " or null" } else { "" })
                }
            });
            let fields: Vec<String> = fields.collect();
            line(&mut out, format_args!("event {}/{}: {}", plan.topic.name, event.name, fields.join(", ")));
        }
        match &plan.topic.key_format {
            KeyFormat::Avro(_) => line(&mut out, format_args!("topic {}: keys in avro", plan.topic.name)),
            KeyFormat::Json if plan.topic.key.len() == 1 => {
                line(&mut out, format_args!("topic {}: keys in json", plan.topic.name));
            }
            // Several fields have no other text.
            KeyFormat::Json | KeyFormat::String => {}
        }
        if let Some(deduplicate) = &plan.topic.deduplicate {
            let by = match &deduplicate.by {
                Identity::Header => "the header ce_id",
                Identity::Field(name) => name,
            };
            line(&mut out, format_args!("topic {}: each {by} once in {}", plan.topic.name, deduplicate.last));
        }
        if plan.events.last().is_some_and(|tombstone| tombstone.used) {
            line(&mut out, format_args!("event {}/{TOMBSTONE}: {}", plan.topic.name, plan.topic.key.join(", ")));
        }
    }
    for view in views {
        let Some(decl) = decl.views.iter().find(|decl| decl.name.value == view.table.name) else { continue };
        describe_view(&mut out, decl, view);
    }
    out
}

fn describe_view(out: &mut String, decl: &ViewDecl, view: &View) {
    let name = &view.table.name;
    line(out, format_args!("view {name}: from {}", decl.from.iter().map(input).collect::<Vec<_>>().join(", ")));
    if let Some(with) = &decl.with {
        line(out, format_args!("view {name}: with {}", with.value));
    }
    if !decl.create_when.is_empty() {
        line(out, format_args!("view {name}: create_when {}", words(&decl.create_when)));
    }
    if !decl.delete_when.is_empty() {
        line(out, format_args!("view {name}: delete_when {}", words(&decl.delete_when)));
    }
    if let Some(retain) = &decl.retain {
        line(out, format_args!("view {name}: retain {} days after {}", retain.days, retain.after.value));
    }
    let partition: Vec<String> = decl.key.partition.iter().map(entry).collect();
    let clustering = decl.key.clustering.iter().map(|(key, direction)| match direction {
        Direction::Ascending => entry(key),
        Direction::Descending => format!("{} desc", entry(key)),
    });
    let clustering: Vec<String> = clustering.collect();
    line(out, format_args!("view {name}: key ({}) ({})", partition.join(", "), clustering.join(", ")));
    for column in &view.table.columns {
        let computed = match &decl.columns {
            ColumnsDecl::Computed(columns) => columns.iter().find(|(name, _)| name.value == column.name),
            ColumnsDecl::Copied(_) => None,
        };
        let from = computed.map_or(column.name.as_str(), |(_, text)| text.value.trim());
        let null = if column.ty.nullable { " or null" } else { "" };
        line(out, format_args!("view {name}: column {} = {from}: {}{null}", column.name, column.ty.ty));
    }
}

/// An event or a view, and under an alias what is taken of it.
fn input(input: &InputDecl) -> String {
    let mut text = match &input.alias {
        Some(alias) => format!("{} = {}", alias.value, input.source.value),
        None => input.source.value.clone(),
    };
    for (name, field) in &input.renames {
        text.push_str(&format!(" as {} = {}", name.value, field.value.trim()));
    }
    if let Some((element, array)) = &input.each {
        text.push_str(&format!(" each {} = {}", element.value, array.value));
    }
    if let Some(filter) = &input.filter {
        text.push_str(&format!(" where {}", filter.value.trim()));
    }
    text
}

fn entry(entry: &KeyEntry) -> String {
    match &entry.expression {
        Some(expression) => format!("{} = {}", entry.name.value, expression.value.trim()),
        None => entry.name.value.clone(),
    }
}

fn words(texts: &[Text]) -> String {
    texts.iter().map(|text| text.value.as_str()).collect::<Vec<_>>().join(", ")
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}
