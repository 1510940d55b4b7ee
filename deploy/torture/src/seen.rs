//! What clients see at the end: every query's answer over HTTP, compared with what the second fold says it must be.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Utc};
use reqwest::StatusCode;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::Fallible;
use crate::clients::Doors;
use crate::fold::{Document, Version, Views};

/// Requests at a time.
const AT_ONCE: usize = 8;
/// Versions whose content is downloaded and hashed.
const DOWNLOADS: usize = 300;
/// What `list_documents` walks back.
const MONTHS_LISTED: i32 = 240;
/// Pages are small, so that there are many.
const PAGE: &str = "37";

/// A difference: what is looked at, what must be there, what is there.
pub(crate) type Differences = Vec<String>;

/// Asks for everything and compares.
pub(crate) async fn compare(doors: &Arc<Doors>, views: &Arc<Views>) -> Fallible<Differences> {
    let mut differences = Vec::new();
    let count = one(doors, &["documents", "count"]).await?;
    let versions: usize = views.documents.values().map(|document| document.versions.len()).sum();
    // A sum of longs is a decimal, which is text in JSON.
    let sum = if versions == 0 { Json::Null } else { versions.to_string().into() };
    differ(&mut differences, "count", &json!({ "documents": views.documents.len(), "versions": sum }), &count);
    compare_list(doors, views, &mut differences).await?;
    let ids: Vec<String> = views.ever.keys().cloned().collect();
    let mut under_way = JoinSet::new();
    for chunk in ids.chunks(ids.len().div_ceil(AT_ONCE).max(1)) {
        let (doors, views, chunk) = (Arc::clone(doors), Arc::clone(views), chunk.to_vec());
        under_way.spawn(async move { compare_documents(&doors, &views, &chunk).await });
    }
    while let Some(done) = under_way.join_next().await {
        differences.extend(done??);
    }
    compare_contents(doors, views, &mut differences).await?;
    Ok(differences)
}

async fn compare_list(doors: &Doors, views: &Views, differences: &mut Differences) -> Fallible<()> {
    let listed = pages(doors, &["documents"]).await?;
    let mut wanted: Vec<(i64, i64, &String, &Document)> = Vec::new();
    let now = Utc::now();
    let ahead = now.year() * 12 + now.month0() as i32 + 1;
    for (id, document) in &views.documents {
        let Some(updated) = DateTime::from_timestamp_micros(document.updated) else { continue };
        let months = updated.year() * 12 + updated.month0() as i32;
        if (0..MONTHS_LISTED + 2).contains(&(ahead - months)) {
            wanted.push((months.into(), document.updated, id, document));
        }
    }
    wanted.sort_by(|a, b| (b.1, a.2).cmp(&(a.1, b.2)));
    let wanted: Vec<Json> = wanted.into_iter().map(|(.., id, document)| listed_row(id, document, views)).collect();
    if wanted.len() != listed.len() {
        differences.push(format!("list: expected {} documents, found {}", wanted.len(), listed.len()));
    }
    let by_id = |rows: &[Json]| -> BTreeMap<String, usize> {
        let id = |(place, row): (usize, &Json)| (row["doc_id"].as_str().unwrap_or_default().to_owned(), place);
        rows.iter().enumerate().map(id).collect()
    };
    let (places, found) = (by_id(&wanted), by_id(&listed));
    for (id, place) in &places {
        match found.get(id) {
            None => differences.push(format!("list: {id} is missing; expected {}", wanted[*place])),
            Some(at) => differ(differences, &format!("list, {id}"), &wanted[*place], &listed[*at]),
        }
    }
    differences.extend(found.keys().filter(|id| !places.contains_key(*id)).map(|id| format!("list: {id} is too many")));
    let order = |rows: &[Json]| rows.iter().map(|row| row["doc_id"].clone()).collect::<Vec<_>>();
    if places.len() == found.len() && order(&wanted) != order(&listed) {
        differences.push("list: the same documents in another order".to_owned());
    }
    Ok(())
}

async fn compare_documents(doors: &Doors, views: &Views, ids: &[String]) -> Fallible<Differences> {
    let mut differences = Vec::new();
    for id in ids {
        let found = one(doors, &["documents", id]).await?;
        let expected = views.documents.get(id).map_or(Json::Null, |document| document_row(id, document, views));
        differ(&mut differences, &format!("document {id}"), &expected, &found);
        let found = pages(doors, &["documents", id, "versions"]).await?;
        let versions = views.documents.get(id).map(|document| document.versions.as_slice()).unwrap_or_default();
        let numbered = versions.iter().enumerate().rev();
        let expected: Vec<Json> = numbered.map(|(index, version)| version_row(id, index + 1, version, views)).collect();
        if expected.len() != found.len() {
            let (expected, found) = (expected.len(), found.len());
            differences.push(format!("versions of {id}: expected {expected}, found {found}"));
        }
        for (expected, found) in expected.iter().zip(&found) {
            differ(&mut differences, &format!("version {} of {id}", expected["number"]), expected, found);
        }
    }
    Ok(differences)
}

