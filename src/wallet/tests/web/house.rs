//! The real API over real TLS, on a real store, without lanes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use api::{
    client::{Protocol, Settings, wallet::Client as Asking},
    problem::Problem,
    server::{Bounds, Files, Tls},
    wallet::{ChainReport, SignerReport},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};
use tx::{Address, Amount, Asset, Chain, Intent, Name, Time};
use wallet::{
    ledger::Account,
    limit::DailyLimit,
    signer::Verdict,
    store::{Credit, Options, SqliteStore, Store},
    web::{App, Client, Engine, FeeQuote, Grant, Web},
};

use super::{
    pki::{Issued, Pki},
    raw::{self, Answer},
};

/// 2026-11-20T12:00:00Z.
const NOW_MILLIS: u64 = 1_795_176_000_000;
/// An address of nobody's here.
pub const DESTINATION: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
/// The same of Litecoin's private network.
pub const COINS: &str = "rltc1qw508d6qejxtdg4y5r3zarvary0c5xw7k693xs3";
/// The hot wallet's.
pub const OWN: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// A token's contract.
pub const TOKEN: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
/// The asset of most tests.
pub const ETHER: &str = "eip155:31337/native";
/// The other family's.
pub const LITECOIN: &str = "litecoin:regtest/native";

/// A coordinator's API.
pub struct House {
    pub address: SocketAddr,
    pub store: Arc<SqliteStore>,
    pub engine: Arc<Notes>,
    pub web: Arc<Web>,
    pub pki: Pki,
    pub folder: TempDir,
    millis: Arc<AtomicU64>,
    server: (std::path::PathBuf, std::path::PathBuf),
    _stop: watch::Sender<bool>,
}

/// Who pays: here nobody, but it takes notes.
#[derive(Debug)]
pub struct Notes {
    pub approved: Mutex<Vec<Chain>>,
    /// What the signer was asked about.
    pub judged: Mutex<Vec<Intent>>,
    /// What it says.
    pub verdict: Mutex<Verdict>,
    /// Its epoch.
    pub epoch: Mutex<u64>,
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            approved: Mutex::default(),
            judged: Mutex::default(),
            verdict: Mutex::new(Verdict::Allowed),
            epoch: Mutex::new(1),
        }
    }
}

#[async_trait]
impl Engine for Notes {
    fn approved(&self, chain: Chain) {
        self.approved.lock().unwrap().push(chain);
    }

    fn is_own(&self, address: &Address) -> bool {
        address.to_string() == OWN
    }

    fn signer(&self) -> SignerReport {
        SignerReport {
            reachable: true,
            detail: None,
        }
    }

    fn chains(&self) -> Vec<ChainReport> {
        vec![ChainReport {
            chain: Chain::Evm(31337),
            height: Some(100),
            finalized: Some(90),
            detail: None,
        }]
    }

    fn epoch(&self) -> u64 {
        *self.epoch.lock().unwrap()
    }

    async fn fee(&self, asset: &Asset, _: Amount, _: &Address) -> Result<FeeQuote, String> {
        match asset.chain {
            Chain::Evm(_) => Ok(FeeQuote {
                fee: Amount::from(21_000u64),
                max_fee: Amount::from(42_000u64),
            }),
            _ => Err("no node answers".into()),
        }
    }

    async fn verdict(&self, payment: &Intent) -> Verdict {
        self.judged.lock().unwrap().push(payment.clone());
        self.verdict.lock().unwrap().clone()
    }
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn asset(text: &str) -> Asset {
    text.parse().unwrap()
}

/// The clients: what each is called, its source and its grants.
fn clients() -> impl Iterator<Item = (Name, Client)> {
    use Grant::{Credit, Decide, Read, Withdraw};
    let clients: [(&str, &str, &[Grant]); 4] = [
        ("exchange", "payouts", &[Withdraw, Read]),
        ("shop", "shop", &[Withdraw, Read]),
        ("officer", "desk", &[Read, Decide]),
        ("teller", "teller", &[Credit]),
    ];
    clients.into_iter().map(|(called, source, grants)| {
        let client = Client {
            uri: uri(called),
            source: name(source),
            grants: grants.iter().copied().collect(),
        };
        (name(called), client)
    })
}

fn uri(client: &str) -> String {
    format!("strongroom://client/{client}")
}

impl House {
    /// One in which ann has 1,000 wei, and no more than 600 a day leave without a person, 500 of one
    /// customer's.
    pub async fn new() -> Self {
        Self::on(Options::default()).await
    }

