//! Secrets in memory: each in a page of its own that is never swapped out and in no core dump.

use std::{fmt, io};

use memmap2::{Advice, MmapMut};
use zeroize::Zeroize;

use super::error::KeystoreError;

/// Bytes of a secret key or a derived key.
pub(super) const SECRET_BYTES: usize = 32;

/// Secret bytes, alone in pages of their own that are locked into memory (`mlock`) and left out
/// of core dumps (`MADV_DONTDUMP`). Wiped when dropped, never printed, never copied as a whole.
pub(super) struct Secret<const N: usize = SECRET_BYTES>(MmapMut);

impl<const N: usize> Secret<N> {
    /// Zero bytes, to be filled in place.
    ///
    /// # Errors
    /// [`KeystoreError::Memory`] when the pages cannot be had or locked: RLIMIT_MEMLOCK is reached.
    pub(super) fn zeroed() -> Result<Self, KeystoreError> {
        let pages = MmapMut::map_anon(N).map_err(KeystoreError::Memory)?;
        pages.lock().map_err(KeystoreError::Memory)?;
        pages
            .advise(Advice::DontDump)
            .map_err(KeystoreError::Memory)?;
        Ok(Self(pages))
    }

    /// A secret that `fill` writes in place.
    pub(super) fn filled<E>(
        fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>,
    ) -> Result<Self, KeystoreError>
    where
        KeystoreError: From<E>,
    {
        let mut secret = Self::zeroed()?;
        fill(secret.expose_mut()?)?;
        Ok(secret)
    }

    /// The bytes.
    pub(super) fn expose(&self) -> Result<&[u8; N], KeystoreError> {
        self.0.first_chunk().ok_or_else(too_short)
    }

    fn expose_mut(&mut self) -> Result<&mut [u8; N], KeystoreError> {
        self.0.first_chunk_mut().ok_or_else(too_short)
    }
}

/// Pages hold more everywhere; this spares a panic in the trusted base.
fn too_short() -> KeystoreError {
    KeystoreError::Memory(io::ErrorKind::UnexpectedEof.into())
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret: Secret = Secret::filled(|bytes| {
            bytes.fill(0x5a);
            Ok::<(), KeystoreError>(())
        })
        .unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.expose().unwrap(), &[0x5a; 32]);
    }
}
