//! Chains and networks.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::text::serde_by_text;

/// A chain on which keys are used.
///
/// Its text is `bitcoin:mainnet`, `litecoin:regtest`, `eip155:1` (CAIP-2 for EVM chains; for
/// Bitcoin-like ones the network's name, which a person can read, instead of the genesis hash).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Chain {
    /// Bitcoin.
    Bitcoin(Network),
    /// Litecoin.
    Litecoin(Network),
    /// An EVM chain by its EIP-155 chain id, never 0.
    Evm(u64),
}

/// A network of a Bitcoin-like chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// The network with money on it.
    Mainnet,
    /// The public test network.
    Testnet,
    /// A private network for tests.
    Regtest,
}

/// Why a text is no [`Chain`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// No chain of this name is supported.
    #[error("{text:?} is no chain; write bitcoin:mainnet, litecoin:regtest, eip155:1 and the like")]
    Unknown {
        /// The text.
        text: String,
    },
    /// The EIP-155 chain id is zero, not canonical or too large.
    #[error("{text:?} is no EIP-155 chain id from 1 to 2^63 - 1")]
    ChainId {
        /// The text.
        text: String,
    },
}

impl Network {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Regtest => "regtest",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Mainnet, Self::Testnet, Self::Regtest]
            .into_iter()
            .find(|network| network.as_str() == text)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Chain {
    type Err = ChainError;

    fn from_str(text: &str) -> Result<Self, ChainError> {
        let unknown = || ChainError::Unknown { text: text.into() };
        let (namespace, reference) = text.split_once(':').ok_or_else(unknown)?;
        match namespace {
            "bitcoin" => Network::parse(reference)
                .map(Self::Bitcoin)
                .ok_or_else(unknown),
            "litecoin" => Network::parse(reference)
                .map(Self::Litecoin)
                .ok_or_else(unknown),
            "eip155" => chain_id(reference),
            _ => Err(unknown()),
        }
    }
}

/// A chain id in canonical decimal. Above 2^63 − 1 the legacy `v = 2·id + 35` no longer fits.
fn chain_id(text: &str) -> Result<Chain, ChainError> {
    let refuse = || ChainError::ChainId { text: text.into() };
    let id: u64 = text.parse().map_err(|_| refuse())?;
    if id == 0 || id > (i64::MAX as u64).wrapping_sub(18) || id.to_string() != text {
        return Err(refuse());
    }
    Ok(Chain::Evm(id))
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bitcoin(network) => write!(f, "bitcoin:{network}"),
            Self::Litecoin(network) => write!(f, "litecoin:{network}"),
            Self::Evm(id) => write!(f, "eip155:{id}"),
        }
    }
}

serde_by_text!(Chain, "a chain such as bitcoin:mainnet or eip155:1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_canonical() {
        for text in [
            "bitcoin:mainnet",
            "litecoin:testnet",
            "bitcoin:regtest",
            "eip155:1",
            "eip155:31337",
        ] {
            assert_eq!(text.parse::<Chain>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "bitcoin",
            "bitcoin:",
            "Bitcoin:mainnet",
            "eip155:0",
            "eip155:01",
            "eip155:+1",
            "eip155:9223372036854775807",
            "eip155:18446744073709551616",
            "dogecoin:mainnet",
        ] {
            assert!(text.parse::<Chain>().is_err(), "{text:?}");
        }
    }
}
