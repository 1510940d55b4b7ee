//! A whole installation on backends of its own: log, registry, store, blobs, a worker, and the command API on a port.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use headwater_command_api::{CommandApi, Settings, router};
use headwater_engine::project::Project;
use headwater_engine::table::{Key, Row};
use headwater_http::etag::RowTag;
use headwater_http::{Keys, Limits, front, serve};
use headwater_log::{Log, Offset, Record, TopicSpec};
use headwater_runner::{Job, deploy};
use headwater_schemas::registry::Registry;
use headwater_schemas::{DecodePlan, Value, json, wire};
use headwater_views::{SqliteOptions, Store};
use object_store::local::LocalFileSystem;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine; nothing waits for it unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) api: CommandApi,
    pub(crate) project: Project,
    pub(crate) generation: u32,
    client: reqwest::Client,
    url: String,
    stop: CancellationToken,
    worker: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Removed with the world, where it is the world's own.
    _folder: Option<tempfile::TempDir>,
}

/// Times that a test can wait for.
pub(crate) fn settings() -> Settings {
    Settings { delivery_timeout: Duration::from_millis(400), wait: Duration::from_secs(20), ..Settings::default() }
}

impl World {
    /// One on SQLite files, and one in memory.
    pub(crate) async fn both() -> [Self; 2] {
        [Self::sqlite(settings()).await, Self::memory(settings()).await]
    }

    pub(crate) async fn sqlite(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut world = Self::at(folder.path(), settings).await;
        world._folder = Some(folder);
        world
    }

    pub(crate) async fn memory(settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut world =
            Self::on(Log::memory(), Store::memory(), Registry::memory(), folder.path(), settings, Limits::default())
                .await;
        world._folder = Some(folder);
        world
    }

    /// On the SQLite files of this folder, whoever else uses them.
    pub(crate) async fn at(folder: &Path, settings: Settings) -> Self {
        Self::with_limits(folder, settings, Limits::default()).await
    }

    pub(crate) async fn with_limits(folder: &Path, settings: Settings, limits: Limits) -> Self {
        let log = Log::open_embedded(folder).await.expect("a log");
        let store = Store::open_sqlite(SqliteOptions::new(folder.join("views.db"))).await.expect("a store");
        let registry = Registry::open_embedded(folder).await.expect("a registry");
        Self::on(log, store, registry, folder, settings, limits).await
    }

    async fn on(log: Log, store: Store, registry: Registry, folder: &Path, settings: Settings, limits: Limits) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/project");
        let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
        for topic in &project.topics {
            let spec = TopicSpec {
                name: topic.name.clone(),
                partitions: topic.partitions,
                retention_days: None,
                compact: false,
            };
            log.ensure_topic(&spec).await.expect("a topic");
        }
        let topology = project.topologies[0].clone();
        let generation = deploy(&store, &topology).await.expect("deployed");
        let blob_folder = blobs_of(folder);
        std::fs::create_dir_all(&blob_folder).expect("a folder for blobs");
        let api = CommandApi {
            commands: project.commands.clone(),
            log: log.clone(),
            registry: registry.clone(),
            stores: [("operational".to_owned(), store.clone())].into(),
            blobs: Arc::new(LocalFileSystem::new_with_prefix(&blob_folder).expect("a blob store").with_fsync(true)),
            blob_folder: Some(blob_folder),
            keys: Keys::ephemeral().expect("keys"),
            limits: limits.clone(),
            settings,
        };
        let stop = CancellationToken::new();
        let working = stop.child_token();
        let job = Job { topology, generation, log, store, registry, settings: headwater_runner::Settings::default() };
        let worker = tokio::spawn({
            let stop = working.clone();
            async move { headwater_runner::run(job, stop, |_| ()).await.expect("the worker runs") }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = front::guard(router(api.clone()).expect("routes"), &limits);
        let server = tokio::spawn({
            let stop = stop.clone();
            async move {
                serve::serve(listener, routes, stop.cancelled_owned(), &limits).await.expect("the server runs");
            }
        });
        let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
        Self {
            api,
            project,
            generation,
            client,
            url,
            stop,
            worker: working,
            tasks: vec![worker, server],
            _folder: None,
        }
    }

    /// A second world on the same files or memory, as another process would be: without its own worker.
    pub(crate) async fn twin(&self, settings: Settings) -> Self {
        let api = CommandApi { settings, ..self.api.clone() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let limits = api.limits.clone();
        let routes = front::guard(router(api.clone()).expect("routes"), &limits);
        let stop = CancellationToken::new();
        let server = tokio::spawn({
            let stop = stop.clone();
            async move {
                serve::serve(listener, routes, stop.cancelled_owned(), &limits).await.expect("the server runs");
            }
        });
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/project");
        let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
        let client = self.client.clone();
        Self {
            api,
            project,
            generation: self.generation,
            client,
            url,
            worker: stop.clone(),
            stop,
            tasks: vec![server],
            _folder: None,
        }
    }

    /// From here on the views stand still.
    pub(crate) async fn stop_worker(&mut self) {
        self.worker.cancel();
        self.tasks.remove(0).await.expect("the worker ends well");
    }

    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.await.expect("a task ends well");
        }
        self.api.log.close().await;
        self.store().close().await;
    }

