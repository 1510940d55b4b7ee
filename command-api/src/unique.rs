//! Unique values: a claim on (view, value), for as long as its event is on its way to the view.
//!
//! Taken, then the view is asked for another owner: in this order nobody slips in between. Once the view has passed the
//! event, the view itself is the answer and the claim is anybody's. A claim whose holder is gone is settled first where
//! the fate of the holder's event is decided ([`Decider`]): then the event either is in the log, or never will be.

use std::time::{Duration, Instant};

use headwater_http::Problem;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::claims::{ClaimKey, GIVEN_UP_KEPT, UNFINISHED_KEPT, now_ms};
use crate::flight::{Flight, Flights, Place, Trail, Unwritten, busy, is_past};
use crate::key::MessageKey;
use crate::reads::Reads;
use crate::turn::{self, Turn};
use crate::{promise, settings::Settings};

const POLL: Duration = Duration::from_millis(20);
/// Once written, the view soon says the same; a claim that nobody looks at again goes after this.
const WRITTEN_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The claim that decides whether an event will be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Decider {
    /// This claim itself.
    Here,
    /// The turn of the event's key.
    Turn,
    /// The `Idempotency-Key` with this claim's key.
    Promise(Vec<u8>),
}

/// The claim's body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Holding {
    event_id: Uuid,
    /// When it was taken, in milliseconds since 1970-01-01T00:00:00Z.
    since_ms: i64,
    /// The event's message key.
    key: MessageKey,
    trail: Trail,
    decider: Decider,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    /// Not decided yet.
    Taken,
    /// On its way, where this claim decides.
    Noted(Flight),
    Written(Place),
    /// Nobody's.
    Free,
}

/// Who takes the value: the event, its message key, and what decides its fate.
pub(crate) struct Taker<'a> {
    pub(crate) event_id: Uuid,
    pub(crate) key: &'a MessageKey,
    pub(crate) trail: &'a Trail,
    pub(crate) decider: Decider,
}

/// A value that this command has taken.
#[derive(Debug)]
pub(crate) struct Hold {
    claim: ClaimKey,
    version: i64,
    holding: Holding,
}

/// What everything here needs.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) reads: Reads<'a>,
    pub(crate) flights: &'a Flights,
    pub(crate) settings: &'a Settings,
    pub(crate) deadline: Instant,
}

impl State {
    /// When whoever has the claim last did something.
    fn since_ms(&self, holding: &Holding) -> i64 {
        match self {
            State::Noted(flight) => flight.since_ms,
            _ => holding.since_ms,
        }
    }
}

impl Hold {
    /// Takes the value, once nobody's event that has it is on its way.
    pub(crate) async fn take(around: Around<'_>, claim: ClaimKey, taker: Taker<'_>) -> Result<Self, Problem> {
        let store = around.reads.store;
        loop {
            let version = match claim.read::<Holding>(store).await? {
                None => None,
                Some(found) if found.expired => Some(found.version),
                Some(found) => match around.free(&claim, found.version, &found.body, taker.event_id).await? {
                    Some(version) => Some(version),
                    None => continue,
                },
            };
            let holding = Holding {
                event_id: taker.event_id,
                since_ms: now_ms(),
                key: taker.key.clone(),
                trail: taker.trail.clone(),
                decider: taker.decider.clone(),
                state: State::Taken,
            };
            if let Some(version) = claim.swap(store, version, &holding, Some(UNFINISHED_KEPT)).await? {
                return Ok(Self { claim, version, holding });
            }
        }
    }

    pub(crate) fn claim(&self) -> &ClaimKey {
        &self.claim
    }

    /// Holds the value as of now; false where somebody else has taken it, for whom this attempt was gone.
    pub(crate) async fn renew(&mut self, around: Around<'_>) -> Result<bool, Problem> {
        let holding = Holding { since_ms: now_ms(), ..self.holding.clone() };
        let swapped = self.claim.swap(around.reads.store, Some(self.version), &holding, Some(UNFINISHED_KEPT)).await?;
        if let Some(version) = swapped {
            self.version = version;
            self.holding = holding;
        }
        Ok(swapped.is_some())
    }