    /// One whose store does not wait long for others.
    pub async fn impatient() -> Self {
        Self::on(Options {
            busy_millis: 200,
            ..Options::default()
        })
        .await
    }

    async fn on(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("walletd.db");
        let store = SqliteStore::open_with(&path, &options).await;
        let house = Self::with(folder, store.unwrap()).await;
        let limit = |what: &str| DailyLimit {
            asset: asset(what),
            total: Amount::from(600u64),
            customer: Amount::from(500u64),
        };
        let limits = [limit(ETHER), limit(LITECOIN)];
        house.store.set_limits(&limits, house.now()).await.unwrap();
        for (id, what) in [("first", ETHER), ("second", LITECOIN)] {
            house.give(id, "ann", what, 1000).await;
        }
        house
    }

    async fn with(folder: TempDir, store: SqliteStore) -> Self {
        let pki = Pki::found(folder.path());
        let server = pki.server();
        let (store, engine) = (Arc::new(store), Arc::new(Notes::default()));
        let millis = Arc::new(AtomicU64::new(NOW_MILLIS));
        let clock = Arc::clone(&millis);
        let app = App {
            store: Arc::clone(&store) as Arc<dyn Store>,
            engine: Arc::clone(&engine) as Arc<dyn Engine>,
            clients: clients().collect(),
            chains: [ETHER, LITECOIN].map(|it| asset(it).chain).into(),
            clock: Arc::new(move || Time::from_millis(clock.load(Ordering::SeqCst))),
        };
        let bounds = Bounds {
            requests_per_second: 10_000,
            ..Bounds::default()
        };
        let web = Web::new(app, tls(&pki, &server, 1), bounds);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Arc::clone(&web).serve(listener, stopped));
        Self {
            address,
            store,
            engine,
            web,
            pki,
            folder,
            millis,
            server,
            _stop: stop,
        }
    }

    /// The time in the house.
    pub fn now(&self) -> Time {
        Time::from_millis(self.millis.load(Ordering::SeqCst))
    }

    /// Lets time pass.
    pub fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Reads certificates and revocation lists again.
    pub fn reload(&self) {
        let generation = self.web.tls_generation() + 1;
        self.web.set_tls(tls(&self.pki, &self.server, generation));
    }

    /// Books a deposit.
    pub async fn give(&self, id: &str, account: &str, what: &str, amount: u64) {
        let credit = Credit {
            id: id.parse().unwrap(),
            client: name("teller"),
            account: Account::Customer(name(account)),
            asset: asset(what),
            amount: Amount::from(amount),
            memo: "for a test".into(),
        };
        assert!(self.store.credit(&credit, self.now()).await.unwrap());
    }

    /// The certificate of a client of the configuration.
    pub fn certificate(&self, client: &str) -> Issued {
        self.pki.client(&uri(client), serial(client))
    }

    /// A typed client.
    pub fn asking(&self, client: &str) -> Asking {
        let Issued { certificate, key } = self.certificate(client);
        let root = self.pki.root();
        let settings = Settings {
            server: &self.address.to_string(),
            server_name: None,
            roots: root.as_bytes(),
            certificate: certificate.as_bytes(),
            key: key.as_bytes(),
            protocol: Protocol::Http2,
            timeout: Duration::from_secs(30),
        };
        Asking::new(&settings).unwrap()
    }

