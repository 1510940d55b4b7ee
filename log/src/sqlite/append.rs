//! Group commit: one task takes whatever appends are waiting, writes them in one transaction, and acknowledges them after
//! its commit.
//!
//! The queue is bounded in requests and in bytes; beyond either, [`Queue::submit`] waits. What only one append has wrong (no
//! such topic, no such partition) fails that append alone; a transaction that fails, fails each of its appends.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use sqlx::{AssertSqlSafe, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::LogError;
use crate::log::Once;
use crate::partitioner::Spread;
use crate::record::{self, Appended, NewRecord, Offset};
use crate::sqlite::file::WriteConnection;
use crate::sqlite::read::{Entry, Range, Seen};
use crate::sqlite::schema::{MAX_OFFSET, offset_of, row_id, slot_of};
use crate::sqlite::{Shared, headers};

/// Appends that wait at most, in number and in bytes.
const QUEUE_REQUESTS: usize = 4_096;
const QUEUE_BYTES: usize = 64 << 20;

/// Records and bytes in one transaction, at most, save for a single larger record.
const BATCH_RECORDS: usize = 4_000;
const BATCH_BYTES: usize = 16 << 20;

/// What a record takes beside its own bytes, roughly, so that empty ones count too.
const RECORD_OVERHEAD_BYTES: usize = 128;

/// Rows in one statement. Few sizes, so that each is prepared once.
const ROWS: [usize; 4] = [512, 64, 8, 1];

static INSERTS: LazyLock<[Arc<str>; 4]> = LazyLock::new(|| {
    ROWS.map(|rows| {
        let values = vec!["(?,?,?,?,?)"; rows].join(",");
        Arc::from(format!("insert into records (id, timestamp_ms, headers, key, payload) values {values}"))
    })
});

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    requests: mpsc::Sender<Request>,
    bytes: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

/// Records for one topic that are written together.
#[derive(Debug)]
struct Request {
    topic: String,
    records: Vec<NewRecord>,
    /// Of a single record: write it only if it is not there yet.
    once: Option<Once>,
    bytes: usize,
    reply: oneshot::Sender<Result<Vec<Appended>, LogError>>,
    /// Given back once the request is dealt with.
    _room: OwnedSemaphorePermit,
}

/// A record with its place in the file.
struct Row<'a> {
    id: i64,
    timestamp_ms: i64,
    record: &'a NewRecord,
}

/// A topic within a transaction: where each partition goes on.
struct Open {
    entry: Entry,
    next: Vec<i64>,
}

