//! Applying entries and policies.

use std::{collections::BTreeSet, sync::Arc};

use tx::{ConflictKey, Name, Time};

use super::{
    AttemptState, Consumers, Credited, IntentState, KeyDigest, Present, RequestStatus, State,
    StateError,
};
use crate::{
    Attempt, AttemptId, BundleQuorum, Entry, Fact, FreezeScope, KeyRegistration, NumberedDigest,
    Policy, Record, Resumed, SignedIntent, statement::Unseal, window::Charge,
};

impl State {
    /// Applies the entry at `index`: the next one.
    ///
    /// # Errors
    /// [`StateError`] when the entry does not follow from those before it; the state is then as it
    /// was.
    pub fn apply(&mut self, index: u64, record: &Record) -> Result<(), StateError> {
        self.validate(index, record)?;
        self.take_in(index, record)
    }

    /// As [`State::apply`], for an entry that follows from those before it.
    pub(super) fn take_in(&mut self, index: u64, record: &Record) -> Result<(), StateError> {
        self.count(index, record)?;
        self.begin_heartbeat();
        self.turned = matches!(record.entry, Entry::PolicyActivated { .. });
        self.time = Some(record.time);
        self.entries = self.entries.saturating_add(1);
        match &record.entry {
            Entry::Genesis { fleet } => self.fleet = Some(fleet.clone()),
            Entry::PolicyActivated { hash, sequence, .. } => {
                self.first.get_or_insert(*hash);
                self.turn_to(*hash, *sequence);
            }
            Entry::PolicyProposed(proposed) => self.propose(index, proposed),
            Entry::PolicyVetoed(vetoed) => self.veto(vetoed.bundle),
            Entry::BookLoaded(loaded) => self.load_book(index, record.time.lo, loaded),
            Entry::BookCooled { book, sequence } => self.cool_book(book, *sequence),
            Entry::BookVetoed(vetoed) => self.veto_book(&vetoed.book, vetoed.sequence),
            Entry::Attempt(attempt) => self.remember_attempt(AttemptId(index), record, attempt),
            Entry::Call { attempt, calls } => {
                self.count_calls(calls);
                self.set_status(*attempt, RequestStatus::Committed);
            }
            Entry::Signed(signed) => {
                self.use_r(signed);
                self.set_status(signed.attempt, RequestStatus::Signed { index });
            }
            Entry::Failed { attempt, .. } => self.set_status(*attempt, RequestStatus::Failed),
            Entry::SelfTest { calls } => self.count_calls(calls),
            Entry::Checkpoint(checkpoint) => {
                self.next_call = checkpoint.call.saturating_add(1);
                self.checkpoint = Some(checkpoint.clone());
                self.note_checkpoint(record.time.lo, checkpoint);
            }
            Entry::StateRoot(root) => self.rooted = root.covers,
            Entry::Resumed(resumed) => self.resume(resumed),
            Entry::EpochBegan(began) => self.begin_epoch(index, record.time.lo, began),
            Entry::Pruned(pruned) => self.pruned = pruned.before,
            Entry::Frozen { scope, .. } => self.freeze(scope, index),
            Entry::FrozenBy(frozen) => self.freeze(&frozen.scope, index),
            Entry::Unfrozen(unfrozen) => self.unfreeze(index, unfrozen),
            Entry::IntentRegistered(registered) => {
                self.register_intent(index, record.time.lo, registered);
            }
            Entry::IntentDecided(decided) => self.decide_intent(index, record.time, decided),
            Entry::TransactionRegistered(registered) => {
                self.register_transaction(index, record.time.lo, registered);
            }
            Entry::TransactionDecided(decided) => {
                self.decide_transaction(index, record.time, decided);
            }
            Entry::Attested(said) => self.attest(said),
            Entry::Heartbeat(by) => self.hear(index, by),
            Entry::Started { .. } => self.note_start(),
            Entry::TimeCredited { by, millis } => {
                self.credited = Some(Credited {
                    entry: index,
                    by: *by,
                    lo: record.time.lo,
                    millis: *millis,
                });
            }
            _ => {}
        }
        if !matches!(record.entry, Entry::Checkpoint(_)) {
            self.to_cover = self.entries;
        }
        Ok(())
    }

    /// Counts an entry of which only the leaf is known, as an auditor knows signatures that a freeze
    /// holds: nothing follows from it.
    pub fn pass_over(&mut self) {
        self.turned = false;
        self.entries = self.entries.saturating_add(1);
        self.to_cover = self.entries;
    }

