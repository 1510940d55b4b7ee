//! Where each column comes from, and who owns it.

use serde::Serialize;

use super::{Made, Subject};
use crate::declare::{ColumnsDecl, KeyEntry};
use crate::plan::{CopiedColumn, Reducer, Source};
use crate::table::{Direction, Extreme, Feeding, Merged};

/// A column of the key.
#[derive(Debug, Serialize)]
pub struct KeyColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: String,
    /// Of the partition key, else of the clustering.
    pub partition: bool,
    /// Rows of a partition are in descending order of it.
    pub descending: bool,
    /// The expression that it is; its own name where it is a field or a column.
    pub from: String,
    /// It is the topic's key, or a field of that, as it is.
    pub owns: bool,
}

/// A column after the key.
#[derive(Debug, Serialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: String,
    pub nullable: bool,
    /// The reducer or expression, as declared.
    pub from: String,
    /// One partition writes it; otherwise many do.
    pub owned: bool,
    /// What its value depends on, or how it is put together.
    pub how: String,
}

pub(super) fn key(subject: Subject) -> Vec<KeyColumn> {
    let table = &subject.view.table;
    let owner = subject.view.owner.as_ref();
    let each = table.columns[..table.key_len()].iter().enumerate().map(|(index, column)| {
        let clustering = index.checked_sub(table.partition);
        KeyColumn {
            name: column.name.clone(),
            ty: column.ty.ty.to_string(),
            partition: clustering.is_none(),
            descending: clustering.is_some_and(|index| table.clustering[index] == Direction::Descending),
            from: key_text(subject, index).unwrap_or_else(|| column.name.clone()),
            owns: owner.is_some_and(|owner| owner.columns.contains(&index)),
        }
    });
    each.collect()
}

/// A key column's expression, as declared.
fn key_text(subject: Subject, index: usize) -> Option<String> {
    let decl = subject.decl?;
    let clustering = decl.key.clustering.iter().map(|(entry, _)| entry);
    let entry: &KeyEntry = decl.key.partition.iter().chain(clustering).nth(index)?;
    match &entry.expression {
        Some(expression) => Some(expression.value.trim().to_owned()),
        None => declared(subject, &entry.name.value),
    }
}

/// A column's reducer or expression, as declared.
fn declared(subject: Subject, name: &str) -> Option<String> {
    let ColumnsDecl::Computed(columns) = &subject.decl?.columns else { return None };
    let found = columns.iter().find(|(column, _)| column.value == name);
    found.map(|(_, text)| text.value.split_whitespace().collect::<Vec<_>>().join(" "))
}

pub(super) fn values(subject: Subject) -> Vec<Column> {
    let table = &subject.view.table;
    let each = table.columns.iter().enumerate().skip(table.key_len()).map(|(index, column)| Column {
        name: column.name.clone(),
        ty: column.ty.ty.to_string(),
        nullable: column.ty.nullable,
        from: declared(subject, &column.name).unwrap_or_else(|| column.name.clone()),
        owned: subject.view.owner.is_some(),
        how: how(subject, index),
    });
    each.collect()
}

/// What a column's value depends on.
fn how(subject: Subject, index: usize) -> String {
    let table = &subject.view.table;
    let after = index - table.key_len();
    let text = match &subject.view.source {
        Source::Copy(source) => match source.columns[index] {
            CopiedColumn::Key(_) | CopiedColumn::Column(_) => "copied",
            CopiedColumn::Computed(_) => "computed of the source's row",
        },
        Source::Aggregate(_) => "added, and taken back",
        Source::Seen(_) => "the last records of the key",
        Source::Events(source) => match &table.fed {
            Feeding::ByMany(merge) => match merge.columns[after] {
                Merged::Of { topic } => {
                    return format!("of topic {}", subject.topics()[topic].name);
                }
                merged => put_together(merged),
            },
            Feeding::ByOne | Feeding::Mapped if in_order(&source.reducers[after]) => "in the order of the log",
            Feeding::ByOne | Feeding::Mapped => "in any order",
        },
    };
    text.to_owned()
}

