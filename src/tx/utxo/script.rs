//! The output scripts that have an address.

use bitcoin::hashes::{Hash, hash160};

use crate::{PublicKey, key::Form};

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

/// An output script of a kind that is spent from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spends {
    /// P2WPKH, by ECDSA.
    P2wpkh,
    /// P2TR along the key's path, as BIP-340 has it.
    P2tr,
}

impl Spends {
    /// The kind of a script; `None` for one that is not spent from here.
    pub(crate) fn of(script: &[u8]) -> Option<Self> {
        match Template::of(script)? {
            Template::P2wpkh(_) => Some(Self::P2wpkh),
            Template::P2tr(_) => Some(Self::P2tr),
            Template::P2pkh(_) | Template::P2sh(_) | Template::P2wsh(_) => None,
        }
    }

    /// The signature hash type that commits to everything: ALL, and DEFAULT with BIP-341.
    pub(crate) fn sighash_type(self) -> u32 {
        match self {
            Self::P2wpkh => 1,
            Self::P2tr => 0,
        }
    }
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

    /// The P2PKH template of a compressed key.
    pub(crate) fn p2pkh(key: &[u8; 33]) -> Self {
        Self::P2pkh(hash(key))
    }

    /// What pays to a key of ours: P2WPKH, and P2TR with the key itself as the output key (ADR 0028).
    pub(crate) fn of_key(key: &PublicKey) -> Self {
        match key.form() {
            Form::Compressed(key) => Self::P2wpkh(hash(key)),
            Form::XOnly(key) => Self::P2tr(*key),
        }
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

fn hash(key: &[u8; 33]) -> [u8; 20] {
    hash160::Hash::hash(key).to_byte_array()
}
