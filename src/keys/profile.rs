//! Firmware profiles: what one model of device, in one range of firmware, can do.
//!
//! A profile is a TOML file under `firmware-profiles/`, whose README explains the fields. Every fact
//! says where it is from and whether it was seen or only read. A key that is not known here is an
//! error: a misspelt quirk must not be a quirk forgotten.

use std::{
    collections::BTreeMap,
    fs, io,
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
    /// No vulnerability that reaches keys is known.
    Any(NoneKnown),
}

/// The words "none-known".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoneKnown {
    /// The words "none-known".
    NoneKnown,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Presence {
    /// There is.
    Present,
    /// There is not.
    None,
    /// Not known.
    Unknown,
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
    /// A mechanism for another algorithm.
    #[error("{algorithm} does not sign with this mechanism and curve")]
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
                SafeFirmware::Any(NoneKnown::NoneKnown) => FirmwareVersion::default(),
            },
            sessions_max: match self.sessions_max.value {
                Limit::At(limit) => u16::try_from(limit).unwrap_or(u16::MAX),
                Limit::Word(_) => u16::MAX,
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
            };
            if !fits {
                return Err(ProfileError::Mechanism { algorithm });
            }
            algorithms = algorithms.with(algorithm);
        }
        Ok(algorithms)
    }

    fn quirks(&self) -> Quirks {
        self.quirk
            .iter()
            .fold(Quirks::default(), |quirks, quirk| match quirk.value {
                Quirk::SyncSofthsmFiles => quirks.with(Quirks::SYNC_SOFTHSM_FILES),
                Quirk::NoCopyable => quirks.with(Quirks::NO_COPYABLE),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOFTHSM: &str = include_str!("../../firmware-profiles/softhsm-2.6.toml");

    #[test]
    fn every_profile_reads_and_has_the_name_of_its_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-profiles");
        let mut seen = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                let profile = Profile::read(&path).unwrap();
                assert_eq!(path.file_stem().unwrap(), profile.name.as_str());
                seen += 1;
            }
        }
        assert!(seen > 0);
    }

    #[test]
    fn softhsm_is_what_its_profile_says() {
        let essentials = Profile::parse(SOFTHSM).unwrap().essentials().unwrap();
        assert_eq!(essentials.manufacturer.as_str(), "SoftHSM project");
        assert!(essentials.algorithms.contains(KeyAlgorithm::Secp256k1));
        assert!(essentials.algorithms.contains(KeyAlgorithm::Ed25519));
        assert!(essentials.quirks.contains(Quirks::SYNC_SOFTHSM_FILES));
        assert_eq!(essentials.wrapping, Wrapping::NotClaimed);
    }

    #[test]
    fn refuses_what_it_does_not_know_and_what_cannot_be() {
        let changed = |from: &str, to: &str| {
            assert!(SOFTHSM.contains(from), "{from:?} is in the profile");
            Profile::parse(&SOFTHSM.replacen(from, to, 1)).unwrap_err()
        };
        let shape = |e| matches!(e, ProfileError::Shape(_));
        assert!(shape(changed("schema = 1", "schema = 1\nlow_ss = 1")));
        assert!(shape(changed("sync-softhsm-files", "sync-softhsm-file")));
        assert!(shape(changed("verified = \"run\"", "verified = \"yes\"")));
        assert!(matches!(
            changed("schema = 1", "schema = 2"),
            ProfileError::Schema { found: 2 }
        ));
        assert!(matches!(
            changed("firmware_max = \"2.6\"", "firmware_max = \"2.5\""),
            ProfileError::Match
        ));
        assert!(matches!(
            changed("sign = \"CKM_ECDSA\"", "sign = \"CKM_EDDSA\""),
            ProfileError::Mechanism { .. }
        ));
    }
}
