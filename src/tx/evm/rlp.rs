//! RLP in its one canonical form (Ethereum Yellow Paper, appendix B).
//!
//! An own codec, because the signer's promise rests on it: every length is minimal, every single
//! byte below 0x80 stands for itself, nothing follows what a length announces.

use crate::Amount;

/// Marks a string; a list has [`LIST`].
const STRING: u8 = 0x80;
const LIST: u8 = 0xc0;
/// The longest payload whose length stands in the header's first byte.
const SHORT_MAX: u8 = 55;

/// How bytes fail to be canonical RLP of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RlpFault {
    /// The bytes end before what a length announces.
    #[error("it ends before its announced length")]
    Truncated,
    /// Bytes follow the outermost list.
    #[error("bytes follow its end")]
    Trailing,
    /// A length is not written in its shortest form.
    #[error("its length is not written in the shortest form")]
    Length,
    /// A single byte below 0x80 has a header.
    #[error("a single byte below 0x80 is its own encoding and has no header")]
    Byte,
    /// A string where a list belongs.
    #[error("it is a string and must be a list")]
    NotList,
    /// A list where a string belongs.
    #[error("it is a list and must be a string")]
    NotString,
}

impl RlpFault {
    /// The stable name of the reason.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Truncated => "evm-rlp-truncated",
            Self::Trailing => "evm-rlp-trailing",
            Self::Length => "evm-rlp-length",
            Self::Byte => "evm-rlp-byte",
            Self::NotList => "evm-rlp-not-list",
            Self::NotString => "evm-rlp-not-string",
        }
    }
}

/// Items side by side, taken from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// One item: what it is and what is in it.
struct Item<'a> {
    list: bool,
    payload: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The items of the one list that `bytes` are.
    pub(super) fn of_list(bytes: &'a [u8]) -> Result<Self, RlpFault> {
        let mut outer = Self { rest: bytes };
        let list = outer.list()?;
        if outer.rest.is_empty() {
            Ok(list)
        } else {
            Err(RlpFault::Trailing)
        }
    }

    /// How many items are left.
    pub(super) fn count(mut self) -> Result<usize, RlpFault> {
        let mut count = 0_usize;
        while !self.rest.is_empty() {
            self.item()?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// Takes a string.
    pub(super) fn string(&mut self) -> Result<&'a [u8], RlpFault> {
        let item = self.item()?;
        if item.list {
            return Err(RlpFault::NotString);
        }
        Ok(item.payload)
    }

    /// Takes a list.
    pub(super) fn list(&mut self) -> Result<Self, RlpFault> {
        let item = self.item()?;
        if !item.list {
            return Err(RlpFault::NotList);
        }
        Ok(Self { rest: item.payload })
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn item(&mut self) -> Result<Item<'a>, RlpFault> {
        let (&first, rest) = self.rest.split_first().ok_or(RlpFault::Truncated)?;
        if first < STRING {
            let (payload, rest) = self.rest.split_at_checked(1).ok_or(RlpFault::Truncated)?;
            self.rest = rest;
            let list = false;
            return Ok(Item { list, payload });
        }
        // Both kinds count alike in the lower six bits: the length up to 55, above it how many
        // bytes of length follow.
        let list = first >= LIST;
        let low = first & 0x3f;
        let (length, rest) = match low.checked_sub(SHORT_MAX) {
            None | Some(0) => (usize::from(low), rest),
            Some(width) => long_length(rest, usize::from(width))?,
        };
        let (payload, rest) = rest.split_at_checked(length).ok_or(RlpFault::Truncated)?;
        if !list && matches!(payload, [byte] if *byte < STRING) {
            return Err(RlpFault::Byte);
        }
        self.rest = rest;
        Ok(Item { list, payload })
    }
}

/// A length of `width` bytes, 1 to 8, at the front of `bytes`, and what follows it.
fn long_length(bytes: &[u8], width: usize) -> Result<(usize, &[u8]), RlpFault> {
    let (digits, rest) = bytes.split_at_checked(width).ok_or(RlpFault::Truncated)?;
    let length = digits
        .iter()
        .fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
    if digits.first() == Some(&0) || length <= u64::from(SHORT_MAX) {
        return Err(RlpFault::Length);
    }
    let length = usize::try_from(length).map_err(|_| RlpFault::Truncated)?;
    Ok((length, rest))
}

