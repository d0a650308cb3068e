//! A lane with a model of everything around it that a test steers by hand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use api::signing::{Need, Reason, Receipt, SignAnswer, SignRequest};
use tx::{Address, Amount, Asset, Chain, Intent, IntentId, SignedTransaction, Time};

use crate::{
    attempt::{Attempt, AttemptNumber},
    chains::evm::{Answer, Config, EvmLane, Head, Market, Mined, Question},
    change::{Change, Gate},
    evidence::{BlockRef, Evidence, Inclusion},
    lane::{Effect, Event, Lane, LaneId, LaneRow, LaneView, SendOutcome, Sender},
    ledger::Account,
    settlement::Outcome,
    signer::{Comparison, SignOutcome},
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

pub(super) const CHAIN: Chain = Chain::Evm(31_337);
pub(super) const GWEI: u64 = 1_000_000_000;

/// When a commit that the lane asks for becomes durable, or fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Commits {
    /// Before the effects after it are begun.
    AtOnce,
    /// When all other effects of its event were begun: none of them may need it.
    Last,
    /// When the test ends it: until then it is out.
    Delayed,
}

/// A lane whose commits are made in a model of the store, at once unless the test says otherwise, and
/// whose other effects wait for the test.
pub(super) struct Rig {
    pub(super) lane: EvmLane,
    pub(super) now: Time,
    pub(super) config: Config,
    /// What is durable.
    pub(super) store: LaneView,
    pub(super) known: BTreeMap<WithdrawalNumber, Withdrawal>,
    pub(super) commits: Vec<Vec<Change>>,
    pub(super) signs: VecDeque<(AttemptNumber, Arc<SignRequest>)>,
    pub(super) sends: VecDeque<(AttemptNumber, Arc<SignAnswer>)>,
    pub(super) asked: VecDeque<Question>,
    pub(super) inquired: Vec<AttemptNumber>,
    pub(super) compares: usize,
    pub(super) wanted: usize,
    pub(super) returned: Vec<WithdrawalNumber>,
    pub(super) wake: Option<Time>,
    pub(super) commits_end: Commits,
    pub(super) commits_fail: bool,
    /// The commit that is out, and when it was asked for.
    out: Option<(Time, Vec<Change>)>,
    /// The attempts that are final, over all restarts.
    pub(super) finals: Vec<AttemptNumber>,
    journal: u64,
}

pub(super) fn address(byte: u8) -> Address {
    Address::evm(CHAIN, [byte; 20]).unwrap()
}

pub(super) fn sender() -> Address {
    address(0xaa)
}

pub(super) fn token() -> Address {
    address(0xcc)
}

pub(super) fn config() -> Config {
    Config {
        native_gas_limit: Some(21_000),
        ..Config::default()
    }
}

pub(super) fn row() -> LaneRow {
    LaneRow {
        id: LaneId {
            chain: CHAIN,
            sender: Sender::Address(sender()),
        },
        account: "hot".parse().unwrap(),
        lease: 1,
        epoch: 1,
        epoch_seen: false,
        next_attempt: AttemptNumber(0),
        next_nonce: 0,
        gate: Gate::Closed {
            detail: "it was taken just now".into(),
        },
        compared_to: None,
    }
}

pub(super) fn withdrawal(number: u64) -> Withdrawal {
    let asset = Asset::native(CHAIN);
    let intent = Intent {
        id: IntentId {
            source: "shop".parse().unwrap(),
            id: format!("w{number}").parse().unwrap(),
        },
        epoch: 1,
        asset,
        amount: Amount::from(1_000 + number),
        destination: address(0xdd),
        tag: None,
        max_fee: Amount::from(u64::MAX),
        expires: Time::from_millis(1_000_000_000),
    };
    Withdrawal {
        number: WithdrawalNumber(number),
        client: "shop".parse().unwrap(),
        account: Account::Customer("ann".parse().unwrap()),
        intent,
        stage: Stage::Approved,
        waiting: None,
        not_before: Time::default(),
        lane: None,
        requested_at: Time::default(),
        changed_at: Time::default(),
    }
}

pub(super) fn of_token(number: u64) -> Withdrawal {
    let mut withdrawal = withdrawal(number);
    withdrawal.intent.asset = Asset::erc20(token());
    withdrawal
}

pub(super) fn block(height: u64) -> BlockRef {
    BlockRef {
        height,
        hash: format!("0x{height:064x}"),
    }
}

/// A head in which the best block has so many of the sender's transactions, and the finalized one
/// so many.
pub(super) fn head(nonce: u64, finalized_nonce: u64) -> Head {
    Head {
        latest: block(100 + nonce),
        finalized: block(finalized_nonce),
        finalized_nonce,
        nonce_least: nonce,
        nonce_most: nonce,
        balance: Amount::from(u64::MAX),
        tokens: BTreeMap::from([(token(), Amount::from(u64::MAX))]),
    }
}

pub(super) fn market() -> Market {
    Market {
        base_fee: u128::from(10 * GWEI),
        priority_fee: u128::from(GWEI),
    }
}

