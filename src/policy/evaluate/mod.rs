//! Evaluation: what the policy and the state say of a request (`docs/semantics.md`, "Evaluate").
//!
//! Every check looks at the whole case and adds what it finds; none stops another, so that a
//! refusal lists everything, and no order means anything.

mod conflicts;
mod drain;
mod facts;
mod findings;
mod freeze;
mod grants;
mod intents;
mod limits;
mod met;
mod permit;
mod statements;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;
use tx::{Amount, ConflictKey, Decoded, Effect, Intent, IntentId, Interval, Name, Time};

use crate::{
    AttemptId, AttemptState, ChargesError, Fact, IntentState, NotRecalled, Policy, Refusal,
    RegisteredIntent, Request, RequestStatus, SignedIntent, State, Verdict, hours::InHours,
    state::Present, statement,
};
use findings::{Findings, Permitting, Spoken};
use met::{About, Approvals};

/// Decides on a request: at `now`, which is not before the state's own time, and whose transaction
/// was decoded with the state's own registry.
///
/// A request that has an unsigned attempt is taken up again: charged now, in the same conflict set.
///
/// # Errors
/// [`EvaluateError`]: what the verdict hangs on is not known, so that there is none. Of the endless sets
/// that are the rows of [`crate::RowKey::named_by`], and those that they name.
pub fn evaluate(
    state: &State,
    now: Interval,
    decoded: &Decoded,
    request: &Request,
) -> Result<Verdict, EvaluateError> {
    let Some(present) = state.present() else {
        return Ok(Verdict::Refuse(no_policy()));
    };
    let case = Case::new(state, present, now, decoded, request);
    let case = case.map_err(EvaluateError::NotRecalled)?;
    let approvals = met::approvals(&case);
    decide(case, &approvals)
}

/// As [`evaluate`], with the people who approved.
fn decide(case: Case<'_>, approvals: &Approvals<'_>) -> Result<Verdict, EvaluateError> {
    let outcome = outcome(&case, approvals).map_err(EvaluateError::Charges)?;
    Ok(match outcome {
        Ok(permitting) => Verdict::Permit(Box::new(permit::permit(case, permitting))),
        Err(verdict) => verdict,
    })
}

/// What permits the request, or the verdict that does not.
fn outcome(
    case: &Case<'_>,
    approvals: &Approvals<'_>,
) -> Result<Result<Permitting, Verdict>, ChargesError> {
    let mut findings = Findings::new(approvals);
    grants::check(case, &mut findings);
    intents::check(case, &mut findings);
    rejected(case, &mut findings);
    conflicts::check(case, &mut findings);
    statements::check(case, &mut findings);
    limits::check(case, &mut findings)?;
    drain::check(case, &mut findings);
    freeze::check(case, &mut findings);
    Ok(findings.outcome())
}

/// Why there is no verdict. Whoever decides goes on with nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// Charges that a limit hangs on are not known.
    #[error("the windows cannot be counted")]
    Charges(#[source] ChargesError),
    /// A row that it hangs on was not recalled.
    #[error("what the verdict hangs on was not recalled")]
    NotRecalled(#[source] NotRecalled),
}

/// What is decided on.
struct Case<'a> {
    state: &'a State,
    present: &'a Present,
    policy: &'a Arc<Policy>,
    lo: Time,
    hi: Time,
    hours: InHours<'a>,
    decoded: &'a Decoded,
    request: &'a Request,
    /// An earlier attempt of the same request id.
    earlier: Option<Earlier<'a>>,
    /// The conflict set, `None` for a fresh one.
    set: Option<AttemptId>,
    /// The keys that signed each intent, of those that its source asks for.
    signers: BTreeMap<&'a IntentId, BTreeSet<String>>,
    /// The intents of the request that were used before.
    intents: BTreeMap<&'a IntentId, &'a IntentState>,
    /// Attempts that conflict with the transaction, but for those of the same request: they are the same
    /// transaction.
    conflicting: BTreeMap<AttemptId, &'a AttemptState>,
    /// How many attempts a key of the transaction or an intent of the request has, at the most.
    attempts: usize,
    /// The effects, re-issues included, sorted.
    facts: Vec<Fact>,
}

/// The latest attempt of the same request id.
#[derive(Clone, Copy)]
struct Earlier<'a> {
    id: AttemptId,
    attempt: &'a AttemptState,
    status: RequestStatus,
    /// Whether it was the same request, not another under its id.
    same: bool,
}

impl<'a> Case<'a> {
    fn new(
        state: &'a State,
        present: &'a Present,
        now: Interval,
        decoded: &'a Decoded,
        request: &'a Request,
    ) -> Result<Self, NotRecalled> {
        let earlier = earlier(state, request)?;
        let lo = state.lo_of(now);
        let hi = now.hi.max(lo);
        let resumed = earlier.filter(Earlier::is_resumed);
        let set = match resumed {
            Some(resumed) => Some(resumed.attempt.set()),
            None => state.set_of(decoded.conflict_keys())?,
        };
        let intents = used(state, request)?;
        let of_intents = intents.values().map(|intent| intent.attempts().len());
        let of_keys = state.most_attempts(decoded.conflict_keys())?;
        let mut case = Self {
            attempts: of_intents.max().unwrap_or(0).max(of_keys),
            state,
            present,
            policy: &present.policy,
            lo,
            hi,
            hours: InHours::of(&present.policy.hours, Interval { lo, hi }),
            decoded,
            request,
            earlier,
            set,
            signers: signers(&present.policy, request),
            intents,
            conflicting: conflicting(state, decoded, resumed)?,
            facts: Vec::new(),
        };
        case.facts = facts::facts(&case)?;
        Ok(case)
    }

