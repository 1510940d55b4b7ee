//! The compiled steps and the loop that runs them.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::cursor::Cursor;
use super::skip::{Skip, Skips};
use super::{MAX_DEPTH, Malformed};
use crate::value::{Decimal, Value, ValueRef, decimal_from_bytes, fits_precision};

/// How to read a value. Indexes are into the tables of [`Program`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Read {
    Null,
    Boolean,
    Int,
    Long,
    IntToFloat,
    IntToDouble,
    LongToFloat,
    LongToDouble,
    Float,
    FloatToDouble,
    Double,
    /// Text, or bytes that a reader takes for text.
    Text,
    Bytes,
    Fixed(u32),
    Enum(u32),
    Decimal {
        precision: u8,
        scale: u8,
    },
    FixedDecimal {
        size: u32,
        precision: u8,
        scale: u8,
    },
    UuidText,
    UuidBytes,
    Date,
    /// A long of milliseconds; an int where a reader has widened it.
    Millis,
    IntMillis,
    Micros,
    IntMicros,
    Array(u32),
    Map(u32),
    Record(u32),
    Union(u32),
    /// A union of two, the first of them null.
    NullOr(u32),
    /// A union of two, the second of them null.
    OrNull(u32),
    /// A value that becomes this branch of the reader's union.
    Branch {
        branch: u32,
        read: u32,
    },
}

/// One field of the writer: stepped over, or read into a slot of the row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    pub(super) slot: u32,
    /// The index of the writer's field, for errors; of a run of skips, the first.
    pub(super) field: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Read(Read),
    Skip(Skip),
}

