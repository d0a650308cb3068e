//! The output scripts that have an address.

use bitcoin::hashes::{Hash, hash160};

use crate::PublicKey;

/// An output script of a kind that is paid to. Script and template are one to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Template {
    /// Pay to public key hash.
    P2pkh([u8; 20]),
    /// Pay to script hash (BIP-16).
    P2sh([u8; 20]),
    /// Pay to witness public key hash (BIP-141).
    P2wpkh([u8; 20]),
    /// Pay to witness script hash (BIP-141).
    P2wsh([u8; 32]),
    /// Pay to taproot (BIP-341).
    P2tr([u8; 32]),
}

impl Template {
    /// The template of a script; `None` for a script of any other form.
    pub(crate) fn of(script: &[u8]) -> Option<Self> {
        match script {
            [0x76, 0xa9, 0x14, hash @ .., 0x88, 0xac] => hash.try_into().ok().map(Self::P2pkh),
            [0xa9, 0x14, hash @ .., 0x87] => hash.try_into().ok().map(Self::P2sh),
            [0x00, 0x14, hash @ ..] => hash.try_into().ok().map(Self::P2wpkh),
            [0x00, 0x20, hash @ ..] => hash.try_into().ok().map(Self::P2wsh),
            [0x51, 0x20, key @ ..] => key.try_into().ok().map(Self::P2tr),
            _ => None,
        }
    }

    /// The P2PKH template of a key.
    pub(crate) fn p2pkh(key: &PublicKey) -> Self {
        Self::P2pkh(hash(key))
    }

    /// The P2WPKH template of a key.
    pub(crate) fn p2wpkh(key: &PublicKey) -> Self {
        Self::P2wpkh(hash(key))
    }

    /// The script.
    pub(crate) fn script(&self) -> Vec<u8> {
        match self {
            Self::P2pkh(hash) => [&[0x76, 0xa9, 0x14], hash.as_slice(), &[0x88, 0xac]].concat(),
            Self::P2sh(hash) => [&[0xa9, 0x14], hash.as_slice(), &[0x87]].concat(),
            Self::P2wpkh(hash) => [&[0x00, 0x14], hash.as_slice()].concat(),
            Self::P2wsh(hash) => [&[0x00, 0x20], hash.as_slice()].concat(),
            Self::P2tr(key) => [&[0x51, 0x20], key.as_slice()].concat(),
        }
    }
}

fn hash(key: &PublicKey) -> [u8; 20] {
    hash160::Hash::hash(key.as_bytes()).to_byte_array()
}
