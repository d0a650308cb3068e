//! What is impossible: entries that do not follow from those before them.

use std::collections::BTreeSet;

use tx::{Name, Time};

use super::{State, StateError, present::spend_key};
use crate::{
    Attempt, AttemptId, Checkpoint, Entry, KeyAlgorithm, KeyPurpose, KeyRegistration,
    NumberedDigest, Pruned, Record, Resumed, RowKey, StateRoot,
    statement::{NewEpoch, Prune, StatementError, Unseal},
};

/// Whether the secret of the one follows from that of the other: with one x coordinate they are one, or each
/// other's negative, whatever they sign with.
fn share_secret(one: &KeyRegistration, other: &KeyRegistration) -> bool {
    /// The hexadecimal digits of an x coordinate.
    const X_DIGITS: usize = 64;

    let x = |key: &KeyRegistration| match key.algorithm {
        KeyAlgorithm::Ed25519 => None,
        KeyAlgorithm::Secp256k1 | KeyAlgorithm::Bip340 => {
            let begin = key.public.len().checked_sub(X_DIGITS)?;
            key.public.get(begin..).map(str::to_ascii_lowercase)
        }
    };
    x(one).is_some_and(|found| Some(found) == x(other))
}

/// How many entries a log has before the epoch in which it begins: its genesis, and the bundle.
const NEW_LOG_ENTRIES: u64 = 2;

impl State {
    pub(super) fn validate(&self, index: u64, record: &Record) -> Result<(), StateError> {
        if record.v != 1 {
            return Err(StateError::Version { found: record.v });
        }
        if index != self.entries {
            return Err(StateError::Index {
                expected: self.entries,
                found: index,
            });
        }
        if record.time.lo < self.lo || record.time.hi < record.time.lo {
            return Err(StateError::Time);
        }
        if matches!(record.entry, Entry::Genesis { .. }) != (index == 0) {
            return Err(StateError::Genesis);
        }
        self.validate_entry(record)
    }

    fn validate_entry(&self, record: &Record) -> Result<(), StateError> {
        match &record.entry {
            Entry::PolicyActivated { hash, sequence, .. } => {
                self.validate_policy(record.time.lo, *hash, *sequence)
            }
            Entry::PolicyProposed(proposed) => self.validate_proposed(record.time.lo, proposed),
            Entry::PolicyVetoed(vetoed) => self.validate_vetoed(vetoed),
            Entry::BookLoaded(loaded) => self.validate_loaded(record.time.lo, loaded),
            Entry::BookCooled { book, sequence } => {
                self.validate_cooled(record.time.lo, book, *sequence)
            }
            Entry::BookVetoed(vetoed) => self.validate_book_vetoed(vetoed),
            Entry::KeyRegistered(key) => self.validate_key(key),
            Entry::Attempt(attempt) => {
                self.validate_attempt(attempt)?;
                self.validate_dead(record.time.lo, attempt)
            }
            Entry::Call { attempt, calls } => {
                self.validate_unsigned(*attempt)?;
                self.validate_calls(calls)
            }
            Entry::Signed(signed) => {
                self.validate_unsigned(signed.attempt)?;
                self.knows_all(RowKey::read_by(&record.entry))
                    .map_err(StateError::NotRecalled)?;
                let unmade = signed.signatures.iter().find(|s| s.call >= self.next_call);
                unmade.map_or(Ok(()), |s| Err(StateError::Call { call: s.call }))
            }
            Entry::Failed { attempt, .. } => self.validate_unsigned(*attempt),
            Entry::SelfTest { calls } => self.validate_self_test(calls),
            Entry::Checkpoint(checkpoint) => self.validate_checkpoint(checkpoint),
            Entry::StateRoot(root) => self.validate_root(root),
            Entry::Resumed(resumed) => self.validate_resumed(resumed),
            Entry::EpochBegan(began) => self.validate_epoch(record.time.lo, began),
            Entry::Pruned(pruned) => self.validate_pruned(pruned),
            Entry::FrozenBy(frozen) => self.validate_frozen(record.time.lo, frozen),
            Entry::Unfrozen(unfrozen) => self.validate_unfrozen(record.time, unfrozen),
            Entry::IntentRegistered(registered) => {
                self.validate_registered(record.time, registered)
            }
            Entry::IntentDecided(decided) => self.validate_decided(record.time, decided),
            Entry::TransactionRegistered(registered) => {
                self.validate_transaction(record.time, registered)
            }
            Entry::TransactionDecided(decided) => {
                self.validate_transaction_decided(record.time, decided)
            }
            Entry::Attested(said) => self.validate_attested(record.time, said),
            Entry::Heartbeat(by) => self.validate_heartbeat(record, by),
            Entry::TimeCredited { by, .. } => self.validate_credited(record.time.lo, *by),
            _ => Ok(()),
        }
    }

