//! A device with a passkey, in software: what it says can be as wrong as one likes.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use p256::ecdsa::signature::Signer as _;
use sha2::{Digest as _, Sha256};

/// A passkey, and what its device and the browser say when it is used.
#[derive(Clone)]
pub struct Authenticator {
    /// The private key.
    pub key: Key,
    /// The relying party that the device names.
    pub rp_id: String,
    /// The origin that the browser names.
    pub origin: String,
    /// Presence 1, verification 4, may be copied 8, was copied 16.
    pub flags: u8,
    /// How often it was used, as it says.
    pub counter: u32,
    /// What stands behind the origin in the browser's object.
    pub more: String,
}

/// A private key.
#[derive(Clone)]
pub enum Key {
    /// On P-256.
    Es256(p256::ecdsa::SigningKey),
    /// Ed25519.
    EdDsa(ed25519_dalek::SigningKey),
}

/// An assertion: authenticator data, client data and signature, each in base64url.
#[derive(Clone)]
pub struct Made {
    /// What the device said.
    pub authenticator_data: String,
    /// What the browser said.
    pub client_data: String,
    /// The signature over both.
    pub signature: String,
}

/// Base64url without padding.
pub fn encoded(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

impl Authenticator {
    /// An ES256 key of the page with this origin.
    ///
    /// # Panics
    /// When the seed is 0.
    pub fn es256(seed: u8, origin: &str) -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap();
        Self::of(Key::Es256(key), origin)
    }

    /// An Ed25519 key of it.
    pub fn eddsa(seed: u8, origin: &str) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        Self::of(Key::EdDsa(key), origin)
    }

    fn of(key: Key, origin: &str) -> Self {
        let host = origin.strip_prefix("https://").unwrap();
        Self {
            key,
            rp_id: host.split(':').next().unwrap().to_owned(),
            origin: origin.to_owned(),
            flags: 0x05,
            counter: 7,
            more: ",\"crossOrigin\":false".to_owned(),
        }
    }

    /// Its line in a bundle.
    pub fn line(&self) -> String {
        match &self.key {
            Key::Es256(key) => {
                let point = key.verifying_key().to_encoded_point(true);
                format!("es256 {}", encoded(point.as_bytes()))
            }
            Key::EdDsa(key) => format!("eddsa {}", encoded(key.verifying_key().as_bytes())),
        }
    }

    /// What the device says of itself.
    pub fn device(&self) -> Vec<u8> {
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(self.flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// What the browser says.
    pub fn browser(&self, text: &str) -> String {
        let (challenge, origin) = (encoded(&Sha256::digest(text)), &self.origin);
        let more = &self.more;
        format!(
            "{{\"type\":\"webauthn.get\",\"challenge\":\"{challenge}\",\"origin\":\"{origin}\"{more}}}"
        )
    }

    /// The assertion of a text.
    pub fn asserts(&self, text: &str) -> Made {
        self.made(&self.device(), self.browser(text).as_bytes())
    }

    /// A signature over whatever the two say.
    pub fn made(&self, device: &[u8], browser: &[u8]) -> Made {
        let mut signed = device.to_vec();
        signed.extend(Sha256::digest(browser));
        let signature = match &self.key {
            Key::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(&signed);
                signature.to_der().as_bytes().to_vec()
            }
            Key::EdDsa(key) => key.sign(&signed).to_bytes().to_vec(),
        };
        Made {
            authenticator_data: encoded(device),
            client_data: encoded(browser),
            signature: encoded(&signature),
        }
    }
}
