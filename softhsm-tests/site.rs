//! A whole site in a folder that goes away: the signer, the coordinator and its nodes.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use api::wallet::{Explanation, Stage, StatusAnswer, Withdrawal};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::{
    address,
    http::Answer,
    program::{Running, binary, until, until_within},
    signerd::ask_health,
    tls::Connection,
    world::World,
};

/// The customer whose money the tests withdraw.
pub const CUSTOMER: &str = "ann";

/// The coordinator's side of a world: its folder, addresses, certificates and configuration.
#[derive(Debug)]
pub struct Site {
    /// The signer's side.
    pub world: World,
    api: SocketAddr,
    health: SocketAddr,
}

/// A coordinator that runs; killed when dropped.
#[derive(Debug)]
pub struct Walletd {
    process: Running,
    health: SocketAddr,
}

/// A chain as the coordinator's configuration has it.
#[derive(Clone, Debug)]
pub struct ChainText(String);

impl ChainText {
    /// anvil's chain, by these nodes, with what stands in the table of the family.
    pub fn evm(nodes: &[&str], family: &str) -> Self {
        let assets = [
            "eip155:31337/native",
            "eip155:31337/erc20:0x5FbDB2315678afecb367f032d93F642f64180aa3",
        ];
        let family = format!("[chain.evm]\n{family}\n");
        Self::new(
            "eip155:31337",
            nodes,
            "eth-hot",
            &(family + &limits(&assets)),
        )
    }

    /// litecoind's chain, by these nodes, with what stands in the table of the family.
    pub fn litecoin(nodes: &[&str], family: &str) -> Self {
        let family = format!("[chain.utxo]\n{family}\n");
        let limits = limits(&["litecoin:regtest/native"]);
        Self::new("litecoin:regtest", nodes, "coin-hot", &(family + &limits))
    }

    fn new(chain: &str, nodes: &[&str], account: &str, family: &str) -> Self {
        Self(format!(
            "[[chain]]\nchain = {chain:?}\nnodes = [{}]\naccounts = [{account:?}]\n{family}",
            nodes.join(", ")
        ))
    }
}

/// A node without a password.
pub fn open_node(url: &str) -> String {
    format!("{{ url = {url:?}, timeout_secs = 5 }}")
}

impl Site {
    /// A site on this world.
    ///
    /// # Panics
    /// When certificates cannot be made.
    pub fn new(world: World) -> Self {
        let api = address::free();
        world.pki.server_named("walletd-server", api.ip());
        world.pki.client("exchange");
        world.pki.client("officer");
        Self {
            world,
            api,
            health: address::free(),
        }
    }

