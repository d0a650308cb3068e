//! A lane with its durable view, its signer and its chain.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use api::signing::{Key, KeyAddress, KeysAnswer};
use tx::{AccountClass, Address, Amount, Asset, Intent, IntentId, Interval, Time, utxo::Outpoint};
use wallet::{
    attempt::{Attempt, AttemptStage},
    chains::utxo::{Config, Observer, OwnKeys, Question, UtxoLane},
    change::{Change, Gate},
    lane::{Effect, Event, Lane, LaneId, LaneRow, LaneView, Observer as _},
    ledger::Account,
    nodes::{CoinNode, CoinTransaction},
    signer::Comparison,
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

use super::{
    chain::{CHAIN, Node, transaction},
    signer::Signer,
};

/// A mined block must not be spent from before so many others.
pub struct World {
    pub now: Time,
    pub config: Config,
    pub lane: UtxoLane,
    pub durable: LaneView,
    pub withdrawals: BTreeMap<WithdrawalNumber, Withdrawal>,
    /// Those that the lane has.
    held: BTreeSet<WithdrawalNumber>,
    wanted: usize,
    pub effects: VecDeque<Effect<Question>>,
    pub node: Node,
    pub second: Option<Node>,
    pub signer: Signer,
    /// Every change that became durable.
    pub changes: Vec<Change>,
    /// Commits that will fail.
    pub failing: usize,
    /// Whether the signer's journal can be read.
    pub journal: Result<(), String>,
    salt: u32,
    /// Nothing is final before.
    pub depth_least: u64,
}

pub fn script(hash: u8) -> Vec<u8> {
    [&[0x00, 0x14], [hash; 20].as_slice()].concat()
}

pub fn address(hash: u8) -> Address {
    Address::from_script(CHAIN, &script(hash)).unwrap()
}

/// The scripts of the account's keys.
pub const KEYS: [u8; 3] = [0xa0, 0xa1, 0xa2];

pub fn keys() -> KeysAnswer {
    let keys = KEYS.iter().map(|hash| Key {
        name: format!("hot-{hash:x}").parse().unwrap(),
        account: "hot".parse().unwrap(),
        class: AccountClass::Hot,
        public_key: String::new(),
        assurance: "hsm".into(),
        addresses: vec![KeyAddress {
            chain: CHAIN,
            address: address(*hash).to_string(),
            lane_epoch: 0,
            next_sequence: None,
        }],
    });
    KeysAnswer {
        keys: keys.collect(),
        limits: Vec::new(),
        epoch: 1,
        policy: String::new(),
        time: Interval {
            lo: Time::default(),
            hi: Time::default(),
        },
        journal: None,
        heartbeat: None,
        credited: None,
    }
}

/// Whether the lane waits for a person.
pub fn halted(world: &World) -> bool {
    matches!(world.durable.row.gate, Gate::Halted { .. })
}

pub fn config() -> Config {
    let mut config = Config::starting_at(0);
    config.fee_rate_fallback_sat_vb = 5;
    config.confirmations[0].blocks = 3;
    config.bump_after_secs = 600;
    config.bump_after_blocks = 1;
    config
}

pub fn done<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the model never waits"),
    }
}

impl World {
    /// A lane that was never run, on a chain of one block.
    pub fn new(config: Config) -> Self {
        let lane: LaneId = format!("{CHAIN}:hot").parse().unwrap();
        let row = LaneRow {
            id: lane.clone(),
            account: "hot".parse().unwrap(),
            lease: 1,
            epoch: 1,
            epoch_seen: false,
            next_attempt: wallet::attempt::AttemptNumber(0),
            next_nonce: 0,
            gate: Gate::Closed {
                detail: "started".into(),
            },
            compared_to: None,
        };
        let durable = LaneView::new(row);
        let node = Node::default();
        node.state().mine(Vec::new());
        let keys = OwnKeys::of(&keys().keys, &lane).unwrap();
        Self {
            now: Time::from_millis(1_800_000_000_000),
            lane: UtxoLane::new(config.clone(), keys, durable.clone()),
            config,
            durable,
            withdrawals: BTreeMap::new(),
            held: BTreeSet::new(),
            wanted: 0,
            effects: VecDeque::new(),
            node,
            second: None,
            signer: Signer::default(),
            changes: Vec::new(),
            failing: 0,
            journal: Ok(()),
            salt: 0,
            depth_least: 3,
        }
    }

