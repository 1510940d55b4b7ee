//! Read-your-writes: waiting until a store has passed a position token.
//!
//! A token's place is passed once the stored position of its partition is beyond it: everything before that is in the
//! views, or parked. Of the places of topics that a topology does not read nothing is asked.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use headwater_views::{Store, StoreError, StoredPosition};
use serde_json::{Value as Json, json};

use crate::token::{PositionToken, TopicKey, key_hash, preferred_wait};
use crate::{Limits, Problem};

/// Another process's commits show only by asking; this often.
const POLL: Duration = Duration::from_millis(20);
/// At most this many places that are not reached are told.
const TOLD: usize = 10;

/// What a request asks to be reflected, and how long it will wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    pub token: PositionToken,
    pub wait: Duration,
}

impl After {
    /// `Headwater-After` and `Prefer: wait`. None where nothing is asked.
    pub fn of(headers: &HeaderMap, limits: &Limits) -> Result<Option<Self>, Problem> {
        let wait = preferred_wait(headers, limits)?;
        Ok(PositionToken::after(headers)?.map(|token| Self { token, wait }))
    }
}

/// Where to look: a topology's positions in its store.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub store: &'a Store,
    pub topology: &'a str,
    pub generation: u32,
    /// The names of the topics that the topology reads.
    pub topics: &'a [String],
}

/// Waits until the target's views reflect the token.
///
/// # Errors
/// 503 `not-reflected-yet` with `Retry-After` and `waiting`, how far it is, once the time is over; 409 `parked` where an
/// event that the token names waits behind a parked one; 410 `topic-replaced` where a topic was deleted and made again.
pub async fn reflected(target: Target<'_>, after: &After) -> Result<(), Problem> {
    let wanted = wanted(target.topics, &after.token);
    if wanted.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + after.wait;
    let mut changed = target.store.changed();
    loop {
        changed.borrow_and_update();
        let positions = target.store.positions(target.topology, target.generation).await?;
        let missing = missing(&wanted, &positions)?;
        if missing.is_empty() {
            return refuse_parked(target, &wanted).await;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // A parked key may be why it is worth no wait, but only a position that passed it proves it reflected.
            return Err(not_yet(missing));
        }
        // A closed watch leaves the poll.
        let change = async {
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(POLL.min(left), change).await;
    }
}

/// The token of what a store reflects, read before the rows that it goes with.
pub fn token_of(positions: &[StoredPosition]) -> PositionToken {
    let mut token = PositionToken::new();
    let mut topics: HashMap<&str, TopicKey> = HashMap::new();
    for position in positions {
        let key = *topics.entry(&position.topic).or_insert_with(|| TopicKey::new(position.topic_id, &position.topic));
        token.see(key, position.partition, position.next - 1);
    }
    token
}

/// A place of the token that the topology reads.
struct Wanted<'a> {
    topic: &'a str,
    id: [u8; 16],
    partition: i32,
    offset: i64,
    keys: Vec<(u64, i64)>,
}

fn wanted<'a>(topics: &'a [String], token: &PositionToken) -> Vec<Wanted<'a>> {
    let names: HashMap<u32, &str> =
        topics.iter().map(|name| (TopicKey::new([0; 16], name).name_hash, name.as_str())).collect();
    let places = token.iter().filter_map(|(key, partition, seen)| {
        let topic = *names.get(&key.name_hash)?;
        let keys = seen.keys.iter().map(|(hash, offset)| (*hash, *offset)).collect();
        Some(Wanted { topic, id: key.id, partition, offset: seen.offset, keys })
    });
    places.collect()
}

/// The places that are not passed yet, as they are told.
fn missing(wanted: &[Wanted<'_>], positions: &[StoredPosition]) -> Result<Vec<Json>, Problem> {
    let mut missing = Vec::new();
    for place in wanted {
        let mut next = 0;
        for position in positions.iter().filter(|position| position.topic == place.topic) {
            if position.topic_id != place.id {
                let detail = format!(
                    "topic `{}` was deleted and made again, so what the token speaks of is no more; drop the token",
                    place.topic
                );
                return Err(Problem::gone(detail).code("topic-replaced").with("topic", place.topic));
            }
            if position.partition == place.partition {
                next = position.next;
            }
        }
        if next <= place.offset {
            missing.push(json!({
                "topic": place.topic,
                "partition": place.partition,
                "reflected": next - 1,
                "wanted": place.offset,
            }));
        }
    }
    Ok(missing)
}

async fn refuse_parked(target: Target<'_>, wanted: &[Wanted<'_>]) -> Result<(), Problem> {
    if wanted.iter().all(|place| place.keys.is_empty()) {
        return Ok(());
    }
    for parked in target.store.parked_keys(target.topology, target.generation).await? {
        let place = wanted.iter().find(|place| place.topic == parked.topic && place.partition == parked.partition);
        let Some(place) = place else { continue };
        let hash = key_hash(&parked.key);
        if place.keys.iter().any(|(key, offset)| *key == hash && *offset >= parked.first_offset) {
            let detail = format!(
                "an event of this key of topic `{}` could not be applied and is parked with all that follow it; \
                 an operator sees why with `headwater parked list`",
                parked.topic
            );
            let problem = Problem::parked(detail).with("topic", parked.topic).with("partition", parked.partition);
            return Err(problem.with("offset", parked.first_offset));
        }
    }
    Ok(())
}

fn not_yet(mut missing: Vec<Json>) -> Problem {
    let places = missing.len();
    missing.truncate(TOLD);
    let detail = format!(
        "the answer does not reflect the token yet: {places} {} to be read; try again, or wait longer by `Prefer: wait`",
        if places == 1 { "partition is" } else { "partitions are" }
    );
    Problem::unavailable(detail, Duration::from_secs(1)).code("not-reflected-yet").with("waiting", missing)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "a request met a store that is not available");
            return Problem::unavailable("the store is not available at the moment", Duration::from_secs(1))
                .code("store-unavailable");
        }
        match error {
            StoreError::NoGeneration { .. } => {
                Problem::unavailable("the views are being replaced; try again", Duration::from_secs(1))
                    .code("generation-changed")
            }
            error => Problem::internal(error),
        }
    }
}
