//! JSON to values, every problem at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::scalar::{expected, from_string, number, shown};
use super::{FieldError, branch_name, branch_named};
use crate::plan::MAX_DEPTH;
use crate::types::{FieldType, RecordType, Type};
use crate::value::{Decimal, Value};

/// More problems than this are not listed: a body of a million wrong items would give as long an answer.
const MAX_ERRORS: usize = 100;

/// A record from a JSON object. A field left out takes the schema's default; a field that the record lacks is an error.
pub fn from_json(ty: &RecordType, json: &Json) -> Result<Value, Vec<FieldError>> {
    Reader::default().finish(|reader| reader.record(ty, json, 0))
}

/// One field's value; `path` is what errors call it.
pub fn field_from_json(ty: &FieldType, path: &str, json: &Json) -> Result<Value, Vec<FieldError>> {
    Reader { path: path.to_owned(), ..Reader::default() }.finish(|reader| reader.field(ty, json, 0))
}

#[derive(Default)]
struct Reader {
    path: String,
    errors: Vec<FieldError>,
    /// What a branch of a union is tried with: how many values it may still look at.
    budget: Option<usize>,
}

/// Branches may hold unions, whose branches may: reading tries at most so many times the values that there are, so that
/// a body cannot ask for more work than its length.
const TRIES: usize = 64;

