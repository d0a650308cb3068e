//! A key for tests.

use ssh_key::{
    Algorithm, EcdsaCurve, PrivateKey,
    rand_core::{self, CryptoRng, RngCore},
    sha2::{Digest as _, Sha256},
};

/// An ECDSA key that is always the same. `ssh-key` does not read every file that `ssh-keygen` writes: a scalar
/// with a leading zero byte, which one key in 256 has, stands there without it.
pub fn p256() -> PrivateKey {
    let curve = EcdsaCurve::NistP256;
    PrivateKey::random(&mut Known(0), Algorithm::Ecdsa { curve }).unwrap()
}

/// Bytes that are no secret: hashes of how many there were.
struct Known(u32);

impl RngCore for Known {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        for part in into.chunks_mut(32) {
            self.0 += 1;
            let hash = Sha256::digest(self.0.to_be_bytes());
            part.copy_from_slice(&hash[..part.len()]);
        }
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(into);
        Ok(())
    }
}

impl CryptoRng for Known {}
