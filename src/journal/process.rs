//! What each command does to the state and the journal.

use std::collections::BTreeSet;

use policy::{
    AttemptId, Blob, Entry, FreezeScope, KeyRegistration, Permit, Pruned, RRepeated, Reason,
    ReasonCode, Refusal, Refused, Request, RequestState, RequestStatus, RowKey, Signed, State,
    StateError, UnmetNeed, Verdict, evaluate, shortened, statement::StatementError,
};
use tx::{Decoded, Interval};

#[cfg(test)]
use crate::defect::{self, Defect};
use crate::{
    Committed, Registered, Release, Reply, RootError, SignCommand, SignOrder, SignOutcome,
    StoredEntry,
    command::{Command, Stopped},
    group::{OpenGroup, SUMMARIES_MAX, Untaken},
    segment::MAX_BLOB_BYTES,
    writer::{REASON_BYTES, Writer, stopped},
};

impl Writer {
    pub(crate) fn process(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        command: Command,
    ) -> Result<(), Stopped> {
        match command {
            Command::Sign(sign, reply) => {
                let decided = self.decide(state, group, *sign);
                group.answer(Reply::new(|durable| reply.send(outcome(durable))), decided)
            }
            Command::Evaluate(asked, reply) => {
                group.answer(reply, self.evaluate(state, group.now, &asked))
            }
            Command::Refuse(refused, reply) => {
                let noted = self.refuse(state, group, *refused);
                group.answer(reply, noted)
            }
            Command::Signed(signed, reply) => {
                let release = self.signed(state, group, *signed);
                group.answer(reply, release)
            }
            Command::Failed {
                attempt,
                reason,
                reply,
            } => {
                self.active.remove(&attempt);
                let failed = self.failed(state, group, attempt, reason);
                let recorded = group.answer(reply, failed);
                #[cfg(test)]
                if defect::is(Defect::RefundOnFailure) {
                    *state = defect::refunded(attempt);
                }
                recorded
            }
            Command::Govern(asked) => {
                self.recall(state, &asked.reads())?;
                self.govern(state, group, asked)
            }
            Command::PolicyRefused { reason, reply } => {
                let reason = shortened(reason, REASON_BYTES);
                record(state, group, Entry::PolicyRefused { reason }, reply)
            }
            Command::Register(key, reply) => {
                let registered = register(state, group, key);
                group.answer(reply, registered)
            }
            Command::Freeze {
                scope,
                reason,
                reply,
            } => {
                let reason = shortened(reason, REASON_BYTES);
                record(state, group, Entry::Frozen { scope, reason }, reply)
            }
            Command::Checkpoint { key, when, reply } => {
                self.ask_checkpoint(state, group, (key, reply), when)
            }
            Command::CheckpointDue => self.order_awaited(state, group),
            Command::SelfTest { tests, reply } => self.order_self_test(state, group, tests, reply),
            Command::Prune(pruned, reply) => {
                let taken = self.prune(state, group, pruned);
                group.answer(reply, taken)
            }
            Command::Covered(signed) => {
                self.covered(state, &signed);
                Ok(())
            }
            Command::Stop { reason, reply } => {
                let ended = self.end(state, group, reason);
                group.answer(reply, ended)
            }
        }
    }

    fn decide(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        sign: SignCommand,
    ) -> Result<Decision, Stopped> {
        let request = &sign.request;
        if state
            .policy()
            .is_none_or(|policy| policy.hash != sign.basis)
        {
            return Ok(Decision::Outcome(SignOutcome::Moved));
        }
        self.recall(state, &RowKey::named_by(&sign.decoded, request))?;
        let known = state.request(&request.client, &request.id);
        if let Some(known) = known.map_err(|error| stopped(&error))? {
            #[cfg(test)]
            if defect::is(Defect::ReplaySignsAgain)
                && matches!(known.status, RequestStatus::Signed { .. })
            {
                return Ok(signed_again(state, known.attempt, sign));
            }
            let is_frozen = state.is_frozen(known.attempt);
            let is_frozen = is_frozen.map_err(|error| stopped(&error))?;
            let is_frozen = is_frozen || state.lapsed(group.now).is_some();
            if let Some(outcome) = self.known(request, known, is_frozen) {
                return Ok(Decision::Outcome(outcome));
            }
            let held = is_frozen || state.is_past(known.attempt);
            if known.finishable(group.now) && !held {
                return self.finish(state, group, known.attempt, Box::new(sign.decoded));
            }
        }
        let verdict = evaluate(state, group.now, &sign.decoded, request);
        match verdict.map_err(|error| stopped(&error))? {
            Verdict::Permit(permit) => self.permit(state, group, *permit, sign),
            Verdict::Pending(needs) => {
                self.refuse(state, group, refused(state, request, Vec::new(), &needs))?;
                Ok(Decision::Outcome(SignOutcome::Pending(needs)))
            }
            Verdict::Refuse(refusal) => self.refusal(state, group, request, refusal),
        }
    }

