//! Why an EVM transaction is refused.

use thiserror::Error;

use super::{AbiFault, KnownCall, RlpFault, unsigned::GAS_LIMIT};
use crate::{Address, AddressError, Amount, Chain};

/// Why an EVM transaction is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The chain named in the request has another transaction format.
    #[error("{chain} is no EVM chain; an EIP-2718 payload goes with eip155:<chain id>")]
    ChainFamily {
        /// The chain.
        chain: Chain,
    },
    /// An address given to the encoder is of another chain.
    #[error("{address:?} is no address of {chain}")]
    AddressChain {
        /// The address.
        address: Address,
        /// The transaction's chain.
        chain: Chain,
    },
    /// The sender is no address.
    #[error("the sender is not readable; write 0x and 40 hexadecimal digits")]
    FromForm(#[source] AddressError),
    /// The sender is not in the registry.
    #[error("the sender {address} is no account of this signer on this chain")]
    FromUnknown {
        /// The sender.
        address: Address,
    },
    /// The sender is ours and signed for elsewhere.
    #[error("the sender {address} is signed for elsewhere; no key of this signer is behind it")]
    FromWithoutKey {
        /// The sender.
        address: Address,
    },

    /// The payload is not hexadecimal.
    #[error("the payload is not 0x and an even number of hexadecimal digits")]
    PayloadForm,
    /// The payload has no bytes.
    #[error("the payload is empty; it is 0x and the bytes of an unsigned transaction")]
    PayloadEmpty,
    /// The payload is longer than nodes relay.
    #[error("the payload has {length} bytes; at most {max} are read")]
    PayloadSize {
        /// Its length in bytes.
        length: usize,
        /// The longest that is read.
        max: usize,
    },

    /// An EIP-191 or EIP-712 message.
    #[error("the payload is a message (EIP-191); messages are not signed")]
    Message,
    /// An EIP-4844 transaction.
    #[error("blob transactions (type 0x03) are not signed; use type 0x02")]
    Blob,
    /// An EIP-7702 transaction.
    #[error("set-code transactions (type 0x04) hand the account to other code; use type 0x02")]
    SetCode,
    /// Any other type.
    #[error("transactions of type {first_byte:#04x} are not known; use type 0x02")]
    TypeUnknown {
        /// The payload's first byte.
        first_byte: u8,
    },
    /// The transaction carries a signature.
    #[error("the transaction is already signed; send its unsigned payload")]
    Signed,
    /// A legacy transaction from before EIP-155.
    #[error("the transaction names no chain and could be replayed on any; use EIP-155 or later")]
    NoChainId,
    /// Too few or too many fields.
    #[error("the transaction has {found} fields; its type has {expected}")]
    FieldCount {
        /// The fields of an unsigned transaction of the type.
        expected: usize,
        /// The fields found.
        found: usize,
    },
    /// Not canonical RLP.
    #[error("the RLP of the {field} is not canonical")]
    Rlp {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: RlpFault,
    },
    /// A number with a zero before it.
    #[error("the {field} has a leading zero byte; a number is written without")]
    NumberLeadingZero {
        /// The field.
        field: &'static str,
    },
    /// A number of too many bytes.
    #[error("the {field} has more than {max_bytes} bytes")]
    NumberTooLarge {
        /// The field.
        field: &'static str,
        /// The most that it can have.
        max_bytes: usize,
    },

    /// Another chain's transaction.
    #[error("the transaction is for chain id {found}, the request for {expected}")]
    ChainId {
        /// The chain id of the request.
        expected: u64,
        /// The chain id in the payload.
        found: u64,
    },
    /// The last nonce, which no transaction can have (EIP-2681).
    #[error("the nonce is 2^64 - 1, which no transaction can have")]
    NonceExhausted,
    /// Too little or too much gas.
    #[error("the gas limit is {gas_limit}; it is from {} to {}", GAS_LIMIT.start(), GAS_LIMIT.end())]
    GasLimit {
        /// The gas limit.
        gas_limit: u64,
    },
    /// A price that no chain can have.
    #[error("the fee cap is {cap} wei a gas; it is below 2^128")]
    FeeCap {
        /// The cap, in wei a gas.
        cap: Amount,
    },
    /// The priority fee is above the whole fee (EIP-1559).
    #[error("the priority fee of {priority} wei a gas is above the fee cap of {cap}")]
    PriorityFee {
        /// The priority fee, in wei a gas.
        priority: Amount,
        /// The fee cap, in wei a gas.
        cap: Amount,
    },
    /// The value and the highest fee do not fit in 256 bits.
    #[error("the value and the highest fee together are 2^256 wei or more")]
    CostOverflow,
    /// An access list with entries.
    #[error("the access list has entries; transfers need none, send an empty list")]
    AccessList,

    /// No recipient.
    #[error("the transaction creates a contract; only transfers and declared calls are signed")]
    ContractCreation,
    /// The recipient is no address.
    #[error("the recipient has {length} bytes; an address has 20")]
    ToLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The zero address.
    #[error("the destination is the zero address: what is sent there is lost")]
    DestinationZero,
    /// A precompiled contract, a system contract or a customary burn address.
    #[error("the destination {address} is in the range of precompiled and system contracts")]
    DestinationReserved {
        /// The destination.
        address: Address,
    },
    /// A token sent to its own contract.
    #[error("the destination is the token's own contract {address}: what is sent there is lost")]
    DestinationToken {
        /// The contract.
        address: Address,
    },
    /// The sender pays itself.
    #[error("the sender pays itself; to cancel a nonce, send it value 0 without calldata")]
    DestinationSelf,
    /// A payment of nothing to someone else.
    #[error("the transaction pays nothing; a cancellation goes to the sender itself")]
    ValueZero,
    /// A token transfer of nothing.
    #[error("the token transfer is of amount 0")]
    AmountZero,
    /// The zero address as a spender.
    #[error("the spender is the zero address, which nobody has")]
    SpenderZero,
    /// A token's contract as the spender of the token.
    #[error("the spender is the token's own contract {address}")]
    SpenderToken {
        /// The contract.
        address: Address,
    },
    /// An account of ours as a spender, the sender included.
    #[error("the spender {address} is an account of our own; own value moves by transfers")]
    SpenderOwn {
        /// The account's address.
        address: Address,
    },

    /// Calldata that ends early.
    #[error("the calldata has {length} bytes; transfer and approve of (address,uint256) have 68")]
    CalldataShort {
        /// Its length in bytes.
        length: usize,
    },
    /// Calldata that goes on.
    #[error("the calldata has {length} bytes; transfer and approve of (address,uint256) have 68")]
    CalldataTrailing {
        /// Its length in bytes.
        length: usize,
    },
    /// Bytes before the address in its word.
    #[error("the 12 bytes before the address in the calldata are not zero")]
    CalldataDirty,
    /// A function that is not known.
    #[error(
        "the function 0x{selector} is not known; transfer(address,uint256) is signed, and what the bundle \
         declares of this contract"
    )]
    CalldataUnknown {
        /// The selector, 8 hexadecimal digits.
        selector: String,
    },
    /// A function that is known and not signed, at least not of this contract.
    #[error("{} {}", .0.signature, .0.fate())]
    CallKnown(&'static KnownCall),
    /// The calldata of a declared function is longer than is decoded.
    #[error("the calldata has {length} bytes; of a call at most {max} are read")]
    CalldataSize {
        /// Its length in bytes.
        length: usize,
        /// The longest that is read.
        max: usize,
    },
    /// The arguments of a declared function are not in their one encoding.
    #[error("the argument {argument:?} of {function} is not in its one encoding: {fault}")]
    Argument {
        /// The function's canonical signature.
        function: String,
        /// The first argument that is wrong; nothing of a function without any.
        argument: String,
        /// What is wrong.
        fault: AbiFault,
    },
    /// Native value beside a token transfer or an approval.
    #[error("the call of the token also sends {value} wei; its value is 0")]
    ValueWithCall {
        /// The value, in wei.
        value: Amount,
    },
    /// A call of an account, which has no code.
    #[error("the called contract {address} is an account of our own; a call there does nothing")]
    CallOfOwn {
        /// The account.
        address: Address,
    },

    /// What was understood does not encode to what was sent.
    #[error("the transaction, encoded again from what was understood, has other bytes")]
    NotIdentical,
    /// Too few or too many signatures.
    #[error("{found} signatures were given; the transaction takes one")]
    SignatureCount {
        /// How many.
        found: usize,
    },
    /// The signature is not by ECDSA.
    #[error("the signature is not by ECDSA")]
    SignatureScheme,
    /// The parity of a signature is not a bit.
    #[error("the signature's recovery id is {found}; it is 0 or 1")]
    RecoveryId {
        /// The recovery id.
        found: u8,
    },
}

