//! Transactions that pay no intent, which clients registered for people to approve, and what people said of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tx::{Decoded as Understood, Interval, Name, Time, Transaction};

use super::{
    State, StateError,
    decided::{
        Counted, DECIDED_MAX, Decided, NEED_BYTES, NEEDS_MAX, Shown, Word, approving, closes,
        decide, has_heard, said_count, weight_of_said,
    },
};
use crate::{
    Blob, Digest, Need, Policy, ProposedTransaction, Request, RequestId, Requirement,
    TransactionDecided, TransactionRegistered,
    approval::{Says, TransactionApproval},
    requirement::of_transaction,
    statement::StatementError,
};

/// A transaction that people are to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredTransaction {
    /// The entry that registered it, by which it is named.
    pub entry: u64,
    /// When, as `lo`.
    pub at: Time,
    /// The transaction, and who asks for it.
    pub proposed: ProposedTransaction,
    /// The needs that could ask for people when it was registered.
    pub needs: BTreeSet<Digest>,
    /// What people said, by need.
    pub decided: BTreeMap<Digest, BTreeMap<Name, Decided>>,
    /// The last entry by which somebody rejected it, 0 where nobody did: an approval answers it.
    #[serde(default, skip_serializing_if = "super::hot::is_zero")]
    pub rejected: u64,
    /// The entry by which it was closed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<u64>,
}

/// The most that a need or a client has registered at the same time.
const OF_A_CLIENT_AND_NEED_MAX: usize = 64;
const OF_A_CLIENT_MAX: usize = 128;
/// The most bytes that those of a client take, and all, before anything is said of them: with the intents that
/// are registered, less than the hot state may.
const OF_A_CLIENT_BYTES_MAX: usize = 256 * 1024;
const ALL_BYTES_MAX: usize = 1024 * 1024;
/// What people say has room of its own: who registers cannot keep them from it.
const SAID_BYTES_MAX: usize = 512 * 1024;
/// What one takes at the most, without the transaction and its needs.
const TRANSACTION_BYTES: usize = 768;
/// The longest transaction, as the JSON of [`tx::Transaction`]: nobody reads a longer one.
const JSON_BYTES_MAX: usize = 20 * 1024;
/// How long one is open at the most.
const LIFE_MAX_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;
/// How long one holds its place at the least, though it expires: it bounds how many there can ever be.
const PLACE_MILLIS: u64 = 60 * 60 * 1000;

impl RegisteredTransaction {
    /// Who approved it for the need, of those who count at `now`: everybody who has said so for as long as the
    /// need wants, unless someone rejects it.
    pub fn approving(&self, policy: &Policy, need: &Need, now: Interval) -> BTreeSet<Name> {
        let requesters = self.requesters(policy).collect();
        approving(&self.decided, &requesters, (policy, need), now)
    }

    /// The people who may not approve it: they run the client that asks for it.
    pub fn requesters<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = &'p Name> {
        let client = policy.clients.get(&self.proposed.client).into_iter();
        client.flat_map(|client| &client.people)
    }

    /// Whether it is kept at a `lo`.
    pub fn holds_place(&self, lo: Time) -> bool {
        lo <= self
            .proposed
            .expires
            .max(self.at.after_millis(PLACE_MILLIS))
    }

    /// Whether it is the transaction of a request, to the byte.
    fn is_of(&self, request: &Request) -> bool {
        Blob::of(&self.proposed.json()) == request.transaction
    }

    fn weight(&self) -> usize {
        weight(&self.proposed, &self.needs)
    }
}

/// What one takes before anything is said of it.
fn weight(proposed: &ProposedTransaction, needs: &BTreeSet<Digest>) -> usize {
    let needs = NEED_BYTES.saturating_mul(needs.len());
    [TRANSACTION_BYTES, proposed.json().len(), needs]
        .into_iter()
        .sum()
}

fn word(said: &TransactionDecided) -> Word<'_> {
    Word {
        need: said.need,
        says: said.says,
        expires: said.expires,
        signed_by: &said.signed_by,
    }
}

impl State {
    /// A transaction that the entry registered.
    pub fn registered_transaction(&self, entry: u64) -> Option<&RegisteredTransaction> {
        let mut all = self.transactions.values();
        all.find(|one| one.entry == entry)
    }

    /// The transaction that a client registered for a request of this id.
    pub fn transaction_of(
        &self,
        client: &Name,
        request: &RequestId,
    ) -> Option<&RegisteredTransaction> {
        self.transactions.get(&(client.clone(), request.clone()))
    }

    /// Every transaction that is registered.
    pub fn registered_transactions(&self) -> impl Iterator<Item = &RegisteredTransaction> {
        self.transactions.values()
    }

