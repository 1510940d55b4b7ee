//! What a long-running process is made of: topologies' workers, the command API, the query API, or all of them, behind one
//! listener; started in order, drained in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use headwater_command_api::CommandApi;
use headwater_http::health::{Gate, Health};
use headwater_http::openapi::{self, Document};
use headwater_http::telemetry::{self, Format};
use headwater_http::{Keys, Limits, front, serve};
use headwater_query_api::{QueryApi, Served};
use headwater_runner::{Condition, Job, Settings};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::environment::{self, Deployed, Environment};
use crate::failure::Failure;

/// How long the workers may take to write what they have read, at the end.
const DRAIN: Duration = Duration::from_secs(20);

/// How often records beyond their topic's retention are removed.
const RETENTION_EVERY: Duration = Duration::from_secs(10 * 60);

/// What this process does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roles {
    pub(crate) workers: bool,
    pub(crate) commands: bool,
    pub(crate) queries: bool,
}

/// A process that serves; end it with [`Serving::finish`].
pub(crate) struct Serving {
    pub(crate) environment: Environment,
    pub(crate) health: Health,
    pub(crate) address: SocketAddr,
    /// Stops the listener: no new requests, the ones under way finish.
    stop_requests: CancellationToken,
    /// Stops the workers, once nobody waits for what they do.
    stop_workers: CancellationToken,
    requests: tokio::task::JoinHandle<std::io::Result<serve::Drained>>,
    workers: JoinSet<()>,
}

impl Serving {
    /// Declares and deploys what the project says, then starts what `roles` says.
    pub(crate) async fn start(environment: Environment, roles: Roles, listen: SocketAddr) -> Result<Self, Failure> {
        telemetry::logs(Format::Auto, "warn,headwater=info")
            .map_err(|error| Failure::because("logging cannot be set up", &error))?;
        let metrics = telemetry::metrics().map_err(|error| Failure::because("metrics cannot be set up", &error))?;
        headwater_runner::describe_metrics();
        environment.declare().await?;
        let deployed = environment.deploy().await?;
        let listener = bind(listen).await?;
        let address = listener.local_addr().map_err(|error| Failure::because("the address cannot be read", &error))?;
        let health = Health::new();
        let limits = Limits::default();
        let keys = environment.keys()?;
        let stop_requests = CancellationToken::new();
        let stop_workers = CancellationToken::new();
        let mut workers = JoinSet::new();
        if roles.workers {
            for deployed in &deployed {
                spawn_worker(&mut workers, &environment, deployed, &health, &stop_workers);
            }
            spawn_retention(&mut workers, &environment, &stop_workers);
        }
        let router = router(&environment, &deployed, roles, &keys, &limits, (&mut workers, &stop_workers))?;
        let router = router.merge(health.routes(Some(metrics)));
        let stopped = stop_requests.clone().cancelled_owned();
        let requests = tokio::spawn(async move { serve::serve(listener, router, stopped, &limits).await });
        Ok(Self { environment, health, address, stop_requests, stop_workers, requests, workers })
    }

    /// Drains: requests first, for they may wait for the views; then the workers; then what they wrote to is closed.
    pub(crate) async fn finish(mut self) -> Result<(), Failure> {
        self.stop_requests.cancel();
        let drained = self.requests.await;
        self.stop_workers.cancel();
        let workers = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, workers).await.is_err() {
            // A flush that hangs is undone with its worker; the positions in the store say where to go on.
            tracing::warn!("the workers did not drain in time and are stopped");
            self.workers.shutdown().await;
        }
        self.environment.close().await;
        match drained {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::because("the listener failed", &error)),
            Err(error) => Err(Failure::because("the server failed", &error)),
        }
    }
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        Failure::because(format!("{listen} cannot be listened on"), &error)
            .mend("Is Headwater running already? Name another address: --listen 127.0.0.1:9000")
    })
}

fn spawn_worker(
    workers: &mut JoinSet<()>,
    environment: &Environment,
    deployed: &Deployed,
    health: &Health,
    stop: &CancellationToken,
) {
    let job = Job {
        topology: deployed.topology.clone(),
        generation: deployed.generation,
        log: environment.log.clone(),
        store: deployed.store.clone(),
        registry: environment.registry.clone(),
        settings: Settings::default(),
    };
    let gate = health.register(&format!("topology {}", deployed.topology.name));
    let stop = stop.clone();
    workers.spawn(async move { keep(job, gate, stop).await });
}

