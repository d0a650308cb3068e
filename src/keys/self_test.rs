//! What a new key signs before it is recorded.

use sha2::{Digest, Sha256};

use crate::{
    key::{KeyAlgorithm, PublicKey},
    protocol::{Bytes, SignInput},
    verify,
};

/// Lets a new key sign a test message and checks that in software: a torn or mixed-up key pair
/// (seen after `kill -9` during generation) must not be recorded.
pub(crate) fn passes(
    public: &PublicKey,
    sign: impl FnOnce(&SignInput) -> Option<Bytes<128>>,
) -> bool {
    let Some(input) = input(public) else {
        return false;
    };
    sign(&input)
        .is_some_and(|signature| verify::check(public, &input, signature.as_bytes()).is_ok())
}

/// The test message of a key.
pub(crate) fn input(public: &PublicKey) -> Option<SignInput> {
    let message: [u8; 32] = Sha256::new()
        .chain_update(b"strongroom-self-test-v1")
        .chain_update(public.as_bytes())
        .finalize()
        .into();
    match public.algorithm() {
        KeyAlgorithm::Secp256k1 => Some(SignInput::Digest(message)),
        KeyAlgorithm::Bip340 => Some(SignInput::Bip340(message)),
        KeyAlgorithm::Ed25519 => Bytes::new(&message).ok().map(SignInput::Message),
    }
}
