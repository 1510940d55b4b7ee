//! `pipelines/<domain>/tests/*.yaml`: events given, rows expected. Values keep their source text until an Avro type
//! says how to read them.

use super::Text;
use crate::yaml::Node;

#[derive(Clone, Debug, PartialEq)]
pub struct TestDecl {
    pub name: Text,
    pub given: Vec<GivenDecl>,
    /// A view and all its rows.
    pub expect: Vec<(Text, Vec<Node>)>,
    /// Events expected to be parked, by their index in `given` (from 1) with an optional part of the reason.
    pub parked: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GivenDecl {
    pub event: Text,
    /// A mapping of fields, and `_time`, `_key`, `_headers`.
    pub fields: Node,
}
