//! Why nothing is signed, by name and in words.

use std::{fmt, sync::Arc};

use journal::{OpenJournalError, SealName};

/// Why a daemon is sealed: `<name>: <words>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The name, which never changes.
    pub name: SealName,
    why: Arc<str>,
}

impl Seal {
    /// By this name, for a reason in words.
    pub fn new(name: SealName, why: &str) -> Self {
        Self {
            name,
            why: why.into(),
        }
    }

    /// By what keeps a journal from being opened.
    pub fn of(error: &OpenJournalError) -> Self {
        Self::new(error.name(), &crate::log::chain(error))
    }

    /// Says so in the log.
    pub fn log(&self) {
        tracing::error!(
            seal = self.name.as_str(),
            why = &*self.why,
            "sealed: nothing is signed"
        );
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}
