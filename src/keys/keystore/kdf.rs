//! Keys from passphrases: Argon2id (RFC 9106), scrypt (RFC 7914), PBKDF2 (RFC 8018), each within
//! bounds. A file that asks for more than these is refused before anything is computed.

use argon2::{Algorithm, Argon2, Block, Version};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroize;

use super::{
    error::{Fault, KeystoreError},
    hex::Hex,
    romix,
    secret::{SECRET_BYTES, Secret},
};
use crate::protocol::Pin;

/// The most memory that a derivation takes: 1 GiB.
const MEMORY_MAX_BYTES: u64 = 1 << 30;
/// The least memory of Argon2id, in KiB: 8 MiB.
const ARGON2_MEMORY_MIN_KIB: u32 = 8 * 1024;
/// The most KiB that Argon2id fills, over all passes: about 4 s.
const ARGON2_WORK_MAX_KIB: u64 = 4 << 20;
const ARGON2_LANES_MAX: u32 = 16;
/// The least N of scrypt: what geth's light files have.
const SCRYPT_N_MIN: u64 = 1 << 12;
/// The most N × r × p of scrypt: 16 times what is written here, about 10 s.
const SCRYPT_WORK_MAX: u64 = 1 << 25;
/// The least and the most iterations of PBKDF2: some 3 s.
const PBKDF2_ITERATIONS: std::ops::RangeInclusive<u32> = 1_000..=10_000_000;

/// Argon2id, version 0x13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Argon2id {
    /// Memory, in KiB.
    pub(super) memory_kib: u32,
    /// Passes over it.
    pub(super) passes: u32,
    /// Lanes.
    pub(super) lanes: u32,
    /// The salt.
    pub(super) salt: Hex<16>,
}

/// scrypt with a salt of 32 bytes and 32 bytes of output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scrypt {
    /// N, a power of two.
    pub(super) n: u64,
    /// The block size.
    pub(super) r: u32,
    /// The parallelism.
    pub(super) p: u32,
    /// The salt.
    pub(super) salt: Hex<32>,
}

/// What a new keystore's keys are derived with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Strength {
    /// Memory of Argon2id, in KiB.
    pub memory_kib: u32,
    /// Its passes.
    pub passes: u32,
    /// Its lanes.
    pub lanes: u32,
    /// N of scrypt; r is 8 and p is 1.
    pub scrypt_n: u64,
}

impl Default for Strength {
    /// RFC 9106's second recommended option, and what geth writes.
    fn default() -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
            scrypt_n: 1 << 18,
        }
    }
}

impl Strength {
    /// With a random salt for each.
    pub(super) fn salted(self) -> Result<(Argon2id, Scrypt), KeystoreError> {
        let argon2id = Argon2id {
            memory_kib: self.memory_kib,
            passes: self.passes,
            lanes: self.lanes,
            salt: Hex::random()?,
        };
        let scrypt = Scrypt {
            n: self.scrypt_n,
            r: 8,
            p: 1,
            salt: Hex::random()?,
        };
        Ok((argon2id, scrypt))
    }
}

fn bounded(holds: bool, reason: &'static str) -> Result<(), Fault> {
    holds.then_some(()).ok_or(Fault::Parameters { reason })
}

impl Argon2id {
    /// Whether it is within the bounds.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let (memory, passes) = (u64::from(self.memory_kib), u64::from(self.passes));
        bounded(
            self.memory_kib >= ARGON2_MEMORY_MIN_KIB,
            "Argon2id with less than 8 MiB",
        )?;
        bounded(
            memory.saturating_mul(1024) <= MEMORY_MAX_BYTES,
            "Argon2id with more than 1 GiB",
        )?;
        bounded(
            passes >= 1 && memory.saturating_mul(passes) <= ARGON2_WORK_MAX_KIB,
            "Argon2id with no pass, or too many",
        )?;
        bounded(
            (1..=ARGON2_LANES_MAX).contains(&self.lanes),
            "Argon2id with no lane, or too many",
        )
    }

    /// The same with another salt.
    pub(super) fn salted_anew(&self) -> Result<Self, KeystoreError> {
        let salt = Hex::random()?;
        Ok(Self {
            salt,
            ..self.clone()
        })
    }

    /// Derives 32 bytes. The working memory is wiped.
    pub(super) fn derive(&self, passphrase: &Pin) -> Result<Secret, KeystoreError> {
        let failed = |_: argon2::Error| KeystoreError::Derivation;
        let params =
            argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(SECRET_BYTES))
                .map_err(failed)?;
        let mut memory: Vec<Block> = Vec::new();
        memory
            .try_reserve_exact(params.block_count())
            .map_err(|_| KeystoreError::Derivation)?;
        memory.resize(params.block_count(), Block::default());
        let secret = Secret::filled(|bytes| {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into_with_memory(
                    passphrase.expose().as_bytes(),
                    &self.salt.0,
                    bytes,
                    &mut memory,
                )
                .map_err(failed)
        });
        memory.iter_mut().for_each(Zeroize::zeroize);
        secret
    }
}

impl Scrypt {
    /// Whether it is within the bounds.
    pub(super) fn check(&self) -> Result<(), Fault> {
        check_scrypt(self.n, self.r, self.p)
    }

    /// Derives 32 bytes.
    pub(super) fn derive(&self, passphrase: &Pin) -> Result<Secret, KeystoreError> {
        scrypt(self.n, self.r, self.p, &self.salt.0, passphrase)
    }
}

/// Whether scrypt's parameters are within the bounds.
pub(super) fn check_scrypt(n: u64, r: u32, p: u32) -> Result<(), Fault> {
    bounded(
        n.is_power_of_two() && n >= SCRYPT_N_MIN,
        "scrypt with an N that is no power of two or below 4096",
    )?;
    bounded(r >= 1 && p >= 1, "scrypt with r or p of 0")?;
    let block = n.saturating_mul(u64::from(r));
    bounded(
        block.saturating_mul(128) <= MEMORY_MAX_BYTES,
        "scrypt with more than 1 GiB",
    )?;
    bounded(
        block.saturating_mul(u64::from(p)) <= SCRYPT_WORK_MAX,
        "scrypt that takes too long",
    )
}

/// Derives 32 bytes by scrypt; the parameters were checked.
pub(super) fn scrypt(
    n: u64,
    r: u32,
    p: u32,
    salt: &[u8],
    passphrase: &Pin,
) -> Result<Secret, KeystoreError> {
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| KeystoreError::Derivation)?;
    let params = scrypt::Params::new(log_n, r, p, SECRET_BYTES);
    Secret::filled(|bytes| match params {
        Ok(params) => scrypt::scrypt(passphrase.expose().as_bytes(), salt, &params, bytes)
            .map_err(|_| KeystoreError::Derivation),
        Err(_) if r == 1 => romix::derive(passphrase.expose().as_bytes(), salt, n, p, bytes),
        Err(_) => Err(KeystoreError::Derivation),
    })
}

/// Whether PBKDF2's parameters are within the bounds.
pub(super) fn check_pbkdf2(iterations: u32) -> Result<(), Fault> {
    bounded(
        PBKDF2_ITERATIONS.contains(&iterations),
        "PBKDF2 with too few or too many iterations",
    )
}

/// Derives 32 bytes by PBKDF2 with HMAC-SHA-256; the parameters were checked.
pub(super) fn pbkdf2(
    iterations: u32,
    salt: &[u8],
    passphrase: &Pin,
) -> Result<Secret, KeystoreError> {
    Secret::filled(|bytes| {
        pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.expose().as_bytes(), salt, iterations, bytes);
        Ok::<(), KeystoreError>(())
    })
}
