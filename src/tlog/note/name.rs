//! Names of keys.

use std::fmt;
use std::str::FromStr;

/// The name of a key: not empty, without Unicode spaces, plus signs and ASCII control characters.
/// A URL without its scheme is recommended. Source: C2SP signed-note, Format.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = |char: char| char < ' ' || char == '+' || char.is_whitespace();
        if text.is_empty() || text.contains(refused) {
            return Err(NameError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text cannot name a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is not empty and has no spaces, plus signs or control characters")]
pub struct NameError;
