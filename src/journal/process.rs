//! What each command does to the state and the journal.

use std::sync::Arc;

use policy::{
    AttemptId, Entry, KeyRegistration, Permit, Refusal, Refused, RequestStatus, State, UnmetNeed,
    Verdict, evaluate,
};

use crate::{
    Activation, Committed, Registered, Release, Reply, SignCommand, SignOrder, SignOutcome,
    StoredEntry,
    command::{Command, Stopped},
    group::OpenGroup,
    writer::Writer,
};

impl Writer {
    pub(crate) fn process(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        command: Command,
    ) -> Result<(), Stopped> {
        match command {
            Command::Sign(sign, reply) => self.sign(state, group, *sign, reply),
            Command::Refuse(refused, reply) => {
                self.refuse(state, group, *refused)?;
                group.reply(|durable| reply.send(durable));
                Ok(())
            }
            Command::Signed(signed, reply) => {
                let attempt = signed.attempt;
                self.active.remove(&attempt);
                group.push(state, Entry::Signed(signed))?;
                let release = release(state, attempt);
                group.reply(move |durable| reply.send(durable.map(|()| release)));
                Ok(())
            }
            Command::Failed {
                attempt,
                reason,
                reply,
            } => {
                self.active.remove(&attempt);
                record(state, group, Entry::Failed { attempt, reason }, reply)
            }
            Command::Activate(activation, reply) => activate(state, group, activation, reply),
            Command::PolicyRefused { reason, reply } => {
                record(state, group, Entry::PolicyRefused { reason }, reply)
            }
            Command::Register(key, reply) => {
                let answer = register(state, group, key)?;
                group.reply(move |durable| reply.send(durable.map(|()| answer)));
                Ok(())
            }
            Command::Freeze {
                scope,
                reason,
                reply,
            } => record(state, group, Entry::Frozen { scope, reason }, reply),
            Command::Stop { reason, reply } => {
                for entry in self.refusals.drain() {
                    group.push(state, entry)?;
                }
                let _first = self.stopped.set(Stopped {
                    reason: reason.clone().into(),
                });
                record(state, group, Entry::Stopped { reason }, reply)
            }
        }
    }

    fn sign(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        sign: SignCommand,
        reply: Reply<Result<SignOutcome, Stopped>>,
    ) -> Result<(), Stopped> {
        let answer = self.decide(state, group, sign)?;
        group.reply(move |durable| {
            reply.send(durable.map(|()| match answer {
                Decision::Outcome(outcome) => outcome,
                // The order becomes real here and nowhere else: behind the flush.
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
            }));
        });
        Ok(())
    }

    fn decide(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        sign: SignCommand,
    ) -> Result<Decision, Stopped> {
        let SignCommand {
            decoded,
            basis,
            request,
            transaction,
        } = sign;
        if state.policy().is_none_or(|policy| policy.hash != basis) {
            return Ok(Decision::Outcome(SignOutcome::Moved));
        }
        if let Some(known) = state.request(&request.client, &request.id) {
            if known.hash != request.hash {
                return Ok(Decision::Outcome(SignOutcome::Reused { first: known.hash }));
            }
            let attempt = known.attempt;
            if self.active.contains(&attempt) {
                return Ok(Decision::Outcome(SignOutcome::InProgress));
            }
            if let RequestStatus::Signed { index } = known.status {
                return Ok(Decision::Outcome(match release(state, attempt) {
                    Release::Released => SignOutcome::Replay {
                        attempt,
                        signed: index,
                    },
                    Release::Withheld => SignOutcome::Withheld,
                }));
            }
            if known.finishable(group.now) && release(state, attempt) == Release::Released {
                return self.finish(state, group, attempt, Box::new(decoded));
            }
        }
        match evaluate(state, group.now, &decoded, &request) {
            Verdict::Permit(permit) => {
                let wanted = Wanted {
                    decoded: Box::new(decoded),
                    transaction,
                };
                self.permit(state, group, *permit, wanted)
            }
            Verdict::Pending(needs) => {
                self.refuse(state, group, refused(state, &request, Vec::new(), &needs))?;
                Ok(Decision::Outcome(SignOutcome::Pending(needs)))
            }
            Verdict::Refuse(Refusal { reasons, needs }) => {
                self.refuse(
                    state,
                    group,
                    refused(state, &request, reasons.clone(), &needs),
                )?;
                Ok(Decision::Outcome(SignOutcome::Refused(Refusal {
                    reasons,
                    needs,
                })))
            }
        }
    }