    /// Writes the configuration with these chains.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, chains: &[ChainText]) {
        // Tests ask again and again how far a withdrawal is.
        self.configure_with(chains, "[bounds]\nrequests_per_second = 100000\n");
    }

    /// Writes the configuration with these chains and further tables at its end.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure_with(&self, chains: &[ChainText], more: &str) {
        let pki = &self.world.pki;
        let (certificate, key) = pki.files("walletd-server");
        let (own_certificate, own_key) = pki.files("walletd");
        let chains: String = chains.iter().map(|chain| chain.0.as_str()).collect();
        let text = format!(
            "data = {data:?}\n\
             [api]\nlisten = \"{api}\"\ncertificate = {certificate:?}\nkey = {key:?}\n\
             roots = [{authority:?}]\ncrls = [{list:?}]\n\
             [health]\nlisten = \"{health}\"\n\
             [signer]\nconnect = \"{signer}\"\nca = {authority:?}\n\
             certificate = {own_certificate:?}\nkey = {own_key:?}\n\
             [lanes]\nlease_secs = 5\n\
             [[client]]\nname = \"exchange\"\nuri = \"urn:strongroom:client:exchange\"\n\
             source = \"payouts\"\ngrants = [\"withdraw\", \"read\"]\n\
             [[client]]\nname = \"officer\"\nuri = \"urn:strongroom:client:officer\"\n\
             source = \"payouts\"\ngrants = [\"read\", \"decide\", \"credit\"]\n\
             {chains}{more}",
            data = self.data(),
            api = self.api,
            authority = pki.authority(),
            list = pki.list(),
            health = self.health,
            signer = self.world.api(),
        );
        std::fs::create_dir_all(self.data()).expect("the data folder");
        std::fs::write(self.config(), text).expect("the configuration");
    }

    /// A second coordinator on the same database, with listeners of its own.
    ///
    /// # Panics
    /// When its configuration cannot be written.
    pub fn beside(&self) -> Beside<'_> {
        let beside = Beside {
            site: self,
            api: SocketAddr::new(self.api.ip(), address::free().port()),
            health: address::free(),
        };
        let text = std::fs::read_to_string(self.config()).expect("the configuration");
        let text = text
            .replace(&self.api.to_string(), &beside.api.to_string())
            .replace(&self.health.to_string(), &beside.health.to_string());
        std::fs::write(beside.config(), text).expect("the configuration");
        beside
    }

    /// Copies the data folder of a coordinator that does not run.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn backup(&self) -> PathBuf {
        let to = self.world.folder().join("backup");
        copy_files(&self.data(), &to);
        to
    }

    /// Puts a copy in the place of the data folder of a coordinator that does not run.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn restore(&self, backup: &Path) {
        std::fs::remove_dir_all(self.data()).expect("the data folder");
        copy_files(backup, &self.data());
    }

    /// Starts the coordinator, and waits until it would pay.
    pub fn start(&self) -> Walletd {
        self.launch(&[]).ready()
    }

    /// Starts the coordinator, does something while it is ready, and stops it.
    ///
    /// # Panics
    /// When it does not stop by itself.
    pub fn start_and(&self, act: impl FnOnce()) {
        let walletd = self.start();
        act();
        let status = walletd.stop();
        assert!(status.success(), "walletd ended with {status}");
    }

    /// Starts the coordinator with these variables, and waits for nothing.
    pub fn launch(&self, variables: &[(&str, &str)]) -> Walletd {
        Walletd::launch(&self.config(), self.health, variables)
    }

    /// The coordinator's configuration file.
    pub fn config(&self) -> PathBuf {
        self.world.folder().join("walletd.toml")
    }

    /// The coordinator's data folder.
    pub fn data(&self) -> PathBuf {
        self.world.folder().join("walletd-data")
    }

    /// A client of the coordinator with the certificate of this name.
    pub fn client(&self, name: &str) -> Teller {
        Teller {
            api: self.api,
            config: self.world.pki.config(name),
        }
    }
}

/// Daily limits that no test reaches by chance.
fn limits(assets: &[&str]) -> String {
    let limit = |asset: &&str| {
        let cap = "1000000000000000000000000";
        format!("[[limit]]\nasset = {asset:?}\ntotal = {cap:?}\ncustomer = {cap:?}\n")
    };
    assets.iter().map(limit).collect()
}

/// A second coordinator on a site's database.
#[derive(Debug)]
pub struct Beside<'a> {
    site: &'a Site,
    api: SocketAddr,
    health: SocketAddr,
}

