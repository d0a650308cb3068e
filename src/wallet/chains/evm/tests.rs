//! The lane's rules, driven by events.

mod any_order;
mod chain;
mod fees;
mod gate;
mod observer;
mod rig;
mod sightings;
mod signer;
mod straight;
