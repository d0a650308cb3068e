//! Runs the lanes: executes effects and returns what came of them.
//!
//! ```text
//! Engine ─► one task a chain: which lanes there are ─► one task a lane: lease ─► Driver: effects
//!        ─► the signer's keys, its journal                 ▲
//!        ─► one queue a chain: approved withdrawals ───────┘
//! ```
//! Nothing here is remembered: what a lane knows durably is in the store, and a process that dies
//! loses what its lanes heard. Every call to the signer and everything given to a node stands between
//! two [`crate::points`]; the store's transactions have their own.

pub mod clock;
mod driver;
mod journal;
mod keys;
mod lanes;
mod lease;
mod owner;
mod queue;
mod status;
mod verdict;
mod waiting;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use api::{
    server::Rates,
    signing::{Key, SignRequest},
    wallet::{ChainReport, SignerReport},
};
use async_trait::async_trait;
use tokio::{
    sync::{Notify, Semaphore, watch},
    task::JoinSet,
};
use tx::{Address, Amount, Asset, Chain, Intent, Name};

use self::{
    journal::Journal,
    keys::{KeyBook, Keys},
    queue::Queue,
    status::Statuses,
};
pub use self::{
    journal::compare,
    owner::Owner,
    status::{LaneState, LaneStatus},
};
use crate::{
    lane::{Lane, LaneRow, LaneView, Observer},
    metrics::Metrics,
    signer::{Signer, Verdict},
    store::Store,
    web::FeeQuote,
    withdrawal::Withdrawal,
};

/// How long a stop waits for the signer's answers and commits that are out.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// What there is for one chain: its lanes' machine, and what answers their questions.
pub trait Family: Market {
    /// A lane.
    type Lane: Lane<
            Question = <Self::Observer as Observer>::Question,
            Answer = <Self::Observer as Observer>::Answer,
        >;
    /// Who answers it.
    type Observer: Observer;

    /// The lane that goes on from a view, with the signer's keys of its account.
    ///
    /// # Errors
    /// Why it cannot, for people.
    fn lane(&self, view: LaneView, keys: &[Key]) -> Result<Self::Lane, String>;

    /// Who answers this lane's questions.
    ///
    /// # Errors
    /// Why nobody can, for people.
    fn observer(&self, row: &LaneRow) -> Result<Arc<Self::Observer>, String>;

    /// How many withdrawals a lane has at once that it has not begun to pay.
    fn hand_max(&self) -> usize;
}

/// What is known of a chain.
#[async_trait]
pub trait Market: Send + Sync + 'static {
    /// How far it is, and what is wrong with its nodes.
    fn report(&self) -> ChainReport;

    /// What a payment would cost now, by one of the signer's addresses where it has one here.
    ///
    /// # Errors
    /// Why that is not known, for people.
    async fn fee(
        &self,
        asset: &Asset,
        amount: Amount,
        destination: &Address,
        payer: Option<&Address>,
    ) -> Result<FeeQuote, String>;

    /// What the signer would be asked for a payment by this lane, for `evaluate` alone: what it
    /// consumes need not be there.
    ///
    /// # Errors
    /// Why there is no such transaction, for people.
    fn trial(
        &self,
        lane: &LaneRow,
        keys: &[Key],
        payment: &Withdrawal,
    ) -> Result<SignRequest, String>;
}

/// What the engine is made of.
pub struct Settings {
    /// What is durable.
    pub store: Arc<dyn Store>,
    /// Who signs.
    pub signer: Arc<dyn Signer>,
    /// Who owns the leases.
    pub owner: Owner,
    /// How long a lease is.
    pub lease: Duration,
    /// Calls to the signer at the same time.
    pub signer_calls: usize,
    /// Calls to the nodes of one chain at the same time.
    pub node_calls: usize,
    /// The file in which the signer's keys are remembered for a start without it.
    pub keys_file: Option<PathBuf>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The lanes of all chains, at work.
pub struct Engine {
    shared: Arc<Shared>,
    chains: BTreeMap<Chain, Running>,
    stop: watch::Sender<bool>,
    /// What stops of itself, when it is told.
    lanes: JoinSet<()>,
    /// What is ended.
    services: JoinSet<()>,
    node_calls: usize,
}

#[derive(Clone)]
struct Running {
    queue: Arc<Queue>,
    market: Arc<dyn Market>,
    accounts: Vec<Name>,
}

/// What all lanes share.
struct Shared {
    store: Arc<dyn Store>,
    signer: Arc<dyn Signer>,
    journal: Journal,
    owner: Owner,
    lease: Duration,
    signer_calls: Arc<Semaphore>,
    signer_calls_max: usize,
    metrics: Arc<Metrics>,
    statuses: Statuses,
    /// How often the signer is asked for those who only want to know.
    verdicts: Rates,
    keys: watch::Receiver<Arc<Keys>>,
    /// Told when the signer turns out to be in another epoch than it said.
    keys_old: Arc<Notify>,
    stop: watch::Receiver<bool>,
}

impl Engine {
    /// Begins to ask for the signer's keys. Lanes begin with [`Engine::add`].
    pub fn new(settings: Settings) -> Self {
        let (journal, reader) =
            Journal::new(Arc::clone(&settings.signer), Arc::clone(&settings.store));
        let (stop, stopped) = watch::channel(false);
        let keys_old = Arc::new(Notify::new());
        let (book, keys) = KeyBook::new(
            Arc::clone(&settings.signer),
            settings.keys_file,
            Arc::clone(&keys_old),
        );
        let mut services = JoinSet::new();
        services.spawn(reader.run());
        services.spawn(book.run());
        let shared = Shared {
            store: settings.store,
            signer: settings.signer,
            journal,
            owner: settings.owner,
            lease: settings.lease,
            signer_calls: Arc::new(Semaphore::new(settings.signer_calls)),
            signer_calls_max: settings.signer_calls,
            metrics: settings.metrics,
            statuses: Statuses::default(),
            verdicts: Rates::new(verdict::PER_SECOND),
            keys,
            keys_old,
            stop: stopped,
        };
        Self {
            shared: Arc::new(shared),
            chains: BTreeMap::new(),
            stop,
            lanes: JoinSet::new(),
            services,
            node_calls: settings.node_calls,
        }
    }

