//! What a command answers once its event is durable: 202, the event's id and place, and the ids that it made.

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use headwater_engine::command::Command;
use headwater_http::PositionToken;
use headwater_http::token::{POSITION, TopicKey};
use headwater_schemas::Value;
use headwater_schemas::json::to_json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::flight::Place;
use crate::key::MessageKey;

/// An answer, as it is sent and as it is kept for whoever repeats the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    location: String,
    position: String,
    body: Map<String, Json>,
}

impl Answer {
    /// `path` is that of the request, for where there is no other place to look.
    pub(crate) fn new(
        command: &Command,
        record: &Value,
        event_id: Uuid,
        key: &MessageKey,
        place: Place,
        path: &str,
    ) -> Self {
        let topic = TopicKey::new(*place.topic_id.as_bytes(), &command.topic.name);
        let position = PositionToken::written(topic, place.partition, place.offset, Some(key.as_bytes())).to_string();
        let mut body = Map::new();
        for (name, value) in command.ids(record) {
            if let Some((_, field)) = command.record().field(name) {
                body.insert(name.to_owned(), to_json(&field.ty, value));
            }
        }
        body.insert("event_id".into(), event_id.to_string().into());
        body.insert("position".into(), position.as_str().into());
        let location = command.location(record).unwrap_or_else(|| path.to_owned());
        Self { location, position, body }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::ACCEPTED, axum::Json(Json::Object(self.body))).into_response();
        for (name, value) in [(LOCATION, &self.location), (POSITION, &self.position)] {
            // Both are percent-encoded or base64url, so they always are header values.
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
