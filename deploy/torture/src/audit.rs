//! The end of a run: the log read back, folded a second time, and compared with the views, what is parked and the ledger.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::Schema as Avro;
use headwater_log::{Log, Offset};
use headwater_schemas::registry::{Registry, RegistryError};
use headwater_schemas::wire::SchemaId;
use serde_json::Value as Json;

use crate::Fallible;
use crate::clients::Doors;
use crate::fold::{Folding, Parked, Record, Views};
use crate::ledger::{Fate, Ledger, Place};
use crate::project::Project;
use crate::seen::{self, Differences};
use crate::writer::NUMBER;

const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;
/// Bodies that a store keeps of one parked key; beyond that it counts.
const KEPT_PER_KEY: u64 = 1_000;
/// How long the views may stand still before the run has failed.
const STANDSTILL: Duration = Duration::from_secs(120);

/// Where everything is that is looked at.
pub(crate) struct Auditor<'a> {
    pub(crate) project: &'a Project,
    pub(crate) log: &'a Log,
    pub(crate) registry: &'a Registry,
    pub(crate) doors: &'a Arc<Doors>,
    pub(crate) ledger: &'a Ledger,
    pub(crate) longest_key: Option<usize>,
}

/// A record and by what it is known.
struct Logged {
    record: Record,
    event_id: Option<String>,
    number: Option<u64>,
}

/// What was compared, and what differs.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) records: usize,
    pub(crate) documents: usize,
    pub(crate) versions: usize,
    pub(crate) parked: usize,
    pub(crate) parked_keys: usize,
    pub(crate) differences: Differences,
}

