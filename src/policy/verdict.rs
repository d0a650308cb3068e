//! What evaluation answers.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use tx::{Amount, Name};

use crate::{Attempt, AttemptId, AttestedNeed, Fact, Group, Location, Policy, window::GroupKey};

/// The answer to a request.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// It may not happen.
    Refuse(Refusal),
    /// It may happen once people or attesters have met these needs.
    Pending(Vec<UnmetNeed>),
    /// It may happen.
    Permit(Box<Permit>),
}

/// Everything that spoke against a request, sorted; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reasons.
    pub reasons: Vec<Reason>,
    /// What else it would wait for.
    pub needs: Vec<UnmetNeed>,
}

/// One thing that speaks against a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Its stable name.
    pub code: ReasonCode,
    /// The statement that spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Name>,
    /// Where the statement stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Location>,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// What would permit it, in a sentence.
    pub remedy: String,
}

/// The stable names of reasons: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReasonCode {
    /// The transaction was not understood; the detail begins with the codec's own code.
    Transaction,
    /// The request's id was used before: for another request, or for one that is signed.
    RequestReused,
    /// The client may not use the account.
    AccountNotGranted,
    /// Outward payments and intents do not match one to one.
    IntentMismatch,
    /// The intent was used before with other content.
    IntentReused,
    /// The intent was issued in another epoch.
    IntentEpoch,
    /// The intent has expired, or people rejected it for ever.
    IntentClosed,
    /// The source's signature is missing or wrong.
    IntentUnsigned,
    /// The client may not bring this source's intents.
    IntentSource,
    /// The fee is above what the intents allow for one attempt.
    IntentFee,
    /// An earlier attempt conflicts and was not declared.
    UndeclaredConflict,
    /// A replacement offers too little more than what it replaces.
    ReplacementFee,
    /// The sequence has a gap, lies before the start, or is too far ahead.
    Sequence,
    /// The lane is owned by a later epoch, or the epoch is skipped.
    LaneEpoch,
    /// The transaction can be included for too long.
    LivesTooLong,
    /// No allow covers an effect.
    Uncovered,
    /// A deny matches an effect.
    Denied,
    /// Value may not move between these classes of own accounts.
    Edge,
    /// The key is of an older epoch and pays to one own address alone.
    DrainOnly,
    /// What it consumes, or an intent, has as many attempts as are kept.
    TooManyAttempts,
    /// A hard limit has no room.
    Limit,
    /// Too few attesters say what an asset is worth, or none lately enough.
    Price,
    /// A number in the computation is 2^256 or more.
    Overflow,
    /// A freeze holds it, or the heartbeat is overdue.
    Frozen,
    /// People rejected this very transaction for good.
    TransactionClosed,
}

/// A requirement that is not met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnmetNeed {
    /// The statement that asks: a requirement or a limit.
    pub statement: Name,
    /// Where it stands.
    pub at: Location,
    /// How many people it needs, or attesters.
    pub threshold: u32,
    /// Who may; nobody, where attesters have to say something.
    pub people: BTreeSet<Name>,
    /// What attesters have to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attested: Option<AttestedNeed>,
}

/// A transaction that may be signed, once this is durable. Turned into the [`Attempt`] that is
/// journalled by the single writer, on the state it was computed from.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    pub(crate) attempt: Attempt,
    /// The policy that permits it.
    pub(crate) policy: Arc<Policy>,
    /// The allows that cover each fact of the attempt, by their places in the policy.
    pub(crate) covering: Vec<Vec<usize>>,
    pub(crate) spoke: Vec<Spoke>,
}

/// A limit that spoke, by its place in the policy, and what it holds with this request.
#[derive(Clone, Debug)]
pub(crate) struct Spoke {
    pub(crate) limit: usize,
    pub(crate) group: GroupKey,
    pub(crate) used: Amount,
}

impl Spoke {
    fn room(&self, policy: &Policy) -> Option<Room> {
        let limit = policy.limits.get(self.limit)?;
        Some(Room {
            limit: limit.name.clone(),
            group: self.group.shown(),
            cap: limit.says.cap,
            used: self.used,
            window_millis: limit.says.window_millis,
        })
    }
}

/// Which statements cover an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedBy {
    /// The effect.
    pub fact: Fact,
    /// The statements, and where they stand; empty for what is built in.
    pub statements: Vec<(Name, Location)>,
}

/// A limit's state for one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// The limit.
    pub limit: Name,
    /// The group, as (what, which).
    pub group: Vec<(Group, String)>,
    /// The most that the window holds.
    pub cap: Amount,
    /// What is used, this request included where there is one.
    pub used: Amount,
    /// The window's length in milliseconds.
    pub window_millis: u64,
}

impl Permit {
    /// The attempt to journal.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// Which statements cover which effect.
    pub fn allowed_by(&self) -> Vec<AllowedBy> {
        let facts = self.attempt.facts.iter().zip(&self.covering);
        let allowed = facts.map(|(fact, covering)| AllowedBy {
            fact: fact.clone(),
            statements: self.allows(covering),
        });
        allowed.collect()
    }

    fn allows(&self, places: &[usize]) -> Vec<(Name, Location)> {
        let allows = places
            .iter()
            .filter_map(|place| self.policy.allows.get(*place));
        let mut allows: Vec<_> = allows.map(|a| (a.name.clone(), a.at.clone())).collect();
        allows.sort();
        allows
    }

    /// Every limit that spoke, after this request.
    pub fn room(&self) -> Vec<Room> {
        let mut room: Vec<_> = self
            .spoke
            .iter()
            .filter_map(|spoke| spoke.room(&self.policy))
            .collect();
        room.sort();
        room
    }

    /// The attempt to journal, by value.
    pub fn into_attempt(self) -> Attempt {
        self.attempt
    }

    /// The conflict set it is charged in, `None` for a set of its own.
    pub fn set(&self) -> Option<AttemptId> {
        self.attempt.set
    }
}
