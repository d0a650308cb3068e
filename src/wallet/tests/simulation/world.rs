//! The world of one run: clock, store, signer, chain, and everyone who asks for something.

mod database;
mod scenario;
mod watch;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use api::signing::SignAnswer;
use sha2::{Digest, Sha256};
use tx::{IntentId, Name, Time};
use wallet::{
    attempt::{AttemptNumber, AttemptStage},
    lane::{Lane, LaneId, LaneView},
    points::{Deed, Side},
    settlement::{Outcome, Settlement},
    signer::{Comparison, Signer},
    store::{Accepted, Decided, Filter, SqliteStore, Store},
    withdrawal::{NewWithdrawal, Stage, Withdrawal},
};

use self::database::{connect, folder, open_store, snapshot, template};
pub use self::{
    database::customers,
    scenario::{Expected, Scenario, Wish, intent_id, withdrawal},
};
use super::{
    book::Book,
    check::Confirmed,
    family::{Family, SimChain, SimNode},
    node::NodeFaults,
    random::Random,
    signer::{SimSigner, name},
    stepper::{Killed, Order, Points, Process},
};

/// Where every run begins: 2026-01-01T00:00:00Z and a bit.
pub const BEGINNING: u64 = 1_767_225_600_000;
/// How long a run may take, in milliseconds of its own clock.
const HORIZON: u64 = 12 * 3_600_000;

pub struct World<F: Family> {
    pub now: Time,
    pub random: Random,
    pub order: Order,
    pub trace: bool,
    store: Option<Arc<SqliteStore>>,
    /// Puts a mutant around the store.
    pub wrap: Wrap,
    /// What the process is given: the signer, or a mutant around it.
    pub signer: Arc<dyn Signer>,
    pub sim: SimSigner,
    pub chain: F::Chain,
    pub nodes: Vec<F::Node>,
    pub points: Points,
    /// Something was committed since it was looked at.
    pub dirty: bool,
    /// The database does not write, once in so many commits.
    pub store_fails_every: u64,
    pub refused_commits: Vec<String>,
    /// Everything that was broken.
    pub breaches: Vec<String>,
    pub asked: BTreeMap<IntentId, NewWithdrawal>,
    /// Calls that are on their way may stay there.
    pub late_at_the_end: bool,
    /// How many nudges and wishes are left.
    left: (usize, usize),
    pub horizon: u64,
    /// Rises with whatever may change what can be paid: writes, and time.
    pub writes: u64,
    pub signed: BTreeMap<AttemptNumber, Arc<SignAnswer>>,
    next_block_at: Time,
    /// Changes the lane's settings for this world.
    pub settings: F::Settings,
    database: PathBuf,
    folder: tempfile::TempDir,
    restores: u64,
}

/// Puts a mutant around the store.
pub type Wrap = fn(Arc<SqliteStore>) -> Arc<dyn Store>;

impl<F: Family> World<F> {
    pub async fn new(seed: u64) -> Self {
        let folder = folder();
        let database = folder.path().join("walletd.sqlite");
        std::fs::write(&database, template::<F>().await).unwrap();
        let store = Some(open_store(&database).await);
        let mut random = Random::new(seed);
        let book = Book::default();
        let chain = F::chain(book.clone());
        let sim = SimSigner::new(F::CHAIN, F::registry(), book, Random::new(random.number()));
        let nodes = vec![F::node(&chain, "one", Random::new(random.number()))];
        let now = Time::from_millis(BEGINNING);
        sim.lock().now = now;
        let world = Self {
            now,
            random,
            order: Order::First,
            trace: std::env::var_os("WALLETD_SIMULATION_TRACE").is_some(),
            store,
            signer: Arc::new(sim.clone()),
            sim,
            chain,
            nodes,
            points: Points::default(),
            dirty: true,
            store_fails_every: 0,
            refused_commits: Vec::new(),
            breaches: Vec::new(),
            asked: BTreeMap::new(),
            late_at_the_end: false,
            left: (0, 0),
            horizon: HORIZON,
            writes: 0,
            signed: BTreeMap::new(),
            next_block_at: now.after_millis(F::BLOCK_MILLIS),
            settings: F::settings(),
            wrap: |store| store,
            database,
            folder,
            restores: 0,
        };
        assert_eq!(world.sim.epoch(), 0);
        world
    }