    /// What would be decided.
    fn evaluate(
        &self,
        state: &mut State,
        now: Interval,
        asked: &SignCommand,
    ) -> Result<Verdict, Stopped> {
        self.recall(state, &RowKey::named_by(&asked.decoded, &asked.request))?;
        let verdict = evaluate(state, now, &asked.decoded, &asked.request);
        verdict.map_err(|error| stopped(&error))
    }

    /// The answer to a request that was made before, unless it is to be taken up again.
    fn known(
        &self,
        request: &Request,
        known: RequestState,
        is_frozen: bool,
    ) -> Option<SignOutcome> {
        if known.hash != request.hash {
            return Some(SignOutcome::Reused { first: known.hash });
        }
        if self.active.contains(&known.attempt) {
            return Some(SignOutcome::InProgress);
        }
        let RequestStatus::Signed { index } = known.status else {
            return None;
        };
        Some(if is_frozen {
            SignOutcome::Withheld
        } else {
            SignOutcome::Replay {
                attempt: known.attempt,
                signed: index,
            }
        })
    }

    /// Charges a permitted request.
    fn permit(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        permit: Permit,
        sign: SignCommand,
    ) -> Result<Decision, Stopped> {
        let attempt = permit.into_attempt();
        #[cfg(test)]
        let attempt = defect::unbound(attempt);
        let (calls, transaction) = (attempt.calls.clone(), attempt.transaction.clone());
        let expected = state.entries();
        let taken = if sign.transaction.len() > MAX_BLOB_BYTES {
            let bytes = sign.transaction.len();
            Err(Untaken::TooLarge { bytes })
        } else {
            group.offer(state, Entry::Attempt(Box::new(attempt)))?
        };
        let index = match taken {
            Ok(index) => index,
            Err(Untaken::TooLarge { bytes }) => {
                return self.refusal(state, group, &sign.request, too_large(bytes));
            }
            Err(untaken) => return Err(untaken.stops(expected)),
        };
        group.keep(&transaction, &sign.transaction);
        self.active.insert(AttemptId(index));
        let decision = group.entries.last().map(|entry| StoredEntry {
            salt: entry.salt,
            body: entry.body.to_vec(),
        });
        Ok(Decision::Order {
            index,
            order: SignOrder::new(AttemptId(index), calls),
            decoded: Box::new(sign.decoded),
            decision,
        })
    }

    /// Takes up an attempt that is charged and unsigned: further calls, no further charge.
    fn finish(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        attempt: AttemptId,
        decoded: Box<Decoded>,
    ) -> Result<Decision, Stopped> {
        let calls = state.calls_for(&decoded);
        let index = group.push(
            state,
            Entry::Call {
                attempt,
                calls: calls.clone(),
            },
        )?;
        self.active.insert(attempt);
        Ok(Decision::Order {
            index,
            order: SignOrder::new(attempt, calls),
            decoded,
            decision: None,
        })
    }

    /// Signatures leave at most 60 s after their charge: later the window would give the room away
    /// a second time. Those that come too late are as good as not made, and are made again under a
    /// charge of their own.
    fn signed(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        mut signed: Signed,
    ) -> Result<Release, Stopped> {
        let attempt = signed.attempt;
        self.active.remove(&attempt);
        self.recall(state, &RowKey::read_by_signed(&signed).collect())?;
        let charged = state.attempt(attempt).map_err(|error| stopped(&error))?;
        let age_millis = charged.map(|charged| group.now.lo.millis_since(charged.charged_at()));
        #[cfg(test)]
        let age_millis = age_millis.filter(|_| !defect::is(Defect::LateRelease));
        if age_millis.is_some_and(|age| age > RequestState::FINISHABLE_MILLIS) {
            let reason = "the signatures came more than 60 s after the charge, and are not kept";
            let reason = reason.into();
            group.push(state, Entry::Failed { attempt, reason })?;
            return Ok(Release::TooLate);
        }
        let repeated = state.repeats(&signed).map_err(|error| stopped(&error))?;
        if let Some(repeated) = repeated {
            freeze_repeated(state, group, attempt, &repeated)?;
            return Ok(Release::Repeated);
        }
        if let Blob::Inline(text) = signed.raw {
            signed.raw = Blob::of(&text);
            group.keep(&signed.raw, &text);
        }
        group.push(state, Entry::Signed(Box::new(signed)))?;
        let is_frozen = state.is_frozen(attempt).map_err(|error| stopped(&error))?;
        #[cfg(test)]
        let is_frozen = defect::held(is_frozen);
        let is_frozen = is_frozen || state.lapsed(group.now).is_some();
        Ok(if is_frozen {
            Release::Withheld
        } else {
            Release::Released
        })
    }

    fn failed(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        attempt: AttemptId,
        reason: String,
    ) -> Result<(), Stopped> {
        self.recall(state, &[RowKey::Attempt(attempt)].into())?;
        let reason = shortened(reason, REASON_BYTES);
        group
            .push(state, Entry::Failed { attempt, reason })
            .map(drop)
    }

    fn refusal(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        request: &Request,
        refusal: Refusal,
    ) -> Result<Decision, Stopped> {
        let Refusal { reasons, needs } = &refusal;
        let entry = refused(state, request, reasons.clone(), needs);
        self.refuse(state, group, entry)?;
        Ok(Decision::Outcome(SignOutcome::Refused(refusal)))
    }

