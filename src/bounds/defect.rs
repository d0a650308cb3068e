//! Defects that tests seed, so that it shows that they would be found.

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Limits on how many bound nothing.
    Counts,
    /// What should count apart for each account counts together.
    Groups,
    /// What needs people needs nobody.
    Needs,
    /// What leaves a window leaves it late.
    Windows,
}

/// Whether a test has seeded the defect. Outside of tests there are none.
#[cfg(not(test))]
pub(crate) fn seeded(_: Defect) -> bool {
    false
}

#[cfg(test)]
pub(crate) use of_tests::{seed, seeded};

#[cfg(test)]
mod of_tests {
    use std::cell::Cell;

    use super::Defect;

    thread_local! {
        static SEEDED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    pub(crate) fn seeded(defect: Defect) -> bool {
        SEEDED.get() == Some(defect)
    }

    pub(crate) fn seed(defect: Option<Defect>) {
        SEEDED.set(defect);
    }
}
