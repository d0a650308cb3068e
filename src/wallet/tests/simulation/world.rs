//! The world of one run: clock, store, signer, chain, and everyone who asks for something.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use api::signing::{SignAnswer, SignRequest};
use sha2::{Digest, Sha256};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tx::{Amount, Asset, Intent, IntentId, Name, Time};
use wallet::{
    attempt::{Attempt, AttemptNumber},
    change::Change,
    lane::{Lane, LaneId, LaneView},
    ledger::Account,
    limit::DailyLimit,
    points::{Deed, Side},
    signer::{Comparison, Signer},
    store::{Accepted, Credit, Decided, Durability, Filter, Options, SqliteStore, Store},
    withdrawal::{NewWithdrawal, Stage, Withdrawal},
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

/// What people want.
#[derive(Clone, Debug)]
pub enum Wish {
    Withdraw(Box<NewWithdrawal>),
    Approve(IntentId),
    Release(IntentId),
}

/// What a withdrawal must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Paid,
    /// Is neither paid nor released, whoever says why.
    Stays(Stage),
    /// The same, and says why.
    Waits(Stage),
    /// Paid or released, whoever came first.
    PaidOrReleased,
    Any,
}

/// Something that happens to the world once its time has come: true when it is done.
pub type Nudge<F> = Box<dyn FnMut(&World<F>) -> bool>;

pub struct Scenario<F: Family> {
    /// Milliseconds from the beginning, and the wish.
    pub wishes: Vec<(u64, Wish)>,
    pub nudges: Vec<Nudge<F>>,
    pub expected: BTreeMap<IntentId, Expected>,
}

impl<F: Family> Scenario<F> {
    pub fn new() -> Self {
        Self {
            wishes: Vec::new(),
            nudges: Vec::new(),
            expected: BTreeMap::new(),
        }
    }

    /// A withdrawal that must be paid.
    pub fn pays(mut self, after: u64, withdrawal: NewWithdrawal) -> Self {
        let id = withdrawal.intent.id.clone();
        self.expected.insert(id, Expected::Paid);
        self.wishes
            .push((after, Wish::Withdraw(Box::new(withdrawal))));
        self
    }

    pub fn expects(mut self, id: &IntentId, expected: Expected) -> Self {
        self.expected.insert(id.clone(), expected);
        self
    }

    pub fn wishes(mut self, after: u64, wish: Wish) -> Self {
        self.wishes.push((after, wish));
        self
    }

    pub fn nudge(mut self, nudge: impl FnMut(&World<F>) -> bool + 'static) -> Self {
        self.nudges.push(Box::new(nudge));
        self
    }
}

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
        let nodes = F::nodes(&chain, &mut random);
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
        snapshot(&self.database).await
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
    pub async fn sql(&self, statement: &'static str) -> Result<u64, String> {
        let mut connection = connect(&self.database).await;
        let done = sqlx::query(statement).execute(&mut connection).await;
        let done = done.map(|done| done.rows_affected());
        connection.close().await.unwrap();
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
        }
        self.point(Deed::Commit, Side::After).await
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

    /// An attempt as it is durable, however long ago it ended.
    async fn durable(&self, lane: &LaneId, number: AttemptNumber) -> Option<Attempt> {
        let store = self.store();
        let mut view = store.load(lane).await.unwrap();
        if let Some(found) = view.attempts.remove(&number) {
            return Some(found);
        }
        for withdrawal in self.withdrawals().await {
            let attempts = store.attempts(withdrawal.number).await.unwrap();
            let mut attempts = attempts.into_iter().map(|(_, attempt)| attempt);
            if let Some(found) = attempts.find(|attempt| attempt.number == number) {
                return Some(found);
            }
        }
        None
    }

    /// Before the signer is called: the very request is durable.
    pub async fn watch_sign(
        &mut self,
        lane: &LaneId,
        number: AttemptNumber,
        request: &SignRequest,
    ) {
        let stored = self.durable(lane, number).await;
        if stored.is_none_or(|stored| *stored.request != *request) {
            self.breach(format!("{number:?} is asked for and not durable"));
        }
    }

    /// After the signer was called: of the transactions that pay one intent no two can confirm.
    pub fn watch_signed(&mut self) {
        let intents: BTreeSet<_> = self.asked.keys().cloned().collect();
        for intent in intents {
            let made = self.sim.book.of_intent(&intent);
            let alive: Vec<_> = made.iter().filter(|m| self.chain.may_confirm(m)).collect();
            for (at, one) in alive.iter().enumerate() {
                if let Some(other) = alive[..at].iter().find(|o| o.keys.is_disjoint(&one.keys)) {
                    let (a, b) = (one.attempt, other.attempt);
                    self.breach(format!("{intent}: attempts {a} and {b} can both confirm"));
                }
            }
        }
    }

    /// Before a commit: what it calls the end of an attempt is its end on the chain.
    pub fn watch_commit(&mut self, changes: &[Change], view: &LaneView) {
        for change in changes {
            let (attempt, ends_well) = match change {
                Change::Final { attempt, .. } => (attempt, true),
                Change::Failed { attempt, .. } | Change::Dead { attempt, .. } => (attempt, false),
                Change::Void { attempt, .. } => {
                    let id = view.row.id.request_id(*attempt);
                    if self.sim.book.all().iter().any(|made| made.request_id == id) {
                        self.breach(format!("{id} is called void and is signed"));
                    }
                    continue;
                }
                _ => continue,
            };
            let id = view.row.id.request_id(*attempt);
            let made = self
                .sim
                .book
                .all()
                .into_iter()
                .find(|made| made.request_id == id);
            let Some(made) = made else {
                self.breach(format!("{id} is called over and was never signed"));
                continue;
            };
            if ends_well != self.chain.is_final(&made)
                || (!ends_well && self.chain.may_confirm(&made))
            {
                self.breach(format!("{id} is called over and is not: {change:?}"));
            }
        }
    }

    /// Before bytes are sent: exactly these are durable.
    pub async fn watch_send(&mut self, lane: &LaneId, number: AttemptNumber, answer: &SignAnswer) {
        let stored = self.durable(lane, number).await;
        let stored = stored.and_then(|stored| stored.signed);
        if stored.as_deref() != Some(answer) {
            self.breach(format!("{number:?} is sent and its bytes are not durable"));
        }
    }

    /// After a commit: no bytes are lost while their set is open, and no withdrawal is in two sets.
    pub fn watch_view(&mut self, view: &LaneView) {
        let mut sets: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for attempt in view.attempts.values() {
            if let Some(answer) = &attempt.signed {
                self.signed.insert(attempt.number, answer.clone());
            }
            if attempt.is_live() {
                for withdrawal in &attempt.pays {
                    sets.entry(*withdrawal).or_default().insert(attempt.set);
                }
            }
            let before = self.signed.get(&attempt.number);
            if before.is_some() && before != attempt.signed.as_ref() {
                self.breach(format!("the bytes of {:?} are gone", attempt.number));
            }
        }
        for (withdrawal, sets) in sets.iter().filter(|(_, sets)| sets.len() > 1) {
            self.breach(format!("{withdrawal:?} is in the live sets {sets:?}"));
        }
    }
}