    /// The store that the process uses: the real one, or a mutant around it.
    pub fn store(&self) -> Arc<dyn Store> {
        (self.wrap)(self.store.clone().unwrap())
    }

    /// The process has ended, and with it all that its store had in memory.
    pub async fn reopen(&mut self) {
        self.store = None;
        self.store = Some(open_store(&self.database).await);
    }

    /// What the store has now.
    pub async fn back_up(&self) -> Vec<u8> {
        snapshot(&self.database)
    }

    /// The store has what it had then, and nothing that came later.
    pub async fn restore(&mut self, backup: &[u8]) {
        self.restores += 1;
        // Beside the other one: its connections may still be closing.
        let name = format!("restored-{}.sqlite", self.restores);
        self.database = self.folder.path().join(name);
        std::fs::write(&self.database, backup).unwrap();
        self.reopen().await;
        self.signed.clear();
        self.dirty = true;
    }

    /// Somebody writes past the coordinator.
    pub fn sql(&self, statement: &str) -> Result<usize, String> {
        let done = connect(&self.database).execute(statement, []);
        done.map_err(|error| error.to_string())
    }

    pub fn lane_id(&self) -> LaneId {
        F::new_lane(0, 0).id
    }

    pub fn breach(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.trace {
            println!("BREACH {what}");
        }
        self.breaches.push(what);
    }

    /// Passes a point, and perhaps ends there.
    pub async fn point(&mut self, deed: Deed, side: Side) -> Result<(), Killed> {
        self.points.passed += 1;
        if self.points.watched {
            let state = self.fingerprint().await;
            self.points.states.push(state);
        }
        self.points.log.push((deed, side));
        let random = self.random.once_in(self.points.kill_every);
        if random || self.points.kill_at.contains(&self.points.passed) {
            self.points.kills += 1;
            if self.trace {
                println!(
                    "{} KILL at {} {side:?} {deed:?}",
                    self.now, self.points.passed
                );
            }
            return Err(Killed);
        }
        Ok(())
    }

    /// All that is left when the process ends here: two points with one of these are one.
    async fn fingerprint(&self) -> [u8; 32] {
        let view = self.store().load(&self.lane_id()).await.unwrap();
        let withdrawals = self.withdrawals().await;
        let left = (self.left, self.now, self.next_block_at);
        let outside = (self.chain.fingerprint(), self.sim.lock().fingerprint());
        let all = format!("{view:?} {withdrawals:?} {left:?} {outside:?}");
        Sha256::digest(all).into()
    }

    pub fn store_fails(&mut self) -> bool {
        self.random.once_in(self.store_fails_every)
    }

    /// Runs one coordinator, again and again, until all is as it should be.
    pub async fn run(&mut self, scenario: &mut Scenario<F>) {
        let mut process: Option<Process<F>> = None;
        let begun = self.now;
        loop {
            if self.now.millis_since(begun) >= self.horizon || self.breaches.len() > 20 {
                self.say_stuck(scenario).await;
                return;
            }
            if process.is_none() {
                self.pass(1_000);
                match Process::start(self, "one").await {
                    Ok(Some(started)) => process = Some(started),
                    Ok(None) => self.pass(5_000),
                    Err(Killed) => self.reopen().await,
                }
                continue;
            }
            let running = process.as_mut().unwrap();
            if self.turn(scenario, running).await == Err(Killed) {
                process = None;
                self.reopen().await;
            } else if self.dirty && self.is_settled(scenario, process.as_ref()).await {
                return;
            }
        }
    }

    /// One turn: wishes, faults, one step of the process, or time.
    pub async fn turn(
        &mut self,
        scenario: &mut Scenario<F>,
        process: &mut Process<F>,
    ) -> Result<(), Killed> {
        self.grant(scenario).await?;
        self.nudge(scenario);
        if !process.step(self).await? {
            self.advance(scenario, process.wakes_at());
        }
        Ok(())
    }

