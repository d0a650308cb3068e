//! The OpenAPI documents, held equal to the wire types.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod document;
mod examples;
mod schema;
mod transactions;
mod wallet_examples;
mod wire;
