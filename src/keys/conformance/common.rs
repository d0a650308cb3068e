//! The cases that every kind of device must pass.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use policy::KeyPurpose;
use sha2::{Digest, Sha256};

use super::{
    Subject, facts,
    report::{Notes, Outcome},
    speed,
};
use crate::{
    key::{KeyAlgorithm, KeyId},
    profile::Profile,
    protocol::{Bytes, Failure, SignInput},
    verify,
};

/// How many inputs are signed for each algorithm: a device that never made a high `s` would be taken for one
/// that makes them with a chance of 2^-64.
const SIGNATURES: u32 = 64;
/// How many sign at once.
const AT_ONCE: usize = 8;

/// A key for the tests alone. Should there be one of this name, it is not touched: it cannot be made again.
pub(super) fn throw_away(algorithm: KeyAlgorithm) -> Result<KeyId, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    let name = format!("conformance-{algorithm}-{millis}").parse();
    let purpose = KeyPurpose::Test;
    Ok(KeyId {
        purpose,
        name: name.map_err(|_| Failure::OutOfOrder)?,
    })
}

/// The input of one number.
pub(super) fn input(algorithm: KeyAlgorithm, number: u32) -> Result<SignInput, Failure> {
    let digest: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
    match algorithm {
        KeyAlgorithm::Secp256k1 => Ok(SignInput::Digest(digest)),
        KeyAlgorithm::Ed25519 => message(&digest),
        KeyAlgorithm::Bip340 => Ok(SignInput::Bip340(digest)),
    }
}

fn message(bytes: &[u8]) -> Result<SignInput, Failure> {
    let bytes = Bytes::new(bytes).map_err(|_| Failure::OutOfOrder)?;
    Ok(SignInput::Message(bytes))
}

/// Makes a key, puts it through everything and destroys it. The token is given back, unless it is lost.
pub(super) fn try_algorithm<S: Subject>(
    token: S,
    profile: &Profile,
    key: &KeyId,
    algorithm: KeyAlgorithm,
    notes: &mut Notes,
) -> Option<S> {
    let name = |what: &str| format!("{algorithm} {what}");
    let claimed = profile.mechanism.contains_key(&algorithm);
    let made = match (token.generate(key, algorithm), claimed) {
        (Ok(made), true) => made,
        (Ok(_), false) => {
            let why = "the device makes such keys and the profile does not say so".to_owned();
            notes.case(name("generate"), Outcome::Failed(why));
            let _ = token.destroy(key);
            return Some(token);
        }
        (Err(failure), false) => {
            notes.case(name("generate"), Outcome::Refused(failure.to_string()));
            return Some(token);
        }
        (Err(failure), true) => {
            notes.case(name("generate"), Outcome::Failed(failure.to_string()));
            return Some(token);
        }
    };
    let seen = "its attributes are read back, and it signed".to_owned();
    notes.case(name("generate"), Outcome::Passed(seen));
    let many = sign(&token, &made, profile, notes);
    notes.case(name("sign"), outcome(many));
    notes.case(name("sign twice"), outcome(twice(&token, &made)));
    notes.case(name("sign at once"), outcome(at_once(&token, &made)));
    if algorithm == KeyAlgorithm::Ed25519 {
        facts::message_lengths(&token, &made, profile, notes);
    }
    token.try_further(&made, profile, notes);
    speed::measure(&token, &made, notes);
    let again = match token.reopened() {
        Ok(again) => again,
        Err(failure) => {
            notes.case(name("opened again"), Outcome::Failed(failure.to_string()));
            return None;
        }
    };
    notes.case(
        name("opened again"),
        outcome(found_again(&again, key, &made)),
    );
    notes.case(name("destroy"), outcome(destroyed(&again, key)));
    Some(again)
}

fn outcome(tried: Result<String, String>) -> Outcome {
    match tried {
        Ok(seen) => Outcome::Passed(seen),
        Err(why) => Outcome::Failed(why),
    }
}

