//! Random schemas, values of them, and readers' schemas that could have grown out of them.

use std::sync::Arc;

use headwater_schemas::{Decimal, FieldType, Schema, Type, Value};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A type before it has names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    /// So many symbols; and whether there is a default.
    Enum(usize, bool),
    Decimal(u8, u8),
    FixedDecimal(u8, u8),
    Uuid,
    FixedUuid,
    Date,
    Millis,
    Micros,
    Array(Box<Shape>),
    Map(Box<Shape>),
    Record(Vec<FieldShape>),
    /// Null and another; whether null is first.
    Nullable(Box<Shape>, bool),
    /// Branches of different kinds; where null stands.
    Union(Vec<Shape>, Option<usize>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldShape {
    pub(crate) name: String,
    /// A name that the field has, for a reader who calls it otherwise.
    pub(crate) alias: Option<String>,
    pub(crate) shape: Shape,
    pub(crate) default: Option<Json>,
}

/// What fields are called, and what writers of them called them.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Names {
    Own,
    /// By the alias where there is one: the same reader for who knows no aliases.
    Written,
}

pub(crate) fn field(name: &str, shape: Shape) -> FieldShape {
    FieldShape { name: name.into(), alias: None, shape, default: None }
}

/// The JSON of a record; nested names are made of the path, so that a reader's match the writer's.
pub(crate) fn schema_json(name: &str, fields: &[FieldShape], names: Names) -> Json {
    let field = |f: &FieldShape| {
        let called = match (&f.alias, names) {
            (Some(alias), Names::Written) => alias,
            _ => &f.name,
        };
        let path = format!("{name}_{}", f.alias.as_ref().unwrap_or(&f.name));
        let mut object = json!({"name": called, "type": f.shape.json(&path, names)});
        if let (Some(alias), Names::Own) = (&f.alias, names) {
            object["aliases"] = json!([alias]);
        }
        if let Some(default) = &f.default {
            object["default"] = default.clone();
        }
        object
    };
    json!({"type": "record", "name": name, "fields": fields.iter().map(field).collect::<Vec<_>>()})
}

pub(crate) fn schema(fields: &[FieldShape]) -> Schema {
    let text = schema_json("Event", fields, Names::Own).to_string();
    Schema::parse(&text, &[]).unwrap_or_else(|e| panic!("{e} in {text}"))
}

impl Shape {
    /// `path`: what a named type is called after, with its kind, so that it keeps its name in and out of unions.
    pub(crate) fn json(&self, path: &str, names: Names) -> Json {
        let name = &format!("{path}_{}", self.kind());
        match self {
            Shape::Boolean => json!("boolean"),
            Shape::Int => json!("int"),
            Shape::Long => json!("long"),
            Shape::Float => json!("float"),
            Shape::Double => json!("double"),
            Shape::Bytes => json!("bytes"),
            Shape::Text => json!("string"),
            Shape::Fixed(size) => json!({"type": "fixed", "name": name, "size": size}),
            Shape::Enum(count, default) => {
                let symbols: Vec<String> = (0..*count).map(|i| format!("S{i}")).collect();
                let mut object = json!({"type": "enum", "name": name, "symbols": symbols});
                if *default {
                    object["default"] = json!("S0");
                }
                object
            }
            Shape::Decimal(p, s) => json!({"type": "bytes", "logicalType": "decimal", "precision": p, "scale": s}),
            Shape::FixedDecimal(p, s) => {
                json!({"type": "fixed", "name": name, "size": 17, "logicalType": "decimal", "precision": p, "scale": s})
            }
            Shape::Uuid => json!({"type": "string", "logicalType": "uuid"}),
            Shape::FixedUuid => json!({"type": "fixed", "name": name, "size": 16, "logicalType": "uuid"}),
            Shape::Date => json!({"type": "int", "logicalType": "date"}),
            Shape::Millis => json!({"type": "long", "logicalType": "timestamp-millis"}),
            Shape::Micros => json!({"type": "long", "logicalType": "timestamp-micros"}),
            Shape::Array(item) => json!({"type": "array", "items": item.json(&format!("{path}_i"), names)}),
            Shape::Map(value) => json!({"type": "map", "values": value.json(&format!("{path}_v"), names)}),
            Shape::Record(fields) => schema_json(name, fields, names),
            Shape::Nullable(inner, true) => json!(["null", inner.json(path, names)]),
            Shape::Nullable(inner, false) => json!([inner.json(path, names), "null"]),
            Shape::Union(branches, null) => {
                let mut list: Vec<Json> = branches.iter().map(|b| b.json(path, names)).collect();
                if let Some(at) = null {
                    list.insert((*at).min(list.len()), json!("null"));
                }
                Json::Array(list)
            }
        }
    }

