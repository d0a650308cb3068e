//! Transactions: decoding to effects, conflict keys, digests and assembly, per chain.
//!
//! A transaction comes in as the chain's own unsigned bytes and leaves as [`Decoded`]: every byte
//! that a signature would commit to is attributed to an [`Effect`], or the transaction is refused
//! by a named [`Refusal`]. Pure: no I/O, no clock, no randomness.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod evm;
#[cfg(feature = "testing")]
pub mod testing;
pub mod utxo;

mod address;
mod amount;
mod asset;
mod call;
mod chain;
mod conflict;
mod decoded;
mod effect;
mod intent;
mod key;
mod name;
mod refusal;
mod registry;
mod signature;
mod text;
mod time;
mod transaction;

pub use address::{Address, AddressError};
pub use amount::{Amount, AmountError};
pub use asset::{Asset, AssetError, AssetKind};
pub use call::{Argument, Call};
pub use chain::{Chain, ChainError, Network};
pub use conflict::{ConflictKey, ConflictKeyError};
pub use decoded::{Decoded, FeeTerms, Signing, ValidUntil};
pub use effect::{Destination, Effect, EffectKind, Own};
pub use intent::{Intent, IntentId, IntentKey, IntentPayload};
pub use key::{PublicKey, PublicKeyError, Scheme};
pub use name::{Name, NameError};
pub use refusal::Refusal;
pub use registry::{AccountClass, OwnAddress, OwnKey, Registry, RegistryError};
pub use signature::{Bip340Signature, EcdsaSignature, KeySignature, SignedTransaction};
pub use time::{Interval, Time, TimeError};
pub use transaction::{ChainRules, Transaction, assemble, decode};
