//! How large a view's partitions grow, and which of its rows or partitions are hot.

use headwater_schemas::Type;
use serde::Serialize;

use super::text::listed;
use super::{Subject, inputs};
use crate::expr::Expr;
use crate::plan::{Role, Source};

/// Whether a partition of the store grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// A row a key, or one row.
    Fixed,
    /// With what happens in a stretch of time.
    Bounded,
    /// With what is said of one key.
    WithKey,
    /// With everything that is ever said.
    Unbounded,
}

/// How large a partition of the store grows.
#[derive(Debug, Serialize)]
pub struct Size {
    pub growth: Growth,
    pub says: String,
    /// In a few words, where it is worth a look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What many events meet.
#[derive(Debug, Serialize)]
pub struct Hot {
    /// In a few words.
    pub note: &'static str,
    pub says: String,
    pub advice: String,
}

impl Size {
    fn new(growth: Growth, says: String) -> Self {
        Self { growth, says, note: None, advice: None }
    }
}

pub(super) fn of(subject: Subject) -> Size {
    let table = &subject.view.table;
    let names = |range: std::ops::Range<usize>| {
        let names = table.columns[range].iter().map(|column| column.name.clone());
        listed(&names.collect::<Vec<_>>())
    };
    let (partition, clustering) = (names(0..table.partition), names(table.partition..table.key_len()));
    let until = until(subject).map_or(String::new(), |until| format!(", {until}"));
    if table.key_len() == 0 {
        return Size::new(Growth::Fixed, "a single row".to_owned());
    }
    if table.clustering.is_empty() {
        let few = few(subject).map_or(String::new(), |rows| format!(": {rows} at most"));
        return Size::new(Growth::Fixed, format!("a row for each {partition}{few}{until}"));
    }
    let rows = format!("a row for each {clustering}{until}");
    if let Some(retain) = table.retain.filter(|retain| retain.pruned) {
        let after = &table.columns[retain.column].name;
        let within =
            if table.partition == 0 { "one partition".into() } else { format!("a partition for each {partition}") };
        return Size::new(Growth::Bounded, format!("{within}: {rows} until {} days after {after}", retain.days));
    }
    if table.partition == 0 || few(subject).is_some() {
        let within =
            if table.partition == 0 { "one partition".into() } else { format!("few partitions, by {partition}") };
        return Size {
            note: Some("grows without bound".into()),
            advice: Some(bucket(subject)),
            ..Size::new(Growth::Unbounded, format!("{within}: {rows}"))
        };
    }
    if table.columns[..table.partition].iter().any(|column| is_time(&column.ty.ty)) {
        return Size::new(Growth::Bounded, format!("a partition for each {partition}: {rows}"));
    }
    let size = Size::new(Growth::WithKey, format!("a partition for each {partition}: {rows}"));
    // A row a day or so: it grows, and slowly.
    if goes(subject) || (table.partition..table.key_len()).all(|index| is_bucket(subject, index)) {
        return size;
    }
    Size {
        note: Some(format!("grows with each {partition}")),
        advice: Some(format!("where one {partition} may have very many rows, {}", bucket(subject))),
        ..size
    }
}

/// What takes rows away.
fn until(subject: Subject) -> Option<String> {
    match &subject.view.source {
        Source::Events(source) => {
            let deletes = inputs::fed(subject, source)
                .filter(|(_, _, input)| matches!(input.role, Role::DeleteRow | Role::DeletePartition));
            let mut names: Vec<String> =
                deletes.map(|(event, ..)| inputs::name(subject, source, event).to_owned()).collect();
            names.dedup();
            (!names.is_empty()).then(|| format!("until {}", listed(&names)))
        }
        Source::Copy(_) => Some(format!("while {} has it", listed(&subject.from()))),
        Source::Aggregate(_) => Some(format!("while a row of {} adds to it", listed(&subject.from()))),
        Source::Seen(_) => None,
    }
}

/// Whether rows go at all, of this view or of the one that it derives from.
fn goes(subject: Subject) -> bool {
    match subject.source() {
        Some(source) => goes(source) || matches!(&subject.view.source, Source::Copy(copy) if copy.filter.is_some()),
        None => until(subject).is_some(),
    }
}

/// What bounds a partition.
fn bucket(subject: Subject) -> String {
    let (time, of) = match subject.source() {
        Some(source) => {
            let columns = &source.view.table.columns;
            let time = columns.iter().find(|column| is_time(&column.ty.ty)).map(|column| column.name.as_str());
            (time, format!("of a time of {}", source.view.table.name))
        }
        None => {
            let events = subject.topics().into_iter().flat_map(|topic| &topic.events);
            let fields = events.flat_map(|event| &event.schema.record.fields);
            let time = fields.into_iter().find(|field| is_time(&field.ty.ty)).map(|field| field.name.as_str());
            (time, "of the event's time".to_owned())
        }
    };
    let time = time.unwrap_or("at");
    format!("put a bucket {of} into `partition`, as `- month: \"date_trunc('month', {time})\"`")
}

pub(super) fn hot(subject: Subject) -> Option<Hot> {
    let table = &subject.view.table;
    let names: Vec<String> = subject.topics().iter().map(|topic| topic.name.clone()).collect();
    let topics = super::text::topics(&names);
    let spread =
        "workers on Postgres wait for each other here, and Cassandra keeps a part for each partition of the topic";
    if table.key_len() == 0 {
        return Some(Hot {
            note: "one hot row",
            says: format!("every event of {topics} that gets here changes the one row, once a batch"),
            advice: format!("{spread}; a key with a group or a time bucket spreads it"),
        });
    }
    if table.clustering.is_empty()
        && let Some(rows) = few(subject)
    {
        return Some(Hot {
            note: "few hot rows",
            says: format!("the events of {topics} meet in {rows} rows at most"),
            advice: format!("{spread}; another key column spreads it"),
        });
    }
    let partition = &table.columns[..table.partition];
    if table.partition == 0 || !(0..table.partition).all(|index| is_bucket(subject, index)) {
        return None;
    }
    let names = listed(&partition.iter().map(|column| column.name.clone()).collect::<Vec<_>>());
    Some(if table.clustering.is_empty() {
        let advice = "another key column spreads it, and whoever reads adds up".to_owned();
        Hot { note: "hot row", says: format!("what happens now changes one row, that of the current {names}"), advice }
    } else {
        let says = format!("what happens now is written to one partition, that of the current {names}");
        let advice =
            "where that is too much for one Cassandra node, another column in `partition` spreads it".to_owned();
        Hot { note: "hot partition", says, advice }
    })
}

/// How many partitions there are at most, where that is known: of constants, booleans and enums.
fn few(subject: Subject) -> Option<u64> {
    let table = &subject.view.table;
    let values = |index: usize| match &table.columns[index].ty.ty {
        _ if is_constant(subject, index) => Some(1),
        Type::Boolean => Some(2),
        Type::Enum(of) => Some(of.symbols.len() as u64),
        _ => None,
    };
    (0..table.partition).try_fold(1u64, |all, index| Some(all.saturating_mul(values(index)?)))
}

/// Whether a key column has one value, whatever happens.
fn is_constant(subject: Subject, index: usize) -> bool {
    let keys: Vec<&[Expr]> = match &subject.view.source {
        Source::Copy(source) => vec![&source.key],
        Source::Aggregate(source) => source.inputs.iter().map(|input| input.key.as_slice()).collect(),
        Source::Events(source) => source.inputs().map(|input| input.key.as_slice()).collect(),
        // A message key's fields.
        Source::Seen(_) => return false,
    };
    let mut constants = keys.iter().filter_map(|key| key.get(index)).map(Expr::constant);
    let first = constants.next().flatten();
    first.is_some() && constants.all(|constant| constant == first)
}

/// Whether a key column is a stretch of time: a day, a month.
fn is_bucket(subject: Subject, index: usize) -> bool {
    subject.view.buckets[index].is_some() || subject.view.table.columns[index].ty.ty == Type::Date
}

fn is_time(ty: &Type) -> bool {
    *ty == Type::Date || ty.is_timestamp()
}
