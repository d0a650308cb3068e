//! UTXO chains: Bitcoin and Litecoin.
//!
//! ```text
//! blocks ─► follow (save, match, confirm) ─► coins, inclusions, finality
//! queue ─► supply ─► build (selection) ─► attempt ─► signing ─► sends
//! ```
//! A [`UtxoLane`] is one account with all its keys. It follows the chain itself, and believes of it
//! what its [`Observer`] heard from every node.

mod build;
mod chain;
mod config;
mod follow;
mod gate;
mod keys;
mod lane;
mod observer;
mod question;
pub mod selection;
mod sends;
mod signing;
mod supply;
mod trial;

pub use self::{
    config::{Config, ConfigError, Confirmations},
    keys::{KeysError, OwnKey, OwnKeys},
    lane::UtxoLane,
    observer::Observer,
    question::{Answer, Followed, Question},
    trial::trial,
};