    /// Lets a policy govern: the one of the last [`Entry::PolicyActivated`] that was applied.
    /// Every window is counted again from the recorded facts, by the classes of the time and by
    /// the present ones.
    ///
    /// # Errors
    /// [`StateError`] for another policy, for one whose own keys and addresses contradict each
    /// other, and for a window longer than charges are kept; the state is then as it was.
    pub fn activate(&mut self, policy: Arc<Policy>) -> Result<(), StateError> {
        if self.active() != Some(policy.hash) {
            return Err(StateError::Policy { hash: policy.hash });
        }
        self.check_step(&policy)?;
        self.suppose(policy)
    }

    /// As [`State::activate`], of a policy that need not follow from the one before it.
    pub(super) fn suppose(&mut self, policy: Arc<Policy>) -> Result<(), StateError> {
        self.check_policy(&policy)?;
        let present = Present::new(policy, &self.registrations);
        self.govern(present.map_err(StateError::Registry)?)
    }

    /// Whether [`State::activate`] would take the policy, once its entry is applied: to be asked
    /// before the entry is written.
    ///
    /// # Errors
    /// As [`State::activate`].
    pub fn check_activation(&self, policy: &Arc<Policy>) -> Result<(), StateError> {
        self.check_next(policy)?;
        self.check_policy(policy)?;
        Present::check(policy, &self.registrations).map_err(StateError::Registry)
    }

    /// Whether [`State::activate`] would take the policy once it has waited.
    ///
    /// # Errors
    /// As [`State::activate`].
    pub fn check_proposal(
        &self,
        policy: &Arc<Policy>,
        quorum: BundleQuorum,
    ) -> Result<(), StateError> {
        self.check_waited(policy, Some(quorum))?;
        self.check_policy(policy)?;
        Present::check(policy, &self.registrations).map_err(StateError::Registry)
    }

    fn check_policy(&self, policy: &Policy) -> Result<(), StateError> {
        let kept = crate::Limit::WINDOW_MILLIS_MAX;
        match policy
            .limits
            .iter()
            .find(|limit| limit.says.window_millis > kept)
        {
            Some(limit) => Err(StateError::Window {
                limit: limit.name.clone(),
            }),
            None => Ok(()),
        }
    }

    fn govern(&mut self, present: Present) -> Result<(), StateError> {
        self.recount(&present)?;
        self.present = Some(present);
        Ok(())
    }

    /// What can fail of an entry: whose keys there are, and what the windows hold.
    fn count(&mut self, index: u64, record: &Record) -> Result<(), StateError> {
        let lo = record.time.lo;
        let touched = self.touched(index, &record.entry);
        let touched = touched.map_err(StateError::Charges)?;
        match &record.entry {
            Entry::KeyRegistered(key) => return self.register(key, lo),
            Entry::PolicyActivated { .. } if self.present.is_none() => self.windows.forget_counts(),
            Entry::Signed(_) | Entry::Attested(_) if self.present.is_none() => {
                self.windows.forget_outstanding();
            }
            _ => {}
        }
        self.advance(lo).map_err(StateError::Charges)?;
        if let Entry::Attempt(attempt) = &record.entry {
            let charge = Charge::of(AttemptId(index), record.time, attempt);
            let charged = self.windows.charge(self.present.as_ref(), charge);
            charged.map_err(StateError::Charges)?;
        }
        if let (Some(touched), Some(present)) = (touched, &self.present) {
            touched.settle(&mut self.windows, present, self.lo);
        }
        Ok(())
    }

    /// A key that an account of the policy names is ours at once, with all that was paid to it.
    fn register(&mut self, key: &KeyRegistration, lo: Time) -> Result<(), StateError> {
        let known = self.registrations.insert(key.name.clone(), key.clone());
        let names = |policy: &Arc<Policy>| {
            let mut accounts = policy.accounts.values();
            accounts.any(|account| account.keys.contains(&key.name))
        };
        if self.present.is_none() {
            self.windows.forget_counts();
        }
        let changed = |present: &&Present| known.is_none() && names(&present.policy);
        let changed = self.present.as_ref().filter(changed);
        let present = changed.map(|present| present.with_keys(&self.registrations));
        let present = present.transpose();
        if present.is_err() {
            self.registrations.remove(&key.name);
        }
        let present = present.map_err(StateError::Registry)?;
        self.advance(lo).map_err(StateError::Charges)?;
        present.map_or(Ok(()), |present| self.govern(present))
    }

    fn resume(&mut self, resumed: &Resumed) {
        self.resumed.insert(resumed.hash);
        // What is applied was validated: it parses.
        let lost = Unseal::parse(&resumed.statement).map(|statement| statement.lost);
        self.lost.extend(lost.unwrap_or_default());
    }

    fn count_calls(&mut self, calls: &[NumberedDigest]) {
        if let Some(last) = calls.last() {
            self.next_call = last.call.saturating_add(1);
        }
    }

    fn set_status(&mut self, attempt: AttemptId, status: RequestStatus) {
        if let Some(state) = self.attempts.get_mut(&attempt) {
            state.status = status;
        }
    }

