//! Signatures as people write them: `deposit(bytes pubkey, (address to, uint256 amount)[] parts)`.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{Parameter, Type, head_words, leaves, types};
use crate::evm::address::keccak256;

/// A function's name and the types and names of its arguments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    name: String,
    parameters: Vec<Parameter>,
}

/// Why a text is no signature that is understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is not of the form.
    #[error("at {rest:?} {expected} is expected, as in \"deposit(bytes key, uint256 amount)\"")]
    Form {
        /// What stands there.
        rest: String,
        /// What would have to.
        expected: &'static str,
    },
    /// A type that is none.
    #[error(
        "{word:?} is no type; there is uint8 to uint256, int8 to int256, address, bool, bytes1 to bytes32, \
         bytes, string, and lists and tuples of them"
    )]
    Type {
        /// The word.
        word: String,
    },
    /// A list without items.
    #[error(
        "a list of {count:?} items is none: write [] or the number of items, at most {MAX_WORDS}"
    )]
    Count {
        /// What stands between the brackets.
        count: String,
    },
    /// Two arguments of one name.
    #[error("there are two arguments called {name:?}")]
    Twice {
        /// The name.
        name: String,
    },
    /// More than is decoded.
    #[error("it has more than {max} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The most.
        max: usize,
    },
}

/// The longest text of a signature, in bytes.
const MAX_BYTES: usize = 1_024;
/// The longest name, in bytes.
const MAX_NAME: usize = 64;
/// How deep types may stand in one another.
const MAX_DEPTH: usize = 5;
/// The most arguments, with the fields of tuples in their place.
const MAX_LEAVES: usize = 64;
/// The most words of a head.
const MAX_WORDS: usize = 128;

impl Signature {
    /// Reads a function's name and its arguments, each with its type and name.
    ///
    /// # Errors
    /// [`SignatureError`]; also for what is right and longer, deeper or wider than is decoded.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        if text.len() > MAX_BYTES {
            return Err(too_much("bytes", MAX_BYTES));
        }
        let mut reader = Reader(text);
        let name = reader.name("the function's name")?;
        let parameters = reader.parameters(0)?;
        if !reader.0.is_empty() {
            return Err(reader.form("nothing"));
        }
        if parameters.iter().any(|one| one.of.depth() > MAX_DEPTH) {
            return Err(too_much("types in one another", MAX_DEPTH));
        }
        if leaves(&parameters).len() > MAX_LEAVES {
            return Err(too_much("arguments", MAX_LEAVES));
        }
        if head_words(&parameters) > MAX_WORDS {
            return Err(too_much("words", MAX_WORDS));
        }
        Ok(Self { name, parameters })
    }

    /// The arguments.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The arguments with the fields of tuples in their place, such as `order.owner`.
    pub fn leaves(&self) -> Vec<(String, &Type)> {
        leaves(&self.parameters)
    }

    /// The signature by which contracts tell functions apart: `deposit(bytes,(address,uint256)[])`.
    pub fn canonical(&self) -> String {
        format!("{}({})", self.name, types(&self.parameters))
    }

    /// The first four bytes of the Keccak-256 of the canonical signature.
    pub fn selector(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = keccak256(self.canonical().as_bytes());
        [a, b, c, d]
    }
}

/// What is left of the text.
struct Reader<'t>(&'t str);

