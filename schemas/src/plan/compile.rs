//! From a writer's layout and a reader's record to steps.

use std::collections::HashMap;
use std::sync::Arc;

use super::matching::{Fit, describe, fit, is_logical, is_plain, scalar, symbols, written_field};
use super::read::{Fill, Op, Program, Read, RecordPlan, Step};
use super::skip::Skip;
use super::{DecodePlan, ResolveError};
use crate::layout::{Layout, Node, NodeId, RecordNode};
use crate::types::{FieldType, RecordType, Type};

/// The plan, or everything that is wrong; never an empty list.
pub(super) fn plan(writer: &Layout, reader: &RecordType, needed: &[usize]) -> Result<DecodePlan, Vec<ResolveError>> {
    let mut compiler = Compiler {
        writer,
        program: Program::default(),
        reads: HashMap::new(),
        skips: HashMap::new(),
        path: vec![],
        errors: vec![],
        gaps: vec![],
    };
    let Node::Record(record) = writer.node(writer.root) else {
        compiler.fail("expected a writer's schema that is a record".into());
        return Err(compiler.errors);
    };
    let root = compiler.record_plan(record, reader, needed);
    if !compiler.errors.is_empty() {
        return Err(compiler.errors);
    }
    let fields = record.fields.iter().map(|f| Arc::from(f.name.as_str()));
    let fields = merged_names(&root, fields.collect());
    Ok(DecodePlan { root, program: compiler.program, fields, gaps: compiler.gaps })
}

/// A name a step: runs of skips are one step, named by the first of its fields.
fn merged_names(root: &RecordPlan, names: Vec<Arc<str>>) -> Box<[Arc<str>]> {
    root.steps.iter().map(|step| names.get(step.field as usize).cloned().unwrap_or_default()).collect()
}

struct Compiler<'w> {
    writer: &'w Layout,
    program: Program,
    /// Nested records that are compiled or being compiled, by writer's node and reader's record.
    reads: HashMap<(NodeId, *const RecordType), Result<u32, ResolveError>>,
    /// By record node.
    skips: HashMap<NodeId, u32>,
    path: Vec<String>,
    errors: Vec<ResolveError>,
    gaps: Vec<ResolveError>,
}

