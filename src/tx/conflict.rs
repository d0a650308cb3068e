//! Conflict keys: what the chain lets only one transaction consume.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{Address, Chain, text::serde_by_text};

/// What the chain lets only one transaction consume.
///
/// The order of keys is total and for ever: a new conflict set is anchored to its smallest key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConflictKey {
    /// An output of an earlier transaction.
    Outpoint {
        /// The chain.
        chain: Chain,
        /// The transaction's id, in the byte order of the protocol (not the reversed display form).
        txid: [u8; 32],
        /// The output's position.
        vout: u32,
    },
    /// A nonce of an EVM account.
    Nonce {
        /// The account.
        account: Address,
        /// The nonce.
        nonce: u64,
    },
}

/// Why a text is no [`ConflictKey`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("{text:?} is no conflict key")]
pub struct ConflictKeyError {
    text: String,
}

impl ConflictKey {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        let (owner, number) = rest.rsplit_once(':')?;
        match kind {
            "outpoint" => {
                let (chain, txid) = owner.rsplit_once(':')?;
                let mut bytes = <[u8; 32]>::try_from(hex::decode(txid).ok()?).ok()?;
                bytes.reverse();
                Some(Self::Outpoint {
                    chain: chain.parse().ok()?,
                    txid: bytes,
                    vout: number.parse().ok()?,
                })
            }
            "nonce" => Some(Self::Nonce {
                account: Address::parse_qualified(owner).ok()?,
                nonce: number.parse().ok()?,
            }),
            _ => None,
        }
    }
}

impl FromStr for ConflictKey {
    type Err = ConflictKeyError;

    fn from_str(text: &str) -> Result<Self, ConflictKeyError> {
        Self::parse(text)
            .filter(|key| key.to_string() == text)
            .ok_or_else(|| ConflictKeyError { text: text.into() })
    }
}

impl fmt::Display for ConflictKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outpoint { chain, txid, vout } => {
                let mut shown = *txid;
                shown.reverse();
                write!(f, "outpoint {chain}:{}:{vout}", hex::encode(shown))
            }
            Self::Nonce { account, nonce } => write!(f, "nonce {}:{nonce}", account.qualified()),
        }
    }
}

serde_by_text!(
    ConflictKey,
    "a conflict key such as \"nonce eip155:1:0x…:7\""
);
