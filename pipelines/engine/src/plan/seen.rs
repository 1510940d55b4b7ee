//! What is remembered of a topic's records, so that a repeat is known: a view of the fold's own, a row a key.
//!
//! It is a view so that its memory is kept as every row is: read, folded and written with the batch, fenced by its
//! position, and the same however batches are cut. All other views of the topic derive from it, so a store without
//! transactions writes it after them. Where a row of it has passed a record, every view has the record.

use headwater_schemas::topic::Identity;
use headwater_schemas::{FieldType, Type};
use sha2::{Digest, Sha256};

use super::compile::{Context, EventId};
use super::{Owner, SeenSource, Source, Told, View};
use crate::table::{Column, Feeding, Table};

/// The longest name that every store takes.
const MAX_NAME: usize = 40;

/// The memory of a topic whose repeats are dropped.
pub(super) fn view(cx: &Context, topic: usize) -> Option<View> {
    let plan = &cx.topics[topic];
    let deduplicate = plan.deduplicate.as_ref()?;
    let tombstone = EventId { topic, event: plan.events.len() };
    let key = cx.record(tombstone).fields.iter().enumerate().map(|(i, field)| {
        let ty = FieldType::required(field.ty.ty.clone());
        Column { name: format!("key_{}", i + 1), ty, doc: None }
    });
    let doc = Some("its memory, by which repeats are dropped".to_owned());
    let ids = Column { name: "last_ids".to_owned(), ty: FieldType::required(Type::Bytes), doc };
    let columns: Vec<Column> = key.chain([ids]).collect();
    let told = (0..=plan.events.len()).map(|event| match &deduplicate.by {
        Identity::Header => Told::Header,
        Identity::Field(name) => cx.slot(EventId { topic, event }, name).map_or(Told::Not, Told::Slot),
    });
    let key_len = plan.key.len();
    let table = Table {
        name: name(cx.topology(), &plan.name),
        doc: Some(format!("what is remembered of topic {}, by which repeats are dropped", plan.name)),
        columns,
        partition: key_len,
        clustering: Vec::new(),
        state: Vec::new(),
        fed: Feeding::ByOne,
        retain: None,
    };
    Some(View {
        level: 0,
        owner: Some(Owner { topic, columns: (0..key_len).collect() }),
        buckets: vec![None; key_len],
        deletes_partitions: false,
        has_dependents: true,
        always: false,
        doubtful: false,
        in_parts: None,
        watched: Vec::new(),
        source: Source::Seen(SeenSource { topic, last: deduplicate.last as usize, told: told.collect() }),
        table,
    })
}

/// A name that no other topology gives, nor this one to another topic.
fn name(topology: &str, topic: &str) -> String {
    let plain = format!("seen_{topology}_{topic}");
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if plain.len() <= MAX_NAME && plain.chars().all(fits) {
        return plain;
    }
    let hash = Sha256::digest(format!("{topology}/{topic}").as_bytes());
    format!("seen_{}", hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
}
