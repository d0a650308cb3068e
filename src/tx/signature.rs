//! Signatures, and what they make of a transaction.

use serde::{Deserialize, Serialize};

use crate::Amount;

/// An ECDSA signature over secp256k1, verified and with low `s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EcdsaSignature {
    /// `r`, 32 bytes big-endian.
    pub r: [u8; 32],
    /// `s`, 32 bytes big-endian, at most half the order of the group.
    pub s: [u8; 32],
    /// The parity of `R.y`, for the low `s`: 0 or 1.
    pub recovery_id: u8,
}

/// A BIP-340 signature, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bip340Signature {
    /// The x coordinate of `R`, 32 bytes big-endian.
    pub r: [u8; 32],
    /// `s`, 32 bytes big-endian.
    pub s: [u8; 32],
}

/// A signature of a transaction, verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeySignature {
    /// By ECDSA.
    Ecdsa(EcdsaSignature),
    /// As BIP-340 has it.
    Bip340(Bip340Signature),
}

/// A transaction that a node accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct SignedTransaction {
    /// The bytes to broadcast, in hexadecimal without a prefix.
    pub raw: String,
    /// The transaction's id as the chain's explorers show it.
    pub txid: String,
}

impl KeySignature {
    /// `r`, and with BIP-340 the x coordinate of `R`: 32 bytes big-endian.
    pub fn r(&self) -> &[u8; 32] {
        match self {
            Self::Ecdsa(signature) => &signature.r,
            Self::Bip340(signature) => &signature.r,
        }
    }

    /// `s`, 32 bytes big-endian.
    pub fn s(&self) -> &[u8; 32] {
        match self {
            Self::Ecdsa(signature) => &signature.s,
            Self::Bip340(signature) => &signature.s,
        }
    }
}

impl EcdsaSignature {
    /// `r` as a number, in which EVM transactions write it.
    pub fn r_amount(&self) -> Amount {
        Amount::from_be_bytes(self.r)
    }

    /// `s` as a number.
    pub fn s_amount(&self) -> Amount {
        Amount::from_be_bytes(self.s)
    }
}
