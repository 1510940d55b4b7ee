//! One command's way from its facts to the log, past every crash.
//!
//! The order of steps is what makes it safe ([`crate::Step`] names them):
//!
//! 1. take the `Idempotency-Key`, so that one attempt at a time is about this event;
//! 2. take the key's turn: finish whoever is pending, wait for the views, read the row, decide;
//! 3. take the unique value, and look for another owner;
//! 4. note the event in the claim that decides its fate: the turn; else the `Idempotency-Key`; else the unique value;
//! 5. write it to the log;
//! 6. note its position in the turn and the value, and the answer under the `Idempotency-Key`.
//!
//! Before step 4 a crash leaves claims that others may take after the delivery timeout. After it the event will be
//! written by whoever comes next, from the noted bytes, and only if the log has not got it.

use std::sync::Arc;
use std::time::Instant;

use headwater_engine::command::{Command, Facts, Upload};
use headwater_engine::table::Row;
use headwater_http::etag::IfMatch;
use headwater_http::wait::After;
use headwater_http::{Caller, Problem};
use headwater_schemas::Value;
use headwater_schemas::key::write_key;
use headwater_views::Store;

use crate::answer::Answer;
use crate::claims::ClaimKey;
use crate::flight::{Flight, Flights, Place, Trail, Unwritten, busy};
use crate::given::Given;
use crate::key::MessageKey;
use crate::promise::{Opened, Repeatable, Ticket};
use crate::queue::Front;
use crate::reads::Reads;
use crate::record::Envelope;
use crate::server::{Endpoint, Server};
use crate::settings::Step;
use crate::turn::{self, Turn};
use crate::unique::{Around, Decider, Hold, Taker};

/// A command as it was asked for: checked as far as that goes without a row.
pub(crate) struct Attempt {
    pub(crate) server: Arc<Server>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) given: Given,
    pub(crate) caller: Caller,
    pub(crate) if_match: Option<IfMatch>,
    pub(crate) after: Option<After>,
    pub(crate) repeatable: Option<Repeatable>,
    pub(crate) envelope: Envelope,
    pub(crate) upload: Option<Upload>,
    /// The request's path.
    pub(crate) path: String,
}

/// An event that the log has.
pub(crate) struct Landed {
    pub(crate) answer: Answer,
    /// The blob that it names.
    pub(crate) blob: Option<String>,
}

/// What one run of an attempt has at hand.
#[derive(Clone, Copy)]
struct Run<'a> {
    attempt: &'a Attempt,
    store: &'a Store,
    flights: &'a Flights,
    /// The views that the command looks at, if it looks at any.
    reads: Option<Reads<'a>>,
    key: &'a MessageKey,
    trail: &'a Trail,
    deadline: Instant,
}

/// A unique value held, and its place in the queue of this process.
struct Held<'a> {
    hold: Hold,
    around: Around<'a>,
    _front: Front,
}

impl Attempt {
    fn command(&self) -> &Command {
        &self.endpoint.command
    }

    fn facts<'a>(&'a self, row: Option<&'a Row>) -> Facts<'a> {
        Facts {
            params: &self.given.params,
            body: &self.given.body,
            row,
            actor: self.caller.0.as_ref().map(|identity| identity.sub.as_str()),
            now_us: self.envelope.now_us,
            event_id: self.envelope.event_id,
            upload: self.upload.as_ref(),
        }
    }

