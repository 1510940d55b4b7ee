//! Views of several topics: each topic's events make a part of the row, and whoever reads the row puts the parts together.

use super::GONE;
use super::columns::{Rows, computed, reducer};
use super::views::{Feed, Shape, feed, key_column, listed, name, names, scope_of, shaped, topic_key};
use crate::choice::Choices;
use crate::expr::Expr;
use crate::topology::{Alias, Argument, Column, EventId, Field, Kind, Reducer, Topology, View};

/// A view of these topics, of which there are two at least.
pub(super) fn of_topics(choices: &mut Choices, topology: &Topology, topics: &[usize]) -> (View, Shape) {
    let mut feed = feeds(choices, topology, topics);
    let scope = feed.scope(topology);
    let key = key(choices, &scope);
    let partition = key.len() - choices.below(key.len().max(1));
    let owned =
        |topic: usize| topic_key(topology, topic).iter().all(|(_, field)| key.iter().any(|(_, expr)| expr == field));
    let changing = feed.changing();
    if choices.below(2) == 1 && !key.is_empty() {
        let creating = choices.one_of(topics);
        let whole_key = |alias: &Alias| knows(topology, alias, &key);
        create(choices, topology, &mut feed, (creating, owned(creating)), &whole_key);
    }
    let deletes = !feed.delete_when.is_empty();
    let columns = choices.more(1, 4, |choices, place| {
        // Of a row that loses a part, nobody could take that part out of what all parts make.
        let column = match !deletes && choices.below(2) == 0 {
            true => Column::Reducer(reducer(choices, &scope, &changing, Rows::Shared)),
            false => {
                let topic = choices.one_of(topics);
                match owned(topic) {
                    true if choices.rarely(4) => {
                        computed(choices, &mut |choices| of_one_topic(choices, topology, &feed, topic, Rows::Owned))
                    }
                    true => Column::Reducer(of_one_topic(choices, topology, &feed, topic, Rows::Owned)),
                    false => Column::Reducer(of_one_topic(choices, topology, &feed, topic, Rows::Shared)),
                }
            }
        };
        (format!("c{place}"), column)
    });
    let Feed { aliases, create_when, delete_when } = feed;
    let (name, source, with) = (name(topology), None, None);
    let retain = None;
    let view = View { name, source, aliases, with, key, partition, create_when, delete_when, columns, retain };
    shaped(view, &scope, false, false)
}

/// What each of the topics feeds, all under names or none.
fn feeds(choices: &mut Choices, topology: &Topology, topics: &[usize]) -> Feed {
    let mut aliases: Vec<Alias> =
        topics.iter().flat_map(|topic| feed(choices, topology, *topic, false).aliases).collect();
    if aliases.iter().any(|alias| alias.name.is_some()) {
        for (place, alias) in aliases.iter_mut().enumerate() {
            alias.name = Some(format!("a{place}"));
            alias.renames.clear();
        }
    }
    Feed { aliases, ..Feed::default() }
}

/// A key that every event has: that of a topic, a part of it, or another.
fn key(choices: &mut Choices, scope: &[Field]) -> Vec<(String, Expr)> {
    let plain = |name: &str| scope.iter().any(|field| field.name == name).then(|| (name.to_owned(), Expr::name(name)));
    match choices.below(6) {
        0..=2 => plain("id").into_iter().collect(),
        3 => plain("id").into_iter().chain(plain("n")).collect(),
        4 => key_column(choices, scope, 0).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether an event knows each column of the key.
fn knows(topology: &Topology, alias: &Alias, key: &[(String, Expr)]) -> bool {
    let names = names(topology, alias);
    key.iter().flat_map(|(_, expr)| expr.reads()).all(|read| names.iter().any(|field| field.name == read))
}

/// Lets events of one topic make rows, and delete what they made where the rows are that topic's own.
fn create(
    choices: &mut Choices,
    topology: &Topology,
    feed: &mut Feed,
    (topic, owned): (usize, bool),
    whole_key: &dyn Fn(&Alias) -> bool,
) {
    let of_topic = |alias: &usize| feed.aliases[*alias].event.topic == topic;
    feed.create_when = (0..feed.aliases.len()).filter(of_topic).collect();
    if !owned {
        return;
    }
    if choices.below(3) < 2 {
        feed.create_when.truncate(1);
    }
    let (gone, tombstone) = (EventId { topic, event: GONE }, topology.tombstone(topic));
    for event in choices.one_of(&[vec![gone], vec![tombstone], vec![gone, tombstone], vec![]]) {
        let name = feed.aliases[0].name.as_ref().map(|_| format!("x{}", feed.aliases.len()));
        let alias = Alias { name, ..listed(event) };
        if whole_key(&alias) {
            feed.delete_when.push(feed.aliases.len());
            feed.aliases.push(alias);
        }
    }
}

/// A reducer with arguments for events of one topic only.
fn of_one_topic(choices: &mut Choices, topology: &Topology, feed: &Feed, topic: usize, rows: Rows) -> Reducer {
    let changing = feed.changing().into_iter();
    let aliases: Vec<usize> = changing.filter(|alias| feed.aliases[*alias].event.topic == topic).collect();
    let scope = scope_of(topology, aliases.iter().map(|alias| &feed.aliases[*alias]));
    let each = |expr: &Expr| Argument::Each(aliases.iter().map(|alias| (*alias, expr.clone())).collect());
    let found = reducer(choices, &scope, &aliases, rows);
    match &found.argument {
        Argument::Each(_) => found,
        // What an event says beside its fields says nothing of whose it is.
        Argument::Same(expr) if expr.reads().iter().any(|name| !name.starts_with('_')) => {
            Reducer { argument: each(expr), ..found }
        }
        _ => {
            let known = &topology.topics[topic].key[0];
            Reducer {
                argument: each(&Expr::name(&known.name)),
                ty: known.ty.clone(),
                kind: Kind::Count,
                order: Vec::new(),
                ..found
            }
        }
    }
}
