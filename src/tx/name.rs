//! Names of keys, accounts, clients, sources and statements.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use crate::text::serde_by_text;

/// A name: 1 to 64 characters of `a-z`, `0-9`, `.`, `_` and `-`.
///
/// The alphabet has no upper case and no two characters that a person reads as one another's
/// accented or foreign look-alike, so that equal to the eye is equal to the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty or longer than [`Name::LENGTH_MAX`].
    #[error("a name has 1 to 64 characters, this has {length}")]
    Length {
        /// Its length in bytes.
        length: usize,
    },
    /// A character outside the alphabet.
    #[error("a name has only a-z, 0-9, '.', '_' and '-', not {character:?}")]
    Character {
        /// The first such character.
        character: char,
    },
}

impl Name {
    /// The longest name, in characters.
    pub const LENGTH_MAX: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > Self::LENGTH_MAX {
            return Err(NameError::Length { length: text.len() });
        }
        let allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        match text.chars().find(|c| !allowed(c)) {
            Some(character) => Err(NameError::Character { character }),
            None => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_by_text!(Name, "a name of a-z, 0-9, '.', '_' and '-'");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_outside_the_alphabet() {
        for text in ["", "A", "a b", "ä", "a/b", "a:b", &"a".repeat(65)] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
        assert_eq!(
            "eth-hot_1.a".parse::<Name>().unwrap().as_str(),
            "eth-hot_1.a"
        );
    }
}
