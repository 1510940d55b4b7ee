//! What a command costs beside its log: the whole of the router, from a request to the bytes of its 202, on the log in
//! memory, whose own append is measured too.
//!
//!     cargo bench -p headwater-command-api
//!
//! Figures are the CPU time of the one thread that does it all, which holds on a noisy machine.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use criterion::{Criterion, criterion_group, criterion_main};
use headwater_command_api::{CommandApi, Settings, router};
use headwater_engine::project::Project;
use headwater_http::{Keys, Limits, front};
use headwater_log::{Log, NewRecord, TopicSpec};
use headwater_schemas::registry::Registry;
use headwater_views::Store;
use object_store::local::LocalFileSystem;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tower::ServiceExt;

const NOTE: &str = r#"{"text": "milk, bread and a newspaper", "stars": 3, "price": "12.50"}"#;

/// What this thread has computed so far.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it only grows")
}

fn measure<F: Future>(criterion: &mut Criterion, runtime: &Runtime, name: &str, one: impl Fn() -> F) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let before = cpu();
                for _ in 0..times {
                    black_box(one().await);
                }
                cpu() - before
            })
        });
    });
}

async fn take_note(app: &Router, token: Option<&str>) {
    let mut request = Request::post("/notes").header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::from(NOTE)).expect("a request")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    to_bytes(response.into_body(), 1 << 20).await.expect("its bytes");
}

fn accepted(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/project");
    let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
    let log = Log::memory();
    for topic in &project.topics {
        let spec =
            TopicSpec { name: topic.name.clone(), partitions: topic.partitions, retention_days: None, compact: false };
        runtime.block_on(log.ensure_topic(&spec)).expect("a topic");
    }
    let blobs = tempfile::tempdir().expect("a folder");
    let (keys, limits) = (Keys::ephemeral().expect("keys"), Limits::default());
    let api = CommandApi {
        commands: project.commands.clone(),
        log: log.clone(),
        registry: Registry::memory(),
        stores: [("operational".to_owned(), Store::memory())].into(),
        blobs: Arc::new(LocalFileSystem::new_with_prefix(blobs.path()).expect("a blob store")),
        blob_folder: None,
        keys: keys.clone(),
        limits: limits.clone(),
        settings: Settings::default(),
    };
    let app = front::guard(router(api).expect("routes"), &limits);
    let token = keys.sign("alice", &[], Duration::from_secs(3600)).expect("signed");
    measure(criterion, &runtime, "a command that only appends, for anyone", || take_note(&app, None));
    measure(criterion, &runtime, "the same, with a token", || take_note(&app, Some(&token)));
    measure(criterion, &runtime, "the log's own append", || async {
        let record = NewRecord { key: Some("key".into()), payload: Some(NOTE.into()), ..NewRecord::default() };
        log.append("note", record).await.expect("appended")
    });
}

criterion_group!(benches, accepted);
criterion_main!(benches);
