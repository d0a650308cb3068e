//! What a signer does around its journal: a device is asked for what was ordered, what it gave is recorded,
//! and only then it leaves; with witnesses, once enough of them know of it.

use std::sync::atomic::Ordering;

use policy::{Blob, Signed};
use tlog::TreeHead;
use tx::{EcdsaSignature, KeySignature};

use super::{
    device,
    machine::{Answer, Given, Outgoing},
    model::Violation,
    witnesses::{WITNESSES, log_key_name, quorum, sign},
    world::{Event, Kind, World},
};
use crate::{
    CheckpointOutcome, CheckpointWhen, Committed, Hold, Leaving, Release, SignOrder, SignOutcome,
    command::Command,
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
                let call = self.call_device(m, order)?;
                let given = Given { request, decoded };
                self.place(call.millis, self.this(m), Event::Given(given, call));
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

    /// The only way to the device: an order, which says that it is durable.
    pub(super) fn call_device(
        &mut self,
        m: usize,
        order: Committed<SignOrder>,
    ) -> Result<device::Call, Violation> {
        let call = device::call(order, &mut self.random);
        self.trace.tell(format_args!(
            "calls of attempt {} by {}",
            call.attempt, call.entry
        ));
        self.machines[m].model.call(&call.calls)?;
        Ok(call)
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
        let machine = &mut self.machines[m];
        let process = machine.process.as_mut().unwrap();
        let rows = &process.writer.rows;
        let Ok(leaving) = Leaving::new(rows, outgoing.attempt, vec![outgoing.attempt]) else {
            // What cannot be read does not leave.
            return Ok(());
        };
        let witnessed = (self.kind == Kind::Copies).then(|| process.cosigned.size_by(quorum()));
        let has_lapsed = process.state().lapsed(process.writer.time.interval());
        match leaving.may_leave(rows, witnessed, has_lapsed.is_some()) {
            Ok(()) => {}
            Err(Hold::Unwitnessed { .. }) => {
                process.leaving.push(outgoing);
                if process.leaving.len() == 1 {
                    self.place(1, self.this(m), Event::Checkpoint);
                }
                return Ok(());
            }
            Err(_) => return Ok(()),
        }
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
            true => CheckpointWhen::WithSignatures,
            false => CheckpointWhen::Now,
        };
        self.ask(m, Command::Checkpoint { key, when, reply });
        if when == CheckpointWhen::WithSignatures {
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
        if !self.machines[m]
            .process
            .as_ref()
            .unwrap()
            .leaving
            .is_empty()
        {
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
