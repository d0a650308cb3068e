//! Whatever happens in whatever order: one payment for each withdrawal, no gap in the nonces, and
//! nothing final that is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use api::signing::{RequestAnswer, RequestStatus, SignAnswer, SignRequest};
use proptest::prelude::*;

use super::rig::{Commits, Rig, answer, block, head, refused, unknown, withdrawal};
use crate::{
    attempt::AttemptNumber,
    chains::evm::{Answer, Head, Mined, Question, Used, sets},
    change::{Change, Gate},
    evidence::{BlockRef, Covered, Evidence, Inclusion, Unknown},
    lane::{Event, Lane, SendOutcome},
    signer::SignOutcome,
    withdrawal::WithdrawalNumber,
};

const WITHDRAWALS: u64 = 4;

/// What the signer has authorised.
struct Authorised {
    nonce: u64,
    pays: Vec<WithdrawalNumber>,
    answer: Arc<SignAnswer>,
    signed: bool,
}

/// A transaction in the chain.
#[derive(Clone)]
struct InChain {
    txid: String,
    block: BlockRef,
    succeeded: bool,
}

struct World {
    rig: Rig,
    /// By the number of the attempt.
    journal: BTreeMap<AttemptNumber, Authorised>,
    signer_next: u64,
    /// What some node may have.
    sent: BTreeSet<String>,
    chain: Vec<InChain>,
    finalized: usize,
    forks: u64,
    /// Approved, and with nobody.
    free: BTreeSet<WithdrawalNumber>,
    checked: usize,
}

impl World {
    fn new() -> Self {
        let mut rig = Rig::open();
        rig.commits_end = Commits::Last;
        Self {
            rig,
            journal: BTreeMap::new(),
            signer_next: 0,
            sent: BTreeSet::new(),
            chain: Vec::new(),
            finalized: 0,
            forks: 0,
            free: (1..=WITHDRAWALS).map(WithdrawalNumber).collect(),
            checked: 0,
        }
    }

    fn step(&mut self, op: u8, which: u8) {
        match op {
            0..=2 => self.queue(),
            3..=7 => self.signer(which, Ok(true)),
            8 => self.signer(which, Err(())),
            9 => self.signer(which, Ok(false)),
            10 => self.signer_says(which, refused("limit")),
            11 => self.signer_says(which, unknown()),
            12 => self.signer_says(
                which,
                SignOutcome::NotNow {
                    sealed: false,
                    detail: "it is busy".into(),
                },
            ),
            13..=15 => self.node(which, SendOutcome::Taken),
            16 => self.node(
                which,
                SendOutcome::Rejected {
                    detail: "nonce too low".into(),
                },
            ),
            17 => self.node(
                which,
                SendOutcome::Unknown {
                    detail: "it timed out".into(),
                },
            ),
            18..=20 => self.mine(which),
            21 => self.finalized = self.chain.len(),
            22 => self.reorg(which),
            23..=26 => self.look(),
            27 => self.look_in_vain(),
            28 => self.rig.after_secs(u64::from(which)),
            29 => self.rig.after_secs(300),
            30 => self.crash(),
            31 => self.rig.commits_end = Commits::Delayed,
            32..=35 => self.rig.commit_ends(),
            36 => self.commits_wait_no_more(),
            _ => self.compare(),
        }
        self.check();
    }

    fn queue(&mut self) {
        let Some(number) = self.free.pop_first() else {
            return;
        };
        let known = self.rig.known.get(&number).cloned();
        let queued = known.unwrap_or_else(|| withdrawal(number.0));
        self.rig.queue(vec![queued]);
    }

    fn signer_says(&mut self, which: u8, outcome: SignOutcome) {
        let count = self.rig.signs.len();
        if count > 0 {
            let index = usize::from(which) % count;
            let (number, _) = self.rig.signs.remove(index).unwrap();
            self.rig.event(Event::Signer(number, outcome));
        }
    }

