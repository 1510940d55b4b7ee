//! `Idempotency-Key`: a claim on (caller, route, key) that promises the same answer to whoever repeats the request.
//!
//! It is taken before anything is decided, and says what became of it: deciding, an event on its way (where no turn
//! decides that), or the answer. A repeat gets the answer; or 409 while the first is under way; or, where the first is
//! gone, carries on from what it noted.

use std::time::{Duration, Instant};

use headwater_http::Problem;
use headwater_views::Store;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::answer::Answer;
use crate::claims::{ClaimKey, GIVEN_UP_KEPT, UNFINISHED_KEPT, now_ms};
use crate::flight::{Flight, Flights, Trail, Unwritten, busy, is_past};
use crate::settings::Settings;

const KIND: &str = "idempotency";
const POLL: Duration = Duration::from_millis(20);
/// The namespace of event ids that are made of idempotency keys.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d1c_6f0e_7d1a_4b57_9a5c_2f6b_8c3e_41d2);

/// What a client asks never to be done twice.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    pub(crate) claim: ClaimKey,
    /// Made of the same parts, so every attempt is about the same event.
    pub(crate) event_id: Uuid,
}

/// The claim's body.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Promise {
    /// Of everything that the request says, its content included.
    request: String,
    event_id: Uuid,
    /// When this attempt began, in milliseconds since 1970-01-01T00:00:00Z.
    since_ms: i64,
    /// From where on the event may be: as the first attempt noted it.
    trail: Trail,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Deciding,
    Noted(Flight),
    Kept(Answer),
    /// Refused, so nothing to repeat.
    Free,
}

impl Promise {
    /// The same, taken over by another attempt from now on.
    fn renewed(self) -> Self {
        let state = match self.state {
            State::Noted(flight) => State::Noted(flight.renewed()),
            state => state,
        };
        Self { since_ms: now_ms(), state, ..self }
    }
}

/// What a request with a key finds.
pub(crate) enum Opened {
    Answered(Answer),
    Mine(Box<Ticket>),
}

/// A key that this attempt holds.
#[derive(Debug)]
pub(crate) struct Ticket {
    claim: ClaimKey,
    version: i64,
    promise: Promise,
    /// An earlier attempt was here: its event may be in the log.
    pub(crate) resumed: bool,
    /// It is not known yet whether that event is in the log, so the key may not be freed, whatever goes wrong.
    pub(crate) unsettled: bool,
}

impl Repeatable {
    /// `caller` is None for nobody; `route` is the command's method and path as declared.
    pub(crate) fn new(caller: Option<&str>, route: &str, key: &str) -> Self {
        let caller = caller.map_or_else(String::new, |caller| format!("={caller}"));
        // Neither a route nor a key has a NUL; of a caller only the digest is known to have none.
        let caller = Sha256::digest(caller).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let parts = [caller.as_bytes(), route.as_bytes(), key.as_bytes()];
        let event_id = Uuid::new_v5(&NAMESPACE, &parts.join(&0u8));
        Self { claim: ClaimKey::new(KIND, &parts), event_id }
    }

    /// Takes the key, or finds out what became of it. `first` is where a first attempt starts: None to decide later, or
    /// the event where all is decided.
    pub(crate) async fn open(
        &self,
        store: &Store,
        settings: &Settings,
        request: &str,
        trail: &Trail,
        first: Option<&Flight>,
    ) -> Result<Opened, Problem> {
        loop {
            let found = self.claim.read::<Promise>(store).await?;
            let gone = |found: &Promise| matches!(found.state, State::Free);
            let (expected, resumed, promise) = match found {
                Some(found) if !found.expired && !gone(&found.body) => {
                    if found.body.request != request {
                        let detail = "this Idempotency-Key was used for another request; use a new one";
                        return Err(Problem::unprocessable(detail).code("idempotency-key-reused"));
                    }
                    if let State::Kept(answer) = found.body.state {
                        return Ok(Opened::Answered(answer));
                    }
                    if !is_past(found.body.since_ms, settings.delivery_timeout) {
                        let detail = "the first request with this Idempotency-Key is still under way";
                        let problem = Problem::conflict(detail).code("idempotency-key-in-use");
                        return Err(problem.retry_after(Duration::from_secs(1)));
                    }
                    (Some(found.version), true, found.body.renewed())
                }
                found => {
                    let state = first.map_or(State::Deciding, |flight| State::Noted(flight.clone()));
                    let promise = Promise {
                        request: request.to_owned(),
                        event_id: self.event_id,
                        since_ms: now_ms(),
                        trail: trail.clone(),
                        state,
                    };
                    (found.map(|found| found.version), false, promise)
                }
            };
            if let Some(version) = self.claim.swap(store, expected, &promise, Some(UNFINISHED_KEPT)).await? {
                let ticket = Ticket { claim: self.claim.clone(), version, promise, resumed, unsettled: resumed };
                return Ok(Opened::Mine(Box::new(ticket)));
            }
        }
    }
}

