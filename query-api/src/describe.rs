//! What the queries say of themselves in the OpenAPI document.

use std::sync::Arc;

use headwater_engine::query::{Answer, CURSOR, Place, Query, SIZE};
use headwater_engine::table::Table;
use headwater_http::openapi::{self, Document, Operation, Schemas};
use serde_json::{Value as Json, json};

/// Adds every query.
pub fn describe(queries: &[Arc<Query>], document: &mut Document) {
    for query in queries {
        let operation = operation(query, &mut document.schemas);
        document.add(operation);
    }
}

fn operation(query: &Query, schemas: &mut Schemas) -> Operation {
    let keys = query.parameters.iter().map(|parameter| {
        let column = query.column(parameter);
        let schema = schemas.of(&column.ty);
        let parameter = match parameter.place {
            Place::Path => openapi::Parameter::path(&parameter.name, schema),
            Place::Query => openapi::Parameter::query(&parameter.name, true, schema),
        };
        match &column.doc {
            Some(doc) => parameter.description(doc.as_str()),
            None => parameter,
        }
    });
    let keys: Vec<openapi::Parameter> = keys.collect();
    let operation = Operation::new("get", query.route.to_string(), query.name.as_str())
        .tag(query.topology.name.as_str())
        .summary(query.doc.as_deref())
        .parameters(keys);
    let operation = match &query.answer {
        Answer::Row => operation
            .answer(found("The row.").json(row(query, schemas)))
            .answer(openapi::Answer::problem(404, "There is no such row.")),
        Answer::Page { size_default, size_max, sort, .. } => {
            let operation = operation
                .parameters(paging(*size_default, *size_max))
                .answer(found("A page; `next` is the cursor of the page after it, or null.").json(page(query, schemas)))
                .answer(openapi::Answer::problem(410, "The cursor is of views that were rebuilt since."));
            match sort {
                Some(_) => operation.answer(openapi::Answer::problem(422, "There are too many rows to sort.")),
                None => operation,
            }
        }
        Answer::File { .. } => operation
            .parameter(openapi::Parameter::header("Range", "One range of bytes: `bytes=0-99`."))
            .answer(found("The content.").content("*/*", json!({ "type": "string", "format": "binary" })))
            .answer(openapi::Answer::new(206, "A part of the content.").header("Content-Range", "Which part."))
            .answer(openapi::Answer::problem(404, "There is no such content."))
            .answer(openapi::Answer::problem(416, "The range is not within the content.")),
    };
    let operation = operation
        .parameter(openapi::Parameter::header("If-None-Match", "An ETag: 304 where the answer is still the same."))
        .parameters(openapi::Parameter::after())
        .answer(openapi::Answer::new(304, "The answer is still the one that If-None-Match names."))
        .answer(openapi::Answer::problem(400, "A parameter or a header is malformed."))
        .answer(openapi::Answer::problem(409, "An event that Headwater-After names is parked."))
        .answer(openapi::Answer::problem(503, "Not now, or not reflected yet: see Retry-After."));
    // Who is nobody is refused already: it takes somebody.
    match query.allow.before_row(None) {
        headwater_engine::allow::Verdict::No => operation.secured(),
        _ => operation,
    }
}

fn found(description: &str) -> openapi::Answer {
    openapi::Answer::new(200, description).position().header("ETag", "For If-None-Match, and If-Match of commands.")
}

fn paging(default: u32, max: u32) -> [openapi::Parameter; 2] {
    let size = json!({ "type": "integer", "minimum": 1, "maximum": max, "default": default });
    [
        openapi::Parameter::query(SIZE, false, size).description("How many rows at most."),
        openapi::Parameter::query(CURSOR, false, json!({ "type": "string" })).description("`next` of the page before."),
    ]
}

/// The view's columns and what is joined.
fn row(query: &Query, schemas: &mut Schemas) -> Json {
    let mut schema = columns(query.table(), schemas);
    for join in &query.joins {
        let joined = match join.ty() {
            Some(ty) => schemas.of(&ty),
            None => json!({ "anyOf": [columns(join.table(), schemas), { "type": "null" }] }),
        };
        schema["properties"][&join.name] = joined;
        if let Some(required) = schema["required"].as_array_mut() {
            required.push(join.name.as_str().into());
        }
    }
    schema
}

fn columns(table: &Table, schemas: &mut Schemas) -> Json {
    schemas.row(table.columns.iter().map(|column| (column.name.as_str(), &column.ty, column.doc.as_deref())))
}

fn page(query: &Query, schemas: &mut Schemas) -> Json {
    json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": { "type": "array", "items": row(query, schemas) },
            "next": { "type": ["string", "null"] },
        },
    })
}
