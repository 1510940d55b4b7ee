//! What the YAML files say, with the place of every word: the shapes of declarations before anything is checked
//! against schemas or each other.

pub mod command;
pub mod config;
pub mod query;
pub mod test;
pub mod topic;
pub mod topology;

pub use command::CommandDecl;
pub use config::Config;
pub use query::QueryDecl;
pub use test::TestDecl;
pub use topic::TopicDecl;
pub use topology::{ColumnsDecl, KeyDecl, KeyEntry, TopologyDecl, ViewDecl};

use crate::source::Spanned;

/// A word or an expression as written.
pub type Text = Spanned<String>;
