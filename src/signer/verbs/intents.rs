//! `/v1/intents`: intents that people approve, the texts that they sign, and what they said.

use std::collections::BTreeSet;

use api::{
    intents::{ApprovalRequest, IntentAnswer, IntentUnit, IntentsAnswer, LISTED_MAX, ListedIntent},
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{SIGNATURES_MAX, SignedIntent},
};
use hyper::StatusCode;
use policy::{
    Need, Policy, RegisteredIntent, State, StateError,
    approval::{Approval, Known, Says},
    passkey::Assertion,
};
use tx::{IntentId, Interval, Name};

use super::standing::{SIGNATURES_MAX_BYTES, Standing, joined, of_state, refused, texts};
use crate::{
    log::chain,
    service::{Service, ask},
};

/// Registers an intent, once: the same one again is answered as it stands.
///
/// # Errors
/// A problem that says why it is not registered.
pub async fn register(
    service: &Service,
    client: &Name,
    body: SignedIntent,
) -> Result<Answer, Problem> {
    let id = body.intent.id.clone();
    let bytes: usize = body.signatures.iter().map(String::len).sum();
    if body.signatures.len() > SIGNATURES_MAX || bytes > SIGNATURES_MAX_BYTES {
        let detail =
            format!("There are more than {SIGNATURES_MAX} or {SIGNATURES_MAX_BYTES} bytes.");
        return Err(Problem::new(ProblemKind::Malformed, detail).at("signatures"));
    }
    let signed = policy::SignedIntent {
        intent: body.intent,
        signatures: body.signatures,
    };
    if is_registered(service, &signed) {
        return intent(service, client, &id);
    }
    let registering = {
        let state = service.journal.state();
        state.registering(client, &signed)
    };
    let registering = registering.ok_or_else(super::no_policy)?;
    let taken = ask(|reply| service.journal.register_intent(registering, reply)).await?;
    let entry = match taken {
        Ok(entry) => Some(entry),
        Err(StateError::RegisteredAlready { .. }) => None,
        Err(error) => {
            let detail = format!("{}.", chain(&error));
            return Err(Problem::new(ProblemKind::IntentRefused, detail));
        }
    };
    match is_registered(service, &signed) {
        true => changed(service, client, &id, entry),
        false => {
            let detail = "The id stands for an intent with another content.";
            Err(Problem::new(ProblemKind::IntentRefused, detail))
        }
    }
}

/// Whether the very same intent is registered, and kept for as long as anybody could say something of it.
fn is_registered(service: &Service, signed: &policy::SignedIntent) -> bool {
    let lo = service.journal.now().lo;
    let state = service.journal.state();
    let registered = state.registered(&signed.intent.id);
    registered.is_some_and(|one| one.intent == signed.intent && one.holds_place(lo))
}

/// How an intent stands.
///
/// # Errors
/// A problem where none is registered that the client may see.
pub fn intent(service: &Service, client: &Name, id: &IntentId) -> Result<Answer, Problem> {
    changed(service, client, id, None)
}

/// How it stands now that an entry changed it.
fn changed(
    service: &Service,
    client: &Name,
    id: &IntentId,
    entry: Option<u64>,
) -> Result<Answer, Problem> {
    let receipt = entry.map(|entry| super::receipt_of(service, entry));
    let receipt = receipt.transpose()?;
    let time = service.journal.now();
    let state = service.journal.state();
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let registered = state.registered(id).filter(|_| may_see(policy, client, id));
    let registered = registered.ok_or_else(|| {
        let detail = format!("No intent {id} is registered, or none for this client.");
        Problem::new(ProblemKind::NotFound, detail)
    })?;
    let shown = Shown {
        state: &state,
        policy,
        registered,
        time,
    };
    let answer = IntentAnswer {
        receipt,
        ..shown.answer()
    };
    Ok(Answer::json(StatusCode::OK, &answer))
}

/// What waits for people, the eldest first.
///
/// # Errors
/// A problem where no policy governs.
pub fn waiting(service: &Service) -> Result<Answer, Problem> {
    let time = service.journal.now();
    let state = service.journal.state();
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let mut all: Vec<&RegisteredIntent> = state.all_registered().collect();
    all.sort_by_key(|one| one.entry);
    let shown = all.into_iter().map(|registered| Shown {
        state: &state,
        policy,
        registered,
        time,
    });
    let mut waiting = shown.filter_map(|one| one.waiting());
    let intents: Vec<ListedIntent> = waiting.by_ref().take(LISTED_MAX).collect();
    let more = waiting.next().is_some();
    let answer = IntentsAnswer { intents, more };
    Ok(Answer::json(StatusCode::OK, &answer))
}

