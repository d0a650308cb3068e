//! Addresses, canonical per chain.

use std::fmt;

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
    bytes: Short,
}

/// As many bytes as the longest output script that has an address. In place, not behind a pointer: books have a
/// million addresses, and most of what is done with one is to compare it. The order is that of slices, since what
/// is behind the length is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Short {
    bytes: [u8; LENGTH_MAX],
    length: u8,
}

/// A P2WSH or P2TR script.
const LENGTH_MAX: usize = 34;

impl Short {
    /// `None` for what is longer.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut short = Self {
            bytes: [0; LENGTH_MAX],
            length: u8::try_from(bytes.len()).ok()?,
        };
        short.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(short)
    }

    fn as_slice(&self) -> &[u8] {
        let slice = self.bytes.get(..usize::from(self.length));
        slice.unwrap_or(&self.bytes)
    }
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
        let text = || AddressError::Form {
            chain,
            text: text.into(),
        };
        Ok(Self {
            chain,
            bytes: Short::of(&bytes).ok_or_else(text)?,
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
        let bytes = Short::of(&bytes)?;
        matches!(chain, Chain::Evm(_)).then_some(Self { chain, bytes })
    }

    /// The address whose payments go to `script`; `None` for a script that has no address.
    pub fn from_script(chain: Chain, script: &[u8]) -> Option<Self> {
        utxo::address::text(chain, script)?;
        let bytes = Short::of(script)?;
        Some(Self { chain, bytes })
    }

    /// The chain.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// What the chain commits to: 20 bytes, or the output script.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The CAIP-10 form, `<chain>:<address>`.
    pub fn qualified(&self) -> String {
        format!("{}:{self}", self.chain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.chain {
            Chain::Evm(_) => evm::address::text(self.as_bytes()),
            Chain::Bitcoin(_) | Chain::Litecoin(_) => {
                utxo::address::text(self.chain, self.as_bytes())
            }
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn as_many_bytes_as_the_longest_script_and_no_more() {
        assert!(Short::of(&[7; LENGTH_MAX]).is_some());
        assert!(Short::of(&[7; LENGTH_MAX + 1]).is_none());
        assert!(Short::of(&[7; 300]).is_none());
    }

    proptest! {
        // Few values, so that one is often the beginning of the other.
        #[test]
        fn bytes_in_place_are_as_slices_are(
            one in vec(0..3_u8, 0..=LENGTH_MAX), other in vec(0..3_u8, 0..=LENGTH_MAX),
            shared in 0..=LENGTH_MAX,
        ) {
            let other = [&one[..shared.min(one.len())], &other].concat();
            let other = &other[..other.len().min(LENGTH_MAX)];
            let (a, b) = (Short::of(&one).unwrap(), Short::of(other).unwrap());
            prop_assert_eq!(a.as_slice(), &one);
            prop_assert_eq!(a.cmp(&b), one.as_slice().cmp(other));
            prop_assert_eq!(a == b, one == other);
        }
    }
}
