//! One moment of the stores that a query reads: the generation pinned, the positions read before the rows.
//!
//! Views that a query joins may be of other topologies, in the same store or in others; each store is one snapshot. Of
//! rows that are shown for some days only, all are judged by one look at the clock.

use std::sync::Arc;

use headwater_engine::plan::Topology;
use headwater_engine::query::Query;
use headwater_engine::table::{Key, Row, Table};
use headwater_http::wait::{Target, reflected, token_of};
use headwater_http::{PositionToken, Problem, wait::After};
use headwater_views::{PageRequest, Snapshot};
use std::time::{Duration, UNIX_EPOCH};

use crate::{QueryApi, Served};

/// The snapshots that one request reads from.
pub(crate) struct Reading {
    /// By store's name.
    snapshots: Vec<(String, Snapshot)>,
    /// By topology's name.
    generations: Vec<(String, u32)>,
    /// What the rows reflect, at least.
    pub(crate) token: PositionToken,
    now_ms: i64,
}

impl Reading {
    /// Waits for what the request asks to be reflected, then opens the snapshots.
    pub(crate) async fn open(api: &QueryApi, query: &Query, after: Option<&After>) -> Result<Self, Problem> {
        let (snapshots, generations, token) = (Vec::new(), Vec::new(), PositionToken::new());
        let mut reading = Self { snapshots, generations, token, now_ms: 0 };
        for topology in topologies(query) {
            let served = served(api, &topology.name)?;
            let waited_for = match after {
                Some(after) => Some(wait(served, &topology, after).await?),
                None => None,
            };
            if reading.snapshots.is_empty() {
                // After the wait: what is past by then is not shown.
                reading.now_ms = now_ms(api);
            }
            let generation = reading.pin(served, &topology).await?;
            // The views were replaced between the wait and the snapshot, and may not reflect it.
            if waited_for.is_some_and(|waited_for| waited_for != generation) {
                return Err(replaced());
            }
        }
        Ok(reading)
    }

    async fn pin(&mut self, served: &Served, topology: &Topology) -> Result<u32, Problem> {
        if !self.snapshots.iter().any(|(store, _)| *store == topology.store) {
            self.snapshots.push((topology.store.clone(), served.store.snapshot().await?.at(self.now_ms)));
        }
        let snapshot = self.snapshot(&topology.store)?;
        let active = snapshot.active(&topology.name).await?;
        let generation = generation(active, served, topology)?;
        let token = token_of(&snapshot.positions(&topology.name, generation).await?);
        self.token.merge(&token);
        self.generations.push((topology.name.clone(), generation));
        Ok(generation)
    }

    /// The generation that this request reads of a topology.
    pub(crate) fn generation(&self, topology: &Topology) -> Result<u32, Problem> {
        let pinned = self.generations.iter().find(|(name, _)| *name == topology.name);
        pinned.map(|(_, generation)| *generation).ok_or_else(|| Problem::internal("a topology was not pinned"))
    }

    /// Rows that are there and not hidden, in the order of the keys.
    pub(crate) async fn rows(
        &mut self,
        topology: &Topology,
        table: &Table,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>, Problem> {
        let generation = self.generation(topology)?;
        let rows = self.snapshot(&topology.store)?.get(table, generation, keys).await?;
        Ok(rows.into_iter().map(|row| row.filter(|row| !row.hidden)).collect())
    }

    /// A page as the store has it, hidden rows among it.
    pub(crate) async fn page(
        &mut self,
        topology: &Topology,
        table: &Table,
        page: &PageRequest,
    ) -> Result<Vec<Row>, Problem> {
        let generation = self.generation(topology)?;
        Ok(self.snapshot(&topology.store)?.page(table, generation, page).await?)
    }

    fn snapshot(&mut self, store: &str) -> Result<&mut Snapshot, Problem> {
        let snapshot = self.snapshots.iter_mut().find(|(name, _)| name == store).map(|(_, snapshot)| snapshot);
        snapshot.ok_or_else(|| Problem::internal("a store has no snapshot"))
    }
}

fn now_ms(api: &QueryApi) -> i64 {
    (api.clock)().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Those that the query reads, each once.
fn topologies(query: &Query) -> Vec<Arc<Topology>> {
    let mut all = vec![Arc::clone(&query.topology)];
    for join in &query.joins {
        if all.iter().all(|known| known.name != join.topology.name) {
            all.push(Arc::clone(&join.topology));
        }
    }
    all
}

fn served<'a>(api: &'a QueryApi, topology: &str) -> Result<&'a Served, Problem> {
    api.topologies.get(topology).ok_or_else(|| Problem::internal(format!("topology {topology} is not served")))
}

/// Waits until the active generation reflects the token; which one that is.
async fn wait(served: &Served, topology: &Topology, after: &After) -> Result<u32, Problem> {
    let active = served.store.active(&topology.name).await?;
    let generation = generation(active, served, topology)?;
    let topics: Vec<String> = topology.topics.iter().map(|plan| plan.topic.name.clone()).collect();
    let target = Target { store: &served.store, topology: &topology.name, generation, topics: &topics };
    reflected(target, after).await?;
    Ok(generation)
}

fn generation(active: Option<headwater_views::Active>, served: &Served, topology: &Topology) -> Result<u32, Problem> {
    match active {
        Some(active) if active.fingerprint == served.fingerprint => Ok(active.generation),
        Some(_) => {
            tracing::warn!(topology = topology.name, "what is deployed is not what this process was started with");
            let detail = "the views were declared anew since this instance started; it has to be restarted";
            Err(Problem::unavailable(detail, Duration::from_secs(5)).code("declared-anew"))
        }
        None => {
            let detail = format!("the views of topology `{}` are not built yet", topology.name);
            Err(Problem::unavailable(detail, Duration::from_secs(1)).code("not-built-yet"))
        }
    }
}

fn replaced() -> Problem {
    Problem::unavailable("the views were replaced meanwhile; try again", Duration::from_secs(1))
        .code("generation-changed")
}