impl Ticket {
    /// What the earlier attempt put on its way, if it got so far.
    pub(crate) fn noted(&self) -> Option<&Flight> {
        match &self.promise.state {
            State::Noted(flight) => Some(flight),
            _ => None,
        }
    }

    /// From where on the event may be.
    pub(crate) fn trail(&self) -> &Trail {
        &self.promise.trail
    }

    /// Notes the event here, where no turn decides its fate; false where another attempt has taken over.
    pub(crate) async fn note(&mut self, store: &Store, flight: &Flight) -> Result<bool, Unwritten> {
        let promise =
            Promise { state: State::Noted(flight.clone()), since_ms: flight.since_ms, ..self.promise.clone() };
        let swapped = self.claim.swap(store, Some(self.version), &promise, Some(UNFINISHED_KEPT)).await;
        let swapped = swapped.map_err(|error| Unwritten::Unknown(error.into()))?;
        if let Some(version) = swapped {
            self.version = version;
            self.promise = promise;
        }
        Ok(swapped.is_some())
    }

    /// Whether no other attempt has taken the key over. Asked after the turn was read: whoever takes over changes the key
    /// before reading the turn, so one of the two sees the other.
    pub(crate) async fn is_mine(&self, store: &Store) -> Result<bool, Problem> {
        let found = self.claim.read::<Promise>(store).await?;
        Ok(found.is_some_and(|found| found.version == self.version))
    }

    /// Keeps the answer for whoever repeats the request.
    pub(crate) async fn keep(&self, store: &Store, answer: &Answer, kept: Duration) -> Result<(), Problem> {
        let promise = Promise { state: State::Kept(answer.clone()), ..self.promise.clone() };
        self.claim.swap(store, Some(self.version), &promise, Some(kept)).await?;
        Ok(())
    }

    /// Refused: nothing to repeat.
    pub(crate) async fn give_up(&self, store: &Store) -> Result<(), Problem> {
        let promise = Promise { state: State::Free, ..self.promise.clone() };
        self.claim.swap(store, Some(self.version), &promise, Some(GIVEN_UP_KEPT)).await?;
        Ok(())
    }
}

/// Settles the event of an attempt that is gone: afterwards it is in the log, or that attempt cannot write it any more.
pub(crate) async fn fence(
    store: &Store,
    flights: &Flights,
    key: &[u8],
    event_id: Uuid,
    deadline: Instant,
) -> Result<(), Problem> {
    let claim = ClaimKey { kind: KIND, key: key.to_vec() };
    loop {
        let Some(found) = claim.read::<Promise>(store).await? else { return Ok(()) };
        let promise = &found.body;
        match &promise.state {
            _ if promise.event_id != event_id => return Ok(()),
            State::Kept(_) | State::Free => return Ok(()),
            State::Deciding | State::Noted(_) if !is_past(promise.since_ms, flights.delivery_timeout) => {
                if Instant::now() >= deadline {
                    return Err(busy("another command is taking the same value; try again").code("value-taken"));
                }
                tokio::time::sleep(POLL).await;
            }
            State::Noted(flight) => {
                let mut ticket = Ticket {
                    claim: claim.clone(),
                    version: found.version,
                    promise: promise.clone(),
                    resumed: true,
                    unsettled: true,
                };
                let flight = flight.renewed();
                if ticket.note(store, &flight).await? {
                    return match flights.settle(&flight).await {
                        Ok(_) => Ok(()),
                        Err(Unwritten::Refused(_)) => ticket.give_up(store).await,
                        Err(Unwritten::Unknown(problem)) => Err(problem),
                    };
                }
            }
            State::Deciding => {
                // The same again, under a version that the attempt does not know.
                if claim.swap(store, Some(found.version), promise, Some(UNFINISHED_KEPT)).await?.is_some() {
                    return Ok(());
                }
            }
        }
    }
}