pub(super) fn refused(code: &str) -> SignOutcome {
    SignOutcome::Refused {
        reasons: vec![Reason {
            code: code.into(),
            statement: None,
            at: None,
            detail: "no".into(),
            remedy: "ask for less".into(),
        }],
        needs: Vec::new(),
    }
}

pub(super) fn pending() -> SignOutcome {
    SignOutcome::Pending {
        needs: vec![Need {
            statement: "big".into(),
            at: "rules.toml:3".into(),
            threshold: 2,
            people: vec!["ann".into(), "bob".into()],
            attested: None,
        }],
    }
}

pub(super) fn unknown() -> SignOutcome {
    SignOutcome::Unknown {
        detail: "it timed out".into(),
    }
}

/// What the signer answers for a request, as the journal's entry `index`.
pub(super) fn answer(request: &SignRequest, index: u64) -> Arc<SignAnswer> {
    Arc::new(SignAnswer {
        request_id: request.request_id.clone(),
        attempt: index,
        transaction: SignedTransaction {
            raw: format!("02{index:02x}"),
            txid: format!("0x{index:064x}"),
        },
        receipt: Receipt {
            version: 1,
            log: "00".repeat(32),
            entry: index,
            salt: "00".repeat(32),
            body: String::new(),
            inclusion: None,
        },
    })
}

impl Rig {
    /// A lane that was loaded and has not begun.
    pub(super) fn loaded(view: LaneView, config: Config) -> Self {
        Self {
            lane: EvmLane::new(config.clone(), view.clone()).unwrap(),
            now: Time::from_millis(10_000),
            config,
            store: view,
            known: BTreeMap::new(),
            commits: Vec::new(),
            signs: VecDeque::new(),
            sends: VecDeque::new(),
            asked: VecDeque::new(),
            inquired: Vec::new(),
            compares: 0,
            wanted: 0,
            returned: Vec::new(),
            wake: None,
            commits_end: Commits::AtOnce,
            commits_fail: false,
            out: None,
            finals: Vec::new(),
            journal: 0,
        }
    }

    /// A lane whose gate has opened, and which knows the chain and the market.
    pub(super) fn open() -> Self {
        Self::open_with(config())
    }

    pub(super) fn open_with(config: Config) -> Self {
        let mut rig = Self::loaded(LaneView::new(row()), config);
        rig.event(Event::Started);
        rig.compared(0);
        rig.see(head(0, 0));
        assert_eq!(rig.lane.view().row.gate, Gate::Open);
        rig
    }

    /// As a process that was killed: only what is durable goes on.
    pub(super) fn restart(&mut self) {
        let mut view = self.store.clone();
        if !matches!(view.row.gate, Gate::Halted { .. }) {
            view.row.gate = Gate::Closed {
                detail: "it was taken just now".into(),
            };
        }
        view.row.lease += 1;
        if view.row.epoch_seen {
            view.row.epoch += 1;
            view.row.epoch_seen = false;
        }
        let (now, known, journal) = (self.now, std::mem::take(&mut self.known), self.journal);
        let (finals, commits_end) = (std::mem::take(&mut self.finals), self.commits_end);
        *self = Self::loaded(view, self.config.clone());
        self.commits_end = commits_end;
        self.store = self.lane.view().clone();
        (self.now, self.known, self.journal, self.finals) = (now, known, journal, finals);
        self.event(Event::Started);
    }

    /// As the store does it when a person settles a payment and then opens the lane.
    pub(super) fn person_says(&mut self, attempt: AttemptNumber, outcome: Outcome) {
        let settled = Change::Settled { attempt, outcome };
        self.store.apply(&[settled], |_| None, self.now).unwrap();
        self.store.row.gate = Gate::Closed {
            detail: "a person had it looked at".into(),
        };
    }