    /// The unsigned attempt that this request takes up again.
    fn resumes(&self) -> Option<Earlier<'a>> {
        self.earlier.filter(Earlier::is_resumed)
    }

    fn keys(&self) -> &'a BTreeSet<ConflictKey> {
        self.decoded.conflict_keys()
    }

    fn now(&self) -> Interval {
        let Self { lo, hi, .. } = *self;
        Interval { lo, hi }
    }

    /// What people approve of where they let the fact happen: the intent that it pays, or all that the transaction
    /// pays; the transaction, where it pays none.
    fn approved_by<'f>(&'f self, fact: &'f Fact) -> BTreeSet<About<'f>> {
        let intents = self.request.intents.iter();
        match &fact.intent {
            Some(intent) => [About::Intent(intent)].into(),
            None if self.request.intents.is_empty() => [About::Transaction].into(),
            None => intents
                .map(|signed| About::Intent(&signed.intent.id))
                .collect(),
        }
    }

    /// What an effect is worth in the reference currency, where its asset has a price now.
    fn value(&self, effect: &Effect) -> Option<Amount> {
        let rule = self.policy.attestations.prices.get(&effect.asset)?;
        let price = self.state.price(&effect.asset, self.hi).ok()?;
        Some(rule.value(effect.amount, price))
    }

    /// The intent as it is registered, where that is the same one.
    fn registered(&self, intent: &Intent) -> Option<&'a RegisteredIntent> {
        let registered = self.state.registered(&intent.id);
        registered.filter(|registered| registered.intent == *intent)
    }

    /// The people who ask for the intent by what the request brings, and by whose client brings it.
    fn requesters(&self, signed: &SignedIntent) -> BTreeSet<&'a Name> {
        let policy: &'a Policy = self.policy;
        let signers = statement::intent_signers(policy, signed);
        let client = policy.clients.get(&self.request.client).into_iter();
        let run_by = client.flat_map(|client| &client.people);
        statement::people_with(policy, &signers)
            .chain(run_by)
            .collect()
    }
}

/// What people rejected for good is signed for nobody, whatever asks for people by now.
fn rejected(case: &Case<'_>, findings: &mut Findings<'_>) {
    if let Some(entry) = case.state.transaction_rejected(case.request) {
        findings.refuse_built_in(
            crate::ReasonCode::TransactionClosed,
            format!("people rejected this very transaction for good, by entry {entry}"),
            "do not sign it; what is to be done after all is another transaction",
        );
    }
}

impl Earlier<'_> {
    fn is_resumed(&self) -> bool {
        self.same && !matches!(self.status, RequestStatus::Signed { .. })
    }
}

/// One intent twice is refused; it has the signers of all of them.
fn signers<'a>(policy: &Policy, request: &'a Request) -> BTreeMap<&'a IntentId, BTreeSet<String>> {
    let mut signers: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for signed in &request.intents {
        let of_intent = signers.entry(&signed.intent.id).or_default();
        of_intent.extend(statement::intent_signers(policy, signed));
    }
    signers
}

fn earlier<'a>(state: &'a State, request: &Request) -> Result<Option<Earlier<'a>>, NotRecalled> {
    let Some(known) = state.request(&request.client, &request.id)? else {
        return Ok(None);
    };
    let attempt = state.attempt(known.attempt)?;
    Ok(attempt.map(|attempt| Earlier {
        id: known.attempt,
        attempt,
        status: known.status,
        same: known.hash == request.hash,
    }))
}

fn used<'a>(
    state: &'a State,
    request: &'a Request,
) -> Result<BTreeMap<&'a IntentId, &'a IntentState>, NotRecalled> {
    let mut used = BTreeMap::new();
    for signed in &request.intents {
        let id = &signed.intent.id;
        let known = state.intent(id)?;
        // Whether it is a re-issue of the dead hangs on them: no verdict is to hang on what was not recalled.
        for attempt in known.map(IntentState::attempts).unwrap_or_default() {
            state.attempt(*attempt)?;
            state.fates(*attempt)?;
        }
        used.extend(known.map(|known| (id, known)));
    }
    Ok(used)
}

fn conflicting<'a>(
    state: &'a State,
    decoded: &Decoded,
    resumed: Option<Earlier<'_>>,
) -> Result<BTreeMap<AttemptId, &'a AttemptState>, NotRecalled> {
    let origin = resumed.map(|resumed| resumed.attempt.origin());
    let mut conflicting = BTreeMap::new();
    for id in state.conflicting(decoded.conflict_keys())? {
        let attempt = state.attempt(id)?;
        let attempt = attempt.ok_or(NotRecalled { kind: "attempt" })?;
        if origin != Some(attempt.origin()) {
            conflicting.insert(id, attempt);
        }
    }
    Ok(conflicting)
}

fn no_policy() -> Refusal {
    let reason = Spoken::built_in(
        crate::ReasonCode::AccountNotGranted,
        "no policy governs, so that no account is granted to anyone",
        "activate a bundle",
    );
    Refusal {
        reasons: vec![reason],
        needs: Vec::new(),
    }
}
