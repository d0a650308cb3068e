//! The lane's rules, driven by events.

mod any_order;
mod chain;
mod fees;
mod gate;
mod observer;
mod rig;
mod signer;
mod straight;
