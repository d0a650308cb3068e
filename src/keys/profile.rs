//! Firmware profiles: what one model of device, in one range of firmware, can do.
//!
//! A profile is a TOML file under `firmware-profiles/`, whose README explains the fields. Every fact
//! says where it is from and whether it was seen or only read. A key that is not known here is an
//! error: a misspelt quirk must not be a quirk forgotten.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    device::{Algorithms, EdwardsParams, Essentials, FirmwareVersion, Quirks, Wrapping},
    key::KeyAlgorithm,
    protocol::Text,
};

/// The version of the file's format.
const SCHEMA: u32 = 1;

/// What one model of device can do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Profile {
    /// The version of the file's format: 1.
    pub schema: u32,
    /// The profile's name, that of the file.
    pub name: String,
    /// Which tokens it describes.
    #[serde(rename = "match")]
    pub token: TokenMatch,
    /// The lowest firmware without a known vulnerability that reaches keys.
    pub minimum_safe_firmware: Fact<SafeFirmware>,
    /// How the device encodes `CKA_EC_POINT`. Both ways are read from any device.
    pub point_encoding: Fact<PointEncoding>,
    /// Whether the device refuses a digest that is not 32 bytes. Strongroom always does.
    pub prehash_length: Fact<PrehashLength>,
    /// Whether the device makes signatures with high `s`.
    pub low_s: Fact<LowS>,
    /// How many sessions may be open.
    pub sessions_max: Fact<Limit>,
    /// The longest message for Ed25519, in bytes.
    pub message_bytes_max: Fact<Limit>,
    /// Which wrapping passed the extraction test.
    pub wrapping: Fact<Wrapping>,
    /// Whether the device attests that a key was generated inside.
    pub attestation: Fact<Presence>,
    /// Whether the device keeps a log of its own.
    pub log: Fact<Presence>,
    /// How well the device keeps keys.
    pub assurance: Fact<Assurance>,
    /// Whether the device signs as BIP-340 has it.
    #[serde(default = "Fact::unstated")]
    pub bip340: Fact<Presence>,
    /// The least credential that signs.
    #[serde(default = "Fact::unstated")]
    pub least_credential: Fact<Credential>,
    /// After how many wrong PINs the device locks.
    pub pin_attempts: Fact<Limit>,
    /// What it signs with.
    pub mechanism: BTreeMap<KeyAlgorithm, Mechanism>,
    /// Where it departs from what is usual.
    #[serde(default)]
    pub quirk: Vec<Fact<Quirk>>,
}

/// Which tokens a profile describes, as `C_GetTokenInfo` reports them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenMatch {
    /// The manufacturer, without padding.
    pub manufacturer: String,
    /// The model, without padding.
    pub model: String,
    /// The lowest firmware.
    pub firmware_min: FirmwareVersion,
    /// The highest firmware.
    pub firmware_max: FirmwareVersion,
    /// Where this is from.
    pub source: String,
    /// Whether it was seen.
    pub verified: Verified,
}

/// A fact with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Fact<T> {
    /// The fact.
    pub value: T,
    /// Where it is from: a test, a document with its section, an advisory.
    pub source: String,
    /// Whether it was seen.
    pub verified: Verified,
}

impl<T: Default> Fact<T> {
    /// A fact that profiles need not state.
    fn unstated() -> Self {
        Self {
            value: T::default(),
            source: "the profile does not say".to_owned(),
            verified: Verified::Unknown,
        }
    }
}

/// How a fact is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// It was seen; the source says how.
    Run,
    /// A document says it.
    Documented,
    /// Nobody knows; the value says so as well.
    Unknown,
}

/// The lowest firmware without a known vulnerability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SafeFirmware {
    /// This one.
    From(FirmwareVersion),
    /// Any, as far as is known.
    Any(NoFirmware),
}

/// Why no firmware is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoFirmware {
    /// No vulnerability that reaches keys is known.
    NoneKnown,
    /// Nobody looked, or nobody says.
    Unknown,
}

impl fmt::Display for SafeFirmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(version) => version.fmt(f),
            Self::Any(NoFirmware::NoneKnown) => f.write_str("none-known"),
            Self::Any(NoFirmware::Unknown) => f.write_str("unknown"),
        }
    }
}

