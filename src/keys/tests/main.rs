//! Against real devices: a fresh SoftHSM token or keystore for each test, and the key child as a
//! process of its own, as in production. What holds of every kind of device is run on each
//! ([`device`]). When SoftHSM is not installed, these tests fail.
//!
//! They are a module of the crate, since only the crate can make an [`crate::Authorized`] without a
//! journal. A part that needs a process of its own, with its own `SOFTHSM2_CONF`, is played by a test
//! that runs once more and alone, as [`softhsm::Part`] says; so is the key child ([`child`]).

mod admin;
mod attributes;
mod checkpoint;
mod child;
mod device;
mod faults;
mod hostile;
mod keystore;
mod login;
mod pin;
mod pool;
mod signing;
pub(crate) mod softhsm;
