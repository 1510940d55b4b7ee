//! One case: a topology and a log, folded here and by the engine under a schedule, and what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use headwater_engine::harness::{Mutation, Observed, Trial};
use headwater_engine::project::Project;
use headwater_engine::test::{GivenEvent, TestCase};
use headwater_engine::{plan, table};
use headwater_oracle::fold::{Row, message_key_text};
use headwater_oracle::topology::{Record, Retain, View};
use headwater_oracle::{Choices, Log, Outcome, Tape, Topology, Value, fold, generate, render, shortest};
use headwater_schemas::topic::Topic;
use headwater_schemas::{Value as Given, json};
use tempfile::TempDir;

/// Attempts, so that a failure is told in time.
const ATTEMPTS: usize = 4000;

/// What is held against what.
#[derive(Clone, Copy)]
pub(crate) struct Sides {
    /// What the second fold is given instead of the topology and the log: where it is not the same, the two must differ.
    pub(crate) bent: fn(&mut Topology, &mut Log),
    /// A rule taken out of the engine's stores and workers.
    pub(crate) mutation: Option<Mutation>,
}

impl Sides {
    pub(crate) const TRUE: Sides = Sides { bent: |_, _| {}, mutation: None };
}

/// What a case was like, to know that cases are worth something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) runs: usize,
    /// Workers that stopped.
    pub(crate) stopped: usize,
    pub(crate) rows: usize,
    pub(crate) parked: usize,
}

/// How a case fails. While it is made shorter, it stays a failure of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Refused,
    Differs,
}

/// A case that failed, as short as it was made.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) what: String,
    pub(crate) topology: Topology,
    pub(crate) log: Log,
    pub(crate) expected: Outcome,
    pub(crate) schedule: String,
}

pub(crate) struct Judge {
    dir: TempDir,
    sides: Sides,
}

/// A case as far as it comes without a schedule.
struct Prepared {
    topology: Topology,
    /// What the second fold was given.
    bent: Topology,
    log: Log,
    expected: Outcome,
    engine: Result<(Trial, Arc<plan::Topology>), String>,
}

impl Judge {
    pub(crate) fn new(sides: Sides) -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), sides }
    }

    /// A case by a seed, under so many schedules; where it fails, the shortest that does.
    pub(crate) fn case(&self, seed: u64, schedules: usize) -> Result<Seen, Box<Failure>> {
        let drawn = |which: u64| Choices::drawn(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(which));
        let (mut of_topology, mut of_log) = (drawn(0), drawn(1));
        let prepared = self.prepare(&mut of_topology, &mut of_log);
        let tapes = [of_topology.into_tape(), of_log.into_tape()];
        let expected = &prepared.expected;
        let (rows, parked) = (expected.views.iter().map(Vec::len).sum(), expected.parked.len());
        let mut seen = Seen { rows, parked, ..Seen::default() };
        for schedule in 0..schedules as u64 {
            let mut of_schedule = drawn(2 + schedule);
            match self.judge(&prepared, &mut of_schedule, false) {
                Ok(observed) => {
                    seen.runs += 1;
                    seen.stopped += observed.stopped;
                }
                Err((kind, _)) => {
                    let tapes = tapes.into_iter().chain([of_schedule.into_tape()]).collect();
                    return Err(Box::new(self.shortest(kind, tapes)));
                }
            }
        }
        Ok(seen)
    }

    fn prepare(&self, of_topology: &mut Choices, of_log: &mut Choices) -> Prepared {
        let topology = generate::topology(of_topology);
        let log = generate::log(&topology, of_log);
        let (mut bent, mut bent_log) = (topology.clone(), log.clone());
        (self.sides.bent)(&mut bent, &mut bent_log);
        let expected = fold(&bent, &bent_log);
        let engine = load(self.dir.path(), &topology, &log).and_then(|(case, compiled)| {
            let trial = Trial::new(&case, &compiled, self.sides.mutation).map_err(|problem| problem.to_string())?;
            Ok((trial, compiled))
        });
        Prepared { topology, bent, log, expected, engine }
    }

    fn judge(&self, case: &Prepared, of_schedule: &mut Choices, telling: bool) -> Result<Observed, (Kind, String)> {
        let (trial, compiled) = case.engine.as_ref().map_err(|problem| (Kind::Refused, problem.clone()))?;
        let observed = trial.run(&mut |limit| of_schedule.below(limit), telling);
        let differences = differences(case, compiled, &observed);
        if differences.is_empty() { Ok(observed) } else { Err((Kind::Differs, differences)) }
    }

    fn shortest(&self, kind: Kind, tapes: Vec<Tape>) -> Failure {
        let again = |tapes: &[Vec<u64>], telling: bool| {
            let mut choices = [0, 1, 2].map(|which| Choices::replayed(&tapes[which]));
            let [of_topology, of_log, of_schedule] = &mut choices;
            let prepared = self.prepare(of_topology, of_log);
            let result = self.judge(&prepared, of_schedule, telling);
            (prepared, result, choices.map(Choices::into_tape).to_vec())
        };
        let tapes = shortest(tapes, ATTEMPTS, &mut |candidate| match again(candidate, false) {
            (_, Err((found, _)), read) if found == kind => Some(read),
            _ => None,
        });
        let choices: Vec<Vec<u64>> = tapes.iter().map(|tape| tape.choices.clone()).collect();
        let (Prepared { topology, log, expected, engine, .. }, result, _) = again(&choices, true);
        let what = result.err().map(|(_, what)| what).unwrap_or_default();
        let mut of_schedule = Choices::replayed(&choices[2]);
        let schedule = engine.map(|(trial, _)| trial.run(&mut |limit| of_schedule.below(limit), true).told);
        Failure { kind, what, topology, log, expected, schedule: schedule.unwrap_or_default() }
    }
}

