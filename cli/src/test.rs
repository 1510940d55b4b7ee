//! `headwater test`: the tests that stand beside the declarations, each in memory, then again under faults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use headwater_engine::harness::{self, Verdict};
use headwater_engine::project::Project;
use headwater_engine::source::Span;
use headwater_engine::test::TestCase;

use crate::against::{self, Terms};
use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::output::{Output, counted, printable};

/// Run the tests of pipelines/*/tests, each also under faults
#[derive(Debug, Args)]
#[command(
    long_about = "Runs every test of pipelines/*/tests/*.yaml in memory: its events through the same decoding and the same \
                  fold that `run` uses, then the rows compared. Each runs again under faults, by the rules of a SQL store and \
                  by those of Cassandra: one event a batch and all in one; every event delivered twice; keys over one, two \
                  and more partitions, in other orders; a crash at every write; writes that come to one replica of three, or \
                  late; workers that freeze, and wake beside those that took over; undecodable records; topics made again or \
                  given more partitions. Of all the ways to fail some hundred a test are drawn, the same ones every time. \
                  Every run must give the same rows; if one does not, the shortest way there is told.\n\n\
                  With --against FILE the same tests run on the log, the registry and the stores that FILE, a \
                  headwater.yaml, names: events are encoded and written as a producer's are, the worker of `run` folds \
                  them, and the rows are read from the store. Each runs three times, and every run must give the same rows: \
                  plainly; with a worker that is stopped half-way and another that goes on; and with a worker that dies in \
                  mid-batch and another that goes on.\n\nNothing of the profile's own is touched. Topics, groups, subjects and Postgres schemas are \
                  made for the run under names that begin with headwater-test- (headwater_test_ in Postgres), and dropped \
                  after it, also where a test fails and after Ctrl-C. So the users that the profile names need the right to \
                  create and drop by that prefix, and in Postgres to create schemas. Files go to a folder of their own \
                  under TMPDIR.",
    after_help = "Examples:\n  headwater test\n  headwater test removal          only tests whose name or file contains it\n  \
                  headwater test --json | jq -r 'select(.ok | not) | .test'\n  \
                  headwater test --against deploy/dev/headwater.yaml\n  \
                  headwater test totals --against staging.yaml --keep    then look at what it left\n\n\
                  Exit codes: 0 all passed, 1 a test failed, 2 wrong usage, or a server cannot be used, 130 interrupted."
)]
pub(crate) struct Test {
    /// Only tests whose name or file contains this
    #[arg(value_name = "PART")]
    part: Option<String>,

    /// Run on the log, registry and stores of this profile, a headwater.yaml, in scratch names
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// With --against: leave what was made, and say what it is
    #[arg(long, requires = "against")]
    keep: bool,

    /// With --against: how long the views may take to come to the end of what was written
    #[arg(long, requires = "against", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    patience: u64,
}

impl Test {
    pub(crate) fn is_against(&self) -> bool {
        self.against.is_some()
    }

    pub(crate) async fn run_against(&self, context: &Context) -> Result<Answer, Failure> {
        let profile = self.against.clone();
        let context = Context { dir: context.dir.clone(), config: profile.clone(), json: context.json };
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let chosen = self.chosen(&project)?;
        let terms = Terms { keep: self.keep, patience: Duration::from_secs(self.patience) };
        against::run(project, &profile.unwrap_or_default(), chosen, terms, &mut context.output()).await
    }

    pub(crate) fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let chosen = self.chosen(&project)?;
        let mut out = context.output();
        let (mut failed, mut runs) = (0, BTreeMap::new());
        let started = Instant::now();
        for case in chosen.iter().map(|index| &project.tests[*index]) {
            let verdict = harness::run(case, &project.topologies)
                .map_err(|error| Failure::because(format!("the test \"{}\" cannot be run", case.name), &error))?;
            show(&project, case, &verdict, &mut out)?;
            verdict.by_rules.iter().for_each(|(rules, count)| *runs.entry(*rules).or_insert(0) += count);
            failed += usize::from(!verdict.passed());
        }
        if !context.json {
            let outcome = if failed == 0 { "all passed".to_owned() } else { format!("{failed} failed") };
            let took = started.elapsed().as_millis();
            out.line(format!("{}, {outcome}; {}, in {took} ms", counted(chosen.len(), "test"), runs_by(&runs)))?;
        }
        out.flush()?;
        Ok(if failed == 0 { Answer::Yes } else { Answer::No })
    }

    /// The places of the tests that are meant, among the project's.
    fn chosen(&self, project: &Project) -> Result<Vec<usize>, Failure> {
        let each = project.tests.iter().enumerate();
        let chosen: Vec<usize> = each.filter(|(_, case)| self.takes(project, case)).map(|(index, _)| index).collect();
        match (&self.part, chosen.is_empty()) {
            (Some(part), true) => Err(Failure::new(format!("no test's name or file contains {part:?}"))
                .mend(format!("There are {}.", counted(project.tests.len(), "test")))),
            _ => Ok(chosen),
        }
    }

    fn takes(&self, project: &Project, case: &TestCase) -> bool {
        let Some(part) = &self.part else { return true };
        case.name.contains(part.as_str()) || file_of(project, case).contains(part.as_str())
    }
}

/// `2000 runs under faults by the rules of SQL stores, 3000 by Cassandra's`.
fn runs_by(runs: &BTreeMap<&str, usize>) -> String {
    let of = |rules: &str| runs.get(rules).copied().unwrap_or(0);
    let (sql, cassandra) = (of("sql"), of("cassandra"));
    format!("{} under faults by the rules of SQL stores, {cassandra} by Cassandra's", counted(sql, "run"))
}

/// Says how a test went, with the rows that differ.
pub(crate) fn show(project: &Project, case: &TestCase, verdict: &Verdict, out: &mut Output) -> Result<(), Failure> {
    if out.json {
        let failures: Vec<_> = verdict
            .failures
            .iter()
            .map(|failure| {
                let place = failure.span.as_ref().map(|span| place(project, span));
                serde_json::json!({ "message": failure.message, "place": place, "lines": failure.lines })
            })
            .collect();
        let file = file_of(project, case);
        let by_rules: BTreeMap<&str, usize> = verdict.by_rules.iter().copied().collect();
        return out.value(&serde_json::json!({
            "test": case.name, "file": file, "ok": verdict.passed(), "runs": verdict.runs, "runs_by_rules": by_rules,
            "failures": failures,
        }));
    }
    if verdict.passed() {
        return out.line(format!("{} {}", console::style("ok  ").green(), case.name));
    }
    out.line(format!("{} {}", console::style("FAIL").red().bold(), case.name))?;
    for failure in &verdict.failures {
        out.line(format!("     {}: {}", place(project, failure.span.as_ref().unwrap_or(&case.span)), failure.message))?;
        for line in &failure.lines {
            let line = printable(line);
            let line = match line.as_bytes().first() {
                Some(b'-') => console::style(line).red(),
                Some(b'+') => console::style(line).green(),
                _ => console::style(line),
            };
            out.line(format!("       {line}"))?;
        }
    }
    Ok(())
}

fn file_of(project: &Project, case: &TestCase) -> String {
    project.sources.path(case.span.file).display().to_string()
}

/// `pipelines/document/tests/add.yaml:12:7`.
fn place(project: &Project, span: &Span) -> String {
    let place = project.sources.place(span);
    format!("{}:{}:{}", project.sources.path(span.file).display(), place.line, place.column)
}
