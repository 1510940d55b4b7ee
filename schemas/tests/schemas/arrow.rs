//! arrow-avro as a second oracle: it reads the same messages into the same values.
//!
//! Unions other than with null are left to apache-avro.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use headwater_schemas::wire::{SchemaId, frame};
use headwater_schemas::{Decimal, FieldType, Schema, Type, Value};
use proptest::prelude::*;

use crate::decode::encoded;
use crate::generate::schema_and_value;

pub(crate) fn read(schema: &Schema, bodies: &[Vec<u8>]) -> Result<RecordBatch, String> {
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(Fingerprint::Id(1), AvroSchema::new(schema.text.to_string())).map_err(|e| e.to_string())?;
    let builder = ReaderBuilder::new().with_writer_schema_store(store).with_batch_size(bodies.len());
    let mut decoder = builder.build_decoder().map_err(|e| e.to_string())?;
    for body in bodies {
        let mut message = Vec::new();
        frame(SchemaId(1), body, &mut message);
        let taken = decoder.decode(&message).map_err(|e| e.to_string())?;
        assert_eq!(taken, message.len());
    }
    decoder.flush().map_err(|e| e.to_string())?.ok_or_else(|| "no batch".to_owned())
}

fn from_arrow(ty: &FieldType, array: &dyn Array, row: usize) -> Value {
    if ty.nullable && array.is_null(row) {
        return Value::Null;
    }
    match &ty.ty {
        Type::Boolean => Value::Boolean(array.as_boolean().value(row)),
        Type::Int => Value::Long(array.as_primitive::<Int32Type>().value(row).into()),
        Type::Long => Value::Long(array.as_primitive::<Int64Type>().value(row)),
        Type::Float => Value::Float(array.as_primitive::<Float32Type>().value(row)),
        Type::Double => Value::Double(array.as_primitive::<Float64Type>().value(row)),
        Type::String => Value::string(array.as_string::<i32>().value(row)),
        Type::Bytes => Value::Bytes(array.as_binary::<i32>().value(row).into()),
        Type::Fixed(_) => Value::Bytes(array.as_fixed_size_binary().value(row).into()),
        Type::Uuid => Value::Uuid(array.as_fixed_size_binary().value(row).try_into().unwrap()),
        Type::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        Type::TimestampMillis => Value::Timestamp(array.as_primitive::<TimestampMillisecondType>().value(row) * 1000),
        Type::TimestampMicros => Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        Type::Enum(_) => {
            let symbols = array.as_dictionary::<Int32Type>();
            let key = symbols.keys().value(row);
            Value::string(symbols.values().as_string::<i32>().value(usize::try_from(key).unwrap()))
        }
        Type::Decimal { scale, .. } => {
            let unscaled = if let Some(a) = array.as_primitive_opt::<Decimal128Type>() {
                a.value(row)
            } else if let Some(a) = array.as_primitive_opt::<Decimal64Type>() {
                a.value(row).into()
            } else {
                array.as_primitive::<Decimal32Type>().value(row).into()
            };
            Value::Decimal(Decimal { unscaled, scale: *scale })
        }
        Type::Array(item) => {
            let items = array.as_list::<i32>().value(row);
            Value::Array((0..items.len()).map(|i| from_arrow(item, &items, i)).collect())
        }
        Type::Map(item) => {
            let entries = array.as_map().value(row);
            let keys = entries.column(0).as_string::<i32>();
            let entry = |i| (keys.value(i).into(), from_arrow(item, entries.column(1), i));
            Value::Map((0..entries.len()).map(entry).collect())
        }
        Type::Record(record) => {
            let columns = array.as_struct();
            let fields = record.fields.iter().enumerate();
            Value::Record(fields.map(|(i, f)| from_arrow(&f.ty, columns.column(i), row)).collect())
        }
        other => panic!("{other}"),
    }
}

fn has_union(ty: &FieldType) -> bool {
    match &ty.ty {
        Type::Union(_) | Type::Recursive(_) => true,
        Type::Array(item) | Type::Map(item) => has_union(item),
        Type::Record(record) => record.fields.is_empty() || record.fields.iter().any(|f| has_union(&f.ty)),
        _ => false,
    }
}

proptest! {
    #[test]
    fn arrow_avro_reads_the_same(
        (schema, value) in schema_and_value()
            .prop_filter("no unions", |(schema, _)| !schema.record.fields.iter().any(|f| has_union(&f.ty))),
    ) {
        let batch = read(&schema, &[encoded(&schema, &value)]).map_err(TestCaseError::fail)?;
        let fields = schema.record.fields.iter().enumerate();
        let theirs: Value = Value::Record(fields.map(|(i, f)| from_arrow(&f.ty, batch.column(i), 0)).collect());
        prop_assert_eq!(theirs, value);
    }
}
