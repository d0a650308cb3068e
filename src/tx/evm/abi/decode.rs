//! Bytes to values: of every list of arguments exactly one encoding.

use thiserror::Error;

use super::{Type, Value, WORD, encode::negated, value::bits_of};
use crate::Amount;

/// Why bytes are not the one encoding of any arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AbiFault {
    /// They end too early, or claim to hold more than there is.
    #[error("it ends before its value does")]
    Short,
    /// Something stands behind them.
    #[error("something stands behind it")]
    Trailing,
    /// An offset to another place than the one behind what stands before it.
    #[error("its offset is not that of the place behind what stands before it")]
    Offset,
    /// Bits beyond what the type has, or before or behind its bytes.
    #[error("what pads it is not zero, or it is beyond its type")]
    Padding,
    /// A `bool` that is neither.
    #[error("it is neither 0 nor 1")]
    Bool,
    /// A `string` that is no UTF-8.
    #[error("it is not UTF-8")]
    Utf8,
}

impl AbiFault {
    /// The stable name of the fault.
    pub fn code(self) -> &'static str {
        match self {
            Self::Short => "evm-abi-short",
            Self::Trailing => "evm-abi-trailing",
            Self::Offset => "evm-abi-offset",
            Self::Padding => "evm-abi-padding",
            Self::Bool => "evm-abi-bool",
            Self::Utf8 => "evm-abi-utf8",
        }
    }
}

/// Reads all of the bytes as arguments of these types. Recursion is as deep as the types; a value is made
/// for each word that is there, and none for one that is claimed.
///
/// # Errors
/// The place of the first argument that is wrong, and its [`AbiFault`].
pub(in crate::evm) fn decode<'t>(
    types: impl Iterator<Item = &'t Type> + Clone,
    bytes: &[u8],
) -> Result<Vec<Value>, (usize, AbiFault)> {
    let mut frame = Frame::new(types.clone(), bytes);
    let mut values = Vec::new();
    for (place, of) in types.enumerate() {
        values.push(frame.value(of).map_err(|fault| (place, fault))?);
    }
    let last = values.len().saturating_sub(1);
    match frame.tail == bytes.len() {
        true => Ok(values),
        false if frame.tail > bytes.len() => Err((last, AbiFault::Short)),
        false => Err((last, AbiFault::Trailing)),
    }
}

/// A list of heads with their tails: places count from its beginning.
struct Frame<'a> {
    bytes: &'a [u8],
    /// Where the next head is.
    head: usize,
    /// Where the next tail has to be.
    tail: usize,
}

impl<'a> Frame<'a> {
    fn new<'t>(types: impl Iterator<Item = &'t Type>, bytes: &'a [u8]) -> Self {
        let words = types.map(Type::head_words).fold(0, usize::saturating_add);
        let tail = words.saturating_mul(WORD);
        Self {
            bytes,
            head: 0,
            tail,
        }
    }

    /// The next value.
    fn value(&mut self, of: &Type) -> Result<Value, AbiFault> {
        if !of.is_dynamic() {
            let place = self.bytes.get(self.head..).ok_or(AbiFault::Short)?;
            self.head = self
                .head
                .saturating_add(of.head_words().saturating_mul(WORD));
            return constant(of, place);
        }
        if self.count()? != self.tail {
            return Err(AbiFault::Offset);
        }
        let place = self.bytes.get(self.tail..).ok_or(AbiFault::Short)?;
        let (value, length) = variable(of, place)?;
        self.tail = self.tail.saturating_add(length);
        Ok(value)
    }

    /// The next word as a number; what no length can be is one that none is.
    fn count(&mut self) -> Result<usize, AbiFault> {
        let place = self.bytes.get(self.head..).ok_or(AbiFault::Short)?;
        self.head = self.head.saturating_add(WORD);
        Ok(number(*word(place)?))
    }
}

fn word(place: &[u8]) -> Result<&[u8; WORD], AbiFault> {
    place.first_chunk().ok_or(AbiFault::Short)
}

fn number(word: [u8; WORD]) -> usize {
    let number = Amount::from_be_bytes(word).to_u64();
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.unwrap_or(usize::MAX)
}

/// A value of a static type, at the beginning of the bytes.
fn constant(of: &Type, place: &[u8]) -> Result<Value, AbiFault> {
    match of {
        Type::Array(of, count) => {
            items(std::iter::repeat_n(&**of, *count), place).map(|(values, _)| Value::List(values))
        }
        Type::Tuple(fields) => items(fields.iter().map(|field| &field.of), place)
            .map(|(values, _)| Value::Tuple(values)),
        _ => elementary(of, *word(place)?),
    }
}

