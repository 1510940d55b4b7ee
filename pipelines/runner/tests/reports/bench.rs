//! The document topology between a log and a store in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_engine::plan::Topology;
use headwater_engine::project::Project;
use headwater_log::{Log, NewRecord, TopicSpec};
use headwater_runner::{Job, Settings, deploy, lag, run};
use headwater_schemas::encode::encode;
use headwater_schemas::registry::Registry;
use headwater_schemas::{json, wire};
use headwater_views::Store;
use tokio_util::sync::CancellationToken;

pub(crate) struct Bench {
    pub(crate) topology: Arc<Topology>,
    pub(crate) log: Log,
    pub(crate) store: Store,
    registry: Registry,
    pub(crate) generation: u32,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let project = Project::load(&root, None).unwrap_or_else(|report| panic!("{report}"));
        let topology = project.topologies.iter().find(|t| t.name == "document").expect("the topology").clone();
        let (log, store, registry) = (Log::memory(), Store::memory(), Registry::memory());
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
        Self { topology, log, store, registry, generation }
    }

    /// Appends an event as of a time; `change` makes of its bytes what another producer might.
    pub(crate) async fn append(
        &self,
        event: &str,
        fields: &serde_json::Value,
        timestamp_ms: i64,
        change: impl FnOnce(&mut [u8]),
    ) {
        let plan = self.topology.topics.iter().find(|plan| plan.topic.event(event).is_some()).expect("a topic");
        let event = plan.topic.event(event).expect("the event");
        let value = json::from_json(&event.schema.record, fields).expect("a sound event");
        let id = self.registry.register(&plan.topic.subject(event), &event.schema).await.expect("an id");
        let (mut body, mut payload) = (Vec::new(), Vec::new());
        encode(&event.schema, &value, &mut body).expect("encoded");
        wire::frame(id, &body, &mut payload);
        change(&mut payload);
        let keys = self.registry.key_codec(&plan.topic).await.expect("keys");
        let record = NewRecord {
            key: Some(keys.of_record(event, &value).into()),
            payload: Some(payload.into()),
            timestamp_ms: Some(timestamp_ms),
            ..NewRecord::default()
        };
        self.log.append(&plan.topic.name, record).await.expect("appended");
    }

    /// Runs a worker, in batches of up to so many records, until nothing is behind.
    pub(crate) async fn catch_up(&self, batch_records: usize) {
        let job = Job {
            topology: self.topology.clone(),
            generation: self.generation,
            log: self.log.clone(),
            store: self.store.clone(),
            registry: self.registry.clone(),
            settings: Settings { batch_records, ..Settings::default() },
        };
        let stop = CancellationToken::new();
        let worker = tokio::spawn(run(job, stop.clone(), |_| ()));
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
        stop.cancel();
        worker.await.expect("no panic").expect("a clean stop");
    }
}
