//! From a layout to the [`RecordType`] that readers see.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::layout::{Layout, Node, NodeId};
use crate::types::{Field, FieldType, RecordLink, RecordType, Type};
use crate::value::Value;

/// Defaults by record node and field.
pub(super) type Defaults = HashMap<(NodeId, usize), Value>;

/// The types of a layout's nodes; each record is made once.
pub(super) struct Shapes<'l> {
    layout: &'l Layout,
    defaults: &'l Defaults,
    records: RefCell<HashMap<NodeId, Made>>,
}

enum Made {
    Partly(Weak<RecordType>),
    Whole(Arc<RecordType>),
}

impl<'l> Shapes<'l> {
    pub(super) fn new(layout: &'l Layout, defaults: &'l Defaults) -> Self {
        Self { layout, defaults, records: RefCell::default() }
    }

    /// The record at a node; None where the node is no record.
    pub(super) fn record(&self, id: NodeId) -> Option<Arc<RecordType>> {
        let Node::Record(node) = self.layout.node(id) else { return None };
        let record = Arc::new_cyclic(|link| {
            self.records.borrow_mut().insert(id, Made::Partly(link.clone()));
            let field = |(i, field): (usize, &crate::layout::NodeField)| Field {
                name: field.name.clone(),
                aliases: field.aliases.clone(),
                ty: self.field_type(field.node),
                default: self.defaults.get(&(id, i)).cloned(),
                doc: field.doc.clone(),
            };
            RecordType {
                name: node.name.clone(),
                aliases: node.aliases.clone(),
                fields: node.fields.iter().enumerate().map(field).collect(),
                doc: node.doc.clone(),
            }
        });
        self.records.borrow_mut().insert(id, Made::Whole(record.clone()));
        Some(record)
    }

    fn field_type(&self, id: NodeId) -> FieldType {
        let Node::Union(branches) = self.layout.node(id) else { return FieldType::required(self.ty(id)) };
        let mut types: Vec<Type> = self.layout.branches(branches).map(|branch| self.ty(branch)).collect();
        let nullable = types.len() < branches.len();
        let ty = if types.len() == 1 { types.swap_remove(0) } else { Type::Union(types.into()) };
        FieldType { ty, nullable }
    }

    fn ty(&self, id: NodeId) -> Type {
        match self.layout.node(id) {
            Node::Boolean => Type::Boolean,
            Node::Int => Type::Int,
            Node::Long => Type::Long,
            Node::Float => Type::Float,
            Node::Double => Type::Double,
            Node::Bytes => Type::Bytes,
            Node::String => Type::String,
            Node::Fixed { size, .. } => Type::Fixed(*size),
            Node::Enum(e) => Type::Enum(e.clone()),
            Node::Decimal { precision, scale, .. } => Type::Decimal { precision: *precision, scale: *scale },
            Node::Uuid { .. } => Type::Uuid,
            Node::Date => Type::Date,
            Node::TimestampMillis => Type::TimestampMillis,
            Node::TimestampMicros => Type::TimestampMicros,
            Node::Foreign { base, .. } => self.ty(*base),
            Node::Array(item) => Type::Array(Arc::new(self.field_type(*item))),
            Node::Map(value) => Type::Map(Arc::new(self.field_type(*value))),
            Node::Record(node) => self.record_type(id, &node.name),
            // A union stands in no union, and the others are refused before this is called.
            Node::Union(_) | Node::Null | Node::Unfinished => Type::Union(Arc::new([])),
        }
    }

    fn record_type(&self, id: NodeId, name: &str) -> Type {
        let made = match self.records.borrow().get(&id) {
            Some(Made::Partly(link)) => Some(Type::Recursive(RecordLink::new(name, link.clone()))),
            Some(Made::Whole(record)) => Some(Type::Record(record.clone())),
            None => None,
        };
        made.or_else(|| self.record(id).map(Type::Record)).unwrap_or(Type::Union(Arc::new([])))
    }
}
