//! Workers between a real log and a real store: restarts, workers that run at once, poison, topics made again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use headwater_dev_servers::{Keyspace, Servers, fresh_name, password};
use headwater_engine::plan::{TopicPlan, Topology};
use headwater_engine::project::Project;
use headwater_engine::table::Row;
use headwater_log::{KafkaOptions, KafkaSecurity, Log, NewRecord, Partition, TopicSpec};
use headwater_runner::{Condition, Job, RunError, Settings, deploy, lag, run};
use headwater_schemas::encode::encode;
use headwater_schemas::registry::Registry;
use headwater_schemas::{Value, json, wire};
use headwater_views::{
    CassandraOptions, FlushTarget, ParkedFilter, ParkedRecord, PositionMove, PostgresOptions, SqliteOptions, Store,
};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A project's document topology on backends of its own.
struct Bench {
    topology: Arc<Topology>,
    log: Log,
    store: Store,
    registry: Registry,
    generation: u32,
    folder: tempfile::TempDir,
    _keyspace: Option<Keyspace>,
}

impl Bench {
    async fn memory() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::on(Log::memory(), Store::memory(), Registry::memory(), folder).await
    }

    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = Log::open_embedded(folder.path()).await.expect("a log");
        let store = Store::open_sqlite(SqliteOptions::new(folder.path().join("views.db"))).await.expect("a store");
        let registry = Registry::open_embedded(folder.path()).await.expect("a registry");
        Self::on(log, store, registry, folder).await
    }

    /// Topics and tables of its own on real Kafka and Postgres.
    async fn on_postgres() -> Self {
        let servers = headwater_dev_servers::start(&["kafka", "postgres"]);
        let postgres = &servers.postgres;
        let url = format!(
            "postgres://{}:{}@{}:{}/{}?sslmode=verify-full&sslrootcert={}",
            postgres.user,
            password(&postgres.password_file),
            postgres.host,
            postgres.port,
            postgres.database,
            servers.tls.ca_file.display()
        );
        let options = PostgresOptions { schema: fresh_name("worker"), ..PostgresOptions::new(url.into()) };
        Self::on_kafka(&servers, Store::open_postgres(options).await.expect("a store")).await
    }

    /// Topics and tables of its own on real Kafka and Cassandra.
    async fn on_cassandra() -> Self {
        let servers = headwater_dev_servers::start(&["kafka", "cassandra"]);
        let (keyspace, store) = cassandra(&servers).await;
        Self { _keyspace: Some(keyspace), ..Self::on_kafka(&servers, store).await }
    }

    async fn on_kafka(servers: &Servers, store: Store) -> Self {
        let own = fresh_name("worker");
        let folder = tempfile::tempdir().expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for part in ["headwater.yaml", "schemas/document", "schemas/user", "pipelines/document/topology.yaml"] {
            copy(&root.join(part), &folder.path().join(part), &own);
        }
        let kafka = &servers.kafka;
        let mut options = KafkaOptions::new(&kafka.tls_bootstrap);
        options.security = KafkaSecurity::SaslSsl {
            mechanism: kafka.sasl_mechanism.clone(),
            user: kafka.user.clone(),
            password: password(&kafka.password_file).into(),
            ca_file: Some(servers.tls.ca_file.clone()),
        };
        let log = Log::connect_kafka(options).await.expect("a log");
        Self::of(folder.path().to_owned(), log, store, Registry::memory(), folder).await
    }

    async fn on(log: Log, store: Store, registry: Registry, folder: tempfile::TempDir) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Self::of(root, log, store, registry, folder).await
    }

    async fn of(root: PathBuf, log: Log, store: Store, registry: Registry, folder: tempfile::TempDir) -> Self {
        let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
        let topology = project.topologies.iter().find(|t| t.name == "document").expect("the topology").clone();
        for plan in &topology.topics {
            let topic = &plan.topic;
            let spec = TopicSpec {
                name: topic.name.clone(),
                partitions: topic.partitions,
                retention_days: None,
                compact: false,
            };
            log.ensure_topic(&spec).await.expect("a topic");
            for event in &topic.events {
                registry.register(&topic.subject(event), &event.schema).await.expect("an id");
            }
        }
        let generation = deploy(&store, &topology).await.expect("deployed");
        Self { topology, log, store, registry, generation, folder, _keyspace: None }
    }

    fn job(&self) -> Job {
        Job {
            topology: self.topology.clone(),
            generation: self.generation,
            log: self.log.clone(),
            store: self.store.clone(),
            registry: self.registry.clone(),
            settings: Settings { batch_records: 7, ..Settings::default() },
        }
    }

    fn start(&self) -> (CancellationToken, tokio::task::JoinHandle<Result<(), RunError>>) {
        let stop = CancellationToken::new();
        // Shown where a test fails.
        let tell = |condition: Condition<'_>| {
            if let Condition::Waiting(reason) = condition {
                println!("waiting: {reason}");
            }
        };
        (stop.clone(), tokio::spawn(run(self.job(), stop, tell)))
    }

    async fn produce(&self, event: &str, fields: serde_json::Value) {
        self.produce_as(event, fields, |_| ()).await;
    }

    /// Produces what another producer might.
    async fn produce_as(&self, event: &str, fields: serde_json::Value, change: impl FnOnce(&mut [u8])) {
        let plan = self.topology.topics.iter().find(|plan| plan.topic.event(event).is_some()).expect("a topic");
        let event = plan.topic.event(event).expect("the event");
        let value = json::from_json(&event.schema.record, &fields).expect("a sound event");
        let id = self.registry.register(&plan.topic.subject(event), &event.schema).await.expect("an id");
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        encode(&event.schema, &value, &mut body).expect("encoded");
        wire::frame(id, &body, &mut payload);
        change(&mut payload);
        let key = self.registry.key_codec(&plan.topic).await.expect("keys").of_record(event, &value);
        self.append(&plan.topic.name, key, payload).await;
    }

    async fn append(&self, topic: &str, key: Vec<u8>, payload: Vec<u8>) {
        let record = NewRecord { key: Some(Bytes::from(key)), payload: Some(payload.into()), ..NewRecord::default() };
        self.log.append(topic, record).await.expect("appended");
    }

    async fn added(&self, doc: &str) {
        self.produce("DocumentAdded", fields(doc)).await;
    }

    async fn version(&self, doc: &str) {
        self.produce("VersionAdded", fields(doc)).await;
    }

    /// Waits until nothing is behind.
    async fn caught_up(&self) {
        let caught_up = async {
            let mut changed = self.store.changed();
            loop {
                changed.borrow_and_update();
                let lag = lag(&self.topology, self.generation, &self.log, &self.store, 0).await.expect("the lag");
                if lag.iter().all(|partition| partition.records == 0) {
                    return;
                }
                changed.changed().await.expect("the store is there");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), caught_up).await.expect("the worker catches up");
    }

    async fn rows(&self, view: &str) -> Vec<Row> {
        let (_, view) = self.topology.view(view).expect("the view");
        let mut snapshot = self.store.snapshot().await.expect("a snapshot");
        snapshot.table_rows(&view.table, self.generation, 10_000).await.expect("rows")
    }

    /// The versions column of each document, by document.
    async fn versions(&self) -> Vec<(String, i64)> {
        let (_, view) = self.topology.view("documents").expect("the view");
        let (column, _) = view.table.column("versions").expect("the column");
        let versions = |row: &Row| match (&row.values[0], &row.values[column]) {
            (Value::String(doc), Value::Long(versions)) => (doc.to_string(), *versions),
            other => panic!("not a document: {other:?}"),
        };
        self.rows("documents").await.iter().map(versions).collect()
    }
}

