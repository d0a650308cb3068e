//! Intents: typed payments that someone asked for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{Address, Amount, Asset, Name, Time, text::serde_by_text};

/// A typed payment that someone asked for. Its first use fixes its content for ever.
///
/// In JSON `destination` is the bare address, read on the asset's chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Intent {
    /// Who asks, and under which id.
    pub id: IntentId,
    /// The signer's epoch that it was issued in: in every other it is refused.
    pub epoch: u64,
    /// What is to be paid, and on which chain.
    pub asset: Asset,
    /// How much, in base units.
    pub amount: Amount,
    /// To whom.
    pub destination: Address,
    /// The destination tag or memo, on chains that have one.
    pub tag: Option<String>,
    /// The highest fee of one attempt, in base units of the chain's native asset.
    pub max_fee: Amount,
    /// When the intent can no longer be attempted.
    pub expires: Time,
}

/// An intent's name: unique per source, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentId {
    /// The source that issues intents.
    pub source: Name,
    /// The id in that source.
    pub id: IntentKey,
}

/// The source's own id of an intent: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntentKey(String);

/// Why a text is no [`IntentKey`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("an intent's id has 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':' and '-'")]
pub struct IntentKeyError;

/// SHA-256 of an intent's canonical encoding: its content, fixed by first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntentPayload([u8; 32]);

/// The JSON form, in which the destination has no chain of its own.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    source: Name,
    id: IntentKey,
    epoch: u64,
    asset: Asset,
    amount: Amount,
    destination: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    max_fee: Amount,
    expires: Time,
}

impl Intent {
    /// The longest tag, in bytes.
    pub const TAG_LENGTH_MAX: usize = 64;

    /// The fingerprint of the whole content: equal exactly for equal intents.
    pub fn payload(&self) -> IntentPayload {
        let mut hash = Sha256::new();
        hash.update(b"strongroom-intent-v1\n");
        // Every field is preceded by its length, so that no two contents have one encoding.
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(self.id.source.as_str().as_bytes());
        field(self.id.id.as_str().as_bytes());
        field(&self.epoch.to_be_bytes());
        field(self.asset.to_string().as_bytes());
        field(&self.amount.to_be_bytes());
        field(self.destination.qualified().as_bytes());
        match &self.tag {
            None => field(b"none"),
            Some(tag) => {
                field(b"some");
                field(tag.as_bytes());
            }
        }
        field(&self.max_fee.to_be_bytes());
        field(&self.expires.millis().to_be_bytes());
        IntentPayload(hash.finalize().into())
    }
}

impl Serialize for Intent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire {
            source: self.id.source.clone(),
            id: self.id.id.clone(),
            epoch: self.epoch,
            asset: self.asset.clone(),
            amount: self.amount,
            destination: self.destination.to_string(),
            tag: self.tag.clone(),
            max_fee: self.max_fee,
            expires: self.expires,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Intent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let tag_fits = |tag: &String| {
            (1..=Self::TAG_LENGTH_MAX).contains(&tag.len())
                && tag.bytes().all(|b| b.is_ascii_graphic())
        };
        if wire.tag.as_ref().is_some_and(|tag| !tag_fits(tag)) {
            return Err(de::Error::custom(
                "a tag has 1 to 64 printable ASCII characters",
            ));
        }
        let destination =
            Address::parse(wire.asset.chain, &wire.destination).map_err(de::Error::custom)?;
        Ok(Self {
            id: IntentId {
                source: wire.source,
                id: wire.id,
            },
            epoch: wire.epoch,
            asset: wire.asset,
            amount: wire.amount,
            destination,
            tag: wire.tag,
            max_fee: wire.max_fee,
            expires: wire.expires,
        })
    }
}

impl IntentPayload {
    /// The fingerprint of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl IntentKey {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IntentKey {
    type Err = IntentKeyError;

    fn from_str(text: &str) -> Result<Self, IntentKeyError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(IntentKeyError)
        }
    }
}

impl fmt::Display for IntentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.source, self.id)
    }
}

impl fmt::Display for IntentPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for IntentPayload {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

serde_by_text!(IntentKey, "an intent's id");
serde_by_text!(IntentPayload, "64 hexadecimal digits");
