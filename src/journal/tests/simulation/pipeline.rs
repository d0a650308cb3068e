//! What a signer does around its journal: a device is asked for what was ordered, what it gave is recorded,
//! and only then it leaves; with witnesses, once enough of them know of it.

use std::sync::atomic::Ordering;

use policy::{AttemptId, Blob, Signed};
use tlog::TreeHead;
use tx::{EcdsaSignature, KeySignature};

use super::{
    device,
    machine::{Answer, Given, Outgoing},
    model::Violation,
    witnesses::{WITNESSES, Witness, log_key_name, quorum, sign},
    world::{Event, Kind, World},
};
use crate::{
    CheckpointOutcome, CheckpointWhen, Cleared, Committed, Hold, Leaving, Release, SignOrder,
    SignOutcome, Uncleared, command::Command,
};

impl World {
    pub(super) fn answered(&mut self, m: usize, answer: Answer) -> Result<(), Violation> {
        match answer {
            Answer::Sign { request, outcome } => self.decided(m, request, outcome.ok()),
            Answer::Signed {
                request,
                attempt,
                raw,
                release,
            } => {
                match release {
                    Ok(Release::Released) => {
                        let outgoing = Outgoing {
                            request,
                            attempt,
                            raw,
                        };
                        self.place(0, self.this(m), Event::Leave(outgoing));
                    }
                    // Evaluated and charged anew.
                    Ok(Release::TooLate) => self.send(m, request),
                    Ok(Release::Repeated) => {
                        return Err(Violation("6 an r is told to repeat".into()));
                    }
                    Ok(Release::Withheld) | Err(_) => {}
                }
                Ok(())
            }
            Answer::Failed { request } => {
                if self.random.once_in(2) {
                    self.send(m, request);
                }
                Ok(())
            }
            Answer::Checkpoint(outcome) => {
                if let Ok(CheckpointOutcome::Order(order)) = outcome {
                    self.checkpointed(m, order);
                }
                Ok(())
            }
            Answer::Other(_) => Ok(()),
        }
    }

