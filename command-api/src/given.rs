//! What a request gives: path parameters and body fields, read by their Avro types, with every problem of all of them.

use headwater_engine::command::{Command, Facts, Require, Upload};
use headwater_http::parameters::Parameters;
use headwater_http::{Place, Problem};
use headwater_schemas::json::{FieldError, field_from_json, from_text, to_json};
use headwater_schemas::{Field, FieldType, Value};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

/// Values by the command's parameters and body fields; None where a problem says what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) params: Vec<Option<Value>>,
    pub(crate) body: Vec<Option<Value>>,
    problems: Vec<(Place, FieldError)>,
    /// Where the fields were given; None: in the body.
    fields_in: Option<Place>,
}

impl Given {
    /// Reads the parameters of the path; `texts` are percent-decoded.
    pub(crate) fn path<'t>(command: &Command, text: impl Fn(&str) -> Option<&'t str>) -> Self {
        let mut given = Self::default();
        for param in &command.params {
            let value = match text(&param.name) {
                Some(text) => from_text(&param.ty, text).map_err(|error| error.message),
                None => Err("is missing".to_owned()),
            };
            let value = given.taken(Place::Path, &param.name, value);
            given.params.push(value);
        }
        given
    }

    /// Reads the fields of a JSON body. `fallback` gives the text of fields that are left out, where it knows one.
    pub(crate) fn json(
        &mut self,
        command: &Command,
        body: &Map<String, Json>,
        fallback: impl Fn(&Field) -> Option<String>,
    ) {
        for name in body.keys().filter(|name| command.body.field(name).is_none()) {
            self.problem(Place::Body, name, unknown(command, name));
        }
        for field in &command.body.fields {
            let value = match body.get(&field.name) {
                Some(json) => match field_from_json(&field.ty, &field.name, json) {
                    Ok(value) => Some(value),
                    Err(errors) => {
                        self.problems.extend(errors.into_iter().map(|error| (Place::Body, error)));
                        None
                    }
                },
                None => self.left_out(Place::Body, field, &fallback),
            };
            self.body.push(value);
        }
    }

    /// Reads the fields of a query string, each by its type.
    pub(crate) fn query(
        &mut self,
        command: &Command,
        parameters: &Parameters,
        fallback: impl Fn(&Field) -> Option<String>,
    ) {
        self.fields_in = Some(Place::Query);
        for (name, _) in parameters.iter().filter(|(name, _)| command.body.field(name).is_none()) {
            self.problem(Place::Query, name, unknown(command, name));
        }
        for field in &command.body.fields {
            let value = match parameters.get(&field.name) {
                Some(text) => {
                    let value = from_text(&field.ty, text).map_err(|error| error.message);
                    self.taken(Place::Query, &field.name, value)
                }
                None => self.left_out(Place::Query, field, &fallback),
            };
            self.body.push(value);
        }
    }

    /// Everything that is wrong so far, at once: with what was given, and with what it must be.
    pub(crate) fn check(&self, command: &Command, facts: &Facts<'_>) -> Result<(), Problem> {
        if self.problems.is_empty() {
            return self.unmet(command, facts);
        }
        let unmet: Vec<&Require> = command.unmet(facts).into_iter().filter(|require| require.status == 422).collect();
        let count = self.problems.len() + unmet.len();
        let detail = match count {
            1 => "a field is wrong: see `errors`".to_owned(),
            _ => format!("{count} fields are wrong: see `errors`"),
        };
        let problem = Problem::unprocessable(detail).code("invalid-fields");
        let problem = self
            .problems
            .iter()
            .fold(problem, |problem, (place, error)| problem.error(*place, error.path.clone(), error.message.clone()));
        Err(unmet.into_iter().fold(problem, |problem, require| self.named(problem, command, require)))
    }

    /// The requirements that do not hold: all of the first one's status.
    pub(crate) fn unmet(&self, command: &Command, facts: &Facts<'_>) -> Result<(), Problem> {
        let unmet = command.unmet(facts);
        let Some(first) = unmet.first() else { return Ok(()) };
        let status = axum::http::StatusCode::from_u16(first.status).map_err(Problem::internal)?;
        let same: Vec<&Require> = unmet.iter().copied().filter(|require| require.status == first.status).collect();
        let detail = same.iter().map(|require| require.say.as_str()).collect::<Vec<_>>().join("; ");
        let problem = Problem::new(status, "requirement", detail);
        Err(same.into_iter().fold(problem, |problem, require| self.named(problem, command, require)))
    }

    /// Where a field or a parameter of this name was given.
    pub(crate) fn place(&self, command: &Command, name: &str) -> Place {
        match command.params.iter().any(|param| param.name == name) {
            true => Place::Path,
            false => self.fields_in.unwrap_or(Place::Body),
        }
    }

    /// The requirement, at each field that it speaks of.
    fn named(&self, problem: Problem, command: &Command, require: &Require) -> Problem {
        require.fields.iter().fold(problem, |problem, field| {
            problem.error(self.place(command, field), field.clone(), require.say.clone())
        })
    }

    /// Equal for requests that ask for the same, whatever their spelling.
    pub(crate) fn digest(&self, command: &Command, upload: Option<&Upload>) -> String {
        let mut hash = Sha256::new();
        let mut add = |name: &str, ty: &FieldType, value: &Option<Value>| {
            let json = value.as_ref().map_or(Json::Null, |value| to_json(ty, value)).to_string();
            hash.update(format!("{}:{name}{}:{json}", name.len(), json.len()));
        };
        command.params.iter().zip(&self.params).for_each(|(param, value)| add(&param.name, &param.ty, value));
        command.body.fields.iter().zip(&self.body).for_each(|(field, value)| add(&field.name, &field.ty, value));
        if let Some(upload) = upload {
            hash.update(format!("upload:{}:{}", upload.size, upload.sha256));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn left_out(&mut self, place: Place, field: &Field, fallback: &impl Fn(&Field) -> Option<String>) -> Option<Value> {
        if let Some(text) = fallback(field) {
            let value = from_text(&field.ty, &text).map_err(|error| error.message);
            return self.taken(place, &field.name, value);
        }
        let value = field.default.clone().ok_or_else(|| format!("is missing: expected {}", field.ty.ty));
        self.taken(place, &field.name, value)
    }

    fn taken(&mut self, place: Place, name: &str, value: Result<Value, String>) -> Option<Value> {
        value.map_err(|message| self.problem(place, name, message)).ok()
    }

    fn problem(&mut self, place: Place, path: &str, message: String) {
        self.problems.push((place, FieldError { path: path.to_owned(), message }));
    }
}

fn unknown(command: &Command, name: &str) -> String {
    let fields = &command.body.fields;
    let is_given = command.record().field(name).is_some();
    let known = || fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
    match (is_given, fields.is_empty()) {
        (true, _) => "is not for the client to give: leave it out".to_owned(),
        (false, true) => "is unknown: there are no fields here".to_owned(),
        (false, false) => format!("is unknown: the fields here are {}", known()),
    }
}
