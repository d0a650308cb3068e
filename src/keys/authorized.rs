//! The one way to a signature: a decision that is durable.

use journal::{CheckpointOrder, Cleared, Committed, SelfTestOrder};
use policy::KeyAlgorithm;

use crate::{
    key::{KeyId, KeyPurpose},
    protocol::{Bytes, SignInput, TooLong},
};

/// What a committed decision lets be signed, once. There is no other way to a signature: it is made
/// of the journal's proof, and [`crate::KeyPool::sign`] consumes it.
#[derive(Debug)]
#[must_use = "an authorisation that is dropped leaves its charge consumed and nothing signed"]
pub struct Authorized {
    signings: Vec<Signing>,
}

/// One numbered call.
#[derive(Debug)]
pub(crate) struct Signing {
    pub(crate) call: u64,
    pub(crate) key: KeyId,
    pub(crate) input: SignInput,
}

impl Authorized {
    /// What a durable order authorises that may be carried out: digests of transactions, which keys of no other
    /// purpose sign.
    pub fn from_order(order: Cleared) -> Self {
        let order = order.into_order();
        let signings = order.calls().iter().map(|numbered| Signing {
            call: numbered.call,
            key: KeyId {
                purpose: KeyPurpose::Spend,
                name: numbered.key.clone(),
            },
            input: match numbered.algorithm {
                KeyAlgorithm::Bip340 => SignInput::Bip340(numbered.digest.0),
                // Of no transaction: the pool refuses it for a key of another algorithm.
                KeyAlgorithm::Secp256k1 | KeyAlgorithm::Ed25519 => {
                    SignInput::Digest(numbered.digest.0)
                }
            },
        });
        Self {
            signings: signings.collect(),
        }
    }

    /// What a durable checkpoint authorises: its text, which a key of no other purpose signs.
    ///
    /// # Errors
    /// [`TooLong`], which no log's checkpoint is: its one long line is a fleet's name.
    pub fn from_checkpoint(order: Committed<CheckpointOrder>) -> Result<Self, TooLong> {
        let order = order.into_value();
        let text = order.checkpoint().to_string();
        let signing = Signing {
            call: order.call(),
            key: KeyId {
                purpose: KeyPurpose::Checkpoint,
                name: order.key().clone(),
            },
            input: SignInput::Message(Bytes::new(text.as_bytes())?),
        };
        Ok(Self {
            signings: vec![signing],
        })
    }

    /// What a durable self-test authorises: its messages, which keys of no other purpose sign.
    ///
    /// # Errors
    /// [`TooLong`], which no self-test's message is.
    pub fn from_self_test(order: Committed<SelfTestOrder>) -> Result<Self, TooLong> {
        let order = order.into_value();
        let signings = order.calls().iter().map(|(numbered, test)| {
            let input = match numbered.algorithm {
                KeyAlgorithm::Secp256k1 => SignInput::Digest(numbered.digest.0),
                KeyAlgorithm::Bip340 => SignInput::Bip340(numbered.digest.0),
                KeyAlgorithm::Ed25519 => SignInput::Message(Bytes::new(test.message().as_bytes())?),
            };
            Ok(Signing {
                call: numbered.call,
                key: KeyId {
                    purpose: KeyPurpose::Test,
                    name: numbered.key.clone(),
                },
                input,
            })
        });
        Ok(Self {
            signings: signings.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn into_signings(self) -> Vec<Signing> {
        self.signings
    }

    /// Of digests that no journal knows, for tests of the pool.
    #[cfg(test)]
    pub(crate) fn of_signings(signings: Vec<Signing>) -> Self {
        Self { signings }
    }
}
