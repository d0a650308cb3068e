//! Wire types of the signing API and of the coordinator's, and with the feature `client` their
//! clients.
//!
//! JSON over HTTP, for ever: a field is only ever added as optional, and what is not known is
//! refused. The types say what is on the wire and nothing about how it is decided.

#[cfg(feature = "client")]
pub mod client;
pub mod governance;
pub mod intents;
pub mod journal;
pub mod known;
pub mod problem;
pub mod receipt;
#[cfg(feature = "server")]
pub mod server;
pub mod signing;
pub mod transactions;
pub mod wallet;
