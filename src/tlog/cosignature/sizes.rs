//! What witnesses speak for.

use std::cmp::Reverse;

use super::{Quorum, WitnessKey};

/// How many entries of one log each witness has cosigned at the most.
///
/// Witnesses need not cosign the same checkpoint. One that cosigned N entries has seen that each shorter
/// log it cosigned before is their beginning, and cosigns no other one after (C2SP tlog-witness): it speaks
/// for every beginning of them.
#[derive(Debug, Clone, Default)]
pub struct CosignedSizes(Vec<(WitnessKey, u64)>);

impl CosignedSizes {
    /// Notes that a witness cosigned a checkpoint of so many entries: only where its signature was verified.
    pub fn raise(&mut self, key: &WitnessKey, size: u64) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = size.max(*known),
            None => self.0.push((key.clone(), size)),
        }
    }

    /// Forgets every witness that is not of these.
    pub fn keep(&mut self, quorum: &Quorum) {
        self.0.retain(|(key, _)| quorum.witnesses().contains(key));
    }

    /// How many entries enough of these witnesses speak for: 0 for none. Of two majorities one witness is in
    /// both, and its word stands against a second log.
    pub fn size_by(&self, quorum: &Quorum) -> u64 {
        let named = |(key, _): &&(WitnessKey, u64)| quorum.witnesses().contains(key);
        let mut sizes: Vec<u64> = self.0.iter().filter(named).map(|(_, size)| *size).collect();
        sizes.sort_unstable_by_key(|size| Reverse(*size));
        let last = quorum.needed().saturating_sub(1);
        sizes.get(last).copied().unwrap_or(0)
    }
}
