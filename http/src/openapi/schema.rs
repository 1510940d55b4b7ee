//! JSON Schema (2020-12, as OpenAPI 3.1 has it) of types, columns and events: what
//! `headwater_schemas::json` writes and reads.

use headwater_schemas::{Field, FieldType, RecordType, Type};
use serde_json::{Map, Value as Json, json};

/// Named schemas, each defined once however often it is used.
#[derive(Debug, Default)]
pub struct Schemas {
    definitions: Map<String, Json>,
}

impl Schemas {
    /// The schema of a type; records and enums are defined under their full names and referred to.
    pub fn of(&mut self, ty: &FieldType) -> Json {
        let schema = self.of_type(&ty.ty);
        if !ty.nullable {
            return schema;
        }
        match schema.get("type").and_then(Json::as_str).map(str::to_owned) {
            Some(name) if schema.get("enum").is_none() => {
                let mut schema = schema;
                schema["type"] = json!([name, "null"]);
                schema
            }
            _ => json!({ "anyOf": [schema, { "type": "null" }] }),
        }
    }

    /// An object of these fields, those with a default optional: what a body is.
    pub fn object<'f>(&mut self, fields: impl IntoIterator<Item = &'f Field>) -> Json {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in fields {
            let mut schema = self.of(&field.ty);
            if let Some(doc) = &field.doc {
                schema = described(schema, doc);
            }
            if field.default.is_none() {
                required.push(Json::from(field.name.as_str()));
            }
            properties.insert(field.name.clone(), schema);
        }
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    /// An object of these properties, all of them present: what an answer is.
    pub fn row<'c>(&mut self, columns: impl IntoIterator<Item = (&'c str, &'c FieldType, Option<&'c str>)>) -> Json {
        let mut properties = Map::new();
        for (name, ty, doc) in columns {
            let schema = self.of(ty);
            properties.insert(name.to_owned(), doc.map_or(schema.clone(), |doc| described(schema, doc)));
        }
        let required: Vec<String> = properties.keys().cloned().collect();
        json!({ "type": "object", "properties": properties, "required": required })
    }

    pub(super) fn into_definitions(self) -> Map<String, Json> {
        self.definitions
    }

    fn of_type(&mut self, ty: &Type) -> Json {
        match ty {
            Type::Boolean => json!({ "type": "boolean" }),
            Type::Int => json!({ "type": "integer", "format": "int32" }),
            Type::Long => json!({ "type": "integer", "format": "int64" }),
            Type::Float => json!({ "type": "number", "format": "float" }),
            Type::Double => json!({ "type": "number", "format": "double" }),
            Type::Decimal { precision, scale } => json!({
                "type": "string",
                "pattern": r"^-?\d+(\.\d+)?$",
                "description": format!("A decimal of at most {precision} digits, {scale} of them after the point."),
            }),
            Type::String => json!({ "type": "string" }),
            Type::Uuid => json!({ "type": "string", "format": "uuid" }),
            Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Type::Fixed(size) => json!({
                "type": "string",
                "contentEncoding": "base64",
                "description": format!("{size} bytes."),
            }),
            Type::Date => json!({ "type": "string", "format": "date" }),
            Type::TimestampMillis | Type::TimestampMicros => json!({ "type": "string", "format": "date-time" }),
            Type::Array(item) => json!({ "type": "array", "items": self.of(item) }),
            Type::Map(value) => json!({ "type": "object", "additionalProperties": self.of(value) }),
            Type::Enum(e) => self.defined(&e.name, |_| json!({ "type": "string", "enum": e.symbols })),
            Type::Record(record) => self.record(record),
            // Defined by the record that encloses this place.
            Type::Recursive(link) => reference(link.name()),
            Type::Union(branches) => json!({ "anyOf": branches.iter().map(|b| self.of_type(b)).collect::<Vec<_>>() }),
        }
    }

    fn record(&mut self, record: &RecordType) -> Json {
        self.defined(&record.name, |schemas| {
            let schema = schemas.object(&record.fields);
            record.doc.as_ref().map_or(schema.clone(), |doc| described(schema, doc))
        })
    }

    /// A reference to the definition of this name, made on first use. It stands as a placeholder while it is made, so a
    /// type that holds itself ends.
    fn defined(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Json) -> Json {
        if !self.definitions.contains_key(name) {
            self.definitions.insert(name.to_owned(), Json::Null);
            let schema = make(self);
            self.definitions.insert(name.to_owned(), schema);
        }
        reference(name)
    }
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn described(mut schema: Json, doc: &str) -> Json {
    schema["description"] = doc.into();
    schema
}
