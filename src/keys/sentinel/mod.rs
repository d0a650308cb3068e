//! Sentinels: what can be seen of a key's nonces in the signatures alone.
//!
//! Whoever has a key's signatures can do what is done here, so it is done here first, off the way of any
//! signature: secrets that follow from signatures are looked for, and each is checked with the public key.
//! What is found is so, and is never a chance: there are no false alarms.

mod basis;
mod biased;
mod equation;
mod int;
mod related;
#[cfg(test)]
mod tests;
mod tree;
mod watch;

use std::fmt;

pub use biased::{End, Width};
pub(crate) use watch::Sentinel;

use tx::Scheme;

use crate::key::KeyId;

/// A signature as the device made it: with the `s` that it chose.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) key: KeyId,
    pub(crate) scheme: Scheme,
    /// Compressed; with BIP-340 of an even y.
    pub(crate) public: [u8; 33],
    pub(crate) digest: [u8; 32],
    pub(crate) r: [u8; 32],
    pub(crate) s: [u8; 32],
}

/// A key whose secret follows from its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alarm {
    /// The key.
    pub key: KeyId,
    /// What was seen.
    pub finding: Finding,
}

/// What was seen of a key's nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// So many bits of them, or more, are always the same.
    Biased {
        /// At least so many.
        width: Width,
        /// Where.
        end: End,
    },
    /// Each is an affine function of the one before.
    Affine,
    /// One is small, the digest, or the secret itself.
    Known,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the secret of {} follows from its signatures: {}",
            self.key, self.finding
        )
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Biased { width, end } => {
                let end = match end {
                    End::Top => "highest",
                    End::Bottom => "lowest",
                };
                let (signatures, bits) = (width.signatures(), width.bits());
                write!(
                    f,
                    "the {end} {bits} bits of {signatures} nonces are the same"
                )
            }
            Self::Affine => f.write_str("four nonces follow from one another"),
            Self::Known => f.write_str("a nonce is a small number, the digest or the secret"),
        }
    }
}

/// What the sentinel did since the pool was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentinelCounters {
    /// Signatures that it was given.
    pub seen: u64,
    /// Signatures that it was not given, because it had too many to look at.
    pub skipped: u64,
    /// Searches for biased nonces.
    pub searches: u64,
    /// Findings.
    pub alarms: u64,
}

impl SentinelCounters {
    /// Those of two sentinels.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            seen: self.seen.saturating_add(other.seen),
            skipped: self.skipped.saturating_add(other.skipped),
            searches: self.searches.saturating_add(other.searches),
            alarms: self.alarms.saturating_add(other.alarms),
        }
    }
}
