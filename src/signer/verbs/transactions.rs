//! `/v1/transactions`: transactions that pay no intent and that people approve one by one.

use std::collections::{BTreeMap, BTreeSet};

use api::{
    intents::LISTED_MAX,
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::Statement,
    transactions::{
        ListedTransaction, NamedKey, TransactionAnswer, TransactionRequest, TransactionsAnswer,
    },
};
use hyper::StatusCode;
use policy::{
    Need, Policy, ProposedTransaction, RegisteredTransaction, State, StateError,
    approval::{Says, TransactionApproval},
};
use tx::{Address, Decoded, Interval, Name, PublicKey};

use super::standing::{self, Standing, of_state};
use crate::{
    log::chain,
    service::{Service, ask},
};

/// Registers a transaction, once: the same one again is answered as it stands.
///
/// # Errors
/// A problem that says why it is not registered.
pub async fn register(
    service: &Service,
    client: &Name,
    body: TransactionRequest,
) -> Result<Answer, Problem> {
    let request = body.request_id.parse().map_err(|error| {
        Problem::new(ProblemKind::Malformed, format!("{error}.")).at("request_id")
    })?;
    let proposed = ProposedTransaction {
        client: client.clone(),
        request,
        transaction: body.transaction,
        expires: body.expires,
    };
    if let Some(entry) = registered(service, &proposed) {
        return transaction(service, client, entry);
    }
    let registering = {
        let state = service.journal.state();
        state.registering_transaction(proposed.clone())
    };
    let registering = registering.map_err(|error| unregistered(&error))?;
    let taken = ask(|reply| service.journal.register_transaction(registering, reply)).await?;
    let wrote = match taken {
        Ok(entry) => Some(entry),
        Err(StateError::RegisteredAlready { .. }) => None,
        Err(error) => return Err(unregistered(&error)),
    };
    match registered(service, &proposed) {
        Some(entry) => changed(service, client, entry, wrote),
        None => {
            let detail = "The id stands for another transaction, or for another time.";
            Err(Problem::new(ProblemKind::TransactionRefused, detail))
        }
    }
}

fn unregistered(error: &StateError) -> Problem {
    let detail = format!("{}.", chain(error));
    Problem::new(ProblemKind::TransactionRefused, detail)
}

/// The entry that registered the very same transaction, while it is kept.
fn registered(service: &Service, proposed: &ProposedTransaction) -> Option<u64> {
    let lo = service.journal.now().lo;
    let state = service.journal.state();
    let known = state.transaction_of(&proposed.client, &proposed.request)?;
    (known.proposed == *proposed && known.holds_place(lo)).then_some(known.entry)
}

/// How a transaction stands.
///
/// # Errors
/// A problem where none is registered that the client may see.
pub fn transaction(service: &Service, client: &Name, entry: u64) -> Result<Answer, Problem> {
    changed(service, client, entry, None)
}

/// How it stands now that another entry changed it.
fn changed(
    service: &Service,
    client: &Name,
    entry: u64,
    by: Option<u64>,
) -> Result<Answer, Problem> {
    let receipt = by.map(|by| super::receipt_of(service, by)).transpose()?;
    let time = service.journal.now();
    let state = service.journal.state();
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let registered = state.registered_transaction(entry);
    let registered = registered.filter(|one| may_see(policy, client, one));
    let registered = registered.ok_or_else(|| {
        let detail = format!("Entry {entry} registers no transaction, or none of this client.");
        Problem::new(ProblemKind::NotFound, detail)
    })?;
    let shown = Shown {
        state: &state,
        policy,
        registered,
        understood: state.understood(&registered.proposed.transaction).ok(),
        time,
    };
    let answer = TransactionAnswer {
        receipt,
        ..shown.answer()
    };
    Ok(Answer::json(StatusCode::OK, &answer))
}

/// Who asks people may see everything that they are asked, who brings transactions their own.
fn may_see(policy: &Policy, client: &Name, registered: &RegisteredTransaction) -> bool {
    let grants = policy.clients.get(client);
    let approves = grants.is_some_and(|client| client.verbs.contains(&policy::Verb::Approve));
    approves || registered.proposed.client == *client
}

/// What waits for people, the eldest first.
///
/// # Errors
/// A problem where no policy governs.
pub fn waiting(service: &Service) -> Result<Answer, Problem> {
    let time = service.journal.now();
    let state = service.journal.state();
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let mut all: Vec<&RegisteredTransaction> = state.registered_transactions().collect();
    all.sort_by_key(|one| one.entry);
    let shown = all.into_iter().filter_map(|registered| {
        let understood = state.understood(&registered.proposed.transaction).ok();
        let shown = Shown {
            state: &state,
            policy,
            registered,
            understood,
            time,
        };
        shown.waiting()
    });
    // What became of a request hangs on rows that are not all in memory.
    let mut waiting = shown.filter(|one| !is_attempted(service, &state, one.entry));
    let transactions: Vec<ListedTransaction> = waiting.by_ref().take(LISTED_MAX).collect();
    let more = waiting.next().is_some();
    let answer = TransactionsAnswer { transactions, more };
    Ok(Answer::json(StatusCode::OK, &answer))
}

