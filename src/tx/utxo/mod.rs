//! Bitcoin-like chains: PSBT version 0 (BIP-174) with P2WPKH and P2TR inputs of one own account.
//!
//! ```text
//! base64 ─► psbt, field, wire ─► view ─► decode ─► Decoded ─► assemble ─► network bytes
//!            the codec            facts   whose?     signatures
//! ```
//! The codec is our own, strict and small; tests hold it against the `bitcoin` crate, Bitcoin's
//! script engine and litecoind. A [`View`] is what a PSBT says without knowing whose it is; with
//! the registry it becomes [`crate::Decoded`]. [`Draft`] is the way back, from payments to a PSBT.

pub mod address;
pub mod weight;

mod amounts;
mod assemble;
mod bytes;
mod decode;
mod draft;
mod field;
mod outpoint;
mod psbt;
mod refusal;
mod script;
mod sighash;
mod view;
mod wire;

pub use amounts::dust;
pub use draft::{Draft, DraftInput, DraftOutput};
pub use outpoint::{Outpoint, OutpointError};
pub use refusal::{Part, Place, Refusal};
pub use view::{View, ViewInput, ViewOutput, view};
pub use wire::{Stripped, stripped};

pub(crate) use assemble::{Unsigned, assemble};
pub(crate) use decode::decode;

/// The most bytes of a PSBT.
pub const PSBT_BYTES_MAX: usize = 1 << 20;
/// The most inputs of a transaction.
pub const INPUTS_MAX: usize = 500;
/// The most outputs of a transaction.
pub const OUTPUTS_MAX: usize = 500;
/// The most change outputs of a transaction.
pub const CHANGE_OUTPUTS_MAX: usize = 4;

/// The most entries of one map of a PSBT.
pub const MAP_ENTRIES_MAX: usize = 64;
/// The base64 of [`PSBT_BYTES_MAX`] bytes.
const BASE64_LENGTH_MAX: usize = PSBT_BYTES_MAX.div_ceil(3) * 4;
