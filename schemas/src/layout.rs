//! How a schema's values lie in bytes: what a [`RecordType`](crate::RecordType) leaves out because no reader cares.
//!
//! A [`Type`](crate::Type) says `decimal(9,2)`; its node says whether that is `bytes` or a `fixed` of how many. A
//! nullable field's node is a union that knows where its null stands. Nodes refer to each other by index, so a schema
//! may refer to itself.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::types::EnumType;

pub(crate) type NodeId = usize;

/// All nodes of one schema. The root is a record, save in files that only others refer to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) nodes: Vec<Node>,
    /// The fewest bytes that a value of each node takes.
    pub(crate) smallest: Vec<usize>,
    pub(crate) root: NodeId,
}

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed {
        name: String,
        size: usize,
    },
    Enum(Arc<EnumType>),
    Decimal {
        precision: u8,
        scale: u8,
        fixed: Option<Box<FixedName>>,
    },
    Uuid {
        fixed: Option<Box<FixedName>>,
    },
    Date,
    TimestampMillis,
    TimestampMicros,
    /// A logical type that is unknown here: read as what it stands on, never as another logical type.
    Foreign {
        logical: String,
        base: NodeId,
    },
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(RecordNode),
    /// Reserved while its definition is being read.
    Unfinished,
}

/// The fixed type that a logical type stands on.
#[derive(Clone, Debug)]
pub(crate) struct FixedName {
    pub(crate) name: String,
    pub(crate) size: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct RecordNode {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) fields: Vec<NodeField>,
}

#[derive(Clone, Debug)]
pub(crate) struct NodeField {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) node: NodeId,
    /// As written, until it is read by its type.
    pub(crate) default: Option<Json>,
}

/// No value of it is finite.
pub(crate) const ENDLESS: usize = usize::MAX;

impl Layout {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// Fills `smallest`: from endless downwards until nothing changes, so that only what can end is finite.
    pub(crate) fn measure(&mut self) {
        self.smallest = vec![ENDLESS; self.nodes.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for id in (0..self.nodes.len()).rev() {
                let size = self.smallest_of(&self.nodes[id]);
                changed |= size != self.smallest[id];
                self.smallest[id] = size;
            }
        }
    }

    fn smallest_of(&self, node: &Node) -> usize {
        match node {
            Node::Null => 0,
            Node::Float => 4,
            Node::Double => 8,
            Node::Fixed { size, .. } => *size,
            Node::Decimal { fixed: Some(on), .. } | Node::Uuid { fixed: Some(on) } => on.size,
            Node::Foreign { base, .. } => self.smallest[*base],
            Node::Union(branches) => {
                branches.iter().map(|b| self.smallest[*b]).min().unwrap_or(ENDLESS).saturating_add(1)
            }
            Node::Record(record) => {
                record.fields.iter().fold(0usize, |sum, field| sum.saturating_add(self.smallest[field.node]))
            }
            Node::Unfinished => ENDLESS,
            _ => 1,
        }
    }

    /// A branch of a union apart from null: its index among those, which is the index in `Type::Union`.
    pub(crate) fn branches<'a>(&'a self, union: &'a [NodeId]) -> impl Iterator<Item = NodeId> + 'a {
        union.iter().copied().filter(|b| !matches!(self.nodes[*b], Node::Null))
    }
}
