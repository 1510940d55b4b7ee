//! What the commands say of themselves in the OpenAPI document.

use headwater_engine::allow::Verdict;
use headwater_engine::command::Command;
use headwater_http::openapi::{Answer, Body, Document, Operation, Parameter};
use serde_json::{Value as Json, json};

use crate::upload;

/// Adds an operation for each command.
pub fn describe<'c>(commands: impl IntoIterator<Item = &'c Command>, document: &mut Document) {
    for command in commands {
        let operation = operation(command, document);
        document.add(operation);
    }
}

fn operation(command: &Command, document: &mut Document) -> Operation {
    let method = command.method.name();
    let path_parameters: Vec<Parameter> =
        command.params.iter().map(|param| Parameter::path(&param.name, document.schemas.of(&param.ty))).collect();
    let ids = accepted_schema(command, document);
    let mut operation = Operation::new(method, command.path.to_string(), command.name.clone())
        .tag(command.topic.domain.clone())
        .summary(command.doc.clone())
        .parameters(path_parameters)
        .parameter(Parameter::header("Idempotency-Key", "Never done twice: a repeat gets the same answer, for 7 days."))
        .answer(
            Answer::new(202, "Accepted: the event is durable in the log.")
                .json(ids)
                .header("Location", "Where what was made can be read.")
                .position(),
        )
        .answer(Answer::problem(400, "The request is malformed."));
    if command.on.is_some() {
        operation = operation
            .parameters(Parameter::after())
            .parameter(Parameter::header(
                "If-Match",
                "The ETag of the state that this is about; 412 where it is another.",
            ))
            .answer(Answer::problem(404, "There is no such row."))
            .answer(Answer::problem(412, "The row has changed since."));
    }
    if command.takes_upload() {
        let event = document.schemas.object(&command.body.fields);
        operation = operation.body(upload::describe(command, event));
    } else if !command.body.fields.is_empty() {
        let schema = document.schemas.object(&command.body.fields);
        operation = operation.body(Body { description: None, content: vec![("application/json".to_owned(), schema)] });
    }
    for require in &command.require {
        if ![400, 404, 409, 412, 422].contains(&require.status) {
            operation = operation.answer(Answer::problem(require.status, require.say.clone()));
        }
    }
    operation = operation
        .answer(Answer::problem(409, "At odds with how things stand, or the same Idempotency-Key is under way."))
        .answer(Answer::problem(413, "The body is too large."))
        .answer(Answer::problem(415, "The body is of another type."))
        .answer(Answer::problem(422, "Fields are wrong: all of them are named."))
        .answer(Answer::problem(503, "Not now: try again."));
    if command.allow.before_row(None) == Verdict::No { operation.secured() } else { operation }
}

/// `{event_id, position, …ids}`.
fn accepted_schema(command: &Command, document: &mut Document) -> Json {
    let mut properties = serde_json::Map::new();
    for field in command.id_fields() {
        properties.insert(field.name.clone(), document.schemas.of(&field.ty));
    }
    properties.insert("event_id".into(), json!({ "type": "string", "format": "uuid" }));
    properties.insert("position".into(), json!({ "type": "string", "description": "As Headwater-Position." }));
    let required: Vec<&String> = properties.keys().collect();
    json!({ "type": "object", "properties": properties, "required": required })
}
