//! `headwater parked`: the records that could not be applied, why, and what waits behind them.

use std::borrow::Cow;

use bytes::Bytes;
use clap::{Args, Subcommand};
use headwater_schemas::KeyCodec;
use headwater_views::{Parked as ParkedEntry, ParkedFilter};
use serde_json::{Map, Value as Json};

use crate::context::Context;
use crate::environment::{Deployed, Environment};
use crate::failure::{Answer, Failure};
use crate::output::{counted, printable};
use crate::records::{self, Parts, Reader, time_text};

/// See the records that could not be applied, and what waits behind them
#[derive(Debug, Args)]
#[command(
    long_about = "A record that cannot be applied (it cannot be decoded, an expression fails on it, the store refuses its \
                  row) is parked with its reason, and every later record of its message key is parked behind it, so that \
                  the order of each key is kept. Everything else goes on.",
    after_help = "Examples:\n  headwater parked list\n  headwater parked list --all --topology document\n  \
                  headwater parked show document/3/120"
)]
pub(crate) struct Parked {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is parked: the records that failed, and how many wait behind each
    List(List),
    /// Show a parked record whole: its event, its headers, its reason
    Show(Show),
}

#[derive(Debug, Args)]
struct List {
    /// Only this topology
    #[arg(long, value_name = "NAME")]
    topology: Option<String>,

    /// Only this topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,

    /// Only this message key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Also the records that only wait behind one that failed
    #[arg(long)]
    all: bool,

    /// At most this many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
struct Show {
    /// TOPIC/PARTITION/OFFSET, as `parked list` names it
    #[arg(value_name = "PLACE", value_parser = Place::parse)]
    place: Place,
}

/// Where a record is in the log.
#[derive(Clone, Debug)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected TOPIC/PARTITION/OFFSET such as document/3/120, found {text:?}");
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
        let partition = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
        let topic = parts.next().filter(|topic| !topic.is_empty()).ok_or_else(wrong)?.to_owned();
        Ok(Self { topic, partition, offset })
    }
}

impl Parked {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let environment = Environment::existing(project).await?;
        let answer = match &self.action {
            Action::List(list) => list.run(context, &environment).await,
            Action::Show(show) => show.run(context, &environment).await,
        };
        environment.close().await;
        answer
    }
}

impl List {
    async fn run(&self, context: &Context, environment: &Environment) -> Result<Answer, Failure> {
        let keys = KeysByTopic::of(environment).await;
        let filter = ParkedFilter { topic: self.topic.clone(), heads_only: !self.all, ..ParkedFilter::default() };
        let mut reader = Reader::new(environment.registry.clone());
        let mut out = context.output();
        let mut rows = Vec::new();
        for deployed in chosen(environment, self.topology.as_deref()).await? {
            let mut entries = Vec::new();
            for key in keys.written(self.key.as_deref()) {
                let filter = ParkedFilter { key, ..filter.clone() };
                entries
                    .extend(parked(&deployed, &filter, self.limit.saturating_sub(rows.len() + entries.len())).await?);
            }
            let waiting = waiting(&deployed).await?;
            for entry in entries {
                let behind = waiting(&entry);
                if context.json {
                    out.value(&described(&mut reader, &keys, &deployed, &entry, behind).await?)?;
                }
                let key = entry.record.key.as_deref().map(|key| keys.shown(&entry.record.topic, key));
                rows.push(vec![
                    deployed.topology.name.clone(),
                    place_of(&entry),
                    key.unwrap_or_else(|| "(none)".to_owned()),
                    behind.to_string(),
                    entry.record.reason.clone(),
                ]);
            }
        }
        if !context.json {
            if rows.is_empty() {
                out.line("Nothing is parked.")?;
            } else {
                out.table(&["TOPOLOGY", "PLACE", "KEY", "BEHIND", "REASON"], &rows)?;
            }
        }
        out.flush()?;
        Ok(Answer::Yes)
    }
}

impl Show {
    async fn run(&self, context: &Context, environment: &Environment) -> Result<Answer, Failure> {
        let keys = KeysByTopic::of(environment).await;
        let mut reader = Reader::new(environment.registry.clone());
        let mut out = context.output();
        let mut found = false;
        for deployed in chosen(environment, None).await? {
            let filter = ParkedFilter {
                topic: Some(self.place.topic.clone()),
                partition: Some(self.place.partition),
                // What follows the offset before this one.
                after: Some((
                    deployed.generation,
                    self.place.topic.clone(),
                    self.place.partition,
                    self.place.offset - 1,
                )),
                generation: Some(deployed.generation),
                ..ParkedFilter::default()
            };
            let entries = parked(&deployed, &filter, 1).await?;
            let Some(entry) = entries.into_iter().find(|entry| entry.record.offset == self.place.offset) else {
                continue;
            };
            found = true;
            let behind = waiting(&deployed).await?(&entry);
            let whole = described(&mut reader, &keys, &deployed, &entry, behind).await?;
            if context.json {
                out.value(&whole)?;
            } else {
                for (name, value) in &whole {
                    let text = match value {
                        Json::String(text) => text.clone(),
                        other => serde_json::to_string_pretty(other).unwrap_or_default(),
                    };
                    let text: Vec<String> = text.lines().map(printable).collect();
                    out.line(format!("{:<12} {}", console::style(name).dim(), text.join("\n             ")))?;
                }
            }
        }
        if !found {
            let Place { topic, partition, offset } = &self.place;
            crate::output::note(format!("{topic}/{partition}/{offset} is not parked."));
        }
        out.flush()?;
        Ok(if found { Answer::Yes } else { Answer::No })
    }
}