/// Who asks people may see everything that they are asked, who brings intents those that they may bring.
fn may_see(policy: &Policy, client: &Name, id: &IntentId) -> bool {
    let approves = policy
        .clients
        .get(client)
        .is_some_and(|client| client.verbs.contains(&policy::Verb::Approve));
    let source = policy.sources.get(&id.source);
    approves || source.is_some_and(|source| source.clients.contains(client))
}

/// Takes what people said. Who brings it counts for nothing; who signed it does.
///
/// # Errors
/// A problem that says why it counts for nothing.
pub async fn decide(
    service: &Service,
    client: &Name,
    id: &IntentId,
    body: ApprovalRequest,
) -> Result<Answer, Problem> {
    let passkey = body.passkey.map(|passkey| Assertion {
        authenticator_data: passkey.authenticator_data,
        client_data: passkey.client_data,
        signature: passkey.signature,
    });
    if passkey.is_some() && !body.signatures.concat().is_empty() {
        let detail = "there are SSH signatures beside a passkey's assertion: bring one of the two";
        return Err(refused(detail.into()).at("passkey"));
    }
    let signatures = joined(&body.signatures)?;
    let decided = {
        let state = service.journal.state();
        match &passkey {
            Some(passkey) => state.deciding_by_passkey(id, &body.statement, passkey),
            None => state.deciding(id, &body.statement, &signatures),
        }
    };
    let decided = decided.map_err(|error| of_state(&error))?;
    let people: Vec<&str> = decided.signed_by.keys().map(Name::as_str).collect();
    let (people, says) = (people.join(", "), decided.says);
    let taken = ask(|reply| service.journal.decide_intent(decided, reply)).await?;
    let entry = taken.map_err(|error| of_state(&error))?;
    tracing::info!(intent = %id, people, %says, "people have decided about an intent");
    changed(service, client, id, Some(entry))
}

/// What is shown of an intent.
struct Shown<'a> {
    state: &'a State,
    policy: &'a Policy,
    registered: &'a RegisteredIntent,
    time: Interval,
}

impl Shown<'_> {
    /// The intent in a list, while it can be paid and is not, and people are asked for.
    fn waiting(&self) -> Option<ListedIntent> {
        let intent = &self.registered.intent;
        let over = self.registered.closed_by.is_some() || self.time.hi > intent.expires;
        let known = self.state.intent(&intent.id).ok().flatten();
        if over || known.is_some_and(|known| !known.attempts().is_empty()) {
            return None;
        }
        let requirements = self.state.requirements(intent);
        let approving = |need: &Need, at| self.registered.approving(self.policy, need, at);
        let asked_by = self.standing(&approving).unmet(&requirements);
        (!asked_by.is_empty()).then(|| ListedIntent {
            intent: intent.clone(),
            asked_by,
        })
    }

    fn answer(&self) -> IntentAnswer {
        let registered = self.registered;
        let requirements = self.state.requirements(&registered.intent);
        let known = Known::of(self.policy, &registered.intent);
        let page = self.policy.approval_page.as_ref();
        let approving = |need: &Need, at| registered.approving(self.policy, need, at);
        let standing = self.standing(&approving);
        IntentAnswer {
            payload: registered.intent.payload(),
            client: registered.client.to_string(),
            entry: registered.entry,
            requesters: texts(registered.requesters(self.policy)),
            rejected: registered.rejected,
            closed_by: registered.closed_by,
            units: known.units.into_iter().map(unit).collect(),
            in_books: texts(known.books),
            own_accounts: texts(known.accounts),
            needs: requirements
                .values()
                .map(|one| standing.need(one, |says| self.text(&one.need, says)))
                .collect(),
            receipt: None,
            policy: self.policy.hash.to_string(),
            fleet: self.policy.fleet.to_string(),
            approval_page: page.map(ToString::to_string),
            time: self.time,
            intent: registered.intent.clone(),
        }
    }

    fn standing<'s>(
        &'s self,
        approving: &'s dyn Fn(&Need, Interval) -> BTreeSet<Name>,
    ) -> Standing<'s> {
        Standing {
            decided: &self.registered.decided,
            time: self.time,
            approving,
        }
    }

    fn text(&self, need: &Need, says: Says) -> String {
        let longest = self.time.lo.after_millis(need.valid_millis);
        let expires = longest.min(self.registered.intent.expires);
        let approval = Approval {
            says,
            intent: self.registered.intent.payload(),
            need: need.fingerprint(),
            rejected_before: self.registered.rejected,
            expires,
        };
        let text = approval.text(self.policy, &self.registered.intent);
        text.unwrap_or_default()
    }
}

fn unit((name, decimals): (&Name, u8)) -> IntentUnit {
    IntentUnit {
        name: name.to_string(),
        decimals,
    }
}
