//! What is wrong in a bundle, and where, as a compiler would say it.

use std::{cell::RefCell, fmt};

use serde::Serialize;

use crate::Location;

/// One thing that is wrong or suspicious, at its place.
///
/// `Display` writes `limits.toml:12:7: limit "eth-day": cap: …`, with what to do on a line below.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// The file, relative to the bundle.
    pub file: String,
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// The column in characters, from 1; 0 when it is about the line as a whole.
    pub column: u32,
    /// Whether the bundle can be loaded all the same.
    pub severity: Severity,
    /// The key of the table, where one is to blame.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether a bundle with this can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but it may not say what was meant.
    Warning,
}

/// A point in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

/// Collects all that is found, so that one run shows everything.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Vec<Diagnostic>>);

impl Diagnostic {
    pub(super) fn error(place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, place, message.into())
    }

    pub(super) fn warning(place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, place, message.into())
    }

    fn new(severity: Severity, place: Place, message: String) -> Self {
        Self {
            file: place.file,
            line: place.line,
            column: place.column,
            severity,
            key: None,
            message,
            hint: None,
        }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(super) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl Report {
    pub fn add(&self, diagnostic: Diagnostic) {
        self.0.borrow_mut().push(diagnostic);
    }

    pub fn has_errors(&self) -> bool {
        let found = self.0.borrow();
        found.iter().any(|one| one.severity == Severity::Error)
    }

    /// All that was found, by place.
    pub fn into_sorted(self) -> Vec<Diagnostic> {
        let mut found = self.0.into_inner();
        found.sort();
        found.dedup();
        found
    }
}

impl Place {
    pub fn file(file: &str) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
        }
    }

    pub fn location(&self) -> Location {
        Location {
            file: self.file.clone(),
            line: self.line,
        }
    }
}

impl From<&Location> for Place {
    fn from(at: &Location) -> Self {
        Self {
            file: at.file.clone(),
            line: at.line,
            column: 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path comes from outside and may hold what a terminal obeys.
        write!(f, "{}", self.file.escape_debug())?;
        for number in [self.line, self.column] {
            if number > 0 {
                write!(f, ":{number}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
        };
        write!(f, "{place}: ")?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  help: {hint}"),
            None => Ok(()),
        }
    }
}