    fn decided(
        &mut self,
        m: usize,
        request: usize,
        outcome: Option<SignOutcome>,
    ) -> Result<(), Violation> {
        match outcome {
            Some(SignOutcome::Order { order, decoded, .. }) => {
                if self.kind == Kind::Copies {
                    let attempt = order.value().attempt();
                    self.place(5_000, self.this(m), Event::Unheard(attempt));
                }
                self.order(m, Given { request, decoded }, order)?;
            }
            Some(SignOutcome::Replay { attempt, signed }) => {
                // An answer that officers let go is told no more, and nothing is signed for it again.
                let Some(raw) = self.recorded(m, signed)? else {
                    return Ok(());
                };
                let outgoing = Outgoing {
                    request,
                    attempt,
                    raw,
                };
                self.place(0, self.this(m), Event::Leave(outgoing));
            }
            Some(SignOutcome::InProgress | SignOutcome::Moved) => self.send(m, request),
            // Whoever was refused asks again at times.
            _ if self.random.once_in(5) => {
                let delay = self.random.between(1, 60_000);
                self.place(delay, self.anyone(m), Event::Arrive(request));
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks the device for what was ordered, once witnesses know of it.
    pub(super) fn order(
        &mut self,
        m: usize,
        given: Given,
        order: Committed<SignOrder>,
    ) -> Result<(), Violation> {
        match self.clear(m, order) {
            Ok(order) => {
                let call = self.call_device(m, order)?;
                self.place(call.millis, self.this(m), Event::Given(given, call));
            }
            Err(Uncleared {
                order,
                hold: Hold::Unwitnessed { .. },
            }) => {
                let process = self.machines[m].process.as_mut().unwrap();
                process.ordered.push((given, order));
                self.hurry(m);
            }
            Err(Uncleared { order, .. }) => self.fail(m, given.request, order.value().attempt()),
        }
        Ok(())
    }

    /// As the daemon clears an order.
    pub(super) fn clear(
        &self,
        m: usize,
        order: Committed<SignOrder>,
    ) -> Result<Cleared, Uncleared> {
        let process = self.machines[m].process.as_ref().unwrap();
        Cleared::new(
            order,
            &process.writer.rows,
            self.witnessed(m),
            self.has_lapsed(m),
        )
    }

    /// How many entries enough witnesses have cosigned, where any are named.
    fn witnessed(&self, m: usize) -> Option<u64> {
        let process = self.machines[m].process.as_ref().unwrap();
        (self.kind == Kind::Copies).then(|| process.cosigned.size_by(quorum()))
    }

    fn has_lapsed(&self, m: usize) -> bool {
        let process = self.machines[m].process.as_ref().unwrap();
        let now = process.writer.time.interval();
        process.state().lapsed(now).is_some()
    }

    /// The only way to the device: an order that says that it is durable, and was cleared.
    pub(super) fn call_device(
        &mut self,
        m: usize,
        order: Cleared,
    ) -> Result<device::Call, Violation> {
        let call = device::call(order, &mut self.random);
        self.trace.tell(format_args!(
            "calls of attempt {} by {}",
            call.attempt, call.entry
        ));
        self.machines[m].model.call(&call.calls)?;
        self.is_witnessed(m, call.entry, "signed")?;
        Ok(call)
    }

    /// With copies of disks: nothing is signed or released unless enough witnesses know of the entry, in the log as
    /// this machine has it.
    fn is_witnessed(&self, m: usize, entry: u64, what: &str) -> Result<(), Violation> {
        if self.kind != Kind::Copies {
            return Ok(());
        }
        let process = self.machines[m].process.as_ref().unwrap();
        let knows = |witness: &&Witness| witness.knows(entry, &process.reader);
        let know = self.witnesses.iter().filter(knows).count();
        match know >= quorum().needed() {
            true => Ok(()),
            false => Err(Violation(format!(
                "10 {what} by entry {entry}, which {know} witnesses know"
            ))),
        }
    }

    /// Somebody waits for witnesses: a checkpoint is due.
    fn hurry(&mut self, m: usize) {
        let process = self.machines[m].process.as_ref().unwrap();
        if process.ordered.len() + process.leaving.len() == 1 {
            self.place(1, self.this(m), Event::Checkpoint);
        }
    }

    /// Says that an attempt was not signed.
    fn fail(&mut self, m: usize, request: usize, attempt: AttemptId) {
        let process = self.machines[m].process.as_ref().unwrap();
        let reply = process.reply(move |_: Result<(), _>| Answer::Failed { request });
        let reason = "no answer".into();
        self.ask(
            m,
            Command::Failed {
                attempt,
                reason,
                reply,
            },
        );
    }

    /// Waits no longer for witnesses of an order.
    pub(super) fn unheard(&mut self, m: usize, attempt: AttemptId) {
        let process = self.machines[m].process.as_mut().unwrap();
        let waits = |(_, order): &(Given, Committed<SignOrder>)| order.value().attempt() == attempt;
        if let Some(place) = process.ordered.iter().position(waits) {
            let (given, _order) = process.ordered.remove(place);
            self.fail(m, given.request, attempt);
        }
    }

    /// What was signed before, from the journal, unless its body was let go.
    fn recorded(&self, m: usize, index: u64) -> Result<Option<String>, Violation> {
        use crate::Bodies as _;
        let process = self.machines[m].process.as_ref().unwrap();
        let unread = |why: String| Violation(format!("a recorded answer is not read: {why}"));
        let stored = match process.reader.entry(index) {
            Ok(stored) => stored,
            Err(error) if error.is_pruned() && index < process.state().pruned() => return Ok(None),
            Err(error) => return Err(unread(error.to_string())),
        };
        let record: policy::Record = serde_json::from_slice(&stored.body).unwrap();
        match record.entry {
            policy::Entry::Signed(signed) => match signed.raw {
                Blob::Inline(raw) | Blob::Sha256(raw) => Ok(Some(raw)),
            },
            other => Err(unread(format!("{other:?}"))),
        }
    }

    pub(super) fn given(
        &mut self,
        m: usize,
        given: Given,
        call: device::Call,
    ) -> Result<(), Violation> {
        let Given { request, decoded } = given;
        let attempt = call.attempt;
        let process = self.machines[m].process.as_ref().unwrap();
        let Some(signatures) = call.signatures else {
            self.fail(m, request, attempt);
            return Ok(());
        };
        let values = signatures.iter().map(|signature| {
            let (r, s) = (signature.r.0, signature.s.0);
            let recovery_id = signature.recovery_id.unwrap();
            KeySignature::Ecdsa(EcdsaSignature { r, s, recovery_id })
        });
        let values: Vec<_> = values.collect();
        let transaction = tx::assemble(*decoded, &values).unwrap();
        let raw = transaction.raw.clone();
        let reply = process.reply(move |release| Answer::Signed {
            request,
            attempt,
            raw,
            release,
        });
        let signed = Signed {
            attempt,
            signatures,
            txid: transaction.txid,
            raw: Blob::Inline(transaction.raw),
        };
        self.ask(m, Command::Signed(Box::new(signed), reply));
        Ok(())
    }

    pub(super) fn leave(&mut self, m: usize, outgoing: Outgoing) -> Result<(), Violation> {
        let process = self.machines[m].process.as_ref().unwrap();
        let rows = &process.writer.rows;
        let Ok(leaving) = Leaving::new(rows, outgoing.attempt, vec![outgoing.attempt]) else {
            // What cannot be read does not leave.
            return Ok(());
        };
        match leaving.may_leave(rows, self.witnessed(m), self.has_lapsed(m)) {
            Ok(()) => {}
            Err(Hold::Unwitnessed { .. }) => {
                let process = self.machines[m].process.as_mut().unwrap();
                process.leaving.push(outgoing);
                self.hurry(m);
                return Ok(());
            }
            Err(_) => return Ok(()),
        }
        self.is_witnessed(m, leaving.last(), "released")?;
        let machine = &self.machines[m];
        let charged = machine.model.release(outgoing.attempt)?;
        // Where bundles change, each history is held to the cap of the time; what left together is not.
        let limits = if self.sequence == 1 {
            &machine.governs.limits[..]
        } else {
            &[]
        };
        self.outside.take(charged, &outgoing.raw, limits)?;
        let intents = charged.intents.clone();
        let histories: Vec<_> = self.machines.iter().map(|machine| &machine.model).collect();
        for intent in &intents {
            self.outside.paid_once(intent, &histories)?;
        }
        if self.random.once_in(4) {
            self.send(m, outgoing.request);
        }
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, m: usize) {
        let process = self.machines[m].process.as_ref().unwrap();
        let reply = process.reply(Answer::Checkpoint);
        let key = log_key_name();
        let when = match self.random.once_in(2) {
            true => CheckpointWhen::Ahead,
            false => CheckpointWhen::Now,
        };
        self.ask(m, Command::Checkpoint { key, when, reply });
        if when == CheckpointWhen::Ahead {
            let delay = self.random.between(1, 400);
            self.place(delay, self.this(m), Event::CheckpointDue);
        }
    }

    /// Signs, remembers and sends to the witnesses.
    fn checkpointed(&mut self, m: usize, order: Committed<crate::CheckpointOrder>) {
        let signed = sign(order);
        self.remember(m, &signed);
        let process = self.machines[m].process.as_mut().unwrap();
        process.checkpoints.push(*signed.head());
        let wanted = &process.writer.wanted;
        if signed.head().size > wanted.load(Ordering::Relaxed) {
            self.ask(m, Command::Covered(Box::new(signed.clone())));
        }
        for w in 0..WITNESSES {
            if self.random.once_in(8) {
                continue;
            }
            let process = self.machines[m].process.as_ref().unwrap();
            let request = self.witnesses[w].request(&signed, &process.reader);
            let delay = self.random.between(1, 60);
            let sent = Box::new((signed.clone(), request));
            self.place(delay, self.anyone(m), Event::Cosign(w, sent));
        }
        let process = self.machines[m].process.as_ref().unwrap();
        if !(process.ordered.is_empty() && process.leaving.is_empty()) {
            let delay = self.random.between(300, 2_000);
            self.place(delay, self.this(m), Event::Checkpoint);
        }
    }

    /// As [`crate::CheckpointFile`] does it: whole or not at all, and not synced.
    fn remember(&mut self, m: usize, signed: &tlog::checkpoint::SignedCheckpoint) {
        use crate::disk::Disk as _;
        let disk = &self.machines[m].disk;
        let _none = disk.remove("checkpoint.tmp");
        let written = disk
            .create("checkpoint.tmp")
            .and_then(|file| file.write_all_at(signed.to_string().as_bytes(), 0));
        let _unsynced = written.and_then(|()| disk.rename("checkpoint.tmp", "checkpoint"));
    }

    pub(super) fn cosign(
        &mut self,
        m: usize,
        witness: usize,
        (signed, request): (
            tlog::checkpoint::SignedCheckpoint,
            tlog::witness::AddCheckpoint,
        ),
    ) {
        let head = *signed.head();
        let cosigns = self.witnesses[witness].take(request);
        self.trace.tell(format_args!(
            "witness {witness} cosigns {}: {cosigns}",
            head.size
        ));
        if cosigns && !self.random.once_in(10) {
            let delay = self.random.between(1, 60);
            self.place(delay, self.anyone(m), Event::Cosigned(witness, head));
        }
    }

    pub(super) fn cosigned(
        &mut self,
        m: usize,
        witness: usize,
        head: TreeHead,
    ) -> Result<(), Violation> {
        let Some(process) = &mut self.machines[m].process else {
            return Ok(());
        };
        if !process.checkpoints.contains(&head) {
            return Ok(());
        }
        let quorum = quorum();
        let before = process.cosigned.size_by(quorum);
        process
            .cosigned
            .raise(&quorum.witnesses()[witness], head.size);
        if process.cosigned.size_by(quorum) == before {
            return Ok(());
        }
        // What is not covered yet waits on.
        for (given, order) in std::mem::take(&mut process.ordered) {
            self.order(m, given, order)?;
        }
        let process = self.machines[m].process.as_mut().unwrap();
        for outgoing in std::mem::take(&mut process.leaving) {
            self.leave(m, outgoing)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sign { request, outcome } => write!(f, "{request} {}", what(outcome)),
            Self::Signed {
                attempt, release, ..
            } => write!(f, "signed {attempt} {release:?}"),
            Self::Failed { request } => write!(f, "failed {request}"),
            Self::Checkpoint(outcome) => write!(f, "checkpoint {}", outcome.is_ok()),
            Self::Other(what) => f.write_str(what),
        }
    }
}

fn what(outcome: &Result<SignOutcome, crate::Stopped>) -> String {
    match outcome {
        Ok(SignOutcome::Order { order, .. }) => format!("order {}", order.index()),
        Ok(SignOutcome::Refused(refusal)) => {
            let codes = refusal.reasons.iter().map(|reason| reason.code);
            format!("refused {:?}", codes.collect::<Vec<_>>())
        }
        Ok(other) => format!("{other:?}"),
        Err(stopped) => stopped.to_string(),
    }
}
