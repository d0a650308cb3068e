//! Intents that clients registered for people to approve, and what people said of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tx::{Intent, IntentId, Interval, Name, Time};

use super::{
    IntentState, State, StateError,
    decided::{
        Counted, DECIDED_MAX, Decided, NEED_BYTES, NEEDS_MAX, Shown, Word, approving, closes,
        decide, has_heard, said_count, weight_of_said,
    },
};
use crate::{
    Digest, IntentDecided, IntentRegistered, Need, Policy, Requirement, SignedIntent,
    approval::{Approval, Says},
    passkey::Assertion,
    requirement::requirements,
    statement::{StatementError, intent_signed, intent_signers, people_with},
};

/// An intent that people are to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredIntent {
    /// The entry that registered it.
    pub entry: u64,
    /// When, as `lo`.
    pub at: Time,
    /// Who registered it.
    pub client: Name,
    /// The intent.
    pub intent: Intent,
    /// The keys of the source's signers that signed it.
    pub signers: BTreeSet<String>,
    /// The needs that could ask for people when it was registered.
    pub needs: BTreeSet<Digest>,
    /// What people said, by need.
    pub decided: BTreeMap<Digest, BTreeMap<Name, Decided>>,
    /// The last entry by which somebody rejected it, 0 where nobody did: an approval answers it.
    #[serde(default, skip_serializing_if = "super::hot::is_zero")]
    pub rejected: u64,
    /// The entry by which it was closed for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<u64>,
}

/// The most that a need or a client has registered at the same time.
const OF_A_CLIENT_AND_NEED_MAX: usize = 1_024;
const OF_A_CLIENT_MAX: usize = 2_048;
/// The most bytes that all of them take, with what people say of them: less than the hot state may.
const ALL_BYTES_MAX: usize = 10 * 1024 * 1024;
/// What an intent takes at the most, without its needs and what is said of it.
const INTENT_BYTES: usize = 1_024;
/// What people say has room of its own: who registers cannot keep them from it.
const SAID_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an intent holds its place at the least, though it expires: it bounds how many there can ever be.
const PLACE_MILLIS: u64 = 60 * 60 * 1000;
/// How long it does if it does not expire and nobody says anything of it. It can be registered again.
const UNHEARD_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

impl RegisteredIntent {
    /// The people who may not approve it: it is they who ask for it.
    pub fn requesters<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = &'p Name> {
        let client = policy.clients.get(&self.client).into_iter();
        let run_by = client.flat_map(|client| &client.people);
        people_with(policy, &self.signers).chain(run_by)
    }

    /// Who approved it for the need, of those who count at `now`: everybody who has said so for as long as the
    /// need wants, unless someone rejects it.
    pub fn approving(&self, policy: &Policy, need: &Need, now: Interval) -> BTreeSet<Name> {
        let requesters = self.requesters(policy).collect();
        approving(&self.decided, &requesters, (policy, need), now)
    }

    /// Whether it is kept at a `lo`: until all that was said of it has ended.
    pub fn holds_place(&self, lo: Time) -> bool {
        let said = self.decided.values().flat_map(BTreeMap::values);
        let unheard = self.at.after_millis(UNHEARD_MILLIS);
        let last = said.map(|one| one.expires).fold(unheard, Time::max);
        let least = self.at.after_millis(PLACE_MILLIS);
        lo <= last.min(self.intent.expires).max(least)
    }

    /// How many bytes it takes, at the most.
    fn weight(&self) -> usize {
        weight(&self.needs, &self.signers).saturating_add(weight_of_said(&self.decided))
    }

    fn decide(&mut self, entry: u64, now: Interval, said: &IntentDecided) {
        if said.says == Says::Reject {
            self.rejected = entry;
        }
        if said.closes {
            self.closed_by.get_or_insert(entry);
        }
        decide(&mut self.decided, (entry, now), &word(said));
    }
}

fn word(said: &IntentDecided) -> Word<'_> {
    Word {
        need: said.need,
        says: said.says,
        expires: said.expires,
        signed_by: &said.signed_by,
    }
}

/// What an intent takes before anything is said of it.
fn weight(needs: &BTreeSet<Digest>, signers: &BTreeSet<String>) -> usize {
    let keys = signers.iter().map(|key| key.len().saturating_add(8));
    let needs = NEED_BYTES.saturating_mul(needs.len());
    [INTENT_BYTES, needs, keys.sum()].into_iter().sum()
}

impl State {
    /// An intent that is registered.
    pub fn registered(&self, id: &IntentId) -> Option<&RegisteredIntent> {
        self.registered.get(id)
    }

    /// Every intent that is registered.
    pub fn all_registered(&self) -> impl Iterator<Item = &RegisteredIntent> {
        self.registered.values()
    }