    /// A lane that is open, with coins of these amounts.
    pub fn with_coins(config: Config, amounts: &[u64]) -> Self {
        let mut world = Self::new(config);
        world.fund(amounts);
        world.start();
        assert_eq!(world.durable.row.gate, Gate::Open);
        world
    }

    /// A block that pays the account, from somewhere else.
    pub fn fund(&mut self, amounts: &[u64]) -> Vec<Outpoint> {
        let paying: Vec<CoinTransaction> = amounts
            .iter()
            .enumerate()
            .map(|(at, amount)| self.stranger(&[(*amount, script(KEYS[at % KEYS.len()]))]))
            .collect();
        let made = paying.iter().map(|paid| super::chain::outpoint(paid, 0));
        let made = made.collect();
        self.node.state().mine(paying);
        made
    }

    /// A transaction of somebody else.
    pub fn stranger(&mut self, outputs: &[(u64, Vec<u8>)]) -> CoinTransaction {
        self.salt += 1;
        let mut from = [0x55; 32];
        from[..4].copy_from_slice(&self.salt.to_le_bytes());
        let from = Outpoint {
            txid: from,
            vout: 0,
        };
        transaction(&[from], outputs, 0)
    }

    pub fn start(&mut self) {
        self.handle(Event::Started);
        self.run();
    }

    /// The process dies, and another takes the lane.
    pub fn crash(&mut self) {
        let row = &mut self.durable.row;
        row.lease += 1;
        if row.epoch_seen {
            row.epoch += 1;
            row.epoch_seen = false;
        }
        if !matches!(row.gate, Gate::Halted { .. }) {
            row.gate = Gate::Closed {
                detail: "started".into(),
            };
        }
        let keys = OwnKeys::of(&keys().keys, &row.id).unwrap();
        self.lane = UtxoLane::new(self.config.clone(), keys, self.durable.clone());
        self.effects.clear();
        self.held = self.durable.withdrawals.keys().copied().collect();
        self.wanted = 0;
        self.handle(Event::Started);
    }

    pub fn restart(&mut self) {
        self.crash();
        self.run();
    }

    pub fn ask(&mut self, amount: u64) -> WithdrawalNumber {
        self.ask_with(amount, |_| {})
    }

    pub fn ask_with(&mut self, amount: u64, change: impl Fn(&mut Intent)) -> WithdrawalNumber {
        let number = WithdrawalNumber(self.withdrawals.len() as u64);
        let mut intent = Intent {
            id: IntentId {
                source: "shop".parse().unwrap(),
                id: format!("w-{}", number.0).parse().unwrap(),
            },
            epoch: 1,
            asset: Asset::native(CHAIN),
            amount: Amount::from(amount),
            destination: address(0x10 + u8::try_from(number.0 % 64).unwrap()),
            tag: None,
            max_fee: Amount::from(100_000_u64),
            expires: self.now.after_millis(30 * 86_400_000),
        };
        change(&mut intent);
        let withdrawal = Withdrawal {
            number,
            client: "shop".parse().unwrap(),
            account: Account::Customer("ann".parse().unwrap()),
            intent,
            stage: Stage::Approved,
            waiting: None,
            not_before: Time::default(),
            lane: None,
            requested_at: self.now,
            changed_at: self.now,
        };
        self.withdrawals.insert(number, withdrawal);
        number
    }

    pub fn handle(&mut self, event: Event<wallet::chains::utxo::Answer>) {
        let effects = self.lane.handle(event, self.now);
        self.effects.extend(effects);
    }

    /// Does what is to be done until nothing is.
    pub fn run(&mut self) {
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the lane does not come to rest: {:?}", self.effects);
    }

    /// Does one thing; `false` if there is none.
    pub fn step(&mut self) -> bool {
        if let Some(effect) = self.effects.pop_front() {
            self.execute(effect);
            return true;
        }
        self.hand_out()
    }

