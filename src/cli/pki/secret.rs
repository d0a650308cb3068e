//! Private keys in PEM files. Whatever holds one is wiped when it is dropped.

use base64ct::{Base64, Encoding};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::PkiError;

const HEADER: &str = "-----BEGIN PRIVATE KEY-----\n";
const FOOTER: &str = "-----END PRIVATE KEY-----\n";
/// RFC 7468: 64 characters a line, which are 48 bytes.
const LINE_BYTES: usize = 48;
/// A P-256 key in PKCS#8 has 138 bytes.
const DER_MAX_BYTES: usize = 512;

/// A private key.
pub struct Secret(Zeroizing<KeyPair>);

impl Secret {
    /// A new ECDSA P-256 key.
    ///
    /// # Errors
    /// [`PkiError::Encoding`].
    pub fn generate() -> Result<Self, PkiError> {
        let pair =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::encoding("a key"))?;
        Ok(Self(Zeroizing::new(pair)))
    }

    /// Reads what [`Secret::to_pem`] wrote.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(pem).ok()?;
        let body = text
            .trim_ascii_start()
            .strip_prefix(HEADER)?
            .trim_ascii_end();
        let body = body.strip_suffix(FOOTER.trim_ascii_end())?;
        let mut der = Zeroizing::new(Vec::with_capacity(DER_MAX_BYTES));
        for line in body.lines() {
            let mut chunk = Zeroizing::new([0_u8; LINE_BYTES]);
            let decoded = Base64::decode(line, chunk.as_mut()).ok()?;
            // Growing would leave a copy behind that nobody wipes.
            if der.len() + decoded.len() > DER_MAX_BYTES {
                return None;
            }
            der.extend_from_slice(decoded);
        }
        let der = PrivatePkcs8KeyDer::from(der.as_slice());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).ok()?;
        Some(Self(Zeroizing::new(pair)))
    }

    /// The key as a PEM file, PKCS#8.
    ///
    /// The certificate library would write it too, through copies that stay in memory.
    pub fn to_pem(&self) -> Zeroizing<Vec<u8>> {
        let mut pem = Zeroizing::new(Vec::with_capacity(2 * DER_MAX_BYTES));
        pem.extend_from_slice(HEADER.as_bytes());
        for chunk in self.0.serialized_der().chunks(LINE_BYTES) {
            let mut line = Zeroizing::new([0_u8; LINE_BYTES / 3 * 4]);
            if let Ok(text) = Base64::encode(chunk, line.as_mut()) {
                pem.extend_from_slice(text.as_bytes());
            }
            pem.push(b'\n');
        }
        pem.extend_from_slice(FOOTER.as_bytes());
        pem
    }

    /// The key for signing.
    pub fn pair(&self) -> &KeyPair {
        &self.0
    }

    /// The pin of its public key: the hash of the subject public key info.
    pub fn pin(&self) -> String {
        format!(
            "sha256:{}",
            hex::encode(Sha256::digest(self.0.subject_public_key_info()))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let secret = Secret::generate().unwrap();
        let pem = secret.to_pem();
        let read = Secret::from_pem(&pem).unwrap();
        assert_eq!(read.pin(), secret.pin());
        assert_eq!(*read.to_pem(), *pem);
        assert_eq!(
            pem.as_slice(),
            secret.pair().serialize_pem().as_bytes(),
            "as the library writes it"
        );
    }

    #[test]
    fn other_files_are_no_keys() {
        let pem = Secret::generate().unwrap().to_pem();
        assert!(Secret::from_pem(b"").is_none());
        assert!(Secret::from_pem(&pem[1..]).is_none());
        assert!(Secret::from_pem(&pem[..pem.len() - 10]).is_none());
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(Secret::from_pem(ed25519.serialize_pem().as_bytes()).is_none());
    }
}
