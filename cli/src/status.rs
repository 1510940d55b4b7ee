//! `headwater status`: how far each topology is behind its topics, in records and in seconds, how fresh its views are, and
//! what is parked.

use clap::Args;
use headwater_runner::{PartitionLag, ViewFreshness};
use serde_json::json;

use crate::context::Context;
use crate::environment::{Deployed, Environment};
use crate::failure::{Answer, Failure};

/// Show lag in records and in seconds, how fresh views are, parked records and generations
#[derive(Debug, Args)]
#[command(
    long_about = "Reads positions and parked records from the stores, and ends from the log; it can be asked whether \
                  Headwater runs or not. Lag in records is the end less the position, an upper bound that is zero at the \
                  end; lag in seconds is the age of the oldest record that the views do not reflect yet. A view is as fresh as \
                  the oldest such record of its own topics is old: zero seconds where nothing it reads is behind. What \
                  only the worker knows is in its /metrics: events per written row, batch sizes, cache hits, write times, \
                  retries.",
    after_help = "Examples:\n  headwater status\n  headwater status --partitions\n  headwater status --views\n  headwater status --json | jq '.topologies[].lag_records'"
)]
pub(crate) struct Status {
    /// Each partition by itself
    #[arg(long)]
    partitions: bool,
    /// How fresh each view is, too
    #[arg(long)]
    views: bool,
}

/// One topology's state.
struct State {
    deployed: Deployed,
    current: bool,
    lag: Vec<PartitionLag>,
    views: Vec<ViewFreshness>,
    parked_keys: usize,
    parked_records: u64,
}

impl Status {
    pub(crate) async fn run(&self, context: &Context) -> Result<Answer, Failure> {
        let project = match context.project()? {
            Ok(project) => project,
            Err(answer) => return Ok(answer),
        };
        let environment = Environment::existing(project).await?;
        let answer = self.show(context, &environment).await;
        environment.close().await;
        answer
    }

    async fn show(&self, context: &Context, environment: &Environment) -> Result<Answer, Failure> {
        let mut states = Vec::new();
        for (deployed, current) in environment.deployed().await? {
            states.push(state(environment, deployed, current).await?);
        }
        let mut out = context.output();
        if context.json {
            let topologies: Vec<_> = states.iter().map(State::json).collect();
            out.value(&json!({ "topologies": topologies, "not_started": not_started(environment, &states) }))?;
            out.flush()?;
            return Ok(Answer::Yes);
        }
        let rows: Vec<Vec<String>> = states.iter().flat_map(|state| state.rows(self.partitions)).collect();
        if !rows.is_empty() {
            out.table(&["TOPOLOGY", "GENERATION", "TOPIC", "PARTITION", "BEHIND", "SECONDS"], &rows)?;
        }
        let views: Vec<Vec<String>> = states.iter().filter(|_| self.views).flat_map(State::view_rows).collect();
        if !views.is_empty() {
            out.line("")?;
            out.table(&["TOPOLOGY", "GENERATION", "VIEW", "SECONDS"], &views)?;
        }
        for state in &states {
            let name = &state.deployed.topology.name;
            if !state.current {
                out.line(format!(
                    "{name}: the declaration differs from what is deployed; `headwater up` names the difference"
                ))?;
            }
            if state.parked_records > 0 {
                let (records, keys) = (state.parked_records, state.parked_keys);
                out.line(format!("{name}: {records} records of {keys} keys are parked; see `headwater parked list`"))?;
            }
        }
        for name in not_started(environment, &states) {
            out.line(format!("{name}: not started yet"))?;
        }
        out.flush()?;
        Ok(Answer::Yes)
    }
}

fn not_started<'e>(environment: &'e Environment, states: &[State]) -> Vec<&'e str> {
    let started = |name: &str| states.iter().any(|state| state.deployed.topology.name == name);
    let names = environment.project.topologies.iter().map(|topology| topology.name.as_str());
    names.filter(|name| !started(name)).collect()
}

async fn state(environment: &Environment, deployed: Deployed, current: bool) -> Result<State, Failure> {
    let name = deployed.topology.name.clone();
    let now_ms = chrono::Utc::now().timestamp_millis();
    let lag = headwater_runner::lag(&deployed.topology, deployed.generation, &environment.log, &deployed.store, now_ms);
    let lag = lag.await.map_err(|error| Failure::because(format!("the lag of {name} cannot be read"), &error))?;
    let keys = deployed.store.parked_keys(&name, deployed.generation).await;
    let keys = keys.map_err(|error| Failure::because(format!("what is parked of {name} cannot be read"), &error))?;
    let parked_records = keys.iter().map(|key| key.count).sum();
    let views = headwater_runner::freshness(&deployed.topology, &lag);
    Ok(State { deployed, current, lag, views, parked_keys: keys.len(), parked_records })
}

impl State {
    fn json(&self) -> serde_json::Value {
        let partitions: Vec<_> = self
            .lag
            .iter()
            .map(|lag| {
                json!({
                    "topic": lag.topic, "partition": lag.partition, "position": lag.next, "end": lag.end,
                    "lag_records": lag.records, "lag_seconds": seconds(lag.oldest_ms),
                })
            })
            .collect();
        let view = |view: &ViewFreshness| json!({ "view": view.view, "freshness_seconds": seconds(view.oldest_ms) });
        let views: Vec<_> = self.views.iter().map(view).collect();
        json!({
            "topology": self.deployed.topology.name,
            "generation": self.deployed.generation,
            "as_declared": self.current,
            "lag_records": self.lag.iter().map(|lag| lag.records).sum::<i64>(),
            "lag_seconds": seconds(self.lag.iter().filter_map(|lag| lag.oldest_ms).max()),
            "parked_keys": self.parked_keys,
            "parked_records": self.parked_records,
            "partitions": partitions,
            "views": views,
        })
    }

    fn view_rows(&self) -> Vec<Vec<String>> {
        let (topology, generation) = (&self.deployed.topology.name, self.deployed.generation.to_string());
        let row = |view: &ViewFreshness| {
            vec![topology.clone(), generation.clone(), view.view.clone(), format!("{:.1}", seconds(view.oldest_ms))]
        };
        self.views.iter().map(row).collect()
    }

    fn rows(&self, each_partition: bool) -> Vec<Vec<String>> {
        let row = |topic: &str, partition: String, records: i64, oldest_ms: Option<i64>| {
            vec![
                self.deployed.topology.name.clone(),
                self.deployed.generation.to_string(),
                topic.to_owned(),
                partition,
                records.to_string(),
                format!("{:.1}", seconds(oldest_ms)),
            ]
        };
        if each_partition {
            let each = self.lag.iter();
            return each.map(|lag| row(&lag.topic, lag.partition.to_string(), lag.records, lag.oldest_ms)).collect();
        }
        let mut topics: Vec<&str> = self.lag.iter().map(|lag| lag.topic.as_str()).collect();
        topics.dedup();
        let of = |topic: &str| self.lag.iter().filter(move |lag| lag.topic == topic).collect::<Vec<_>>();
        let all = |topic: &&str| {
            let lags = of(topic);
            let records = lags.iter().map(|lag| lag.records).sum();
            row(topic, format!("all {}", lags.len()), records, lags.iter().filter_map(|lag| lag.oldest_ms).max())
        };
        topics.iter().map(all).collect()
    }
}

fn seconds(oldest_ms: Option<i64>) -> f64 {
    oldest_ms.unwrap_or(0) as f64 / 1000.0
}
