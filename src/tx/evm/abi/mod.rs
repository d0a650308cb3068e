//! The contract ABI of Solidity: types, values, and the one encoding that each list of arguments has.
//!
//! The format allows many encodings of one list of arguments, which contracts read alike or not. Only the
//! one that compilers write is taken: heads in order, tails in the order of their heads and without gaps,
//! every padding zero, nothing behind.

mod decode;
mod encode;
mod parse;
mod value;

pub use self::{
    decode::AbiFault,
    parse::{Signature, SignatureError},
    value::{Value, ValueError},
};
pub(super) use self::{decode::decode, encode::encode};

use std::fmt;

/// The bytes of a word.
const WORD: usize = 32;

/// The type of an argument. Every value of every type has at least one word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Type {
    /// `uint8` to `uint256`, with its bits.
    Uint(usize),
    /// `int8` to `int256`, with its bits.
    Int(usize),
    /// `address`.
    Address,
    /// `bool`.
    Bool,
    /// `bytes1` to `bytes32`, with its bytes.
    FixedBytes(usize),
    /// `bytes`.
    Bytes,
    /// `string`.
    String,
    /// `T[]`.
    List(Box<Type>),
    /// `T[k]`, where `k` is not 0.
    Array(Box<Type>, usize),
    /// `(T, U)`, of one field at least.
    Tuple(Vec<Parameter>),
}

/// A type and the name of what is of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parameter {
    /// The name.
    pub name: String,
    /// The type.
    pub of: Type,
}

impl Type {
    /// Whether its length in an encoding hangs on the value.
    fn is_dynamic(&self) -> bool {
        match self {
            Self::Bytes | Self::String | Self::List(_) => true,
            Self::Array(of, _) => of.is_dynamic(),
            Self::Tuple(fields) => fields.iter().any(|field| field.of.is_dynamic()),
            _ => false,
        }
    }

    /// The words of its place in the head: an offset where it is dynamic.
    fn head_words(&self) -> usize {
        match self {
            Self::Array(of, count) if !of.is_dynamic() => of.head_words().saturating_mul(*count),
            Self::Tuple(fields) if !self.is_dynamic() => head_words(fields),
            _ => 1,
        }
    }

    /// How deep types stand in one another, 1 of one that has none in it.
    fn depth(&self) -> usize {
        let inner = match self {
            Self::List(of) | Self::Array(of, _) => of.depth(),
            Self::Tuple(fields) => {
                let depths = fields.iter().map(|field| field.of.depth());
                depths.max().unwrap_or(0)
            }
            _ => 0,
        };
        inner.saturating_add(1)
    }

    fn leaves<'t>(&'t self, name: String, to: &mut Vec<(String, &'t Self)>) {
        match self {
            Self::Tuple(fields) => {
                for field in fields {
                    field.of.leaves(format!("{name}.{}", field.name), to);
                }
            }
            _ => to.push((name, self)),
        }
    }
}

/// The words of the head of a list of arguments.
fn head_words(parameters: &[Parameter]) -> usize {
    let words = parameters.iter().map(|parameter| parameter.of.head_words());
    words.fold(0, usize::saturating_add)
}

/// The arguments with the fields of tuples in their place: `order.owner`, and its type.
fn leaves(parameters: &[Parameter]) -> Vec<(String, &Type)> {
    let mut all = Vec::new();
    for parameter in parameters {
        parameter.of.leaves(parameter.name.clone(), &mut all);
    }
    all
}

/// As the canonical signature has it, without names.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint(bits) => write!(f, "uint{bits}"),
            Self::Int(bits) => write!(f, "int{bits}"),
            Self::Address => f.write_str("address"),
            Self::Bool => f.write_str("bool"),
            Self::FixedBytes(count) => write!(f, "bytes{count}"),
            Self::Bytes => f.write_str("bytes"),
            Self::String => f.write_str("string"),
            Self::List(of) => write!(f, "{of}[]"),
            Self::Array(of, count) => write!(f, "{of}[{count}]"),
            Self::Tuple(fields) => write!(f, "({})", types(fields)),
        }
    }
}

/// The types, separated by commas.
fn types(parameters: &[Parameter]) -> String {
    let types: Vec<String> = parameters.iter().map(|one| one.of.to_string()).collect();
    types.join(",")
}
