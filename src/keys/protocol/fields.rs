//! The fields that several messages share. Every number here is for ever.

use super::codec::{DecodeError, Reader, Writer};
use tx::Name;

use crate::{
    device::{
        Algorithms, EdwardsParams, Essentials, FirmwareVersion, Quirks, TokenIdentity,
        TokenSelector, Wrapping,
    },
    key::{KeyAlgorithm, KeyId, KeyPurpose, PublicKey},
    protocol::Residence,
};

/// Writes and reads one value.
pub(super) trait Field: Sized {
    fn write(&self, to: &mut Writer<'_>);
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A value of few, each a byte.
macro_rules! byte_field {
    ($type:ty, $field:literal, { $($value:path = $code:literal),+ $(,)? }) => {
        impl Field for $type {
            fn write(&self, to: &mut Writer<'_>) {
                to.u8(match self { $($value => $code),+ });
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match from.u8()? {
                    $($code => Ok($value),)+
                    _ => Err(DecodeError::Value { field: $field }),
                }
            }
        }
    };
}

pub(super) use byte_field;

byte_field!(KeyPurpose, "purpose", {
    KeyPurpose::Spend = 1,
    KeyPurpose::Checkpoint = 2,
    KeyPurpose::Test = 3,
});

byte_field!(KeyAlgorithm, "algorithm", {
    KeyAlgorithm::Secp256k1 = 1,
    KeyAlgorithm::Ed25519 = 2,
    KeyAlgorithm::Bip340 = 3,
});

byte_field!(Residence, "residence", {
    Residence::Token = 1,
    Residence::Session = 2,
});

byte_field!(EdwardsParams, "edwards parameters", {
    EdwardsParams::PrintableString = 1,
    EdwardsParams::ObjectIdentifier = 2,
});

byte_field!(Wrapping, "wrapping", {
    Wrapping::NotClaimed = 1,
    Wrapping::AesKeyWrapPad = 2,
});

impl Field for Name {
    fn write(&self, to: &mut Writer<'_>) {
        to.sized(self.as_str().as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let field = "name";
        let text = from.str(field)?;
        text.parse().map_err(|_| DecodeError::Value { field })
    }
}

impl Field for KeyId {
    fn write(&self, to: &mut Writer<'_>) {
        self.purpose.write(to);
        self.name.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            purpose: Field::read(from)?,
            name: Field::read(from)?,
        })
    }
}

impl Field for PublicKey {
    fn write(&self, to: &mut Writer<'_>) {
        self.algorithm().write(to);
        to.sized(self.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let algorithm = Field::read(from)?;
        let field = "public key";
        Self::new(algorithm, from.sized()?).map_err(|_| DecodeError::Value { field })
    }
}

impl Field for FirmwareVersion {
    fn write(&self, to: &mut Writer<'_>) {
        to.u8(self.major);
        to.u8(self.minor);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [major, minor] = from.array()?;
        Ok(Self { major, minor })
    }
}

impl Field for TokenIdentity {
    fn write(&self, to: &mut Writer<'_>) {
        to.text(&self.label);
        to.text(&self.manufacturer);
        to.text(&self.model);
        to.text(&self.serial);
        self.firmware.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            label: from.text("token label")?,
            manufacturer: from.text("manufacturer")?,
            model: from.text("model")?,
            serial: from.text("serial")?,
            firmware: Field::read(from)?,
        })
    }
}

fn write_some<T>(value: Option<T>, to: &mut Writer<'_>, write: impl FnOnce(T, &mut Writer<'_>)) {
    to.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, to);
    }
}

fn read_some<T>(
    from: &mut Reader<'_>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match from.u8()? {
        0 => Ok(None),
        1 => read(from).map(Some),
        _ => Err(DecodeError::Value { field }),
    }
}

impl Field for TokenSelector {
    fn write(&self, to: &mut Writer<'_>) {
        write_some(self.label.as_ref(), to, |label, to| to.text(label));
        write_some(self.serial.as_ref(), to, |serial, to| to.text(serial));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            label: read_some(from, "token label", |from| from.text("token label"))?,
            serial: read_some(from, "serial", |from| from.text("serial"))?,
        })
    }
}

impl Field for Essentials {
    fn write(&self, to: &mut Writer<'_>) {
        to.text(&self.manufacturer);
        to.text(&self.model);
        self.firmware_min.write(to);
        self.firmware_max.write(to);
        self.firmware_safe.write(to);
        to.u16(self.sessions_max);
        to.u8(self.algorithms.bits());
        write_some(self.message_bytes_max, to, |max, to| to.u32(max));
        self.edwards_params.write(to);
        self.wrapping.write(to);
        to.u32(self.quirks.bits());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = |field| DecodeError::Value { field };
        Ok(Self {
            manufacturer: from.text("manufacturer")?,
            model: from.text("model")?,
            firmware_min: Field::read(from)?,
            firmware_max: Field::read(from)?,
            firmware_safe: Field::read(from)?,
            sessions_max: from.u16()?,
            algorithms: Algorithms::from_bits(from.u8()?).ok_or(unknown("algorithms"))?,
            message_bytes_max: read_some(from, "message_bytes_max", |from| from.u32())?,
            edwards_params: Field::read(from)?,
            wrapping: Field::read(from)?,
            quirks: Quirks::from_bits(from.u32()?).ok_or(unknown("quirks"))?,
        })
    }
}
