//! `row:` one row by its key, or 404.

use axum::extract::Request;
use axum::response::Response;
use headwater_engine::query::Query;
use headwater_engine::table::Row;
use headwater_http::Problem;
use headwater_http::etag::RowTag;
use headwater_http::token::POSITION;

use crate::reading::Reading;
use crate::request::{Asked, read, refused};
use crate::{QueryApi, answer};

pub(crate) async fn answer(api: &QueryApi, query: &Query, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let asked = read(api, query, &mut parts, &[]).await?;
    let mut reading = Reading::open(api, query, asked.after.as_ref()).await?;
    let row = find(query, &asked, &mut reading).await?;
    let position = row.position;
    let object = answer::objects(query, &[row], &mut reading).await?.pop().unwrap_or_default();
    let body = serde_json::to_vec(&object).map_err(Problem::internal)?;
    let tag = RowTag::new(reading.generation(&query.topology)?, position, &body).to_string();
    answer::respond(&asked.headers, &tag, &reading.token, body)
}

/// The row that the request names, if its caller may see it. That there is none is told with the token of what says so.
pub(crate) async fn find(query: &Query, asked: &Asked, reading: &mut Reading) -> Result<Row, Problem> {
    let key = asked.key.iter().cloned().collect();
    let found = reading.rows(&query.topology, query.table(), &[key]).await?.pop().flatten();
    let Some(row) = found.or_else(|| query.view().initial_row()) else {
        let names: Vec<&str> = query.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let detail = format!("there is no row of `{}` with this {}", query.table().name, names.join(" and "));
        return Err(Problem::not_found(detail).header(POSITION, &reading.token.to_string()));
    };
    if !query.allow.permits(asked.caller.who(), Some(&row.values)) {
        return Err(refused(&asked.caller));
    }
    Ok(row)
}
