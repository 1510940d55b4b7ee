//! What all requests share, and what all requests of one command share.

use std::sync::{Arc, OnceLock};

use bumpalo::Bump;
use bytes::Bytes;
use headwater_engine::command::Command;
use headwater_http::Problem;
use headwater_schemas::encode::encode;
use headwater_schemas::plan::DecodePlan;
use headwater_schemas::registry::RegistryError;
use headwater_schemas::{KeyCodec, SchemaId, Value, ValueRef, wire};
use headwater_views::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::CommandApi;
use crate::flight::{Flights, busy};
use crate::queue::Queues;

pub(crate) struct Server {
    pub(crate) api: CommandApi,
    pub(crate) flights: Flights,
    /// Commands of one key.
    pub(crate) turns: Queues,
    /// Commands that take one value.
    pub(crate) values: Queues,
    under_way: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

/// A command and what it needs at hand.
pub(crate) struct Endpoint {
    pub(crate) command: Arc<Command>,
    /// Holds its claims, and the views that it looks at.
    pub(crate) store: Store,
    /// By its name in `headwater.yaml`.
    pub(crate) store_name: String,
    /// The event's, once it is registered.
    schema_id: OnceLock<SchemaId>,
    /// The topic's, once the id that they have is known.
    keys: OnceLock<KeyCodec>,
}

impl Server {
    pub(crate) fn new(api: CommandApi) -> Self {
        Self {
            flights: Flights { log: api.log.clone(), delivery_timeout: api.settings.delivery_timeout },
            turns: Queues::default(),
            values: Queues::default(),
            under_way: Arc::new(Semaphore::new(api.settings.flights)),
            uploads: Arc::new(Semaphore::new(api.settings.uploads)),
            api,
        }
    }

    /// A place among the commands that are under way.
    pub(crate) fn flight_slot(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let slot = self.under_way.clone().try_acquire_owned();
        slot.map_err(|_| busy("more commands are under way than this instance takes; try again").code("busy"))
    }

    /// A place among the uploads.
    pub(crate) fn upload_slot(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let slot = self.uploads.clone().try_acquire_owned();
        slot.map_err(|_| busy("more uploads are under way than this instance takes; try again").code("busy"))
    }
}

impl Endpoint {
    pub(crate) fn new(command: Arc<Command>, store_name: String, store: Store) -> Self {
        Self { command, store, store_name, schema_id: OnceLock::new(), keys: OnceLock::new() }
    }

    /// How message keys are written.
    pub(crate) async fn keys(&self, server: &Server) -> Result<&KeyCodec, Problem> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let keys = server.api.registry.key_codec(&self.command.topic).await.map_err(registry_problem)?;
        Ok(self.keys.get_or_init(|| keys))
    }

    /// The record as a message's payload.
    pub(crate) async fn encode(&self, server: &Server, record: &Value) -> Result<Bytes, Problem> {
        let event = self.command.event();
        let id = match self.schema_id.get() {
            Some(id) => *id,
            // Several may ask at first: registering is idempotent.
            None => {
                let subject = self.command.topic.subject(event);
                let id = server.api.registry.register(&subject, &event.schema).await.map_err(registry_problem)?;
                *self.schema_id.get_or_init(|| id)
            }
        };
        let mut body = Vec::new();
        encode(&event.schema, record, &mut body).map_err(Problem::internal)?;
        let mut payload = Vec::with_capacity(body.len() + 5);
        wire::frame(id, &body, &mut payload);
        Ok(payload.into())
    }

    /// The record of a payload that this command wrote, perhaps with an earlier schema.
    pub(crate) async fn decode(&self, server: &Server, payload: &[u8]) -> Result<Value, Problem> {
        let (id, body) = wire::split(payload).map_err(Problem::internal)?;
        let writer = server.api.registry.by_id(id).await.map_err(registry_problem)?;
        let reader = self.command.record();
        let all: Vec<usize> = (0..reader.fields.len()).collect();
        let plan = DecodePlan::compile(&writer, reader, &all).map_err(Problem::internal)?;
        let bump = Bump::new();
        let fields = plan.decode(body, &bump).map_err(Problem::internal)?;
        Ok(Value::Record(fields.iter().map(ValueRef::to_owned).collect()))
    }
}

fn registry_problem(error: RegistryError) -> Problem {
    match error {
        RegistryError::Unreachable { .. } => {
            tracing::warn!(%error, "a command met a registry that is not available");
            busy("the schema registry is not available at the moment").code("registry-unavailable")
        }
        error => Problem::internal(error),
    }
}
