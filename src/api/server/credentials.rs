//! What a certificate says of its holder.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;

/// What a certificate says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    uris: Vec<String>,
    spki: [u8; 32],
}

impl Credentials {
    /// Reads the certificate; `None` when it cannot be read.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = EndEntityCert::try_from(certificate).ok()?;
        let uris = parsed.valid_uri_names().map(str::to_owned).collect();
        let spki = Sha256::digest(parsed.subject_public_key_info()).into();
        Some(Self { uris, spki })
    }

    /// Whether the URI is one of the subject's alternative names.
    pub fn holds_uri(&self, uri: &str) -> bool {
        self.uris.iter().any(|own| own == uri)
    }

    /// SHA-256 of the public key with its algorithm.
    pub fn spki(&self) -> [u8; 32] {
        self.spki
    }
}
