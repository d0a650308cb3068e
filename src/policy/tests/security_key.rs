//! A security key in software: what a FIDO authenticator signs for OpenSSH, byte by byte as
//! `PROTOCOL.u2f` and `PROTOCOL.sshsig` have it, with whatever flags a test wants to see.

use ssh_key::{
    HashAlg, PrivateKey, PublicKey, SigningKey, SshSig,
    public::{EcdsaPublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519},
    sha2::{Digest as _, Sha256},
};

/// Somebody touched it.
pub const PRESENT: u8 = 0x01;
/// They gave their PIN or finger.
pub const VERIFIED: u8 = 0x04;

/// A security key with one key in it, of the algorithm of the key that stands in for it.
#[derive(Clone, Debug)]
pub struct SecurityKey {
    key: PrivateKey,
    application: String,
}

/// One signature, before it is put into armour.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The name of its algorithm.
    pub algorithm: String,
    /// What the key signed.
    pub raw: Vec<u8>,
    /// The flags.
    pub flags: u8,
    /// The counter.
    pub counter: u32,
}

impl SecurityKey {
    /// With this key, for the application that `ssh-keygen` names unless another is wanted.
    pub fn of(key: PrivateKey) -> Self {
        Self::made_for("ssh:", key)
    }

    /// With this key, for this application.
    pub fn made_for(application: &str, key: PrivateKey) -> Self {
        let application = application.to_owned();
        Self { key, application }
    }

    fn public(&self) -> PublicKey {
        let application = self.application.clone();
        let data = match self.key.public_key().key_data() {
            KeyData::Ed25519(key) => KeyData::SkEd25519(SkEd25519::new(*key, application)),
            KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) => {
                KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*point, application))
            }
            other => panic!("no security key has {other:?}"),
        };
        PublicKey::new(data, "")
    }

    /// Its public line.
    pub fn line(&self) -> String {
        self.public().to_openssh().unwrap()
    }

    /// Signs as it would for `ssh-keygen -Y sign`.
    pub fn sign(&self, text: &str, namespace: &str, flags: u8) -> String {
        self.armoured(namespace, &self.signature(text, namespace, flags))
    }

    /// The signature alone.
    pub fn signature(&self, text: &str, namespace: &str, flags: u8) -> Signature {
        fn raw(key: &impl SigningKey, data: &[u8]) -> Vec<u8> {
            key.try_sign(data).unwrap().as_bytes().to_vec()
        }
        let counter = 9_u32;
        let message = SshSig::signed_data(namespace, HashAlg::Sha512, text.as_bytes()).unwrap();
        let data = [
            Sha256::digest(&self.application).to_vec(),
            vec![flags],
            counter.to_be_bytes().to_vec(),
            Sha256::digest(message).to_vec(),
        ];
        Signature {
            algorithm: self.public().algorithm().to_string(),
            raw: raw(&self.key, &data.concat()),
            flags,
            counter,
        }
    }

    /// A signature in armour.
    pub fn armoured(&self, namespace: &str, signature: &Signature) -> String {
        let blob = [
            string(signature.algorithm.as_bytes()),
            string(&signature.raw),
            vec![signature.flags],
            signature.counter.to_be_bytes().to_vec(),
        ];
        self.enclosed(namespace, &blob.concat())
    }

    /// The bytes of a signature in armour.
    pub fn enclosed(&self, namespace: &str, blob: &[u8]) -> String {
        let whole = [
            b"SSHSIG".to_vec(),
            1_u32.to_be_bytes().to_vec(),
            string(&self.public().to_bytes().unwrap()),
            string(namespace.as_bytes()),
            string(b""),
            string(b"sha512"),
            string(blob),
        ];
        let base64 = base64(&whole.concat());
        let mut text = "-----BEGIN SSH SIGNATURE-----\n".to_owned();
        for line in base64.as_bytes().chunks(70) {
            text.push_str(str::from_utf8(line).unwrap());
            text.push('\n');
        }
        text + "-----END SSH SIGNATURE-----\n"
    }
}

/// Bytes behind their length.
pub fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [length.as_slice(), bytes].concat()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut padded = [0; 4];
        padded[1..=three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes(padded);
        for digit in 0..=three.len() {
            let at = bits >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[usize::try_from(at).unwrap()]));
        }
        text.push_str(&"=".repeat(3 - three.len()));
    }
    text
}
