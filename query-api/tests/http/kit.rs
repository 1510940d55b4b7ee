//! A query API that listens, the store behind it, and a client.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use headwater_engine::plan::Topology;
use headwater_engine::query::{self, Query};
use headwater_engine::source::Sources;
use headwater_engine::table::{Row, RowPosition, ViewWrites};
use headwater_engine::{declare, plan, yaml};
use headwater_http::{Keys, Limits, front, serve};
use headwater_query_api::{QueryApi, Served, router};
use headwater_schemas::{Event, KeyFormat, Topic, Value, avsc};
use headwater_views::{Deployment, FlushTarget, ParkedRecord, PositionMove, SqliteOptions, Store};
use object_store::local::LocalFileSystem;
use reqwest::RequestBuilder;
use serde_json::Value as Json;
use tokio::net::TcpListener;

pub(crate) const TOPIC: &str = "document";
pub(crate) const TOPIC_ID: [u8; 16] = [7; 16];
pub(crate) const FINGERPRINT: &str = "test";
/// 15 June 2026, noon: what the API's clock says.
pub(crate) const NOW: u64 = 1_781_524_800;
const HOUR: Duration = Duration::from_secs(3600);

/// Beside the document domain's own: a view by day, one by owner, and queries that no domain would declare.
const MORE_VIEWS: &str = r#"
  documents_by_day:
    from: documents
    key:
      partition:
        - day: "date_trunc('day', updated)"
      clustering: [updated desc, doc_id]
    columns: [name]

  documents_by_owner:
    from: documents
    key:
      partition: [created_by]
      clustering: [created desc, doc_id]
    columns: [name, versions]

  recent_documents:
    from: documents
    retain: { days: 30, after: updated }
    key:
      partition: [created_by]
      clustering: [name, doc_id]
    columns: [updated]

  recent_document:
    from: documents
    retain: { days: 30, after: updated }
    key: [doc_id]
    columns: [name, updated]
"#;

const MORE_QUERIES: &str = r#"
  own_document:
    get: "/own/{doc_id}"
    allow: "owner(created_by) or role(administrator)"
    row: documents
    join:
      author: "authors[created_by]"
      totals: "totals[]"
  documents_of:
    get: "/owners/{created_by}/documents"
    allow: owner(created_by)
    page: documents_by_owner
    size: { default: 3, max: 20 }
  most_versions_of:
    get: "/owners/{created_by}/most"
    allow: owner(created_by)
    page: documents_by_owner
    sort: [versions desc, name]
    size: { default: 3, max: 20 }
  recent_documents_of:
    get: "/owners/{created_by}/recent"
    allow: owner(created_by)
    page: recent_documents
    size: { default: 3, max: 20 }
    join:
      again: "recent_document[doc_id].name"
  get_recent:
    get: "/recent/{doc_id}"
    allow: anyone
    row: recent_document
  one_month:
    get: /month
    allow: anyone
    page: documents_by_update
  by_day:
    get: /days
    allow: anyone
    page: documents_by_day
    walk:
      day: { back: 1000 }
  open_content:
    get: "/open/{doc_id}/{number}"
    allow: anyone
    file: document_versions
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
}

pub(crate) const BOTH: [Kind; 2] = [Kind::Memory, Kind::Sqlite];

/// One instance of the query API and what is behind it.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) topology: Arc<Topology>,
    pub(crate) queries: Vec<Arc<Query>>,
    pub(crate) keys: Keys,
    pub(crate) blobs: PathBuf,
    pub(crate) base: String,
    client: reqwest::Client,
    folder: Arc<tempfile::TempDir>,
    generation: u32,
    next: tokio::sync::Mutex<Option<i64>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn node(text: &str) -> yaml::Node {
    let mut sources = Sources::default();
    let id = sources.add("test.yaml", text.to_owned());
    yaml::parse(id, text).unwrap()
}

