//! The names of keys.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

/// A name: 1 to 64 characters of `a-z`, `0-9`, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// The text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a name has 1 to 64 characters of a-z, 0-9, '.', '_' and '-'")]
pub struct NameError;

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
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
        let fits = (1..=Self::LENGTH_MAX).contains(&text.len());
        if !fits || !text.chars().all(allowed) {
            return Err(NameError);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