impl Failure {
    /// How many views, columns and records are in it.
    pub(crate) fn size(&self) -> usize {
        let views = self.topology.views.iter().map(|view| 1 + view.columns.len());
        views.sum::<usize>() + self.log.len()
    }
}

/// As a case of `pipelines/engine/tests/forms`, and what became of it.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Refused => "a topology that should be accepted is refused",
            Kind::Differs => "the engine and the second fold differ",
        };
        writeln!(f, "=== {what}")?;
        for (path, text) in render::project(&self.topology) {
            write!(f, "--- {path}\n{text}")?;
        }
        let test = render::test(&self.topology, &self.log, Some(&self.expected));
        write!(f, "--- pipelines/things/tests/generated.yaml\n{test}\n{}", self.what)?;
        writeln!(f, "schedule: {}", self.schedule)
    }
}

/// The engine's side: the project as its files say.
fn load(dir: &Path, topology: &Topology, log: &Log) -> Result<(TestCase, Arc<plan::Topology>), String> {
    for part in
        std::fs::read_dir(dir).expect("the folder").flatten().map(|part| part.path()).filter(|part| part.is_dir())
    {
        std::fs::remove_dir_all(part).expect("removed");
    }
    let test = ("pipelines/things/tests/generated.yaml".to_owned(), render::test(topology, log, None));
    for (path, text) in render::project(topology).into_iter().chain([test]) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let mut project = Project::load(dir, None).map_err(|report| report.to_string())?;
    match (project.tests.pop(), project.topologies.pop()) {
        (Some(mut test), Some(compiled)) => {
            as_written(&mut test, topology, &compiled, log);
            Ok((test, compiled))
        }
        _ => Err("no test, or no topology".to_owned()),
    }
}

/// What a test's file does not say of its events: those that are ignored, and older names.
fn as_written(test: &mut TestCase, topology: &Topology, compiled: &plan::Topology, log: &Log) {
    for (place, record) in log.iter().enumerate() {
        let Some(name) = topology.written_as(record) else { continue };
        let declared = &topology.topics[record.event.topic];
        if topology.is_ignored(record.event) {
            // That of a topic which nothing reads is left out there, too.
            let any = &compiled.topics[0].topic;
            let unread = || Arc::new(Topic { name: declared.name.to_owned(), ..(**any).clone() });
            let topic = compiled.topic(declared.name).map_or_else(unread, |(_, plan)| plan.topic.clone());
            let key = Some(message_key_text(topology, record).into_bytes());
            let (event, value) = (topic.events.len(), Given::Null);
            let (written_as, headers) = (None, Vec::new());
            test.given.insert(place, GivenEvent { topic, event, written_as, value, key, time: 0, headers });
        }
        test.given[place].written_as = Some(name.to_owned());
    }
}