    /// The signer decides. `Ok(true)`: it signs, `Ok(false)`: it authorises and its device fails;
    /// `Err`: it signs, and its answer is lost.
    fn signer(&mut self, which: u8, how: Result<bool, ()>) {
        let count = self.rig.signs.len();
        if count == 0 {
            return;
        }
        let (number, request) = self
            .rig
            .signs
            .get(usize::from(which) % count)
            .cloned()
            .unwrap();
        let decided = self.decide(number, &request, how != Ok(false));
        let outcome = match (how, decided) {
            (Ok(true), outcome) => outcome,
            _ => unknown(),
        };
        self.signer_says(which, outcome);
    }

    fn decide(&mut self, number: AttemptNumber, request: &SignRequest, signs: bool) -> SignOutcome {
        let Some(attempt) = self.rig.store.attempts.get(&number) else {
            return refused("limit");
        };
        let nonce = sets::nonce(attempt).unwrap();
        let pays = attempt.pays.clone();
        assert!(nonce <= self.signer_next, "a gap before nonce {nonce}");
        let beside = self
            .journal
            .iter()
            .filter(|(other, known)| known.nonce == nonce && **other != number);
        let declared = |index: u64| request.replaces.contains(&index);
        let own = self.journal.get(&number).map(|known| known.answer.attempt);
        let undeclared = beside
            .map(|(_, known)| known.answer.attempt)
            .any(|index| !declared(index));
        let signed = self.journal.get(&number).is_some_and(|known| known.signed);
        if undeclared && !signed {
            return refused("undeclared-conflict");
        }
        let index = own.unwrap_or(self.journal.len() as u64 + 1);
        let known = self.journal.entry(number).or_insert_with(|| Authorised {
            nonce,
            pays,
            answer: answer(request, index),
            signed: false,
        });
        known.signed |= signs;
        self.signer_next = self.signer_next.max(nonce + 1);
        match known.signed {
            true => SignOutcome::Signed(Arc::clone(&known.answer)),
            false => unknown(),
        }
    }

    fn node(&mut self, which: u8, outcome: SendOutcome) {
        let count = self.rig.sends.len();
        if count == 0 {
            return;
        }
        let index = usize::from(which) % count;
        let (number, answer) = self.rig.sends.remove(index).unwrap();
        // Whatever it says, it may have them.
        if outcome == SendOutcome::Taken || which.is_multiple_of(2) {
            self.sent.insert(answer.transaction.txid.clone());
        }
        self.rig.event(Event::Sent(number, outcome));
    }

    fn mine(&mut self, which: u8) {
        let nonce = self.chain.len() as u64;
        let open = self.journal.values().filter(|known| {
            known.nonce == nonce && self.sent.contains(&known.answer.transaction.txid)
        });
        let open: Vec<_> = open.collect();
        let Some(known) = open.get(usize::from(which) % open.len().max(1)) else {
            return;
        };
        let height = 10 + nonce;
        self.chain.push(InChain {
            txid: known.answer.transaction.txid.clone(),
            block: BlockRef {
                height,
                hash: format!("0x{:032x}{height:032x}", self.forks),
            },
            succeeded: !which.is_multiple_of(10) || known.pays.is_empty(),
        });
    }

    fn reorg(&mut self, which: u8) {
        let open = self.chain.len() - self.finalized;
        let kept = self.finalized + usize::from(which) % (open + 1);
        self.chain.truncate(kept);
        self.forks += 1;
    }

    /// The lane's questions are answered by what is.
    fn look(&mut self) {
        let nonce = self.chain.len() as u64;
        let mut seen = head(nonce, self.finalized as u64);
        seen.latest = BlockRef {
            height: 10 + nonce,
            hash: format!("0x{:064x}", self.forks * 1_000 + nonce),
        };
        self.see(seen);
        self.answer_all(Self::answer);
    }

