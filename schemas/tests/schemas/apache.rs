//! Values to and from apache-avro's, by its own reading of the schema.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::Schema as Avro;
use apache_avro::types::Value as Apache;
use apache_avro::writer::datum::GenericDatumWriter;
use headwater_schemas::{Decimal, Value};

pub(crate) fn parse(text: &str) -> Avro {
    Avro::parse_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

/// A body's value by the writer's schema, resolved to the reader's where there is one; what is left of `body` after it.
pub(crate) fn read(writer: &Avro, reader: Option<&Avro>, body: &mut &[u8]) -> Result<Apache, String> {
    let reader = GenericDatumReader::builder(writer).maybe_reader_schema(reader).build().map_err(|e| e.to_string())?;
    reader.read_value(body).map_err(|e| e.to_string())
}

pub(crate) fn write(schema: &Avro, value: &Value) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    writer.write_value_to_vec(to_apache(schema, value)).unwrap()
}

/// The union branch of a value: null's place, or the nth of the others.
fn branch(branches: &[Avro], value: &Value) -> (usize, Value) {
    let is_null = |schema: &Avro| matches!(schema, Avro::Null);
    let others: Vec<usize> = (0..branches.len()).filter(|i| !is_null(&branches[*i])).collect();
    match value {
        Value::Null => (branches.iter().position(is_null).unwrap(), Value::Null),
        Value::Branch(i, inner) if others.len() > 1 => (others[*i as usize], (**inner).clone()),
        other => (others[0], other.clone()),
    }
}

fn to_apache(schema: &Avro, value: &Value) -> Apache {
    match (schema, value) {
        (Avro::Union(union), _) => {
            let (index, inner) = branch(union.variants(), value);
            Apache::Union(u32::try_from(index).unwrap(), Box::new(to_apache(&union.variants()[index], &inner)))
        }
        (_, Value::Null) => Apache::Null,
        (_, Value::Boolean(b)) => Apache::Boolean(*b),
        (Avro::Int, Value::Long(n)) => Apache::Int(i32::try_from(*n).unwrap()),
        (_, Value::Long(n)) => Apache::Long(*n),
        (_, Value::Float(x)) => Apache::Float(*x),
        (_, Value::Double(x)) => Apache::Double(*x),
        // Padded: apache-avro 0.22 takes minimal bytes for a lack of precision when it resolves.
        (Avro::Decimal(_), Value::Decimal(d)) => {
            let sign = if d.unscaled < 0 { 0xff } else { 0 };
            let bytes: Vec<u8> = std::iter::once(sign).chain(d.unscaled.to_be_bytes()).collect();
            Apache::Decimal(bytes.into())
        }
        (Avro::Enum(e), Value::String(s)) => {
            let index = e.symbols.iter().position(|symbol| **symbol == **s).unwrap();
            Apache::Enum(u32::try_from(index).unwrap(), s.to_string())
        }
        (_, Value::String(s)) => Apache::String(s.to_string()),
        (_, Value::Uuid(u)) => Apache::Uuid(apache_avro::Uuid::from_bytes(*u)),
        (Avro::Fixed(_), Value::Bytes(b)) => Apache::Fixed(b.len(), b.to_vec()),
        (_, Value::Bytes(b)) => Apache::Bytes(b.to_vec()),
        (_, Value::Date(d)) => Apache::Date(*d),
        (Avro::TimestampMillis, Value::Timestamp(t)) => Apache::TimestampMillis(t / 1000),
        (_, Value::Timestamp(t)) => Apache::TimestampMicros(*t),
        (Avro::Array(array), Value::Array(items)) => {
            Apache::Array(items.iter().map(|v| to_apache(&array.items, v)).collect())
        }
        (Avro::Map(map), Value::Map(entries)) => {
            Apache::Map(entries.iter().map(|(k, v)| (k.to_string(), to_apache(&map.types, v))).collect())
        }
        (Avro::Record(record), Value::Record(values)) => Apache::Record(
            record.fields.iter().zip(values.iter()).map(|(f, v)| (f.name.clone(), to_apache(&f.schema, v))).collect(),
        ),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn from_apache(schema: &Avro, value: &Apache) -> Value {
    match (schema, value) {
        (Avro::Union(union), Apache::Union(index, inner)) => {
            let index = *index as usize;
            let variants = union.variants();
            let nulls = |list: &[Avro]| list.iter().filter(|s| matches!(s, Avro::Null)).count();
            let value = from_apache(&variants[index], inner);
            match variants.len() - nulls(variants) {
                _ if value == Value::Null => Value::Null,
                1 => value,
                _ => Value::Branch(u32::try_from(index - nulls(&variants[..index])).unwrap(), value.into()),
            }
        }
        (_, Apache::Null) => Value::Null,
        (_, Apache::Boolean(b)) => Value::Boolean(*b),
        (_, Apache::Int(n)) => Value::Long((*n).into()),
        (_, Apache::Long(n)) => Value::Long(*n),
        (_, Apache::Float(x)) => Value::Float(*x),
        (_, Apache::Double(x)) => Value::Double(*x),
        (_, Apache::Bytes(b) | Apache::Fixed(_, b)) => Value::Bytes(b.as_slice().into()),
        (_, Apache::String(s) | Apache::Enum(_, s)) => Value::string(s.as_str()),
        (Avro::Decimal(d), Apache::Decimal(decimal)) => {
            let bytes = <Vec<u8>>::try_from(decimal).unwrap();
            let sign = if bytes[0] & 0x80 != 0 { 0xff } else { 0 };
            let mut wide = [sign; 32];
            wide[32 - bytes.len()..].copy_from_slice(&bytes);
            let unscaled = i128::from_be_bytes(wide[16..].try_into().unwrap());
            Value::Decimal(Decimal { unscaled, scale: u8::try_from(d.scale).unwrap() })
        }
        (_, Apache::Uuid(u)) => Value::Uuid(*u.as_bytes()),
        (_, Apache::Date(d)) => Value::Date(*d),
        (_, Apache::TimestampMillis(t)) => Value::Timestamp(t * 1000),
        (_, Apache::TimestampMicros(t)) => Value::Timestamp(*t),
        (Avro::Array(array), Apache::Array(items)) => {
            Value::Array(items.iter().map(|v| from_apache(&array.items, v)).collect())
        }
        (Avro::Map(map), Apache::Map(entries)) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(k, v)| (k.as_str().into(), from_apache(&map.types, v))).collect();
            entries.sort_by(|a: &(std::sync::Arc<str>, Value), b| a.0.cmp(&b.0));
            Value::Map(entries.into())
        }
        (Avro::Record(record), Apache::Record(fields)) => {
            Value::Record(record.fields.iter().zip(fields).map(|(f, (_, v))| from_apache(&f.schema, v)).collect())
        }
        other => panic!("{other:?}"),
    }
}