fn topic(domain: &str) -> Arc<Topic> {
    let dir = root().join("schemas").join(domain);
    let text = std::fs::read_to_string(dir.join("topic.yaml")).unwrap();
    let decl = declare::topic::read(&node(&text), &mut Vec::new()).unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "avsc") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let schemas = avsc::parse_all(&files).unwrap();
    let key: Vec<String> = decl.key.iter().map(|field| field.value.clone()).collect();
    let event = |name: &str| {
        let schema = schemas.iter().find(|schema| schema.short_name() == name).unwrap();
        Event::new(Arc::new(schema.clone()), Vec::new(), &key).unwrap()
    };
    Arc::new(Topic {
        name: decl.topic.value.clone(),
        domain: domain.to_owned(),
        key_format: KeyFormat::String,
        partitions: decl.partitions.value,
        retention_days: None,
        compact: false,
        deduplicate: None,
        events: decl.events.iter().map(|name| event(name)).collect(),
        ignore: Vec::new(),
        key,
    })
}

fn declared() -> (Arc<Topology>, Vec<Arc<Query>>) {
    let dir = root().join("pipelines/document");
    let text = std::fs::read_to_string(dir.join("topology.yaml")).unwrap() + MORE_VIEWS;
    let decl = declare::topology::read(&node(&text), &mut Vec::new()).unwrap();
    let topology = Arc::new(plan::compile(&decl, &[topic("document"), topic("user")]).unwrap());
    let text = std::fs::read_to_string(dir.join("queries.yaml")).unwrap() + MORE_QUERIES;
    let decls = declare::query::read(&node(&text), &mut Vec::new()).unwrap();
    let compile = |decl| Arc::new(query::compile(decl, &[Arc::clone(&topology)]).unwrap());
    let queries = decls.iter().map(compile).collect();
    (topology, queries)
}

