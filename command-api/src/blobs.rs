//! Content on its way into the blob store, and what is swept when no event comes to name it.
//!
//! A blob's name is random, never made of its content: two uploads never share a blob, so removing the one that no event
//! names cannot take away another's. Before content is stored, a note of it is ([`Note`]): which event will name it, and
//! where that is decided. The note goes once the event is in the log. What is left, a crash has left, and the sweep
//! asks the log before it removes anything.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use headwater_http::Problem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::CommandApi;
use crate::claims::now_ms;
use crate::flight::{Flights, Trail, busy, is_past};
use crate::key::MessageKey;
use crate::promise;
use crate::turn::{self, Turn};
use crate::unique::Decider;

/// Where notes are; no blob's name begins with it.
const NOTES: &str = "uploading";
/// How long settling one event may wait for another's.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which event an upload is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) blob: String,
    pub(crate) event_id: Uuid,
    /// The event's message key.
    pub(crate) key: MessageKey,
    pub(crate) trail: Trail,
    pub(crate) decider: Decider,
    /// The store that holds the claims, by its name in `headwater.yaml`.
    pub(crate) store: String,
    pub(crate) since_ms: i64,
}

/// The blob store, and the folder that it is, where it is one.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) folder: Option<PathBuf>,
}

/// Content that was noted. Unless told otherwise, dropping it removes it: its client left, or nothing came of it.
#[derive(Debug)]
pub(crate) struct Noted {
    blobs: Blobs,
    note: Path,
    pub(crate) blob: Path,
    settled: bool,
}

impl Blobs {
    /// Notes an upload before any of it is stored.
    pub(crate) async fn note(&self, note: &Note) -> Result<Noted, Problem> {
        let path = Path::from(format!("{NOTES}/{}", note.blob.replace('/', "-")));
        let text = serde_json::to_vec(note).map_err(Problem::internal)?;
        self.store.put(&path, PutPayload::from(text)).await.map_err(problem)?;
        Ok(Noted { blobs: self.clone(), note: path, blob: Path::from(note.blob.as_str()), settled: false })
    }

    /// A blob, all of it, and what a crash has left of it.
    async fn remove(&self, blob: &Path) -> Result<(), object_store::Error> {
        match self.store.delete(blob).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        if let Some(folder) = &self.folder {
            remove_staged(&folder.join(blob.as_ref())).await;
        }
        Ok(())
    }

    async fn remove_noted(&self, note: &Path, blob: &Path) {
        // The note last: it is what the sweep goes by.
        let removed = match self.remove(blob).await {
            Ok(()) => self.store.delete(note).await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, %blob, "an upload that came to nothing is left for the sweep");
        }
    }
}

/// A name for a new blob: random, spread over 256 folders.
pub(crate) fn new_name() -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("{}/{id}", &id[..2])
}

/// The local folder's store writes `<blob>#<number>` and renames it; a crash leaves that behind.
async fn remove_staged(blob: &std::path::Path) {
    let (Some(folder), Some(name)) = (blob.parent(), blob.file_name()) else { return };
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let file = entry.file_name();
        let is_staged = file.to_str().zip(name.to_str()).is_some_and(|(file, name)| {
            file.strip_prefix(name).and_then(|rest| rest.strip_prefix('#')).is_some_and(|n| n.parse::<u32>().is_ok())
        });
        if is_staged && let Err(error) = tokio::fs::remove_file(entry.path()).await {
            tracing::warn!(%error, path = %entry.path().display(), "a file that a crash left cannot be removed");
        }
    }
}

impl Noted {
    /// An event names it: the note has served.
    pub(crate) async fn named(mut self) {
        self.settled = true;
        if let Err(error) = self.blobs.store.delete(&self.note).await {
            tracing::warn!(%error, blob = %self.blob, "an upload's note is left for the sweep");
        }
    }

    /// Whether an event will name it is not known: the sweep will.
    pub(crate) fn leave(mut self) {
        self.settled = true;
    }

    /// No event will name it.
    pub(crate) async fn remove(mut self) {
        self.settled = true;
        self.blobs.remove_noted(&self.note, &self.blob).await;
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.settled, tokio::runtime::Handle::try_current()) else { return };
        let (blobs, note, blob) = (self.blobs.clone(), self.note.clone(), self.blob.clone());
        runtime.spawn(async move { blobs.remove_noted(&note, &blob).await });
    }
}

/// Removes content that no event names and none will, noted longer ago than it is kept; how many.
pub(crate) async fn sweep(api: &CommandApi, flights: &Flights) -> Result<usize, Problem> {
    let blobs = Blobs { store: api.blobs.clone(), folder: api.blob_folder.clone() };
    let mut removed = 0;
    let mut notes = blobs.store.list(Some(&Path::from(NOTES)));
    while let Some(found) = notes.try_next().await.map_err(problem)? {
        let bytes = match blobs.store.get(&found.location).await {
            Ok(content) => content.bytes().await.map_err(problem)?,
            // Its upload has just ended.
            Err(object_store::Error::NotFound { .. }) => continue,
            Err(error) => return Err(problem(error)),
        };
        let Ok(note) = serde_json::from_slice::<Note>(&bytes) else {
            tracing::warn!(note = %found.location, "an upload's note cannot be read and is left alone");
            continue;
        };
        let blob = Path::from(note.blob.as_str());
        // An upload may take long: what counts is when its content was complete.
        let stored = blobs.store.head(&blob).await.map_or(0, |meta| meta.last_modified.timestamp_millis());
        if !is_past(note.since_ms.max(stored), api.settings.orphans_kept) {
            continue;
        }
        match names(api, flights, &note).await {
            Ok(true) => blobs.store.delete(&found.location).await.map_err(problem)?,
            Ok(false) => {
                blobs.remove_noted(&found.location, &blob).await;
                removed += 1;
            }
            Err(problem) => tracing::warn!(%problem, blob = %blob, "an upload is left for the next sweep"),
        }
    }
    Ok(removed)
}

/// Whether the event names the blob, once its fate is settled where it is decided.
async fn names(api: &CommandApi, flights: &Flights, note: &Note) -> Result<bool, Problem> {
    let Some(store) = api.stores.get(&note.store) else {
        return Err(Problem::internal(format!("there is no store `{}` any more", note.store)));
    };
    let deadline = Instant::now() + PATIENCE;
    match &note.decider {
        Decider::Here => {}
        Decider::Turn => {
            Turn::fence(store, flights, &turn::claim_key(&note.trail.topic, &note.key), deadline).await?;
        }
        Decider::Promise(key) => promise::fence(store, flights, key, note.event_id, deadline).await?,
    }
    let found = flights.find(&note.trail, note.event_id).await?;
    // An attempt that was repeated has stored its content again: only one of the blobs is named.
    let payload = found.and_then(|(_, record)| record.payload).unwrap_or_default();
    Ok(payload.windows(note.blob.len()).any(|window| window == note.blob.as_bytes()))
}

pub(crate) fn problem(error: object_store::Error) -> Problem {
    tracing::warn!(%error, "a command met a blob store that is not available");
    busy("the blob store is not available at the moment").code("blobs-unavailable")
}

impl Note {
    pub(crate) fn new(
        blob: String,
        event_id: Uuid,
        key: MessageKey,
        trail: Trail,
        decider: Decider,
        store: String,
    ) -> Self {
        Self { blob, event_id, key, trail, decider, store, since_ms: now_ms() }
    }
}