    /// Gives the lane what it wants.
    fn hand_out(&mut self) -> bool {
        let free = self.withdrawals.values().filter(|withdrawal| {
            withdrawal.stage == Stage::Approved
                && withdrawal.not_before <= self.now
                && !self.held.contains(&withdrawal.number)
        });
        let queued: Vec<Withdrawal> = free.take(self.wanted).cloned().collect();
        if queued.is_empty() {
            return false;
        }
        self.wanted -= queued.len();
        self.held.extend(queued.iter().map(|had| had.number));
        self.handle(Event::Queued(queued));
        true
    }

    pub fn execute(&mut self, effect: Effect<Question>) {
        match effect {
            Effect::Commit(changes) => self.commit(changes),
            Effect::Sign(number, request) => {
                let row = &self.durable.attempts[&number];
                assert_eq!(row.request, request, "durable before it is asked for");
                let outcome = self.signer.sign(&request);
                self.handle(Event::Signer(number, outcome));
            }
            Effect::Inquire(number) => {
                let id = self.durable.row.id.request_id(number);
                let known = self.signer.request(&id);
                self.handle(Event::Inquired(number, Ok(known)));
            }
            Effect::Send(number, answer) => {
                let stored = self.durable.attempts[&number].signed.as_ref();
                assert_eq!(
                    stored,
                    Some(&answer),
                    "only stored bytes are given to nodes"
                );
                let outcome = done(self.observer().send(&answer));
                self.handle(Event::Sent(number, outcome));
            }
            Effect::Ask(question) => {
                let answer = done(self.observer().ask(question));
                self.handle(Event::Answered(answer));
            }
            Effect::Compare => {
                let comparison = self.comparison();
                self.handle(Event::Compared(comparison));
            }
            Effect::Want(count) => self.wanted = count,
            Effect::Return(numbers) => {
                for number in numbers {
                    assert!(self.held.remove(&number), "{number:?} was not the lane's");
                }
            }
            Effect::Wake(_) => {}
        }
    }

    fn observer(&self) -> Observer {
        let mut nodes: Vec<Arc<dyn CoinNode>> = vec![Arc::new(self.node.clone())];
        if let Some(second) = &self.second {
            nodes.push(Arc::new(second.clone()));
        }
        Observer::new(CHAIN, nodes)
    }

    fn comparison(&self) -> Result<Comparison, String> {
        self.journal.clone()?;
        Ok(Comparison {
            to: self
                .signer
                .signed
                .values()
                .map(|had| had.answer.attempt)
                .max(),
            unknown: Vec::new(),
            epoch: self.signer.epoch,
            next_nonce: None,
        })
    }

    fn commit(&mut self, changes: Vec<Change>) {
        if self.failing > 0 {
            self.failing -= 1;
            return self.handle(Event::CommitFailed);
        }
        self.write(&changes);
        self.handle(Event::Committed(changes));
        assert_eq!(self.lane.lost(), None);
        assert_eq!(*self.lane.view(), self.durable);
    }

    /// As a store: the view, and the withdrawals that are in no set.
    pub fn write(&mut self, changes: &[Change]) {
        let before = self.durable.withdrawals.clone();
        let pays: Vec<_> = changes
            .iter()
            .filter_map(|change| self.settles(change))
            .collect();
        let withdrawals = &self.withdrawals;
        let approved = |number: WithdrawalNumber| {
            let withdrawal = withdrawals.get(&number);
            withdrawal
                .filter(|had| had.stage == Stage::Approved)
                .cloned()
        };
        self.durable.apply(changes, approved, self.now).unwrap();
        for (number, mut withdrawal) in before {
            if !self.durable.withdrawals.contains_key(&number) {
                let paid = pays.iter().flatten().any(|paid| *paid == number);
                withdrawal.stage = if paid { Stage::Final } else { Stage::Approved };
                withdrawal.lane = None;
                self.withdrawals.insert(number, withdrawal);
            }
        }
        for (number, withdrawal) in &self.durable.withdrawals {
            self.withdrawals.insert(*number, withdrawal.clone());
        }
        self.write_waits(changes);
        self.changes.extend_from_slice(changes);
        self.check();
    }