    /// What is registered of the very request, and can still be approved: by its client, under its id, to the byte,
    /// and paying no intent.
    pub(crate) fn approvable(
        &self,
        request: &Request,
        now: Interval,
    ) -> Option<&RegisteredTransaction> {
        let registered = self.transaction_of(&request.client, &request.id)?;
        let is_open = registered.closed_by.is_none() && now.hi <= registered.proposed.expires;
        (is_open && request.intents.is_empty() && registered.is_of(request)).then_some(registered)
    }

    /// The entry by which people rejected a request's transaction for good, whoever asks for it.
    pub(crate) fn transaction_rejected(&self, request: &Request) -> Option<u64> {
        let mut closed = self.transactions.values();
        closed.find_map(|one| one.closed_by.filter(|_| one.is_of(request)))
    }

    /// The transaction as it is understood now.
    ///
    /// # Errors
    /// [`StateError::NotRegistered`] without a policy, [`StateError::Transaction`] where it is not understood.
    pub fn understood(&self, transaction: &Transaction) -> Result<Understood, StateError> {
        let present = self.present.as_ref().ok_or(StateError::NotRegistered)?;
        let rules = present.policy.chain_rules(transaction.chain());
        tx::decode(transaction, &present.registry, rules)
            .map_err(|refusal| StateError::Transaction(Box::new(refusal)))
    }

    /// The needs that may ask for people before the transaction is signed, by their fingerprints; none without a
    /// policy.
    pub fn transaction_requirements(
        &self,
        proposed: &ProposedTransaction,
        understood: &Understood,
    ) -> BTreeMap<Digest, Requirement> {
        let present = self.present.as_ref();
        present.map_or_else(BTreeMap::new, |present| {
            of_transaction(present, &proposed.client, understood)
        })
    }

    /// The entry that registers a transaction now.
    ///
    /// # Errors
    /// [`StateError`] where it is not understood, or nobody is asked.
    pub fn registering_transaction(
        &self,
        proposed: ProposedTransaction,
    ) -> Result<TransactionRegistered, StateError> {
        let understood = self.understood(&proposed.transaction)?;
        let needs = self.transaction_requirements(&proposed, &understood);
        if needs.is_empty() {
            return Err(StateError::NobodyAsked);
        }
        Ok(TransactionRegistered {
            digest: proposed.digest(),
            effects: understood.effects().to_vec(),
            needs: needs.into_keys().collect(),
            proposed,
        })
    }

    /// The entry that says what people said of a transaction.
    ///
    /// # Errors
    /// [`StateError`] where it would count for nothing.
    pub fn deciding_transaction(
        &self,
        entry: u64,
        statement: &str,
        signatures: &str,
    ) -> Result<TransactionDecided, StateError> {
        let said = TransactionApproval::parse(statement).map_err(StateError::Unseal)?;
        let registered = self.open_transaction(entry)?;
        let policy = self.policy().ok_or(StateError::NotRegistered)?;
        let need = self.need_of_transaction(registered, said.need)?;
        let by = Counted::of(registered.requesters(policy), policy, &need);
        let text = (statement, TransactionApproval::NAMESPACE);
        let signed_by = by.signed(text, Shown::Signatures(signatures))?;
        Ok(TransactionDecided {
            transaction: entry,
            need: said.need,
            says: said.says,
            expires: said.expires,
            closes: closes(&need, said.says),
            statement: statement.into(),
            signatures: signatures.into(),
            signed_by,
        })
    }

    fn open_transaction(&self, entry: u64) -> Result<&RegisteredTransaction, StateError> {
        let registered = self.registered_transaction(entry);
        let registered = registered.ok_or(StateError::NotRegistered)?;
        match registered.closed_by {
            None => Ok(registered),
            Some(entry) => Err(StateError::TransactionClosed { entry }),
        }
    }

    fn need_of_transaction(
        &self,
        registered: &RegisteredTransaction,
        need: Digest,
    ) -> Result<Need, StateError> {
        let understood = self.understood(&registered.proposed.transaction)?;
        let mut asked = self.transaction_requirements(&registered.proposed, &understood);
        let requirement = asked.remove(&need);
        requirement
            .map(|requirement| requirement.need)
            .ok_or(StateError::NotAsked { need })
    }

    pub(super) fn register_transaction(
        &mut self,
        entry: u64,
        at: Time,
        registered: &TransactionRegistered,
    ) {
        self.transactions.retain(|_, known| known.holds_place(at));
        let TransactionRegistered {
            proposed, needs, ..
        } = registered.clone();
        let of = (proposed.client.clone(), proposed.request.clone());
        let registered = RegisteredTransaction {
            entry,
            at,
            proposed,
            needs,
            decided: BTreeMap::new(),
            rejected: 0,
            closed_by: None,
        };
        self.transactions.insert(of, registered);
    }

