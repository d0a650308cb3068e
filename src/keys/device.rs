//! What a device says of itself, and what its profile lets it be.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    key::KeyAlgorithm,
    protocol::{Failure, SignInput, Text},
};

/// A firmware version as PKCS#11 reports it (`CK_VERSION`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct FirmwareVersion {
    /// The part before the point.
    pub major: u8,
    /// The part after the point.
    pub minor: u8,
}

/// The text is no [`FirmwareVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a firmware version is two numbers up to 255 with a point between, as in \"2.6\"")]
pub struct FirmwareVersionError;

/// What a token says of itself (`CK_TOKEN_INFO`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenIdentity {
    /// The label given when the token was initialised.
    pub label: Text<32>,
    /// The manufacturer.
    pub manufacturer: Text<32>,
    /// The model.
    pub model: Text<16>,
    /// The serial number.
    pub serial: Text<16>,
    /// The firmware's version.
    pub firmware: FirmwareVersion,
}

/// Which kind of device, and where it is. A further kind is a further value here, and a folder beside
/// `token` and `keystore`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// A token, by the path of its PKCS#11 module.
    Module(Text<1024>),
    /// An encrypted keystore, by the path of its folder.
    Keystore(Text<1024>),
}

/// Which token of a module to use, by its label, its serial number or both: slot numbers change, these do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSelector {
    /// The token's label.
    pub label: Option<Text<32>>,
    /// The token's serial number.
    pub serial: Option<Text<16>>,
}

/// The part of a firmware profile that the key child acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Essentials {
    /// The manufacturer that the token must report.
    pub manufacturer: Text<32>,
    /// The model that the token must report.
    pub model: Text<16>,
    /// The lowest firmware that the profile describes.
    pub firmware_min: FirmwareVersion,
    /// The highest firmware that the profile describes.
    pub firmware_max: FirmwareVersion,
    /// The lowest firmware without a known vulnerability that reaches keys.
    pub firmware_safe: FirmwareVersion,
    /// How many sessions may be open, the anchor included.
    pub sessions_max: u16,
    /// The algorithms that the device can do.
    pub algorithms: Algorithms,
    /// How many bytes a message may have that Ed25519 signs; `None` where no limit is known.
    pub message_bytes_max: Option<u32>,
    /// How `CKA_EC_PARAMS` names the curve of Ed25519.
    pub edwards_params: EdwardsParams,
    /// How keys are wrapped.
    pub wrapping: Wrapping,
    /// Where the device departs from what is usual.
    pub quirks: Quirks,
}

/// A set of algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Algorithms(u8);

/// How `CKA_EC_PARAMS` names the curve of Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdwardsParams {
    /// The `PrintableString` "edwards25519" (PKCS#11 3.0).
    PrintableString,
    /// The object identifier 1.3.101.112 (RFC 8410).
    ObjectIdentifier,
}

/// How keys are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrapping {
    /// Not at all: the profile claims nothing.
    NotClaimed,
    /// `CKM_AES_KEY_WRAP_PAD` (RFC 5649) under a trusted key.
    AesKeyWrapPad,
}

/// Where a device departs from what is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks(u32);

/// Why a token is not the one that a profile describes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityFault {
    /// Another manufacturer.
    #[error("the token's manufacturer {found:?} is not the profile's")]
    Manufacturer {
        /// What the token reports.
        found: Text<32>,
    },
    /// Another model.
    #[error("the token's model {found:?} is not the profile's")]
    Model {
        /// What the token reports.
        found: Text<16>,
    },
    /// Firmware that the profile does not describe.
    #[error("the profile does not describe firmware {found}")]
    Firmware {
        /// What the token reports.
        found: FirmwareVersion,
    },
    /// Firmware with a known vulnerability.
    #[error("firmware {found} has a known vulnerability")]
    Vulnerable {
        /// What the token reports.
        found: FirmwareVersion,
    },
    /// It has a mechanism that derives, and its profile says that keys say they may.
    #[error("the token has a mechanism that derives, and the profile that it has none")]
    Derives,
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FirmwareVersion {
    type Err = FirmwareVersionError;

    fn from_str(text: &str) -> Result<Self, FirmwareVersionError> {
        let (major, minor) = text.split_once('.').ok_or(FirmwareVersionError)?;
        let number = |part: &str| part.parse().map_err(|_| FirmwareVersionError);
        let version = Self {
            major: number(major)?,
            minor: number(minor)?,
        };
        // "02.6" and "+2.6" are not how a version is written.
        if version.to_string() != text {
            return Err(FirmwareVersionError);
        }
        Ok(version)
    }
}

impl TryFrom<String> for FirmwareVersion {
    type Error = FirmwareVersionError;

    fn try_from(text: String) -> Result<Self, FirmwareVersionError> {
        text.parse()
    }
}

impl Essentials {
    /// Whether the token is one that the profile describes.
    ///
    /// # Errors
    /// [`IdentityFault`] names the first thing that is not.
    pub fn admits(&self, token: &TokenIdentity) -> Result<(), IdentityFault> {
        if token.manufacturer != self.manufacturer {
            let found = token.manufacturer.clone();
            return Err(IdentityFault::Manufacturer { found });
        }
        if token.model != self.model {
            let found = token.model.clone();
            return Err(IdentityFault::Model { found });
        }
        let found = token.firmware;
        if found < self.firmware_safe {
            return Err(IdentityFault::Vulnerable { found });
        }
        if found < self.firmware_min || found > self.firmware_max {
            return Err(IdentityFault::Firmware { found });
        }
        Ok(())
    }