    fn settles(&self, change: &Change) -> Option<Vec<WithdrawalNumber>> {
        match change {
            Change::Final {
                attempt,
                inclusion,
                tip,
                ..
            } => {
                let depth = tip.height - inclusion.block.height + 1;
                assert!(depth >= self.depth_least, "{depth}");
                Some(self.durable.attempts[attempt].pays.clone())
            }
            _ => None,
        }
    }

    fn write_waits(&mut self, changes: &[Change]) {
        for change in changes {
            let Change::Wait {
                withdrawals,
                waiting,
                not_before,
            } = change
            else {
                continue;
            };
            for number in withdrawals {
                let withdrawal = self.withdrawals.get_mut(number).unwrap();
                withdrawal.waiting.clone_from(waiting);
                withdrawal.not_before = *not_before;
                withdrawal.changed_at = self.now;
            }
        }
    }

    /// What holds at all times.
    fn check(&self) {
        let mut holders: BTreeMap<_, _> = BTreeMap::new();
        for attempt in self.durable.attempts.values().filter(|had| had.is_live()) {
            for key in &attempt.keys {
                let set = holders.entry(key).or_insert(attempt.set);
                assert_eq!(*set, attempt.set, "{key} is in two live sets");
            }
        }
        self.check_coins();
    }

    /// The follower's coins are the chain's, as far as it was read.
    fn check_coins(&self) {
        let Some(tip) = self.durable.tip() else {
            return;
        };
        let state = self.node.state();
        let height = usize::try_from(tip.height).unwrap();
        if state.blocks.get(height).is_none_or(|had| had.block != *tip) {
            return;
        }
        let mut coins = BTreeMap::new();
        for transaction in state.blocks[..=height]
            .iter()
            .flat_map(|had| &had.transactions)
        {
            for input in &transaction.inputs {
                coins.remove(input);
            }
            for (vout, (amount, to)) in (0..).zip(&transaction.outputs) {
                if KEYS.iter().any(|hash| script(*hash) == *to) {
                    coins.insert(super::chain::outpoint(transaction, vout), *amount);
                }
            }
        }
        let had = self.durable.coins.iter();
        let had: BTreeMap<_, _> = had.map(|(at, coin)| (*at, coin.amount)).collect();
        assert_eq!(had, coins);
    }

    pub fn pass(&mut self, millis: u64) {
        self.now = self.now.after_millis(millis);
        self.handle(Event::Tick);
        self.run();
    }

    /// Blocks with all that waits, each seen by the lane.
    pub fn mine(&mut self, count: usize) {
        for _ in 0..count {
            self.node.state().mine_mempool();
            self.pass(self.config.poll_millis);
        }
    }

    pub fn stage(&self, number: WithdrawalNumber) -> Stage {
        self.withdrawals[&number].stage
    }

    pub fn waits_for(&self, number: WithdrawalNumber) -> Option<wallet::withdrawal::WaitingReason> {
        let waiting = self.withdrawals[&number].waiting.as_ref();
        waiting.map(|waiting| waiting.reason)
    }

    /// How often the chain pays a withdrawal.
    pub fn payments(&self, number: WithdrawalNumber) -> usize {
        let intent = &self.withdrawals[&number].intent;
        let paid = (
            intent.amount.to_u64().unwrap(),
            intent.destination.as_bytes().to_vec(),
        );
        let state = self.node.state();
        let mined = state.blocks.iter().flat_map(|block| &block.transactions);
        let outputs = mined.flat_map(|transaction| &transaction.outputs);
        outputs.filter(|output| **output == paid).count()
    }

    pub fn live(&self) -> Vec<&Attempt> {
        let attempts = self.durable.attempts.values();
        attempts.filter(|attempt| attempt.is_live()).collect()
    }

    pub fn stages(&self) -> Vec<&AttemptStage> {
        let attempts = self.durable.attempts.values();
        attempts.map(|attempt| &attempt.stage).collect()
    }
}
