//! What else is so when a request is asked.

use std::collections::BTreeSet;
use std::fmt;

use policy::{AttestationKind, Policy};
use tx::EffectKind;

use super::super::cases::file::Before;

/// What else is so when a request is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing is frozen, nothing was attempted before, and everything is attested.
    #[default]
    Usual,
    /// Everything is frozen.
    Frozen,
    /// Its intents were attempted before elsewhere.
    Again(Before),
    /// Attesters have not said this.
    Without(AttestationKind),
}

impl Standing {
    /// Those that statements of either policy look at, but for the usual one.
    pub fn told_apart(policies: [&Policy; 2]) -> BTreeSet<Self> {
        let mut found = BTreeSet::new();
        for policy in policies {
            if !policy.evacuates.is_empty() {
                found.insert(Self::Frozen);
            }
            let mut allows = policy.allows.iter();
            if allows.any(|allow| allow.selector.gives(EffectKind::Reissue)) {
                found.extend([Before::Dead, Before::Alive].map(Self::Again));
            }
            let asked = policy.requires_attested.iter();
            found.extend(asked.map(|require| Self::Without(require.says.attested)));
        }
        found
    }

    /// Whether a request can be so, that has intents or not.
    pub fn is_of(self, has_intents: bool) -> bool {
        has_intents || !matches!(self, Self::Again(_))
    }

    /// What attesters have said.
    pub fn attested(self) -> BTreeSet<AttestationKind> {
        let mut all = BTreeSet::from(AttestationKind::WITHIN);
        if let Self::Without(kind) = self {
            all.remove(&kind);
        }
        all
    }

    /// What became of what was attempted before.
    pub fn before(self) -> Option<Before> {
        match self {
            Self::Again(before) => Some(before),
            Self::Usual | Self::Frozen | Self::Without(_) => None,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => Ok(()),
            Self::Frozen => f.write_str(", under a freeze"),
            Self::Again(Before::Dead) => f.write_str(", again, as what was attempted is dead"),
            Self::Again(Before::Alive) => {
                f.write_str(", again, while what was attempted may be included")
            }
            Self::Without(kind) => write!(f, ", without {} attested", kind.as_str()),
        }
    }
}