impl Reader<'_> {
    fn form(&self, expected: &'static str) -> SignatureError {
        let rest = self.0.chars().take(24).collect();
        SignatureError::Form { rest, expected }
    }

    /// Whether the text goes on so; then it goes on behind it.
    fn takes(&mut self, token: char) -> bool {
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }

    fn expect(&mut self, token: char, expected: &'static str) -> Result<(), SignatureError> {
        match self.takes(token) {
            true => Ok(()),
            false => Err(self.form(expected)),
        }
    }

    /// A word of Solidity: letters, digits, `_` and `$`.
    fn word(&mut self) -> &str {
        let is_other = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '$'));
        let end = self.0.find(is_other).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        word
    }

    fn name(&mut self, expected: &'static str) -> Result<String, SignatureError> {
        let before = Reader(self.0);
        let word = self.word();
        let is_name = word.len() <= MAX_NAME && !word.starts_with(|c: char| c.is_ascii_digit());
        match is_name && !word.is_empty() {
            true => Ok(word.to_owned()),
            false => Err(before.form(expected)),
        }
    }

    /// `(type name, type name)`, possibly of nothing.
    fn parameters(&mut self, depth: usize) -> Result<Vec<Parameter>, SignatureError> {
        // Each recursion is one more type in another.
        if depth > MAX_DEPTH {
            return Err(too_much("types in one another", MAX_DEPTH));
        }
        self.expect('(', "\"(\"")?;
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut names = BTreeSet::new();
        self.spaces();
        if self.takes(')') {
            return Ok(parameters);
        }
        loop {
            self.spaces();
            let of = self.kind(depth)?;
            self.expect(' ', "a space and the argument's name")?;
            self.spaces();
            let name = self.name("the argument's name")?;
            if !names.insert(name.clone()) {
                return Err(SignatureError::Twice { name });
            }
            parameters.push(Parameter { name, of });
            self.spaces();
            if self.takes(')') {
                return Ok(parameters);
            }
            self.expect(',', "\",\" or \")\"")?;
        }
    }

    fn kind(&mut self, depth: usize) -> Result<Type, SignatureError> {
        let mut kind = match self.0.starts_with('(') {
            true => {
                let before = Reader(self.0);
                let fields = self.parameters(depth.saturating_add(1))?;
                if fields.is_empty() {
                    return Err(before.form("a tuple with a field"));
                }
                Type::Tuple(fields)
            }
            false => elementary(self.word())?,
        };
        let mut inner = 0_usize;
        while self.takes('[') {
            inner = inner.saturating_add(1);
            if inner > MAX_DEPTH {
                return Err(too_much("types in one another", MAX_DEPTH));
            }
            let count = self.word().to_owned();
            self.expect(']', "\"]\"")?;
            kind = listed(kind, count)?;
        }
        Ok(kind)
    }
}

/// A list of a type, of so many items where a number is given.
fn listed(of: Type, count: String) -> Result<Type, SignatureError> {
    if count.is_empty() {
        return Ok(Type::List(Box::new(of)));
    }
    let number = number(&count).filter(|number| (1..=MAX_WORDS).contains(number));
    let number = number.ok_or(SignatureError::Count { count })?;
    let array = Type::Array(Box::new(of), number);
    match array.head_words() <= MAX_WORDS {
        true => Ok(array),
        false => Err(too_much("words", MAX_WORDS)),
    }
}

fn elementary(word: &str) -> Result<Type, SignatureError> {
    let refuse = || SignatureError::Type { word: word.into() };
    let bits = |digits: &str| {
        let bits = number(digits).filter(|bits| (8..=256).contains(bits) && bits.is_multiple_of(8));
        bits.ok_or_else(refuse)
    };
    match word {
        "address" => Ok(Type::Address),
        "bool" => Ok(Type::Bool),
        "bytes" => Ok(Type::Bytes),
        "string" => Ok(Type::String),
        _ => {
            if let Some(digits) = word.strip_prefix("uint") {
                bits(digits).map(Type::Uint)
            } else if let Some(digits) = word.strip_prefix("int") {
                bits(digits).map(Type::Int)
            } else if let Some(digits) = word.strip_prefix("bytes") {
                let count = number(digits).filter(|count| (1..=32).contains(count));
                count.map(Type::FixedBytes).ok_or_else(refuse)
            } else {
                Err(refuse())
            }
        }
    }
}

/// A plain number without a leading zero.
fn number(digits: &str) -> Option<usize> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten()
}

fn too_much(what: &'static str, max: usize) -> SignatureError {
    SignatureError::TooMuch { what, max }
}