    fn remember_attempt(&mut self, id: AttemptId, record: &Record, attempt: &Attempt) {
        self.count_calls(&attempt.calls);
        let set = attempt.set.unwrap_or(id);
        if attempt.set.is_none()
            && let Some(smallest) = attempt.keys.first()
        {
            self.anchors.insert(smallest.clone(), id);
        }
        for key in &attempt.keys {
            self.consumers
                .entry(key.clone())
                .and_modify(|consumers| consumers.push(id))
                .or_insert_with(|| Consumers::new(id));
        }
        for (account, number) in attempt.sequences() {
            let next = self.sequences.entry(account.clone()).or_default();
            *next = (*next).max(number.saturating_add(1));
        }
        for signed in &attempt.intents {
            self.use_intent(id, attempt, signed);
        }
        self.lanes.insert(attempt.lane.clone(), attempt.lane_epoch);
        self.note_paid(record.time.lo, attempt);
        self.remember(id, record.time.lo, set, attempt);
    }

    /// The first use fixes the content. Anchors are the keys that every attempt of the intent
    /// consumes since it was last issued: while one is left, no two of them can both confirm.
    fn use_intent(&mut self, id: AttemptId, attempt: &Attempt, signed: &SignedIntent) {
        let all = || attempt.keys.iter().cloned().collect();
        let fresh = || IntentState {
            payload: signed.intent.payload(),
            anchors: all(),
            attempts: Vec::new(),
            expires: signed.intent.expires,
        };
        let state = self
            .intents
            .entry(signed.intent.id.clone())
            .or_insert_with(fresh);
        // An attempt that is taken up again is the same transaction: it adds nothing that could
        // confirm beside the others, and may belong to an earlier issue of the intent.
        if attempt.resumes.is_none() {
            let shared = state
                .anchors
                .iter()
                .filter(|key| attempt.keys.contains(key));
            let shared: Box<[ConflictKey]> = shared.cloned().collect();
            state.anchors = if shared.is_empty() { all() } else { shared };
        }
        state.attempts.push(id);
    }

    fn note_paid(&mut self, at: Time, attempt: &Attempt) {
        for destination in attempt.paid() {
            if !self.paid.contains_key(destination) {
                self.paid.insert(destination.clone(), at);
            }
        }
    }

    fn remember(&mut self, id: AttemptId, at: Time, set: AttemptId, attempt: &Attempt) {
        let origin = attempt
            .resumes
            .and_then(|old| self.attempts.get(&old))
            .map_or(id, AttemptState::origin);
        let keys: BTreeSet<&Name> = attempt.calls.iter().map(|call| &call.key).collect();
        let state = AttemptState {
            at,
            request_hash: attempt.request_hash,
            set,
            origin,
            account: self.kept_name(&attempt.account),
            chain: attempt.chain,
            keys: keys.into_iter().map(|key| self.kept_key(key)).collect(),
            to: self.destination_scopes(attempt),
            unsigned: self.unsigned(attempt),
            fee_terms: attempt.fee_terms,
            status: RequestStatus::Committed,
        };
        self.attempts.insert(id, state);
        self.authorised
            .entry(attempt.client.clone())
            .or_default()
            .push(id);
        self.requests
            .entry(attempt.client.clone())
            .or_default()
            .insert(attempt.request.clone(), id);
    }

    /// What its facts go to, in the policy's copies of names.
    fn destination_scopes(&self, attempt: &Attempt) -> Box<[FreezeScope]> {
        let facts = attempt.facts.iter();
        let scopes: BTreeSet<FreezeScope> = facts.flat_map(Fact::destination_scopes).collect();
        let kept = scopes.into_iter().map(|scope| match scope {
            FreezeScope::Book(book) => FreezeScope::Book(self.kept_book(book)),
            other => other,
        });
        kept.collect()
    }

    fn kept_book(&self, book: Name) -> Name {
        let policy = self.policy();
        let kept = policy.and_then(|policy| policy.books.get_key_value(&book));
        kept.map(|(name, _)| name.clone()).unwrap_or(book)
    }

    fn unsigned(&self, attempt: &Attempt) -> Box<[KeyDigest]> {
        let calls = attempt.calls.iter();
        let unsigned = calls.map(|call| KeyDigest {
            key: self.kept_key(&call.key),
            digest: call.digest,
        });
        unsigned.collect()
    }

    /// The policy's copy of an account's name, to keep one instead of one for each attempt.
    fn kept_name(&self, account: &Name) -> Name {
        let kept = self
            .policy()
            .and_then(|policy| policy.accounts.get_key_value(account))
            .map(|(name, _)| name);
        kept.unwrap_or(account).clone()
    }

    fn kept_key(&self, key: &Name) -> Name {
        self.registrations
            .get(key)
            .map_or(key, |registered| &registered.name)
            .clone()
    }
}
