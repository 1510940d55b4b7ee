//! `headwater test`: the tests that stand beside the declarations, each in memory, then again under faults.

use std::time::Instant;

use clap::Args;
use headwater_engine::harness;
use headwater_engine::project::Project;
use headwater_engine::source::Span;
use headwater_engine::test::TestCase;

use crate::context::Context;
use crate::failure::{Answer, Failure};
use crate::output::{Output, counted, printable};

/// Run the tests of pipelines/*/tests, each also under faults
#[derive(Debug, Args)]
#[command(
    long_about = "Runs every test of pipelines/*/tests/*.yaml in memory: its events through the same decoding and the same \
                  fold that `run` uses, then the rows compared. Each runs again with one event a batch, with all in one, \
                  with every event delivered twice, and with a crash at every write; every run must give the same rows.",
    after_help = "Examples:\n  headwater test\n  headwater test removal          only tests whose name or file contains it\n  \
                  headwater test --json | jq -r 'select(.ok | not) | .test'"
)]
pub(crate) struct Test {
    /// Only tests whose name or file contains this
    #[arg(value_name = "PART")]
    part: Option<String>,
}

impl Test {
    pub(crate) fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let chosen: Vec<&TestCase> = project.tests.iter().filter(|case| self.takes(&project, case)).collect();
        if let (true, Some(part)) = (chosen.is_empty(), &self.part) {
            return Err(Failure::new(format!("no test's name or file contains {part:?}"))
                .mend(format!("There are {}.", counted(project.tests.len(), "test"))));
        }
        let mut out = context.output();
        let (mut failed, mut runs) = (0, 0);
        let started = Instant::now();
        for case in &chosen {
            let result = one(&project, case, &mut out)?;
            runs += result.runs;
            failed += usize::from(!result.ok);
        }
        if !context.json {
            let outcome = if failed == 0 { "all passed".to_owned() } else { format!("{failed} failed") };
            let took = started.elapsed().as_millis();
            out.line(format!(
                "{}, {outcome}; {} with faults in {took} ms",
                counted(chosen.len(), "test"),
                counted(runs, "run")
            ))?;
        }
        out.flush()?;
        Ok(if failed == 0 { Answer::Yes } else { Answer::No })
    }

    fn takes(&self, project: &Project, case: &TestCase) -> bool {
        let Some(part) = &self.part else { return true };
        case.name.contains(part.as_str()) || file_of(project, case).contains(part.as_str())
    }
}

/// How one test went.
struct Ran {
    ok: bool,
    runs: usize,
}

fn one(project: &Project, case: &TestCase, out: &mut Output) -> Result<Ran, Failure> {
    let verdict = harness::run(case, &project.topologies)
        .map_err(|error| Failure::because(format!("the test \"{}\" cannot be run", case.name), &error))?;
    let result = Ran { ok: verdict.passed(), runs: verdict.runs };
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
        out.value(&serde_json::json!({
            "test": case.name, "file": file, "ok": result.ok, "runs": result.runs, "failures": failures,
        }))?;
        return Ok(result);
    }
    if result.ok {
        out.line(format!("{} {}", console::style("ok  ").green(), case.name))?;
        return Ok(result);
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
    Ok(result)
}

fn file_of(project: &Project, case: &TestCase) -> String {
    project.sources.path(case.span.file).display().to_string()
}

/// `pipelines/document/tests/add.yaml:12:7`.
fn place(project: &Project, span: &Span) -> String {
    let place = project.sources.place(span);
    format!("{}:{}:{}", project.sources.path(span.file).display(), place.line, place.column)
}
