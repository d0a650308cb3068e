//! What people said of something that is registered: what counts of it, and whose word it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tx::{Interval, Name, Time};

use super::StateError;
use crate::{
    Digest, IntentDecided, Need, Passkeys, Person, Policy, Rejection,
    approval::Says,
    passkey::{Answered, Assertion},
    statement::{Signatures, StatementError, bare},
};

/// What a need of something registered takes in the hot state at the most.
pub(super) const NEED_BYTES: usize = 160;
/// What one person's word takes, without the key.
const DECIDED_BYTES: usize = 384;
/// The most needs that one thing may wait for.
pub(super) const NEEDS_MAX: usize = 64;
/// The most that people say of one thing, as one for each need and person.
pub(super) const DECIDED_MAX: usize = 512;

/// What one person said last of an intent or a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The entry.
    pub entry: u64,
    /// What.
    pub says: Says,
    /// Since when the person has said so without a break, as `lo`.
    pub since: Time,
    /// When it holds no longer.
    pub expires: Time,
    /// The key that it was signed with.
    pub key: String,
}

/// What an entry says that people said.
pub(super) struct Word<'a> {
    pub(super) need: Digest,
    pub(super) says: Says,
    pub(super) expires: Time,
    pub(super) signed_by: &'a BTreeMap<Name, String>,
}

/// Who approved for the need, of those who count at `now`: everybody but those who ask who has said so for as
/// long as the need wants, unless someone rejects.
pub(super) fn approving(
    decided: &BTreeMap<Digest, BTreeMap<Name, Decided>>,
    requesters: &BTreeSet<&Name>,
    (policy, need): (&Policy, &Need),
    now: Interval,
) -> BTreeSet<Name> {
    let Some(decided) = decided.get(&need.fingerprint()) else {
        return BTreeSet::new();
    };
    if decided.values().any(|one| one.says == Says::Reject) {
        return BTreeSet::new();
    }
    let counts = |(person, one): &(&Name, &Decided)| {
        need.people.contains(*person)
            && !requesters.contains(person)
            && is_of(policy, person, &one.key)
            && one.expires >= now.hi
            && one.since.after_millis(need.delay_millis) <= now.lo
    };
    let counted = decided.iter().filter(counts);
    counted.map(|(person, _)| person.clone()).collect()
}

/// Whether everybody has said so already, and for as long.
pub(super) fn has_heard(
    decided: &BTreeMap<Digest, BTreeMap<Name, Decided>>,
    said: &Word<'_>,
) -> bool {
    let decided = decided.get(&said.need);
    said.signed_by.iter().all(|(person, key)| {
        let before = decided.and_then(|decided| decided.get(person));
        before.is_some_and(|one| {
            one.says == said.says && one.key == *key && one.expires >= said.expires
        })
    })
}

/// How much was said.
pub(super) fn said_count(decided: &BTreeMap<Digest, BTreeMap<Name, Decided>>) -> usize {
    decided.values().map(BTreeMap::len).sum()
}

/// What it takes, at the most.
pub(super) fn weight_of_said(decided: &BTreeMap<Digest, BTreeMap<Name, Decided>>) -> usize {
    let said = decided.values().flat_map(BTreeMap::values);
    let said = said.map(|one| one.key.len().saturating_add(DECIDED_BYTES));
    let needs = NEED_BYTES.saturating_mul(decided.len());
    needs.saturating_add(said.sum())
}

/// Adds what the entry says.
pub(super) fn decide(
    decided: &mut BTreeMap<Digest, BTreeMap<Name, Decided>>,
    (entry, now): (u64, Interval),
    said: &Word<'_>,
) {
    let decided = decided.entry(said.need).or_default();
    for (person, key) in said.signed_by {
        let before = decided.get(person);
        // Who approves again before the first approval has ended does not begin to wait anew.
        let unbroken =
            before.filter(|one| one.says == said.says && one.expires >= now.hi && one.key == *key);
        let one = Decided {
            entry,
            says: said.says,
            since: unbroken.map_or(now.lo, |one| one.since),
            expires: unbroken.map_or(said.expires, |one| one.expires.max(said.expires)),
            key: key.clone(),
        };
        decided.insert(person.clone(), one);
    }
}