    /// Whether what the request gives is right, as far as that can be told without a row.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.given.check(self.command(), &self.facts(None))
    }

    /// The event's message key.
    pub(crate) async fn key(&self) -> Result<MessageKey, Problem> {
        let keys = self.endpoint.keys(&self.server).await?;
        let key = self.command().message_key(keys, &self.facts(None)).map_err(Problem::invalid_fields)?;
        Ok(MessageKey(key.into()))
    }

    /// Which claim decides whether the event is written.
    pub(crate) fn decider(&self) -> Decider {
        match &self.repeatable {
            _ if self.command().takes_turns => Decider::Turn,
            Some(repeatable) => Decider::Promise(repeatable.claim.key.clone()),
            None => Decider::Here,
        }
    }

    /// Decides as far as that goes now, without taking anything: before content is read that would be refused.
    pub(crate) async fn look_ahead(&self, trail: &Trail) -> Result<(), Problem> {
        if !self.command().reads_row() {
            return Ok(());
        }
        let key = self.key().await?;
        let run = self.at_hand(&key, trail).await?;
        let turn = Turn::read(run.store, run.flights, &run.turn_key(), run.deadline).await?;
        let row = run.row(&turn).await?;
        run.judge(row.as_ref())
    }

    /// Where the event may come to stand.
    pub(crate) async fn trail(&self, key: &MessageKey) -> Result<Trail, Problem> {
        let command = self.command();
        let claims = command.takes_turns || command.unique.is_some() || self.repeatable.is_some();
        match claims || command.takes_upload() {
            true => self.server.flights.trail(&command.topic.name, key).await,
            // Nobody will look for it.
            false => Ok(Trail::unnoted(&command.topic.name, key, command.topic.partitions)),
        }
    }

    async fn at_hand<'a>(&'a self, key: &'a MessageKey, trail: &'a Trail) -> Result<Run<'a>, Problem> {
        let store = &self.endpoint.store;
        let command = self.command();
        let looks = command.reads_row() || command.unique.is_some();
        let reads = match &command.home {
            Some(home) if looks => Some(Reads::open(store, home).await?),
            _ => None,
        };
        let flights = &self.server.flights;
        let deadline = Instant::now() + self.server.api.settings.wait;
        Ok(Run { attempt: self, store, flights, reads, key, trail, deadline })
    }

    /// Takes what has to be taken, decides, and writes the event.
    pub(crate) async fn run(&self) -> Result<Landed, Unwritten> {
        let key = self.key().await?;
        let trail = self.trail(&key).await?;
        let run = self.at_hand(&key, &trail).await?;
        let settings = &self.server.api.settings;
        // Where nothing else is to be taken, the key is taken with the event already noted.
        let alone = !self.command().takes_turns && self.command().unique.is_none();
        let noted = if alone { Some(run.decided(None).await?) } else { None };
        let Some(repeatable) = &self.repeatable else {
            return run.land(None, noted).await;
        };
        let request = self.given.digest(self.command(), self.upload.as_ref());
        let first = noted.as_ref().map(|(flight, _)| flight);
        let mut ticket = match repeatable.open(run.store, settings, &request, &trail, first).await? {
            Opened::Answered(answer) => return Ok(Landed { answer, blob: None }),
            Opened::Mine(ticket) => ticket,
        };
        settings.reached(Step::KeyTaken);
        let landed = run.land(Some(&mut ticket), noted).await;
        match &landed {
            Ok(landed) => {
                warn(ticket.keep(run.store, &landed.answer, settings.answers_kept).await);
                settings.reached(Step::AnswerKept);
            }
            Err(Unwritten::Refused(_)) if !ticket.unsettled => warn(ticket.give_up(run.store).await),
            // The event may be in the log all the same: whoever comes next finds out.
            Err(_) => {}
        }
        landed
    }
}

impl<'a> Run<'a> {
    fn reached(&self, step: Step) {
        self.attempt.server.api.settings.reached(step);
    }

    fn turn_key(&self) -> ClaimKey {
        turn::claim_key(&self.trail.topic, self.key)
    }

    async fn land(&self, mut ticket: Option<&mut Ticket>, noted: Option<(Flight, Value)>) -> Result<Landed, Unwritten> {
        if let Some(ticket) = ticket.as_deref_mut().filter(|ticket| ticket.resumed)
            && let Some(flight) = ticket.noted().cloned()
        {
            let settled = self.flights.settle(&flight).await;
            ticket.unsettled = !matches!(settled, Err(Unwritten::Refused(_)));
            return Ok(self.found(&flight.payload, settled?).await?);
        }
        if let Some((flight, record)) = noted {
            // The attempt before this one may have been of a project where more was to be decided.
            if let Some(ticket) = ticket.as_deref_mut().filter(|ticket| ticket.noted().is_none())
                && !ticket.note(self.store, &flight).await?
            {
                return Err(taken_over());
            }
            self.reached(Step::EventNoted);
            let place = self.flights.send(&flight).await?;
            self.reached(Step::EventWritten);
            return Ok(self.landed(&record, place));
        }
        if let Some(ticket) = ticket.as_deref_mut().filter(|_| !self.attempt.command().takes_turns) {
            // Nothing is sent before it is noted in the key itself, and nothing is.
            ticket.unsettled = false;
        }
        let mut held = None;
        let landed = match self.attempt.command().takes_turns {
            true => self.in_turn(ticket, &mut held).await,
            false => self.with_value(ticket, &mut held).await,
        };
        if let (Err(Unwritten::Refused(_)), Some(held)) = (&landed, &held) {
            warn(held.hold.give_up(held.around).await);
        }
        landed
    }