/// How `CKA_EC_POINT` is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PointEncoding {
    /// As a DER octet string, as the standard wants it.
    DerOctetString,
    /// The bytes of the point alone.
    Raw,
    /// Not known.
    Unknown,
}

/// Whether the device refuses a digest that is not 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PrehashLength {
    /// It does.
    Enforced,
    /// It cuts a longer one silently.
    NotEnforced,
    /// Not known.
    Unknown,
}

/// Whether the device makes signatures with high `s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LowS {
    /// Half of them: they are to be normalised.
    Normalise,
    /// Never.
    AlwaysLow,
    /// Not known: they are normalised.
    Unknown,
}

/// A number, or a word in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Limit {
    /// At most this many.
    At(u32),
    /// No such limit, or none that is known.
    Word(NoLimit),
}

/// Why there is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoLimit {
    /// There is no limit.
    None,
    /// Not known.
    Unknown,
}

/// Whether there is such a thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Presence {
    /// There is.
    Present,
    /// There is not.
    None,
    /// Not known.
    #[default]
    Unknown,
}

/// A credential, in words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Credential(pub String);

impl Default for Credential {
    fn default() -> Self {
        Self("unknown".to_owned())
    }
}

/// How well a device keeps keys, as receipts show it and rules can use it. A wrapped key has a
/// level of its own, lower than its device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Assurance {
    /// In hardware that keeps a log which the journal is reconciled with.
    HsmLogged,
    /// In hardware.
    Hsm,
    /// In software.
    Software,
}

impl Assurance {
    /// The level in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HsmLogged => "hsm-logged",
            Self::Hsm => "hsm",
            Self::Software => "software",
        }
    }
}

/// What the device signs with, for one algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Mechanism {
    /// The mechanism that signs.
    pub sign: SignMechanism,
    /// How `CKA_EC_PARAMS` names the curve.
    pub curve: EdwardsParams,
    /// Whether the mechanism takes parameters. None are ever sent.
    #[serde(default)]
    pub parameters: Parameters,
    /// Where this is from.
    pub source: String,
    /// Whether it was seen.
    pub verified: Verified,
}

/// A mechanism that signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub enum SignMechanism {
    /// ECDSA of a digest made elsewhere.
    #[serde(rename = "CKM_ECDSA")]
    Ecdsa,
    /// Pure EdDSA, without parameters.
    #[serde(rename = "CKM_EDDSA")]
    Eddsa,
    /// Schnorr signatures as BIP-340 has them, for which PKCS#11 has no mechanism.
    #[serde(rename = "BIP-340")]
    Bip340,
}

/// Whether a mechanism takes parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Parameters {
    /// It has none.
    None,
    /// It signs without.
    Optional,
    /// It does not sign without: it cannot be used.
    Required,
    /// Not known.
    #[default]
    Unknown,
}

/// A departure from what is usual that the key child acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Quirk {
    /// The module never syncs the files under SoftHSM's `directories.tokendir`.
    SyncSofthsmFiles,
    /// The module does not know `CKA_COPYABLE`.
    NoCopyable,
    /// The module does not know `CKA_ALLOWED_MECHANISMS`.
    NoAllowedMechanisms,
    /// The module says `CKA_DERIVE` of every key, and has no mechanism that derives.
    SaysDerive,
    /// The module never says `CKA_LOCAL`.
    SaysNotLocal,
    /// The module has no sessions that only read.
    OnlyWritingSessions,
}

/// Why a file is no profile.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("the firmware profile {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file is not TOML of this shape; the source says where and why.
    #[error("the firmware profile is not of the known shape")]
    Shape(#[source] Box<toml::de::Error>),
    /// A format that is not known here.
    #[error("firmware profiles of schema {found} are not known here")]
    Schema {
        /// The schema that the file names.
        found: u32,
    },
    /// A manufacturer or model longer than PKCS#11 has them, or a range that is empty.
    #[error("the firmware profile's match can never be met")]
    Match,
    /// A mechanism for another algorithm, or one that wants parameters.
    #[error("{algorithm} does not sign with this mechanism, curve and parameters")]
    Mechanism {
        /// The algorithm.
        algorithm: KeyAlgorithm,
    },
    /// No algorithm at all.
    #[error("the firmware profile names no mechanism")]
    NoMechanism,
}