impl Reader {
    fn finish(mut self, read: impl FnOnce(&mut Self) -> Option<Value>) -> Result<Value, Vec<FieldError>> {
        match read(&mut self) {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self.errors),
        }
    }

    fn mistake(&mut self, message: String) -> Option<Value> {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(FieldError { path: self.path.clone(), message });
        }
        None
    }

    fn under(&mut self, part: &str, read: impl FnOnce(&mut Self) -> Option<Value>) -> Option<Value> {
        let length = self.path.len();
        if !part.starts_with('[') && length > 0 {
            self.path.push('.');
        }
        self.path.push_str(part);
        let value = read(self);
        self.path.truncate(length);
        value
    }

    fn field(&mut self, ty: &FieldType, json: &Json, depth: usize) -> Option<Value> {
        match json {
            Json::Null if ty.nullable => Some(Value::Null),
            Json::Null => self.mistake(format!("expected {}, found null", expected(&ty.ty))),
            _ => self.value(&ty.ty, json, depth),
        }
    }

    fn value(&mut self, ty: &Type, json: &Json, depth: usize) -> Option<Value> {
        if let Some(budget) = &mut self.budget {
            *budget = budget.saturating_sub(1);
            if *budget == 0 {
                return self.mistake("there are too many ways to read this".into());
            }
        }
        let read = match (ty, json) {
            (Type::Boolean, Json::Bool(b)) => Ok(Some(Value::Boolean(*b))),
            (Type::Int, Json::Number(n)) => Ok(n.as_str().parse::<i32>().ok().map(|n| Value::Long(n.into()))),
            (Type::Long, Json::Number(n)) => Ok(n.as_str().parse().ok().map(Value::Long)),
            (Type::Float | Type::Double, Json::Number(n)) => Ok(number(ty, n.as_str())),
            (Type::Decimal { precision, scale }, Json::Number(n)) => {
                Ok(Decimal::parse(n.as_str(), *precision, *scale).map(Value::Decimal))
            }
            (Type::Record(record), _) => return self.record(record, json, depth),
            (Type::Recursive(link), _) => match link.record() {
                Some(record) => return self.record(&record, json, depth),
                None => Ok(None),
            },
            (Type::Array(item), Json::Array(items)) => return self.array(item, items, depth),
            (Type::Map(value), Json::Object(entries)) => return self.map(value, entries, depth),
            (Type::Union(branches), _) => return self.union(branches, json, depth),
            (_, Json::String(text)) => from_string(ty, text).map(Some),
            _ => Ok(None),
        };
        match read {
            Ok(Some(value)) => Some(value),
            Ok(None) => self.mistake(format!("expected {}, found {}", expected(ty), found(json))),
            Err(message) => self.mistake(message),
        }
    }

    fn array(&mut self, item: &FieldType, items: &[Json], depth: usize) -> Option<Value> {
        let mut values = Vec::with_capacity(items.len());
        for (i, json) in items.iter().enumerate() {
            values.extend(self.under(&format!("[{i}]"), |this| this.field(item, json, depth)));
        }
        Some(Value::Array(values.into()))
    }

    fn map(&mut self, value: &FieldType, entries: &Map<String, Json>, depth: usize) -> Option<Value> {
        let mut values: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for (key, json) in entries {
            let part = format!("[{key:?}]");
            if key.contains('\0') {
                self.under(&part, |this| this.mistake("expected a key without NUL".into()));
            }
            if let Some(value) = self.under(&part, |this| this.field(value, json, depth)) {
                values.insert(key.as_str().into(), value);
            }
        }
        Some(Value::Map(values.into_iter().collect()))
    }

    fn record(&mut self, ty: &RecordType, json: &Json, depth: usize) -> Option<Value> {
        let Json::Object(object) = json else {
            return self.mistake(format!("expected an object with the fields of {}, found {}", ty.name, found(json)));
        };
        if depth > MAX_DEPTH {
            return self.mistake(format!("records are nested deeper than {MAX_DEPTH}"));
        }
        for key in object.keys().filter(|key| ty.field(key).is_none()) {
            let known = ty.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("there is no such field in {}: its fields are {known}", ty.short_name());
            self.under(key, |this| this.mistake(message));
        }
        let mut values = Vec::with_capacity(ty.fields.len());
        for field in &ty.fields {
            let value = match (object.get(&field.name), &field.default) {
                (Some(json), _) => self.under(&field.name, |this| this.field(&field.ty, json, depth + 1)),
                (None, Some(default)) => Some(default.clone()),
                (None, None) => self.under(&field.name, |this| {
                    this.mistake(format!("expected {}, found nothing", expected(&field.ty.ty)))
                }),
            };
            values.extend(value);
        }
        Some(Value::Record(values.into()))
    }

    /// `{"branch": value}` where the key names a branch; else the one branch that takes the value as it is.
    fn union(&mut self, branches: &[Type], json: &Json, depth: usize) -> Option<Value> {
        let branch = |index: usize, value: Value| Value::Branch(u32::try_from(index).unwrap_or(u32::MAX), value.into());
        if let Some((index, inner)) = named(branches, json) {
            let name = branch_name(&branches[index]);
            return self
                .under(&format!("[{name:?}]"), |this| this.value(&branches[index], inner, depth))
                .map(|value| branch(index, value));
        }
        let mut budget = self.budget.unwrap_or_else(|| budget(json));
        let mut taking =
            branches.iter().enumerate().filter_map(|(i, ty)| Some((i, plain(ty, json, depth, &mut budget)?)));
        let (first, second) = (taking.next(), taking.next());
        if self.budget.is_some() {
            self.budget = Some(budget);
        }
        match (first, second) {
            _ if budget == 0 => {
                self.mistake("there are too many ways to read this: name the branches of the unions in it".into())
            }
            (Some((index, value)), None) => Some(branch(index, value)),
            (Some((a, _)), Some((b, _))) => self.mistake(format!(
                "{} can be read as {} or as {}: say which, as {{{:?}: …}}",
                found(json),
                branch_name(&branches[a]),
                branch_name(&branches[b]),
                branch_name(&branches[a]),
            )),
            (None, _) => {
                let names: Vec<String> = branches.iter().map(expected).collect();
                self.mistake(format!("expected {}, found {}", names.join(", or "), found(json)))
            }
        }
    }
}

/// The branch that an object of one key names, and what it holds.
pub(super) fn named<'j>(branches: &[Type], json: &'j Json) -> Option<(usize, &'j Json)> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    let (key, inner) = object.iter().next()?;
    Some((branch_named(branches, key)?, inner))
}

/// The value of one branch, if it takes the JSON before the budget is spent.
pub(super) fn plain(ty: &Type, json: &Json, depth: usize, budget: &mut usize) -> Option<Value> {
    let mut reader = Reader { budget: Some(*budget), ..Reader::default() };
    let value = reader.value(ty, json, depth);
    *budget = reader.budget.unwrap_or(0);
    value.filter(|_| reader.errors.is_empty())
}

/// What trying the branches of a union may cost.
pub(super) fn budget(json: &Json) -> usize {
    fn values(json: &Json) -> usize {
        match json {
            Json::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
            Json::Object(fields) => 1 + fields.values().map(values).sum::<usize>(),
            _ => 1,
        }
    }
    TRIES.saturating_mul(values(json))
}

fn found(json: &Json) -> String {
    match json {
        Json::String(text) => format!("the text {}", shown(text)),
        Json::Array(_) => "a list".into(),
        Json::Object(_) => "an object".into(),
        other => other.to_string().chars().take(60).collect(),
    }
}
