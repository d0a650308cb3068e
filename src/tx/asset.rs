//! Assets: a chain's native coin or a token on it.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{Address, AddressError, Chain, ChainError, text::serde_by_text};

/// An asset. Its text is `<chain>/native` or `<chain>/erc20:<contract>`; two assets of one name on
/// two networks are two assets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asset {
    /// The chain on which the asset lives.
    pub chain: Chain,
    /// Which asset of that chain.
    pub kind: AssetKind,
}

/// Which asset of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AssetKind {
    /// The coin in which the chain's fees are paid.
    Native,
    /// An ERC-20 token, by the address of its contract.
    Erc20(Address),
}

/// Why a text is no [`Asset`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AssetError {
    /// The text is not `<chain>/native` or `<chain>/erc20:<contract>`.
    #[error("{text:?} is no asset; write <chain>/native or <chain>/erc20:<contract>")]
    Form {
        /// The text.
        text: String,
    },
    /// The part before the slash is no chain.
    #[error("the asset's chain is not known")]
    Chain(#[source] ChainError),
    /// The token's contract is no address of the chain.
    #[error("the token's contract is no address")]
    Contract(#[source] AddressError),
}

impl Asset {
    /// The coin in which the fees of `chain` are paid.
    pub fn native(chain: Chain) -> Self {
        Self {
            chain,
            kind: AssetKind::Native,
        }
    }

    /// The ERC-20 token of `contract`.
    pub fn erc20(contract: Address) -> Self {
        Self {
            chain: contract.chain(),
            kind: AssetKind::Erc20(contract),
        }
    }
}

impl FromStr for Asset {
    type Err = AssetError;

    fn from_str(text: &str) -> Result<Self, AssetError> {
        let form = || AssetError::Form { text: text.into() };
        let (chain, kind) = text.split_once('/').ok_or_else(form)?;
        let chain: Chain = chain.parse().map_err(AssetError::Chain)?;
        if kind == "native" {
            return Ok(Self::native(chain));
        }
        match (chain, kind.split_once(':')) {
            (Chain::Evm(_), Some(("erc20", contract))) => Address::parse(chain, contract)
                .map(Self::erc20)
                .map_err(AssetError::Contract),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            AssetKind::Native => write!(f, "{}/native", self.chain),
            AssetKind::Erc20(contract) => write!(f, "{}/erc20:{contract}", self.chain),
        }
    }
}

serde_by_text!(Asset, "an asset such as eip155:1/native");