    /// Charges a permitted request.
    fn permit(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        permit: Permit,
        wanted: Wanted,
    ) -> Result<Decision, Stopped> {
        let Wanted {
            decoded,
            transaction,
        } = wanted;
        let attempt = permit.into_attempt();
        let calls = attempt.calls.clone();
        group.keep(&attempt.transaction, &transaction);
        let index = group.push(state, Entry::Attempt(Box::new(attempt)))?;
        self.active.insert(AttemptId(index));
        let decision = group.entries.last().map(|entry| StoredEntry {
            salt: entry.salt,
            body: entry.body.to_vec(),
        });
        let order = SignOrder::new(AttemptId(index), calls);
        Ok(Decision::Order {
            index,
            order,
            decoded,
            decision,
        })
    }

    /// Takes up an attempt that is charged and unsigned: further calls, no further charge.
    fn finish(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        attempt: AttemptId,
        decoded: Box<tx::Decoded>,
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
        let order = SignOrder::new(attempt, calls);
        Ok(Decision::Order {
            index,
            order,
            decoded,
            decision: None,
        })
    }

    fn refuse(
        &mut self,
        state: &mut State,
        group: &mut OpenGroup,
        refused: Refused,
    ) -> Result<(), Stopped> {
        match self.refusals.note(group.now.lo, refused) {
            Some(entry) => group.push(state, entry).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// A transaction that is permitted.
struct Wanted {
    decoded: Box<tx::Decoded>,
    /// Its JSON.
    transaction: String,
}

/// What was decided, before it is durable.
enum Decision {
    Outcome(SignOutcome),
    Order {
        index: u64,
        order: SignOrder,
        decoded: Box<tx::Decoded>,
        decision: Option<StoredEntry>,
    },
}

fn record(
    state: &mut State,
    group: &mut OpenGroup,
    entry: Entry,
    reply: Reply<Result<(), Stopped>>,
) -> Result<(), Stopped> {
    group.push(state, entry)?;
    group.reply(|durable| reply.send(durable));
    Ok(())
}

fn register(
    state: &mut State,
    group: &mut OpenGroup,
    key: KeyRegistration,
) -> Result<Registered, Stopped> {
    if state.registration(&key.name) == Some(&key) {
        return Ok(Registered::Known);
    }
    Ok(match group.offer(state, Entry::KeyRegistered(key))? {
        Ok(_) => Registered::Known,
        Err(error) => Registered::Refused(error),
    })
}

fn activate(
    state: &mut State,
    group: &mut OpenGroup,
    activation: Activation,
    reply: Reply<Result<Result<(), String>, Stopped>>,
) -> Result<(), Stopped> {
    let Activation { policy, signed_by } = activation;
    if let Err(error) = state.check_activation(&policy) {
        let refused = error.to_string();
        group.reply(move |durable| reply.send(durable.map(|()| Err(refused))));
        return Ok(());
    }
    let entry = Entry::PolicyActivated {
        hash: policy.hash,
        sequence: policy.sequence,
        signed_by,
    };
    group.push(state, entry)?;
    state
        .activate(Arc::clone(&policy))
        .map_err(|error| Stopped {
            reason: format!("an activated policy does not fit the state: {error}").into(),
        })?;
    group.reply(|durable| reply.send(durable.map(Ok)));
    Ok(())
}

/// Whether signatures of an attempt may leave: no freeze stands in its scope.
fn release(state: &State, attempt: AttemptId) -> Release {
    if state.is_frozen(attempt) {
        Release::Withheld
    } else {
        Release::Released
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
    Refused {
        client: request.client.clone(),
        request: request.id.clone(),
        request_hash: request.hash,
        transaction: request.transaction.clone(),
        policy: state.policy().map(|policy| policy.hash).unwrap_or_default(),
        reasons,
        needs: needs.iter().map(|need| need.statement.clone()).collect(),
    }
}
