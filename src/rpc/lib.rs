//! JSON-RPC over HTTP/1.1 to chain nodes, which are not trusted.
//!
//! A [`Node`] gives every call a deadline and every answer a size, follows no redirect, and checks
//! that an answer is the answer to what was asked. An error says whether the node may have acted
//! ([`CallError::may_have_happened`]); nothing of it is unescaped or endless, and none of it holds a
//! credential. Results are read from the text that came: no number becomes a float on the way.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

mod answer;
mod credentials;
mod error;
mod link;
mod node;
mod pool;
mod text;

pub use credentials::{Credentials, CredentialsError};
pub use error::{Broken, CallError, SettingsError};
pub use node::{Call, Node, Settings};

/// The most calls in one batch.
pub const BATCH_CALLS_MAX: usize = 100;
