//! The lane's rules, driven by events.

mod chain;
mod rig;
mod signer;
mod straight;