    /// A name stands for one key for ever, and a key has one name.
    fn validate_key(&self, key: &KeyRegistration) -> Result<(), StateError> {
        let differs = || StateError::KeyDiffers {
            key: key.name.clone(),
        };
        if let Some(known) = self.registrations.get(&key.name) {
            let same = known.public == key.public
                && known.purpose == key.purpose
                && known.algorithm == key.algorithm;
            return if same { Ok(()) } else { Err(differs()) };
        }
        if self
            .registrations
            .values()
            .any(|known| known.public == key.public || share_secret(known, key))
        {
            return Err(differs());
        }
        let spends = key.purpose == KeyPurpose::Spend && key.algorithm != KeyAlgorithm::Ed25519;
        if spends && spend_key(key).is_none() {
            return Err(StateError::KeyForm {
                key: key.name.clone(),
            });
        }
        Ok(())
    }

    fn validate_unsigned(&self, attempt: AttemptId) -> Result<(), StateError> {
        match self.attempt(attempt).map_err(StateError::NotRecalled)? {
            None => Err(StateError::UnknownAttempt { attempt }),
            Some(state) if state.is_signed() => Err(StateError::AlreadySigned { attempt }),
            Some(_) => Ok(()),
        }
    }

    fn validate_calls(&self, calls: &[NumberedDigest]) -> Result<(), StateError> {
        let mut next = self.next_call;
        for call in calls {
            let reused = StateError::Call { call: call.call };
            if call.call < next {
                return Err(reused);
            }
            next = call.call.checked_add(1).ok_or(reused)?;
        }
        Ok(())
    }

    /// What is tested authorises no other key: there would be calls without a charge.
    fn validate_self_test(&self, calls: &[NumberedDigest]) -> Result<(), StateError> {
        self.validate_calls(calls)?;
        let is_for_tests = |call: &&NumberedDigest| {
            self.registrations.get(&call.key).is_some_and(|known| {
                known.purpose == KeyPurpose::Test && known.algorithm == call.algorithm
            })
        };
        match calls.iter().find(|call| !is_for_tests(call)) {
            Some(call) => Err(StateError::SelfTestKey {
                key: call.key.clone(),
            }),
            None => Ok(()),
        }
    }

    fn validate_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StateError> {
        if checkpoint.size != self.entries {
            return Err(StateError::CheckpointSize {
                expected: self.entries,
                found: checkpoint.size,
            });
        }
        if !self.signs_checkpoints(&checkpoint.key) {
            return Err(StateError::CheckpointKey {
                key: checkpoint.key.clone(),
            });
        }
        // The last number cannot be used: none would follow it.
        if checkpoint.call != self.next_call || checkpoint.call == u64::MAX {
            return Err(StateError::Call {
                call: checkpoint.call,
            });
        }
        Ok(())
    }

    fn signs_checkpoints(&self, key: &Name) -> bool {
        self.registrations.get(key).is_some_and(|known| {
            known.purpose == KeyPurpose::Checkpoint && known.algorithm == KeyAlgorithm::Ed25519
        })
    }

    /// That it says what is so is for whoever has the rows to know.
    fn validate_root(&self, root: &StateRoot) -> Result<(), StateError> {
        if root.v != StateRoot::VERSION {
            return Err(StateError::Version { found: root.v });
        }
        if root.covers <= self.rooted || root.covers > self.entries {
            return Err(StateError::StateRoot {
                covers: root.covers,
                before: self.rooted,
                entries: self.entries,
            });
        }
        Ok(())
    }

