//! Stepping over what nobody asked for: as strict about structure as reading is, and blind to what text says.

use super::cursor::Cursor;
use super::read::Program;
use super::{MAX_DEPTH, Malformed};

/// How to step over a value. Indexes are into the tables of [`Skips`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Skip {
    /// So many numbers of varying length, one after another.
    Varints(u32),
    /// So many bytes.
    Fixed(usize),
    /// A length and as many bytes: text or bytes.
    Bytes,
    Boolean,
    /// An enum of so many symbols.
    Enum(usize),
    Array(u32),
    Map(u32),
    Union(u32),
    Record(u32),
    Nothing,
}

/// What the compound skips refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Skips {
    /// The item of an array or a map, and its fewest bytes.
    pub(super) items: Vec<(Skip, usize)>,
    /// By branch.
    pub(super) unions: Vec<Box<[Skip]>>,
    /// By field, runs merged.
    pub(super) records: Vec<Box<[Skip]>>,
}

impl Skip {
    /// Appends a skip, as one with what it follows where that can be.
    pub(super) fn after(self, earlier: Option<&mut Skip>) -> Option<Skip> {
        match (earlier, self) {
            (_, Skip::Nothing) => None,
            (Some(Skip::Varints(n)), Skip::Varints(m)) => {
                *n += m;
                None
            }
            (Some(Skip::Fixed(n)), Skip::Fixed(m)) if n.checked_add(m).is_some() => {
                *n += m;
                None
            }
            (_, skip) => Some(skip),
        }
    }
}

impl Program {
    #[inline]
    pub(super) fn skip(&self, skip: Skip, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Malformed> {
        match skip {
            Skip::Varints(count) => (0..count).try_for_each(|_| cursor.varint().map(drop)),
            Skip::Fixed(size) => cursor.take(size).map(drop),
            Skip::Bytes => cursor.bytes().map(drop),
            Skip::Boolean => cursor.boolean().map(drop),
            Skip::Enum(symbols) => match cursor.index(Malformed::NoSuchSymbol)? {
                index if index < symbols => Ok(()),
                _ => Err(Malformed::NoSuchSymbol),
            },
            Skip::Nothing => Ok(()),
            _ => self.skip_compound(skip, cursor, depth),
        }
    }

    fn skip_compound(&self, skip: Skip, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Malformed> {
        match skip {
            Skip::Union(union) => {
                let index = cursor.index(Malformed::NoSuchBranch)?;
                let branch = self.skips.unions[union as usize].get(index).ok_or(Malformed::NoSuchBranch)?;
                self.skip(*branch, cursor, depth)
            }
            Skip::Record(_) if depth >= MAX_DEPTH => Err(Malformed::TooDeep),
            Skip::Record(record) => {
                self.skips.records[record as usize].iter().try_for_each(|s| self.skip(*s, cursor, depth + 1))
            }
            Skip::Array(items) => self.skip_items(items, 0, cursor, |cursor, item| self.skip(item, cursor, depth)),
            Skip::Map(items) => self.skip_items(items, 1, cursor, |cursor, item| {
                cursor.bytes()?;
                self.skip(item, cursor, depth)
            }),
            simple => self.skip(simple, cursor, depth),
        }
    }

    /// `key`: the fewest bytes of what stands before each item.
    fn skip_items<'c, 'a>(
        &self,
        items: u32,
        key: usize,
        cursor: &'c mut Cursor<'a>,
        one: impl Fn(&mut Cursor<'a>, Skip) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let (item, smallest) = self.skips.items[items as usize];
        while let Some(block) = cursor.block(smallest.saturating_add(key))? {
            for _ in 0..block.count {
                one(cursor, item)?;
            }
            cursor.end(&block)?;
        }
        Ok(())
    }
}