    /// What no two branches of a union may share.
    fn kind(&self) -> &'static str {
        match self {
            Shape::Boolean => "boolean",
            Shape::Int | Shape::Date => "int",
            Shape::Long | Shape::Millis | Shape::Micros => "long",
            Shape::Float => "float",
            Shape::Double => "double",
            Shape::Bytes | Shape::Decimal(..) => "bytes",
            Shape::Text | Shape::Uuid => "string",
            Shape::Fixed(_) | Shape::FixedDecimal(..) | Shape::FixedUuid => "fixed",
            Shape::Enum(..) => "enum",
            Shape::Array(_) => "array",
            Shape::Map(_) => "map",
            Shape::Record(_) => "record",
            Shape::Nullable(..) | Shape::Union(..) => "union",
        }
    }

    /// What no two branches of a union may share to be told apart here, and by apache-avro.
    fn look(&self) -> Shape {
        match self {
            Shape::FixedUuid => Shape::Uuid,
            // apache-avro 0.22 takes a decimal for the first branch that is one, and a map for a record.
            Shape::Map(_) | Shape::Record(_) => Shape::Record(vec![]),
            Shape::Decimal(..) | Shape::FixedDecimal(..) => Shape::Decimal(1, 0),
            other => other.clone(),
        }
    }

    fn is_union(&self) -> bool {
        self.kind() == "union"
    }
}

fn leaf() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Boolean),
        Just(Shape::Int),
        Just(Shape::Long),
        Just(Shape::Float),
        Just(Shape::Double),
        Just(Shape::Bytes),
        Just(Shape::Text),
        (1usize..20).prop_map(Shape::Fixed),
        ((1usize..5), any::<bool>()).prop_map(|(n, default)| Shape::Enum(n, default)),
        (1u8..=38).prop_flat_map(|p| (Just(p), 0..=p)).prop_map(|(p, s)| Shape::Decimal(p, s)),
        (1u8..=38).prop_flat_map(|p| (Just(p), 0..=p)).prop_map(|(p, s)| Shape::FixedDecimal(p, s)),
        Just(Shape::Uuid),
        Just(Shape::FixedUuid),
        Just(Shape::Date),
        Just(Shape::Millis),
        Just(Shape::Micros),
    ]
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    leaf().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|s| Shape::Array(Box::new(s))),
            inner.clone().prop_map(|s| Shape::Map(Box::new(s))),
            vec(inner.clone(), 0..4).prop_map(|shapes| Shape::Record(named(shapes))),
            (inner.clone(), any::<bool>()).prop_map(|(s, first)| match s.is_union() {
                true => s,
                false => Shape::Nullable(Box::new(s), first),
            }),
            (vec(inner, 2..5), proptest::option::of(0usize..4)).prop_map(|(shapes, null)| union(shapes, null)),
        ]
    })
}

fn union(shapes: Vec<Shape>, null: Option<usize>) -> Shape {
    let mut branches: Vec<Shape> = Vec::new();
    for shape in shapes {
        if !shape.is_union() && branches.iter().all(|b| b.kind() != shape.kind() && b.look() != shape.look()) {
            branches.push(shape);
        }
    }
    if branches.len() < 2 { Shape::Boolean } else { Shape::Union(branches, null) }
}

fn named(shapes: Vec<Shape>) -> Vec<FieldShape> {
    shapes.into_iter().enumerate().map(|(i, shape)| field(&format!("f{i}"), shape)).collect()
}

pub(crate) fn fields() -> impl Strategy<Value = Vec<FieldShape>> {
    vec(shape(), 1..8).prop_map(named)
}

/// A random schema, and a value of it.
pub(crate) fn schema_and_value() -> impl Strategy<Value = (Arc<Schema>, Value)> {
    fields().prop_flat_map(|fields| {
        let schema = Arc::new(schema(&fields));
        (Just(schema.clone()), record_value(&schema.record))
    })
}

pub(crate) fn record_value(record: &headwater_schemas::RecordType) -> BoxedStrategy<Value> {
    let fields: Vec<BoxedStrategy<Value>> = record.fields.iter().map(|f| field_value(&f.ty)).collect();
    fields.prop_map(|values| Value::Record(values.into())).boxed()
}

fn field_value(ty: &FieldType) -> BoxedStrategy<Value> {
    match ty.nullable {
        true => prop_oneof![1 => Just(Value::Null), 3 => value(&ty.ty)].boxed(),
        false => value(&ty.ty),
    }
}

