//! What is generated has every form in it: what never comes proves nothing.

use std::collections::BTreeMap;

use super::{log, topology};
use crate::choice::Choices;
use crate::topology::{Argument, Column, Reducer, Topic, Topology, View};
use crate::value::Value;

/// How many topologies have this form.
type Forms = BTreeMap<String, usize>;

const TOPOLOGIES: u64 = 1500;

/// The forms that a topology may have, each of which is in this many at least.
const LEAST: usize = 5;

const OF_VIEWS: [&str; 20] = [
    "a copy",
    "a copy of a copy",
    "a copy under a moving key",
    "an aggregate",
    "an aggregate of a copy of a copy",
    "an aggregate of elements",
    "a grand total",
    "a view beside another",
    "a shared row",
    "an owned row",
    "a part of the topic's key",
    "elements",
    "where",
    "as",
    "one event twice",
    "create_when",
    "deleted by an event",
    "deleted by a record without a value",
    "a clustering key",
    "an expression over reducers",
];

const OF_TOPICS: [&str; 3] = ["a key of two fields", "deduplicate", "compacted"];

const OF_REDUCERS: [&str; 17] = [
    "last",
    "first",
    "count",
    "count(distinct ",
    "sum",
    "avg",
    "min",
    "max",
    "collect_list",
    "collect_set",
    "top",
    "stddev",
    "stddev_pop",
    "variance",
    "var_pop",
    "order by",
    "filter",
];

fn of_reducer(reducer: &Reducer) -> Vec<String> {
    let (name, before) = reducer.kind.written();
    let distinct = before.starts_with("distinct");
    let name = if distinct { format!("{name}({before}") } else { name.to_owned() };
    let mut forms = vec![name];
    forms.extend(reducer.order.as_ref().map(|_| "order by".to_owned()));
    forms.extend(reducer.filter.as_ref().map(|_| "filter".to_owned()));
    forms.extend(matches!(reducer.argument, Argument::Each(_)).then(|| "an argument each".to_owned()));
    forms
}

fn of_view(topology: &Topology, view: &View) -> Vec<String> {
    let of_copy = |view: &View| view.source.is_some_and(|source| topology.views[source].is_copy());
    let topics = view.topics();
    let topic = &topology.topics[topics[0]];
    let key_of_topic = topic.key.iter().filter(|field| view.key.iter().any(|(name, _)| *name == field.name)).count();
    let owned = key_of_topic == topic.key.len();
    let (events, copy) = (view.source.is_none(), view.is_copy());
    let aggregate = !events && !copy;
    let any = |is: &dyn Fn(&crate::topology::Alias) -> bool| view.aliases.iter().any(is);
    let deletes = |tombstone: bool| {
        let event = |alias: &usize| view.aliases[*alias].event;
        view.delete_when.iter().any(|alias| (event(alias) == topology.tombstone(event(alias).topic)) == tombstone)
    };
    let moves = view.key.iter().any(|(name, _)| {
        let source = view.source.map(|source| &topology.views[source]);
        source.is_some_and(|source| source.key.iter().all(|(own, _)| own != name))
    });
    let twice = |view: &View| {
        let is_twice = |i: usize| view.aliases[..i].iter().any(|other| other.event == view.aliases[i].event);
        (0..view.aliases.len()).any(is_twice)
    };
    let is = [
        copy,
        copy && of_copy(view),
        copy && moves,
        aggregate,
        aggregate && view.source.is_some_and(|source| of_copy(&topology.views[source]) && of_copy(view)),
        aggregate && any(&|alias| alias.each.is_some()),
        view.key.is_empty(),
        view.with.is_some(),
        events && !owned,
        events && owned,
        events && key_of_topic == 1 && topic.key.len() == 2,
        events && any(&|alias| alias.each.is_some()),
        any(&|alias| alias.filter.is_some()),
        any(&|alias| !alias.renames.is_empty()),
        events && twice(view),
        !view.create_when.is_empty(),
        deletes(false),
        deletes(true),
        view.partition < view.key.len(),
        view.columns.iter().any(|(_, column)| matches!(column, Column::Computed(..))),
    ];
    OF_VIEWS.iter().zip(is).filter(|(_, is)| *is).map(|(form, _)| (*form).to_owned()).collect()
}

fn forms_of(topology: &Topology) -> Vec<String> {
    let any = |is: &dyn Fn(&Topic) -> bool| topology.topics.iter().any(is);
    let is =
        [any(&|topic| topic.key.len() == 2), any(&|topic| topic.deduplicate.is_some()), any(&|topic| topic.compacted)];
    let mut forms: Vec<String> =
        OF_TOPICS.iter().zip(is).filter(|(_, is)| *is).map(|(form, _)| (*form).to_owned()).collect();
    for view in &topology.views {
        forms.extend(of_view(topology, view));
        for (_, column) in &view.columns {
            match column {
                Column::Reducer(reducer) => forms.extend(of_reducer(reducer)),
                Column::Computed(reducers, _) => forms.extend(reducers.iter().flat_map(of_reducer)),
                Column::Plain(_) => {}
            }
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

#[test]
fn every_form_is_generated() {
    let mut found = Forms::new();
    let (mut nulls, mut records) = (0, 0);
    for seed in 0..TOPOLOGIES {
        let topology = topology(&mut Choices::drawn(seed));
        forms_of(&topology).into_iter().for_each(|form| *found.entry(form).or_default() += 1);
        let log = log(&topology, &mut Choices::drawn(seed));
        records += log.len();
        nulls += log.iter().filter(|record| record.fields.iter().any(|(_, value)| *value == Value::Null)).count();
    }
    for form in OF_VIEWS.into_iter().chain(OF_TOPICS).chain(OF_REDUCERS).chain(["an argument each"]) {
        let times = found.get(form).copied().unwrap_or(0);
        assert!(times >= LEAST, "{form}: {times} of {TOPOLOGIES}\n{found:#?}");
    }
    assert!(records as u64 > 5 * TOPOLOGIES && nulls as u64 > TOPOLOGIES, "{records} records, {nulls} with a null");
}