impl Auditor<'_> {
    /// Waits until the views reflect the whole log, as `headwater status` sees it.
    pub(crate) async fn caught_up(&self) -> Fallible<()> {
        let mut last = i64::MAX;
        let mut since = Instant::now();
        loop {
            let status: Json = serde_json::from_str(&self.project.run(&["status", "--json"]).await?)?;
            let topology = &status["topologies"][0];
            let lag = topology["lag_records"].as_i64().unwrap_or(i64::MAX);
            if lag == 0 {
                return Ok(());
            }
            if lag < last {
                (last, since) = (lag, Instant::now());
            }
            if since.elapsed() > STANDSTILL {
                let partitions = topology["partitions"].as_array().into_iter().flatten();
                let behind = partitions.filter(|lag| lag["lag_records"] != 0).map(Json::to_string);
                let behind = behind.collect::<Vec<_>>().join("\n    ");
                return Err(
                    format!("the views stand still for {STANDSTILL:?}, {lag} records behind:\n    {behind}").into()
                );
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Compares everything.
    pub(crate) async fn compare(&self) -> Fallible<Findings> {
        let logged = self.read_back().await?;
        let mut differences = self.against_ledger(&logged);
        let records: Vec<Record> = logged.iter().map(|logged| logged.record.clone()).collect();
        let schemas = self.schemas(&records).await?;
        let folding = Folding { schemas: &schemas, longest_key: self.longest_key };
        let views = Arc::new(folding.fold(&records));
        differences.extend(seen::compare(self.doors, &views).await?);
        differences.extend(self.against_parked(&views).await?);
        Ok(Findings {
            records: records.len(),
            documents: views.documents.len(),
            versions: views.documents.values().map(|document| document.versions.len()).sum(),
            parked: views.parked.len(),
            parked_keys: views.parked_keys.len(),
            differences,
        })
    }

    async fn read_back(&self) -> Fallible<Vec<Logged>> {
        let mut all = Vec::new();
        for (topic, name) in self.project.topics.iter().enumerate() {
            for extent in self.log.extents(name).await? {
                let mut next = extent.earliest;
                while next < extent.end {
                    let found = self.log.read(name, extent.partition, next, BATCH, BATCH_BYTES).await?;
                    // A gap up to the end.
                    let Some(last) = found.last() else { break };
                    next = Offset(last.offset.0 + 1);
                    all.extend(found.into_iter().map(|record| logged(topic, name, extent.partition.0, record)));
                }
            }
        }
        Ok(all)
    }

    async fn schemas(&self, records: &[Record]) -> Fallible<HashMap<u32, Option<Avro>>> {
        let mut schemas = HashMap::new();
        for record in records {
            let id = record.payload.as_ref().and_then(|payload| payload.get(1..5)).map(<[u8; 4]>::try_from);
            let Some(Ok(id)) = id.map(|id| id.map(u32::from_be_bytes)) else { continue };
            if schemas.contains_key(&id) {
                continue;
            }
            let schema = match self.registry.by_id(SchemaId(id)).await {
                Ok(schema) => Some(Avro::parse_str(&schema.text)?),
                Err(RegistryError::UnknownId(_)) => None,
                Err(error) => return Err(error.into()),
            };
            schemas.insert(id, schema);
        }
        Ok(schemas)
    }

    /// Each acknowledged event and record is in the log once; nothing is there that nobody sent.
    fn against_ledger(&self, logged: &[Logged]) -> Differences {
        let ledger = self.ledger.open();
        let mut differences = Vec::new();
        let mut events: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
        let mut raws: BTreeMap<u64, Vec<&Place>> = BTreeMap::new();
        for entry in logged {
            match (&entry.event_id, entry.number) {
                (None, Some(number)) => raws.entry(number).or_default().push(&entry.record.place),
                (Some(id), None) => events.entry(id).or_default().push(&entry.record.place),
                _ => differences.push(format!("log: nobody sent what is at {}", entry.record.place)),
            }
        }
        for command in &ledger.commands {
            let Fate::Accepted { event_id } = &command.fate else { continue };
            match events.remove(event_id.as_str()).unwrap_or_default().as_slice() {
                [_] => {}
                places => differences.push(format!(
                    "log: the event {event_id} of {:?} {} is there {} times: {places:?}",
                    command.kind,
                    command.idempotency_key,
                    places.len()
                )),
            }
        }
        let strangers = events.iter().map(|(id, places)| format!("log: nobody was answered for {id} at {places:?}"));
        differences.extend(strangers);
        for (number, raw) in &ledger.raws {
            let found = raws.remove(number).unwrap_or_default();
            let right = match &raw.place {
                Some(place) => found == [place],
                None => found.len() <= 1,
            };
            if !right {
                differences
                    .push(format!("log: record {number} ({}) is at {found:?}, not at {:?}", raw.what, raw.place));
            }
        }
        differences.extend(raws.values().flatten().map(|place| format!("log: nobody sent what is at {place}")));
        differences
    }

    /// What `headwater parked` lists.
    async fn against_parked(&self, views: &Views) -> Fallible<Differences> {
        let listed = self.project.run(&["parked", "list", "--all", "--json", "--limit", "1000000"]).await?;
        let mut found: BTreeMap<String, Json> = BTreeMap::new();
        for line in listed.lines() {
            let entry: Json = serde_json::from_str(line)?;
            found.insert(entry["place"].as_str().unwrap_or_default().to_owned(), entry);
        }
        let mut differences = Vec::new();
        let kept: u64 = views.parked_keys.values().map(|count| (*count).min(KEPT_PER_KEY)).sum();
        let counted: u64 = views.parked_keys.values().sum();
        let keyless = views.parked.len() as u64 - counted;
        if found.len() as u64 != kept + keyless {
            differences.push(format!("parked: expected {}, found {}", kept + keyless, found.len()));
        }
        for (place, parked) in &views.parked {
            let head = *parked == Parked::Head;
            match found.remove(&place.to_string()) {
                Some(entry) if entry["failed"] == head => {}
                // Beyond what is kept of a key.
                None if !head && kept < counted => {}
                entry => differences.push(format!("parked: {place}: expected {parked:?}, found {entry:?}")),
            }
        }
        differences.extend(found.values().map(|entry| format!("parked: too many: {entry}")));
        Ok(differences)
    }
}

fn logged(topic: usize, name: &str, partition: i32, record: headwater_log::Record) -> Logged {
    let text = |header: &str| record.header(header).map(|value| String::from_utf8_lossy(value).into_owned());
    let (event_id, number) = (text("ce_id"), text(NUMBER).and_then(|number| number.parse().ok()));
    let place = Place { topic: name.to_owned(), partition, offset: record.offset.0 };
    Logged { record: Record { place, topic, key: record.key, payload: record.payload }, event_id, number }
}