    /// The head and the market are told, asked or not. Every other question waits for its one answer.
    fn see(&mut self, mut seen: Head) {
        let is_told = |asked: &Question| matches!(asked, Question::Head { .. } | Question::Market);
        self.rig.asked.retain(|asked| !is_told(asked));
        seen.finalized = block(9 + self.finalized as u64);
        self.rig.see(seen);
    }

    fn answer_all(&mut self, answer: fn(&Self, Question) -> Option<Answer>) {
        for _ in 0..20 {
            let Some(question) = self.rig.asked.pop_front() else {
                return;
            };
            if let Some(answer) = answer(self, question) {
                self.rig.event(Event::Answered(answer));
            }
            self.check();
        }
    }

    fn answer(&self, question: Question) -> Option<Answer> {
        Some(match question {
            Question::Find(sought) => {
                let found = sought.into_iter();
                Answer::Found(found.map(|(n, txid)| (n, self.find(&txid))).collect())
            }
            Question::StillThere(blocks) => Answer::StillThere(
                blocks
                    .into_iter()
                    .map(|block| self.still_there(block))
                    .collect(),
            ),
            Question::User { nonce } => {
                let known = self.chain.get(usize::try_from(nonce).unwrap());
                let used = known.map(|known| Used {
                    txid: known.txid.clone(),
                    block: known.block.clone(),
                });
                let user = used.map_or_else(nothing, Evidence::Found);
                Answer::User { nonce, user }
            }
            _ => return None,
        })
    }

    fn find(&self, txid: &str) -> Evidence<Mined> {
        let found = self.chain.iter().find(|known| known.txid == txid);
        found.map_or_else(nothing, |known| {
            Evidence::Found(Mined {
                inclusion: Inclusion {
                    block: known.block.clone(),
                    txid: known.txid.clone(),
                    fee: 21_000_u64.into(),
                },
                succeeded: known.succeeded,
                logs: Vec::new(),
            })
        })
    }

    fn still_there(&self, block: BlockRef) -> (BlockRef, Evidence<()>) {
        let there = self.chain.iter().any(|known| known.block == block);
        let evidence = match there {
            true => Evidence::Found(()),
            false => Evidence::Absent {
                covered: Covered {
                    from: block.height,
                    to: block.height,
                },
                tip: block.clone(),
            },
        };
        (block, evidence)
    }

    /// The nodes see the chain and have no receipts.
    fn look_in_vain(&mut self) {
        self.see(head(self.chain.len() as u64, self.finalized as u64));
        self.answer_all(Self::answer_in_vain);
    }

    fn answer_in_vain(&self, question: Question) -> Option<Answer> {
        match question {
            Question::Find(sought) => {
                let found = sought.into_iter().map(|(number, _)| (number, nothing()));
                Some(Answer::Found(found.collect()))
            }
            Question::User { nonce } => Some(Answer::User {
                nonce,
                user: nothing(),
            }),
            other => self.answer(other),
        }
    }

    fn compare(&mut self) {
        if self.rig.compares > 0 {
            self.rig.compares = 0;
            self.rig.compared(self.signer_next);
        }
        for number in std::mem::take(&mut self.rig.inquired) {
            let known = self.journal.get(&number).map(|known| {
                let status = match known.signed {
                    true => RequestStatus::Signed,
                    false => RequestStatus::Committed,
                };
                Box::new(RequestAnswer {
                    request_id: known.answer.request_id.clone(),
                    attempt: known.answer.attempt,
                    status,
                    lane_epoch: 1,
                    conflict_keys: Vec::new(),
                    transaction: None,
                    receipt: None,
                    unsigned: None,
                })
            });
            self.rig.event(Event::Inquired(number, Ok(known)));
        }
    }