    /// Whether the device takes so long a message: a longer one is never sent.
    ///
    /// # Errors
    /// [`Failure::MessageTooLong`].
    pub(crate) fn takes(&self, input: &SignInput) -> Result<(), Failure> {
        let (SignInput::Message(message), Some(max)) = (input, self.message_bytes_max) else {
            return Ok(());
        };
        match u32::try_from(message.as_bytes().len()).is_ok_and(|bytes| bytes <= max) {
            true => Ok(()),
            false => Err(Failure::MessageTooLong { max }),
        }
    }
}

impl TokenSelector {
    /// Whether this is the token.
    pub fn selects(&self, token: &TokenIdentity) -> bool {
        let (label, serial) = (self.label.as_ref(), self.serial.as_ref());
        let some = label.is_some() || serial.is_some();
        let fits = label.is_none_or(|label| *label == token.label);
        some && fits && serial.is_none_or(|serial| *serial == token.serial)
    }
}

impl Algorithms {
    /// The set as bits: 1 is ECDSA over secp256k1, 2 is Ed25519, 4 is BIP-340.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Reads bits; `None` when one has no meaning.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits & !7 == 0).then_some(Self(bits))
    }

    /// The set with one more algorithm.
    #[must_use]
    pub fn with(self, algorithm: KeyAlgorithm) -> Self {
        Self(self.0 | Self::bit(algorithm))
    }

    /// Whether the set has the algorithm.
    pub fn contains(self, algorithm: KeyAlgorithm) -> bool {
        self.0 & Self::bit(algorithm) != 0
    }

    fn bit(algorithm: KeyAlgorithm) -> u8 {
        match algorithm {
            KeyAlgorithm::Secp256k1 => 1,
            KeyAlgorithm::Ed25519 => 2,
            KeyAlgorithm::Bip340 => 4,
        }
    }
}

impl Quirks {
    /// The module never writes its files through to the disk: `fsync` them after a change. The
    /// folder stands in SoftHSM's own configuration.
    pub const SYNC_SOFTHSM_FILES: Self = Self(1);
    /// The module does not know `CKA_COPYABLE`.
    pub const NO_COPYABLE: Self = Self(2);
    /// The module does not know `CKA_ALLOWED_MECHANISMS`: what a key may do is in its flags alone.
    pub const NO_ALLOWED_MECHANISMS: Self = Self(4);
    /// The module says that keys may derive whatever they were made with, and has no mechanism that
    /// derives: a token that has one is refused.
    pub const SAYS_DERIVE: Self = Self(8);
    /// The module says of keys that were made on the device that they were not.
    pub const SAYS_NOT_LOCAL: Self = Self(16);
    /// The module has no sessions that only read.
    pub const ONLY_WRITING_SESSIONS: Self = Self(32);

    /// The quirks as bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Reads bits; `None` when one has no meaning.
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits & !63 == 0).then_some(Self(bits))
    }

    /// These quirks and others.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn essentials() -> Essentials {
        Essentials {
            manufacturer: Text::cut("Maker"),
            model: Text::cut("One"),
            firmware_min: FirmwareVersion { major: 2, minor: 0 },
            firmware_max: FirmwareVersion { major: 2, minor: 9 },
            firmware_safe: FirmwareVersion { major: 2, minor: 4 },
            sessions_max: 16,
            algorithms: Algorithms::default().with(KeyAlgorithm::Secp256k1),
            message_bytes_max: None,
            edwards_params: EdwardsParams::PrintableString,
            wrapping: Wrapping::NotClaimed,
            quirks: Quirks::default(),
        }
    }

    fn identity(manufacturer: &str, model: &str, firmware: &str) -> TokenIdentity {
        TokenIdentity {
            label: Text::cut("label"),
            manufacturer: Text::cut(manufacturer),
            model: Text::cut(model),
            serial: Text::cut("1"),
            firmware: firmware.parse().unwrap(),
        }
    }

    #[test]
    fn a_token_is_named_by_its_label_its_serial_number_or_both() {
        let token = identity("Maker", "One", "2.4");
        let selects = |label: Option<&str>, serial: Option<&str>| {
            let selector = TokenSelector {
                label: label.map(Text::cut),
                serial: serial.map(Text::cut),
            };
            selector.selects(&token)
        };
        assert!(selects(Some("label"), None));
        assert!(selects(None, Some("1")));
        assert!(selects(Some("label"), Some("1")));
        for (label, serial) in [
            (Some("other"), None),
            (None, Some("2")),
            (Some("other"), Some("1")),
            (Some("label"), Some("2")),
            (None, None),
        ] {
            assert!(!selects(label, serial), "{label:?} {serial:?}");
        }
    }

    #[test]
    fn admits_only_what_the_profile_describes() {
        let admits = |m, o, v| essentials().admits(&identity(m, o, v));
        assert_eq!(admits("Maker", "One", "2.4"), Ok(()));
        assert_eq!(admits("Maker", "One", "2.9"), Ok(()));
        let fault = |m, o, v| admits(m, o, v).unwrap_err();
        assert!(matches!(
            fault("Maker ", "One", "2.4"),
            IdentityFault::Manufacturer { .. }
        ));
        assert!(matches!(
            fault("Maker", "Two", "2.4"),
            IdentityFault::Model { .. }
        ));
        assert!(matches!(
            fault("Maker", "One", "2.3"),
            IdentityFault::Vulnerable { .. }
        ));
        assert!(matches!(
            fault("Maker", "One", "3.0"),
            IdentityFault::Firmware { .. }
        ));
    }

    #[test]
    fn a_version_has_one_spelling() {
        for text in [
            "2", "2.", ".6", "02.6", "+2.6", "2.6.1", "2.256", "2.06", " 2.6",
        ] {
            assert!(text.parse::<FirmwareVersion>().is_err(), "{text:?}");
        }
    }
}