/// A value of a dynamic type, at the beginning of the bytes, and how many it has.
fn variable(of: &Type, place: &[u8]) -> Result<(Value, usize), AbiFault> {
    match of {
        Type::Bytes => {
            let (bytes, length) = counted(place)?;
            Ok((Value::Bytes(bytes.to_vec()), length))
        }
        Type::String => {
            let (bytes, length) = counted(place)?;
            let text = std::str::from_utf8(bytes).map_err(|_| AbiFault::Utf8)?;
            Ok((Value::String(text.to_owned()), length))
        }
        Type::List(of) => {
            let (count, place) = place.split_first_chunk().ok_or(AbiFault::Short)?;
            let count = number(*count);
            let least = count.checked_mul(of.head_words().saturating_mul(WORD));
            if least.is_none_or(|least| least > place.len()) {
                return Err(AbiFault::Short);
            }
            let (values, length) = items(std::iter::repeat_n(&**of, count), place)?;
            Ok((Value::List(values), length.saturating_add(WORD)))
        }
        Type::Array(of, count) => {
            let (values, length) = items(std::iter::repeat_n(&**of, *count), place)?;
            Ok((Value::List(values), length))
        }
        Type::Tuple(fields) => {
            let (values, length) = items(fields.iter().map(|field| &field.of), place)?;
            Ok((Value::Tuple(values), length))
        }
        // What is static is not asked for here.
        _ => Err(AbiFault::Offset),
    }
}

/// Values one after the other, in a frame of their own, and how many bytes they have.
fn items<'t>(
    types: impl Iterator<Item = &'t Type> + Clone,
    place: &[u8],
) -> Result<(Vec<Value>, usize), AbiFault> {
    let mut frame = Frame::new(types.clone(), place);
    if frame.tail > place.len() {
        return Err(AbiFault::Short);
    }
    let values = types.map(|of| frame.value(of));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    Ok((values, frame.tail))
}

/// Bytes behind their number, with zeros up to whole words; and how many all of that has.
fn counted(place: &[u8]) -> Result<(&[u8], usize), AbiFault> {
    let (count, place) = place.split_first_chunk().ok_or(AbiFault::Short)?;
    let count = number(*count);
    let bytes = place.get(..count).ok_or(AbiFault::Short)?;
    let whole = count.next_multiple_of(WORD);
    let padding = place.get(count..whole).ok_or(AbiFault::Short)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(AbiFault::Padding);
    }
    Ok((bytes, whole.saturating_add(WORD)))
}

fn elementary(of: &Type, word: [u8; WORD]) -> Result<Value, AbiFault> {
    let number = Amount::from_be_bytes(word);
    match of {
        Type::Uint(bits) if bits_of(number) <= *bits => Ok(Value::Uint(number)),
        Type::Int(bits) => integer(word, *bits).ok_or(AbiFault::Padding),
        Type::Address => match word.split_first_chunk::<12>() {
            Some(([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], bytes)) => {
                let bytes = bytes.try_into().map_err(|_| AbiFault::Short)?;
                Ok(Value::Address(bytes))
            }
            _ => Err(AbiFault::Padding),
        },
        Type::Bool if number.is_zero() => Ok(Value::Bool(false)),
        Type::Bool if number == Amount::ONE => Ok(Value::Bool(true)),
        Type::Bool => Err(AbiFault::Bool),
        Type::FixedBytes(count) => {
            let (bytes, padding) = word.split_at_checked(*count).ok_or(AbiFault::Short)?;
            match padding.iter().all(|byte| *byte == 0) {
                true => Ok(Value::Bytes(bytes.to_vec())),
                false => Err(AbiFault::Padding),
            }
        }
        _ => Err(AbiFault::Padding),
    }
}

/// The integer of a word in two's complement, where its sign is extended.
fn integer(word: [u8; WORD], bits: usize) -> Option<Value> {
    let is_negative = word.first().is_some_and(|byte| *byte >= 0x80);
    let magnitude = match is_negative {
        true => Amount::from_be_bytes(negated(Amount::from_be_bytes(word))),
        false => Amount::from_be_bytes(word),
    };
    // −2^(bits − 1) is one further from zero than the highest.
    let furthest = match is_negative {
        true => magnitude.checked_sub(Amount::ONE)?,
        false => magnitude,
    };
    (bits_of(furthest) < bits).then_some(Value::Int {
        is_negative,
        magnitude,
    })
}
