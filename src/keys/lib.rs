//! Keys: devices, sessions, and signatures made only from committed decisions.
//!
//! A device is reached through a process of its own ([`child`]), over one socket and one small
//! [`protocol`]. The server's side is the [`KeyPool`]: it signs an [`Authorized`], consumed by
//! value, and checks every signature ([`verify`]) before it hands it out. There is no function here
//! that signs bytes.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod admin;
pub mod child;
pub mod conformance;
pub mod pin;
pub mod pool;
pub mod profile;
pub mod protocol;
pub mod sentinel;
pub mod verify;

mod authorized;
mod device;
mod key;
mod keystore;
mod process;
mod self_test;
#[cfg(test)]
#[path = "tests/main.rs"]
mod tests;
mod token;

pub use authorized::Authorized;
pub use device::{
    Algorithms, Backend, EdwardsParams, Essentials, FirmwareVersion, FirmwareVersionError,
    IdentityFault, Quirks, TokenIdentity, TokenSelector, Wrapping,
};
pub use key::{KeyId, PublicKey, PublicKeyError};
pub use keystore::LABEL as KEYSTORE_LABEL;
pub use policy::{KeyAlgorithm, KeyPurpose};
pub use pool::{
    AttachError, CallError, Expected, KeyPool, MemberId, PoolConfig, PoolEvent, SignError, Told,
};
pub use process::not_dumpable;
pub use profile::Profile;
pub use token::softhsm_tokens;
pub use verify::{Signature, SignatureError};