    pub(crate) fn store(&self) -> &Store {
        &self.api.stores["operational"]
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str, body: Json) -> RequestBuilder {
        self.request(Method::POST, path).json(&body)
    }

    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(crate) fn token(&self, sub: &str) -> String {
        self.token_with(sub, &[])
    }

    pub(crate) fn token_with(&self, sub: &str, roles: &[&str]) -> String {
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        self.api.keys.sign(sub, &roles, Duration::from_secs(600)).expect("signed")
    }

    /// Every record of a topic, by partition and offset.
    pub(crate) async fn records(&self, topic: &str) -> Vec<Record> {
        let mut records = Vec::new();
        for extent in self.api.log.extents(topic).await.expect("extents") {
            let mut from = extent.earliest;
            while from < extent.end {
                let read = self.api.log.read(topic, extent.partition, from, 1000, 1 << 24).await.expect("records");
                from = read.last().map_or(Offset(i64::MAX), |record| record.offset.next());
                records.extend(read);
            }
        }
        records
    }

    /// The event of a record, as JSON.
    pub(crate) async fn event(&self, topic: &str, record: &Record) -> Json {
        let (id, body) = wire::split(record.payload.as_deref().expect("a payload")).expect("framed");
        let schema = self.api.registry.by_id(id).await.expect("registered");
        let topic = self.project.topics.iter().find(|t| t.name == topic).expect("the topic");
        let event = topic.event(schema.short_name()).expect("the event");
        let reader = &event.schema.record;
        let all: Vec<usize> = (0..reader.fields.len()).collect();
        let plan = DecodePlan::compile(&schema, reader, &all).expect("a plan");
        let bump = bumpalo::Bump::new();
        let fields = plan.decode(body, &bump).expect("decoded");
        let pairs = reader
            .fields
            .iter()
            .zip(fields)
            .map(|(field, value)| (field.name.clone(), json::to_json(&field.ty, &value.to_owned())));
        Json::Object(pairs.collect())
    }

    /// A view's row by its one key column.
    pub(crate) async fn row(&self, view: &str, key: &str) -> Option<Row> {
        let (_, view) = self.project.topologies[0].view(view).expect("the view");
        let key: Key = [Value::string(key)].into();
        self.store().get(&view.table, self.generation, &[key]).await.expect("read").remove(0)
    }

    /// The row, once it is there.
    pub(crate) async fn row_soon(&self, view: &str, key: &str) -> Row {
        eventually(async || self.row(view, key).await).await
    }

    /// What a query would give as the row's ETag.
    pub(crate) fn etag(&self, row: &Row) -> String {
        RowTag::new(self.generation, row.position, b"").to_string()
    }

    /// Every file of the blob store: content, notes of uploads, and what is half written.
    pub(crate) fn blobs(&self) -> Vec<PathBuf> {
        files_below(self.api.blob_folder.as_deref().expect("a folder"))
    }
}

pub(crate) fn blobs_of(folder: &Path) -> PathBuf {
    folder.join("blobs")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// Asks again and again until there is something.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "this did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A response taken apart: status, body.
pub(crate) async fn told(response: Response) -> (StatusCode, Json) {
    let status = response.status();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Json::String(text)))
}

/// Sends until the answer is neither "under way" nor "not now".
pub(crate) async fn settled(request: impl Fn() -> RequestBuilder) -> (StatusCode, Json) {
    eventually(async || {
        let (status, body) = told(request().send().await.expect("an answer")).await;
        let under_way = body["type"] == "urn:headwater:problem:idempotency-key-in-use";
        (!under_way && status != StatusCode::SERVICE_UNAVAILABLE).then_some((status, body))
    })
    .await
}
