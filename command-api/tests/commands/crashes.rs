//! A process that dies between any two steps of a command: whoever comes next finds exactly one event and the right
//! answer.
//!
//! The test runs itself again as a child that aborts at one step; then it comes back on the same files as another
//! process would, as the same client or as another.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use headwater_command_api::{Settings, Step, sweep_once};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};

use crate::world::{World, settings, settled, told};

/// What the child reads: the folder, the scenario's name, the step.
const FOLDER: &str = "HEADWATER_CRASH_FOLDER";
const SCENARIO: &str = "HEADWATER_CRASH_SCENARIO";
const STEP: &str = "HEADWATER_CRASH_STEP";

const CONTENT: &[u8] = b"what was sent";

/// A command, and the steps that it takes.
struct Scenario {
    topic: &'static str,
    path: &'static str,
    keyed: bool,
    steps: &'static [Step],
}

/// Every way to the log, with an `Idempotency-Key` and, where that makes a difference, without.
fn scenarios() -> Vec<Scenario> {
    use Step::*;
    let cases: [(&str, &str, bool, &[Step]); 9] = [
        ("note", "/notes", true, &[KeyTaken, EventNoted, EventWritten, AnswerKept]),
        ("counter", "/counters/c", false, &[EventNoted, EventWritten, TurnPassed]),
        ("counter", "/counters/c", true, &[KeyTaken, EventNoted, EventWritten, TurnPassed, AnswerKept]),
        ("member", "/members", false, &[ValueTaken, ValueFree, EventNoted, EventWritten, ValueWritten]),
        (
            "member",
            "/members",
            true,
            &[KeyTaken, ValueTaken, ValueFree, EventNoted, EventWritten, ValueWritten, AnswerKept],
        ),
        ("account", "/accounts", false, &[ValueTaken, ValueFree, EventNoted, EventWritten, TurnPassed, ValueWritten]),
        (
            "account",
            "/accounts",
            true,
            &[KeyTaken, ValueTaken, ValueFree, EventNoted, EventWritten, TurnPassed, ValueWritten, AnswerKept],
        ),
        (
            "note",
            "/attachments?name=a.txt",
            true,
            &[UploadNoted, ContentStored, KeyTaken, EventNoted, EventWritten, AnswerKept, UploadNamed],
        ),
        (
            "file",
            "/files?name=a.txt",
            true,
            &[UploadNoted, ContentStored, KeyTaken, EventNoted, EventWritten, TurnPassed, AnswerKept, UploadNamed],
        ),
    ];
    cases.map(|(topic, path, keyed, steps)| Scenario { topic, path, keyed, steps }).into()
}

impl Scenario {
    fn name(&self) -> String {
        format!("{}{}", self.path, if self.keyed { ", keyed" } else { "" })
    }

    /// None: content.
    fn body(&self) -> Option<Json> {
        match self.path {
            "/notes" => Some(json!({ "text": "hello" })),
            "/members" => Some(json!({ "nick": "anna" })),
            "/accounts" => Some(json!({ "email": "a@b", "name": "n" })),
            "/counters/c" => Some(json!({ "value": 7 })),
            _ => None,
        }
    }

    fn request(&self, world: &World, keyed: bool) -> RequestBuilder {
        let method = if self.topic == "counter" { Method::PUT } else { Method::POST };
        let request = world.request(method, self.path).bearer_auth(world.token("anna"));
        let request = match &self.body() {
            Some(body) => request.json(body),
            None => request.header("content-type", "text/plain").body(CONTENT),
        };
        if keyed { request.header("idempotency-key", "once") } else { request }
    }

    /// What has to be there before.
    async fn prepare(&self, world: &World) {
        if self.topic == "counter" {
            let started = world.post("/counters", json!({ "counter_id": "c" })).send().await.expect("an answer");
            assert_eq!(started.status(), StatusCode::ACCEPTED);
        }
    }

    /// Events of the topic that are not of the preparation.
    async fn events(&self, world: &World) -> usize {
        world.records(self.topic).await.len() - usize::from(self.topic == "counter")
    }
}

/// Whether the event was noted, so that it will be written.
fn is_noted(step: Step) -> bool {
    let at = |step| Step::ALL.iter().position(|other| *other == step);
    at(step) >= at(Step::EventNoted)
}

