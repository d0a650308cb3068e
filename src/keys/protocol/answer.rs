//! What a key child answers.

use super::{
    Failure, Message,
    bounded::Bytes,
    codec::{DecodeError, Reader, Writer},
    fields::Field,
    request::Residence,
};
use crate::{
    device::TokenIdentity,
    key::{KeyId, PublicKey},
};

/// The key child's answer to the request of the same correlation number.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// To `Hello`: logged in.
    Ready {
        /// What the token says of itself.
        identity: TokenIdentity,
        /// How many sessions sign.
        sessions: u16,
    },
    /// To `Find`, `Public`, `Generate` and `Unwrap`.
    Key(KeyDescription),
    /// To `Sign`.
    Signed {
        /// The number of the call.
        call: u64,
        /// What the device answered, unchecked: r‖s for ECDSA.
        signature: Bytes<128>,
    },
    /// To `Wrap`.
    Wrapped {
        /// The wrapped key.
        blob: Bytes<2048>,
    },
    /// To `Destroy`.
    Destroyed,
    /// To `Health`: a session answered and is logged in.
    Healthy {
        /// Requests that wait for a session.
        waiting: u16,
    },
    /// The request failed.
    Failed(Failure),
}

/// A key on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// Its purpose and name.
    pub key: KeyId,
    /// Its public half, from its public object.
    pub public: PublicKey,
    /// Where it lives.
    pub residence: Residence,
}

impl Field for KeyDescription {
    fn write(&self, to: &mut Writer<'_>) {
        self.key.write(to);
        self.public.write(to);
        self.residence.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            key: Field::read(from)?,
            public: Field::read(from)?,
            residence: Field::read(from)?,
        })
    }
}

impl Message for Answer {
    fn kind(&self) -> u8 {
        match self {
            Self::Ready { .. } => 0x81,
            Self::Key(_) => 0x82,
            Self::Signed { .. } => 0x84,
            Self::Wrapped { .. } => 0x86,
            Self::Destroyed => 0x88,
            Self::Healthy { .. } => 0x89,
            Self::Failed(_) => 0xff,
        }
    }

    fn write(&self, to: &mut Writer<'_>) {
        match self {
            Self::Ready { identity, sessions } => {
                identity.write(to);
                to.u16(*sessions);
            }
            Self::Key(description) => description.write(to),
            Self::Signed { call, signature } => {
                to.u64(*call);
                to.bytes(signature);
            }
            Self::Wrapped { blob } => to.bytes(blob),
            Self::Destroyed => {}
            Self::Healthy { waiting } => to.u16(*waiting),
            Self::Failed(failure) => failure.write(to),
        }
    }

    fn read(kind: u8, from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            0x81 => Self::Ready {
                identity: Field::read(from)?,
                sessions: from.u16()?,
            },
            0x82 => Self::Key(Field::read(from)?),
            0x84 => Self::Signed {
                call: from.u64()?,
                signature: from.bytes("signature")?,
            },
            0x86 => Self::Wrapped {
                blob: from.bytes("blob")?,
            },
            0x88 => Self::Destroyed,
            0x89 => Self::Healthy {
                waiting: from.u16()?,
            },
            0xff => Self::Failed(Field::read(from)?),
            found => return Err(DecodeError::Kind { found }),
        })
    }
}