    /// Notes the event here, where no other claim decides its fate; false where somebody else has taken the value.
    pub(crate) async fn note(&mut self, around: Around<'_>, flight: &Flight) -> Result<bool, Unwritten> {
        let holding = Holding { state: State::Noted(flight.clone()), ..self.holding.clone() };
        let swapped = self.claim.swap(around.reads.store, Some(self.version), &holding, Some(UNFINISHED_KEPT)).await;
        let swapped = swapped.map_err(|error| Unwritten::Unknown(error.into()))?;
        if let Some(version) = swapped {
            self.version = version;
            self.holding = holding;
        }
        Ok(swapped.is_some())
    }

    /// The event is in the log.
    pub(crate) async fn written(&self, around: Around<'_>, place: Place) -> Result<(), Problem> {
        let holding = Holding { state: State::Written(place), ..self.holding.clone() };
        self.claim.swap(around.reads.store, Some(self.version), &holding, Some(WRITTEN_KEPT)).await?;
        Ok(())
    }

    /// There will be no such event.
    pub(crate) async fn give_up(&self, around: Around<'_>) -> Result<(), Problem> {
        let holding = Holding { state: State::Free, ..self.holding.clone() };
        self.claim.swap(around.reads.store, Some(self.version), &holding, Some(GIVEN_UP_KEPT)).await?;
        Ok(())
    }
}

impl Around<'_> {
    /// The version from which the claim may be taken over; None where it has to be looked at again.
    async fn free(&self, claim: &ClaimKey, version: i64, held: &Holding, by: Uuid) -> Result<Option<i64>, Problem> {
        let store = self.reads.store;
        match &held.state {
            State::Free => Ok(Some(version)),
            State::Written(place) => {
                self.reads.passed(&held.trail.topic, place, self.deadline).await?;
                // What is parked is in the log, and in no view.
                self.reads.refuse_parked(&held.trail.topic, place.partition, &held.key).await?;
                Ok(Some(version))
            }
            // An earlier attempt of the same event, whose fate is decided elsewhere.
            State::Taken if held.event_id == by => Ok(Some(version)),
            State::Taken | State::Noted(_) if !is_past(held.state.since_ms(held), self.settings.delivery_timeout) => {
                if Instant::now() >= self.deadline {
                    return Err(busy("another command is taking the same value; try again").code("value-taken"));
                }
                tokio::time::sleep(POLL).await;
                Ok(None)
            }
            State::Taken => match self.fate(held).await? {
                None => Ok(Some(version)),
                Some(place) => {
                    let written = Holding { state: State::Written(place), ..held.clone() };
                    claim.swap(store, Some(version), &written, Some(WRITTEN_KEPT)).await?;
                    Ok(None)
                }
            },
            State::Noted(flight) => {
                let mut hold = Hold { claim: claim.clone(), version, holding: held.clone() };
                let flight = flight.renewed();
                if hold.note(*self, &flight).await? {
                    match self.flights.settle(&flight).await {
                        Ok(place) => hold.written(*self, place).await?,
                        Err(Unwritten::Refused(_)) => hold.give_up(*self).await?,
                        Err(Unwritten::Unknown(problem)) => return Err(problem),
                    }
                }
                Ok(None)
            }
        }
    }

    /// Where the event of a holder that is gone, and that noted nothing here, is; None if it never will be.
    async fn fate(&self, held: &Holding) -> Result<Option<Place>, Problem> {
        let store = self.reads.store;
        match &held.decider {
            // Never noted; and the swap that takes the value over takes from the holder what it would have to swap.
            Decider::Here => return Ok(None),
            Decider::Turn => {
                let key = turn::claim_key(&held.trail.topic, &held.key);
                Turn::fence(store, self.flights, &key, self.deadline).await?;
            }
            Decider::Promise(key) => {
                promise::fence(store, self.flights, key, held.event_id, self.deadline).await?;
            }
        }
        Ok(self.flights.find(&held.trail, held.event_id).await?.map(|(place, _)| place))
    }
}
