//! The real daemons against SoftHSM and real nodes.
//!
//! This library is what the tests share: programs that are started and killed, a client that can be
//! hostile, and what it sends. It panics where a test should fail.

pub mod address;
pub mod anvil;
pub mod ask;
#[path = "../src/policy/tests/authenticator.rs"]
pub mod authenticator;
pub mod boot_clock;
pub mod bundle;
pub mod cable;
pub mod chromium;
pub mod coins;
pub mod disk;
pub mod evm;
pub mod http;
pub mod image;
pub mod injected;
pub mod keystore;
pub mod litecoind;
pub mod memory;
pub mod module;
pub mod node;
pub mod oracle;
pub mod pki;
pub mod program;
pub mod proxy;
pub mod random;
pub mod records;
pub mod signerd;
pub mod site;
pub mod tls;
pub mod token;
pub mod unseal;
pub mod witness;
pub mod world;
