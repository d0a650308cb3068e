//! `signerd`: the signing daemon.
//!
//! Three processes of one executable: a [`supervisor`] that holds no network socket, the
//! [`server`], and a key child for the device, which `keys::child` is. A request goes through
//! [`http`], [`identity`], [`verbs`], the journal's writer, the key pool, and back.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod books;
pub mod ceremony;
pub mod check;
pub mod checkpointer;
pub mod checkpoints;
pub mod config;
pub mod control;
pub mod device;
pub mod devices;
pub mod governance;
pub mod hardening;
pub mod health;
pub mod heartbeat;
pub mod http;
pub mod identity;
pub mod keeper;
pub mod log;
pub mod metrics;
pub mod page;
pub mod prune;
pub mod registration;
pub mod release;
pub mod seal;
pub mod self_test;
pub mod server;
pub mod service;
pub mod statement;
pub mod supervisor;
pub mod unseal;
pub mod verbs;
pub mod wire;
pub mod witnesses;