/// The bytes of versions that came through the command API.
async fn compare_contents(doors: &Doors, views: &Views, differences: &mut Differences) -> Fallible<()> {
    let uploaded = views.documents.iter().flat_map(|(id, document)| {
        document.versions.iter().enumerate().map(move |(index, version)| (id, index + 1, version))
    });
    for (id, number, version) in uploaded.filter(|(_, _, version)| version.blob != "none").take(DOWNLOADS) {
        let url = doors.query(&["documents", id, "versions", &number.to_string(), "content"])?;
        let answer = doors.get(url).send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if status != StatusCode::OK || hash != version.sha256 || bytes.len() as i64 != version.size {
            differences.push(format!("content of version {number} of {id}: {status}, {} bytes of {hash}", bytes.len()));
        }
    }
    Ok(())
}

fn email(views: &Views, user: &str) -> Json {
    views.authors.get(user).map_or(Json::Null, |email| email.as_str().into())
}

fn listed_row(id: &str, document: &Document, views: &Views) -> Json {
    let at = DateTime::from_timestamp_micros(document.updated).unwrap_or_default();
    let month = at.date_naive().with_day(1).unwrap_or_default().and_time(chrono::NaiveTime::MIN);
    json!({
        "month": month.and_utc().timestamp_micros(), "updated": document.updated, "doc_id": id, "name": document.name,
        "mime_type": document.mime_type, "updated_by": document.updated_by, "versions": document.versions.len(),
        "updated_by_email": email(views, &document.updated_by),
    })
}

fn document_row(id: &str, document: &Document, views: &Views) -> Json {
    json!({
        "doc_id": id, "name": document.name, "mime_type": document.mime_type, "created_by": document.created_by,
        "created": document.created, "updated_by": document.updated_by, "updated": document.updated,
        "versions": document.versions.len(), "created_by_email": email(views, &document.created_by),
        "updated_by_email": email(views, &document.updated_by),
    })
}

fn version_row(id: &str, number: usize, version: &Version, views: &Views) -> Json {
    json!({
        "doc_id": id, "number": number, "name": version.name, "mime_type": version.mime_type,
        "content": { "blob": version.blob, "sha256": version.sha256, "size": version.size },
        "created_by": version.created_by, "created": version.created,
        "created_by_email": email(views, &version.created_by),
    })
}

fn differ(differences: &mut Differences, what: &str, expected: &Json, found: &Json) {
    let found = timed(found.clone());
    let sorted = |json: &Json| -> BTreeMap<String, Json> {
        json.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    if sorted(expected) != sorted(&found) {
        differences.push(format!("{what}:\n      expected {expected}\n      found    {found}"));
    }
}

/// Times as microseconds, so that how they are written does not matter.
fn timed(row: Json) -> Json {
    let Json::Object(row) = row else { return row };
    let field = |(name, value): (String, Json)| {
        let time = ["month", "created", "updated"].contains(&name.as_str());
        let parsed = value.as_str().filter(|_| time).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        (name, parsed.map_or(value, |at| at.timestamp_micros().into()))
    };
    Json::Object(row.into_iter().map(field).collect::<Map<_, _>>())
}

/// A query's answer; null where there is none.
async fn one(doors: &Doors, segments: &[&str]) -> Fallible<Json> {
    let url = doors.query(segments)?;
    let answer = doors.get(url.clone()).send().await?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(Json::Null),
        StatusCode::OK => Ok(answer.json().await?),
        status => Err(format!("{url}: {status} {}", answer.text().await?).into()),
    }
}

/// All pages of a query, by its cursor.
async fn pages(doors: &Doors, segments: &[&str]) -> Fallible<Vec<Json>> {
    let mut rows = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut url = doors.query(segments)?;
        url.query_pairs_mut().append_pair("size", PAGE);
        if let Some(cursor) = &cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let answer = doors.get(url.clone()).send().await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("{url}: {} {}", answer.status(), answer.text().await?).into());
        }
        let page: Json = answer.json().await?;
        rows.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            None => return Ok(rows),
            Some(next) => cursor = Some(next.to_owned()),
        }
    }
}
