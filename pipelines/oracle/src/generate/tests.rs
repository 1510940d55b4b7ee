//! What is generated has every form in it: what never comes proves nothing.

use std::collections::BTreeMap;

use super::{log, topology};
use crate::choice::Choices;
use crate::render::project;
use crate::topology::{Argument, Column, Reducer, Topic, Topology, View};
use crate::value::Value;

/// How many topologies have this form.
type Forms = BTreeMap<String, usize>;

const TOPOLOGIES: u64 = 1500;

/// The forms that a topology may have, each of which is in this many at least.
const LEAST: usize = 5;

const OF_VIEWS: [&str; 27] = [
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
    "several topics",
    "several topics, of which one makes the row",
    "several topics, of which one deletes its part",
    "several topics, and a column of both",
    "several topics, and an expression over reducers of one",
    "retain",
    "retain, of several topics",
];

const OF_TOPICS: [&str; 5] = ["a key of two fields", "deduplicate", "compacted", "an older name", "ignored"];

/// What is written in expressions.
const WRITTEN: [&str; 36] = [
    "_event",
    "_key",
    "_time",
    "order by _time",
    "order by _offset",
    "_time desc)",
    "_header['x']",
    "m['x']",
    "r.city",
    "lines[1].r",
    "tags[2]",
    "cardinality(",
    "each: { line: tags }",
    "case when",
    " in (",
    ", null)",
    " between ",
    " like ",
    "concat(",
    "lower(",
    "trim(",
    "substring(",
    "split_part(",
    "replace(",
    "lpad(",
    " as int)",
    " as boolean)",
    " as numeric(38, 2))",
    " as date)",
    "cast('NaN' as double precision)",
    "cast('Infinity' as double precision)",
    "'week'",
    "'Europe/Zurich'",
    "'Asia/Kolkata'",
    "extract(dow from",
    "extract(epoch from",
];

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
    forms.extend(reducer.order.first().map(|_| "order by".to_owned()));
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
        topics.len() > 1,
        topics.len() > 1 && !view.create_when.is_empty(),
        topics.len() > 1 && !view.delete_when.is_empty(),
        topics.len() > 1 && view.columns.iter().any(|(_, column)| is_of_all(column)),
        topics.len() > 1 && view.columns.iter().any(|(_, column)| matches!(column, Column::Computed(..))),
        view.retain.is_some(),
        topics.len() > 1 && view.retain.is_some(),
    ];
    OF_VIEWS.iter().zip(is).filter(|(_, is)| *is).map(|(form, _)| (*form).to_owned()).collect()
}

/// Whether each event has an argument.
fn is_of_all(column: &Column) -> bool {
    matches!(column, Column::Reducer(Reducer { argument: Argument::Same(_), .. }))
}

fn forms_of(topology: &Topology) -> Vec<String> {
    let any = |is: &dyn Fn(&Topic) -> bool| topology.topics.iter().any(is);
    let is = [
        any(&|topic| topic.key.len() == 2),
        any(&|topic| topic.deduplicate.is_some()),
        any(&|topic| topic.compacted),
        any(&|topic| topic.events.iter().any(|event| event.was.is_some())),
        any(&|topic| topic.events.iter().any(|event| event.ignored)),
    ];
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
    let files = project(topology);
    let written = files.iter().find(|(path, _)| path == "pipelines/things/topology.yaml");
    let written = written.map(|(_, text)| text.as_str()).unwrap_or_default();
    forms.extend(WRITTEN.iter().filter(|form| written.contains(**form)).map(|form| (*form).to_owned()));
    forms.sort();
    forms.dedup();
    forms
}

#[test]
fn every_form_is_generated() {
    let mut found = Forms::new();
    let (mut nulls, mut records, mut older, mut ignored) = (0, 0, 0, 0);
    for seed in 0..TOPOLOGIES {
        let topology = topology(&mut Choices::drawn(seed));
        forms_of(&topology).into_iter().for_each(|form| *found.entry(form).or_default() += 1);
        let log = log(&topology, &mut Choices::drawn(seed));
        records += log.len();
        ignored += log.iter().filter(|record| topology.is_ignored(record.event)).count();
        older += log.iter().filter(|record| topology.written_as(record).is_some()).count();
        nulls += log.iter().filter(|record| record.fields.iter().any(|(_, value)| *value == Value::Null)).count();
    }
    for form in OF_VIEWS.into_iter().chain(OF_TOPICS).chain(OF_REDUCERS).chain(WRITTEN).chain(["an argument each"]) {
        let times = found.get(form).copied().unwrap_or(0);
        assert!(times >= LEAST, "{form}: {times} of {TOPOLOGIES}\n{found:#?}");
    }
    assert!(ignored as u64 > TOPOLOGIES / 20 && older > 2 * ignored, "{ignored} ignored, {older} under another name");
    assert!(records as u64 > 5 * TOPOLOGIES && nulls as u64 > TOPOLOGIES, "{records} records, {nulls} with a null");
}
