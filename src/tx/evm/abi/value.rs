//! Values of arguments, and the one text that each has.

use std::fmt;

use thiserror::Error;

use super::{Parameter, Type};
use crate::{Amount, Chain, evm::address};

/// The value of an argument. Its text is ASCII, and no two values of a type have one text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Value {
    /// Of `uintN`: decimal.
    Uint(Amount),
    /// Of `intN`: decimal, behind `-` where it is negative.
    Int {
        /// Whether it is below zero.
        is_negative: bool,
        /// How far it is from zero.
        magnitude: Amount,
    },
    /// Of `address`: `0x…` with its checksum.
    Address([u8; 20]),
    /// Of `bool`: `true` or `false`.
    Bool(bool),
    /// Of `bytesN` and `bytes`: `0x…` in lower case.
    Bytes(Vec<u8>),
    /// Of `string`: in quotes, what is not printable ASCII as `\u{…}`.
    String(String),
    /// Of lists: `[a, b]`.
    List(Vec<Value>),
    /// Of tuples: `(a, b)`.
    Tuple(Vec<Value>),
}

/// A text that is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no {of}{}", hint(of))]
pub struct ValueError {
    /// The text.
    pub text: String,
    /// The type, as the canonical signature has it.
    pub of: String,
}

fn hint(of: &str) -> &'static str {
    match of {
        "address" => ", which is 0x and 40 hexadecimal digits",
        "bool" => ", which is true or false",
        _ if of.ends_with(']') => ", which is written as [1, 2]",
        _ if of.ends_with(')') => ", which is written as (1, 2)",
        _ if of.starts_with("bytes") => ", which is 0x and lower-case hexadecimal digits",
        _ if of.starts_with('u') => ", which is a plain decimal number",
        _ => "",
    }
}

impl Value {
    /// Reads the text of a value of a type.
    ///
    /// # Errors
    /// [`ValueError`] for every text that the value itself does not have, and for an address whose
    /// checksum is wrong. One in lower case is taken, as everywhere.
    pub fn parse(of: &Type, text: &str) -> Result<Self, ValueError> {
        let refuse = || ValueError {
            text: text.chars().take(80).collect(),
            of: of.to_string(),
        };
        let mut rest = text;
        let value = read(of, &mut rest).filter(|_| rest.is_empty());
        value.ok_or_else(refuse)
    }

    /// As [`Value::parse`], of a `string` the text itself without quotes.
    ///
    /// # Errors
    /// As there.
    pub fn plain(of: &Type, text: &str) -> Result<Self, ValueError> {
        match of {
            Type::String => Ok(Self::String(text.to_owned())),
            _ => Self::parse(of, text),
        }
    }

    /// Values of arguments with the fields of tuples in their place, as [`super::leaves`] has them.
    pub(in crate::evm) fn leaves<'v>(&'v self, of: &Type, to: &mut Vec<&'v Self>) {
        match (self, of) {
            (Self::Tuple(values), Type::Tuple(fields)) => {
                for (value, field) in values.iter().zip(fields) {
                    value.leaves(&field.of, to);
                }
            }
            _ => to.push(self),
        }
    }

    /// The arguments of which these are the leaves, in their order; `None` where they are too many or few.
    pub(in crate::evm) fn of_leaves(
        parameters: &[Parameter],
        leaves: &mut impl Iterator<Item = Self>,
    ) -> Option<Vec<Self>> {
        let each = parameters.iter().map(|parameter| match &parameter.of {
            Type::Tuple(fields) => Self::of_leaves(fields, leaves).map(Self::Tuple),
            _ => leaves.next(),
        });
        each.collect()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint(number) => write!(f, "{number}"),
            Self::Int {
                is_negative,
                magnitude,
            } => write!(f, "{}{magnitude}", if *is_negative { "-" } else { "" }),
            Self::Address(bytes) => f.write_str(&address::text(bytes).unwrap_or_default()),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => f.write_str(&hex::encode_prefixed(bytes)),
            Self::String(text) => quoted(text, f),
            Self::List(values) => joined(values, ('[', ']'), f),
            Self::Tuple(values) => joined(values, ('(', ')'), f),
        }
    }
}

fn joined(
    values: &[Value],
    (open, close): (char, char),
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "{open}")?;
    for (number, value) in values.iter().enumerate() {
        let comma = if number == 0 { "" } else { ", " };
        write!(f, "{comma}{value}")?;
    }
    write!(f, "{close}")
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            ' '..='~' => write!(f, "{c}")?,
            _ => write!(f, "\\u{{{:x}}}", u32::from(c))?,
        }
    }
    f.write_str("\"")
}

