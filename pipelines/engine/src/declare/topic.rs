//! `schemas/<domain>/topic.yaml`.

use super::Text;
use crate::source::Spanned;

#[derive(Clone, Debug, PartialEq)]
pub struct TopicDecl {
    pub topic: Text,
    /// The fields of every event that make the message key.
    pub key: Vec<Text>,
    pub partitions: Spanned<u32>,
    /// None: forever.
    pub retention_days: Option<Spanned<u32>>,
    pub events: Vec<Text>,
    /// An event and its older names.
    pub was: Vec<(Text, Vec<Text>)>,
    /// Known and skipped.
    pub ignore: Vec<Text>,
}
