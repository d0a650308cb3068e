//! Against the real SoftHSM: a fresh token for each test, and the key child as a process of its own,
//! as in production. When SoftHSM is not installed, these tests fail.
//!
//! They are a module of the crate, since only the crate can make an [`crate::Authorized`] without a
//! journal. A test that needs a process of its own, with its own `SOFTHSM2_CONF`, runs this same
//! test binary again and names the one ignored test that plays the part: see [`softhsm`] and
//! [`roles`].

mod admin;
mod attributes;
mod faults;
mod hostile;
mod measure;
mod pin;
mod roles;
mod signing;
pub(crate) mod softhsm;
