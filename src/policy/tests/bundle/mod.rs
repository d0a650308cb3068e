//! Bundles: what is read, what is refused and where it says so, who may sign.

mod ages;
mod approvals;
mod attesters;
mod bounds;
mod calls;
mod devices;
mod diagnostics;
mod fixture;
mod heartbeat;
mod hours;
mod loading;
mod manifest;
mod p256;
mod passkeys;
mod reading;
mod recovery;
mod security_keys;
mod ssh_keygen;
mod witnesses;