async fn cassandra(servers: &Servers) -> (Keyspace, Store) {
    let cassandra = &servers.cassandra;
    let keyspace = Keyspace::fresh(cassandra).await;
    let mut options = CassandraOptions::new(vec![cassandra.address.clone()], &keyspace.name);
    options.login = Some((cassandra.user.clone(), password(&cassandra.password_file).into()));
    options.ca_file = Some(servers.tls.ca_file.clone());
    (keyspace, Store::open_cassandra(options).await.expect("a store"))
}

/// Copies declarations, with the topics renamed: everything else of the domain stays as it is.
fn copy(from: &Path, to: &Path, own: &str) {
    if from.is_dir() {
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()), own);
        }
        return;
    }
    std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    let mut text = std::fs::read_to_string(from).expect("text");
    for topic in ["document", "user"] {
        text = text.replace(&format!("\ntopic: {topic}\n"), &format!("\ntopic: {topic}_{own}\n"));
        text = text.replace(&format!("\n  - {topic}\n"), &format!("\n  - {topic}_{own}\n"));
    }
    std::fs::write(to, text).expect("written");
}

fn fields(doc: &str) -> serde_json::Value {
    json!({
        "doc_id": doc, "name": "a.txt", "mime_type": "text/plain", "user_id": "u", "at": "2026-01-01T00:00:00Z",
        "content": { "blob": "b", "sha256": "00", "size": 1 },
    })
}