    fn crash(&mut self) {
        // What was being sent may have arrived.
        for (_, answer) in &self.rig.sends {
            self.sent.insert(answer.transaction.txid.clone());
        }
        self.check();
        self.rig.restart();
        self.checked = 0;
        let over = self.paid_by_the_store();
        self.free = (1..=WITHDRAWALS).map(WithdrawalNumber).collect();
        self.free.retain(|number| {
            !over.contains(number) && !self.rig.store.withdrawals.contains_key(number)
        });
    }

    fn paid_by_the_store(&self) -> BTreeSet<WithdrawalNumber> {
        let paid = self.rig.finals.iter().flat_map(|number| {
            let known = self.journal.get(number);
            known.into_iter().flat_map(|known| known.pays.clone())
        });
        paid.collect()
    }

    fn check(&mut self) {
        assert_eq!(self.rig.lane.view(), &self.rig.store);
        assert!(!matches!(self.rig.store.row.gate, Gate::Halted { .. }));
        self.check_finals();
        self.check_sets();
        self.check_payments();
        let finals = self.paid_by_the_store();
        for number in std::mem::take(&mut self.rig.returned) {
            if !finals.contains(&number) {
                self.free.insert(number);
            }
        }
    }

    /// Nothing is final or failed that is not in a finalized block.
    fn check_finals(&mut self) {
        let commits = self.rig.commits.iter().skip(self.checked);
        for change in commits.flatten() {
            let (Change::Final { inclusion, .. } | Change::Failed { inclusion, .. }) = change
            else {
                continue;
            };
            let finalized = self.chain.iter().take(self.finalized);
            let mut there = finalized.filter(|known| known.txid == inclusion.txid);
            assert!(there.any(|known| known.block == inclusion.block));
        }
        self.checked = self.rig.commits.len();
    }

    /// One live set for a withdrawal.
    fn check_sets(&self) {
        let mut sets: BTreeMap<WithdrawalNumber, BTreeSet<AttemptNumber>> = BTreeMap::new();
        for attempt in self
            .rig
            .store
            .attempts
            .values()
            .filter(|attempt| attempt.is_live())
        {
            for number in &attempt.pays {
                sets.entry(*number).or_default().insert(attempt.set);
            }
        }
        assert!(sets.values().all(|sets| sets.len() == 1));
    }

    /// One payment in the chain for a withdrawal.
    fn check_payments(&self) {
        let mut paid = BTreeSet::new();
        for known in self.chain.iter().filter(|known| known.succeeded) {
            let mut journal = self.journal.values();
            let authorised = journal.find(|it| it.answer.transaction.txid == known.txid);
            for number in &authorised.unwrap().pays {
                assert!(
                    paid.insert(*number),
                    "withdrawal {} is paid twice",
                    number.0
                );
            }
        }
    }

    fn commits_wait_no_more(&mut self) {
        self.rig.commits_end = Commits::Last;
        self.rig.commit_ends();
    }

    /// From here on everything works: everything is paid.
    fn settle(&mut self) {
        self.commits_wait_no_more();
        for _ in 0..120 {
            self.compare();
            self.queue();
            for _ in 0..self.rig.signs.len() {
                self.signer(0, Ok(true));
                self.check();
            }
            for _ in 0..self.rig.sends.len() {
                self.node(0, SendOutcome::Taken);
            }
            self.mine(1);
            self.finalized = self.chain.len();
            self.look();
            self.rig.after_secs(61);
            self.check();
            if self.paid_by_the_store().len() as u64 == WITHDRAWALS {
                return;
            }
        }
        let paid = self.paid_by_the_store();
        panic!("only {paid:?} are paid; {:#?}", self.rig.store);
    }
}

fn nothing<T>() -> Evidence<T> {
    Evidence::Unknown(Unknown::Lagging {
        detail: "there is none".into(),
    })
}

proptest! {
    #[test]
    fn each_withdrawal_is_paid_once_whatever_happens(
        ops in prop::collection::vec((0_u8..40, 0_u8..60), 0..120),
    ) {
        let mut world = World::new();
        for (op, which) in ops {
            world.step(op, which);
        }
        world.settle();
    }
}
