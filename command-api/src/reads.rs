//! What commands look at: whether the views have passed a place in the log, rows, and who has a unique value.

use std::time::{Duration, Instant};

use headwater_engine::plan::Topology;
use headwater_engine::table::{Key, Row, Table};
use headwater_http::Problem;
use headwater_http::wait::{After, Target, reflected};
use headwater_views::{PageRequest, ParkedFilter, Snapshot, Store, StoredPosition};

use crate::claims::now_ms;
use crate::flight::{Place, busy};
use crate::key::MessageKey;

/// Commits of other processes show only by asking; this often.
const POLL: Duration = Duration::from_millis(20);

/// A topology's views, of the generation that was active when the command came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reads<'a> {
    pub(crate) store: &'a Store,
    pub(crate) topology: &'a Topology,
    generation: u32,
}

impl<'a> Reads<'a> {
    pub(crate) async fn open(store: &'a Store, topology: &'a Topology) -> Result<Self, Problem> {
        match store.active(&topology.name).await? {
            Some(active) => Ok(Self { store, topology, generation: active.generation }),
            None => Err(busy("the views that this command looks at are not made yet").code("no-views")),
        }
    }

    /// Waits until the views reflect everything of this partition up to and with the place.
    pub(crate) async fn passed(&self, topic: &str, place: &Place, deadline: Instant) -> Result<(), Problem> {
        let mut changed = self.store.changed();
        loop {
            changed.borrow_and_update();
            let positions = self.store.positions(&self.topology.name, self.generation).await?;
            if has_passed(&positions, topic, place) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let detail = "the views do not reflect the last event of this key yet; try again";
                return Err(busy(detail).code("not-reflected-yet"));
            }
            let change = async {
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            // Over is over, whether by a change or by the time.
            let _ = tokio::time::timeout(POLL.min(left), change).await;
        }
    }

    /// Waits for what the client asks to be reflected.
    pub(crate) async fn reflected(&self, after: &After) -> Result<(), Problem> {
        let topics: Vec<String> = self.topology.topics.iter().map(|plan| plan.topic.name.clone()).collect();
        let target =
            Target { store: self.store, topology: &self.topology.name, generation: self.generation, topics: &topics };
        reflected(target, after).await
    }

    /// Refuses where events of this message key are parked: rows made of them are not what the log says.
    pub(crate) async fn refuse_parked(&self, topic: &str, partition: i32, key: &MessageKey) -> Result<(), Problem> {
        let filter = ParkedFilter {
            generation: Some(self.generation),
            topic: Some(topic.to_owned()),
            partition: Some(partition),
            key: Some(key.0.clone()),
            ..ParkedFilter::default()
        };
        match self.store.parked(&self.topology.name, &filter, 1).await?.is_empty() {
            true => Ok(()),
            false => Err(Problem::parked(
                "an event of this key could not be applied and is parked with all that follow it; an operator sees why \
                 with `headwater parked list`",
            )),
        }
    }

    /// The row of this key, if readers see it.
    pub(crate) async fn row(&self, table: &Table, key: Key) -> Result<Option<Row>, Problem> {
        let rows = self.now().await?.get(table, self.generation, &[key]).await?;
        Ok(rows.into_iter().next().flatten().filter(|row| !row.hidden))
    }

    async fn now(&self) -> Result<Snapshot, Problem> {
        Ok(self.store.snapshot().await?.at(now_ms()))
    }

    /// The keys of the first rows of a partition.
    pub(crate) async fn owners(&self, table: &Table, partition: &Key) -> Result<Vec<Key>, Problem> {
        // Two: one may be the caller's own.
        let page = PageRequest { partition: partition.to_vec(), after: None, limit: 2 };
        let rows = self.now().await?.page(table, self.generation, &page).await?;
        let rows = rows.iter().filter(|row| !row.hidden);
        Ok(rows.map(|row| row.values[table.partition..table.key_len()].into()).collect())
    }
}

/// Whether these positions are beyond the place; also where it is of a topic that was deleted and made again.
fn has_passed(positions: &[StoredPosition], topic: &str, place: &Place) -> bool {
    positions.iter().filter(|position| position.topic == topic).any(|position| {
        let other = position.topic_id != *place.topic_id.as_bytes();
        other || (position.partition == place.partition && position.next > place.offset)
    })
}
