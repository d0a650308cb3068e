//! Values to bytes.

use super::{Type, Value, WORD};
use crate::Amount;

/// The encoding of arguments of these types; what is of another type has no meaning here and is left out,
/// so that it decodes to something else.
pub(in crate::evm) fn encode<'t>(
    types: impl IntoIterator<Item = &'t Type>,
    values: &[Value],
) -> Vec<u8> {
    let parts: Vec<(bool, usize, Vec<u8>)> = types
        .into_iter()
        .zip(values)
        .map(|(of, value)| {
            let bytes = body(of, value);
            (of.is_dynamic(), of.head_words(), bytes)
        })
        .collect();
    let words = parts.iter().map(|(_, words, _)| *words);
    let mut offset = words.fold(0, usize::saturating_add).saturating_mul(WORD);
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for (is_dynamic, _, bytes) in parts {
        if is_dynamic {
            head.extend(word(offset));
            offset = offset.saturating_add(bytes.len());
            tail.extend(bytes);
        } else {
            head.extend(bytes);
        }
    }
    head.extend(tail);
    head
}

/// What stands in the head of a static type, and in the tail of a dynamic one.
fn body(of: &Type, value: &Value) -> Vec<u8> {
    match (of, value) {
        (Type::Uint(_), Value::Uint(number)) => number.to_be_bytes().to_vec(),
        (
            Type::Int(_),
            Value::Int {
                is_negative,
                magnitude,
            },
        ) => match is_negative {
            true => negated(*magnitude).to_vec(),
            false => magnitude.to_be_bytes().to_vec(),
        },
        (Type::Address, Value::Address(bytes)) => [[0; 12].as_slice(), bytes].concat(),
        (Type::Bool, Value::Bool(value)) => word(usize::from(*value)).to_vec(),
        (Type::FixedBytes(_), Value::Bytes(bytes)) => padded(bytes),
        (Type::Bytes, Value::Bytes(bytes)) => counted(bytes.len(), padded(bytes)),
        (Type::String, Value::String(text)) => counted(text.len(), padded(text.as_bytes())),
        (Type::List(of), Value::List(values)) => {
            let items = std::iter::repeat_n(&**of, values.len());
            counted(values.len(), encode(items, values))
        }
        (Type::Array(of, count), Value::List(values)) => {
            encode(std::iter::repeat_n(&**of, *count), values)
        }
        (Type::Tuple(fields), Value::Tuple(values)) => {
            encode(fields.iter().map(|field| &field.of), values)
        }
        _ => Vec::new(),
    }
}

fn counted(count: usize, bytes: Vec<u8>) -> Vec<u8> {
    [word(count).to_vec(), bytes].concat()
}

/// The bytes with zeros up to whole words.
fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(WORD), 0);
    padded
}

fn word(number: usize) -> [u8; WORD] {
    Amount::from(u64::try_from(number).unwrap_or(u64::MAX)).to_be_bytes()
}

/// 2^256 less a number that is not 0.
pub(super) fn negated(magnitude: Amount) -> [u8; WORD] {
    let below = Amount::MAX.saturating_sub(magnitude);
    below
        .checked_add(Amount::ONE)
        .unwrap_or_default()
        .to_be_bytes()
}
