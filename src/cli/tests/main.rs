//! The real binary, run as an operator runs it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod books;
mod broadcast;
mod build;
mod client;
mod command_line;
mod coordinator;
mod doctor;
mod keys;
mod node;
mod pki;
mod pki_handshakes;
mod policy;
mod policy_new;
mod program;
mod prove;
mod show;
mod sign;
mod sign_psbt;
mod signer;
mod status;
mod unseal;
