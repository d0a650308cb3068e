//! Addresses, canonical per chain.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::{Chain, evm, utxo};

/// An address on one chain, held as what the chain commits to: 20 bytes on EVM chains, the output
/// script on Bitcoin-like ones. Two spellings of one address are equal; the same bytes on two
/// chains are not.
///
/// `Display` gives the chain's one canonical spelling (EIP-55 checksum, lower-case bech32); serde
/// uses CAIP-10, `<chain>:<address>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    chain: Chain,
    bytes: Arc<[u8]>,
}

/// Why a text is no address of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is no address of any kind that the chain knows.
    #[error("{text:?} is no address of {chain}")]
    Form {
        /// The chain asked for.
        chain: Chain,
        /// The text.
        text: String,
    },
    /// A checksum (EIP-55, base58check, bech32) does not hold.
    #[error("{text:?} has a wrong checksum")]
    Checksum {
        /// The text.
        text: String,
    },
    /// A good address, of another chain or network.
    #[error("{text:?} is an address of another network than {chain}")]
    Network {
        /// The chain asked for.
        chain: Chain,
        /// The text.
        text: String,
    },
    /// A kind of script or witness version that the signer does not pay to.
    #[error("{text:?} is of a kind that is not paid to")]
    Kind {
        /// The text.
        text: String,
    },
    /// A qualified address without the chain before it.
    #[error("{text:?} is no <chain>:<address>")]
    Qualified {
        /// The text.
        text: String,
    },
}

impl Address {
    /// Reads an address of `chain`.
    ///
    /// # Errors
    /// Everything but an address of exactly this chain and network, with its checksum right. An
    /// EVM address is taken in one case only when it is all lower case, else EIP-55 must hold.
    pub fn parse(chain: Chain, text: &str) -> Result<Self, AddressError> {
        let bytes = match chain {
            Chain::Evm(_) => evm::address::parse(chain, text)?.to_vec(),
            Chain::Bitcoin(_) | Chain::Litecoin(_) => utxo::address::parse(chain, text)?,
        };
        Ok(Self {
            chain,
            bytes: bytes.into(),
        })
    }

    /// Reads the CAIP-10 form, `<chain>:<address>`.
    ///
    /// # Errors
    /// As [`Address::parse`], and for a text without a known chain.
    pub fn parse_qualified(text: &str) -> Result<Self, AddressError> {
        let refuse = || AddressError::Qualified { text: text.into() };
        let (chain, address) = text.rsplit_once(':').ok_or_else(refuse)?;
        Self::parse(chain.parse().map_err(|_| refuse())?, address)
    }

    /// The EVM account of `chain` with these bytes; `None` when `chain` is no EVM chain.
    pub fn evm(chain: Chain, bytes: [u8; 20]) -> Option<Self> {
        matches!(chain, Chain::Evm(_)).then(|| Self {
            chain,
            bytes: bytes.into(),
        })
    }

    /// The address whose payments go to `script`; `None` for a script that has no address.
    pub fn from_script(chain: Chain, script: &[u8]) -> Option<Self> {
        utxo::address::text(chain, script).map(|_| Self {
            chain,
            bytes: script.into(),
        })
    }

    /// The chain.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// What the chain commits to: 20 bytes, or the output script.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The CAIP-10 form, `<chain>:<address>`.
    pub fn qualified(&self) -> String {
        format!("{}:{self}", self.chain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.chain {
            Chain::Evm(_) => evm::address::text(&self.bytes),
            Chain::Bitcoin(_) | Chain::Litecoin(_) => utxo::address::text(self.chain, &self.bytes),
        };
        f.write_str(&text.ok_or(fmt::Error)?)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.chain)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.qualified())
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_qualified(&text).map_err(de::Error::custom)
    }
}
