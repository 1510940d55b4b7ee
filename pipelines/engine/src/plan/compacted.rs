//! What a view of a compacted topic may be: of each key all but the last record may be gone, and nobody may be able to
//! tell.
//!
//! So a row is what the last record of its key says, all of it: its key is the topic's, each event makes the row and sets
//! every column by `last`, and only `Tombstone` deletes. The view reads all of them: a record of an event that it does not
//! read replaces the one that made the row, and so does a record without a value.
//!
//! Where other topics feed the view too, this holds of the part that is the compacted topic's, and it is the topic that
//! makes the rows: else nothing takes away what a deleted key said.

use headwater_schemas::topic::Topic;

use super::compile::Context;
use super::{EventInput, EventSource, Reducer, Role, Source, TopicSource, View};
use crate::declare::{ColumnsDecl, TOMBSTONE, ViewDecl};
use crate::source::Span;

/// Says what depends on records that may be gone.
pub(super) fn check(cx: &mut Context, decl: &ViewDecl, view: &View) {
    let Source::Events(source) = &view.source else { return };
    if view.doubtful {
        return;
    }
    for (index, of) in source.topics.iter().enumerate() {
        if cx.topics[of.topic].compact {
            check_part(cx, decl, view, source, (index, of));
        }
    }
}

fn check_part(
    cx: &mut Context,
    decl: &ViewDecl,
    view: &View,
    source: &EventSource,
    (index, of): (usize, &TopicSource),
) {
    let topic = cx.topics[of.topic].clone();
    let mut refuse = |span: &Span, what: &str, label: &str, help: &str| {
        let message = format!("{what}, and topic `{}` is compacted", topic.name);
        cx.error(span, message, label, Some(help.to_owned()));
    };
    if source.topics.len() > 1 && source.making.as_ref().is_none_or(|making| making.topic != index) {
        let what = format!("view `{}` is fed by other topics too", decl.name.value);
        let help = "let its events make the rows (`create_when`), and `Tombstone` delete them (`delete_when`)";
        let place = decl.create_when.first().map_or(&decl.name.span, |name| &name.span);
        refuse(place, &what, "what a deleted key said would stay", help);
        return;
    }
    if of.owner.as_ref().is_none_or(|owner| owner.columns.len() != view.table.key_len()) {
        let help = format!("write `key: [{}]`, and derive other keys from that view", topic.key.join(", "));
        let what = format!("the key of view `{}` is not the topic's", decl.name.value);
        refuse(&decl.key.span, &what, "a row may lose the records that made it", &help);
    }
    let unread = of.inputs.iter().position(Vec::is_empty);
    if let Some(event) = unread {
        let name = topic.events.get(event).map_or(TOMBSTONE, |event| &event.name);
        let help = match name {
            TOMBSTONE => "list `Tombstone` in `from` and in `delete_when`, and the events in `create_when`".to_owned(),
            name => format!("list `{name}` in `from`, too"),
        };
        let what = format!("view `{}` does not read `{name}`", decl.name.value);
        let place = decl.from.first().map_or(&decl.name.span, |from| &from.source.span);
        refuse(place, &what, "its record may be all that is left of a key", &help);
    }
    if let Some(deleting) = of.inputs.get(topic.events.len()).filter(|inputs| !inputs.is_empty())
        && !deleting.iter().any(EventInput::is_plain)
    {
        let what = format!("a condition on `{TOMBSTONE}` keeps rows of keys that are deleted");
        refuse(&decl.name.span, &what, "gone once it is folded anew", "let every record without a value delete");
    }
    check_roles(decl, &topic, of, &mut refuse);
    for (column, span) in changed_by_some(decl, view, source, (index, of)) {
        let help = "give each column `last(…)` of every event";
        let what = format!("column `{column}` is not what the last record alone says");
        refuse(&span, &what, "depends on older records", help);
    }
}

/// What is said of what depends on records that may be gone: where, what, a label, and what to write instead.
type Refuse<'r> = &'r mut dyn FnMut(&Span, &str, &str, &str);

/// Says which events do not make a whole row.
fn check_roles(decl: &ViewDecl, topic: &Topic, of: &TopicSource, refuse: Refuse) {
    for (event, inputs) in of.inputs.iter().enumerate() {
        let name = topic.events.get(event).map(|event| event.name.as_str());
        for (input, name) in inputs.iter().filter_map(|input| Some((input, name?))) {
            let place = decl.from.iter().find(|from| from.source.value == name);
            let place = place.map_or(&decl.name.span, |from| &from.source.span);
            let said = |names: &[crate::declare::Text]| names.first().map_or(place.clone(), |name| name.span.clone());
            match input.role {
                Role::Change => refuse(
                    &said(&decl.create_when),
                    &format!("`{name}` does not make a row, but changes one"),
                    "what made the row may be gone",
                    "let every event make the row: leave `create_when` to hold all of them",
                ),
                Role::DeleteRow | Role::DeletePartition => refuse(
                    &said(&decl.delete_when),
                    &format!("`{name}` deletes rows"),
                    "not by this",
                    "delete by a record without a value: `Tombstone`",
                ),
                Role::Create if !input.is_plain() => refuse(
                    place,
                    "what an alias leaves out or unfolds depends on older records",
                    "not always one row",
                    "take the event as it is, and derive a view from that one",
                ),
                Role::Create => {}
            }
        }
    }
}

/// The columns that not every record sets anew, and where they are declared.
fn changed_by_some(
    decl: &ViewDecl,
    view: &View,
    source: &EventSource,
    (topic, of): (usize, &TopicSource),
) -> Vec<(String, Span)> {
    let makes = || of.inputs.iter().flatten().filter(|input| input.role == Role::Create);
    // What other topics say is theirs; what they say together with this one is refused where its rows are deleted.
    let says = |column: usize| source.topics.len() == 1 || makes().any(|input| input.arguments[column].is_some());
    let alone = |column: usize| source.topics.len() == 1 || source.topic_of(column) == Some(topic);
    let set = |index: usize| {
        makes().all(|input| input.arguments[index].as_ref().is_some_and(|argument| argument.filter.is_none()))
    };
    let named = |column: &str| match &decl.columns {
        ColumnsDecl::Computed(columns) => columns.iter().find(|(name, _)| name.value == column).map(|(_, text)| text),
        ColumnsDecl::Copied(_) => None,
    };
    let columns =
        source.reducers.iter().enumerate().filter(|(index, reducer)| {
            says(*index) && alone(*index) && !(matches!(reducer, Reducer::Last) && set(*index))
        });
    let columns = columns.map(|(index, _)| view.table.columns[view.table.key_len() + index].name.clone());
    let placed = |column: String| {
        let span = named(&column).unwrap_or(&decl.name).span.clone();
        (column, span)
    };
    columns.map(placed).collect()
}
