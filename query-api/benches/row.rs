//! What a query of one row costs beside its store: the whole of the router, from a request to the bytes of its answer, over
//! the store in memory, whose own read is measured too.
//!
//!     cargo bench -p headwater-query-api
//!
//! Figures are the CPU time of the one thread that does it all, which holds on a noisy machine.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use criterion::{Criterion, criterion_group, criterion_main};
use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_engine::table::{Key, Row, RowPosition, Table, ViewWrites};
use headwater_http::{Keys, Limits, front};
use headwater_query_api::{QueryApi, Served, router};
use headwater_schemas::{Decimal, Type, Value};
use headwater_views::{Deployment, FlushTarget, PositionMove, Store};
use object_store::local::LocalFileSystem;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tower::ServiceExt;

const GENERATION: u32 = 1;
const HOUR: Duration = Duration::from_secs(3600);

/// What this thread has computed so far.
fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it only grows")
}

fn value(ty: &Type) -> Value {
    match ty {
        Type::String => Value::string("00000000-0000-4000-8000-000000000001"),
        Type::Int | Type::Long => Value::Long(7),
        Type::Decimal { scale, .. } => Value::Decimal(Decimal { unscaled: 7, scale: *scale }),
        Type::TimestampMicros => Value::Timestamp(1_773_582_330_123_456),
        other => panic!("no row of these views holds {other}"),
    }
}

/// One row of every view that a query of a row reads.
async fn fill(store: &Store, topology: &Topology) {
    let deployment = Deployment {
        topology: topology.name.clone(),
        generation: GENERATION,
        tables: topology.views.iter().map(|view| view.table.clone()).collect(),
        declaration: String::new(),
        fingerprint: topology.fingerprint(false),
    };
    store.create(&deployment).await.expect("deployed");
    let position = RowPosition { partition: 0, offset: 0 };
    let moved = PositionMove { topic: "document".into(), topic_id: [7; 16], partition: 0, from: None, to: 1, epoch: 0 };
    let target = FlushTarget { topology: topology.name.clone(), generation: GENERATION };
    let flush = store.begin(&target, &[moved]).await.expect("a flush");
    let row = |table: &Table| Row {
        values: table.columns.iter().map(|column| value(&column.ty.ty)).collect(),
        state: table.state.iter().map(|column| column.ty.zero()).collect(),
        position,
        hidden: false,
    };
    let writes: Vec<(&Table, ViewWrites)> = ["documents", "totals"]
        .map(|name| topology.view(name).expect("the view"))
        .map(|(view, plan)| (&plan.table, ViewWrites { view, puts: vec![row(&plan.table)], ..ViewWrites::default() }))
        .into();
    let writes: Vec<(&Table, &ViewWrites)> = writes.iter().map(|(table, writes)| (*table, writes)).collect();
    flush.commit(&writes, &[]).await.expect("written");
}

async fn ask(app: &Router, path: &str, token: Option<&str>) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = app.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    to_bytes(response.into_body(), 1 << 20).await.expect("its bytes");
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

fn rows(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
    let topology: Arc<Topology> =
        project.topologies.iter().find(|topology| topology.name == "document").expect("the document domain").clone();
    let store = Store::memory();
    runtime.block_on(fill(&store, &topology));
    let keys = Keys::ephemeral().expect("keys");
    let limits = Limits::default();
    let served = Served { store: store.clone(), fingerprint: topology.fingerprint(false) };
    let blobs = tempfile::tempdir().expect("a folder");
    let api = QueryApi {
        queries: project.queries.clone(),
        topologies: HashMap::from([(topology.name.clone(), served)]),
        blobs: Arc::new(LocalFileSystem::new_with_prefix(blobs.path()).expect("a blob store")),
        keys: keys.clone(),
        limits: limits.clone(),
        clock: SystemTime::now,
    };
    let app = front::guard(router(api).expect("routes"), &limits);
    let token = keys.sign("alice", &[], HOUR).expect("signed");
    let path = "/documents/00000000-0000-4000-8000-000000000001";
    measure(criterion, &runtime, "a row of 8 columns, two joins, with a token", || ask(&app, path, Some(&token)));
    measure(criterion, &runtime, "a row of 2 columns, for anyone", || ask(&app, "/documents/count", None));
    measure(criterion, &runtime, "not found, no query", || async {
        let request = Request::get("/nowhere").body(Body::empty()).expect("a request");
        app.clone().oneshot(request).await.expect("an answer")
    });
    let (_, documents) = topology.view("documents").expect("the view");
    let key: Key = [value(&Type::String)].into();
    measure(criterion, &runtime, "the store's own reads of such a row", || async {
        let mut snapshot = store.snapshot().await.expect("a snapshot");
        let active = snapshot.active(&topology.name).await.expect("read").expect("deployed");
        let positions = snapshot.positions(&topology.name, active.generation).await.expect("read");
        (positions, snapshot.get(&documents.table, active.generation, slice::from_ref(&key)).await.expect("read"))
    });
}

criterion_group!(benches, rows);
criterion_main!(benches);
