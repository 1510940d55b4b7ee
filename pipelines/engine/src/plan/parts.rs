//! Views that several topics feed: each topic has a part of every row, and readers see the parts together.
//!
//! Nothing tells which of two topics' events was first. So a column is what one topic says, or comes out the same in any
//! order; and where rows come and go, one topic makes them: whether a row is shown hangs on that topic's part alone, and what
//! the others say is kept meanwhile.

use super::columns::{self, Column};
use super::compile::Context;
use super::inputs::Fed;
use super::{EventSource, Making, Role};
use crate::declare::{ColumnsDecl, Text, ViewDecl};
use crate::expr::Ast;
use crate::table::{self, MAX_TOPICS, StateColumn, StateType};

/// The topic that makes rows, by the topology's; None where every event does.
pub(super) fn making(decl: &ViewDecl, events: &[Fed]) -> Option<usize> {
    events.iter().find(|fed| is_in(fed, &decl.create_when)).map(|fed| fed.id.topic)
}

fn is_in(fed: &Fed, names: &[Text]) -> bool {
    names.iter().any(|name| fed.called().contains(&name.value))
}

/// Settles what the events of the topics that make no row do: they add to their own part, whether or not the row is there.
/// Says what is wrong with those that make or delete one; whether nothing is.
pub(super) fn roles(cx: &mut Context, decl: &ViewDecl, events: &mut [Fed]) -> bool {
    let view = &decl.name.value;
    let mut sound = true;
    let topics = events.iter().map(|fed| fed.id.topic).collect::<std::collections::BTreeSet<_>>();
    if topics.len() > MAX_TOPICS {
        let message = format!("view `{view}` is fed by {} topics, and {MAX_TOPICS} is the most", topics.len());
        cx.error(&decl.name.span, message, "too many", None);
        sound = false;
    }
    let Some(making) = making(decl, events) else { return sound };
    let maker = cx.topics[making].name.clone();
    for fed in events.iter_mut().filter(|fed| fed.id.topic != making) {
        let topic = cx.topics[fed.id.topic].name.clone();
        let place = |names: &[Text]| names.iter().find(|name| fed.called().contains(&name.value)).cloned();
        if let Some(place) = place(&decl.create_when) {
            let message = format!("rows of view `{view}` would be made by two topics, `{maker}` and `{topic}`");
            let help =
                "let the events of one topic make the rows: what others say is kept, and shown once the row is there";
            cx.error(&place.span, message, "of another topic", Some(help.to_owned()));
            sound = false;
        }
        if let Some(place) = place(&decl.delete_when) {
            let message = format!("`{}` would delete rows of view `{view}`, which topic `{maker}` makes", place.value);
            let help = format!("let an event of topic `{maker}` delete them");
            cx.error(&place.span, message, "of another topic", Some(help));
            sound = false;
        }
        fed.role = Role::Create;
    }
    sound
}

/// The topics of the events that give an argument; `changing` are the events that may.
pub(super) fn fed_by(events: &[Fed], changing: &[usize], assigned: &[Option<usize>]) -> Vec<usize> {
    let giving = changing.iter().zip(assigned).filter(|(_, argument)| argument.is_some());
    let mut topics: Vec<usize> = giving.map(|(&event, _)| events[event].id.topic).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// The topics whose events an expression over reducers is made of. What is mistaken in it is for others to say.
pub(super) fn topics_of(cx: &mut Context, text: &Text, ast: &Ast, events: &[Fed]) -> Vec<usize> {
    let changing: Vec<usize> = (0..events.len()).filter(|&event| events[event].changes()).collect();
    let called: Vec<Vec<String>> = changing.iter().map(|&event| events[event].called()).collect();
    let reported = cx.reported();
    let mut topics = Vec::new();
    ast.visit(&mut |ast| {
        if let Some(Column::Reducer(call)) = columns::reducer(cx, text, ast)
            && let Some(assigned) = columns::assign(cx, text, &call, &called)
        {
            topics.extend(fed_by(events, &changing, &assigned));
        }
    });
    cx.forget_since(reported);
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// How rows come and go with the part of this topic, by the topology's.
pub(super) fn making_of(topic: usize, source: &EventSource, state: &mut Vec<StateColumn>) -> Option<Making> {
    let (topic, _) = source.topic(topic)?;
    let columns: Vec<bool> = (0..source.reducers.len()).map(|column| source.topic_of(column) == Some(topic)).collect();
    let mut of_topic = vec![false; state.len()];
    for (reducer, _) in source.reducers.iter().zip(&columns).filter(|(_, of)| **of) {
        reducer.state().into_iter().for_each(|index| of_topic[index] = true);
    }
    // No column's name starts with an underscore, so no column has state of these names.
    let mut flag = |name: &str| {
        state.push(StateColumn { name: name.to_owned(), ty: StateType::Flag });
        state.len() - 1
    };
    Some(Making { topic, made: flag("_made"), beside: flag("_beside"), columns, state: of_topic })
}

/// Refuses a column of several topics where rows are deleted: what one of them said cannot be taken out of it.
pub(super) fn check(cx: &mut Context, decl: &ViewDecl, source: &EventSource, key: &[table::Column]) {
    let ColumnsDecl::Computed(declared) = &decl.columns else { return };
    if decl.delete_when.is_empty() {
        return;
    }
    let columns = declared.iter().filter(|(name, _)| !key.iter().any(|column| column.name == name.value));
    for (index, (name, text)) in columns.enumerate() {
        let fed =
            |topic: &super::TopicSource| topic.inputs.iter().flatten().any(|input| input.arguments[index].is_some());
        if source.topics.iter().filter(|topic| fed(topic)).count() > 1 {
            let message =
                format!("column `{}` is of several topics, and what one said is not told from it", name.value);
            let help = "give each topic a column of its own; whoever reads puts them together".to_owned();
            cx.error(&text.span, message, "not to be taken back when the row is deleted", Some(help));
        }
    }
}