/// More than a list of most transactions has.
const MOST_BYTES: usize = 256;

/// A list under construction.
#[derive(Debug)]
pub(super) struct List {
    payload: Vec<u8>,
}

impl Default for List {
    fn default() -> Self {
        Self {
            payload: Vec::with_capacity(MOST_BYTES),
        }
    }
}

impl List {
    /// Adds a number without leading zeros; zero is the empty string.
    pub(super) fn number(&mut self, number: impl Into<Amount>) -> &mut Self {
        let bytes = number.into().to_be_bytes();
        self.string(significant(&bytes))
    }

    /// Adds a string.
    pub(super) fn string(&mut self, bytes: &[u8]) -> &mut Self {
        if !matches!(bytes, [byte] if *byte < STRING) {
            push_header(&mut self.payload, STRING, bytes.len());
        }
        self.payload.extend_from_slice(bytes);
        self
    }

    /// Adds a list of nothing.
    pub(super) fn empty_list(&mut self) -> &mut Self {
        self.payload.push(LIST);
        self
    }

    /// Appends the list to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // With the header, which has nine bytes at the most.
        out.reserve(self.payload.len().saturating_add(9));
        push_header(out, LIST, self.payload.len());
        out.extend_from_slice(&self.payload);
    }
}

fn push_header(out: &mut Vec<u8>, kind: u8, length: usize) {
    match u8::try_from(length) {
        Ok(length) if length <= SHORT_MAX => out.push(kind | length),
        _ => {
            let length = length.to_be_bytes();
            let digits = significant(&length);
            // 55 and the number of digits: at most 63, so that the six low bits hold it.
            out.push(
                digits
                    .iter()
                    .fold(kind | SHORT_MAX, |code, _| code.saturating_add(1)),
            );
            out.extend_from_slice(digits);
        }
    }
}

fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_of(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        List::default().string(bytes).write(&mut out);
        out
    }

    #[test]
    fn strings_round_trip_at_every_boundary_of_length() {
        for length in [0, 1, 2, 53, 54, 55, 56, 253, 254, 255, 256, 65_535, 65_536] {
            for byte in [0x00, 0x7f, 0x80, 0xff] {
                let bytes = vec![byte; length];
                let encoded = list_of(&bytes);
                let mut expected = Vec::new();
                alloy_rlp::encode_list::<_, [u8]>(&[bytes.as_slice()], &mut expected);
                assert_eq!(encoded, expected);
                let mut reader = Reader::of_list(&encoded).unwrap();
                assert_eq!(reader.count(), Ok(1));
                assert_eq!(reader.string(), Ok(bytes.as_slice()));
                assert!(reader.is_empty());
            }
        }
    }

    #[test]
    fn numbers_have_no_leading_zeros() {
        let mut list = List::default();
        list.number(0_u64)
            .number(127_u64)
            .number(128_u64)
            .number(256_u64);
        assert_eq!(list.payload, [0x80, 0x7f, 0x81, 0x80, 0x82, 1, 0]);
    }

    #[test]
    fn every_other_form_is_refused() {
        for (bytes, fault) in [
            (&[][..], RlpFault::Truncated),
            (&[0xc1], RlpFault::Truncated),
            (&[0xf8], RlpFault::Truncated),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                RlpFault::Truncated,
            ),
            (&[0xc0, 0x00], RlpFault::Trailing),
            (&[0xf8, 0x00], RlpFault::Length),
            (&[0xf8, 0x37], RlpFault::Length),
            (&[0xf9, 0x00, 0xff], RlpFault::Length),
            (&[0x80], RlpFault::NotList),
            (&[0x00], RlpFault::NotList),
        ] {
            assert_eq!(Reader::of_list(bytes).unwrap_err(), fault, "{bytes:02x?}");
        }
        for (bytes, fault) in [
            (&[0xc2, 0x81, 0x7f][..], RlpFault::Byte),
            (&[0xc1, 0x81], RlpFault::Truncated),
            (&[0xc1, 0xc0], RlpFault::NotString),
            (&[0xc2, 0xb8, 0x01], RlpFault::Length),
        ] {
            let fault_of = |bytes| Reader::of_list(bytes).unwrap().string().unwrap_err();
            assert_eq!(fault_of(bytes), fault, "{bytes:02x?}");
        }
    }
}