    /// Sends JSON as it is written, and returns status and answer.
    pub async fn post(&self, client: &str, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json")];
        let body = body.as_bytes().to_vec();
        self.send(client, ("POST", path), &headers, body).await
    }

    /// Asks for a path.
    pub async fn get(&self, client: &str, path: &str) -> Answer {
        self.send(client, ("GET", path), &[], Vec::new()).await
    }

    /// Sends whatever is wanted.
    pub async fn send(
        &self,
        client: &str,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let issued = self.certificate(client);
        let mut connection = raw::connect(self.address, &self.pki.root(), Some(&issued))
            .await
            .unwrap();
        connection.ask(method, path, headers, body).await.unwrap()
    }

    /// Asserts that a withdrawal of these fields is refused so, and that nothing was written.
    pub async fn refuses(&self, changed: Value, kind: &str, status: u16, field: Option<&str>) {
        let body = order("w-1", changed.clone()).to_string();
        let problem = self.post("exchange", "/v1/withdrawals", &body).await;
        problem.is(kind, status);
        assert_eq!(problem.problem().field.as_deref(), field, "{changed}");
        assert_eq!(self.accepted().await, 0, "{changed} was accepted");
    }

    /// What ann has free and frozen of an asset.
    pub async fn anns(&self, what: &str) -> (u64, u64) {
        let account = self.asking("exchange").account(&name("ann")).await.unwrap();
        let mut balances = account.balances.into_iter();
        let balance = balances.find(|it| it.asset == asset(what)).unwrap();
        let small = |amount: Amount| amount.to_u64().unwrap();
        (small(balance.available), small(balance.held))
    }

    /// How many withdrawals there are.
    pub async fn accepted(&self) -> u64 {
        let counts = self.store.counts().await.unwrap();
        counts.into_iter().map(|(_, _, count)| count).sum()
    }

    /// The epoch of a withdrawal of the exchange.
    pub async fn epoch_of(&self, id: &str) -> u64 {
        let id = tx::IntentId {
            source: name("payouts"),
            id: id.parse().unwrap(),
        };
        let stored = self.store.withdrawal(&id).await.unwrap();
        stored.unwrap().intent.epoch
    }
}

fn serial(client: &str) -> u64 {
    let place = clients().position(|(called, _)| called.as_str() == client);
    place.map_or(99, |place| place as u64 + 10)
}

fn tls(pki: &Pki, server: &(std::path::PathBuf, std::path::PathBuf), generation: u64) -> Tls {
    let files = Files {
        certificate: &server.0,
        key: &server.1,
        crls: &[pki.list()],
    };
    Tls::load(files, &[pki.root()], generation).unwrap()
}

/// A withdrawal of 100 wei that can be paid, with other values in these fields; `null` leaves one out.
pub fn order(id: &str, changed: Value) -> Value {
    let mut order = json!({
        "id": id, "account": "ann", "asset": ETHER, "amount": "100", "destination": DESTINATION,
        "max_fee": "1000000", "expires": "2026-11-21T12:00:00Z",
    });
    for (key, value) in changed.as_object().unwrap() {
        match value {
            Value::Null => drop(order.as_object_mut().unwrap().remove(key)),
            value => order[key] = value.clone(),
        }
    }
    order
}

impl Answer {
    /// The problem that it is.
    pub fn problem(&self) -> Problem {
        assert_eq!(self.media_type, "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.kind.status(), self.status);
        problem
    }

    /// Asserts that it is a problem of this kind and status.
    pub fn is(&self, kind: &str, status: u16) {
        let problem = self.problem();
        let uri = problem.kind.uri();
        let told = uri.trim_start_matches("urn:strongroom:problem:");
        assert_eq!((told, self.status), (kind, status), "{}", problem.detail);
        assert!(!problem.detail.is_empty());
    }

    /// The JSON of a success.
    pub fn json(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.media_type, "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }
}