async fn chosen(environment: &Environment, only: Option<&str>) -> Result<Vec<Deployed>, Failure> {
    if let Some(name) = only
        && !environment.project.topologies.iter().any(|topology| topology.name == name)
    {
        let names: Vec<&str> = environment.project.topologies.iter().map(|topology| topology.name.as_str()).collect();
        return Err(Failure::new(format!("no topology is called {name}")).mend(format!(
            "There are {}: {}.",
            counted(names.len(), "topology"),
            names.join(", ")
        )));
    }
    let deployed = environment.deployed().await?.into_iter().map(|(deployed, _)| deployed);
    Ok(deployed.filter(|deployed| only.is_none_or(|name| name == deployed.topology.name)).collect())
}

async fn parked(deployed: &Deployed, filter: &ParkedFilter, limit: usize) -> Result<Vec<ParkedEntry>, Failure> {
    let found = deployed.store.parked(&deployed.topology.name, filter, limit).await;
    found.map_err(|error| Failure::because("what is parked cannot be read", &error))
}

/// How many records wait behind an entry: those of its message key, itself not counted.
async fn waiting(deployed: &Deployed) -> Result<impl Fn(&ParkedEntry) -> u64, Failure> {
    let keys = deployed.store.parked_keys(&deployed.topology.name, deployed.generation).await;
    let keys = keys.map_err(|error| Failure::because("what is parked cannot be read", &error))?;
    Ok(move |entry: &ParkedEntry| {
        let record = &entry.record;
        let same = keys.iter().find(|parked| {
            parked.topic == record.topic
                && parked.partition == record.partition
                && record.key.as_ref().is_some_and(|key| *key == parked.key)
        });
        match (record.is_head, same) {
            (true, Some(parked)) => parked.count.saturating_sub(1),
            _ => 0,
        }
    })
}

fn place_of(entry: &ParkedEntry) -> String {
    format!("{}/{}/{}", entry.record.topic, entry.record.partition, entry.record.offset)
}

/// How keys are written, by topic, as far as that is known.
struct KeysByTopic(Vec<(String, KeyCodec)>);

impl KeysByTopic {
    async fn of(environment: &Environment) -> Self {
        let mut known = Vec::new();
        for topic in &environment.project.topics {
            known.extend(environment.known_keys(&topic.name).await.map(|keys| (topic.name.clone(), keys)));
        }
        Self(known)
    }

    fn get(&self, topic: &str) -> Option<&KeyCodec> {
        self.0.iter().find(|(name, _)| name == topic).map(|(_, keys)| keys)
    }

    /// A key as it is shown: bytes that nobody can read are escaped.
    fn shown(&self, topic: &str, key: &[u8]) -> String {
        let text = records::key_text(self.get(topic), key);
        text.map_or_else(|| key.escape_ascii().to_string(), Cow::into_owned)
    }

    /// The bytes that a key may be, as topics write it: None alone where none is asked for.
    fn written(&self, key: Option<&str>) -> Vec<Option<Bytes>> {
        let Some(key) = key else { return vec![None] };
        let mut written = vec![key.as_bytes().to_vec()];
        written.extend(self.0.iter().filter_map(|(_, keys)| keys.of_text(key).ok()));
        written.sort_unstable();
        written.dedup();
        written.into_iter().map(|key| Some(key.into())).collect()
    }
}

async fn described(
    reader: &mut Reader,
    keys: &KeysByTopic,
    deployed: &Deployed,
    entry: &ParkedEntry,
    behind: u64,
) -> Result<Map<String, Json>, Failure> {
    let record = &entry.record;
    let parts = Parts {
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.as_deref(),
        keys: keys.get(&record.topic),
        payload: record.payload.as_deref(),
        headers: record.headers.iter().map(|(name, value)| (name.as_str(), &**value)).collect(),
    };
    let mut described = Map::new();
    described.insert("topology".into(), deployed.topology.name.as_str().into());
    described.insert("generation".into(), entry.generation.into());
    described.insert("place".into(), place_of(entry).into());
    described.insert("failed".into(), record.is_head.into());
    described.insert("reason".into(), record.reason.as_str().into());
    described.insert("behind".into(), behind.into());
    described.insert("time".into(), time_text(record.timestamp_ms).into());
    described.insert("record".into(), Json::Object(reader.line(&parts).await?));
    Ok(described)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_the_end() {
        let place = Place::parse("a/b/3/120").map(|place| (place.topic, place.partition, place.offset));
        assert_eq!(place, Ok(("a/b".to_owned(), 3, 120)));
        for wrong in ["", "document", "document/3", "document/x/1", "document/1/x", "/1/2"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