/// Whether the order of a row's events tells.
fn in_order(reducer: &Reducer) -> bool {
    match reducer {
        Reducer::Last | Reducer::First { .. } | Reducer::List | Reducer::FloatSum | Reducer::FloatAverage { .. } => {
            true
        }
        Reducer::Computed(computed) => computed.parts.iter().any(|part| in_order(&part.reducer)),
        Reducer::Count | Reducer::Sum { .. } | Reducer::Extreme(_) | Reducer::Ordered { .. } => false,
        Reducer::Distinct { .. } | Reducer::Set { .. } | Reducer::Top(_) | Reducer::Deviation { .. } => false,
    }
}

/// How what many partitions say makes one value, in whatever order.
fn put_together(merged: Merged) -> &'static str {
    match merged {
        Merged::Count | Merged::Sum { .. } => "added up",
        Merged::Extreme(Extreme::Least) => "the least of all",
        Merged::Extreme(Extreme::Greatest) => "the greatest of all",
        Merged::Distinct { .. } | Merged::Set { .. } => "all values, each once",
        Merged::Top(_) => "the largest of all",
        Merged::Deviation { .. } => "of all sums",
        Merged::Ordered { of: Extreme::Least, .. } => "the first by its own order",
        Merged::Ordered { of: Extreme::Greatest, .. } => "the last by its own order",
        Merged::Of { .. } => "of one topic",
    }
}

/// Why one partition feeds each row, or many do.
pub(super) fn ownership(subject: Subject) -> String {
    let topics = subject.topics();
    let [topic] = topics.as_slice() else { return parts(subject) };
    let key = super::text::listed(&topic.key);
    let name = &topic.name;
    match subject.made() {
        Made::Memory => format!("owned: a row for each {key} of topic {name}, fed by its partition alone"),
        _ if subject.view.owner.is_some() => {
            format!("owned: {key}, the key of topic {name}, is in its key, so one partition feeds each row, in order")
        }
        Made::Aggregate if within_owner(subject) => {
            format!("shared, as every aggregate's rows are, though each is of one {key} of topic {name}")
        }
        Made::Aggregate => format!("shared: rows of many partitions of topic {name} add to a row, in no order"),
        Made::Events | Made::Copy => {
            format!(
                "shared: {key}, the key of topic {name}, is not in its key, so many partitions feed a row, in no order"
            )
        }
    }
}

/// What each of several topics has of a row.
fn parts(subject: Subject) -> String {
    let Source::Events(source) = &subject.view.source else { return String::new() };
    let part = |(index, topic): (usize, &headwater_schemas::Topic)| {
        let fed = match source.topics[index].owner {
            Some(_) => format!("one partition, since {} is in its key", super::text::listed(&topic.key)),
            None => "many partitions, in no order".to_owned(),
        };
        let makes = source.making.as_ref().is_some_and(|making| making.topic == index);
        let makes = if makes {
            ", and makes the row: until it has, and once it is gone, nobody sees what others say"
        } else {
            ""
        };
        format!("topic {} feeds its part from {fed}{makes}", topic.name)
    };
    let parts: Vec<String> = subject.topics().into_iter().enumerate().map(part).collect();
    format!("shared: each topic has a part of a row, and readers put them together; {}", parts.join("; "))
}

/// Whether an aggregate's key holds its source's owner: then one partition feeds each row, which is kept as shared all the
/// same.
fn within_owner(subject: Subject) -> bool {
    let (Source::Aggregate(aggregate), Some(source)) = (&subject.view.source, subject.source()) else { return false };
    let Some(owner) = &source.view.owner else { return false };
    let holds = |column: &usize| {
        aggregate.inputs.iter().all(|input| input.key.iter().any(|expr| expr.as_slot() == Some(*column)))
    };
    owner.columns.iter().all(holds)
}