fn is_attempted(service: &Service, state: &State, entry: u64) -> bool {
    let registered = state.registered_transaction(entry);
    registered.is_some_and(|one| {
        let rows = service.journal.rows();
        let known = rows.request(&one.proposed.client, &one.proposed.request);
        known.is_ok_and(|known| known.is_some())
    })
}

/// Takes what people said. Who brings it counts for nothing; who signed it does.
///
/// # Errors
/// A problem that says why it counts for nothing.
pub async fn decide(
    service: &Service,
    client: &Name,
    entry: u64,
    body: Statement,
) -> Result<Answer, Problem> {
    let signatures = standing::joined(&body.signatures)?;
    let decided = {
        let state = service.journal.state();
        state.deciding_transaction(entry, &body.statement, &signatures)
    };
    let decided = decided.map_err(|error| of_state(&error))?;
    let people: Vec<&str> = decided.signed_by.keys().map(Name::as_str).collect();
    let (people, says) = (people.join(", "), decided.says);
    let taken = ask(|reply| service.journal.decide_transaction(decided, reply)).await?;
    let by = taken.map_err(|error| of_state(&error))?;
    tracing::info!(transaction = entry, people, %says, "people have decided about a transaction");
    changed(service, client, entry, Some(by))
}

/// What is shown of a transaction.
struct Shown<'a> {
    state: &'a State,
    policy: &'a Policy,
    registered: &'a RegisteredTransaction,
    /// Nothing where the bundle that governs no longer lets it be understood.
    understood: Option<Decoded>,
    time: Interval,
}

impl Shown<'_> {
    /// The transaction in a list, while people are asked for.
    fn waiting(&self) -> Option<ListedTransaction> {
        let RegisteredTransaction {
            proposed, entry, ..
        } = self.registered;
        if self.registered.closed_by.is_some() || self.time.hi > proposed.expires {
            return None;
        }
        let requirements = self
            .state
            .transaction_requirements(proposed, self.understood.as_ref()?);
        let approving = |need: &Need, at| self.registered.approving(self.policy, need, at);
        let asked_by = self.standing(&approving).unmet(&requirements);
        (!asked_by.is_empty()).then(|| ListedTransaction {
            entry: *entry,
            client: proposed.client.to_string(),
            request_id: proposed.request.to_string(),
            expires: proposed.expires,
            asked_by,
        })
    }

    fn answer(&self) -> TransactionAnswer {
        let registered = self.registered;
        let proposed = &registered.proposed;
        let understood = self.understood.as_ref();
        let requirements = understood.map_or_else(BTreeMap::new, |understood| {
            self.state.transaction_requirements(proposed, understood)
        });
        let approving = |need: &Need, at| registered.approving(self.policy, need, at);
        let standing = self.standing(&approving);
        let needs = requirements
            .values()
            .map(|one| standing.need(one, |says| self.text(&one.need, says).unwrap_or_default()));
        TransactionAnswer {
            entry: registered.entry,
            client: proposed.client.to_string(),
            request_id: proposed.request.to_string(),
            transaction: proposed.transaction.clone(),
            digest: proposed.digest().to_string(),
            expires: proposed.expires,
            rejected: registered.rejected,
            closed_by: registered.closed_by,
            effects: understood.map_or_else(Vec::new, |one| one.effects().to_vec()),
            keys: understood.map_or_else(Vec::new, |one| self.keys(one)),
            needs: needs.collect(),
            receipt: None,
            policy: self.policy.hash.to_string(),
            fleet: self.policy.fleet.to_string(),
            time: self.time,
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

    /// The keys by which whoever decodes the transaction elsewhere knows what is ours.
    fn keys(&self, understood: &Decoded) -> Vec<NamedKey> {
        let registry = self.state.registry();
        let effects = understood.effects();
        let to = effects.iter().filter_map(|effect| effect.to.as_ref());
        let to = to.map(|to| to.address.clone());
        let calls = effects.iter().filter_map(|effect| effect.call.as_ref());
        let arguments = calls.flat_map(|call| &call.arguments);
        let arguments = arguments.filter(|argument| argument.own.is_some());
        let chain = understood.chain();
        let arguments = arguments.filter_map(|own| Address::parse(chain, &own.value).ok());
        let signing = understood.signings().iter();
        let signing = signing.filter_map(|signing| registry.key_by_name(&signing.key));
        let named: BTreeMap<Name, PublicKey> = to
            .chain(arguments)
            .filter_map(|address| registry.key(&address))
            .chain(signing)
            .map(|key| (key.name.clone(), key.public))
            .collect();
        let named = named.into_iter().map(|(name, public)| NamedKey {
            name: name.to_string(),
            public,
        });
        named.collect()
    }

    fn text(&self, need: &Need, says: Says) -> Option<String> {
        let RegisteredTransaction {
            entry, proposed, ..
        } = self.registered;
        let longest = self.time.lo.after_millis(need.valid_millis);
        let approval = TransactionApproval {
            says,
            entry: *entry,
            transaction: proposed.digest(),
            need: need.fingerprint(),
            rejected_before: self.registered.rejected,
            expires: longest.min(proposed.expires),
        };
        approval.text(self.policy, (*entry, proposed), self.understood.as_ref()?)
    }
}