    /// One command at a time on this key.
    async fn in_turn(&self, mut ticket: Option<&mut Ticket>, held: &mut Option<Held<'a>>) -> Result<Landed, Unwritten> {
        let claim = self.turn_key();
        let _front = self.queue(&self.attempt.server.turns, &claim).await?;
        loop {
            let mut turn = Turn::read(self.store, self.flights, &claim, self.deadline).await?;
            if let Some(ticket) = ticket.as_deref_mut() {
                if !ticket.is_mine(self.store).await? {
                    return Err(taken_over());
                }
                if ticket.resumed {
                    let written = self.flights.find(ticket.trail(), self.attempt.envelope.event_id).await?;
                    if let Some((place, record)) = written {
                        return Ok(self.found(&record.payload.unwrap_or_default(), place).await?);
                    }
                    ticket.unsettled = false;
                }
            }
            let row = self.row(&turn).await?;
            let (flight, record) = self.decided(row.as_ref()).await?;
            self.hold(&record, held).await?;
            // Noted as of now: the value may have been waited for.
            let flight = flight.renewed();
            // Somebody of another process was first: look at everything again.
            if !turn.note(self.store, &claim, &flight).await? {
                if Instant::now() >= self.deadline {
                    return Err(busy("other commands on the same key were always first; try again").into());
                }
                continue;
            }
            self.reached(Step::EventNoted);
            let place = match self.flights.send(&flight).await {
                Ok(place) => place,
                Err(unwritten) => {
                    if matches!(unwritten, Unwritten::Refused(_)) {
                        warn(turn.give_up(self.store, &claim).await);
                    }
                    return Err(unwritten);
                }
            };
            self.reached(Step::EventWritten);
            warn(turn.land(self.store, &claim, place).await);
            self.reached(Step::TurnPassed);
            self.value_written(held.as_ref(), place).await;
            return Ok(self.landed(&record, place));
        }
    }

    /// A unique value, and no turn.
    async fn with_value(&self, ticket: Option<&mut Ticket>, held: &mut Option<Held<'a>>) -> Result<Landed, Unwritten> {
        let (flight, record) = self.decided(None).await?;
        self.hold(&record, held).await?;
        let flight = flight.renewed();
        let noted = match (ticket, held.as_mut()) {
            (Some(ticket), _) => ticket.note(self.store, &flight).await?,
            (None, Some(held)) => held.hold.note(held.around, &flight).await?,
            (None, None) => true,
        };
        if !noted {
            return Err(taken_over());
        }
        self.reached(Step::EventNoted);
        let place = self.flights.send(&flight).await?;
        self.reached(Step::EventWritten);
        self.value_written(held.as_ref(), place).await;
        Ok(self.landed(&record, place))
    }

    async fn queue(&self, queues: &crate::queue::Queues, claim: &ClaimKey) -> Result<Front, Problem> {
        let deadline = tokio::time::Instant::from_std(self.deadline);
        tokio::time::timeout_at(deadline, queues.enter(&claim.key))
            .await
            .map_err(|_| busy("too many commands wait for the same key or value; try again").code("turn-taken"))
    }

    /// The row, once the views reflect the last event of the key and what the client asks for. None for a command that
    /// reads none.
    async fn row(&self, turn: &Turn) -> Result<Option<Row>, Problem> {
        let (Some(on), Some(reads)) = (&self.attempt.command().on, &self.reads) else { return Ok(None) };
        if let Some(place) = &turn.passed.position {
            reads.passed(&self.trail.topic, place, self.deadline).await?;
        }
        if let Some(after) = &self.attempt.after {
            reads.reflected(after).await?;
        }
        reads.refuse_parked(&self.trail.topic, self.trail.partition, self.key).await?;
        let Some(key) = on.key(&self.attempt.given.params) else { return Ok(None) };
        reads.row(&on.view().table, key).await
    }

    /// The event that comes of the facts.
    async fn decided(&self, row: Option<&Row>) -> Result<(Flight, Value), Problem> {
        self.judge(row)?;
        let command = self.attempt.command();
        let record = command.record_of(&self.attempt.facts(row)).map_err(Problem::invalid_fields)?;
        let payload = self.attempt.endpoint.encode(&self.attempt.server, &record).await?;
        let subject = self.attempt.endpoint.keys(&self.attempt.server).await?.text(self.key.as_bytes());
        let subject = subject.as_deref().unwrap_or_default();
        let flight = self.attempt.envelope.flight(command, (self.key, subject), self.trail, payload);
        Ok((flight, record))
    }

