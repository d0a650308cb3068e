//! The one way to a signature: a decision that is durable.

use crate::{
    key::{KeyId, KeyPurpose},
    name::Name,
    protocol::SignInput,
};

/// What a committed decision lets be signed, once. There is no other way to a signature: it has no
/// public constructor but the one from the journal's proof, and [`crate::KeyPool::sign`] consumes
/// it.
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

/// A digest with the number that the journal gave to its call.
#[derive(Clone, Debug)]
pub(crate) struct NumberedDigest {
    pub(crate) call: u64,
    pub(crate) key: Name,
    pub(crate) digest: [u8; 32],
}

impl Authorized {
    /// Of transactions: keys of no other purpose sign them.
    pub(crate) fn of_digests(digests: impl IntoIterator<Item = NumberedDigest>) -> Self {
        let signings = digests
            .into_iter()
            .map(|numbered| Signing {
                call: numbered.call,
                key: KeyId {
                    purpose: KeyPurpose::Spend,
                    name: numbered.key,
                },
                input: SignInput::Digest(numbered.digest),
            })
            .collect();
        Self { signings }
    }

    pub(crate) fn into_signings(self) -> Vec<Signing> {
        self.signings
    }
}