    /// By what it says, who signed it, and that it was not used: whoever can write to the disk does not
    /// make one up. The root and the time were looked at when it was carried out.
    fn validate_resumed(&self, resumed: &Resumed) -> Result<(), StateError> {
        let statement = Unseal::parse(&resumed.statement).map_err(StateError::Unseal)?;
        if statement.hash() != resumed.hash || self.resumed.contains(&resumed.hash) {
            return Err(StateError::Statement);
        }
        let refuse = |error| Err(StateError::Unseal(error));
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return refuse(StatementError::Fleet);
        }
        if statement.head.size != self.entries {
            return refuse(StatementError::Head {
                said: statement.head.size,
                found: self.entries,
            });
        }
        let hash = statement.bundle;
        if self.active() != Some(hash) {
            return Err(StateError::Policy { hash });
        }
        // A fold without bundles, which signs nothing, takes the entry's word for it.
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let signed_by = statement.signed_by(&resumed.signatures, policy);
        if signed_by.map_err(StateError::Unseal)? != resumed.signed_by {
            return Err(StateError::Statement);
        }
        Ok(())
    }

    /// By what it says and who signed it, and that a state root covers what goes. Root and times were looked
    /// at when it was carried out.
    fn validate_pruned(&self, pruned: &Pruned) -> Result<(), StateError> {
        let by = &pruned.by;
        let statement = Prune::parse(&by.statement).map_err(StateError::Unseal)?;
        if statement.hash() != by.hash {
            return Err(StateError::Statement);
        }
        let refuse = |error| Err(StateError::Unseal(error));
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return refuse(StatementError::Fleet);
        }
        let most = statement.exported.size.min(self.rooted);
        if pruned.before <= self.pruned || pruned.before > most {
            return refuse(StatementError::Nothing(
                "it is gone, not exported, or in no state root",
            ));
        }
        let hash = statement.bundle;
        if self.active() != Some(hash) {
            return Err(StateError::Policy { hash });
        }
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let signed_by = statement.signed_by(&by.signatures, policy);
        if signed_by.map_err(StateError::Unseal)? != by.signed_by {
            return Err(StateError::Statement);
        }
        Ok(())
    }

    /// As [`State::validate_resumed`], and that it says all that it must.
    fn validate_epoch(&self, lo: Time, began: &Resumed) -> Result<(), StateError> {
        let refuse = |error| Err(StateError::Unseal(error));
        let statement = NewEpoch::parse(&began.statement).map_err(StateError::Unseal)?;
        if statement.hash() != began.hash || self.resumed.contains(&began.hash) {
            return Err(StateError::Statement);
        }
        if self.fleet.as_ref() != Some(&statement.fleet) {
            return refuse(StatementError::Fleet);
        }
        // Where nothing was there, a bundle governs before anything else is written.
        let said = statement.head.size;
        let before = if said == 0 { NEW_LOG_ENTRIES } else { said };
        if before != self.entries {
            let found = self.entries;
            return refuse(StatementError::Head { said, found });
        }
        let hash = statement.bundle;
        if self.active != Some((hash, statement.sequence)) {
            return Err(StateError::Policy { hash });
        }
        let (said, seen) = (statement.epoch, self.epoch());
        if said <= seen {
            return refuse(StatementError::Epoch { said, seen });
        }
        if lo < statement.begins {
            return refuse(StatementError::Begins(statement.begins));
        }
        let Some(present) = self.present() else {
            return Ok(());
        };
        let whole = statement.check_whole(&present.policy);
        whole.map_err(StateError::Unseal)?;
        if let Some(drain) = statement.drains.iter().find(|drain| {
            let key = present.registry.key(&drain.to);
            key.is_some_and(|key| key.name == drain.key)
        }) {
            let (key, chain) = (drain.key.clone(), drain.to.chain());
            return refuse(StatementError::Drain { key, chain });
        }
        let signed_by = statement.signed_by(&began.signatures, &present.policy);
        if signed_by.map_err(StateError::Unseal)? != began.signed_by {
            return Err(StateError::Statement);
        }
        Ok(())
    }

    fn validate_attempt(&self, attempt: &Attempt) -> Result<(), StateError> {
        if self.active() != Some(attempt.policy) {
            return Err(StateError::Policy {
                hash: attempt.policy,
            });
        }
        self.knows_of(attempt).map_err(StateError::NotRecalled)?;
        self.validate_calls(&attempt.calls)?;
        let resumed = self.validate_request(attempt)?;
        let anchored = self.set_of(&attempt.keys);
        let expected = resumed.or(anchored.map_err(StateError::NotRecalled)?);
        if attempt.set != expected {
            return Err(StateError::Set);
        }
        if self.lane_epoch(&attempt.lane) > Some(attempt.lane_epoch) {
            return Err(StateError::Lane {
                lane: attempt.lane.clone(),
            });
        }
        self.validate_intents(attempt)
    }

    /// The conflict set of the attempt that this one takes up again.
    fn validate_request(&self, attempt: &Attempt) -> Result<Option<AttemptId>, StateError> {
        let refuse = || StateError::Request {
            client: attempt.client.clone(),
            request: attempt.request.clone(),
        };
        let known = self.request(&attempt.client, &attempt.request);
        let known = known.map_err(StateError::NotRecalled)?;
        let Some(resumes) = attempt.resumes else {
            return known.map_or(Ok(None), |_| Err(refuse()));
        };
        self.validate_unsigned(resumes)?;
        if known.is_none_or(|known| known.attempt != resumes || known.hash != attempt.request_hash)
        {
            return Err(refuse());
        }
        let old = self.attempt(resumes).map_err(StateError::NotRecalled)?;
        Ok(old.map(|old| old.set()))
    }

    fn validate_intents(&self, attempt: &Attempt) -> Result<(), StateError> {
        let mut seen = BTreeSet::new();
        for signed in &attempt.intents {
            let id = &signed.intent.id;
            let payload = self.intent_payload(id).map_err(StateError::NotRecalled)?;
            if signed.intent.epoch != self.epoch() {
                return Err(StateError::IntentEpoch { intent: id.clone() });
            }
            let differs = payload.is_some_and(|payload| payload != signed.intent.payload());
            if differs || !seen.insert(id) {
                return Err(StateError::Intent { intent: id.clone() });
            }
        }
        Ok(())
    }
}
