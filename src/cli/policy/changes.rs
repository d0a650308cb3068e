//! Requests that are decided otherwise, those of one kind together.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::decided::{Decided, Expected};

/// What changed alike, with the first that did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What was decided before.
    before: Expected,
    /// What is decided now.
    after: Expected,
    /// Who said so before.
    before_by: Vec<String>,
    /// Who says so now.
    after_by: Vec<String>,
    /// How many.
    count: u64,
    /// The first of them.
    example: String,
    /// Why, where something is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    why: Vec<String>,
}

/// All that changed.
#[derive(Debug, Default)]
pub struct Changes {
    kinds: BTreeMap<(Expected, Expected, Vec<String>, Vec<String>), Change>,
    count: u64,
}

impl Changes {
    /// Adds a request that was decided otherwise.
    pub fn add(&mut self, before: &Decided, after: &Decided, example: &str) {
        let by = |decided: &Decided| decided.by().iter().map(ToString::to_string).collect();
        let (before_by, after_by): (Vec<String>, Vec<String>) = (by(before), by(after));
        let kind = (before.word, after.word, before_by.clone(), after_by.clone());
        self.count += 1;
        let change = self.kinds.entry(kind).or_insert_with(|| Change {
            before: before.word,
            after: after.word,
            before_by,
            after_by,
            count: 0,
            example: example.to_owned(),
            why: match after.word {
                Expected::Permit => before.details.clone(),
                _ => after.details.clone(),
            },
        });
        change.count += 1;
    }

    /// How many requests.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// By what changed.
    pub fn sorted(self) -> Vec<Change> {
        self.kinds.into_values().collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |names: &[String]| match names.is_empty() {
            true => String::new(),
            false => format!(" ({})", names.join(", ")),
        };
        let (before, after) = (self.before.word(), self.after.word());
        let (before_by, after_by) = (by(&self.before_by), by(&self.after_by));
        let count = self.count;
        writeln!(f, "{before}{before_by} -> {after}{after_by}: {count}")?;
        writeln!(f, "  such as {}", self.example)?;
        for why in &self.why {
            writeln!(f, "  because {why}")?;
        }
        Ok(())
    }
}
