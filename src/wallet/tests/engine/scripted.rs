//! Lanes that do what a test says, and a whole engine around them.

use std::{sync::Arc, time::Duration};

use api::{
    signing::{Key, SignAnswer, SignRequest},
    wallet::ChainReport,
};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tx::{Address, Amount, Asset, Chain, Time};
use wallet::{
    engine::{Engine, Family, Market, Owner, Settings},
    lane::{Effect, Event, Lane, LaneId, LaneRow, LaneView, Observer, SendOutcome, Sender},
    web::FeeQuote,
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

use super::{
    memory::Memory,
    signer::{Scripted, key},
};

/// The addresses of the test's lanes.
pub const ADDRESSES: [&str; 2] = [
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
];

/// What a lane of a test wants done after an event.
pub type Plan = dyn Fn(&Event<()>, &LaneView) -> Vec<Effect<()>> + Send + Sync;

/// A lane that follows a plan, and tells the test what it heard.
pub struct Planned {
    view: LaneView,
    plan: Arc<Plan>,
    heard: mpsc::UnboundedSender<(LaneId, Event<()>)>,
}

impl Lane for Planned {
    type Question = ();
    type Answer = ();

    fn view(&self) -> &LaneView {
        &self.view
    }

    fn handle(&mut self, event: Event<()>, _: Time) -> Vec<Effect<()>> {
        let effects = (self.plan)(&event, &self.view);
        // A test that has ended hears nothing.
        let _ended = self.heard.send((self.view.row.id.clone(), event));
        effects
    }
}

/// Nodes that take everything.
pub struct Nodes;

#[async_trait]
impl Observer for Nodes {
    type Question = ();
    type Answer = ();

    async fn ask(&self, (): ()) {}

    async fn send(&self, _: &SignAnswer) -> SendOutcome {
        SendOutcome::Taken
    }
}

/// The family of planned lanes.
struct Plans {
    plan: Arc<Plan>,
    heard: mpsc::UnboundedSender<(LaneId, Event<()>)>,
}

#[async_trait]
impl Market for Plans {
    fn report(&self) -> ChainReport {
        ChainReport {
            chain: chain(),
            height: None,
            finalized: None,
            detail: None,
        }
    }

    async fn fee(
        &self,
        _: &Asset,
        _: Amount,
        _: &Address,
        _: Option<&Address>,
    ) -> Result<FeeQuote, String> {
        Err("the test knows no fee".into())
    }

    fn trial(&self, _: &LaneRow, _: &[Key], _: &Withdrawal) -> Result<SignRequest, String> {
        Err("the test knows no transaction".into())
    }
}

impl Family for Plans {
    type Lane = Planned;
    type Observer = Nodes;

    fn lane(&self, view: LaneView, _: &[Key]) -> Result<Planned, String> {
        Ok(Planned {
            view,
            plan: Arc::clone(&self.plan),
            heard: self.heard.clone(),
        })
    }

    fn observer(&self, _: &LaneRow) -> Result<Arc<Nodes>, String> {
        Ok(Arc::new(Nodes))
    }

    fn hand_max(&self) -> usize {
        3
    }
}

/// An engine of a test.
pub struct Bench {
    pub store: Arc<Memory>,
    pub signer: Arc<Scripted>,
    pub engine: Engine,
    pub heard: mpsc::UnboundedReceiver<(LaneId, Event<()>)>,
    pub folder: tempfile::TempDir,
}

/// The chain of the test's lanes.
pub fn chain() -> Chain {
    "eip155:31337".parse().unwrap()
}

/// One of the test's lanes.
pub fn lane(place: usize) -> LaneId {
    LaneId {
        chain: chain(),
        sender: Sender::Address(Address::parse(chain(), ADDRESSES[place]).unwrap()),
    }
}

/// A signer with keys for so many lanes.
pub fn signer(lanes: usize) -> Scripted {
    let keys = ADDRESSES[..lanes].iter().enumerate();
    let keys = keys.map(|(place, address)| {
        let mut key = key("eth-hot", "eip155:31337", address);
        key.name = format!("eth-hot-{place}").parse().unwrap();
        key
    });
    Scripted::new(Some(keys.collect()))
}

impl Bench {
    /// An engine that runs lanes by this plan.
    pub fn new(
        store: Arc<Memory>,
        signer: Scripted,
        plan: impl Fn(&Event<()>, &LaneView) -> Vec<Effect<()>> + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signer = Arc::new(signer);
        let (sender, heard) = mpsc::unbounded_channel();
        let mut engine = Engine::new(Settings {
            store: Arc::clone(&store) as _,
            signer: Arc::clone(&signer) as _,
            owner: Owner::of(folder.path()).unwrap(),
            lease: Duration::from_secs(9),
            signer_calls: 4,
            node_calls: 4,
            keys_file: Some(folder.path().join("keys.json")),
            metrics: Arc::default(),
        });
        let plans = Plans {
            plan: Arc::new(plan),
            heard: sender,
        };
        engine.add(chain(), vec!["eth-hot".parse().unwrap()], Arc::new(plans));
        Self {
            store,
            signer,
            engine,
            heard,
            folder,
        }
    }

    /// The next event that a lane hears and that is one of these.
    pub async fn hears(&mut self, is_one: impl Fn(&Event<()>) -> bool) -> (LaneId, Event<()>) {
        loop {
            let (lane, event) = self.heard.recv().await.expect("a lane is running");
            if is_one(&event) {
                return (lane, event);
            }
        }
    }
}

/// An approved withdrawal.
pub fn withdrawal(number: u64) -> Withdrawal {
    let intent = serde_json::json!({
        "source": "payouts",
        "id": format!("w-{number}"),
        "epoch": 1,
        "asset": "eip155:31337/native",
        "amount": "5",
        "destination": ADDRESSES[0],
        "max_fee": "1000000",
        "expires": "2030-01-01T00:00:00Z",
    });
    Withdrawal {
        number: WithdrawalNumber(number),
        client: "exchange".parse().unwrap(),
        account: "customer/ann".parse().unwrap(),
        intent: serde_json::from_value(intent).unwrap(),
        stage: Stage::Approved,
        waiting: None,
        not_before: Time::default(),
        lane: None,
        requested_at: Time::default(),
        changed_at: Time::default(),
    }
}