/// A slot that no field of the writer fills.
#[derive(Clone, Debug)]
pub(super) enum Fill {
    Default(u32, Value),
    /// The field of another slot, asked for twice.
    Copy {
        from: u32,
        to: u32,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct RecordPlan {
    pub(super) steps: Box<[Step]>,
    pub(super) fills: Box<[Fill]>,
    /// How many slots.
    pub(super) width: usize,
}

/// What the steps refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) reads: Vec<Read>,
    /// The item of an array or a map, and its fewest bytes.
    pub(super) items: Vec<(Read, usize)>,
    /// By branch of the writer's union; None is a branch that the reader lacks.
    pub(super) unions: Vec<Box<[Option<Read>]>>,
    /// By symbol of the writer's enum: the reader's symbol.
    pub(super) enums: Vec<Box<[Option<Box<str>>]>>,
    pub(super) records: Vec<RecordPlan>,
    pub(super) skips: Skips,
}

impl Program {
    #[inline]
    pub(super) fn row<'a>(
        &self,
        plan: &RecordPlan,
        cursor: &mut Cursor<'a>,
        bump: &'a Bump,
        depth: usize,
    ) -> Result<&'a [ValueRef<'a>], Malformed> {
        let row = bump.alloc_slice_fill_copy(plan.width, ValueRef::Null);
        for step in &plan.steps {
            match step.op {
                Op::Read(read) => self.read(read, cursor, bump, depth, &mut row[step.slot as usize])?,
                Op::Skip(skip) => self.skip(skip, cursor, depth)?,
            }
        }
        for fill in &plan.fills {
            match fill {
                Fill::Default(slot, value) => row[*slot as usize] = value.copy_to(bump),
                Fill::Copy { from, to } => row[*to as usize] = row[*from as usize],
            }
        }
        Ok(row)
    }

    /// Which step of a row fails, once one is known to: run again, so that the way through pays nothing for it.
    pub(super) fn failing_step(&self, plan: &RecordPlan, body: &[u8], bump: &Bump) -> Option<usize> {
        let mut cursor = Cursor::new(body);
        plan.steps.iter().position(|step| match step.op {
            Op::Read(read) => self.value(read, &mut cursor, bump, 0).is_err(),
            Op::Skip(skip) => self.skip(skip, &mut cursor, 0).is_err(),
        })
    }

    /// Into `out`, which holds null: a value is larger than the registers that would return it.
    #[inline]
    fn read<'a>(
        &self,
        mut read: Read,
        cursor: &mut Cursor<'a>,
        bump: &'a Bump,
        depth: usize,
        out: &mut ValueRef<'a>,
    ) -> Result<(), Malformed> {
        // Of a union of null and another, the other: read as if it stood there alone.
        if let Read::NullOr(inner) | Read::OrNull(inner) = read {
            let value = u64::from(matches!(read, Read::NullOr(_)));
            match cursor.varint()? {
                // Zigzag: the branches 0 and 1 are the numbers 0 and 2.
                index @ (0 | 2) if index >> 1 == value => read = self.reads[inner as usize],
                0 | 2 => return Ok(()),
                _ => return Err(Malformed::NoSuchBranch),
            }
        }
        *out = match read {
            Read::Text => ValueRef::String(cursor.text()?),
            Read::Long => ValueRef::Long(cursor.long()?),
            Read::Int => ValueRef::Long(cursor.int()?.into()),
            Read::Micros => ValueRef::Timestamp(cursor.long()?),
            Read::Millis => ValueRef::Timestamp(millis(cursor.long()?)?),
            Read::Boolean => ValueRef::Boolean(cursor.boolean()?),
            Read::Float => ValueRef::Float(f32::from_le_bytes(cursor.array()?)),
            Read::Double => ValueRef::Double(f64::from_le_bytes(cursor.array()?)),
            Read::Date => ValueRef::Date(cursor.int()?),
            Read::Bytes => ValueRef::Bytes(cursor.bytes()?),
            Read::Decimal { precision, scale } => decimal(cursor.bytes()?, precision, scale)?,
            _ => self.read_rarer(read, cursor, bump, depth)?,
        };
        Ok(())
    }

    /// One value, returned: of an item, a branch, a step that failed.
    fn value<'a>(
        &self,
        read: Read,
        cursor: &mut Cursor<'a>,
        bump: &'a Bump,
        depth: usize,
    ) -> Result<ValueRef<'a>, Malformed> {
        let mut value = ValueRef::Null;
        self.read(read, cursor, bump, depth, &mut value)?;
        Ok(value)
    }

    #[inline(never)]
    fn read_rarer<'a>(
        &self,
        read: Read,
        cursor: &mut Cursor<'a>,
        bump: &'a Bump,
        depth: usize,
    ) -> Result<ValueRef<'a>, Malformed> {
        Ok(match read {
            Read::Null => ValueRef::Null,
            Read::Fixed(size) => ValueRef::Bytes(cursor.take(size as usize)?),
            Read::Enum(table) => self.symbol(table, cursor, bump)?,
            Read::FixedDecimal { size, precision, scale } => decimal(cursor.take(size as usize)?, precision, scale)?,
            Read::UuidBytes => ValueRef::Uuid(cursor.array()?),
            Read::IntToFloat => ValueRef::Float(cursor.int()? as f32),
            Read::IntToDouble => ValueRef::Double(cursor.int()?.into()),
            Read::LongToFloat => ValueRef::Float(cursor.long()? as f32),
            Read::LongToDouble => ValueRef::Double(cursor.long()? as f64),
            Read::FloatToDouble => ValueRef::Double(f32::from_le_bytes(cursor.array()?).into()),
            Read::IntMillis => ValueRef::Timestamp(millis(cursor.int()?.into())?),
            Read::IntMicros => ValueRef::Timestamp(cursor.int()?.into()),
            Read::UuidText => {
                let uuid = uuid::Uuid::try_parse_ascii(cursor.bytes()?).map_err(|_| Malformed::NotUuid)?;
                ValueRef::Uuid(uuid.into_bytes())
            }
            Read::Array(items) => ValueRef::Array(self.array(items, cursor, bump, depth)?),
            Read::Map(items) => ValueRef::Map(self.map(items, cursor, bump, depth)?),
            Read::Record(_) if depth >= MAX_DEPTH => return Err(Malformed::TooDeep),
            Read::Record(record) => {
                ValueRef::Record(self.row(&self.records[record as usize], cursor, bump, depth + 1)?)
            }
            Read::Union(union) => {
                let index = cursor.index(Malformed::NoSuchBranch)?;
                let branch = self.unions[union as usize].get(index).ok_or(Malformed::NoSuchBranch)?;
                self.value(branch.ok_or(Malformed::BranchNotRead)?, cursor, bump, depth)?
            }
            Read::Branch { branch, read } => {
                let value = self.value(self.reads[read as usize], cursor, bump, depth)?;
                ValueRef::Branch(branch, bump.alloc(value))
            }
            simple => self.value(simple, cursor, bump, depth)?,
        })
    }

    fn symbol<'a>(&self, table: u32, cursor: &mut Cursor<'a>, bump: &'a Bump) -> Result<ValueRef<'a>, Malformed> {
        let index = cursor.index(Malformed::NoSuchSymbol)?;
        let symbol = self.enums[table as usize].get(index).ok_or(Malformed::NoSuchSymbol)?;
        let symbol = symbol.as_deref().ok_or(Malformed::SymbolNotRead)?;
        Ok(ValueRef::String(bump.alloc_str(symbol)))
    }

    fn array<'a>(
        &self,
        items: u32,
        cursor: &mut Cursor<'a>,
        bump: &'a Bump,
        depth: usize,
    ) -> Result<&'a [ValueRef<'a>], Malformed> {
        let (item, smallest) = self.items[items as usize];
        let mut values = BumpVec::new_in(bump);
        while let Some(block) = cursor.block(smallest)? {
            values.reserve(block.count);
            for _ in 0..block.count {
                values.push(self.value(item, cursor, bump, depth)?);
            }
            cursor.end(&block)?;
        }
        Ok(values.into_bump_slice())
    }

    /// By key, each once: of a key that is written twice the last value counts.
    fn map<'a>(
        &self,
        items: u32,
        cursor: &mut Cursor<'a>,
        bump: &'a Bump,
        depth: usize,
    ) -> Result<&'a [(&'a str, ValueRef<'a>)], Malformed> {
        let (item, smallest) = self.items[items as usize];
        let mut entries: BumpVec<'a, (&'a str, ValueRef<'a>)> = BumpVec::new_in(bump);
        while let Some(block) = cursor.block(smallest.saturating_add(1))? {
            entries.reserve(block.count);
            for _ in 0..block.count {
                let key = cursor.text()?;
                entries.push((key, self.value(item, cursor, bump, depth)?));
            }
            cursor.end(&block)?;
        }
        if entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Ok(entries.into_bump_slice());
        }
        let order = bump.alloc_slice_fill_with(entries.len(), |i| i);
        order.sort_unstable_by_key(|i| (entries[*i].0, *i));
        let last = |(at, i): (usize, &usize)| order.get(at + 1).is_none_or(|next| entries[*next].0 != entries[*i].0);
        let kept = order.iter().enumerate().filter(|(at, i)| last((*at, i))).map(|(_, i)| entries[*i]);
        Ok(BumpVec::from_iter_in(kept, bump).into_bump_slice())
    }
}

#[inline]
fn decimal<'a>(bytes: &[u8], precision: u8, scale: u8) -> Result<ValueRef<'a>, Malformed> {
    let unscaled = match <[u8; 8]>::try_from(bytes) {
        Ok(eight) => Some(i128::from(i64::from_be_bytes(eight))).filter(|n| fits_precision(*n, precision)),
        Err(_) => decimal_from_bytes(bytes, precision),
    };
    Ok(ValueRef::Decimal(Decimal { unscaled: unscaled.ok_or(Malformed::NotDecimal)?, scale }))
}

#[inline]
fn millis(millis: i64) -> Result<i64, Malformed> {
    millis.checked_mul(1000).ok_or(Malformed::TimestampOutOfRange)
}