fn value(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Type::Int => prop_oneof![any::<i32>(), -2..3i32].prop_map(|n| Value::Long(n.into())).boxed(),
        Type::Long => prop_oneof![any::<i64>(), -2..3i64].prop_map(Value::Long).boxed(),
        Type::Float => any::<f32>().prop_map(Value::Float).boxed(),
        Type::Double => any::<f64>().prop_map(Value::Double).boxed(),
        Type::Decimal { precision, scale } => {
            let (limit, scale) = (10i128.pow(u32::from(*precision)) - 1, *scale);
            prop_oneof![-limit..=limit, (-limit).max(-200)..=limit.min(200)]
                .prop_map(move |unscaled| Value::Decimal(Decimal { unscaled, scale }))
                .boxed()
        }
        Type::String => text().prop_map(Value::string).boxed(),
        Type::Enum(e) => proptest::sample::select(e.symbols.clone()).prop_map(Value::string).boxed(),
        Type::Uuid => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        Type::Bytes => vec(any::<u8>(), 0..12).prop_map(|b| Value::Bytes(b.into())).boxed(),
        Type::Fixed(size) => vec(any::<u8>(), *size).prop_map(|b| Value::Bytes(b.into())).boxed(),
        Type::Date => any::<i32>().prop_map(Value::Date).boxed(),
        Type::TimestampMillis => (i64::MIN / 1000..=i64::MAX / 1000).prop_map(|ms| Value::Timestamp(ms * 1000)).boxed(),
        Type::TimestampMicros => any::<i64>().prop_map(Value::Timestamp).boxed(),
        Type::Array(item) => vec(field_value(item), 0..4).prop_map(|items| Value::Array(items.into())).boxed(),
        Type::Map(item) => btree_map(text(), field_value(item), 0..4)
            .prop_map(|map| Value::Map(map.into_iter().map(|(k, v)| (k.into(), v)).collect()))
            .boxed(),
        Type::Record(record) => record_value(record),
        Type::Recursive(_) => Just(Value::Null).boxed(),
        Type::Union(branches) => {
            let branches = branches.iter().zip(0u32..);
            let of = |(ty, i): (&Type, u32)| value(ty).prop_map(move |v| Value::Branch(i, v.into())).boxed();
            proptest::strategy::Union::new(branches.map(of)).boxed()
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zé☃\u{10000}]{0,6}", "[^\\x00]{0,5}"]
}

/// A reader's fields that could have grown out of the writer's; each byte of `dice` decides one thing.
pub(crate) fn evolve(writer: &[FieldShape], dice: &mut impl Iterator<Item = u8>) -> Vec<FieldShape> {
    let mut roll = |sides: u8| dice.next().unwrap_or(0) % sides;
    let (swap, drop, add, default) = (roll(3) == 1, roll(6), roll(6), roll(2) == 0);
    let mut fields: Vec<FieldShape> = writer.to_vec();
    for field in &mut fields {
        field.shape = field.shape.evolve(dice);
        if dice.next().unwrap_or(0) % 6 == 5 {
            let renamed = format!("new_{}", field.name);
            field.alias = Some(std::mem::replace(&mut field.name, renamed));
        }
    }
    if fields.len() > 1 && usize::from(drop) < fields.len() {
        fields.remove(usize::from(drop));
    }
    if add > 3 {
        let default = default.then(|| json!(["x", "y"]));
        let shape = Shape::Array(Box::new(Shape::Text));
        fields.insert(fields.len() / 2, FieldShape { name: "added".into(), alias: None, shape, default });
    }
    if swap {
        fields.reverse();
    }
    fields
}

impl Shape {
    fn evolve(&self, dice: &mut impl Iterator<Item = u8>) -> Shape {
        let roll = dice.next().unwrap_or(0) % 12;
        match (self, roll) {
            (Shape::Int, 1) => Shape::Long,
            (Shape::Int | Shape::Long, 2) => Shape::Float,
            (Shape::Int | Shape::Long | Shape::Float, 3) => Shape::Double,
            (Shape::Text, 1) => Shape::Bytes,
            (Shape::Bytes, 1) => Shape::Text,
            (Shape::Enum(n, default), 1 | 2) => Shape::Enum((n - 1).max(1), *default),
            (Shape::Enum(n, default), 3) => Shape::Enum(n + 1, *default),
            (Shape::Nullable(inner, first), 1) => Shape::Nullable(inner.clone(), !first),
            (Shape::Nullable(inner, _), 2) => (**inner).clone(),
            (Shape::Nullable(inner, first), _) => match inner.evolve(dice) {
                union if union.is_union() => union,
                shape => Shape::Nullable(Box::new(shape), *first),
            },
            (Shape::Union(branches, null), 1) => {
                Shape::Union(branches.iter().rev().cloned().collect(), null.map(|at| 3 - at))
            }
            (Shape::Union(branches, null), 2) if branches.len() > 2 => Shape::Union(branches[1..].to_vec(), *null),
            (Shape::Union(branches, _), 3) => branches[0].clone(),
            (Shape::Union(..), _) => self.clone(),
            (_, 4) => Shape::Nullable(Box::new(self.clone()), true),
            (_, 5) => union(vec![Shape::Boolean, self.clone()], Some(0)),
            (_, 6) if dice.next().unwrap_or(0) % 4 == 3 => Shape::Boolean,
            (Shape::Array(item), _) => Shape::Array(Box::new(item.evolve(dice))),
            (Shape::Map(item), _) => Shape::Map(Box::new(item.evolve(dice))),
            (Shape::Record(fields), _) => Shape::Record(evolve(fields, dice)),
            _ => self.clone(),
        }
    }
}