impl Compiler<'_> {
    fn fail(&mut self, message: String) {
        let path = self.path.concat().trim_start_matches('.').to_owned();
        self.errors.push(ResolveError { path, message });
    }

    /// `each`, under a part of the path.
    fn under<T>(&mut self, part: String, each: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(part);
        let result = each(self);
        self.path.pop();
        result
    }

    /// What stands in the way of a record plan is in `errors` afterwards.
    fn record_plan(&mut self, writer: &RecordNode, reader: &RecordType, needed: &[usize]) -> RecordPlan {
        let mut slots: Vec<Option<(u32, &FieldType, &str)>> = vec![None; writer.fields.len()];
        let mut fills = Vec::new();
        for (slot, index) in needed.iter().enumerate() {
            let slot = narrow(slot);
            let Some(field) = reader.fields.get(*index) else {
                self.fail(format!("the reader {} has no field number {index}", reader.name));
                continue;
            };
            match (written_field(writer, reader, field), &field.default) {
                (Some(at), _) => match slots[at] {
                    Some((from, ..)) => fills.push(Fill::Copy { from, to: slot }),
                    None => slots[at] = Some((slot, &field.ty, &field.name)),
                },
                (None, Some(default)) => fills.push(Fill::Default(slot, default.clone())),
                (None, None) => self.under(format!(".{}", field.name), |this| {
                    this.fail(format!("{} has no such field, and the reader has no default for it", writer.name));
                }),
            }
        }
        let mut steps: Vec<Step> = Vec::new();
        for (i, (field, slot)) in writer.fields.iter().zip(&slots).enumerate() {
            let (op, slot) = match slot {
                Some((slot, ty, name)) => match self.under(format!(".{name}"), |this| this.field(field.node, ty)) {
                    Some(read) => (Op::Read(read), *slot),
                    None => continue,
                },
                None => {
                    let earlier = match steps.last_mut() {
                        Some(Step { op: Op::Skip(skip), .. }) => Some(skip),
                        _ => None,
                    };
                    match self.skip(field.node).after(earlier) {
                        Some(skip) => (Op::Skip(skip), 0),
                        None => continue,
                    }
                }
            };
            steps.push(Step { op, slot, field: narrow(i) });
        }
        RecordPlan { steps: steps.into(), fills: fills.into(), width: needed.len() }
    }

    /// How to read a value that may be null for the reader.
    fn field(&mut self, node: NodeId, reader: &FieldType) -> Option<Read> {
        match self.writer.node(node) {
            Node::Union(branches) => self.union(node, branches, reader),
            Node::Null if reader.nullable => Some(Read::Null),
            _ => self.value(node, &reader.ty),
        }
    }

    /// Branches that the reader lacks are gaps, as long as it has one of them.
    fn union(&mut self, node: NodeId, branches: &[NodeId], reader: &FieldType) -> Option<Read> {
        let mark = self.errors.len();
        let several = self.writer.branches(branches).nth(1).is_some();
        let reads: Box<[Option<Read>]> = branches.iter().map(|branch| self.branch(*branch, reader, several)).collect();
        if reads.iter().all(Option::is_none) {
            self.errors.truncate(mark);
            self.fail(format!("expected {}, found {}", show(reader), describe(self.writer, node)));
            return None;
        }
        self.gaps.extend(self.errors.drain(mark..));
        Some(match *reads {
            [Some(Read::Null), Some(read)] => Read::NullOr(self.keep(read)),
            [Some(read), Some(Read::Null)] => Read::OrNull(self.keep(read)),
            _ => {
                self.program.unions.push(reads);
                Read::Union(narrow(self.program.unions.len() - 1))
            }
        })
    }

    /// `several`: the writer has other branches, null aside, and means this one to be told from them.
    fn branch(&mut self, branch: NodeId, reader: &FieldType, several: bool) -> Option<Read> {
        match self.writer.node(branch) {
            Node::Null if reader.nullable => Some(Read::Null),
            Node::Null => {
                self.fail(format!("expected {}, found null, which the writer may send", show(reader)));
                None
            }
            node if several && is_logical(&reader.ty) && is_plain(node) => self.mismatch(branch, &reader.ty),
            _ => self.value(branch, &reader.ty),
        }
    }

    fn keep(&mut self, read: Read) -> u32 {
        self.program.reads.push(read);
        narrow(self.program.reads.len() - 1)
    }

    /// How to read a value that is not null and no union of the writer's.
    fn value(&mut self, node: NodeId, reader: &Type) -> Option<Read> {
        match (self.writer.node(node), reader) {
            (_, Type::Union(branches)) => {
                let Some((index, branch)) = self.pick(node, branches) else { return self.mismatch(node, reader) };
                let read = self.value(node, branch)?;
                Some(Read::Branch { branch: narrow(index), read: self.keep(read) })
            }
            (Node::Foreign { base, .. }, _) if !is_logical(reader) => self.value(*base, reader),
            (Node::Array(item), Type::Array(reader)) => self.items(*item, reader, "[]").map(Read::Array),
            (Node::Map(value), Type::Map(reader)) => self.items(*value, reader, "{}").map(Read::Map),
            (Node::Enum(writer), Type::Enum(e)) if fit(self.writer, node, reader) > Fit::None => {
                let table = symbols(writer, e);
                for (symbol, _) in writer.symbols.iter().zip(&table).filter(|(_, known)| known.is_none()) {
                    let path = self.path.concat().trim_start_matches('.').to_owned();
                    let message = format!("{} lacks the symbol {symbol} and has no default", e.name);
                    self.gaps.push(ResolveError { path, message });
                }
                self.program.enums.push(table);
                Some(Read::Enum(narrow(self.program.enums.len() - 1)))
            }
            (Node::Record(record), Type::Record(reader_record)) if fit(self.writer, node, reader) > Fit::None => {
                self.record(node, record, reader_record)
            }
            (Node::Record(record), Type::Recursive(link)) if fit(self.writer, node, reader) > Fit::None => {
                match link.record() {
                    Some(reader_record) => self.record(node, record, &reader_record),
                    None => self.mismatch(node, reader),
                }
            }
            (writer, _) => scalar(writer, reader).or_else(|| self.mismatch(node, reader)),
        }
    }

    fn mismatch(&mut self, node: NodeId, reader: &Type) -> Option<Read> {
        self.fail(format!("expected {reader}, found {}", describe(self.writer, node)));
        None
    }

    /// The reader's branch for a writer's type: the first that fits exactly, else the first that fits.
    fn pick<'t>(&self, node: NodeId, branches: &'t [Type]) -> Option<(usize, &'t Type)> {
        let fitting = |wanted: Fit| branches.iter().enumerate().find(move |(_, b)| fit(self.writer, node, b) == wanted);
        fitting(Fit::Exact).or_else(|| fitting(Fit::Loose))
    }

    fn items(&mut self, item: NodeId, reader: &FieldType, part: &str) -> Option<u32> {
        let read = self.under(part.to_owned(), |this| this.field(item, reader))?;
        self.program.items.push((read, self.writer.smallest[item]));
        Some(narrow(self.program.items.len() - 1))
    }

    fn record(&mut self, node: NodeId, writer: &RecordNode, reader: &Arc<RecordType>) -> Option<Read> {
        let key = (node, Arc::as_ptr(reader));
        match self.reads.get(&key) {
            Some(Ok(id)) => return Some(Read::Record(*id)),
            Some(Err(error)) => {
                self.errors.push(error.clone());
                return None;
            }
            None => {}
        }
        let id = narrow(self.program.records.len());
        self.program.records.push(RecordPlan::default());
        self.reads.insert(key, Ok(id));
        let mark = self.errors.len();
        let whole: Vec<usize> = (0..reader.fields.len()).collect();
        let plan = self.record_plan(writer, reader, &whole);
        if let Some(error) = self.errors.get(mark) {
            self.reads.insert(key, Err(error.clone()));
            return None;
        }
        self.program.records[id as usize] = plan;
        Some(Read::Record(id))
    }

    fn skip(&mut self, node: NodeId) -> Skip {
        let skips = &mut self.program.skips;
        match self.writer.node(node) {
            Node::Null | Node::Unfinished => Skip::Nothing,
            Node::Boolean => Skip::Boolean,
            Node::Int | Node::Long | Node::Date | Node::TimestampMillis | Node::TimestampMicros => Skip::Varints(1),
            Node::Float => Skip::Fixed(4),
            Node::Double => Skip::Fixed(8),
            Node::Bytes | Node::String | Node::Decimal { fixed: None, .. } | Node::Uuid { fixed: None } => Skip::Bytes,
            Node::Fixed { size, .. } => Skip::Fixed(*size),
            Node::Decimal { fixed: Some(on), .. } | Node::Uuid { fixed: Some(on) } => Skip::Fixed(on.size),
            Node::Enum(e) => Skip::Enum(e.symbols.len()),
            Node::Foreign { base, .. } => self.skip(*base),
            Node::Array(item) | Node::Map(item) => {
                let skip = (self.skip(*item), self.writer.smallest[*item]);
                let skips = &mut self.program.skips;
                skips.items.push(skip);
                let index = narrow(skips.items.len() - 1);
                if matches!(self.writer.node(node), Node::Array(_)) { Skip::Array(index) } else { Skip::Map(index) }
            }
            Node::Union(branches) => {
                let branches = branches.iter().map(|branch| self.skip(*branch)).collect();
                let skips = &mut self.program.skips;
                skips.unions.push(branches);
                Skip::Union(narrow(skips.unions.len() - 1))
            }
            Node::Record(_) if self.skips.contains_key(&node) => Skip::Record(self.skips[&node]),
            Node::Record(record) => {
                let id = narrow(skips.records.len());
                skips.records.push(Box::default());
                self.skips.insert(node, id);
                let mut steps: Vec<Skip> = Vec::new();
                for field in &record.fields {
                    let skip = self.skip(field.node).after(steps.last_mut());
                    steps.extend(skip);
                }
                self.program.skips.records[id as usize] = steps.into();
                Skip::Record(id)
            }
        }
    }
}

fn show(reader: &FieldType) -> String {
    format!("{}{}", if reader.nullable { "null or " } else { "" }, reader.ty)
}

/// Tables are as long as schemas are, far below 2^32.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
