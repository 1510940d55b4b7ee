//! `headwater test --against`: the same test files on the real log, registry and stores of a profile.
//!
//! The one idea is that nothing of the profile itself is touched: topics, groups, subjects and schemas have names of their
//! own ([`scratch`]), made for the run and dropped after it, however it ends. Tests run side by side in a few *lanes*
//! ([`lane`]), each with topics and stores of its own, and one after another within a lane: a test begins at the ends of
//! the lane's topics, with views that were just made, so that topics are made once and not for each test.

mod lane;
pub(crate) mod scratch;
mod session;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use headwater_engine::harness::Verdict;
use headwater_engine::project::Project;
use headwater_engine::test::TestCase;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::failure::{Answer, Failure};
use crate::interrupt;
use crate::output::{Output, counted, note, watched};
use crate::test;
use lane::Lane;
use scratch::Scratch;

/// How many tests run at a time. More make the servers busier and the run hardly shorter.
const LANES: usize = 4;

/// What every scratch name begins with.
const PREFIX: &str = "headwater-test";

/// How the tests are run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Leaves what was made.
    pub(crate) keep: bool,
    /// How long the views may take to come to the end of what was written.
    pub(crate) patience: Duration,
}

/// What became of a test, by its place among the chosen.
type Done = (usize, Result<Verdict, Failure>);

/// Runs the tests at these places of the project's, whose configuration is the profile's.
pub(crate) async fn run(
    project: Project,
    profile: &Path,
    chosen: Vec<usize>,
    terms: Terms,
    out: &mut Output,
) -> Result<Answer, Failure> {
    let stop = interrupt::token()?;
    let started = Instant::now();
    let project = Arc::new(project);
    let lanes = LANES.min(chosen.len());
    let mut scratch = Scratch::open(&project, profile, lanes, PREFIX).await?;
    // Not left half made by Ctrl-C: what was begun is known, and dropped.
    let ran = match scratch.make(&project, terms.patience).await {
        Ok(_) if stop.is_cancelled() => Ok(None),
        Ok(lanes) => all(&project, lanes, chosen.clone(), &stop, out).await,
        Err(failure) => Err(failure),
    };
    if stop.is_cancelled() {
        note("Interrupted; dropping what was made for the tests…");
    }
    let ended = if terms.keep { scratch.keep().await } else { scratch.drop_all().await };
    let failed = match (ran, ended) {
        (Ok(ran), Ok(())) => ran,
        (Err(failure), Ok(())) => return Err(failure),
        (Ok(_), Err(left)) => return Err(left),
        // What kept the tests from running, and with that from being cleared away.
        (Err(failure), Err(left)) => return Err(both(failure, &left)),
    };
    let Some(failed) = failed else { return Ok(Answer::Interrupted) };
    if !out.json {
        let outcome = if failed == 0 { "all passed".to_owned() } else { format!("{failed} failed") };
        let seconds = started.elapsed().as_secs_f64();
        out.line(format!(
            "{}, {outcome}; each {} on {}, in {seconds:.1} s",
            counted(chosen.len(), "test"),
            lane::SCHEDULES.join(", "),
            scratch.place()
        ))?;
    }
    out.flush()?;
    Ok(if failed == 0 { Answer::Yes } else { Answer::No })
}

/// Runs all of them and prints each in its turn; how many failed. None where it was interrupted.
async fn all(
    project: &Arc<Project>,
    lanes: Vec<Lane>,
    chosen: Vec<usize>,
    stop: &CancellationToken,
    out: &mut Output,
) -> Result<Option<usize>, Failure> {
    let bar = bar(chosen.len());
    let chosen: Arc<[usize]> = chosen.into();
    let next = Arc::new(AtomicUsize::new(0));
    let (tell, mut told) = mpsc::channel(lanes.len().max(1));
    let mut running = JoinSet::new();
    for lane in lanes {
        running.spawn(work(lane, project.clone(), chosen.clone(), next.clone(), tell.clone()));
    }
    drop(tell);
    let mut waiting: Vec<Option<Verdict>> = chosen.iter().map(|_| None).collect();
    let (mut shown, mut failed) = (0, 0);
    while shown < chosen.len() {
        let done: Option<Done> = tokio::select! {
            done = told.recv() => done,
            () = stop.cancelled() => {
                running.shutdown().await;
                return Ok(None);
            }
        };
        let Some((place, verdict)) = done else {
            return Err(Failure::new("a test ended without an answer: this is a defect of headwater"));
        };
        match verdict {
            Ok(verdict) => waiting[place] = Some(verdict),
            Err(failure) => {
                running.shutdown().await;
                return Err(failure);
            }
        }
        bar.inc(1);
        while let Some(verdict) = waiting.get_mut(shown).and_then(Option::take) {
            failed += usize::from(!verdict.passed());
            bar.suspend(|| test::show(project, &project.tests[chosen[shown]], &verdict, out))?;
            shown += 1;
        }
        out.flush()?;
    }
    bar.finish_and_clear();
    Ok(Some(failed))
}

/// Takes one test after another until there are no more. Dropped, it drops its workers with it.
async fn work(
    lane: Lane,
    project: Arc<Project>,
    chosen: Arc<[usize]>,
    next: Arc<AtomicUsize>,
    tell: mpsc::Sender<Done>,
) {
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = chosen.get(place).map(|index| &project.tests[*index]) else { return };
        let verdict = lane.run(case, &project.topologies).await.map_err(|failure| named(case, failure));
        let is_over = verdict.is_err();
        if tell.send((place, verdict)).await.is_err() || is_over {
            return;
        }
    }
}

fn named(case: &TestCase, failure: Failure) -> Failure {
    match failure {
        Failure::Environment { what, mend } => {
            Failure::Environment { what: format!("the test \"{}\" cannot be run: {what}", case.name), mend }
        }
        Failure::Closed => Failure::Closed,
    }
}

fn both(failure: Failure, left: &Failure) -> Failure {
    match failure {
        Failure::Environment { what, mend } => Failure::Environment { what: format!("{what}; and {left}"), mend },
        Failure::Closed => Failure::new(left),
    }
}

fn bar(tests: usize) -> ProgressBar {
    if !watched() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} tests  {elapsed}");
    ProgressBar::new(tests as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