    /// Whether the command may go ahead, all that is known being known.
    fn judge(&self, row: Option<&Row>) -> Result<(), Problem> {
        let attempt = self.attempt;
        let command = attempt.command();
        if let (Some(on), None) = (&command.on, row) {
            let detail = format!("there is no row of `{}` at {}", on.view().table.name, attempt.path);
            return Err(Problem::not_found(detail));
        }
        if !command.allow.permits(attempt.caller.who(), row.map(|row| row.values.as_slice())) {
            return Err(refused(command, &attempt.caller));
        }
        if attempt.if_match.as_ref().is_some_and(|if_match| !if_match.holds(row.map(|row| row.position))) {
            let detail = "the row has changed since the state that If-Match names; read it again";
            return Err(Problem::precondition_failed(detail));
        }
        attempt.given.unmet(command, &attempt.facts(row))
    }

    /// Takes the event's unique value, if it has one, and makes sure that nobody else has it. What is held stays so, and
    /// is given up by whoever is told that it was for nothing.
    async fn hold(&self, record: &Value, held: &mut Option<Held<'a>>) -> Result<(), Problem> {
        let attempt = self.attempt;
        let (Some(unique), Some(reads)) = (&attempt.command().unique, self.reads) else { return Ok(()) };
        let taken = unique.taken(record).map_err(|error| Problem::invalid_fields(vec![error]))?;
        let table = &unique.view().table;
        let claim = value_key(&table.name, &taken.value);
        if let Some(other) = held.take_if(|held| *held.hold.claim() != claim) {
            other.hold.give_up(other.around).await?;
        }
        // Held since an earlier look: somebody may have taken it since, whose event no view shows yet.
        if let Some(mine) = held.as_mut()
            && !mine.hold.renew(mine.around).await?
        {
            *held = None;
        }
        if held.is_none() {
            let _front = self.queue(&attempt.server.values, &claim).await?;
            let settings = &attempt.server.api.settings;
            let around = Around { reads, flights: self.flights, settings, deadline: self.deadline };
            let event_id = attempt.envelope.event_id;
            let taker = Taker { event_id, key: self.key, trail: self.trail, decider: attempt.decider() };
            *held = Some(Held { hold: Hold::take(around, claim, taker).await?, around, _front });
            self.reached(Step::ValueTaken);
        }
        let owners = reads.owners(table, &taken.value).await?;
        if owners.iter().any(|owner| *owner != taken.owner) {
            return Err(self.taken_by_another(&unique.fields));
        }
        self.reached(Step::ValueFree);
        Ok(())
    }

    fn taken_by_another(&self, fields: &[String]) -> Problem {
        let (given, command) = (&self.attempt.given, self.attempt.command());
        let problem = Problem::conflict("somebody else has this value, and it must be unique").code("not-unique");
        fields
            .iter()
            .fold(problem, |problem, field| problem.error(given.place(command, field), field.clone(), "is taken"))
    }

    async fn value_written(&self, held: Option<&Held<'_>>, place: Place) {
        if let Some(held) = held {
            warn(held.hold.written(held.around, place).await);
            self.reached(Step::ValueWritten);
        }
    }

    /// The answer of an event that the log was found to have.
    async fn found(&self, payload: &[u8], place: Place) -> Result<Landed, Problem> {
        let record = self.attempt.endpoint.decode(&self.attempt.server, payload).await?;
        Ok(self.landed(&record, place))
    }

    fn landed(&self, record: &Value, place: Place) -> Landed {
        let command = self.attempt.command();
        let event_id = self.attempt.envelope.event_id;
        let answer = Answer::new(command, record, event_id, self.key, place, &self.attempt.path);
        Landed { answer, blob: command.blob_of(record).map(str::to_owned) }
    }
}

/// 401 or 403: what would have to hold is no secret.
pub(crate) fn refused(command: &Command, caller: &Caller) -> Problem {
    match caller.0 {
        None => Problem::unauthenticated(),
        Some(_) => Problem::forbidden(format!("this is for: {}", command.allow)),
    }
}

fn taken_over() -> Unwritten {
    busy("this took too long, and somebody else took over; try again").into()
}

/// The claim of a unique value.
fn value_key(view: &str, value: &[Value]) -> ClaimKey {
    let bump = bumpalo::Bump::new();
    let mut parts = vec![view.as_bytes().to_vec()];
    for value in value {
        let mut part = Vec::new();
        write_key(&value.borrow(&bump), &mut part);
        parts.push(part);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    ClaimKey::new("unique", &parts)
}

/// What is only tidied up: whoever comes next does it otherwise, later.
fn warn(result: Result<(), Problem>) {
    if let Err(problem) = result {
        tracing::warn!(%problem, "a claim is left to be settled by whoever comes next");
    }
}

impl From<Problem> for Unwritten {
    /// Before the event is noted, whatever goes wrong means that it will not be written.
    fn from(problem: Problem) -> Self {
        Unwritten::Refused(problem)
    }
}
