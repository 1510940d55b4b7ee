//! The OpenAPI 3.1 document of an installation, assembled from what its commands and queries say of themselves, and the
//! pages that show it: `/openapi.json` and `/docs`.
//!
//! ```
//! use headwater_http::openapi::{Answer, Document, Operation};
//! let mut document = Document::new("documents", "1");
//! document.add(Operation::new("get", "/documents/count", "count_documents").answer(Answer::new(200, "The count.")));
//! assert_eq!(document.build()["paths"]["/documents/count"]["get"]["operationId"], "count_documents");
//! ```

mod schema;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};
use utoipa_swagger_ui::SwaggerUi;

pub use schema::Schemas;

/// A document under construction.
#[derive(Debug)]
pub struct Document {
    title: String,
    version: String,
    paths: Map<String, Json>,
    tags: Vec<String>,
    /// Named types of bodies and answers: give it to [`Schemas::of`].
    pub schemas: Schemas,
}

/// A command or a query, as OpenAPI describes it.
#[derive(Clone, Debug)]
pub struct Operation {
    method: &'static str,
    path: String,
    id: String,
    tag: Option<String>,
    summary: Option<String>,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    answers: Vec<Answer>,
    secured: bool,
}

#[derive(Clone, Debug)]
pub struct Parameter {
    pub place: ParameterPlace,
    pub name: String,
    pub required: bool,
    pub schema: Json,
    pub description: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterPlace {
    Path,
    Query,
    Header,
}

/// A request's body: a schema for each media type that is taken.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub description: Option<String>,
    pub content: Vec<(String, Json)>,
}

/// One status that an operation answers with.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    description: String,
    content: Vec<(String, Json)>,
    /// Name and description.
    headers: Vec<(&'static str, &'static str)>,
}

impl Parameter {
    pub fn path(name: &str, schema: Json) -> Self {
        let place = ParameterPlace::Path;
        Self { place, name: name.to_owned(), required: true, schema, description: None }
    }

    pub fn query(name: &str, required: bool, schema: Json) -> Self {
        Self { place: ParameterPlace::Query, name: name.to_owned(), required, schema, description: None }
    }

    /// An optional header.
    pub fn header(name: &str, description: &str) -> Self {
        Self {
            place: ParameterPlace::Header,
            name: name.to_owned(),
            required: false,
            schema: json!({ "type": "string" }),
            description: Some(description.to_owned()),
        }
    }

    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// `Headwater-After` and `Prefer`: what every command and query takes.
    pub fn after() -> [Self; 2] {
        [
            Self::header("Headwater-After", "A position token: the answer reflects it, or says 503 and how far it is."),
            Self::header("Prefer", "`wait=5`: how many seconds to wait for that, at most 30."),
        ]
    }
}

impl Body {
    pub fn new(media_type: &str, schema: Json) -> Self {
        Self::default().content(media_type, schema)
    }

    /// One more media type that is taken.
    pub fn content(mut self, media_type: &str, schema: Json) -> Self {
        self.content.push((media_type.to_owned(), schema));
        self
    }

    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }
}

impl Answer {
    pub fn new(status: u16, description: impl Into<String>) -> Self {
        Self { status, description: description.into(), content: Vec::new(), headers: Vec::new() }
    }

    /// A problem document.
    pub fn problem(status: u16, description: impl Into<String>) -> Self {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        Self::new(status, description).content("application/problem+json", schema)
    }

    pub fn json(self, schema: Json) -> Self {
        self.content("application/json", schema)
    }

    pub fn content(mut self, media_type: &str, schema: Json) -> Self {
        self.content.push((media_type.to_owned(), schema));
        self
    }

    pub fn header(mut self, name: &'static str, description: &'static str) -> Self {
        self.headers.push((name, description));
        self
    }

    /// `Headwater-Position`.
    pub fn position(self) -> Self {
        self.header("Headwater-Position", "A token of what the answer reflects; pass it on as Headwater-After.")
    }

    fn build(&self) -> Json {
        let header = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
        let headers: Map<String, Json> =
            self.headers.iter().map(|(name, description)| ((*name).to_owned(), header(description))).collect();
        let mut answer = json!({ "description": self.description });
        if !headers.is_empty() {
            answer["headers"] = headers.into();
        }
        if !self.content.is_empty() {
            answer["content"] = content(&self.content);
        }
        answer
    }
}

