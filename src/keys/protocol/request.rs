//! What the server asks of a key child.

use super::{
    Message,
    bounded::{Bytes, Pin, Text},
    codec::{DecodeError, Reader, Writer},
    fields::Field,
};
use tx::Name;

use crate::{
    device::{Backend, Essentials, TokenSelector},
    key::{KeyAlgorithm, KeyId, PublicKey},
};

/// A request to the key child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// The first request, and only the first: which device, and how to log in.
    Hello(Hello),
    /// Find a key, check its attributes, keep its handle.
    Find {
        /// The key.
        key: KeyId,
    },
    /// Read a key's public object from the device.
    Public {
        /// The key.
        key: KeyId,
    },
    /// Sign.
    Sign(Sign),
    /// Generate a key pair.
    Generate {
        /// The new key.
        key: KeyId,
        /// Its algorithm.
        algorithm: KeyAlgorithm,
        /// Where it is to live.
        residence: Residence,
    },
    /// Wrap a key that lives in the session.
    Wrap {
        /// The key.
        key: KeyId,
        /// The name of the wrapping key.
        under: Name,
    },
    /// Unwrap a key into the session.
    Unwrap {
        /// What the key is to be called.
        key: KeyId,
        /// Its public half: an unwrap makes no public object.
        public: PublicKey,
        /// The name of the wrapping key.
        under: Name,
        /// The wrapped key.
        blob: Bytes<2048>,
    },
    /// Destroy a key pair.
    Destroy {
        /// The key.
        key: KeyId,
    },
    /// Ask the device whether a session still works.
    Health,
}

/// Which device, and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Which kind of device, and where it is.
    pub backend: Backend,
    /// The token.
    pub token: TokenSelector,
    /// The user's PIN, or the keystore's passphrase.
    pub pin: Pin,
    /// How many sessions sign, the anchor not counted.
    pub sessions: u16,
    /// What the firmware profile says.
    pub profile: Essentials,
}

/// One numbered call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The journal's number of the call.
    pub call: u64,
    /// The key.
    pub key: KeyId,
    /// What is signed; it implies the algorithm.
    pub input: SignInput,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignInput {
    /// A digest, for ECDSA over secp256k1: 32 bytes, since devices cut longer ones silently.
    Digest([u8; 32]),
    /// A message, for pure Ed25519.
    Message(Bytes<3072>),
    /// A message of 32 bytes, for BIP-340: a digest, which the signature hashes once more.
    Bip340([u8; 32]),
}

/// Where a key lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residence {
    /// On the token, until it is destroyed.
    Token,
    /// In the session, until it ends: a key to be wrapped, or an unwrapped one.
    Session,
}

impl SignInput {
    /// The algorithm that signs such an input.
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Digest(_) => KeyAlgorithm::Secp256k1,
            Self::Message(_) => KeyAlgorithm::Ed25519,
            Self::Bip340(_) => KeyAlgorithm::Bip340,
        }
    }

    /// The bytes that go to the device.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Digest(digest) | Self::Bip340(digest) => digest,
            Self::Message(message) => message.as_bytes(),
        }
    }
}

impl Field for SignInput {
    fn write(&self, to: &mut Writer<'_>) {
        self.algorithm().write(to);
        to.sized(self.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let algorithm = KeyAlgorithm::read(from)?;
        let wrong = DecodeError::Value { field: "input" };
        match algorithm {
            KeyAlgorithm::Secp256k1 => {
                let digest = from.sized()?.try_into().map_err(|_| wrong)?;
                Ok(Self::Digest(digest))
            }
            KeyAlgorithm::Ed25519 => from.bytes("input").map(Self::Message),
            KeyAlgorithm::Bip340 => {
                let digest = from.sized()?.try_into().map_err(|_| wrong)?;
                Ok(Self::Bip340(digest))
            }
        }
    }
}

impl Field for Sign {
    fn write(&self, to: &mut Writer<'_>) {
        to.u64(self.call);
        self.key.write(to);
        self.input.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            call: from.u64()?,
            key: Field::read(from)?,
            input: Field::read(from)?,
        })
    }
}

impl Hello {
    fn write(&self, to: &mut Writer<'_>) {
        let (Backend::Module(place) | Backend::Keystore(place)) = &self.backend;
        to.text(place);
        self.token.write(to);
        to.pin(&self.pin);
        to.u16(self.sessions);
        self.profile.write(to);
    }

    fn read(
        backend: fn(Text<1024>) -> Backend,
        field: &'static str,
        from: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            backend: backend(from.text(field)?),
            token: Field::read(from)?,
            pin: from.pin()?,
            sessions: from.u16()?,
            profile: Field::read(from)?,
        })
    }
}

impl Message for Request {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(hello) => match hello.backend {
                Backend::Module(_) => 0x01,
                Backend::Keystore(_) => 0x0a,
            },
            Self::Find { .. } => 0x02,
            Self::Public { .. } => 0x03,
            Self::Sign(_) => 0x04,
            Self::Generate { .. } => 0x05,
            Self::Wrap { .. } => 0x06,
            Self::Unwrap { .. } => 0x07,
            Self::Destroy { .. } => 0x08,
            Self::Health => 0x09,
        }
    }

    fn write(&self, to: &mut Writer<'_>) {
        match self {
            Self::Hello(hello) => hello.write(to),
            Self::Find { key } | Self::Public { key } | Self::Destroy { key } => key.write(to),
            Self::Sign(sign) => sign.write(to),
            Self::Generate {
                key,
                algorithm,
                residence,
            } => {
                key.write(to);
                algorithm.write(to);
                residence.write(to);
            }
            Self::Wrap { key, under } => {
                key.write(to);
                under.write(to);
            }
            Self::Unwrap {
                key,
                public,
                under,
                blob,
            } => {
                key.write(to);
                public.write(to);
                under.write(to);
                to.bytes(blob);
            }
            Self::Health => {}
        }
    }

    fn read(kind: u8, from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            0x01 => Self::Hello(Hello::read(Backend::Module, "module", from)?),
            0x02 => Self::Find {
                key: Field::read(from)?,
            },
            0x03 => Self::Public {
                key: Field::read(from)?,
            },
            0x04 => Self::Sign(Field::read(from)?),
            0x05 => Self::Generate {
                key: Field::read(from)?,
                algorithm: Field::read(from)?,
                residence: Field::read(from)?,
            },
            0x06 => Self::Wrap {
                key: Field::read(from)?,
                under: Field::read(from)?,
            },
            0x07 => Self::Unwrap {
                key: Field::read(from)?,
                public: Field::read(from)?,
                under: Field::read(from)?,
                blob: from.bytes("blob")?,
            },
            0x08 => Self::Destroy {
                key: Field::read(from)?,
            },
            0x09 => Self::Health,
            0x0a => Self::Hello(Hello::read(Backend::Keystore, "folder", from)?),
            found => return Err(DecodeError::Kind { found }),
        })
    }
}
