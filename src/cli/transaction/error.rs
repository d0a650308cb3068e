//! Why a transaction could not be built, shown or sent.

use tx::{Address, AddressError, Chain};

use super::base_units::BaseUnitsError;
use crate::failure::{Exit, Explained};
use crate::files::FileError;
use crate::rpc::RpcError;

/// Why a transaction could not be built, shown or sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The node.
    #[error(transparent)]
    Rpc(RpcError),
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// An address.
    #[error("{option} is no address that can be used")]
    Address {
        /// The option.
        option: &'static str,
        /// Why not.
        #[source]
        source: AddressError,
    },
    /// An amount.
    #[error("{option} is no amount that can be used")]
    Amount {
        /// The option.
        option: &'static str,
        /// Why not.
        #[source]
        source: BaseUnitsError,
    },
    /// The signer would not understand what was built, or is shown.
    #[error("the signer would refuse this transaction ({code})")]
    NotUnderstood {
        /// The stable name of the reason.
        code: &'static str,
        /// The reason.
        #[source]
        source: tx::Refusal,
    },
    /// The node is of another chain.
    #[error("the node is of {actual}, not of {expected}")]
    OtherChain {
        /// The chain asked for.
        expected: Chain,
        /// The node's.
        actual: String,
    },
    /// The node's chain has no base fee.
    #[error("the node reports no base fee: the chain does not know EIP-1559")]
    NoBaseFee,
    /// A number is beyond what any real transaction has.
    #[error("the fee is too large for a number")]
    FeeOverflow,
    /// The chain has no coins of this kind.
    #[error("{chain} is no Bitcoin-like chain")]
    NotUtxo {
        /// The chain.
        chain: Chain,
    },
    /// The node stopped in the middle of its coins.
    #[error("the node did not finish its scan for coins")]
    ScanStopped,
    /// An address whose coins this tool cannot spend.
    #[error("{address} is neither P2WPKH nor P2TR")]
    NotSpent {
        /// The address.
        address: Address,
    },
    /// Not enough coins.
    #[error("{coins} spendable coins hold {available}, and {needed} is needed with the fee")]
    Insufficient {
        /// How many coins.
        coins: usize,
        /// What they hold.
        available: u64,
        /// What is needed.
        needed: u64,
    },
    /// Too many coins would be needed.
    #[error("the {max_inputs} largest coins hold {available}, and {needed} is needed with the fee")]
    TooManyInputs {
        /// The most inputs.
        max_inputs: usize,
        /// What they hold.
        available: u64,
        /// What is needed.
        needed: u64,
    },
    /// The node contradicts itself about a coin.
    #[error("the node's answers about {outpoint} contradict each other: {what}")]
    CoinContradicts {
        /// The coin.
        outpoint: String,
        /// The contradiction.
        what: &'static str,
    },
    /// The input is nothing that is known.
    #[error("the input is no transaction: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: &'static str,
    },
    /// A chain has to be named.
    #[error("the transaction does not say its chain")]
    ChainUnnamed,
    /// There is no signature to send.
    #[error("the transaction is not signed")]
    Unsigned,
    /// The node did not take the transaction.
    #[error("the node does not take transaction {txid}")]
    NotTaken {
        /// Its id.
        txid: String,
        /// What the node says.
        #[source]
        source: RpcError,
    },
    /// The transaction went out, and nobody knows what became of it.
    #[error("transaction {txid} may have been broadcast: no clear answer came")]
    Unknown {
        /// Its id.
        txid: String,
        /// What came instead.
        #[source]
        source: RpcError,
    },
    /// The node answered with another id than the transaction's.
    #[error("transaction {txid} may have been broadcast: the node calls it {answered}")]
    OtherTxid {
        /// Its id.
        txid: String,
        /// The node's.
        answered: String,
    },
}

impl TransactionError {
    /// Names the option that holds no address.
    pub fn address(option: &'static str) -> impl FnOnce(AddressError) -> Self {
        move |source| Self::Address { option, source }
    }

    /// Names the option that holds no amount.
    pub fn amount(option: &'static str) -> impl FnOnce(BaseUnitsError) -> Self {
        move |source| Self::Amount { option, source }
    }

    /// The signer's refusal.
    pub fn refused(source: tx::Refusal) -> Self {
        Self::NotUnderstood {
            code: source.code(),
            source,
        }
    }
}

impl Explained for TransactionError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Rpc(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Address { .. } | Self::NotSpent { .. } => "tx-address",
            Self::Amount { .. } | Self::FeeOverflow => "tx-amount",
            Self::NotUnderstood { .. } => "tx-not-understood",
            Self::OtherChain { .. }
            | Self::NoBaseFee
            | Self::ChainUnnamed
            | Self::NotUtxo { .. } => "tx-chain",
            Self::Insufficient { .. } | Self::TooManyInputs { .. } => "tx-insufficient",
            Self::CoinContradicts { .. } | Self::ScanStopped => "tx-coin",
            Self::Unreadable { .. } => "tx-unreadable",
            Self::Unsigned => "tx-unsigned",
            Self::NotTaken { .. } => "broadcast-refused",
            Self::Unknown { .. } | Self::OtherTxid { .. } => "broadcast-unknown",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Rpc(error) => error.exit(),
            Self::File(error) => error.exit(),
            Self::NotUnderstood { .. }
            | Self::Insufficient { .. }
            | Self::TooManyInputs { .. }
            | Self::NotTaken { .. } => Exit::Refused,
            Self::Unknown { .. } | Self::OtherTxid { .. } => Exit::Unknown,
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::Rpc(error) => error.next(),
            Self::File(error) => error.next(),
            Self::Address { .. } => "Check the address and its chain.".into(),
            Self::NotSpent { .. } => "Spend from addresses that begin with the chain's bech32 prefix and `1q` or `1p`, and let the rest come back to one.".into(),
            Self::Amount { .. } => "Write base units, as 150000, or a native coin's unit, as 0.5ether or 0.5btc.".into(),
            Self::FeeOverflow => "Check the amount and the fee rate.".into(),
            Self::NotUnderstood { .. } => "Build what the reason asks for; the signer would give the same answer.".into(),
            Self::OtherChain { .. } => "Nothing was sent. Check --rpc and --chain.".into(),
            Self::NoBaseFee => "Give --max-fee-per-gas and --max-priority-fee-per-gas, if the chain takes type 2.".into(),
            Self::Insufficient { .. } => "Send less, or wait until more coins are confirmed.".into(),
            Self::TooManyInputs { .. } => "Send less, allow more with --max-inputs, or consolidate coins first.".into(),
            Self::NotUtxo { .. } => "Use `strongroom tx build evm`.".into(),
            Self::CoinContradicts { .. } | Self::ScanStopped => "Try again; if it stays, do not use this node.".into(),
            Self::Unreadable { .. } => {
                "Give a file with a PSBT in base64, hexadecimal bytes, or what `tx build` and `sign` write.".into()
            }
            Self::ChainUnnamed => "Name it with --chain, for example bitcoin:mainnet.".into(),
            Self::Unsigned => "Sign it first with `strongroom sign`.".into(),
            Self::NotTaken { .. } => "See what the node says. It speaks for itself only: if the transaction was sent elsewhere before, look for it on the chain.".into(),
            Self::Unknown { txid, .. } | Self::OtherTxid { txid, .. } => {
                format!("Look for {txid} on the chain. Until it is seen or replaced, do not pay again. Sending the same bytes again is safe.")
            }
        }
    }
}