impl Refusal {
    /// The stable name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ChainFamily { .. } => "evm-chain-family",
            Self::AddressChain { .. } => "evm-address-chain",
            Self::FromForm(_) => "evm-from-form",
            Self::FromUnknown { .. } => "evm-from-unknown",
            Self::FromWithoutKey { .. } => "evm-from-without-key",
            Self::PayloadForm => "evm-payload-form",
            Self::PayloadEmpty => "evm-payload-empty",
            Self::PayloadSize { .. } => "evm-payload-size",
            Self::Message => "evm-message",
            Self::Blob => "evm-blob",
            Self::SetCode => "evm-set-code",
            Self::TypeUnknown { .. } => "evm-type-unknown",
            Self::Signed => "evm-signed",
            Self::NoChainId => "evm-no-chain-id",
            Self::FieldCount { .. } => "evm-field-count",
            Self::Rlp { fault, .. } => fault.code(),
            Self::NumberLeadingZero { .. } => "evm-number-leading-zero",
            Self::NumberTooLarge { .. } => "evm-number-too-large",
            Self::ChainId { .. } => "evm-chain-id",
            Self::NonceExhausted => "evm-nonce-exhausted",
            Self::GasLimit { .. } => "evm-gas-limit",
            Self::FeeCap { .. } => "evm-fee-cap",
            Self::PriorityFee { .. } => "evm-priority-fee",
            Self::CostOverflow => "evm-cost-overflow",
            Self::AccessList => "evm-access-list",
            Self::ContractCreation => "evm-contract-creation",
            Self::ToLength { .. } => "evm-to-length",
            Self::DestinationZero => "evm-destination-zero",
            Self::DestinationReserved { .. } => "evm-destination-reserved",
            Self::DestinationToken { .. } => "evm-destination-token",
            Self::DestinationSelf => "evm-destination-self",
            Self::ValueZero => "evm-value-zero",
            Self::AmountZero => "evm-amount-zero",
            Self::SpenderZero => "evm-spender-zero",
            Self::SpenderToken { .. } => "evm-spender-token",
            Self::SpenderOwn { .. } => "evm-spender-own",
            Self::CalldataShort { .. } => "evm-calldata-short",
            Self::CalldataTrailing { .. } => "evm-calldata-trailing",
            Self::CalldataDirty => "evm-calldata-dirty",
            Self::CalldataUnknown { .. } => "evm-calldata-unknown",
            Self::CallKnown(call) => call.code,
            Self::CalldataSize { .. } => "evm-calldata-size",
            Self::Argument { fault, .. } => fault.code(),
            Self::ValueWithCall { .. } => "evm-value-with-call",
            Self::CallOfOwn { .. } => "evm-call-of-own",
            Self::NotIdentical => "evm-not-identical",
            Self::SignatureCount { .. } => "evm-signature-count",
            Self::SignatureScheme => "evm-signature-scheme",
            Self::RecoveryId { .. } => "evm-recovery-id",
        }
    }
}