/// A value, with the text behind it left.
fn read(of: &Type, rest: &mut &str) -> Option<Value> {
    match of {
        Type::String => read_quoted(rest),
        Type::List(of) => {
            let mut values = Vec::new();
            take(rest, "[")?;
            if take(rest, "]").is_some() {
                return Some(Value::List(values));
            }
            loop {
                values.push(read(of, rest)?);
                if take(rest, "]").is_some() {
                    return Some(Value::List(values));
                }
                take(rest, ", ")?;
            }
        }
        Type::Array(of, count) => {
            let items = std::iter::repeat_n(&**of, *count);
            each(items, ("[", "]"), rest).map(Value::List)
        }
        Type::Tuple(fields) => {
            let items = fields.iter().map(|field| &field.of);
            each(items, ("(", ")"), rest).map(Value::Tuple)
        }
        _ => {
            let end = rest.find([',', ']', ')']).unwrap_or(rest.len());
            let (word, behind) = rest.split_at_checked(end)?;
            *rest = behind;
            elementary(of, word)
        }
    }
}

fn take(rest: &mut &str, token: &str) -> Option<()> {
    *rest = rest.strip_prefix(token)?;
    Some(())
}

fn each<'t>(
    items: impl Iterator<Item = &'t Type>,
    (open, close): (&str, &str),
    rest: &mut &str,
) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    take(rest, open)?;
    for item in items {
        if !values.is_empty() {
            take(rest, ", ")?;
        }
        values.push(read(item, rest)?);
    }
    take(rest, close)?;
    Some(values)
}

fn read_quoted(rest: &mut &str) -> Option<Value> {
    take(rest, "\"")?;
    let mut text = String::new();
    loop {
        let c = rest.chars().next()?;
        *rest = rest.get(c.len_utf8()..)?;
        match c {
            '"' => return Some(Value::String(text)),
            '\\' => text.push(escaped(rest)?),
            ' '..='~' => text.push(c),
            _ => return None,
        }
    }
}

/// What stands behind a backslash.
fn escaped(rest: &mut &str) -> Option<char> {
    for plain in ['"', '\\'] {
        if let Some(behind) = rest.strip_prefix(plain) {
            *rest = behind;
            return Some(plain);
        }
    }
    take(rest, "u{")?;
    let (digits, behind) = rest.split_once('}')?;
    *rest = behind;
    let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    // In the one spelling, of what has no other.
    let is_written_so = format!("{:x}", u32::from(c)) == digits && !matches!(c, ' '..='~');
    is_written_so.then_some(c)
}

fn elementary(of: &Type, word: &str) -> Option<Value> {
    match of {
        Type::Uint(bits) => {
            let number: Amount = word.parse().ok()?;
            (bits_of(number) <= *bits).then_some(Value::Uint(number))
        }
        Type::Int(bits) => {
            let (is_negative, digits) = match word.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, word),
            };
            let magnitude: Amount = digits.parse().ok()?;
            fits(is_negative, magnitude, *bits).then_some(Value::Int {
                is_negative,
                magnitude,
            })
        }
        // The chain is for the words of an error alone.
        Type::Address => address::parse(Chain::Evm(1), word).ok().map(Value::Address),
        Type::Bool => match word {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        Type::FixedBytes(count) => bytes(word)
            .filter(|bytes| bytes.len() == *count)
            .map(Value::Bytes),
        Type::Bytes => bytes(word).map(Value::Bytes),
        Type::String | Type::List(_) | Type::Array(..) | Type::Tuple(_) => None,
    }
}

fn bytes(word: &str) -> Option<Vec<u8>> {
    let digits = word.strip_prefix("0x")?;
    let is_lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits
        .bytes()
        .all(is_lower)
        .then(|| hex::decode(digits).ok())?
}

/// Whether an integer of a sign is one of so many bits: from −2^(bits − 1) to 2^(bits − 1) − 1.
fn fits(is_negative: bool, magnitude: Amount, bits: usize) -> bool {
    let within = |number: Amount| bits_of(number) < bits;
    match is_negative {
        true => magnitude.checked_sub(Amount::ONE).is_some_and(within),
        false => within(magnitude),
    }
}

/// The bits that a number needs.
pub(super) fn bits_of(number: Amount) -> usize {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let Some(first) = bytes.get(zeros) else {
        return 0;
    };
    let below = 31_usize.saturating_sub(zeros).saturating_mul(8);
    let highest = 8_usize.saturating_sub(usize::try_from(first.leading_zeros()).unwrap_or(0));
    below.saturating_add(highest)
}