impl Queue {
    /// Hands records to the writer and answers once they are durable.
    pub(super) async fn submit(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        once: Option<Once>,
    ) -> Result<Vec<Appended>, LogError> {
        let began = Instant::now();
        let bytes = records.iter().map(cost).sum::<usize>();
        // A request larger than the queue takes all of it.
        let room = bytes.min(QUEUE_BYTES) as u32;
        let room = Arc::clone(&self.bytes).acquire_many_owned(room).await.map_err(|_| LogError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let request = Request { topic: topic.to_owned(), records, once, bytes, reply, _room: room };
        self.requests.send(request).await.map_err(|_| LogError::Closed)?;
        let answer = answer.await.map_err(|_| LogError::Closed)?;
        if answer.is_ok() {
            metrics::histogram!("headwater_log_append_seconds").record(began.elapsed().as_secs_f64());
        }
        answer
    }

    /// Takes no more requests. The writer deals with what it has been given, and ends.
    pub(super) fn close(&self) {
        self.bytes.close();
        self.closing.send_replace(true);
    }
}

/// Splits records into requests that fit a transaction, in order.
pub(super) fn parts(records: Vec<NewRecord>) -> Vec<Vec<NewRecord>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for record in records {
        let cost = cost(&record);
        if part.len() == BATCH_RECORDS || bytes + cost > BATCH_BYTES && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += cost;
        part.push(record);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn cost(record: &NewRecord) -> usize {
    record.size() + RECORD_OVERHEAD_BYTES
}

/// Starts the writer. It ends when the queue is closed or dropped, and what was accepted is written.
pub(super) fn start(shared: Arc<Shared>) -> (Queue, JoinHandle<()>) {
    let (requests, incoming) = mpsc::channel(QUEUE_REQUESTS);
    let (closing, closed) = watch::channel(false);
    let writer = tokio::spawn(run(shared, incoming, closed));
    (Queue { requests, bytes: Arc::new(Semaphore::new(QUEUE_BYTES)), closing }, writer)
}

async fn run(shared: Arc<Shared>, mut incoming: mpsc::Receiver<Request>, mut closing: watch::Receiver<bool>) {
    let mut spread = Spread::starting_at(rand::random());
    let mut open = true;
    loop {
        let first = tokio::select! {
            biased;
            // Told to close, or dropped: either way there is no more to come.
            _ = closing.wait_for(|closing| *closing), if open => {
                open = false;
                incoming.close();
                continue;
            }
            request = incoming.recv() => match request {
                Some(request) => request,
                None => return,
            },
        };
        let batch = fill(first, &mut incoming);
        if !batch.is_empty() {
            write(&shared, batch, &mut spread).await;
        }
    }
}

/// This request and what waits behind it, as far as a transaction goes. What nobody waits for any more is left out.
fn fill(first: Request, incoming: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let mut batch = Vec::new();
    let (mut records, mut bytes) = (0, 0);
    let mut next = Some(first);
    while let Some(request) = next {
        if !request.reply.is_closed() {
            records += request.records.len();
            bytes += request.bytes;
            batch.push(request);
        }
        let full = records >= BATCH_RECORDS || bytes >= BATCH_BYTES;
        next = if full { None } else { incoming.try_recv().ok() };
    }
    batch
}

async fn write(shared: &Shared, batch: Vec<Request>, spread: &mut Spread) {
    let result = {
        let mut write = shared.write.lock().await;
        let result = transact(shared, &mut write, &batch, spread).await;
        write.settle(result).await
    };
    match result {
        Ok(answers) => {
            shared.notify();
            count(&batch, &answers);
            for (request, answer) in batch.into_iter().zip(answers) {
                // Whoever asked may have gone; the record is there all the same.
                let _ = request.reply.send(answer);
            }
        }
        Err(error) => {
            tracing::warn!(%error, appends = batch.len(), "appends failed");
            for request in batch {
                let _ = request.reply.send(Err(error.clone()));
            }
        }
    }
}

fn count(batch: &[Request], answers: &[Result<Vec<Appended>, LogError>]) {
    let mut written = 0;
    for (request, answer) in batch.iter().zip(answers) {
        if let Ok(appended) = answer {
            written += appended.len();
            let topic = request.topic.clone();
            metrics::counter!("headwater_log_records_total", "topic" => topic).increment(appended.len() as u64);
        }
    }
    metrics::histogram!("headwater_log_append_batch_records").record(written as f64);
}

/// Writes the batch in one transaction. Answers for each request what became of it, once all is committed.
async fn transact(
    shared: &Shared,
    write: &mut WriteConnection,
    batch: &[Request],
    spread: &mut Spread,
) -> Result<Vec<Result<Vec<Appended>, LogError>>, LogError> {
    let fault = |error| shared.file.fault("append to", &error);
    let now_ms = record::now_ms();
    let mut transaction = write.begin().await?;
    let mut topics = HashMap::new();
    let mut rows = Vec::with_capacity(batch.iter().map(|request| request.records.len()).sum());
    let mut answers = Vec::with_capacity(batch.len());
    for request in batch {
        if !topics.contains_key(request.topic.as_str()) {
            let seen = shared.find_topic(&mut transaction, &request.topic).await?;
            topics.insert(request.topic.as_str(), seen.map(Open::from));
        }
        answers.push(match topics.get_mut(request.topic.as_str()) {
            Some(Some(topic)) => match topic.already(shared, &mut transaction, request, spread, &rows).await? {
                Some(there) => there,
                None => topic.place(&request.records, now_ms, spread, &mut rows),
            },
            _ => Err(LogError::unknown(&request.topic)),
        });
    }
    if !rows.is_empty() {
        insert(&mut transaction, &rows).await.map_err(fault)?;
        transaction.commit().await.map_err(fault)?;
    }
    Ok(answers)
}

async fn insert(on: &mut SqliteConnection, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    for (size, sql) in ROWS.iter().zip(INSERTS.iter()) {
        while let Some((chunk, after)) = rest.split_at_checked(*size) {
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
            for row in chunk {
                query = query
                    .bind(row.id)
                    .bind(row.timestamp_ms)
                    .bind(headers::encode(&row.record.headers))
                    .bind(row.record.key.as_deref())
                    .bind(row.record.payload.as_deref());
            }
            query.execute(&mut *on).await?;
            rest = after;
        }
    }
    Ok(())
}

impl From<Seen> for Open {
    fn from(seen: Seen) -> Self {
        Open { entry: seen.entry, next: seen.extents.iter().map(|extent| extent.end.0).collect() }
    }
}

impl Open {
    /// Where a record that is to be written once is already: in the file, or among the rows that this transaction will
    /// write. None where it is to be written.
    async fn already(
        &self,
        shared: &Shared,
        on: &mut SqliteConnection,
        request: &Request,
        spread: &mut Spread,
        rows: &[Row<'_>],
    ) -> Result<Option<Result<Vec<Appended>, LogError>>, LogError> {
        let (Some(once), [record]) = (request.once, request.records.as_slice()) else { return Ok(None) };
        let Some(value) = record.header(once.header) else { return Ok(None) };
        let info = &self.entry.info;
        let place = spread.place(info, record).and_then(|partition| Ok((partition, info.index(partition)?)));
        let (partition, index) = match place {
            Ok(place) => place,
            Err(error) => return Ok(Some(Err(error))),
        };
        let range = Range { slot: self.entry.slots[index], from: once.from.0, end: self.next[index] };
        let found = match shared.search(on, range, once.header, value).await? {
            Some(found) => Some(found.offset),
            None => rows
                .iter()
                .find(|row| slot_of(row.id) == range.slot && row.record.has_header(once.header, value))
                .map(|row| Offset(offset_of(row.id))),
        };
        Ok(found.map(|offset| Ok(vec![Appended { topic: info.id, partition, offset }])))
    }

    /// Gives each record the next offset of its partition, or none of them if one has no partition to go to.
    fn place<'a>(
        &mut self,
        records: &'a [NewRecord],
        now_ms: i64,
        spread: &mut Spread,
        rows: &mut Vec<Row<'a>>,
    ) -> Result<Vec<Appended>, LogError> {
        let info = &self.entry.info;
        let partitions =
            records.iter().map(|record| spread.place(info, record)).collect::<Result<Vec<_>, LogError>>()?;
        let mut appended = Vec::with_capacity(records.len());
        // No file gets there; but if one did, the next offset would be another partition's place.
        let room = MAX_OFFSET - self.next.iter().max().copied().unwrap_or_default();
        if usize::try_from(room).unwrap_or_default() < records.len() {
            let (topic, limit, allowed) = (info.name.clone(), "the embedded log", MAX_OFFSET as usize);
            return Err(LogError::TooLarge { topic, what: "its offset is beyond", limit, allowed, found: allowed });
        }
        for (record, partition) in records.iter().zip(partitions) {
            let index = info.index(partition)?;
            let offset = self.next[index];
            self.next[index] += 1;
            let timestamp_ms = record.timestamp_ms.unwrap_or(now_ms);
            rows.push(Row { id: row_id(self.entry.slots[index], offset), timestamp_ms, record });
            appended.push(Appended { topic: info.id, partition, offset: Offset(offset) });
        }
        Ok(appended)
    }
}
