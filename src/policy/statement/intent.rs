//! Intents whose source signs them outside the coordinator.

use std::{collections::BTreeSet, fmt::Write as _};

use tx::{Intent, Name};

use super::{Answers, Header, Kind, Signatures, bare};
use crate::{Policy, SignedIntent};

/// The text that a source's signer signs: the header, which holds the hash of the whole content,
/// and the content in lines for people.
pub fn intent_text(fleet: &Name, intent: &Intent) -> String {
    let mut text = intent_header(fleet, intent).to_string();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {value}");
    };
    line("source", &intent.id.source);
    line("id", &intent.id.id);
    line("epoch", &intent.epoch);
    line("asset", &intent.asset);
    line("amount", &intent.amount);
    line("destination", &intent.destination);
    match &intent.tag {
        Some(tag) => line("tag", tag),
        None => line("no", &"tag"),
    }
    line("max-fee", &intent.max_fee);
    line("expires", &intent.expires);
    text
}

/// Whether one of the signatures over `intent`, for `fleet`, is by one of the keys.
pub fn verify_intent<'a>(
    fleet: &Name,
    signed: &SignedIntent,
    mut keys: impl Iterator<Item = &'a String>,
) -> bool {
    let Ok(signatures) = Signatures::parse_all(&signed.signatures) else {
        return false;
    };
    let text = intent_text(fleet, &signed.intent);
    let namespace = intent_header(fleet, &signed.intent).namespace();
    keys.any(|key| signatures.has(&text, &namespace, key))
}

/// The keys of the intent's source that have signed it, whatever was asked of their signatures. None of a
/// source without signers, and of one that the policy does not name.
pub(crate) fn intent_signers(policy: &Policy, signed: &SignedIntent) -> BTreeSet<String> {
    let source = policy.sources.get(&signed.intent.id.source);
    let signers = source.map(|source| &source.signers);
    let Some(signers) = signers.filter(|signers| !signers.is_empty()) else {
        return BTreeSet::new();
    };
    let Ok(signatures) = Signatures::parse_all(&signed.signatures) else {
        return BTreeSet::new();
    };
    let text = intent_text(&policy.fleet, &signed.intent);
    let namespace = intent_header(&policy.fleet, &signed.intent).namespace();
    let keys = signers.iter();
    keys.filter(|key| signatures.has(&text, &namespace, key))
        .map(|key| bare(key).to_owned())
        .collect()
}

/// Whether the intent's source has no signers, or one of them has signed it. False for a source
/// that the policy does not name.
pub fn intent_signed(policy: &Policy, signed: &SignedIntent) -> bool {
    match policy.sources.get(&signed.intent.id.source) {
        None => false,
        Some(source) if source.signers.is_empty() => true,
        Some(source) => verify_intent(&policy.fleet, signed, source.signers.iter()),
    }
}

fn intent_header(fleet: &Name, intent: &Intent) -> Header {
    Header {
        kind: Kind::Intent,
        version: 1,
        fleet: fleet.clone(),
        answers: Answers::Intent(intent.payload()),
    }
}
