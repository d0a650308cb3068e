//! From a certificate to a named client of the policy.

use policy::{Client, ClientIdentity, Policy, Verb};
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tx::Name;
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

    /// The one client with these credentials. A certificate that fits two is nobody's.
    pub fn client<'p>(&self, policy: &'p Policy) -> Option<(&'p Name, &'p Client)> {
        let mut fitting = policy
            .clients
            .iter()
            .filter(|(_, client)| self.is(&client.identity));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }

    fn is(&self, identity: &ClientIdentity) -> bool {
        match identity {
            ClientIdentity::Uri(uri) => self.uris.iter().any(|own| own == uri),
            ClientIdentity::Spki(spki) => self.spki == *spki,
        }
    }
}

/// Whether the client may use the verb. What is not granted is denied.
pub fn grants(client: &Client, verb: Verb) -> bool {
    client.verbs.contains(&verb)
}
