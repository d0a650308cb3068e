//! XChaCha20-Poly1305 over what a file says: what it says is bound to its secret, and nobody
//! without the passphrase can change a letter of it.

use std::fmt::{Display, Write};

use chacha20poly1305::{AeadInPlace, KeyInit, Tag, XChaCha20Poly1305, XNonce};

use super::{
    error::{Fault, KeystoreError},
    hex::Hex,
    pair::Mismatch,
    secret::Secret,
};

/// Bytes of Poly1305's tag.
const TAG_BYTES: usize = 16;

/// The associated data of a file: a first line with its format, then `name=value` lines, each ended
/// by a line feed. No value has one: they are numbers, hexadecimal digits and names.
#[derive(Debug)]
pub(super) struct Stated(String);

impl Stated {
    /// The first line.
    pub(super) fn new(format: &str) -> Self {
        Self(format!("{format}\n"))
    }

    /// One more line.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Self {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{name}={value}");
        self
    }

    /// Whether the tag is that of these lines alone.
    pub(super) fn check(
        &self,
        key: &Secret,
        nonce: &Hex<24>,
        tag: &Hex<16>,
    ) -> Result<(), Mismatch> {
        cipher(key)?
            .decrypt_in_place_detached(&nonce_of(nonce), self.0.as_bytes(), &mut [], &tag_of(tag))
            .map_err(|_| Fault::Seal.into())
    }

    /// The tag of these lines alone.
    pub(super) fn tag(&self, key: &Secret, nonce: &Hex<24>) -> Result<Hex<16>, KeystoreError> {
        cipher(key)?
            .encrypt_in_place_detached(&nonce_of(nonce), self.0.as_bytes(), &mut [])
            .map(|tag| Hex(tag.into()))
            .map_err(|_| KeystoreError::Derivation)
    }

    /// Enciphers a secret of `N` bytes: as many and the tag, `M` together.
    pub(super) fn encipher<const N: usize, const M: usize>(
        &self,
        key: &Secret,
        nonce: &Hex<24>,
        secret: &Secret<N>,
    ) -> Result<Hex<M>, KeystoreError> {
        const { assert!(N + TAG_BYTES == M) };
        let mut enciphered = [0; M];
        let (text, end) = enciphered.split_at_mut(N);
        text.copy_from_slice(secret.expose()?);
        let tag = cipher(key)?
            .encrypt_in_place_detached(&nonce_of(nonce), self.0.as_bytes(), text)
            .map_err(|_| KeystoreError::Derivation)?;
        end.copy_from_slice(&tag);
        Ok(Hex(enciphered))
    }

    /// Deciphers a secret where it is to lie.
    pub(super) fn decipher<const N: usize, const M: usize>(
        &self,
        key: &Secret,
        nonce: &Hex<24>,
        enciphered: &Hex<M>,
    ) -> Result<Secret<N>, Mismatch> {
        const { assert!(N + TAG_BYTES == M) };
        let (text, tag) = enciphered.0.split_at(N);
        let cipher = cipher(key)?;
        let mut sealed = Ok(());
        let secret = Secret::filled(|bytes| {
            bytes.copy_from_slice(text);
            sealed = cipher.decrypt_in_place_detached(
                &nonce_of(nonce),
                self.0.as_bytes(),
                bytes,
                Tag::from_slice(tag),
            );
            Ok::<(), KeystoreError>(())
        })?;
        sealed.map_err(|_| Fault::Seal)?;
        Ok(secret)
    }
}

fn cipher(key: &Secret) -> Result<XChaCha20Poly1305, KeystoreError> {
    Ok(XChaCha20Poly1305::new(key.expose()?.into()))
}

fn nonce_of(nonce: &Hex<24>) -> XNonce {
    nonce.0.into()
}

fn tag_of(tag: &Hex<16>) -> Tag {
    tag.0.into()
}
