//! What a request asks: its caller, its key, its wishes. Everything malformed is named, all parameters at once.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use headwater_engine::allow::Verdict;
use headwater_engine::query::{Parameter, Place, Query};
use headwater_http::parameters::Parameters;
use headwater_http::wait::After;
use headwater_http::{Caller, Place as In, Problem};
use headwater_schemas::Value;
use headwater_schemas::json::from_text;

use crate::QueryApi;

/// A request, read.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    pub(crate) after: Option<After>,
    /// By the query's parameters.
    pub(crate) key: Vec<Value>,
    /// The query string.
    pub(crate) given: Parameters,
    pub(crate) headers: HeaderMap,
}

/// Reads a request; `own` are the query string's names beside the key's columns. Callers whom the rule refuses whatever
/// the row says are refused here, before anything is read.
pub(crate) async fn read(api: &QueryApi, query: &Query, parts: &mut Parts, own: &[&str]) -> Result<Asked, Problem> {
    let caller = Caller::of(&parts.headers, &api.keys)?;
    if query.allow.before_row(caller.who()) == Verdict::No {
        return Err(refused(&caller));
    }
    let after = After::of(&parts.headers, &api.limits)?;
    let given = Parameters::of(&parts.uri)?;
    let in_query = query.parameters.iter().filter(|parameter| parameter.place == Place::Query);
    let known: Vec<&str> = in_query.map(|parameter| parameter.name.as_str()).chain(own.iter().copied()).collect();
    given.refuse_unknown(&known)?;
    let in_path = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| Problem::bad_request("the path is not UTF-8 with `%XX` for every byte that is not plain"))?;
    let in_path: Vec<(&str, &str)> = in_path.iter().collect();
    let key = key(query, &in_path, &given)?;
    Ok(Asked { caller, after, key, given, headers: parts.headers.clone() })
}

/// 401 for nobody, 403 for somebody who may not.
pub(crate) fn refused(caller: &Caller) -> Problem {
    match caller.0 {
        None => Problem::unauthenticated(),
        Some(_) => Problem::forbidden("you are signed in, and may not see this"),
    }
}

fn key(query: &Query, in_path: &[(&str, &str)], given: &Parameters) -> Result<Vec<Value>, Problem> {
    let mut wrong: Vec<(In, String, String)> = Vec::new();
    let mut key = Vec::with_capacity(query.parameters.len());
    for parameter in &query.parameters {
        match value(query, parameter, in_path, given) {
            Ok(value) => key.push(value),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        return Ok(key);
    }
    let problem = Problem::bad_request("parameters are missing or malformed: see `errors`");
    Err(wrong.into_iter().fold(problem, |problem, (place, name, message)| problem.error(place, name, message)))
}

fn value(
    query: &Query,
    parameter: &Parameter,
    in_path: &[(&str, &str)],
    given: &Parameters,
) -> Result<Value, (In, String, String)> {
    let (place, text) = match parameter.place {
        Place::Path => (In::Path, in_path.iter().find(|(name, _)| *name == parameter.name).map(|(_, text)| *text)),
        Place::Query => (In::Query, given.get(&parameter.name)),
    };
    let ty = &query.column(parameter).ty;
    let Some(text) = text else {
        return Err((place, parameter.name.clone(), format!("expected a {}, found nothing", ty.ty)));
    };
    match from_text(ty, text) {
        Ok(Value::Null) => Err((place, parameter.name.clone(), format!("expected a {}, found null", ty.ty))),
        Ok(value) => Ok(value),
        Err(error) => Err((place, parameter.name.clone(), error.message)),
    }
}