impl Profile {
    /// Reads a profile from its file.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = fs::read_to_string(path).map_err(|error| ProfileError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text)
    }

    /// Reads a profile from its text.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let profile: Self =
            toml::from_str(text).map_err(|error| ProfileError::Shape(Box::new(error)))?;
        if profile.schema != SCHEMA {
            let found = profile.schema;
            return Err(ProfileError::Schema { found });
        }
        if profile.mechanism.is_empty() {
            return Err(ProfileError::NoMechanism);
        }
        profile.essentials().map(|_| profile)
    }

    /// Whether it is known which firmware has no vulnerability that reaches keys.
    pub fn knows_safe_firmware(&self) -> bool {
        self.minimum_safe_firmware.value != SafeFirmware::Any(NoFirmware::Unknown)
    }

    /// The part that the key child acts on.
    ///
    /// # Errors
    /// [`ProfileError`] when the profile contradicts itself; never after [`Self::parse`].
    pub fn essentials(&self) -> Result<Essentials, ProfileError> {
        let token = &self.token;
        if token.firmware_min > token.firmware_max {
            return Err(ProfileError::Match);
        }
        Ok(Essentials {
            manufacturer: Text::new(&token.manufacturer).map_err(|_| ProfileError::Match)?,
            model: Text::new(&token.model).map_err(|_| ProfileError::Match)?,
            firmware_min: token.firmware_min,
            firmware_max: token.firmware_max,
            firmware_safe: match self.minimum_safe_firmware.value {
                SafeFirmware::From(version) => version,
                SafeFirmware::Any(_) => FirmwareVersion::default(),
            },
            sessions_max: match self.sessions_max.value {
                Limit::At(limit) => u16::try_from(limit).unwrap_or(u16::MAX),
                Limit::Word(_) => u16::MAX,
            },
            message_bytes_max: match self.message_bytes_max.value {
                Limit::At(limit) => Some(limit),
                Limit::Word(_) => None,
            },
            algorithms: self.algorithms()?,
            edwards_params: self
                .mechanism
                .get(&KeyAlgorithm::Ed25519)
                .map_or(EdwardsParams::ObjectIdentifier, |m| m.curve),
            wrapping: self.wrapping.value,
            quirks: self.quirks(),
        })
    }

    fn algorithms(&self) -> Result<Algorithms, ProfileError> {
        let mut algorithms = Algorithms::default();
        for (&algorithm, mechanism) in &self.mechanism {
            let fits = match algorithm {
                KeyAlgorithm::Secp256k1 => {
                    mechanism.sign == SignMechanism::Ecdsa
                        && mechanism.curve == EdwardsParams::ObjectIdentifier
                }
                KeyAlgorithm::Ed25519 => mechanism.sign == SignMechanism::Eddsa,
                KeyAlgorithm::Bip340 => {
                    mechanism.sign == SignMechanism::Bip340
                        && mechanism.curve == EdwardsParams::ObjectIdentifier
                }
            };
            if !fits || mechanism.parameters == Parameters::Required {
                return Err(ProfileError::Mechanism { algorithm });
            }
            // What nobody says that it works is not tried with keys that count.
            if mechanism.verified != Verified::Unknown {
                algorithms = algorithms.with(algorithm);
            }
        }
        Ok(algorithms)
    }

    fn quirks(&self) -> Quirks {
        self.quirk
            .iter()
            .fold(Quirks::default(), |quirks, quirk| match quirk.value {
                Quirk::SyncSofthsmFiles => quirks.with(Quirks::SYNC_SOFTHSM_FILES),
                Quirk::NoCopyable => quirks.with(Quirks::NO_COPYABLE),
                Quirk::NoAllowedMechanisms => quirks.with(Quirks::NO_ALLOWED_MECHANISMS),
                Quirk::SaysDerive => quirks.with(Quirks::SAYS_DERIVE),
                Quirk::SaysNotLocal => quirks.with(Quirks::SAYS_NOT_LOCAL),
                Quirk::OnlyWritingSessions => quirks.with(Quirks::ONLY_WRITING_SESSIONS),
            })
    }
}

#[cfg(test)]
mod tests;
