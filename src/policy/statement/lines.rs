//! The body of a statement about a journal, line by line: each has one place and one spelling.

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use super::{StatementError, canonical};

/// What is left of the body, and the number of its first line.
pub(crate) struct Lines<'t> {
    body: &'t str,
    number: usize,
}

impl<'t> Lines<'t> {
    /// What stands below a header.
    pub(super) const fn of(body: &'t str) -> Self {
        Self { body, number: 4 }
    }

    fn error(&self, expected: &'static str) -> StatementError {
        let line = self.number;
        StatementError::Line { line, expected }
    }

    /// Whether the next line begins so.
    pub(super) fn begins(&self, key: &str) -> bool {
        self.body.starts_with(key)
    }

    /// The next line.
    pub(super) fn field<T: FromStr + Display>(
        &mut self,
        key: &str,
        expected: &'static str,
    ) -> Result<T, StatementError> {
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
    ) -> Result<BTreeSet<T>, StatementError> {
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
    pub(super) fn end(self, last: &str, expected: &'static str) -> Result<(), StatementError> {
        match self.body == last {
            true => Ok(()),
            false => Err(self.error(expected)),
        }
    }
}
