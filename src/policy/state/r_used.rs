//! Every `r` that was ever signed with: two signatures with one `r` give the private key away.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{KeyDigest, NotRecalled, State};
use crate::{Digest, RowKey, Signed};

/// An `r` came up with another digest or another key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} and {} signed two inputs with one r", first.key, second.key)]
pub struct RRepeated {
    /// The `r`.
    pub r: Digest,
    /// What the earlier signature is of.
    pub first: KeyDigest,
    /// What the later one is of.
    pub second: KeyDigest,
}

impl State {
    /// The first signature whose `r` belongs to another one, of this log or among themselves. The same
    /// key and digest may have the same `r`: deterministic devices (RFC 6979) sign so.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn repeats(&self, signed: &Signed) -> Result<Option<RRepeated>, NotRecalled> {
        let mut these: BTreeMap<Digest, &KeyDigest> = BTreeMap::new();
        for (r, second) in self.uses(signed)? {
            let known = self.found(self.r_used.get(&r), || RowKey::R(r))?;
            let first = known.or(these.get(&r).copied());
            if let Some(first) = first.filter(|first| *first != second) {
                return Ok(Some(RRepeated {
                    r,
                    first: first.clone(),
                    second: second.clone(),
                }));
            }
            these.insert(r, second);
        }
        Ok(None)
    }

    /// The first use of an `r` stays: of an older log nobody can say that it has no second one.
    pub(super) fn use_r(&mut self, signed: &Signed) {
        let Some(attempt) = self.attempts.get_mut(&signed.attempt) else {
            return;
        };
        let unsigned = std::mem::take(&mut attempt.unsigned);
        for (made, what) in signed.signatures.iter().zip(unsigned) {
            self.r_used.entry(made.r).or_insert(what);
        }
    }

    fn uses<'a>(
        &'a self,
        signed: &'a Signed,
    ) -> Result<impl Iterator<Item = (Digest, &'a KeyDigest)>, NotRecalled> {
        let attempt = self.attempt(signed.attempt)?;
        let unsigned = attempt.map_or(&[][..], |attempt| &attempt.unsigned);
        let made = signed.signatures.iter().map(|made| made.r);
        Ok(made.zip(unsigned))
    }
}