    /// The needs that may ask for people before the intent is paid, by their fingerprints; none without a
    /// policy.
    pub fn requirements(&self, intent: &Intent) -> BTreeMap<Digest, Requirement> {
        let present = self.present.as_ref();
        present.map_or_else(BTreeMap::new, |present| requirements(present, intent))
    }

    /// The entry that registers an intent now; `None` without a policy.
    pub fn registering(&self, client: &Name, signed: &SignedIntent) -> Option<IntentRegistered> {
        let policy = self.policy()?;
        Some(IntentRegistered {
            client: client.clone(),
            signers: intent_signers(policy, signed),
            needs: self.requirements(&signed.intent).into_keys().collect(),
            signed: signed.clone(),
        })
    }

    /// The entry that says what people said of an intent.
    ///
    /// # Errors
    /// [`StateError`] where it would count for nothing.
    pub fn deciding(
        &self,
        intent: &IntentId,
        statement: &str,
        signatures: &str,
    ) -> Result<IntentDecided, StateError> {
        self.said(intent, statement, Shown::Signatures(signatures))
    }

    /// The entry that says what somebody said of an intent by a passkey.
    ///
    /// # Errors
    /// [`StateError`] where it would count for nothing.
    pub fn deciding_by_passkey(
        &self,
        intent: &IntentId,
        statement: &str,
        passkey: &Assertion,
    ) -> Result<IntentDecided, StateError> {
        self.said(intent, statement, Shown::Passkey(passkey))
    }

    fn said(
        &self,
        intent: &IntentId,
        statement: &str,
        shown: Shown<'_>,
    ) -> Result<IntentDecided, StateError> {
        let said = Approval::parse(statement).map_err(StateError::Unseal)?;
        let registered = self.open_intent(intent)?;
        let policy = self.policy().ok_or(StateError::NotRegistered)?;
        let need = self.need_of(registered, said.need)?;
        let by = Counted::of(registered.requesters(policy), policy, &need);
        let signed_by = by.signed((statement, Approval::NAMESPACE), shown)?;
        let (signatures, passkey) = match shown {
            Shown::Signatures(signatures) => (signatures.into(), None),
            Shown::Passkey(passkey) => (String::new(), Some(passkey.clone())),
        };
        Ok(IntentDecided {
            intent: intent.clone(),
            need: said.need,
            says: said.says,
            expires: said.expires,
            closes: closes(&need, said.says),
            statement: statement.into(),
            signatures,
            passkey,
            signed_by,
        })
    }

    fn open_intent(&self, id: &IntentId) -> Result<&RegisteredIntent, StateError> {
        let registered = self.registered.get(id).ok_or(StateError::NotRegistered)?;
        match registered.closed_by {
            None => Ok(registered),
            Some(_) => Err(StateError::IntentClosed { intent: id.clone() }),
        }
    }

    fn need_of(&self, registered: &RegisteredIntent, need: Digest) -> Result<Need, StateError> {
        let mut requirements = self.requirements(&registered.intent);
        let requirement = requirements.remove(&need);
        requirement
            .map(|requirement| requirement.need)
            .ok_or(StateError::NotAsked { need })
    }

    pub(super) fn register_intent(&mut self, entry: u64, at: Time, registered: &IntentRegistered) {
        let IntentRegistered {
            client,
            signed,
            signers,
            needs,
        } = registered.clone();
        let intent = signed.intent;
        self.registered.retain(|_, known| known.holds_place(at));
        // As its first use would: what is approved is what is paid, whenever that is.
        let first = || IntentState {
            payload: intent.payload(),
            anchors: Box::default(),
            attempts: Vec::new(),
            expires: intent.expires,
        };
        self.intents.entry(intent.id.clone()).or_insert_with(first);
        let registered = RegisteredIntent {
            entry,
            at,
            client,
            intent,
            signers,
            needs,
            decided: BTreeMap::new(),
            rejected: 0,
            closed_by: None,
        };
        self.registered
            .insert(registered.intent.id.clone(), registered);
    }

    pub(super) fn decide_intent(&mut self, entry: u64, now: Interval, said: &IntentDecided) {
        if let Some(registered) = self.registered.get_mut(&said.intent) {
            registered.decide(entry, now, said);
        }
        // The row remembers it for ever, as an intent that ended before it expires.
        if let Some(intent) = self.intents.get_mut(&said.intent).filter(|_| said.closes) {
            intent.expires = intent.expires.min(now.lo).before_millis(1);
        }
    }