/// What differs, a line each: `-` is expected, `+` is found.
fn differences(case: &Prepared, compiled: &plan::Topology, observed: &Observed) -> String {
    let mut text = observed.wrong.map(|wrong| format!("{wrong}\n")).unwrap_or_default();
    for (view, rows) in case.topology.views.iter().zip(&case.expected.views) {
        let (index, compiled) = compiled.view(&view.name).expect("what was declared");
        let expected = rows.iter().map(|row| shown_here(row, view.key.len())).collect();
        let found = observed.left.rows[index].iter().map(|row| shown_there(row, compiled)).collect();
        text += &unlike(expected, found, &format!("view {}", view.name));
    }
    for (view, rows) in case.bent.views.iter().zip(&case.expected.views) {
        if let (Some(retain), Some((index, compiled))) = (&view.retain, compiled.view(&view.name)) {
            text += &unlike_in_time((view, retain, rows), (compiled, &observed.left.rows[index]));
        }
    }
    text += &shown_by_compaction(case);
    let expected = case.expected.parked.iter().map(|(place, why)| (place + 1, why.is_some()));
    let found = observed.parked.iter().map(|(number, reason)| (*number, reason.is_some()));
    let unlike = unlike(expected.collect(), found.collect(), "parked, and whether it failed itself");
    if !unlike.is_empty() {
        text += &unlike;
        text += &format!("why: {:?}; the engine: {:?}\n", case.expected.parked, observed.parked);
    }
    text
}

/// What is hidden at another time than it should be: each row is looked for in its last second, and in the next one.
fn unlike_in_time(
    (view, retain, expected): (&View, &Retain, &[Row]),
    (compiled, found): (&plan::View, &[table::Row]),
) -> String {
    let ends: BTreeSet<i64> = expected.iter().filter_map(|row| retain.until(row)).collect();
    let mut text = String::new();
    for now in ends.into_iter().flat_map(|end| [end - 1, end]) {
        let is_past = |row: &&Row| retain.until(row).is_some_and(|until| until <= now);
        let here = expected.iter().filter(|row| !is_past(row)).map(|row| shown_here(row, view.key.len()));
        let there = found.iter().filter(|row| !compiled.table.is_past(row, now * 1000));
        let there = there.map(|row| shown_there(row, compiled));
        text += &unlike(here.collect(), there.collect(), &format!("at {now}, view {}", view.name));
    }
    text
}

/// What tells that all but the last records of a compacted topic's keys are gone, and those without a value too.
fn shown_by_compaction(Prepared { topology, log, expected, .. }: &Prepared) -> String {
    // What is parked waits for somebody, who has to be quicker than compaction.
    if topology.topics.iter().all(|topic| !topic.compacted) || !expected.parked.is_empty() {
        return String::new();
    }
    let key = |record: &Record| {
        let topic = record.event.topic;
        (topic, record.fields[..topology.topics[topic].key.len()].to_vec())
    };
    let is_last = |place: usize| log[place + 1..].iter().all(|later| key(later) != key(&log[place]));
    let is_left = |place: usize| {
        let event = log[place].event;
        !topology.topics[event.topic].compacted || (is_last(place) && event != topology.tombstone(event.topic))
    };
    let left: Log = (0..log.len()).filter(|place| is_left(*place)).map(|place| log[place].clone()).collect();
    let left = fold(topology, &left);
    let views = topology.views.iter().zip(expected.views.iter().zip(&left.views));
    let shown = |rows: &[Row]| rows.iter().map(|row| shown_here(row, 0)).collect();
    views
        .map(|(view, (all, left))| unlike(shown(all), shown(left), &format!("compacted, view {}", view.name)))
        .collect()
}

/// A row's columns and their values. Of one that cannot be read whole, its key and the first column that cannot.
type Shown = BTreeMap<String, String>;

fn shown_here(row: &Row, key: usize) -> Shown {
    let cell = |(name, value): &(String, Value)| (name.clone(), value.to_json().to_string());
    let Some((unreadable, _)) = row.iter().find(|(_, value)| *value == Value::Unreadable) else {
        return row.iter().map(cell).collect();
    };
    row[..key].iter().map(cell).chain([("unreadable".to_owned(), unreadable.clone())]).collect()
}

fn shown_there(row: &table::Row, view: &plan::View) -> Shown {
    let cells = view.table.columns.iter().zip(&row.values);
    let cells = cells.map(|(column, value)| (column.name.clone(), json::to_json(&column.ty, value).to_string()));
    let Some(unreadable) = view.overflowed(row) else { return cells.collect() };
    cells.take(view.table.key_len()).chain([("unreadable".to_owned(), unreadable.to_owned())]).collect()
}

fn unlike<T: Ord + fmt::Debug>(mut expected: Vec<T>, mut found: Vec<T>, what: &str) -> String {
    expected.sort();
    found.sort();
    if expected == found {
        return String::new();
    }
    let minus = expected.iter().filter(|row| !found.contains(row)).map(|row| format!("- {row:?}\n"));
    let plus = found.iter().filter(|row| !expected.contains(row)).map(|row| format!("+ {row:?}\n"));
    format!("{what}:\n{}", minus.chain(plus).collect::<String>())
}
