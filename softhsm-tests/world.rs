//! All that a daemon needs, in a folder that goes away: a token with keys, certificates, a bundle,
//! a configuration.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use api::{
    problem::Problem,
    signing::{Key, KeysAnswer, LimitRoom, SignAnswer, SignRequest},
};
use policy::BundleHash;
use rustls::ClientConfig;
use tempfile::TempDir;
use tx::Chain;

use crate::{
    address,
    bundle::Bundle,
    http::Answer,
    keystore::{self, Keystore},
    module::Module,
    pki::Pki,
    program::binary,
    signerd::{Signerd, log_of, signerd},
    tls::Connection,
    token::{LABEL, Token},
};

/// The keys that the bundle of the tests names.
pub const KEYS: [&str; 5] = ["eth-1", "coin-1", "coin-2", "coin-3", "vault-1"];

/// The key that signs checkpoints, where there is one.
pub const CHECKPOINT_KEY: &str = "log-1";

/// The name of the device that is no replica.
pub const MAIN: &str = "main";

/// The name of the second token, where there is one.
pub const REPLICA: &str = "second";

/// A place for one daemon.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    /// The authority of server and clients.
    pub pki: Pki,
    /// The token.
    pub token: Token,
    keystore: Option<Keystore>,
    /// A second token that is to hold the same keys.
    replica: Option<Token>,
    /// The first bundle's files.
    pub bundle: Bundle,
    genesis: BundleHash,
    module: PathBuf,
    checkpoint_key: Option<&'static str>,
    api: SocketAddr,
    health: SocketAddr,
}

impl World {
    /// With the bundle of the tests.
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// With the bundle of the tests, changed.
    pub fn with(edit: impl FnOnce(&mut Bundle)) -> Self {
        Self::with_keys(&KEYS, |authority| {
            let mut bundle = Bundle::of_tests(authority);
            edit(&mut bundle);
            bundle
        })
    }

    /// With these keys and a bundle for clients of an authority.
    ///
    /// # Panics
    /// When any of it cannot be made.
    pub fn with_keys(keys: &[&str], bundle: impl FnOnce(&Path) -> Bundle) -> Self {
        Self::of(Module::SoftHsm, keys, bundle)
    }

    /// With these keys in a token of a module, and a bundle for clients of an authority.
    ///
    /// # Panics
    /// When any of it cannot be made.
    pub fn of(module: Module, keys: &[&str], bundle: impl FnOnce(&Path) -> Bundle) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("strongroom-")
            .tempdir()
            .expect("a folder");
        let token = Token::of(module, folder.path().join("token"), keys);
        let pki = Pki::found(folder.path().join("pki"), "test");
        let api = address::free();
        pki.server(api.ip());
        pki.client("walletd");
        let bundle = bundle(&pki.authority());
        let genesis = bundle.write(&folder.path().join("policy"), 1, &["ann", "ben"]);
        for name in ["faults", "books"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let world = Self {
            folder,
            pki,
            token,
            keystore: None,
            replica: None,
            bundle,
            genesis,
            module: module.path().into(),
            checkpoint_key: None,
            api,
            health: address::free(),
        };
        world.configure("");
        world
    }

    /// With the bundle of the tests and some of its keys in an encrypted keystore; the token has none.
    pub fn on_keystore(keys: &[&str]) -> Self {
        let mut world = Self::with_keys(&[], Bundle::of_tests);
        let folder = world.folder().join("keystore");
        world.keystore = Some(Keystore::init(folder, keys));
        world.configure("");
        world
    }

    /// The keystore.
    ///
    /// # Panics
    /// When the keys are on a token.
    pub fn keystore(&self) -> &Keystore {
        self.keystore.as_ref().expect("a world on a keystore")
    }

    /// `[device]`, up to where both kinds are the same.
    fn device(&self) -> String {
        let Some(keystore) = &self.keystore else {
            let mut writes = self.token.module().writes(&self.token.tokens());
            writes.push(self.faults(MAIN));
            let user = self.token.module().user();
            let user = user.map_or(String::new(), |user| format!("user = {user:?}\n"));
            return format!(
                "{user}module = {:?}\ntoken = \"{LABEL}\"\npin_file = {:?}\nprofile = {:?}\nwrites = {writes:?}",
                self.module,
                self.token.pin_file(),
                self.token.module().profile()
            );
        };
        format!(
            "keystore = {:?}\npin_file = {:?}\nprofile = {:?}",
            keystore.keys(),
            keystore.pin_file(),
            keystore::profile()
        )
    }

    /// `[[device.replica]]`, where there is one.
    fn replica_table(&self) -> String {
        let Some(replica) = &self.replica else {
            return String::new();
        };
        let (variable, file) = replica
            .configuration()
            .expect("a module with a configuration");
        format!(
            "[[device.replica]]\nname = \"{REPLICA}\"\npin_file = {:?}\n\
             environment = {{ {variable} = {file:?}, FAULT_FOLDER = {faults:?} }}\n\
             writes = [{faults:?}]\n",
            replica.pin_file(),
            faults = self.faults(REPLICA),
        )
    }