    pub(super) fn validate_registered(
        &self,
        now: Interval,
        registered: &IntentRegistered,
    ) -> Result<(), StateError> {
        let intent = &registered.signed.intent;
        let id = || intent.id.clone();
        let known = self.intent(&intent.id).map_err(StateError::NotRecalled)?;
        if known.is_some_and(|known| known.payload() != intent.payload()) {
            return Err(StateError::Intent { intent: id() });
        }
        if known.is_some_and(|known| known.is_closed(intent.expires)) {
            return Err(StateError::IntentClosed { intent: id() });
        }
        if let Some(known) = self.registered.get(&intent.id)
            && known.holds_place(now.lo)
        {
            return Err(StateError::RegisteredAlready { entry: known.entry });
        }
        if intent.epoch != self.epoch() {
            return Err(StateError::IntentEpoch { intent: id() });
        }
        let expires = intent.expires;
        if now.hi > expires {
            return Err(StateError::IntentExpires { expires });
        }
        self.has_place(now.lo, registered)?;
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let source = policy.sources.get(&intent.id.source);
        if source.is_none_or(|source| !source.clients.contains(&registered.client)) {
            return Err(StateError::IntentSource { intent: id() });
        }
        if !intent_signed(policy, &registered.signed) {
            return Err(StateError::IntentUnsigned { intent: id() });
        }
        match self.registering(&registered.client, &registered.signed) {
            Some(expected) if expected == *registered => Ok(()),
            _ => Err(StateError::Statement),
        }
    }

    /// Every place is bounded, so that one client leaves places to the others.
    fn has_place(&self, lo: Time, asked: &IntentRegistered) -> Result<(), StateError> {
        let full = |most: usize| Err(StateError::IntentsFull { most });
        let held = || self.registered.values().filter(|one| one.holds_place(lo));
        let of_client = || held().filter(|one| one.client == asked.client);
        if asked.needs.len() > NEEDS_MAX {
            return full(NEEDS_MAX);
        }
        let all = held().map(RegisteredIntent::weight).sum::<usize>();
        let asked_for = weight(&asked.needs, &asked.signers);
        if all.saturating_add(asked_for) > ALL_BYTES_MAX {
            return full(held().count());
        }
        if of_client().count() >= OF_A_CLIENT_MAX {
            return full(OF_A_CLIENT_MAX);
        }
        let is_full = |need: &Digest| {
            of_client().filter(|one| one.needs.contains(need)).count() >= OF_A_CLIENT_AND_NEED_MAX
        };
        match asked.needs.iter().any(is_full) {
            true => full(OF_A_CLIENT_AND_NEED_MAX),
            false => Ok(()),
        }
    }

    /// By what it says and by whom it is signed: the text is rendered anew, and must be the same to the byte.
    pub(super) fn validate_decided(
        &self,
        now: Interval,
        decided: &IntentDecided,
    ) -> Result<(), StateError> {
        let said = Approval::parse(&decided.statement).map_err(StateError::Unseal)?;
        let registered = self.open_intent(&decided.intent)?;
        if decided.closes {
            self.intent(&decided.intent)
                .map_err(StateError::NotRecalled)?;
        }
        if (said.need, said.says, said.expires) != (decided.need, decided.says, decided.expires) {
            return Err(StateError::Statement);
        }
        if said.rejected_before != registered.rejected {
            let last = registered.rejected;
            return Err(StateError::Rejected { last });
        }
        if has_heard(&registered.decided, &word(decided)) {
            return Err(StateError::SaidAlready);
        }
        if now.hi > registered.intent.expires {
            let expires = registered.intent.expires;
            return Err(StateError::IntentExpires { expires });
        }
        let refuse = |error| Err(StateError::Unseal(error));
        if now.hi > said.expires {
            return refuse(StatementError::Expired(said.expires));
        }
        let count = said_count(&registered.decided);
        if count.saturating_add(decided.signed_by.len()) > DECIDED_MAX {
            return Err(StateError::IntentsFull { most: DECIDED_MAX });
        }
        let all = self.registered.values().map(RegisteredIntent::weight);
        if all.sum::<usize>() > ALL_BYTES_MAX.saturating_add(SAID_BYTES_MAX) {
            return Err(StateError::IntentsFull { most: count });
        }
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let need = self.need_of(registered, said.need)?;
        if said.expires.millis_since(now.lo) > need.valid_millis {
            return refuse(StatementError::Expires(said.expires));
        }
        if said.text(policy, &registered.intent).as_ref() != Some(&decided.statement) {
            return Err(StateError::Rendered);
        }
        let by = Counted::of(registered.requesters(policy), policy, &need);
        let text = (decided.statement.as_str(), Approval::NAMESPACE);
        let signed_by = by.signed(text, Shown::of(decided)?)?;
        let closes = closes(&need, said.says);
        match signed_by == decided.signed_by && closes == decided.closes {
            true => Ok(()),
            false => Err(StateError::Statement),
        }
    }
}
