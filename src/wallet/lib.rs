//! `walletd`, the coordinator: withdrawals that are never paid twice and never lost.
//!
//! Thin towards trust: it holds no key, and its word counts for nothing with `signerd`. Whole towards
//! its users: whatever instruction it dies at, it goes on where it was.
//!
//! - The core makes no I/O: a [`lane::Lane`] takes events and returns effects, and knows nothing that
//!   the store does not know. [`chains`] has one lane for each family of chains.
//! - [`store`] keeps everything durably. One [`change::Commit`] is one database transaction.
//! - [`engine`] runs the lanes: it executes effects, each behind a numbered point at which a test can
//!   end the process, and returns what came of them.
//! - [`web`] is the API.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod attempt;
pub mod chains;
pub mod change;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod evidence;
pub mod health;
pub mod lane;
pub mod ledger;
pub mod limit;
pub mod metrics;
pub mod nodes;
pub mod points;
pub mod process;
pub mod settlement;
pub mod signer;
pub mod store;
pub mod text;
pub mod view;
pub mod web;
pub mod withdrawal;