    /// With a copy of the token, with all its keys, from the next start.
    pub fn with_replica(self) -> Self {
        let copy = self.token.copy(self.folder().join("replica"));
        self.with_replica_token(copy)
    }

    /// With another token in the place of a copy.
    ///
    /// # Panics
    /// When its folder cannot be made.
    pub fn with_replica_token(mut self, token: Token) -> Self {
        self.replica = Some(token);
        std::fs::create_dir_all(self.faults(REPLICA)).expect("a folder");
        self.configure("");
        self
    }

    /// The second token.
    ///
    /// # Panics
    /// When there is none.
    pub fn replica(&self) -> &Token {
        self.replica.as_ref().expect("a world with a replica")
    }

    /// Where the module with faults of a device looks and leaves what it has to say: its key child writes there.
    pub fn faults(&self, device: &str) -> PathBuf {
        match device {
            REPLICA => self.folder().join("replica-faults"),
            _ => self.folder().join("faults"),
        }
    }

    /// [`World::set_fault`], of this device.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn set_fault_of(&self, device: &str, fault: &str) {
        let folder = self.faults(device);
        let prepared = folder.join("fault.new");
        std::fs::write(&prepared, fault).expect("the fault");
        std::fs::rename(prepared, folder.join("fault")).expect("the fault");
    }

    /// Whether a fault for one signature waits for it.
    pub fn has_fault(&self, device: &str) -> bool {
        self.faults(device).join("fault").exists()
    }

    /// Writes the configuration, with further text at its end: keys of `[device]`, then other tables.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, more: &str) {
        let (certificate, key) = self.pki.files("signerd");
        let text = format!(
            "data = {data:?}\npolicy = {policy:?}\nbooks = {books:?}\ngenesis = \"sha256:{genesis}\"\n\
             [api]\nlisten = \"{api}\"\ncertificate = {certificate:?}\nkey = {key:?}\n\
             crls = [{list:?}]\n[health]\nlisten = \"{health}\"\n\
             [device]\n{device}\nenvironment = {{ {configuration}FAULT_FOLDER = {faults:?} }}\n\
             {checkpoint_key}{more}\n{replica}",
            data = self.data(),
            policy = self.policy(),
            books = self.books(),
            genesis = self.genesis,
            api = self.api,
            list = self.pki.list(),
            health = self.health,
            device = self.device(),
            replica = self.replica_table(),
            faults = self.faults(MAIN),
            configuration = (self.token.configuration())
                .map(|(variable, file)| format!("{variable} = {file:?}, "))
                .unwrap_or_default(),
            checkpoint_key = self
                .checkpoint_key
                .map(|key| format!("checkpoint_key = {key:?}\n"))
                .unwrap_or_default(),
        );
        std::fs::write(self.config(), text).expect("the configuration");
    }

    /// With a key that signs the journal's checkpoints, from the next start.
    pub fn with_checkpoints(mut self) -> Self {
        match &self.keystore {
            Some(keystore) => keystore.generate_checkpoint_key(CHECKPOINT_KEY),
            None => self.token.generate_checkpoint_key(CHECKPOINT_KEY),
        }
        self.checkpoint_key = Some(CHECKPOINT_KEY);
        self.configure("");
        self
    }

    /// With keys of both algorithms for self-tests, from the next start.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn configure_self_tests(&self) {
        for (name, algorithm) in [("test-1", "secp256k1"), ("test-2", "ed25519")] {
            self.token.generate_test_key(name, algorithm);
        }
        self.configure("self_test_keys = [\"test-1\", \"test-2\"]");
    }

    /// Puts the module with faults in the place of SoftHSM's, for the next start.
    pub fn with_faults(mut self) -> Self {
        self.module = binary("libfault_shim.so");
        self.configure("");
        self
    }

    /// Lets the module with faults show this one: `once corrupt` for one signature, `corrupt` until
    /// there is another; `none` ends it. See `shim/lib.rs`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn set_fault(&self, fault: &str) {
        self.set_fault_of(MAIN, fault);
    }

    /// Lets the module with faults know the secrets of all keys, which are others than the token's: before
    /// the first start. With them it can be told to use `one-k`, or
    /// such as `top-8`.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn know_secrets(&self) {
        std::fs::write(self.faults(MAIN).join("known-secrets"), "").expect("a file");
    }

    /// How often the module with faults was asked to log in.
    pub fn logins(&self) -> usize {
        self.noted(MAIN, "logins")
    }

    /// How often that of the second token was.
    pub fn replica_logins(&self) -> usize {
        self.noted(REPLICA, "logins")
    }

    /// How many of those logins came back.
    pub fn logged_in(&self) -> usize {
        self.noted(MAIN, "logged-in")
    }

    /// What the module with faults has signed, in order.
    ///
    /// # Panics
    /// When its record is none.
    pub fn signed(&self) -> Vec<Vec<u8>> {
        self.signed_by(MAIN)
    }

    /// What that of this device has signed, in order.
    ///
    /// # Panics
    /// When its record is none.
    pub fn signed_by(&self, device: &str) -> Vec<Vec<u8>> {
        let lines = std::fs::read_to_string(self.faults(device).join("signed"));
        let lines = lines.unwrap_or_default();
        lines
            .lines()
            .map(|line| hex::decode(line.trim_end()).expect("hexadecimal"))
            .collect()
    }

    fn noted(&self, device: &str, name: &str) -> usize {
        let lines = std::fs::read_to_string(self.faults(device).join(name));
        lines.unwrap_or_default().lines().count()
    }

    /// Makes the journal.
    ///
    /// # Panics
    /// When the daemon refuses.
    pub fn bootstrap(&self) {
        let output = signerd(&self.config(), &["--bootstrap"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// Starts the daemon, for the first time or again, and waits until it is ready.
    pub fn start(&self) -> Signerd {
        self.launch().ready()
    }

    /// Starts the daemon, for the first time or again, and waits for nothing.
    pub fn launch(&self) -> Signerd {
        if !self.data().join("anchor").exists() {
            self.bootstrap();
        }
        self.relaunch()
    }

    /// Starts the daemon on whatever is there, and waits for nothing.
    pub fn relaunch(&self) -> Signerd {
        let config = self.config();
        let mut command = self.token.program(&binary("signerd"));
        command.arg("--config").arg(&config);
        Signerd::start_as(&mut command, self.health, &log_of(&config))
    }

    /// The folder of all this.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("signerd.toml")
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The bundle's folder.
    pub fn policy(&self) -> PathBuf {
        self.folder.path().join("policy")
    }

    /// The folder of books that are loaded apart from the bundle.
    pub fn books(&self) -> PathBuf {
        self.folder.path().join("books")
    }

    /// Where the API listens.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where health and metrics are.
    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// A client that says it is `walletd`, and may.
    pub fn walletd(&self) -> Client {
        self.client("walletd")
    }

    /// A client with the certificate of this name.
    pub fn client(&self, name: &str) -> Client {
        Client::new(self.api, self.pki.config(name))
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// A client of the signing API on one connection.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn new(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let connection = Connection::open(address, &config).expect("the signing API");
        Self {
            connection,
            address,
            config,
        }
    }

    /// Connects again, after a restart of the daemon.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn reconnect(&mut self) {
        self.connection = Connection::open(self.address, &self.config).expect("the signing API");
    }

    /// The connection itself.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// `POST` of whatever it is.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        self.connection.post(path, body).expect("an answer")
    }

    /// `GET`.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.connection.get(path).expect("an answer")
    }

    /// `POST /v1/sign`.
    pub fn send(&mut self, request: &SignRequest) -> Answer {
        self.post("/v1/sign", &json(request))
    }

    /// `POST /v1/sign` of what must be signed.
    ///
    /// # Panics
    /// When it is not.
    pub fn sign(&mut self, request: &SignRequest) -> SignAnswer {
        let answer = self.send(request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// `POST /v1/sign` of what must be answered with a problem.
    ///
    /// # Panics
    /// When it is not.
    pub fn refused(&mut self, request: &SignRequest) -> Problem {
        let answer = self.send(request);
        problem(&answer)
    }

    /// The keys the client may see.
    pub fn keys(&mut self) -> KeysAnswer {
        let answer = self.get("/v1/keys");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// One key.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn key(&mut self, name: &str) -> Key {
        let keys = self.keys().keys;
        let named = keys.into_iter().find(|key| key.name.as_str() == name);
        named.unwrap_or_else(|| panic!("no key {name}"))
    }

    /// The address of a key on a chain.
    pub fn address(&mut self, name: &str, chain: Chain) -> String {
        address_on(&self.key(name), chain)
    }

    /// A limit as it stands.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn limit(&mut self, name: &str) -> LimitRoom {
        let limits = self.keys().limits;
        let named = limits.into_iter().find(|room| room.limit == name);
        named.unwrap_or_else(|| panic!("no limit {name}"))
    }

    /// What a limit has used, in base units.
    pub fn used(&mut self, limit: &str) -> tx::Amount {
        self.limit(limit).used
    }
}

/// The address of a key on a chain.
///
/// # Panics
/// When it has none.
pub fn address_on(key: &Key, chain: Chain) -> String {
    let address = key.addresses.iter().find(|address| address.chain == chain);
    address
        .unwrap_or_else(|| panic!("no address of {} on {chain}", key.name))
        .address
        .clone()
}

/// The problem in an answer.
///
/// # Panics
/// When the answer is none, or its status is not the problem's.
pub fn problem(answer: &Answer) -> Problem {
    assert_eq!(
        answer.header("content-type"),
        Some(api::problem::MEDIA_TYPE),
        "{}",
        answer.text()
    );
    let problem: Problem = answer.json();
    assert_eq!(problem.status, answer.status);
    assert_eq!(problem.status, problem.kind.status());
    problem
}

/// The JSON of a request.
///
/// # Panics
/// Never in practice: every field has a JSON form.
pub fn json(request: &SignRequest) -> Vec<u8> {
    serde_json::to_vec(request).expect("JSON")
}