impl World {
    pub(crate) async fn start(kind: Kind) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let store = match kind {
            Kind::Memory => Store::memory(),
            Kind::Sqlite => open(folder.path()).await,
        };
        Self::with(store, folder, Keys::ephemeral().unwrap()).await
    }

    /// Another process of the same installation: its own connections to the same files.
    pub(crate) async fn another(&self) -> Self {
        Self::with(open(self.folder.path()).await, Arc::clone(&self.folder), self.keys.clone()).await
    }

    async fn with(store: Store, folder: Arc<tempfile::TempDir>, keys: Keys) -> Self {
        let (topology, queries) = declared();
        let generation = match store.active(&topology.name).await.unwrap() {
            Some(active) => active.generation,
            None => {
                let deployment = Deployment {
                    topology: topology.name.clone(),
                    generation: 1,
                    tables: topology.views.iter().map(|view| view.table.clone()).collect(),
                    declaration: String::new(),
                    fingerprint: FINGERPRINT.into(),
                };
                store.create(&deployment).await.unwrap();
                1
            }
        };
        let blobs = folder.path().join("blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        let served = Served { store: store.clone(), fingerprint: FINGERPRINT.into() };
        let limits = Limits::default();
        let api = QueryApi {
            queries: queries.clone(),
            topologies: HashMap::from([(topology.name.clone(), served)]),
            blobs: Arc::new(LocalFileSystem::new_with_prefix(&blobs).unwrap()),
            keys: keys.clone(),
            limits: limits.clone(),
            clock: now,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = front::guard(router(api).unwrap(), &limits);
        tokio::spawn(async move { serve::serve(listener, app, std::future::pending(), &limits).await.unwrap() });
        let client = reqwest::Client::new();
        let next = tokio::sync::Mutex::new(None);
        Self { store, topology, queries, keys, blobs, base, client, folder, generation, next }
    }

    /// A request as alice, who has no roles.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.get_as(Some(("alice", &[])), path)
    }

    pub(crate) fn get_as(&self, who: Option<(&str, &[&str])>, path: &str) -> RequestBuilder {
        self.ask(reqwest::Method::GET, who, path)
    }

    pub(crate) fn ask(&self, method: reqwest::Method, who: Option<(&str, &[&str])>, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let Some((sub, roles)) = who else { return request };
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        request.bearer_auth(self.keys.sign(sub, &roles, HOUR).unwrap())
    }

    /// Writes rows (visible columns by view) and moves the position of partition 0 by one record; that record's offset.
    pub(crate) async fn put(&self, rows: &[(&str, Vec<Vec<Value>>)]) -> i64 {
        self.flush(rows, &[], &[]).await
    }

    pub(crate) async fn delete(&self, view: &str, key: &[Value]) -> i64 {
        self.flush(&[], &[(view, key)], &[]).await
    }

    /// Parks a record of this message key.
    pub(crate) async fn park(&self, key: &str) -> i64 {
        self.flush(&[], &[], &[key]).await
    }

    async fn flush(&self, rows: &[(&str, Vec<Vec<Value>>)], deletes: &[(&str, &[Value])], parked: &[&str]) -> i64 {
        let mut next = self.next.lock().await;
        let offset = next.unwrap_or(0);
        let moved = PositionMove {
            topic: TOPIC.into(),
            topic_id: TOPIC_ID,
            partition: 0,
            from: *next,
            to: offset + 1,
            epoch: 0,
        };
        let target = FlushTarget { topology: self.topology.name.clone(), generation: self.generation };
        let flush = self.store.begin(&target, &[moved]).await.unwrap();
        let position = RowPosition { partition: 0, offset };
        let mut writes = Vec::new();
        for (view, rows) in rows {
            let (index, view) = self.topology.view(view).unwrap();
            let state: Vec<Value> = view.table.state.iter().map(|column| column.ty.zero()).collect();
            let row =
                |values: &Vec<Value>| Row { values: values.clone(), state: state.clone(), position, hidden: false };
            let puts = rows.iter().map(row).collect();
            writes.push((&view.table, ViewWrites { view: index, puts, ..ViewWrites::default() }));
        }
        for (view, key) in deletes {
            let (index, view) = self.topology.view(view).unwrap();
            let deletes = vec![(key.to_vec().into(), position)];
            writes.push((&view.table, ViewWrites { view: index, deletes, ..ViewWrites::default() }));
        }
        let writes: Vec<_> = writes.iter().map(|(table, writes)| (*table, writes)).collect();
        let parked: Vec<ParkedRecord> = parked.iter().map(|key| parked_record(key, offset)).collect();
        flush.commit(&writes, &parked).await.unwrap();
        *next = Some(offset + 1);
        offset
    }
}

async fn open(folder: &Path) -> Store {
    Store::open_sqlite(SqliteOptions::new(folder.join("views.db"))).await.unwrap()
}

fn parked_record(key: &str, offset: i64) -> ParkedRecord {
    ParkedRecord {
        topic: TOPIC.into(),
        partition: 0,
        offset,
        timestamp_ms: 0,
        key: Some(key.to_owned().into()),
        payload: None,
        headers: Vec::new(),
        reason: "for a test".into(),
        is_head: true,
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Microseconds since 1970.
pub(crate) fn at(rfc3339: &str) -> Value {
    Value::Timestamp(headwater_schemas::instant::parse_timestamp(rfc3339).unwrap())
}

pub(crate) fn text(text: &str) -> Value {
    Value::string(text)
}

/// A row of `documents`.
pub(crate) fn document(id: &str, name: &str, by: &str, updated_by: &str) -> Vec<Value> {
    let (created, updated) = (at("2026-01-02T03:04:05Z"), at("2026-06-01T00:00:00.000001Z"));
    vec![text(id), text(name), text("text/plain"), text(by), created, text(updated_by), updated, Value::Long(2)]
}

/// The status and the problem's last word, and the document.
pub(crate) async fn problem(request: RequestBuilder) -> (u16, String, Json) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{status}");
    let document: Json = response.json().await.unwrap();
    let code = document["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    (status, code, document)
}

pub(crate) async fn json(request: RequestBuilder) -> Json {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = response.text().await.unwrap();
    assert_eq!(status.as_u16(), StatusCode::OK.as_u16(), "{body}");
    serde_json::from_str(&body).unwrap()
}
