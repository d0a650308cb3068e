//! Whether a bundle permits no more than the running one, as far as the two texts show.
//!
//! What is not shown by comparing statement with statement and condition with condition counts as more:
//! the answer decides whether a bundle governs at once, so that it may only err to the slow side. Whatever
//! a narrower bundle permits, the running one permits too, in every state (a property test holds it).
//! Who governs, what is ours and who can bring a veto must be as they were: what follows from a
//! change there is not shown by any statement.

mod books;
mod parties;
mod replaced;
mod statements;

use std::{collections::BTreeSet, fmt};

use tx::Name;

use crate::Policy;

pub use replaced::beside_people;

/// Something for which a bundle is not shown to be narrower than the running one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Widening {
    /// A part of the bundle that must be as it was differs.
    Changed(&'static str),
    /// Something with a name is there that the running bundle does not have, or has more than there.
    More {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: Name,
    },
    /// A statement that restricts is gone, or restricts less.
    Less {
        /// What it is.
        kind: &'static str,
        /// Its name in the running bundle.
        name: Name,
    },
}

/// All for which `offered` is not shown to be narrower than `running`; nothing where it is.
pub fn widenings(running: &Policy, offered: &Policy) -> BTreeSet<Widening> {
    let mut found = BTreeSet::new();
    parties::compare(running, offered, &mut found);
    statements::compare(running, offered, &mut found);
    found
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(what) => write!(f, "{what} differs"),
            Self::More { kind, name } => {
                write!(
                    f,
                    "{kind} {name:?} allows more than is running",
                    name = name.as_str()
                )
            }
            Self::Less { kind, name } => {
                write!(
                    f,
                    "{kind} {name:?} is gone or restricts less",
                    name = name.as_str()
                )
            }
        }
    }
}