async fn counts_once_over_restarts(bench: Bench) {
    const DOCS: usize = 8;
    const VERSIONS: usize = 30;
    let producing = async {
        for doc in 0..DOCS {
            bench.added(&format!("d{doc}")).await;
        }
        for round in 1..VERSIONS {
            for doc in 0..DOCS {
                bench.version(&format!("d{}", (doc + round) % DOCS)).await;
            }
        }
    };
    let working = async {
        // Workers come and go, and two at a time believe that they own the partitions.
        for round in 0..12 {
            let ((stop, first), (other_stop, second)) = (bench.start(), bench.start());
            let before = bench.store.changed();
            let mut changed = before.clone();
            let some_work = async {
                for _ in 0..=round % 4 {
                    let _ = changed.changed().await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(200), some_work).await;
            if round % 2 == 0 {
                first.abort();
                stop.cancel();
            } else {
                stop.cancel();
                first.await.expect("no panic").expect("a clean stop");
            }
            other_stop.cancel();
            second.await.expect("no panic").expect("a clean stop");
        }
    };
    tokio::join!(producing, working);
    let (stop, worker) = bench.start();
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    let expected: Vec<_> = (0..DOCS).map(|doc| (format!("d{doc}"), VERSIONS as i64)).collect();
    assert_eq!(bench.versions().await, expected);
    let totals = bench.rows("totals").await;
    assert_eq!(totals[0].values[0], Value::Long(DOCS as i64));
    assert_eq!(bench.rows("document_versions").await.len(), DOCS * VERSIONS);
    assert_eq!(bench.rows("documents_by_update").await.len(), DOCS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_counts_once_over_restarts_and_rival_workers() {
    counts_once_over_restarts(Bench::memory().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_counts_once_over_restarts_and_rival_workers() {
    counts_once_over_restarts(Bench::sqlite().await).await;
}

/// Rivals share the partitions out between them; whoever is killed or leaves has its own taken over by the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_and_postgres_count_once_over_restarts_and_rival_workers() {
    counts_once_over_restarts(Bench::on_postgres().await).await;
}

/// Without a transaction: rivals write the same rows, and what one of them left half written the other writes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_and_cassandra_count_once_over_restarts_and_rival_workers() {
    counts_once_over_restarts(Bench::on_cassandra().await).await;
}

async fn poison_parks_with_what_follows_on_its_key_and_nothing_else(bench: Bench) {
    bench.added("good").await;
    bench.added("bad").await;
    let topic = bench.topology.topics[0].topic.name.clone();
    bench.append(&topic, b"bad".to_vec(), b"no frame".to_vec()).await;
    bench.version("bad").await;
    bench.version("good").await;
    // An id that no registry gave out.
    bench.append(&topic, b"other".to_vec(), vec![0, 0, 0, 0x7f, 0xff, 1, 2]).await;
    let (stop, worker) = bench.start();
    bench.caught_up().await;
    // A worker that comes later knows what is parked.
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    let (stop, worker) = bench.start();
    bench.version("bad").await;
    bench.version("good").await;
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");

    assert_eq!(bench.versions().await, [("bad".to_owned(), 1), ("good".to_owned(), 3)]);
    let parked = bench.store.parked("document", &ParkedFilter::default(), 100).await.expect("the parked");
    let of = |key: &[u8]| -> Vec<bool> {
        let of_key = parked.iter().filter(|parked| parked.record.key.as_deref() == Some(key));
        of_key.map(|parked| parked.record.is_head).collect()
    };
    assert_eq!(of(b"bad"), [true, false, false], "the head, and the two that wait behind it");
    assert_eq!(of(b"other"), [true]);
    assert!(of(b"good").is_empty());
}

#[tokio::test]
async fn poison_parks_in_sqlite() {
    poison_parks_with_what_follows_on_its_key_and_nothing_else(Bench::sqlite().await).await;
}

#[tokio::test]
async fn poison_parks_in_cassandra() {
    poison_parks_with_what_follows_on_its_key_and_nothing_else(Bench::on_cassandra().await).await;
}

/// A name with a NUL is sound Avro, and no store takes it.
async fn poison_in_the_middle_is_parked_alone(bench: Bench) {
    for doc in ["a", "b", "bad"] {
        bench.added(doc).await;
    }
    for round in 0..20 {
        for doc in ["a", "b", "bad"] {
            bench.version(doc).await;
            if (doc, round) == ("bad", 9) {
                let mut named = fields(doc);
                named["name"] = json!("a!b");
                let nul = |payload: &mut [u8]| payload.iter_mut().filter(|b| **b == b'!').for_each(|b| *b = 0);
                bench.produce_as("VersionAdded", named, nul).await;
            }
        }
    }
    // One batch has them all, and every row of it has many events.
    let settings = Settings { batch_records: 1000, ..Settings::default() };
    let stop = CancellationToken::new();
    let worker = tokio::spawn(run(Job { settings, ..bench.job() }, stop.clone(), |_| ()));
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    let versions = [("a".to_owned(), 21), ("b".to_owned(), 21), ("bad".to_owned(), 11)];
    assert_eq!(bench.versions().await, versions);
    let parked = bench.store.parked("document", &ParkedFilter::default(), 100).await.expect("the parked");
    let heads: Vec<_> = parked.iter().filter(|parked| parked.record.is_head).collect();
    assert_eq!((parked.len(), heads.len()), (11, 1), "the poison, and the ten that wait behind it");
    assert_eq!(heads[0].record.key.as_deref(), Some(&b"bad"[..]));
    assert!(heads[0].record.reason.contains("NUL"), "{}", heads[0].record.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_in_the_middle_is_parked_alone_in_memory() {
    poison_in_the_middle_is_parked_alone(Bench::memory().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_in_the_middle_is_parked_alone_on_sqlite() {
    poison_in_the_middle_is_parked_alone(Bench::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_in_the_middle_is_parked_alone_on_cassandra() {
    poison_in_the_middle_is_parked_alone(Bench::on_cassandra().await).await;
}

/// Cassandra takes no empty partition key, which every other store does: the fold makes the row, and the store refuses it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cassandra_refuses_is_parked_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = include_str!("../../../headwater.yaml");
    let schema = r#"{ "type": "record", "name": "HashSeen", "fields": [
        { "name": "id", "type": "string" }, { "name": "hash", "type": "bytes" }] }"#;
    let topic = "topic: hash\nkey: id\npartitions: 2\nretention: forever\nevents: [HashSeen]\n";
    let topology = "topology: document\nstore: operational\nreads: [hash]\nviews:\n  hashes:\n    key: [hash]\n    \
                    from: HashSeen\n    columns:\n      seen: count()\n";
    let files = [
        ("headwater.yaml", own),
        ("schemas/hash/HashSeen.avsc", schema),
        ("schemas/hash/topic.yaml", topic),
        ("pipelines/hash/topology.yaml", topology),
    ];
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let (keyspace, store) = cassandra(&headwater_dev_servers::start(&["cassandra"])).await;
    let root = folder.path().to_owned();
    let bench = Bench::of(root, Log::memory(), store, Registry::memory(), folder).await;
    let bench = Bench { _keyspace: Some(keyspace), ..bench };
    for (id, hash) in [("a", "AQ=="), ("b", ""), ("c", "AQ=="), ("b", "Ag=="), ("c", "AQ==")] {
        bench.produce("HashSeen", json!({ "id": id, "hash": hash })).await;
    }
    let (stop, worker) = bench.start();
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    let seen: Vec<_> = bench.rows("hashes").await.into_iter().map(|row| row.values).collect();
    assert_eq!(seen, [vec![Value::Bytes([1].as_slice().into()), Value::Long(3)]]);
    let parked = bench.store.parked("document", &ParkedFilter::default(), 9).await.expect("the parked");
    let parked: Vec<_> = parked.iter().map(|parked| (&parked.record.key, parked.record.is_head)).collect();
    let key = Some(Bytes::from_static(b"b"));
    assert_eq!(parked, [(&key, true), (&key, false)]);
}

/// As a worker leaves it that parked an event, and died before it moved the position: rows may say that the event was not.
async fn what_was_parked_before_a_crash_stays_parked(bench: Bench) {
    bench.added("a").await;
    let of = |plan: &&TopicPlan| plan.topic.event("DocumentAdded").is_some();
    let topic = bench.topology.topics.iter().find(of).expect("the topic").topic.name.clone();
    let extents = bench.log.extents(&topic).await.expect("the extents");
    let partition = extents.iter().find(|extent| extent.end > extent.earliest).expect("it is somewhere").partition.0;
    let target = FlushTarget { topology: "document".to_owned(), generation: bench.generation };
    let epoch = bench.store.take_over(&target, &[(topic.clone(), partition)]).await.expect("taken over")[0];
    let topic_id = *bench.log.topic(&topic).await.expect("the topic").id.0.as_bytes();
    let here = PositionMove { topic: topic.clone(), topic_id, partition, from: None, to: 0, epoch };
    let head = ParkedRecord {
        topic,
        partition,
        offset: 0,
        timestamp_ms: 1,
        key: Some(Bytes::from_static(b"a")),
        payload: None,
        headers: vec![],
        reason: "found before".to_owned(),
        is_head: true,
    };
    let flush = bench.store.begin(&target, &[here]).await.expect("begun");
    flush.commit(&[], &[head]).await.expect("parked");
    bench.version("a").await;
    bench.added("b").await;
    let (stop, worker) = bench.start();
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    assert_eq!(bench.versions().await, [("b".to_owned(), 1)]);
    let parked = bench.store.parked("document", &ParkedFilter::default(), 9).await.expect("the parked");
    let parked: Vec<_> = parked.iter().map(|parked| (parked.record.offset, parked.record.is_head)).collect();
    assert_eq!(parked, [(0, true), (1, false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_parked_before_a_crash_stays_parked_in_memory() {
    what_was_parked_before_a_crash_stays_parked(Bench::memory().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_parked_before_a_crash_stays_parked_on_cassandra() {
    what_was_parked_before_a_crash_stays_parked(Bench::on_cassandra().await).await;
}

/// Another process holds the database's write lock: positions can be read, and nothing written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_out_of_reach_is_told_and_waited_for() {
    let mut bench = Bench::sqlite().await;
    let path = bench.folder.path().join("views.db");
    let busy_timeout = Duration::from_millis(50);
    let hasty = SqliteOptions { busy_timeout, ..SqliteOptions::new(&path) };
    let other = std::mem::replace(&mut bench.store, Store::open_sqlite(hasty).await.expect("a store"));
    let target = FlushTarget { topology: "document".to_owned(), generation: bench.generation };
    let lock = other.begin(&target, &[]).await.expect("the lock");
    let told = Arc::new(Mutex::new(Vec::new()));
    let (tells, mut heard) = watch::channel(0);
    let tell = {
        let told = Arc::clone(&told);
        move |condition: Condition<'_>| {
            told.lock().expect("no panic").push(condition == Condition::Working);
            tells.send_modify(|count| *count += 1);
        }
    };
    bench.added("d").await;
    let stop = CancellationToken::new();
    let worker = tokio::spawn(run(bench.job(), stop.clone(), tell));
    let patience = Duration::from_secs(60);
    // Sessions open, one before partitions are assigned and one after, and three flushes fail.
    let failed = tokio::time::timeout(patience, heard.wait_for(|count| *count >= 5)).await;
    failed.expect("in time").expect("the worker lives");
    assert_eq!(told.lock().expect("no panic")[..5], [true, true, false, false, false]);
    lock.abandon().await;
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    assert_eq!(told.lock().expect("no panic").last(), Some(&true));
    assert_eq!(bench.versions().await, [("d".to_owned(), 1)]);
}

#[tokio::test]
async fn a_misrouted_record_is_parked_and_applied_nowhere() {
    let bench = Bench::memory().await;
    let plan = &bench.topology.topic("document").expect("the topic").1.topic;
    let event = plan.event("DocumentAdded").expect("the event");
    let id = bench.registry.register(&plan.subject(event), &event.schema).await.expect("an id");
    let value = json::from_json(&event.schema.record, &fields("d1")).expect("a sound event");
    let (mut body, mut payload) = (Vec::new(), Vec::new());
    encode(&event.schema, &value, &mut body).expect("encoded");
    wire::frame(id, &body, &mut payload);
    bench.append("document", b"another".to_vec(), payload).await;
    let (stop, worker) = bench.start();
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    assert!(bench.rows("documents").await.is_empty());
    let parked = bench.store.parked("document", &ParkedFilter::default(), 10).await.expect("the parked");
    assert!(parked[0].record.reason.contains("misrouted"), "{}", parked[0].record.reason);
}

#[tokio::test]
async fn a_topic_made_again_stops_the_topology() {
    let bench = Bench::sqlite().await;
    bench.added("d").await;
    let (stop, worker) = bench.start();
    bench.caught_up().await;
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    bench.log.delete_topic("document").await.expect("deleted");
    let partitions = bench.topology.topic("document").expect("the topic").1.topic.partitions;
    let spec = TopicSpec { name: "document".into(), partitions, retention_days: None, compact: false };
    bench.log.ensure_topic(&spec).await.expect("made again");
    let (_stop, worker) = bench.start();
    let ended = tokio::time::timeout(Duration::from_secs(10), worker).await.expect("it stops").expect("no panic");
    assert!(matches!(ended, Err(RunError::TopicRecreated { .. })), "{ended:?}");
    assert_eq!(bench.versions().await, [("d".to_owned(), 1)], "what was there stays");
}

#[tokio::test]
async fn shutdown_drains_what_was_read() {
    let bench = Bench::sqlite().await;
    for doc in 0..50 {
        bench.added(&format!("d{doc:02}")).await;
    }
    let (stop, worker) = bench.start();
    let mut changed = bench.store.changed();
    changed.changed().await.expect("a flush");
    stop.cancel();
    worker.await.expect("no panic").expect("a clean stop");
    // Positions and rows agree wherever it stopped.
    let folded: i64 = bench.versions().await.iter().map(|(_, versions)| versions).sum();
    let mut below = 0;
    for position in bench.store.positions("document", bench.generation).await.expect("positions") {
        if position.topic == "document" {
            let all = bench.log.read("document", Partition(position.partition), headwater_log::Offset(0), 100, 1 << 20);
            below += all.await.expect("records").iter().filter(|record| record.offset.0 < position.next).count() as i64;
        }
    }
    assert_eq!(folded, below);
}
