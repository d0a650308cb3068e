//! What a key child asks of its device, whatever kind it is.

use std::{fmt::Debug, sync::Arc};

use crate::{
    device::TokenIdentity,
    key::{KeyAlgorithm, KeyId},
    protocol::{Bytes, Failure, KeyDescription, SignInput},
};

/// A device in use: it is the one that was named, it is what its profile describes, and it took the
/// PIN.
pub(crate) trait Device: Debug + Send + Sync {
    /// What the device says of itself.
    fn identity(&self) -> &TokenIdentity;

    /// What one thread makes its calls with. It opens nothing before the first call.
    fn session(self: Arc<Self>) -> Box<dyn Session>;

    /// Ends the use of the device, once all sessions are dropped.
    fn close(&self);
}

/// One thread's way to a device. After a failure it is [`Session::reset`] before the next call.
pub(crate) trait Session {
    /// Opens what calls need, ahead of the first.
    fn open(&mut self) -> Result<(), Failure>;

    /// Finds a key and checks it anew.
    fn find(&mut self, key: &KeyId) -> Result<KeyDescription, Failure>;

    /// Reads a key's public half.
    fn public(&mut self, key: &KeyId) -> Result<KeyDescription, Failure>;

    /// Signs. What comes back is the device's word and is checked by the server.
    fn sign(&mut self, key: &KeyId, input: &SignInput) -> Result<Bytes<128>, Failure>;

    /// Generates a key that stays on the device.
    fn generate(&mut self, key: &KeyId, algorithm: KeyAlgorithm)
    -> Result<KeyDescription, Failure>;

    /// Destroys a key.
    fn destroy(&mut self, key: &KeyId) -> Result<(), Failure>;

    /// Whether the device still answers.
    fn health(&mut self) -> Result<(), Failure>;

    /// Gives up what a failed call may have left.
    fn reset(&mut self);
}
