//! The bytes of what is kept beside the log: fixed numbers big-endian, everything else behind its
//! length.

use std::{collections::BTreeSet, sync::Arc};

use tx::{
    AccountClass, Address, Amount, Asset, Chain, ConflictKey, EffectKind, FeeTerms, IntentId,
    IntentKey, IntentPayload, Name, Own, Time,
};

use crate::{AttemptId, Digest, FreezeScope, RequestId};

/// A value that has bytes. [`Code::read`] may take a spelling that [`Code::write`] does not give;
/// whoever reads a whole row writes it again and compares.
pub(crate) trait Code: Sized {
    fn write(&self, to: &mut Vec<u8>);

    /// `None` when the bytes are none of its; `from` stands behind what was read otherwise.
    fn read(from: &mut &[u8]) -> Option<Self>;
}

/// More than most values have.
const MOST_BYTES: usize = 64;

/// The bytes of a value.
pub(crate) fn written(value: &impl Code) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MOST_BYTES);
    value.write(&mut bytes);
    bytes
}

/// The value of exactly these bytes, in the one spelling that it has.
pub(crate) fn read_whole<T: Code>(bytes: &[u8]) -> Option<T> {
    let mut rest = bytes;
    let value = T::read(&mut rest)?;
    (rest.is_empty() && written(&value) == bytes).then_some(value)
}

pub(crate) fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(count)?;
    *from = rest;
    Some(taken)
}

/// Bytes behind their number, as four bytes.
pub(crate) fn write_slice(bytes: &[u8], to: &mut Vec<u8>) {
    // What is longer comes back as something else and is refused when it is read.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    to.extend(length.to_be_bytes());
    to.extend(bytes);
}

pub(crate) fn read_slice<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::read(from)?;
    take(from, usize::try_from(length).ok()?)
}

/// A number with seven bits a byte, the lowest first: most that is kept of a charge is small.
pub(crate) fn write_number(number: u64, to: &mut Vec<u8>) {
    let mut rest = number;
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if rest == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

pub(crate) fn read_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = u8::read(from)?;
        let low = u64::from(byte & 0x7f);
        number |= low.checked_shl(shift).filter(|bits| bits >> shift == low)?;
        if byte < 0x80 {
            // Not in more bytes than it needs.
            return (byte > 0 || shift == 0).then_some(number);
        }
    }
    None
}

impl Code for u8 {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        take(from, 1)?.first().copied()
    }
}

impl Code for u32 {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.to_be_bytes());
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let bytes = take(from, 4)?.try_into().ok()?;
        Some(Self::from_be_bytes(bytes))
    }
}

impl Code for u64 {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.to_be_bytes());
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let bytes = take(from, 8)?.try_into().ok()?;
        Some(Self::from_be_bytes(bytes))
    }
}

impl Code for [u8; 32] {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend(self);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        take(from, 32)?.try_into().ok()
    }
}

impl<T: Code> Code for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Some(None),
            1 => T::read(from).map(Some),
            _ => None,
        }
    }
}

impl<T: Code> Code for Arc<T> {
    fn write(&self, to: &mut Vec<u8>) {
        (**self).write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        T::read(from).map(Self::new)
    }
}

impl<T: Code> Code for Vec<T> {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend(u32::try_from(self.len()).unwrap_or(u32::MAX).to_be_bytes());
        for item in self {
            item.write(to);
        }
    }

    /// Memory is taken item by item, each of which has bytes: a number alone takes none.
    fn read(from: &mut &[u8]) -> Option<Self> {
        let count = u32::read(from)?;
        (0..count).map(|_| T::read(from)).collect()
    }
}

impl<T: Code + Clone> Code for Box<[T]> {
    fn write(&self, to: &mut Vec<u8>) {
        self.to_vec().write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Vec::read(from).map(Self::from)
    }
}

impl Code for AttemptId {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        u64::read(from).map(Self)
    }
}

impl Code for Time {
    fn write(&self, to: &mut Vec<u8>) {
        self.millis().write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        u64::read(from).map(Self::from_millis)
    }
}

/// Without leading zeros: few amounts need 32 bytes.
impl Code for Amount {
    fn write(&self, to: &mut Vec<u8>) {
        let bytes = self.to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0);
        let (_, short) = bytes.split_at(first.unwrap_or(bytes.len()));
        to.push(u8::try_from(short.len()).unwrap_or(u8::MAX));
        to.extend(short);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let short = u8::read(from).map(usize::from)?;
        let short = take(from, short)?;
        let mut bytes = [0; 32];
        let from = bytes.len().checked_sub(short.len())?;
        bytes.get_mut(from..)?.copy_from_slice(short);
        Some(Self::from_be_bytes(bytes))
    }
}

impl Code for Address {
    fn write(&self, to: &mut Vec<u8>) {
        self.chain().write(to);
        write_slice(self.as_bytes(), to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let chain = Chain::read(from)?;
        let bytes = read_slice(from)?;
        match chain {
            Chain::Evm(_) => Self::evm(chain, bytes.try_into().ok()?),
            _ => Self::from_script(chain, bytes),
        }
    }
}

impl Code for Own {
    fn write(&self, to: &mut Vec<u8>) {
        self.account.write(to);
        self.class.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            account: Code::read(from)?,
            class: Code::read(from)?,
        })
    }
}

impl Code for Digest {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Code::read(from).map(Self)
    }
}

impl Code for Box<str> {
    fn write(&self, to: &mut Vec<u8>) {
        write_slice(self.as_bytes(), to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        str::from_utf8(read_slice(from)?).ok().map(Self::from)
    }
}

impl<T: Code + Ord> Code for BTreeSet<T> {
    fn write(&self, to: &mut Vec<u8>) {
        // What is longer comes back as something else and is refused when it is read.
        u32::try_from(self.len()).unwrap_or(u32::MAX).write(to);
        for item in self {
            item.write(to);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Vec::read(from).map(Self::from_iter)
    }
}

impl Code for IntentId {
    fn write(&self, to: &mut Vec<u8>) {
        self.source.write(to);
        self.id.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            source: Code::read(from)?,
            id: Code::read(from)?,
        })
    }
}

impl Code for IntentPayload {
    fn write(&self, to: &mut Vec<u8>) {
        self.as_bytes().write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Code::read(from).map(Self::new)
    }
}

/// By the one text that a value has.
macro_rules! code_by_text {
    ($type:ty) => {
        code_by_text!($type, to_string);
    };
    ($type:ty, $text:ident) => {
        impl Code for $type {
            fn write(&self, to: &mut Vec<u8>) {
                write_slice(self.$text().as_bytes(), to);
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                str::from_utf8(read_slice(from)?).ok()?.parse().ok()
            }
        }
    };
}

code_by_text!(String, as_str);
code_by_text!(Name, as_str);
code_by_text!(RequestId, as_str);
code_by_text!(IntentKey, as_str);
code_by_text!(Chain);
code_by_text!(Asset);
code_by_text!(ConflictKey);
code_by_text!(FreezeScope);

/// By its JSON, what has no other form that a new kind could not be forgotten in.
macro_rules! code_by_json {
    ($type:ty) => {
        impl Code for $type {
            fn write(&self, to: &mut Vec<u8>) {
                // Numbers and words alone: nothing in it can fail to be written.
                write_slice(&serde_json::to_vec(self).unwrap_or_default(), to);
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                serde_json::from_slice(read_slice(from)?).ok()
            }
        }
    };
}

code_by_json!(FeeTerms);
code_by_json!(EffectKind);
code_by_json!(AccountClass);