/// Runs a topology. One that stops by itself leaves the others alone: it is not ready any more, and says why.
async fn keep(job: Job, gate: Gate, stop: CancellationToken) {
    let tell = |condition: Condition<'_>| match condition {
        Condition::Working => gate.open(),
        Condition::Waiting(why) => gate.close(why),
    };
    let reported = job.clone();
    let kept = async {
        if let Err(error) = headwater_runner::run(job, stop.clone(), tell).await {
            gate.close(error.to_string());
            // The gate is kept, so that its reason stands for as long as the process does, and its lag is told.
            stop.cancelled().await;
        }
    };
    tokio::select! {
        () = kept => {}
        () = headwater_runner::report_lag(&reported) => {}
    }
}

fn spawn_retention(workers: &mut JoinSet<()>, environment: &Environment, stop: &CancellationToken) {
    let log = environment.log.clone();
    let stop = stop.clone();
    workers.spawn(async move {
        let mut ticks = tokio::time::interval(RETENTION_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match log.enforce_retention(chrono::Utc::now().timestamp_millis()).await {
                Ok(0) => {}
                Ok(records) => tracing::info!(records, "removed beyond their topics' retention"),
                Err(error) => tracing::warn!(%error, "retention could not be enforced; it is tried again"),
            }
        }
    });
}

/// The routes of what this process serves, guarded, with their description at `/openapi.json` and `/docs`.
fn router(
    environment: &Environment,
    deployed: &[Deployed],
    roles: Roles,
    keys: &Keys,
    limits: &Limits,
    sweeps: (&mut JoinSet<()>, &CancellationToken),
) -> Result<Router, Failure> {
    let project = &environment.project;
    let mut routes = Router::new();
    let mut document = Document::new("Headwater", env!("CARGO_PKG_VERSION"));
    if !roles.commands && !roles.queries {
        return Ok(front::guard(routes, limits));
    }
    let folder = environment::blob_folder(project);
    let blobs = blobs(&folder)?;
    if roles.queries {
        let served = |deployed: &Deployed| {
            let fingerprint = deployed.topology.fingerprint(deployed.store.keeps_parts());
            let served = Served { store: deployed.store.clone(), fingerprint };
            (deployed.topology.name.clone(), served)
        };
        let api = QueryApi {
            queries: project.queries.clone(),
            topologies: deployed.iter().map(served).collect(),
            blobs: blobs.clone(),
            keys: keys.clone(),
            limits: limits.clone(),
            clock: SystemTime::now,
        };
        headwater_query_api::describe(&project.queries, &mut document);
        let queries = headwater_query_api::router(api);
        routes = routes.merge(queries.map_err(|error| Failure::because("the queries cannot be served", &error))?);
    }
    if roles.commands {
        let api = CommandApi {
            commands: project.commands.clone(),
            log: environment.log.clone(),
            registry: environment.registry.clone(),
            stores: environment.stores().cloned().collect(),
            blobs,
            blob_folder: Some(folder),
            keys: keys.clone(),
            limits: limits.clone(),
            settings: headwater_command_api::Settings::default(),
        };
        headwater_command_api::describe(project.commands.iter().map(|command| &**command), &mut document);
        let (tasks, stop) = sweeps;
        tasks.spawn(headwater_command_api::sweep(api.clone(), stop.clone().cancelled_owned()));
        let commands = headwater_command_api::router(api);
        routes = routes.merge(commands.map_err(|error| Failure::because("the commands cannot be served", &error))?);
    }
    let description = openapi::routes(&document.build());
    Ok(front::guard(routes.merge(description), limits))
}

/// The blob store: a folder whose files are synced before an event names them.
fn blobs(folder: &Path) -> Result<Arc<dyn ObjectStore>, Failure> {
    let cannot =
        |error: &dyn std::error::Error| Failure::because(format!("{} cannot hold content", folder.display()), error);
    std::fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| cannot(&error))?;
    Ok(Arc::new(store.with_fsync(true)))
}
