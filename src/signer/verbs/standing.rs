//! How something stands that people approve: a need of it, who said what, and the texts to sign.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    intents::{IntentNeed, PersonDecided},
    problem::{Problem, ProblemKind},
};
use policy::{AskedBy, Decided, Digest, Requirement, StateError, approval::Says};
use tx::{Interval, Name, Time};

use crate::log::chain;

/// The longest signatures that an entry holds, in bytes.
pub const SIGNATURES_MAX_BYTES: usize = 32 * 1024;

/// What people said of one thing.
pub struct Standing<'a> {
    /// By need.
    pub decided: &'a BTreeMap<Digest, BTreeMap<Name, Decided>>,
    /// Now.
    pub time: Interval,
    /// Whose approvals count for a need at a time.
    pub approving: &'a dyn Fn(&policy::Need, Interval) -> BTreeSet<Name>,
}

impl Standing<'_> {
    /// The statements whose people are not enough.
    pub fn unmet(&self, requirements: &BTreeMap<Digest, Requirement>) -> Vec<String> {
        let unmet = requirements.values().filter(|one| {
            let approving = (self.approving)(&one.need, self.time);
            u32::try_from(approving.len()).is_ok_and(|count| count < one.need.threshold)
        });
        unmet.flat_map(|one| &one.asked_by).map(asked_by).collect()
    }

    /// A need, with the two texts.
    pub fn need(&self, requirement: &Requirement, text: impl Fn(Says) -> String) -> IntentNeed {
        let need = &requirement.need;
        let counted = (self.approving)(need, self.time);
        let decided = self.decided.get(&need.fingerprint());
        let decided = decided.into_iter().flatten();
        IntentNeed {
            fingerprint: need.fingerprint().to_string(),
            asked_by: requirement.asked_by.iter().map(asked_by).collect(),
            threshold: need.threshold,
            people: texts(&need.people),
            delay_secs: need.delay_millis / 1_000,
            valid_secs: need.valid_millis / 1_000,
            rejection: need.rejection.as_str().into(),
            passkeys: need.passkeys.as_str().into(),
            decided: decided.map(said).collect(),
            counted: texts(&counted),
            enough_from: self.enough_from(need),
            approve: text(Says::Approve),
            reject: text(Says::Reject),
        }
    }

    /// When the delay has passed of as many approvals as are needed: of those that hold now.
    fn enough_from(&self, need: &policy::Need) -> Option<Time> {
        let far = Interval {
            lo: Time::from_millis(u64::MAX),
            hi: self.time.hi,
        };
        let approving = (self.approving)(need, far);
        let decided = self.decided.get(&need.fingerprint())?;
        let since = approving.iter().filter_map(|person| decided.get(person));
        let mut since: Vec<Time> = since.map(|one| one.since).collect();
        since.sort();
        let before = usize::try_from(need.threshold).ok()?.checked_sub(1)?;
        let last = since.into_iter().nth(before)?;
        Some(last.after_millis(need.delay_millis))
    }
}

/// The problem of what people said and what counts for nothing.
pub fn of_state(error: &StateError) -> Problem {
    match error {
        StateError::NotRegistered => {
            Problem::new(ProblemKind::NotFound, format!("{}.", chain(error)))
        }
        _ => refused(chain(error)).at("statement"),
    }
}

/// The problem of a statement, and why.
pub fn refused(why: String) -> Problem {
    Problem::new(ProblemKind::StatementRefused, format!("{why}."))
}

/// Signatures in one text, unless they are too long for an entry.
///
/// # Errors
/// A problem where they are.
pub fn joined(signatures: &[String]) -> Result<String, Problem> {
    let signatures = signatures.concat();
    if signatures.len() > SIGNATURES_MAX_BYTES {
        let detail = format!("they have more than {SIGNATURES_MAX_BYTES} bytes");
        return Err(refused(detail).at("signatures"));
    }
    Ok(signatures)
}

fn asked_by(statement: &AskedBy) -> String {
    match statement {
        AskedBy::Require(name) => format!("require {name}"),
        AskedBy::Limit(name) => format!("limit {name}"),
        AskedBy::Evacuate(name) => format!("evacuate {name}"),
        other => format!("{other:?}"),
    }
}

fn said((person, decided): (&Name, &Decided)) -> PersonDecided {
    PersonDecided {
        person: person.to_string(),
        says: decided.says.to_string(),
        entry: decided.entry,
        since: decided.since,
        expires: decided.expires,
    }
}

/// Names as texts.
pub fn texts<'a>(names: impl IntoIterator<Item = &'a Name>) -> Vec<String> {
    names.into_iter().map(ToString::to_string).collect()
}
