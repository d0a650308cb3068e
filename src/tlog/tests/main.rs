//! The public API of `tlog` against foreign vectors and a direct reading of RFC 6962.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a panic in a test is a failed test"
)]

mod c2sp_vectors;
mod checkpoints;
mod cosignatures;
mod keys;
mod notes;
mod properties;
mod reference;
mod rfc6962_vectors;
mod tiles;
mod witnesses;