fn said(failure: &Failure) -> String {
    failure.to_string()
}

/// Signs one input, and holds the signature to the key.
pub(super) fn signed<S: Subject>(
    token: &S,
    key: &S::Key,
    input: &SignInput,
) -> Result<Vec<u8>, String> {
    let raw = token.sign(key, input).map_err(|failure| said(&failure))?;
    verify::check(&S::public(key), input, &raw).map_err(|error| error.to_string())?;
    Ok(raw)
}

fn numbered<S: Subject>(token: &S, key: &S::Key, number: u32) -> Result<Vec<u8>, String> {
    let input = input(S::public(key).algorithm(), number).map_err(|failure| said(&failure))?;
    signed(token, key, &input)
}

fn sign<S: Subject>(
    token: &S,
    key: &S::Key,
    profile: &Profile,
    notes: &mut Notes,
) -> Result<String, String> {
    let raw: Vec<_> = (0..SIGNATURES)
        .map(|number| numbered(token, key, number))
        .collect::<Result<_, _>>()?;
    let different: BTreeSet<_> = raw.iter().collect();
    if different.len() != raw.len() {
        return Err("two inputs have one signature".to_owned());
    }
    if S::public(key).algorithm() == KeyAlgorithm::Secp256k1 {
        facts::low_s(&raw, profile, notes);
    }
    Ok(format!("{SIGNATURES} signatures verify"))
}

/// Ed25519 has one signature of a message (RFC 8032); ECDSA and BIP-340 may have any number.
fn twice<S: Subject>(token: &S, key: &S::Key) -> Result<String, String> {
    let (first, second) = (numbered(token, key, 0)?, numbered(token, key, 0)?);
    match (S::public(key).algorithm(), first == second) {
        (_, true) => Ok("the same signature".to_owned()),
        (KeyAlgorithm::Secp256k1 | KeyAlgorithm::Bip340, false) => {
            Ok("another signature, by another nonce".to_owned())
        }
        (KeyAlgorithm::Ed25519, false) => Err("two signatures of one message".to_owned()),
    }
}

fn at_once<S: Subject>(token: &S, key: &S::Key) -> Result<String, String> {
    let sessions: Vec<S> = (0..AT_ONCE)
        .map(|_| token.beside())
        .collect::<Result<_, _>>()
        .map_err(|failure| said(&failure))?;
    std::thread::scope(|scope| {
        let running: Vec<_> = (sessions.into_iter())
            .map(|session| {
                let key = key.clone();
                scope.spawn(move || {
                    (0..SIGNATURES / 2)
                        .try_for_each(|number| numbered(&session, &key, number).map(drop))
                })
            })
            .collect();
        (running.into_iter()).try_for_each(|one| match one.join() {
            Ok(outcome) => outcome,
            Err(_) => Err("a session's thread panicked".to_owned()),
        })
    })?;
    Ok(format!("{AT_ONCE} sessions, a thread each"))
}

fn found_again<S: Subject>(token: &S, key: &KeyId, made: &S::Key) -> Result<String, String> {
    let found = token.find(key).map_err(|failure| said(&failure))?;
    if S::public(&found) != S::public(made) {
        return Err("it has another public key".to_owned());
    }
    numbered(token, &found, 0)?;
    Ok("found by its label, with its public key, and it signs".to_owned())
}

fn destroyed<S: Subject>(token: &S, key: &KeyId) -> Result<String, String> {
    token.destroy(key).map_err(|failure| said(&failure))?;
    match token.find(key) {
        Err(Failure::KeyUnknown) => Ok("nothing is left of it".to_owned()),
        Err(failure) => Err(said(&failure)),
        Ok(_) => Err("it is still there".to_owned()),
    }
}

/// A message of so many bytes.
pub(super) fn message_of(bytes: usize) -> Result<SignInput, Failure> {
    let content: Vec<u8> = (0_u8..=255).cycle().take(bytes).collect();
    message(&content)
}
