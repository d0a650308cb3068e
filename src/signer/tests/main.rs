//! What the repository says of `signerd`, held equal to what `signerd` is.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod architecture;
mod dependencies;
mod knobs;
mod openapi;
mod refusals;
mod repository;
mod sealed;
mod security;
mod source;
