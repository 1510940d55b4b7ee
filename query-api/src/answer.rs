//! From rows to an answer: columns and what is joined as JSON, the tag, the token, 304.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use headwater_engine::plan::View;
use headwater_engine::query::{Join, Query};
use headwater_engine::table::{Key, Row};
use headwater_http::token::POSITION;
use headwater_http::{PositionToken, Problem, etag};
use headwater_schemas::json::to_json;
use serde_json::{Map, Value as Json};

use crate::cursor::encode;
use crate::reading::Reading;

/// The rows as objects: every visible column, then what is joined, each join's rows in one read.
pub(crate) async fn objects(
    query: &Query,
    rows: &[Row],
    reading: &mut Reading,
) -> Result<Vec<Map<String, Json>>, Problem> {
    let mut objects = rows.iter().map(|row| object(query.view(), row)).collect::<Result<Vec<_>, _>>()?;
    // Joins of one view share a read: the same author is looked up once, whoever names him.
    let mut done = vec![false; query.joins.len()];
    for first in 0..query.joins.len() {
        if done[first] {
            continue;
        }
        let same = |join: &Join| {
            join.view == query.joins[first].view && join.topology.name == query.joins[first].topology.name
        };
        let batch: Vec<usize> = (first..query.joins.len()).filter(|index| same(&query.joins[*index])).collect();
        let joins: Vec<&Join> = batch.iter().map(|index| &query.joins[*index]).collect();
        let joined = join(&joins, rows, reading).await?;
        for (object, fields) in objects.iter_mut().zip(joined) {
            object.extend(fields);
        }
        batch.iter().for_each(|index| done[*index] = true);
    }
    Ok(objects)
}

/// The fields that joins of one view add to each row.
async fn join(joins: &[&Join], rows: &[Row], reading: &mut Reading) -> Result<Vec<Vec<(String, Json)>>, Problem> {
    let mut keys: Vec<Key> = Vec::new();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    // By row, then by join: which of the keys; None where the key is null.
    let mut wanted: Vec<Vec<Option<usize>>> = Vec::with_capacity(rows.len());
    for row in rows {
        let of_row = joins.iter().map(|join| {
            let key: Key = join.key.iter().map(|column| row.values[*column].clone()).collect();
            if key.iter().any(|value| value.is_null()) {
                return None;
            }
            let mut bytes = Vec::new();
            encode(&key, &mut bytes);
            Some(*known.entry(bytes).or_insert_with(|| {
                keys.push(key);
                keys.len() - 1
            }))
        });
        wanted.push(of_row.collect());
    }
    let view = joins[0].view();
    let found = match keys.is_empty() {
        true => Vec::new(),
        false => reading.rows(&joins[0].topology, &view.table, &keys).await?,
    };
    let field = |join: &Join, key: Option<usize>| -> Result<(String, Json), Problem> {
        let initial = || view.initial_row();
        let row = key.and_then(|key| found[key].clone().or_else(initial));
        let json = match (row, join.column) {
            (None, _) => Json::Null,
            (Some(row), None) => Json::Object(object(view, &row)?),
            (Some(row), Some(column)) => to_json(&view.table.columns[column].ty, &row.values[column]),
        };
        Ok((join.name.clone(), json))
    };
    let fields_of = |keys: Vec<Option<usize>>| joins.iter().zip(keys).map(|(join, key)| field(join, key)).collect();
    wanted.into_iter().map(fields_of).collect()
}

/// A row's visible columns.
fn object(view: &View, row: &Row) -> Result<Map<String, Json>, Problem> {
    if let Some(column) = view.overflowed(row) {
        let detail = format!("what `{column}` of view `{}` holds no longer fits its type", view.table.name);
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "overflow", detail));
    }
    let columns = view.table.columns.iter().zip(&row.values);
    Ok(columns.map(|(column, value)| (column.name.clone(), to_json(&column.ty, value))).collect())
}

/// The answer, or 304 where the client has it.
pub(crate) fn respond(
    asked: &HeaderMap,
    tag: &str,
    token: &PositionToken,
    body: Vec<u8>,
) -> Result<Response<Body>, Problem> {
    let unchanged = etag::not_modified(asked, tag)?;
    let mut response = Response::new(if unchanged { Body::empty() } else { Body::from(body) });
    let headers = response.headers_mut();
    if !unchanged {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    validators(headers, tag, token);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    Ok(response)
}

/// What every answer says of itself: its tag, what it reflects, and that it is this caller's to keep and must be asked for
/// again.
pub(crate) fn validators(headers: &mut HeaderMap, tag: &str, token: &PositionToken) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    position(headers, token);
}

pub(crate) fn position(headers: &mut HeaderMap, token: &PositionToken) {
    if let (false, Ok(token)) = (token.is_empty(), HeaderValue::from_str(&token.to_string())) {
        headers.insert(POSITION, token);
    }
}