/// The child; nothing by itself.
#[tokio::test(flavor = "multi_thread")]
async fn crash_child() {
    let (Ok(folder), Ok(name), Ok(step)) = (std::env::var(FOLDER), std::env::var(SCENARIO), std::env::var(STEP)) else {
        return;
    };
    let armed = Arc::new(AtomicBool::new(false));
    let at = {
        let armed = armed.clone();
        move |reached: Step| {
            if armed.load(Ordering::SeqCst) && format!("{reached:?}") == step {
                std::process::abort();
            }
        }
    };
    let world = World::at(Path::new(&folder), Settings { at: Some(Arc::new(at)), ..settings() }).await;
    let scenario = scenarios().into_iter().find(|scenario| scenario.name() == name).expect("a scenario");
    scenario.prepare(&world).await;
    armed.store(true, Ordering::SeqCst);
    let answer = told(scenario.request(&world, scenario.keyed).send().await.unwrap()).await;
    panic!("the step was not reached: {answer:?}");
}

/// Runs the child until it has aborted.
async fn crash(folder: &Path, scenario: &Scenario, step: Step) {
    let output = tokio::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "crashes::crash_child", "--nocapture"])
        .env(FOLDER, folder)
        .env(SCENARIO, scenario.name())
        .env(STEP, format!("{step:?}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the child runs");
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(signal, Some(6), "{} at {step:?}: {told}", scenario.name());
}

async fn each(check: impl AsyncFn(&Scenario, Step)) {
    let all = scenarios();
    let cases = all.iter().flat_map(|scenario| scenario.steps.iter().map(move |step| (scenario, *step)));
    // Each case is mostly waiting, for a process to start or for a timeout.
    futures::stream::iter(cases)
        .map(|(scenario, step)| check(scenario, step))
        .buffer_unordered(4)
        .collect::<()>()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_client_comes_back() {
    each(async |scenario, step| {
        let folder = tempfile::tempdir().expect("a folder");
        crash(folder.path(), scenario, step).await;
        let world = World::at(folder.path(), settings()).await;
        let case = format!("{} at {step:?}", scenario.name());
        let (status, answer) = settled(|| scenario.request(&world, scenario.keyed)).await;
        let events = scenario.events(&world).await;
        let expected = match (scenario.keyed, scenario.topic, is_noted(step)) {
            (true, ..) => (StatusCode::ACCEPTED, 1),
            // Nothing says that it is the same: it comes second.
            (false, "counter", noted) => (StatusCode::ACCEPTED, 1 + usize::from(noted)),
            (false, _, true) => (StatusCode::CONFLICT, 1),
            (false, _, false) => (StatusCode::ACCEPTED, 1),
        };
        assert_eq!((status, events), expected, "{case}: {answer}");
        if scenario.keyed {
            let again = settled(|| scenario.request(&world, true)).await;
            assert_eq!(again, (status, answer.clone()), "{case}");
            let records = world.records(scenario.topic).await;
            let id = answer["event_id"].as_str().expect("an id");
            let same = records.iter().filter(|record| record.header("ce_id").unwrap() == id.as_bytes()).count();
            assert_eq!(same, 1, "{case}");
        }
        if scenario.body().is_none() {
            content_is_there(&world, scenario, &case).await;
        }
        world.close().await;
    })
    .await;
}

/// After a sweep, the content that the event names is all there is.
async fn content_is_there(world: &World, scenario: &Scenario, case: &str) {
    let mut api = world.api.clone();
    api.settings.orphans_kept = std::time::Duration::ZERO;
    sweep_once(&api).await.expect("swept");
    let record = world.records(scenario.topic).await.remove(0);
    let event = world.event(scenario.topic, &record).await;
    let named = api.blob_folder.as_ref().expect("a folder").join(event["content"]["blob"].as_str().expect("a blob"));
    assert_eq!(world.blobs(), std::slice::from_ref(&named), "{case}");
    assert_eq!(std::fs::read(named).expect("content"), CONTENT, "{case}");
    assert_eq!(event["content"]["size"], CONTENT.len(), "{case}");
}

/// Somebody else wants the same value, and is first to come after the crash.
#[tokio::test(flavor = "multi_thread")]
async fn another_client_comes_first() {
    each(async |scenario, step| {
        if !scenario.keyed || !["/members", "/accounts"].contains(&scenario.path) {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        crash(folder.path(), scenario, step).await;
        let world = World::at(folder.path(), settings()).await;
        let case = format!("{} at {step:?}", scenario.name());
        let other = settled(|| scenario.request(&world, false)).await;
        let first = settled(|| scenario.request(&world, true)).await;
        let expected = match is_noted(step) {
            true => (StatusCode::CONFLICT, StatusCode::ACCEPTED),
            false => (StatusCode::ACCEPTED, StatusCode::CONFLICT),
        };
        assert_eq!((other.0, first.0), expected, "{case}: {} {}", other.1, first.1);
        assert_eq!(scenario.events(&world).await, 1, "{case}");
        world.close().await;
    })
    .await;
}