    /// Runs the lanes of a chain: those that the store knows and those that the signer has keys for.
    pub fn add<F: Family>(&mut self, chain: Chain, accounts: Vec<Name>, family: Arc<F>) {
        let queue = Queue::new(chain, &self.shared, family.hand_max());
        self.services.spawn(Arc::clone(&queue).feed());
        let of_chain = lanes::OfChain {
            chain,
            accounts: accounts.clone(),
            shared: Arc::clone(&self.shared),
            queue: Arc::clone(&queue),
            family: Arc::clone(&family),
            node_calls: Arc::new(Semaphore::new(self.node_calls)),
        };
        self.lanes.spawn(Arc::new(of_chain).run());
        let market: Arc<dyn Market> = family;
        let running = Running {
            queue,
            market,
            accounts,
        };
        self.chains.insert(chain, running);
    }

    /// What may be asked of the engine while it runs.
    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
            chains: Arc::new(self.chains.clone()),
        }
    }

    /// Begins nothing more, waits for what is out, and gives the leases back. What takes too long is
    /// left as a killed process leaves it: nothing is lost.
    pub async fn stop(mut self) {
        // Nobody listens only if there is no lane.
        let _listening = self.stop.send(true);
        let all = async { while self.lanes.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            tracing::warn!(
                "something that was out has not come back; it is found at the next start"
            );
        }
        self.services.abort_all();
    }
}

/// The engine, as the API and health see it.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    chains: Arc<BTreeMap<Chain, Running>>,
}

impl Handle {
    /// The lanes that this process knows.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        self.shared.statuses.all()
    }

    /// Why the signer's last call was not answered.
    pub fn signer_trouble(&self) -> Option<String> {
        let trouble = self.shared.signer.trouble();
        trouble.or_else(|| self.shared.keys.borrow().trouble.clone())
    }

    /// How many approved withdrawals of each chain were read and not begun.
    pub fn queued(&self) -> Vec<(Chain, usize)> {
        let length = |(chain, running): (&Chain, &Running)| (*chain, running.queue.length());
        self.chains.iter().map(length).collect()
    }

    /// Calls to the signer that are out.
    pub fn signer_calls(&self) -> u64 {
        let free = self.shared.signer_calls.available_permits();
        u64::try_from(self.shared.signer_calls_max.saturating_sub(free)).unwrap_or(u64::MAX)
    }

    /// Chains on which there is no lane at all.
    pub fn idle_chains(&self) -> Vec<Chain> {
        let lanes = self.lanes();
        let has_none = |chain: &&Chain| !lanes.iter().any(|lane| lane.id.chain == **chain);
        self.chains.keys().filter(has_none).copied().collect()
    }

    /// What is durable.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Whether it is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.shared.stop.borrow()
    }
}

#[async_trait]
impl crate::web::Engine for Handle {
    fn approved(&self, chain: Chain) {
        if let Some(running) = self.chains.get(&chain) {
            running.queue.approved();
        }
    }

    fn is_own(&self, address: &Address) -> bool {
        self.shared.keys.borrow().is_own(address)
    }

    fn epoch(&self) -> u64 {
        self.shared.keys.borrow().epoch
    }

    fn signer(&self) -> SignerReport {
        let detail = self.signer_trouble();
        SignerReport {
            reachable: detail.is_none(),
            detail,
        }
    }

    fn chains(&self) -> Vec<ChainReport> {
        self.chains
            .values()
            .map(|running| running.market.report())
            .collect()
    }

    async fn fee(
        &self,
        asset: &Asset,
        amount: Amount,
        destination: &Address,
    ) -> Result<FeeQuote, String> {
        let running = self
            .chains
            .get(&asset.chain)
            .ok_or_else(|| format!("nothing is paid on {}", asset.chain))?;
        let known = Arc::clone(&self.shared.keys.borrow());
        let payer = verdict::payer(asset.chain, &running.accounts, &known.keys);
        let market = &running.market;
        market.fee(asset, amount, destination, payer.as_ref()).await
    }

    async fn verdict(&self, payment: &Intent) -> Verdict {
        let asking = verdict::of(&self.shared, &self.chains, payment);
        let late = |_| Verdict::Unknown {
            detail: "the signer did not answer in time".into(),
        };
        let patience = tokio::time::timeout(verdict::PATIENCE, asking);
        patience.await.unwrap_or_else(late)
    }
}