impl Beside<'_> {
    /// Starts it, and waits until it would pay.
    pub fn start(&self) -> Walletd {
        Walletd::launch(&self.config(), self.health, &[]).ready()
    }

    /// A client of it with the certificate of this name.
    pub fn client(&self, name: &str) -> Teller {
        Teller {
            api: self.api,
            config: self.site.world.pki.config(name),
        }
    }

    fn config(&self) -> PathBuf {
        self.site.world.folder().join("beside.toml")
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

impl Walletd {
    fn launch(config: &Path, health: SocketAddr, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary("walletd"));
        command
            .arg("--config")
            .arg(config)
            .envs(variables.iter().copied());
        Self {
            process: Running::start(&mut command, &config.with_extension("log")),
            health,
        }
    }

    /// Waits until it would pay.
    ///
    /// # Panics
    /// When it ends instead.
    pub fn ready(mut self) -> Self {
        let health = self.health;
        until("a coordinator that is ready", || {
            if let Some(status) = self.process.ended() {
                panic!("walletd ended with {status}: {}", self.process.said());
            }
            matches!(ask_health(health, "/readyz"), Some((200, _))).then_some(())
        });
        self
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// What `/readyz` says.
    pub fn readiness(&self) -> Option<(u16, String)> {
        ask_health(self.health, "/readyz")
    }

    /// What `/metrics` says.
    pub fn metrics(&self) -> String {
        ask_health(self.health, "/metrics").map_or_else(String::new, |(_, text)| text)
    }

    /// What it has logged.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Stops it as systemd does.
    pub fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

/// Speaks to the coordinator, each time on a new connection: it may have been killed since.
#[derive(Clone, Debug)]
pub struct Teller {
    api: SocketAddr,
    config: std::sync::Arc<rustls::ClientConfig>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Its id.
    pub id: &'a str,
    /// What.
    pub asset: &'a str,
    /// How much, in base units.
    pub amount: u128,
    /// To whom.
    pub to: &'a str,
}

impl Order<'_> {
    /// As the API reads it; the same order is the same bytes.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id, "account": CUSTOMER, "asset": self.asset,
            "amount": self.amount.to_string(), "destination": self.to,
            "max_fee": "5000000000000000", "expires": "2090-01-01T00:00:00Z",
        })
    }
}

impl Teller {
    /// Sends a request; `None` when no answer came, which proves nothing.
    pub fn try_ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        let body = body.map(Value::to_string);
        let request = crate::http::request(method, path, body.as_deref().map(str::as_bytes));
        let mut connection = Connection::open(self.api, &self.config).ok()?;
        connection.exchange(&request).ok()
    }

    /// Sends a request that must be answered.
    ///
    /// # Panics
    /// When it is not.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_ask(method, path, body)
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// A connection of its own.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connection(&self) -> Connection {
        Connection::open(self.api, &self.config).expect("the coordinator's API")
    }

    /// The coordinator's state, if it answers.
    pub fn try_status(&self) -> Option<StatusAnswer> {
        let answer = self.try_ask("GET", "/v1/status", None)?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Books a deposit by hand.
    ///
    /// # Panics
    /// When it is not booked.
    pub fn credit(&self, id: &str, asset: &str, amount: u128) {
        let body = json!({
            "id": id, "account": CUSTOMER, "asset": asset, "amount": amount.to_string(),
            "memo": "for the tests",
        });
        let answer = self.ask("POST", "/v1/credits", Some(&body));
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }

    /// Asks for a withdrawal, again and again until it is answered.
    ///
    /// # Panics
    /// When it is refused.
    pub fn withdraw(&self, order: &Order<'_>) -> Withdrawal {
        let answer = until("an answer about a withdrawal", || {
            self.try_ask("POST", "/v1/withdrawals", Some(&order.json()))
        });
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        answer.json()
    }

    /// A withdrawal as it stands.
    pub fn withdrawal(&self, id: &str) -> Option<Withdrawal> {
        let answer = self.try_ask("GET", &format!("/v1/withdrawals/{id}"), None)?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Everything about a withdrawal.
    pub fn explain(&self, id: &str) -> Explanation {
        self.ask("GET", &format!("/v1/withdrawals/{id}/explain"), None)
            .json()
    }

    /// Everything about a withdrawal, if the coordinator answers.
    pub fn try_explain(&self, id: &str) -> Option<Explanation> {
        let answer = self.try_ask("GET", &format!("/v1/withdrawals/{id}/explain"), None)?;
        (answer.status == 200).then(|| answer.json())
    }

    /// Waits for a stage.
    pub fn reaches(&self, id: &str, stage: Stage) -> Withdrawal {
        self.reaches_while(id, stage, || ())
    }

    /// Waits for a stage and does something between looks, such as mining blocks.
    pub fn reaches_while(&self, id: &str, stage: Stage, mut between: impl FnMut()) -> Withdrawal {
        let mut last = None;
        let patience = std::time::Duration::from_secs(60);
        until_within(patience, &format!("{id} {}", stage.name()), || {
            between();
            last = self.withdrawal(id).or(last.take());
            last.clone().filter(|found| found.stage == stage)
        })
    }
}
