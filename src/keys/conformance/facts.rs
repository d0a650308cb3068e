//! What the profile says, beside what was seen.

use serde::Serialize;

use super::{
    Subject,
    common::{message_of, signed},
    report::{Fact, Notes},
};
use crate::profile::{self, Limit, LowS, NoLimit, Profile};

/// Messages of these lengths are signed with Ed25519; the last is the longest that is ever sent.
const MESSAGES: [usize; 13] = [0, 1, 31, 32, 33, 64, 255, 256, 1023, 1024, 2047, 2048, 3072];

/// The upper half of a scalar: `s` above it is high. The order of secp256k1, halved (SEC 2, 2.4.1).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// A value as the profile's file has it.
fn word(value: &impl Serialize) -> String {
    match toml::Value::try_from(value) {
        Ok(toml::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// A fact that was seen.
pub(super) fn seen<T: Serialize + PartialEq>(
    field: &'static str,
    fact: &profile::Fact<T>,
    seen: &T,
    how: &str,
    notes: &mut Notes,
) {
    let value = word(seen);
    notes.fact(Fact {
        field,
        claimed: word(&fact.value),
        verified: fact.verified,
        seen: Some(match how {
            "" => value,
            how => format!("{value} ({how})"),
        }),
        agrees: *seen == fact.value,
    });
}

/// What no run can tell, or none that does no harm.
pub(super) fn not_run(profile: &Profile) -> Vec<Fact> {
    let unseen = |field, claimed, verified| Fact {
        field,
        claimed,
        verified,
        seen: None,
        agrees: true,
    };
    let Profile {
        minimum_safe_firmware,
        wrapping,
        attestation,
        log,
        bip340,
        least_credential,
        pin_attempts,
        ..
    } = profile;
    vec![
        unseen(
            "minimum_safe_firmware",
            minimum_safe_firmware.value.to_string(),
            minimum_safe_firmware.verified,
        ),
        unseen("wrapping", word(&wrapping.value), wrapping.verified),
        unseen(
            "attestation",
            word(&attestation.value),
            attestation.verified,
        ),
        unseen("log", word(&log.value), log.verified),
        unseen("bip340", word(&bip340.value), bip340.verified),
        unseen(
            "least_credential",
            word(&least_credential.value),
            least_credential.verified,
        ),
        unseen(
            "pin_attempts",
            word(&pin_attempts.value),
            pin_attempts.verified,
        ),
    ]
}

/// Whether there were signatures with a high `s`, of those that the device made (r and s, 64 bytes).
pub(super) fn low_s(raw: &[Vec<u8>], profile: &Profile, notes: &mut Notes) {
    let is_high = |raw: &&Vec<u8>| raw.get(32..).is_some_and(|s| s > HALF_ORDER.as_slice());
    let high = raw.iter().filter(is_high).count();
    let value = match high {
        0 => LowS::AlwaysLow,
        _ => LowS::Normalise,
    };
    let how = format!("{high} of {} with a high s", raw.len());
    seen("low_s", &profile.low_s, &value, &how, notes);
}

/// The longest message that is signed, of those that are ever sent.
pub(super) fn message_lengths<S: Subject>(
    token: &S,
    key: &S::Key,
    profile: &Profile,
    notes: &mut Notes,
) {
    let tried = MESSAGES.map(|bytes| {
        let signature = message_of(bytes)
            .map_err(|failure| failure.to_string())
            .and_then(|message| signed(token, key, &message));
        (bytes, signature)
    });
    let refused = tried.iter().find(|(_, signature)| signature.is_err());
    let fact = &profile.message_bytes_max;
    let (value, how) = match (refused, fact.value) {
        (None, _) => {
            let longest = MESSAGES.iter().max().copied().unwrap_or_default();
            (
                Limit::Word(NoLimit::None),
                format!("all up to {longest} bytes"),
            )
        }
        // A limit is as it says when all up to it are signed and the next longer one is not.
        (Some((bytes, _)), Limit::At(limit)) if is_between(*bytes, limit) => {
            (Limit::At(limit), format!("{bytes} bytes are refused"))
        }
        (Some((bytes, why)), _) => {
            let below = u32::try_from(bytes.saturating_sub(1)).unwrap_or(u32::MAX);
            let why = why.as_ref().err().cloned().unwrap_or_default();
            (Limit::At(below), format!("{bytes} bytes: {why}"))
        }
    };
    seen("message_bytes_max", fact, &value, &how, notes);
}

/// Whether the first length that is refused is the first one above the limit.
fn is_between(refused: usize, limit: u32) -> bool {
    let above = |bytes: &&usize| u32::try_from(**bytes).is_ok_and(|bytes| bytes > limit);
    MESSAGES.iter().find(above) == Some(&refused)
}