    pub fn nudge(&mut self, scenario: &mut Scenario<F>) {
        let mut nudges = std::mem::take(&mut scenario.nudges);
        nudges.retain_mut(|nudge| !nudge(self));
        scenario.nudges.append(&mut nudges);
        self.left = (scenario.nudges.len(), scenario.wishes.len());
    }

    /// What people wish is asked for until it is answered, as a client does.
    pub async fn grant(&mut self, scenario: &mut Scenario<F>) -> Result<(), Killed> {
        let elapsed = self.now.millis() - BEGINNING;
        while let Some(at) = scenario
            .wishes
            .iter()
            .position(|(after, _)| *after <= elapsed)
        {
            let wish = scenario.wishes[at].1.clone();
            self.ask(&wish).await?;
            scenario.wishes.remove(at);
        }
        Ok(())
    }

    pub async fn ask(&mut self, wish: &Wish) -> Result<(), Killed> {
        if let Wish::Withdraw(new) = wish {
            self.asked.insert(new.intent.id.clone(), (**new).clone());
        }
        self.point(Deed::Commit, Side::Before).await?;
        self.dirty = true;
        self.writes += 1;
        let by = name("olga");
        match wish {
            Wish::Withdraw(new) => {
                let accepted = self.store().accept(vec![(**new).clone()], self.now).await;
                let accepted = accepted.unwrap().remove(0);
                if let Accepted::Different(stored) = accepted {
                    self.breach(format!("another content is stored: {stored:?}"));
                }
            }
            Wish::Approve(id) => {
                let decided = self.store().approve(id, &by, self.now).await.unwrap();
                assert_ne!(decided, Decided::Unknown);
            }
            Wish::Release(id) => {
                let decided = self.store().release(id, &by, self.now).await.unwrap();
                assert_ne!(decided, Decided::Unknown);
            }
            Wish::Settle => self.settle(by).await?,
        }
        self.point(Deed::Commit, Side::After).await
    }

    /// A person goes by what the chain shows, as by the token's balances before and after.
    async fn settle(&mut self, by: Name) -> Result<(), Killed> {
        let confirmed = self.chain.confirmed();
        for withdrawal in self.withdrawals().await {
            let attempts = self.store().attempts(withdrawal.number).await.unwrap();
            let mut attempts = attempts.into_iter().map(|(_, attempt)| attempt.stage);
            let Some(AttemptStage::Unproven(inclusion)) =
                attempts.find(|stage| stage.name() == "unproven")
            else {
                continue;
            };
            let txid = inclusion.txid;
            let moved = confirmed.iter().any(|own| own.txid == txid && own.paid);
            let outcome = match moved {
                true => Outcome::Paid,
                false => Outcome::PayAnew,
            };
            let (by, why) = (by.clone(), "the balances say so".into());
            let settlement = Settlement {
                txid,
                outcome,
                by,
                why,
            };
            let id = &withdrawal.intent.id;
            let settled = self.store().settle(id, &settlement, self.now).await;
            assert!(matches!(settled.unwrap(), Decided::Done(_)));
            self.point(Deed::Commit, Side::After).await?;
        }
        let lane = self.lane_id();
        let opened = self.store().open_lane(&lane, &by, self.now).await;
        drop(opened.unwrap());
        Ok(())
    }

    /// Nothing is left to be done now: the clock goes on to what comes next.
    pub fn advance(&mut self, scenario: &Scenario<F>, wake: Option<Time>) {
        let wishes = scenario.wishes.iter().map(|(after, _)| *after);
        let wish = wishes
            .min()
            .map(|after| Time::from_millis(BEGINNING + after));
        let next = [Some(self.next_block_at), wake, wish]
            .into_iter()
            .flatten()
            .min();
        let next = next.unwrap().max(self.now.after_millis(1));
        self.pass(next.millis_since(self.now));
    }

    /// Time passes, and blocks are made.
    pub fn pass(&mut self, millis: u64) {
        self.now = self.now.after_millis(millis);
        self.writes += 1;
        self.sim.lock().now = self.now;
        while self.next_block_at <= self.now {
            self.chain.mine();
            self.next_block_at = self.next_block_at.after_millis(F::BLOCK_MILLIS);
        }
    }

