//! The body of a statement that un-seals, line by line: each has one place and one spelling.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use tx::Time;

use super::{Header, UnsealError, canonical};

/// How long a statement holds at most: what is decided about a machine today is not about the same
/// machine next month.
const LIFE_MAX_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

/// What is left of the body, and the number of its first line.
pub(super) struct Lines<'t> {
    body: &'t str,
    number: usize,
}

/// Whether a statement that expires then holds now.
pub(super) fn check_life(expires: Time, now: Time) -> Result<(), UnsealError> {
    if now > expires {
        return Err(UnsealError::Expired(expires));
    }
    if expires.millis_since(now) > LIFE_MAX_MILLIS {
        return Err(UnsealError::Expires(expires));
    }
    Ok(())
}

impl<'t> Lines<'t> {
    /// The header of a text of at most so many bytes, and what stands below it.
    pub(super) fn of(text: &'t str, bytes_max: usize) -> Result<(Header, Self), UnsealError> {
        if text.len() > bytes_max {
            return Err(UnsealError::TooLong { bytes_max });
        }
        if !text.is_ascii() {
            return Err(UnsealError::Ascii);
        }
        let (header, body) = Header::parse(text).map_err(UnsealError::Header)?;
        Ok((header, Self { body, number: 4 }))
    }

    fn error(&self, expected: &'static str) -> UnsealError {
        let line = self.number;
        UnsealError::Line { line, expected }
    }

    /// The next line.
    pub(super) fn field<T: FromStr + Display>(
        &mut self,
        key: &str,
        expected: &'static str,
    ) -> Result<T, UnsealError> {
        let line = self.body.split_once('\n');
        let (line, rest) = line.ok_or_else(|| self.error(expected))?;
        let value = line.strip_prefix(key).and_then(canonical);
        let value = value.ok_or_else(|| self.error(expected))?;
        self.body = rest;
        self.number = self.number.saturating_add(1);
        Ok(value)
    }

    /// All lines that begin so, of which each is after the one before it.
    pub(super) fn set<T: FromStr + Display + Ord>(
        &mut self,
        key: &str,
        expected: &'static str,
    ) -> Result<BTreeSet<T>, UnsealError> {
        let mut set = BTreeSet::new();
        while self.body.starts_with(key) {
            let at = self.error(expected);
            let value: T = self.field(key, expected)?;
            if set.last().is_some_and(|last| *last >= value) {
                return Err(at);
            }
            set.insert(value);
        }
        Ok(set)
    }

    /// Nothing but the last line.
    pub(super) fn end(self, last: &str, expected: &'static str) -> Result<(), UnsealError> {
        match self.body == last {
            true => Ok(()),
            false => Err(self.error(expected)),
        }
    }
}