    fn refuse(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        refused: Refused,
    ) -> Result<(), Stopped> {
        match self.refusals.note(self.boot_millis, refused) {
            Some(entry) => group.push(state, entry).map(drop),
            None => Ok(()),
        }
    }

    /// Lets bodies go that no start reads, once all is whole that a start has instead.
    fn prune(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        pruned: Box<Pruned>,
    ) -> Result<Result<(), StateError>, Stopped> {
        if pruned.before > self.read_from {
            let why = StatementError::Nothing("the snapshot does not stand behind it");
            return Ok(Err(StateError::Unseal(why)));
        }
        let map = self.rows.map().verify();
        map.map_err(|error| stopped(&RootError::Map(error)))?;
        let charges = self.charges.verify(state.first_block());
        charges.map_err(|error| stopped(&error))?;
        let expected = state.entries();
        match group.offer(state, Entry::Pruned(pruned))? {
            Ok(_) => Ok(Ok(())),
            Err(Untaken::State(error)) => Ok(Err(error)),
            Err(untaken) => Err(untaken.stops(expected)),
        }
    }

    /// The last entries: whatever waits behind them is not taken.
    fn end(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        reason: String,
    ) -> Result<(), Stopped> {
        for entry in self.refusals.rest(SUMMARIES_MAX) {
            group.push(state, entry)?;
        }
        let reason = shortened(reason, REASON_BYTES);
        let _first = self.stopped.set(Stopped::because(reason.as_str()));
        group.push(state, Entry::Stopped { reason }).map(drop)
    }
}

/// What was decided, before it is durable.
enum Decision {
    Outcome(SignOutcome),
    Order {
        index: u64,
        order: SignOrder,
        decoded: Box<Decoded>,
        decision: Option<StoredEntry>,
    },
}

/// The order becomes real here and nowhere else: behind the flush.
fn outcome(durable: Result<Decision, Stopped>) -> Result<SignOutcome, Stopped> {
    Ok(match durable? {
        Decision::Outcome(outcome) => outcome,
        Decision::Order {
            index,
            order,
            decoded,
            decision,
        } => SignOutcome::Order {
            order: Committed::new(index, order),
            decoded,
            decision,
        },
    })
}

/// Two signatures with one `r`: the later ones are as good as not made, and nothing more is signed with
/// either key.
fn freeze_repeated(
    state: &mut State,
    group: &mut OpenGroup,
    attempt: AttemptId,
    repeated: &RRepeated,
) -> Result<(), Stopped> {
    let reason = repeated.to_string();
    let failed = Entry::Failed {
        attempt,
        reason: reason.clone(),
    };
    group.push(state, failed)?;
    for key in BTreeSet::from([&repeated.first.key, &repeated.second.key]) {
        let frozen = Entry::Frozen {
            scope: FreezeScope::Key(key.clone()),
            reason: reason.clone(),
        };
        group.push(state, frozen)?;
    }
    Ok(())
}

#[cfg(test)]
fn signed_again(state: &State, attempt: AttemptId, sign: SignCommand) -> Decision {
    Decision::Order {
        index: attempt.0,
        order: SignOrder::new(attempt, state.calls_for(&sign.decoded)),
        decoded: Box::new(sign.decoded),
        decision: None,
    }
}

fn record(
    state: &mut State,
    group: &mut OpenGroup,
    entry: Entry,
    reply: Reply<Result<(), Stopped>>,
) -> Result<(), Stopped> {
    let added = group.push(state, entry).map(drop);
    group.answer(reply, added)
}

fn register(
    state: &mut State,
    group: &mut OpenGroup,
    key: KeyRegistration,
) -> Result<Registered, Stopped> {
    if state.registration(&key.name) == Some(&key) {
        return Ok(Registered::Known);
    }
    let expected = state.entries();
    match group.offer(state, Entry::KeyRegistered(key))? {
        Ok(_) => Ok(Registered::Known),
        Err(Untaken::State(error)) => Ok(Registered::Refused(error)),
        Err(untaken) => Err(untaken.stops(expected)),
    }
}

fn too_large(bytes: usize) -> Refusal {
    let reason = Reason {
        code: ReasonCode::Transaction,
        statement: None,
        at: None,
        detail: format!("too-large: the journal does not take an entry of {bytes} bytes"),
        remedy: "split the transaction".into(),
    };
    Refusal {
        reasons: vec![reason],
        needs: Vec::new(),
    }
}

/// The entry of a request that was not signed. What it asked for is kept in full only when it is
/// small: a refusal must not be a way to fill the disk.
fn refused(
    state: &State,
    request: &policy::Request,
    reasons: Vec<policy::Reason>,
    needs: &[UnmetNeed],
) -> Refused {
    let policy = state.policy().map(|policy| policy.hash).unwrap_or_default();
    let needs = needs.iter().map(|need| need.statement.clone()).collect();
    Refused::new(request, policy, reasons, needs)
}