    pub(super) fn event(&mut self, event: Event<Answer>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.lane.handle(event, self.now) {
                self.effect(effect, &mut events);
            }
            if self.commits_end == Commits::Last {
                events.extend(self.commit());
            }
        }
    }

    fn effect(&mut self, effect: Effect<Question>, events: &mut VecDeque<Event<Answer>>) {
        match effect {
            Effect::Commit(changes) => {
                let before = self.out.replace((self.now, changes));
                assert_eq!(before, None, "two commits are out");
                if self.commits_end == Commits::AtOnce {
                    events.extend(self.commit());
                }
            }
            Effect::Sign(number, request) => {
                let stored = self.store.attempts.get(&number);
                assert_eq!(stored.map(|stored| &stored.request), Some(&request));
                self.signs.push_back((number, request));
            }
            Effect::Send(number, answer) => {
                let stored = self.store.attempts.get(&number).unwrap();
                assert_eq!(stored.signed.as_ref(), Some(&answer), "only stored bytes");
                self.sends.push_back((number, answer));
            }
            Effect::Ask(question) => self.asked.push_back(question),
            Effect::Inquire(number) => self.inquired.push(number),
            Effect::Compare => self.compares += 1,
            Effect::Want(wanted) => self.wanted = wanted,
            Effect::Return(numbers) => self.returned.extend(numbers),
            Effect::Wake(at) => {
                assert!(at > self.now);
                self.wake = Some(at);
            }
        }
    }

    /// What becomes of the commit that is out.
    fn commit(&mut self) -> Option<Event<Answer>> {
        let (at, changes) = self.out.take()?;
        if self.commits_fail {
            return Some(Event::CommitFailed);
        }
        let known = &self.known;
        self.store
            .apply(&changes, |number| known.get(&number).cloned(), at)
            .expect("the store would refuse it");
        let finals = changes.iter().filter_map(|change| match change {
            Change::Final { attempt, .. } => Some(*attempt),
            _ => None,
        });
        self.finals.extend(finals);
        // What the store alone keeps of those that are in no set.
        for change in &changes {
            if let Change::Wait {
                withdrawals,
                waiting,
                not_before,
            } = change
            {
                for number in withdrawals {
                    let known = self.known.get_mut(number).unwrap();
                    known.waiting.clone_from(waiting);
                    known.not_before = *not_before;
                }
            }
        }
        self.commits.push(changes.clone());
        Some(Event::Committed(changes))
    }

    /// The commit that is out is so no more.
    pub(super) fn commit_ends(&mut self) {
        if let Some(event) = self.commit() {
            self.event(event);
        }
    }

    pub(super) fn queue(&mut self, withdrawals: Vec<Withdrawal>) {
        let known = withdrawals.iter().cloned();
        self.known.extend(known.map(|known| (known.number, known)));
        self.event(Event::Queued(withdrawals));
    }

    pub(super) fn compared(&mut self, next_nonce: u64) {
        self.event(Event::Compared(Ok(Comparison {
            to: Some(self.journal),
            unknown: Vec::new(),
            epoch: self.store.row.epoch,
            next_nonce: Some(next_nonce),
        })));
    }

    /// The chain is so far, and inclusion costs what it always does.
    pub(super) fn see(&mut self, head: Head) {
        self.event(Event::Answered(Answer::Head(Ok(head))));
        self.event(Event::Answered(Answer::Market(Ok(market()))));
    }

    pub(super) fn after_secs(&mut self, secs: u64) {
        self.now = self.now.after_millis(secs * 1_000);
        self.event(Event::Tick);
    }

    /// The oldest call of the signer comes to this.
    pub(super) fn signer_says(&mut self, outcome: SignOutcome) -> AttemptNumber {
        let (number, _) = self.signs.pop_front().expect("no call is out");
        self.event(Event::Signer(number, outcome));
        number
    }

    /// The oldest call of the signer is answered by a signature.
    pub(super) fn signer_signs(&mut self) -> AttemptNumber {
        let (number, request) = self.signs.front().cloned().expect("no call is out");
        self.journal += 1;
        let answer = answer(&request, self.journal);
        let signed = self.signer_says(SignOutcome::Signed(answer));
        assert_eq!(signed, number);
        number
    }

    pub(super) fn node_takes(&mut self) -> AttemptNumber {
        self.node_says(SendOutcome::Taken)
    }

    pub(super) fn node_says(&mut self, outcome: SendOutcome) -> AttemptNumber {
        let (number, _) = self.sends.pop_front().expect("nothing is sent");
        self.event(Event::Sent(number, outcome));
        number
    }

    /// The attempts that are looked for in the question that was asked last.
    pub(super) fn sought(&self) -> Vec<AttemptNumber> {
        let question = self.asked.iter().rev().find_map(|question| match question {
            Question::Find(sought) => Some(sought),
            _ => None,
        });
        let sought = question.into_iter().flatten();
        sought.map(|(number, _)| *number).collect()
    }

    pub(super) fn found(&mut self, found: Vec<(AttemptNumber, Evidence<Mined>)>) {
        self.event(Event::Answered(Answer::Found(found)));
    }

    pub(super) fn attempt(&self, number: u64) -> &Attempt {
        self.store.attempts.get(&AttemptNumber(number)).unwrap()
    }

    pub(super) fn stage(&self, number: u64) -> Option<Stage> {
        let withdrawal = self.store.withdrawals.get(&WithdrawalNumber(number));
        withdrawal.map(|withdrawal| withdrawal.stage)
    }

    /// Assigned, signed and taken by a node.
    pub(super) fn pay(&mut self, withdrawal: Withdrawal) -> AttemptNumber {
        self.queue(vec![withdrawal]);
        let number = self.signer_signs();
        assert_eq!(self.node_takes(), number);
        number
    }

    /// Every change that was ever made durable.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.commits.iter().flatten()
    }

    pub(super) fn mined(&self, number: AttemptNumber, height: u64) -> Mined {
        let attempt = self.store.attempts.get(&number).unwrap();
        let txid = attempt.signed.as_ref().unwrap().transaction.txid.clone();
        Mined {
            inclusion: Inclusion {
                block: block(height),
                txid,
                fee: Amount::from(21_000_u64),
            },
            succeeded: true,
            logs: Vec::new(),
        }
    }
}
