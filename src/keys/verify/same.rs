//! A memory of the latest Ed25519 signatures: of one message by one key there is one (RFC 8032). A second one
//! was made with another nonce, by a device that does not do what it says.

use std::mem;

use indexmap::IndexMap;
use thiserror::Error;

use crate::key::KeyId;

/// How many are remembered at least, and twice as many at most, with 200 bytes each.
const REMEMBERED: usize = 4096;

/// A key signed one message in two ways.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key} signed one message in two ways")]
pub struct Differs {
    /// The key.
    pub key: KeyId,
    /// SHA-256 of the message.
    pub message: [u8; 32],
    /// The earlier signature, 64 bytes.
    pub first: [u8; 64],
    /// The later signature.
    pub second: [u8; 64],
}

/// By key and SHA-256 of the message.
#[derive(Debug, Default)]
pub struct SameSeen {
    young: IndexMap<(KeyId, [u8; 32]), [u8; 64]>,
    old: IndexMap<(KeyId, [u8; 32]), [u8; 64]>,
}

impl SameSeen {
    /// Takes note of a verified signature.
    ///
    /// # Errors
    /// [`Differs`] when the key has signed the message otherwise. The first one stays.
    pub fn insert(
        &mut self,
        key: &KeyId,
        message: [u8; 32],
        signature: [u8; 64],
    ) -> Result<(), Box<Differs>> {
        let place = (key.clone(), message);
        let known = self.young.get(&place).or_else(|| self.old.get(&place));
        if let Some(first) = known.filter(|first| **first != signature) {
            return Err(Box::new(Differs {
                key: place.0,
                message,
                first: *first,
                second: signature,
            }));
        }
        self.young.insert(place, signature);
        if self.young.len() >= REMEMBERED {
            self.old = mem::take(&mut self.young);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyPurpose;

    #[test]
    fn a_message_has_one_signature_by_a_key() {
        let key = |name: &str| KeyId {
            purpose: KeyPurpose::Test,
            name: name.parse().unwrap(),
        };
        let mut seen = SameSeen::default();
        for number in 0..3 * REMEMBERED {
            let mut message = [0; 32];
            message[..8].copy_from_slice(&number.to_be_bytes());
            seen.insert(&key("a"), message, [1; 64]).unwrap();
            seen.insert(&key("a"), message, [1; 64]).unwrap();
            seen.insert(&key("b"), message, [2; 64]).unwrap();
            let differs = seen.insert(&key("a"), message, [2; 64]).unwrap_err();
            assert_eq!((differs.first, differs.second), ([1; 64], [2; 64]));
            assert!(seen.young.len() + seen.old.len() <= 2 * REMEMBERED);
        }
    }
}
