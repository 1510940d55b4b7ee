//! The unread rest of a message and the few ways to read from it. Nothing here trusts the bytes.

use ascii::AsciiStr;

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

    /// One byte and two are most of them: lengths, small numbers, indexes of branches.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => {
                let (value, rest) = long_varint(self.rest)?;
                self.rest = rest;
                Ok(value)
            }
        }
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

    /// Text is mostly ASCII, which is told in a few steps of eight bytes.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.bytes()?;
        match AsciiStr::from_ascii(bytes) {
            Ok(ascii) if !holds_nul(bytes) => Ok(ascii.as_str()),
            _ => wide_text(bytes),
        }
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

/// The highest bit of each of eight bytes.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;

/// A number of up to eight bytes, where as many are left, without a loop; the others a byte at a time.
#[inline]
fn long_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let Some(word) = bytes.first_chunk().map(|eight| u64::from_le_bytes(*eight)) else { return varint_by_byte(bytes) };
    let ends = !word & HIGH_BITS;
    if ends == 0 {
        return varint_by_byte(bytes);
    }
    let rest = bytes.get(ends.trailing_zeros() as usize / 8 + 1..).unwrap_or_default();
    // All bits up to that of the last byte's end; then groups of seven are closed up, two by two.
    let word = word & (ends ^ (ends - 1)) & !HIGH_BITS;
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    Ok((word & 0x0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4, rest))
}

fn varint_by_byte(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        if i == 9 && *byte > 1 {
            return Err(Malformed::VarintTooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Ok((value, &bytes[i + 1..]));
        }
    }
    Err(Malformed::Truncated)
}

/// Of ASCII only: a byte that is not zero stays below 0x80 when one is taken from it, and lends nothing to the next.
#[inline]
fn holds_nul(ascii: &[u8]) -> bool {
    let (words, rest) = ascii.as_chunks::<8>();
    let found =
        words.iter().fold(0, |found, word| found | u64::from_le_bytes(*word).wrapping_sub(LOW_BITS)) & HIGH_BITS;
    match ascii.last_chunk() {
        // The last eight, some of them seen already.
        Some(last) => (found | u64::from_le_bytes(*last).wrapping_sub(LOW_BITS)) & HIGH_BITS != 0,
        None => rest.contains(&0),
    }
}

#[cold]
fn wide_text(bytes: &[u8]) -> Result<&str, Malformed> {
    match std::str::from_utf8(bytes) {
        _ if bytes.contains(&0) => Err(Malformed::NulInText),
        Ok(text) => Ok(text),
        Err(_) => Err(Malformed::NotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_the_same_by_words_and_by_bytes() {
        for bits in 0..=64u32 {
            let number = u64::MAX.checked_shr(64 - bits).unwrap_or(0) & 0xdead_beef_1234_5679;
            let mut bytes = vec![];
            let mut left = number;
            while left >= 0x80 {
                bytes.push(left as u8 | 0x80);
                left >>= 7;
            }
            bytes.push(left as u8);
            for after in 0..10 {
                let mut message = bytes.clone();
                message.resize(bytes.len() + after, 0xff);
                let mut cursor = Cursor::new(&message);
                assert_eq!(cursor.varint(), Ok(number));
                assert_eq!(cursor.rest().len(), after);
                assert_eq!(varint_by_byte(&message).map(|(n, rest)| (n, rest.len())), Ok((number, after)));
            }
            for cut in 0..bytes.len() {
                assert_eq!(Cursor::new(&bytes[..cut]).varint(), Err(Malformed::Truncated));
            }
        }
        assert_eq!(Cursor::new(&[0xff; 12]).varint(), Err(Malformed::VarintTooLong));
    }

    #[test]
    fn text_is_refused_for_a_nul_wherever_it_stands() {
        for length in 0..40 {
            let mut message = vec![length as u8 * 2];
            message.extend((1..=length as u8).map(|n| n.wrapping_mul(37) & 0x7f | 1));
            let text = std::str::from_utf8(&message[1..]).unwrap().to_owned();
            assert_eq!(Cursor::new(&message).text(), Ok(text.as_str()));
            for at in 1..=length {
                let mut with_nul = message.clone();
                with_nul[at] = 0;
                assert_eq!(Cursor::new(&with_nul).text(), Err(Malformed::NulInText), "{length}, {at}");
                let mut broken = message.clone();
                broken[at] = 0xff;
                assert_eq!(Cursor::new(&broken).text(), Err(Malformed::NotUtf8), "{length}, {at}");
            }
        }
        assert_eq!(Cursor::new("\u{c}Zoë ☂".as_bytes()).text(), Err(Malformed::NotUtf8));
        assert_eq!(Cursor::new("\u{10}Zoë ☂".as_bytes()).text(), Ok("Zoë ☂"));
    }
}
