//! `/v1/intents`: intents that people approve, the texts that they sign, and what they said.

use api::{
    intents::{
        ApprovalRequest, IntentAnswer, IntentNeed, IntentUnit, IntentsAnswer, LISTED_MAX,
        ListedIntent, PersonDecided,
    },
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{SIGNATURES_MAX, SignedIntent},
};
use hyper::StatusCode;
use policy::{
    AskedBy, Decided, Need, Policy, RegisteredIntent, Requirement, State, StateError,
    approval::{Approval, Known, Says},
    passkey::Assertion,
};
use tx::{IntentId, Interval, Name, Time};

use crate::{
    log::chain,
    service::{Service, ask},
};

/// The longest signatures that an entry holds, in bytes.
const SIGNATURES_MAX_BYTES: usize = 32 * 1024;

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
    match taken {
        Ok(()) | Err(StateError::RegisteredAlready { .. }) => {}
        Err(error) => {
            let detail = format!("{}.", chain(&error));
            return Err(Problem::new(ProblemKind::IntentRefused, detail));
        }
    }
    match is_registered(service, &signed) {
        true => intent(service, client, &id),
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
    let time = service.journal.now();
    let state = service.journal.state();
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let registered = state.registered(id).filter(|_| may_see(policy, client, id));
    let registered = registered.ok_or_else(|| {
        let detail = format!("No intent {id} is registered, or none for this client.");
        Problem::new(ProblemKind::NotFound, detail)
    })?;
    let answer = Shown {
        state: &state,
        policy,
        registered,
        time,
    };
    Ok(Answer::json(StatusCode::OK, &answer.answer()))
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
    let signatures = body.signatures.concat();
    if passkey.is_some() && !signatures.is_empty() {
        let detail = "there are SSH signatures beside a passkey's assertion: bring one of the two";
        return Err(refused(detail.into()).at("passkey"));
    }
    if signatures.len() > SIGNATURES_MAX_BYTES {
        let detail = format!("they have more than {SIGNATURES_MAX_BYTES} bytes");
        return Err(refused(detail).at("signatures"));
    }
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
    taken.map_err(|error| of_state(&error))?;
    tracing::info!(intent = %id, people, %says, "people have decided about an intent");
    intent(service, client, id)
}

fn of_state(error: &StateError) -> Problem {
    match error {
        StateError::NotRegistered => {
            Problem::new(ProblemKind::NotFound, format!("{}.", chain(error)))
        }
        _ => refused(chain(error)).at("statement"),
    }
}

fn refused(why: String) -> Problem {
    Problem::new(ProblemKind::StatementRefused, format!("{why}."))
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
        let unmet = requirements.values().filter(|one| {
            let approving = self.registered.approving(self.policy, &one.need, self.time);
            u32::try_from(approving.len()).is_ok_and(|count| count < one.need.threshold)
        });
        let asked_by: Vec<String> = unmet.flat_map(|one| &one.asked_by).map(asked_by).collect();
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
                .map(|requirement| self.need(requirement))
                .collect(),
            policy: self.policy.hash.to_string(),
            fleet: self.policy.fleet.to_string(),
            approval_page: page.map(ToString::to_string),
            time: self.time,
            intent: registered.intent.clone(),
        }
    }

    fn need(&self, requirement: &Requirement) -> IntentNeed {
        let need = &requirement.need;
        let counted = self.registered.approving(self.policy, need, self.time);
        let decided = self.registered.decided.get(&need.fingerprint());
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
            approve: self.text(need, Says::Approve),
            reject: self.text(need, Says::Reject),
        }
    }

    /// When the delay has passed of as many approvals as are needed: of those that hold now.
    fn enough_from(&self, need: &Need) -> Option<Time> {
        let far = Interval {
            lo: Time::from_millis(u64::MAX),
            hi: self.time.hi,
        };
        let approving = self.registered.approving(self.policy, need, far);
        let decided = self.registered.decided.get(&need.fingerprint())?;
        let since = approving.iter().filter_map(|person| decided.get(person));
        let mut since: Vec<Time> = since.map(|one| one.since).collect();
        since.sort();
        let before = usize::try_from(need.threshold).ok()?.checked_sub(1)?;
        let last = since.into_iter().nth(before)?;
        Some(last.after_millis(need.delay_millis))
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

fn asked_by(statement: &AskedBy) -> String {
    match statement {
        AskedBy::Require(name) => format!("require {name}"),
        AskedBy::Limit(name) => format!("limit {name}"),
        AskedBy::Evacuate(name) => format!("evacuate {name}"),
        other => format!("{other:?}"),
    }
}

fn unit((name, decimals): (&Name, u8)) -> IntentUnit {
    IntentUnit {
        name: name.to_string(),
        decimals,
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

fn texts<'a>(names: impl IntoIterator<Item = &'a Name>) -> Vec<String> {
    names.into_iter().map(ToString::to_string).collect()
}
