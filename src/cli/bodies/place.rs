//! Which entries a chunk has, and what a witness says that it keeps.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Entries in a row: `from` and those after it, below `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    from: u64,
    to: u64,
}

/// The text is no range of entries, or no line of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not <from>-<to> in whole numbers, <from> below <to>")]
pub struct RangeError;

impl Range {
    /// A range that has entries.
    ///
    /// # Errors
    /// [`RangeError`].
    pub fn new(from: u64, to: u64) -> Result<Self, RangeError> {
        if from < to {
            Ok(Self { from, to })
        } else {
            Err(RangeError)
        }
    }

    /// The first entry.
    pub fn from(self) -> u64 {
        self.from
    }

    /// The entry behind the last one.
    pub fn to(self) -> u64 {
        self.to
    }

    /// What a witness calls the file of it.
    pub fn file_name(self) -> String {
        format!("{:020}-{:020}.age", self.from, self.to)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (from, to) = text.split_once('-').ok_or(RangeError)?;
        let number = |text: &str| text.parse().map_err(|_| RangeError);
        let range = Self::new(number(from)?, number(to)?)?;
        // One spelling: neither signs nor zeros before.
        if range.to_string() == text {
            Ok(range)
        } else {
            Err(RangeError)
        }
    }
}

/// A chunk that a witness keeps: a line of its index, `<from>-<to> <bytes> <SHA-256>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its entries.
    pub range: Range,
    /// How long it is, encrypted.
    pub bytes: u64,
    /// SHA-256 of it, encrypted.
    pub sha256: [u8; 32],
}

impl Kept {
    /// What stands in an index for these bytes.
    pub fn of(range: Range, chunk: &[u8]) -> Self {
        Self {
            range,
            bytes: chunk.len() as u64,
            sha256: Sha256::digest(chunk).into(),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sha256 = hex::encode(self.sha256);
        write!(f, "{} {} {sha256}", self.range, self.bytes)
    }
}

impl FromStr for Kept {
    type Err = RangeError;

    fn from_str(line: &str) -> Result<Self, RangeError> {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().ok_or(RangeError);
        let mut kept = Self {
            range: part()?.parse()?,
            bytes: part()?.parse().map_err(|_| RangeError)?,
            sha256: [0; 32],
        };
        hex::decode_to_slice(part()?, &mut kept.sha256).map_err(|_| RangeError)?;
        // One spelling: neither zeros before, nor large digits.
        if kept.to_string() == line {
            Ok(kept)
        } else {
            Err(RangeError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_and_a_line_have_one_spelling() {
        let range: Range = "0-256".parse().unwrap();
        assert_eq!((range.from(), range.to()), (0, 256));
        let name = "00000000000000000000-00000000000000000256.age";
        assert_eq!(range.file_name(), name);
        let kept = Kept::of(range, b"chunk");
        assert_eq!(kept.to_string().parse(), Ok(kept.clone()));
        for wrong in [
            "", "0", "0-", "-1", "1-1", "2-1", "+0-1", "00-1", "0-1 ", "0-1-2",
        ] {
            assert_eq!(wrong.parse::<Range>(), Err(RangeError), "{wrong}");
        }
        let line = kept.to_string();
        for wrong in [
            line.replace("0-256", "0-0"),
            line.replace(" 5 ", " 05 "),
            line.to_uppercase(),
            format!("{line} "),
            line[..line.len() - 2].to_owned(),
        ] {
            assert_eq!(wrong.parse::<Kept>(), Err(RangeError), "{wrong}");
        }
    }
}
