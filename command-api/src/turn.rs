//! A key's turn: one claim a (topic, key), through which all commands of that key pass, one at a time.
//!
//! It says how many have passed, where the last event is, and which event is on its way. Whoever finds one on its way
//! waits for it, or, once its writer has had the time that delivery takes, writes it. Then waits until the views reflect
//! the position, reads the row, decides, and puts its own event on its way by compare-and-swap: if anyone came in
//! between, that fails, and everything is looked at again.

use std::time::{Duration, Instant};

use headwater_http::Problem;
use headwater_views::Store;
use serde::{Deserialize, Serialize};

use crate::claims::ClaimKey;
use crate::flight::{Flight, Flights, Place, Unwritten, busy};
use crate::key::MessageKey;

/// How often another process's turn is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The claim's body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Passed {
    /// How many commands have passed.
    sequence: u64,
    /// The last one's event.
    pub(crate) position: Option<Place>,
    /// The event that is on its way.
    pending: Option<Flight>,
}

/// The turn as it was read, nothing pending.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    version: Option<i64>,
    pub(crate) passed: Passed,
}

/// The claim of a topic's key.
pub(crate) fn claim_key(topic: &str, key: &MessageKey) -> ClaimKey {
    ClaimKey::new("turn", &[topic.as_bytes(), key.as_bytes()])
}

impl Turn {
    /// Reads the turn once nothing is pending: what is, is waited for, or written if it was abandoned.
    pub(crate) async fn read(
        store: &Store,
        flights: &Flights,
        key: &ClaimKey,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        loop {
            let Some(found) = key.read::<Passed>(store).await? else {
                return Ok(Self { version: None, passed: Passed::default() });
            };
            let mut turn = Self { version: Some(found.version), passed: found.body };
            let Some(flight) = turn.passed.pending.take() else { return Ok(turn) };
            if flight.is_abandoned(flights.delivery_timeout) {
                let flight = flight.renewed();
                if turn.note(store, key, &flight).await? {
                    match flights.settle(&flight).await {
                        Ok(place) => turn.land(store, key, place).await?,
                        Err(Unwritten::Refused(problem)) => {
                            tracing::warn!(%problem, event_id = %flight.event_id, "an event was noted that the log refuses");
                            turn.give_up(store, key).await?;
                        }
                        Err(Unwritten::Unknown(problem)) => return Err(problem),
                    }
                }
            } else if Instant::now() >= deadline {
                return Err(busy("another command on the same key is under way; try again").code("turn-taken"));
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    /// Makes every earlier reading of the turn worthless: whoever decided by one has to look again.
    pub(crate) async fn fence(
        store: &Store,
        flights: &Flights,
        key: &ClaimKey,
        deadline: Instant,
    ) -> Result<(), Problem> {
        loop {
            let turn = Self::read(store, flights, key, deadline).await?;
            if key.swap(store, turn.version, &turn.passed, None).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Puts the event on its way; false where somebody else was first.
    pub(crate) async fn note(&mut self, store: &Store, key: &ClaimKey, flight: &Flight) -> Result<bool, Unwritten> {
        let body = Passed { pending: Some(flight.clone()), ..self.passed.clone() };
        // No reply is not a no.
        let swapped = key.swap(store, self.version, &body, None).await.map_err(|e| Unwritten::Unknown(e.into()))?;
        if swapped.is_some() {
            self.version = swapped;
        }
        Ok(swapped.is_some())
    }

    /// Passes the turn on, its event at this place.
    pub(crate) async fn land(&mut self, store: &Store, key: &ClaimKey, place: Place) -> Result<(), Problem> {
        let body = Passed { sequence: self.passed.sequence + 1, position: Some(place), pending: None };
        key.swap(store, self.version, &body, None).await?;
        Ok(())
    }

    /// Passes the turn on as it was: the event that was on its way was refused for good.
    pub(crate) async fn give_up(&mut self, store: &Store, key: &ClaimKey) -> Result<(), Problem> {
        key.swap(store, self.version, &self.passed, None).await?;
        Ok(())
    }
}
