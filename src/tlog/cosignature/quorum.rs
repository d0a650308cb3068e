//! How many of the witnesses that count.

use super::{Cosignature, WitnessKey};
use crate::checkpoint::SignedCheckpoint;
use crate::note::KeyName;

/// Witnesses by their keys, and how many of them must have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    witnesses: Vec<WitnessKey>,
    needed: usize,
}

impl Quorum {
    /// `needed` of `witnesses`.
    ///
    /// # Errors
    /// [`QuorumError`] when that cannot be met, means nothing, or a name or a key is there twice: the
    /// signed message does not say the name, so one signature would count for both.
    pub fn new(witnesses: Vec<WitnessKey>, needed: usize) -> Result<Self, QuorumError> {
        if needed == 0 || needed > witnesses.len() {
            return Err(QuorumError::Needed {
                needed,
                witnesses: witnesses.len(),
            });
        }
        let mut rest = witnesses.as_slice();
        while let Some((one, others)) = rest.split_first() {
            let same = |other: &&WitnessKey| {
                other.name() == one.name() || other.public_key() == one.public_key()
            };
            if let Some(other) = others.iter().find(same) {
                return Err(QuorumError::Repeated {
                    name: other.name().clone(),
                });
            }
            rest = others;
        }
        Ok(Self { witnesses, needed })
    }

    /// More than half of `witnesses`: two majorities share a witness, so two checkpoints that both
    /// have one are consistent as long as that witness is honest.
    ///
    /// # Errors
    /// As [`Quorum::new`].
    pub fn majority(witnesses: Vec<WitnessKey>) -> Result<Self, QuorumError> {
        let needed = (witnesses.len() >> 1).saturating_add(1);
        Self::new(witnesses, needed)
    }

    /// The witnesses.
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// How many of them are needed.
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// Counts the witnesses that cosigned a checkpoint, each once; of several cosignatures of one the
    /// newest. One that does not verify counts for nothing and takes nothing from the others.
    pub fn tally(&self, signed: &SignedCheckpoint) -> Tally {
        let mut tally = Tally::default();
        for key in &self.witnesses {
            let lines = signed.note().signatures().iter();
            let mut verified = lines
                .filter(|line| key.is_named_by(line))
                .map(|line| key.verify(signed.checkpoint(), line));
            let mut newest: Option<Cosignature> = None;
            let mut refused = false;
            for cosignature in &mut verified {
                match cosignature {
                    Ok(one) if newest.as_ref().is_none_or(|best| best.time() < one.time()) => {
                        newest = Some(one);
                    }
                    Ok(_) => {}
                    Err(_) => refused = true,
                }
            }
            if refused {
                tally.refused.push(key.name().clone());
            }
            tally.cosignatures.extend(newest);
        }
        tally
    }

    /// Takes a checkpoint as witnessed, if enough witnesses cosigned it.
    ///
    /// # Errors
    /// [`NotWitnessed`] with the checkpoint, when they did not.
    pub fn witnessed(&self, signed: SignedCheckpoint) -> Result<Witnessed, NotWitnessed> {
        let tally = self.tally(&signed);
        if tally.cosignatures.len() < self.needed {
            return Err(NotWitnessed {
                signed: Box::new(signed),
                tally,
                needed: self.needed,
            });
        }
        Ok(Witnessed {
            signed,
            cosignatures: tally.cosignatures,
        })
    }
}

/// Who of a quorum's witnesses cosigned a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct Tally {
    cosignatures: Vec<Cosignature>,
    refused: Vec<KeyName>,
}

impl Tally {
    /// The cosignatures that count, one for each witness, in the quorum's order.
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }

    /// Witnesses in whose name there is a line that does not verify: somebody changed it, or lies.
    pub fn refused(&self) -> &[KeyName] {
        &self.refused
    }
}

/// A checkpoint that enough witnesses of a quorum cosigned: made only by [`Quorum::witnessed`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Witnessed {
    signed: SignedCheckpoint,
    cosignatures: Vec<Cosignature>,
}

impl Witnessed {
    /// The checkpoint.
    pub const fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// The cosignatures that counted, at least as many as were needed.
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }
}

/// Why witnesses make no quorum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// None would be needed, or more than there are.
    #[error("{needed} of {witnesses} witnesses can never be met, or mean nothing")]
    Needed {
        /// How many would be needed.
        needed: usize,
        /// How many there are.
        witnesses: usize,
    },
    /// A name or a key is there twice.
    #[error("witness {name} has the name or the key of another")]
    Repeated {
        /// The second of the two.
        name: KeyName,
    },
}

/// Too few witnesses cosigned a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} witnesses cosigned, {needed} are needed", found = tally.cosignatures.len())]
pub struct NotWitnessed {
    /// The checkpoint, for more to be added.
    pub signed: Box<SignedCheckpoint>,
    /// Who did.
    pub tally: Tally,
    /// How many are needed.
    pub needed: usize,
}