/// Whether a key is still the person's: what was signed with one that was taken away counts no more.
fn is_of(policy: &Policy, person: &Name, key: &str) -> bool {
    let person = policy.people.get(person);
    person.is_some_and(|person| {
        let mut passkeys = person.passkeys.iter();
        person.keys.iter().any(|known| bare(known) == key)
            || passkeys.any(|known| known.as_str() == key)
    })
}

/// What shows whose word a statement is.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// Armoured SSH signatures.
    Signatures(&'a str),
    /// One passkey's assertion.
    Passkey(&'a Assertion),
}

impl<'a> Shown<'a> {
    /// One of the two: signatures beside an assertion would be two things said in one entry.
    pub(super) fn of(decided: &'a IntentDecided) -> Result<Self, StateError> {
        match &decided.passkey {
            None => Ok(Self::Signatures(&decided.signatures)),
            Some(passkey) if decided.signatures.is_empty() => Ok(Self::Passkey(passkey)),
            Some(_) => Err(StateError::Statement),
        }
    }
}

/// Whether a rejection for the need closes for ever.
pub(super) fn closes(need: &Need, says: Says) -> bool {
    says == Says::Reject && need.rejection == Rejection::Final
}

/// The people of a need whose word counts: all but those who ask for it themselves.
pub(super) struct Counted<'a> {
    policy: &'a Policy,
    need: &'a Need,
    people: BTreeMap<&'a Name, &'a Person>,
}

impl<'a> Counted<'a> {
    pub(super) fn of(
        requesters: impl Iterator<Item = &'a Name>,
        policy: &'a Policy,
        need: &'a Need,
    ) -> Self {
        let requesters: BTreeSet<&Name> = requesters.collect();
        let people = need.people.iter();
        let people = people.filter(|person| !requesters.contains(person));
        let people = people.filter_map(|name| Some((name, policy.people.get(name)?)));
        Self {
            policy,
            need,
            people: people.collect(),
        }
    }

    /// Those who signed the text in the namespace, each with the key that did.
    pub(super) fn signed(
        &self,
        (text, namespace): (&str, &str),
        shown: Shown<'_>,
    ) -> Result<BTreeMap<Name, String>, StateError> {
        let people = self.people.iter();
        let signed: BTreeMap<Name, String> = match shown {
            Shown::Signatures(signatures) => {
                let signatures = Signatures::parse(signatures)
                    .map_err(|error| StateError::Unseal(StatementError::Signatures(error)))?;
                let by_key = |(name, person): (&&Name, &&Person)| {
                    let mut keys = person.keys.iter();
                    let key = keys.find(|key| signatures.has(text, namespace, key))?;
                    Some(((*name).clone(), bare(key).to_owned()))
                };
                people.filter_map(by_key).collect()
            }
            Shown::Passkey(assertion) => {
                let answered = answered(assertion, text, self.policy, self.need)?;
                let by_key = |(name, person): (&&Name, &&Person)| {
                    let mut keys = person.passkeys.iter();
                    let key = keys.find(|key| answered.is_by(key))?;
                    Some(((*name).clone(), key.to_string()))
                };
                // One assertion is one person's.
                let mut people = people;
                people.find_map(by_key).into_iter().collect()
            }
        };
        match signed.is_empty() {
            true => Err(StateError::NobodyCounts {
                people: self.need.people.clone(),
            }),
            false => Ok(signed),
        }
    }
}

/// A passkey's assertion over the text, by the approval page, where the need counts passkeys.
fn answered(
    assertion: &Assertion,
    text: &str,
    policy: &Policy,
    need: &Need,
) -> Result<Answered, StateError> {
    let counts = need.passkeys == Passkeys::Count;
    let page = policy.approval_page.as_ref().filter(|_| counts);
    let need = need.fingerprint();
    let page = page.ok_or(StateError::PasskeysRefused { need })?;
    assertion.answers(text, page).map_err(StateError::Assertion)
}