async fn open_store(database: &Path) -> Arc<SqliteStore> {
    let options = Options {
        durability: Durability::Process,
        readers: 1,
        ..Options::default()
    };
    let opened = SqliteStore::open_with(database, &options).await;
    Arc::new(opened.unwrap())
}

/// A folder in memory, where there is such a thing.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.unwrap()
}

/// A database in which nothing has happened but deposits, made once.
async fn template<F: Family>() -> Vec<u8> {
    static MADE: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let chain = F::CHAIN.to_string();
    let found = MADE.lock().unwrap().get(&chain).cloned();
    if let Some(found) = found {
        return found;
    }
    let folder = folder();
    let database = folder.path().join("walletd.sqlite");
    let store = open_store(&database).await;
    set_up::<F>(&*store).await;
    let made = snapshot(&database).await;
    MADE.lock().unwrap().insert(chain, made.clone());
    made
}

async fn connect(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database);
    options.connect().await.unwrap()
}

/// The whole content of a database that may be in use.
async fn snapshot(database: &Path) -> Vec<u8> {
    let mut connection = connect(database).await;
    let copy = database.with_extension("copy");
    let query = sqlx::query("VACUUM INTO $1").bind(copy.to_str().unwrap().to_owned());
    query.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let content = std::fs::read(&copy).unwrap();
    std::fs::remove_file(copy).unwrap();
    content
}

async fn set_up<F: Family>(store: &dyn Store) {
    let now = Time::from_millis(BEGINNING);
    let most = Amount::from(10 * u128::from(F::DEPOSIT));
    let limit = |asset| DailyLimit {
        asset,
        total: most,
        customer: most,
    };
    let limits: Vec<_> = F::assets().into_iter().map(limit).collect();
    store.set_limits(&limits, now).await.unwrap();
    for customer in customers() {
        for (number, asset) in F::assets().into_iter().enumerate() {
            let credit = Credit {
                id: format!("deposit-{customer}-{number}").parse().unwrap(),
                client: name("ops"),
                account: Account::Customer(customer.clone()),
                asset,
                amount: F::DEPOSIT.into(),
                memo: "in the beginning".into(),
            };
            assert!(store.credit(&credit, now).await.unwrap());
        }
    }
    store.ensure_lane(&F::new_lane(0, 0), now).await.unwrap();
}

pub fn customers() -> Vec<Name> {
    ["ann", "bob", "eve"].into_iter().map(name).collect()
}

/// A withdrawal of a customer.
pub fn withdrawal(
    id: &str,
    customer: &str,
    asset: Asset,
    amount: u64,
    to: tx::Address,
) -> NewWithdrawal {
    NewWithdrawal {
        client: name("shop"),
        account: Account::Customer(name(customer)),
        intent: Intent {
            id: IntentId {
                source: name("shop"),
                id: id.parse().unwrap(),
            },
            destination: to,
            asset,
            amount: amount.into(),
            tag: None,
            max_fee: Amount::from(u64::MAX),
            expires: Time::from_millis(BEGINNING + 400 * 86_400_000),
        },
    }
}

pub fn intent_id(id: &str) -> IntentId {
    IntentId {
        source: name("shop"),
        id: id.parse().unwrap(),
    }
}
