//! The unread rest of a message and the few ways to read from it. Nothing here trusts the bytes.

use super::Malformed;

/// Items that take no bytes (empty records) are free to claim; a message may claim this many.
const FREE_ITEMS: usize = 1024;

pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    free_items: usize,
}

/// A block of an array or a map.
pub(super) struct Block {
    pub(super) count: usize,
    /// What must be left of the message after it, where the writer says.
    left: Option<usize>,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body, free_items: FREE_ITEMS }
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && *byte > 1 {
                return Err(Malformed::VarintTooLong);
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(Malformed::Truncated)
    }

    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Malformed> {
        let n = self.varint()?;
        Ok((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, Malformed> {
        i32::try_from(self.long()?).map_err(|_| Malformed::IntOutOfRange)
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes()?;
        if bytes.contains(&0) {
            return Err(Malformed::NulInText);
        }
        std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed::NotBoolean),
        }
    }

    /// The index of an enum's symbol or a union's branch.
    #[inline]
    pub(super) fn index(&mut self, none: Malformed) -> Result<usize, Malformed> {
        usize::try_from(self.long()?).map_err(|_| none)
    }

    #[inline]
    fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.long()?).map_err(|_| Malformed::NegativeLength)
    }

    /// The next block, or None after the last; `smallest` is the fewest bytes of an item. A count is believed only as far
    /// as the bytes can hold it.
    pub(super) fn block(&mut self, smallest: usize) -> Result<Option<Block>, Malformed> {
        let count = self.long()?;
        if count == 0 {
            return Ok(None);
        }
        let (room, left) = if count < 0 {
            let size = self.length()?;
            (size, Some(self.rest.len().checked_sub(size).ok_or(Malformed::Truncated)?))
        } else {
            (self.rest.len(), None)
        };
        let count = usize::try_from(count.unsigned_abs()).map_err(|_| Malformed::TooManyItems)?;
        match room.checked_div(smallest) {
            Some(most) if count > most => return Err(Malformed::TooManyItems),
            Some(_) => {}
            None => self.free_items = self.free_items.checked_sub(count).ok_or(Malformed::TooManyItems)?,
        }
        Ok(Some(Block { count, left }))
    }

    /// Checks that a block's items took the bytes that it said.
    pub(super) fn end(&self, block: &Block) -> Result<(), Malformed> {
        match block.left {
            Some(left) if left != self.rest.len() => Err(Malformed::WrongBlockSize),
            _ => Ok(()),
        }
    }
}
