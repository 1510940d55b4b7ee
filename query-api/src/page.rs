//! `page:` a partition's rows in clustering order, by keyset; or several partitions', newest bucket first; or sorted.
//!
//! Rows that change while a client goes through the pages move or do not, as their keys do: a row whose key stays is
//! given once. A page may have fewer rows than asked, none even, and still a `next`: one request looks at
//! [`MOST_PARTITIONS`] partitions at most.

use std::time::UNIX_EPOCH;

use axum::extract::Request;
use axum::response::Response;
use headwater_engine::query::{Answer, CURSOR, Query, SIZE, Walk};
use headwater_engine::table::Row;
use headwater_http::{Place as In, Problem, etag};
use headwater_schemas::Value;
use headwater_views::PageRequest;
use serde_json::{Value as Json, json};

use crate::cursor::Cursor;
use crate::reading::Reading;
use crate::request::{Asked, read, refused};
use crate::{QueryApi, answer, sorted};

/// Reads of partitions that one request may cost.
const MOST_PARTITIONS: usize = 256;

pub(crate) async fn answer(api: &QueryApi, query: &Query, request: Request) -> Result<Response, Problem> {
    let Answer::Page { walk, size_default, size_max, ref sort } = query.answer else {
        return Err(Problem::internal("not a page"));
    };
    let (mut parts, _) = request.into_parts();
    let asked = read(api, query, &mut parts, &[SIZE, CURSOR]).await?;
    let size = size(asked.given.get(SIZE), size_default, size_max)?;
    let cursor = asked.given.get(CURSOR).map(|text| Cursor::parse(text, query, &asked.key)).transpose()?;
    refuse_others(query, &asked)?;
    let mut reading = Reading::open(api, query, asked.after.as_ref()).await?;
    let generation = reading.generation(&query.topology)?;
    let start = match cursor {
        None => start(api, walk, generation),
        Some(cursor) if cursor.generation == generation => Some(cursor),
        Some(_) => {
            let detail = "the views were rebuilt since this cursor was given; start from the first page";
            return Err(Problem::gone(detail).code("cursor-expired"));
        }
    };
    let (rows, next) = match (start, sort) {
        (Some(start), None) => gather(query, walk, &asked.key, start, size, &mut reading).await?,
        (Some(start), Some(sort)) => sorted::gather(query, sort, &asked.key, start, size, &mut reading).await?,
        (None, _) => (Vec::new(), None),
    };
    let items = answer::objects(query, &rows, &mut reading).await?;
    let next = next.map_or(Json::Null, |cursor| cursor.text(query, &asked.key).into());
    let body = serde_json::to_vec(&json!({ "items": items, "next": next })).map_err(Problem::internal)?;
    let tag = etag::answer_tag(generation, &body);
    answer::respond(&asked.headers, &tag, &reading.token, body)
}

fn size(given: Option<&str>, default: u32, max: u32) -> Result<usize, Problem> {
    let size = match given {
        None => default,
        Some(text) => text.parse().ok().filter(|size| (1..=max).contains(size)).ok_or_else(|| {
            Problem::malformed(In::Query, SIZE, format!("expected a whole number from 1 to {max}, found `{text}`"))
        })?,
    };
    Ok(size as usize)
}

/// `owner(column)` on a page is of a partition column, known from the request.
fn refuse_others(query: &Query, asked: &Asked) -> Result<(), Problem> {
    let mut row = vec![Value::Null; query.table().columns.len()];
    for (parameter, value) in query.parameters.iter().zip(&asked.key) {
        row[parameter.column] = value.clone();
    }
    if query.allow.permits(asked.caller.who(), Some(&row)) { Ok(()) } else { Err(refused(&asked.caller)) }
}

/// The first page's start. A walk starts one bucket ahead of the clock: clocks of writers differ, and zones are not asked.
fn start(api: &QueryApi, walk: Option<Walk>, generation: u32) -> Option<Cursor> {
    let Some(walk) = walk else { return Some(Cursor { generation, bucket: 0, left: 0, after: None }) };
    let now = (api.clock)().duration_since(UNIX_EPOCH).ok()?;
    let now = walk.unit.floor(i64::try_from(now.as_micros()).ok()?)?;
    let ahead = walk.unit.after(now)?;
    Some(Cursor { generation, bucket: ahead, left: walk.back.saturating_add(2), after: None })
}

/// The rows from `at` on, at most `size`, and where the next page starts.
async fn gather(
    query: &Query,
    walk: Option<Walk>,
    key: &[Value],
    mut at: Cursor,
    size: usize,
    reading: &mut Reading,
) -> Result<(Vec<Row>, Option<Cursor>), Problem> {
    let table = query.table();
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..MOST_PARTITIONS {
        let room = size - rows.len();
        let partition = partition(query, walk, key, at.bucket);
        // One more than there is room for tells whether there are more.
        let page = PageRequest { partition, after: at.after.clone(), limit: room + 1 };
        let mut found = reading.page(&query.topology, table, &page).await?;
        let more = found.len() > room;
        found.truncate(room);
        if let Some(last) = found.last() {
            at.after = Some(last.values[table.partition..table.key_len()].to_vec());
        }
        rows.extend(found.into_iter().filter(|row| !row.hidden));
        if !more {
            match walk.and_then(|walk| back(walk, &at)) {
                None => return Ok((rows, None)),
                Some(before) => at = before,
            }
        }
        if rows.len() == size {
            break;
        }
    }
    Ok((rows, Some(at)))
}

/// The start of the bucket before; None once the walk has gone far enough.
fn back(walk: Walk, at: &Cursor) -> Option<Cursor> {
    let left = at.left.checked_sub(1).filter(|left| *left > 0)?;
    Some(Cursor { generation: at.generation, bucket: walk.unit.before(at.bucket)?, left, after: None })
}

fn partition(query: &Query, walk: Option<Walk>, key: &[Value], bucket: i64) -> Vec<Value> {
    let mut given = query.parameters.iter().zip(key);
    let column = |column| match walk {
        Some(walk) if walk.column == column => Value::Timestamp(bucket),
        _ => given.next().map_or(Value::Null, |(_, value)| value.clone()),
    };
    (0..query.table().partition).map(column).collect()
}