    pub(super) fn decide_transaction(
        &mut self,
        entry: u64,
        now: Interval,
        said: &TransactionDecided,
    ) {
        let mut all = self.transactions.values_mut();
        let Some(registered) = all.find(|one| one.entry == said.transaction) else {
            return;
        };
        if said.says == Says::Reject {
            registered.rejected = entry;
        }
        if said.closes {
            registered.closed_by.get_or_insert(entry);
        }
        decide(&mut registered.decided, (entry, now), &word(said));
    }

    pub(super) fn validate_transaction(
        &self,
        now: Interval,
        registered: &TransactionRegistered,
    ) -> Result<(), StateError> {
        let proposed = &registered.proposed;
        let held = |one: &&RegisteredTransaction| one.holds_place(now.lo);
        let known = self.transaction_of(&proposed.client, &proposed.request);
        if let Some(known) = known.filter(held) {
            return Err(StateError::RegisteredAlready { entry: known.entry });
        }
        let mut closed = self.transactions.values().filter(held);
        let rejected = |one: &RegisteredTransaction| {
            let is_it = one.proposed.transaction == proposed.transaction;
            one.closed_by.filter(|_| is_it)
        };
        if let Some(entry) = closed.find_map(rejected) {
            return Err(StateError::TransactionClosed { entry });
        }
        let expires = proposed.expires;
        if now.hi > expires || expires.millis_since(now.lo) > LIFE_MAX_MILLIS {
            return Err(StateError::TransactionExpires { expires });
        }
        self.has_place_for(now.lo, registered)?;
        if self.policy().is_none() {
            return Ok(());
        }
        match self.registering_transaction(proposed.clone())? == *registered {
            true => Ok(()),
            false => Err(StateError::Statement),
        }
    }

    /// Every place is bounded, so that one client leaves places to the others.
    fn has_place_for(&self, lo: Time, asked: &TransactionRegistered) -> Result<(), StateError> {
        let full = |most: usize| Err(StateError::TransactionsFull { most });
        let held = || self.transactions.values().filter(|one| one.holds_place(lo));
        let of_client = || held().filter(|one| one.proposed.client == asked.proposed.client);
        if asked.proposed.json().len() > JSON_BYTES_MAX {
            return Err(StateError::TransactionLong {
                bytes_max: JSON_BYTES_MAX,
            });
        }
        let wanted = weight(&asked.proposed, &asked.needs);
        let with = |taken: usize| taken.saturating_add(wanted);
        let all: usize = held().map(RegisteredTransaction::weight).sum();
        let of_one: usize = of_client().map(RegisteredTransaction::weight).sum();
        if asked.needs.len() > NEEDS_MAX {
            return full(NEEDS_MAX);
        }
        if with(all) > ALL_BYTES_MAX {
            return full(held().count());
        }
        if with(of_one) > OF_A_CLIENT_BYTES_MAX || of_client().count() >= OF_A_CLIENT_MAX {
            return full(of_client().count());
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
    pub(super) fn validate_transaction_decided(
        &self,
        now: Interval,
        decided: &TransactionDecided,
    ) -> Result<(), StateError> {
        let said = TransactionApproval::parse(&decided.statement).map_err(StateError::Unseal)?;
        let registered = self.open_transaction(decided.transaction)?;
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
        let expires = registered.proposed.expires;
        if now.hi > expires {
            return Err(StateError::TransactionExpires { expires });
        }
        if now.hi > said.expires {
            return Err(StateError::Unseal(StatementError::Expired(said.expires)));
        }
        self.has_place_to_say(registered, decided)?;
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let need = self.need_of_transaction(registered, said.need)?;
        if said.expires.millis_since(now.lo) > need.valid_millis {
            return Err(StateError::Unseal(StatementError::Expires(said.expires)));
        }
        let understood = self.understood(&registered.proposed.transaction)?;
        let text = said.text(
            policy,
            (registered.entry, &registered.proposed),
            &understood,
        );
        if text.as_ref() != Some(&decided.statement) {
            return Err(StateError::Rendered);
        }
        match self.deciding_transaction(
            registered.entry,
            &decided.statement,
            &decided.signatures,
        )? == *decided
        {
            true => Ok(()),
            false => Err(StateError::Statement),
        }
    }

    fn has_place_to_say(
        &self,
        registered: &RegisteredTransaction,
        decided: &TransactionDecided,
    ) -> Result<(), StateError> {
        let count = said_count(&registered.decided);
        if count.saturating_add(decided.signed_by.len()) > DECIDED_MAX {
            return Err(StateError::TransactionsFull { most: DECIDED_MAX });
        }
        let all = self.transactions.values();
        let said = all.map(|one| weight_of_said(&one.decided)).sum::<usize>();
        match said > SAID_BYTES_MAX {
            true => Err(StateError::TransactionsFull { most: count }),
            false => Ok(()),
        }
    }
}