impl Operation {
    /// `method` in lower case; `path` with `{parameters}`; `id` unique in the document.
    pub fn new(method: &'static str, path: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            id: id.into(),
            tag: None,
            summary: None,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            secured: false,
        }
    }

    /// The group that the operation is shown in: its topology.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    pub fn summary(mut self, summary: Option<impl Into<String>>) -> Self {
        self.summary = summary.map(Into::into);
        self
    }

    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub fn parameters(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    pub fn body(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    /// Answers are shown in this order; a second one of the same status takes the first one's place.
    pub fn answer(mut self, answer: Answer) -> Self {
        self.answers.retain(|other| other.status != answer.status);
        self.answers.push(answer);
        self
    }

    /// It needs a bearer token. 401 and 403 are added.
    pub fn secured(mut self) -> Self {
        self.secured = true;
        self.answer(Answer::problem(401, "Nobody is signed in, or the token does not hold."))
            .answer(Answer::problem(403, "The caller may not."))
    }

    fn build(&self) -> Json {
        let mut operation = json!({ "operationId": self.id });
        if let Some(tag) = &self.tag {
            operation["tags"] = json!([tag]);
        }
        if let Some(summary) = &self.summary {
            operation["summary"] = summary.as_str().into();
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.iter().map(Parameter::build).collect();
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = json!({ "required": true, "content": content(&body.content) });
            if let Some(description) = &body.description {
                operation["requestBody"]["description"] = description.as_str().into();
            }
        }
        let answers = self.answers.iter().map(|answer| (answer.status.to_string(), answer.build()));
        operation["responses"] = Json::Object(answers.collect());
        // An empty requirement beside the bearer: a token is taken, and not needed.
        operation["security"] = if self.secured { json!([{ "bearer": [] }]) } else { json!([{}, { "bearer": [] }]) };
        operation
    }
}

impl Parameter {
    fn build(&self) -> Json {
        let place = match self.place {
            ParameterPlace::Path => "path",
            ParameterPlace::Query => "query",
            ParameterPlace::Header => "header",
        };
        let mut parameter = json!({ "name": self.name, "in": place, "required": self.required, "schema": self.schema });
        if let Some(description) = &self.description {
            parameter["description"] = description.as_str().into();
        }
        parameter
    }
}

fn content(content: &[(String, Json)]) -> Json {
    content.iter().map(|(media_type, schema)| (media_type.clone(), json!({ "schema": schema }))).collect()
}

impl Document {
    pub fn new(title: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            version: version.into(),
            paths: Map::new(),
            tags: Vec::new(),
            schemas: Schemas::default(),
        }
    }

    /// Adds an operation. One of the same method and path takes the first one's place.
    pub fn add(&mut self, operation: Operation) {
        if let Some(tag) = &operation.tag
            && !self.tags.contains(tag)
        {
            self.tags.push(tag.clone());
        }
        let path = self.paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        path[operation.method] = operation.build();
    }

    pub fn build(self) -> Json {
        let mut schemas = self.schemas.into_definitions();
        schemas.insert("Problem".to_owned(), problem_schema());
        json!({
            "openapi": "3.1.0",
            "info": { "title": self.title, "version": self.version },
            "tags": self.tags.iter().map(|tag| json!({ "name": tag })).collect::<Vec<_>>(),
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "`headwater token --sub alice` signs one.",
                    },
                },
            },
        })
    }
}

/// RFC 9457, with what Headwater adds.
fn problem_schema() -> Json {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "`urn:headwater:problem:` and a word to decide by." },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "instance": { "type": "string", "format": "uri", "description": "The request's trace." },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["in", "field", "message"],
                    "properties": {
                        "in": { "enum": ["body", "path", "query", "header"] },
                        "field": { "type": "string" },
                        "message": { "type": "string" },
                    },
                },
            },
        },
        "additionalProperties": true,
    })
}

/// What swagger-ui needs, and no more: its own files, inline styles, data images.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'";

/// `/openapi.json` and `/docs`.
pub fn routes(document: &Json) -> Router {
    let text = Bytes::from(document.to_string());
    let document =
        get(move || async move { ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text) });
    let ui = SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json"));
    let ui = Router::from(ui).layer(middleware::map_response(|mut response: Response| async move {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }));
    Router::new().route("/openapi.json", document).merge(ui)
}

#[cfg(test)]
mod tests;