    pub async fn withdrawals(&self) -> Vec<Withdrawal> {
        let all = Filter::default();
        self.store().withdrawals(&all, None, 1_000).await.unwrap()
    }

    pub async fn is_settled(
        &mut self,
        scenario: &Scenario<F>,
        process: Option<&Process<F>>,
    ) -> bool {
        if !scenario.wishes.is_empty()
            || !scenario.nudges.is_empty()
            || (self.sim.has_late() && !self.late_at_the_end)
        {
            return false;
        }
        let live = |process: &Process<F>| {
            process
                .lane
                .view()
                .attempts
                .values()
                .any(|attempt| attempt.is_live())
        };
        if process.is_none_or(live) {
            return false;
        }
        self.dirty = false;
        self.unsettled(scenario).await.is_empty()
    }

    /// What is not as it should be yet.
    async fn unsettled(&self, scenario: &Scenario<F>) -> Vec<String> {
        let stored = self.withdrawals().await;
        let mut wrong = Vec::new();
        for (id, expected) in &scenario.expected {
            let found = stored.iter().find(|withdrawal| withdrawal.intent.id == *id);
            let stage = found.map(|withdrawal| withdrawal.stage);
            let is = match expected {
                Expected::Paid => stage == Some(Stage::Final),
                Expected::PaidOrReleased => {
                    matches!(stage, Some(Stage::Final | Stage::Released))
                }
                Expected::Waits(at) => {
                    stage == Some(*at)
                        && (*at == Stage::Manual || found.is_some_and(|w| w.waiting.is_some()))
                }
                Expected::Stays(at) => stage == Some(*at),
                Expected::Any => true,
            };
            if !is {
                let waiting = found.and_then(|withdrawal| withdrawal.waiting.clone());
                wrong.push(format!(
                    "{id} is {stage:?}, not {expected:?}; waits {waiting:?}"
                ));
            }
        }
        wrong
    }

    async fn say_stuck(&mut self, scenario: &Scenario<F>) {
        let unsettled = self.unsettled(scenario).await;
        let view = self.store().load(&self.lane_id()).await.unwrap();
        let live: Vec<_> = view
            .attempts
            .values()
            .filter(|a| a.is_live())
            .map(|a| format!("{:?} {} {:?}", a.number, a.stage.name(), a.purpose))
            .collect();
        let nudges = scenario.nudges.len();
        self.breach(format!(
            "stuck: {unsettled:?}; live {live:?}; gate {:?}; {nudges} nudges left",
            view.row.gate
        ));
    }

    /// A second node: from now on nothing counts that only one of them says.
    pub fn add_node(&mut self) {
        let random = Random::new(self.random.number());
        self.nodes.push(F::node(&self.chain, "two", random));
    }

    /// Changes the troubles of every node.
    pub fn nodes(&self, change: impl Fn(&mut NodeFaults)) {
        self.nodes.iter().for_each(|node| node.change(&change));
    }

    /// Whether any node was given a transaction that pays the intent.
    pub fn was_sent(&self, intent: &IntentId) -> bool {
        let seen = self.chain.seen();
        let made = self.sim.book.of_intent(intent);
        made.iter().any(|made| seen.contains(&made.txid))
    }

    /// How often the best chain pays the intent.
    pub fn times_paid(&self, intent: &IntentId) -> usize {
        let made = self.sim.book.of_intent(intent);
        let pays = |own: &Confirmed| own.paid && made.iter().any(|made| made.txid == own.txid);
        self.chain
            .confirmed()
            .iter()
            .filter(|own| pays(own))
            .count()
    }

    /// Milliseconds since the beginning.
    pub fn elapsed(&self) -> u64 {
        self.now.millis() - BEGINNING
    }

    /// What the signer knows and the store does not.
    pub async fn compare(&self, view: &LaneView) -> Result<Comparison, String> {
        wallet::engine::compare(self.signer.clone(), self.store(), &view.row).await
    }
}
