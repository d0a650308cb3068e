//! Witnesses and their relay, as an operator runs them, and a signer whose policy names them.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use api::journal::LogStatus;
use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use rustix::process::Pid;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tlog::{
    checkpoint::SignedCheckpoint,
    cosignature::{Timestamp, WitnessKey},
    note::VerifierKey,
    witness::{AddCheckpoint, Answer, Decision, Log, decide},
};

use crate::{
    address,
    bundle::Bundle,
    http,
    program::{Running, binary, output, run, until},
    signerd::{Signerd, ask_health},
    world::{Client, World},
};

/// Who brings cosignatures in the tests.
pub const RELAY: &str = "relay";

/// A witness: its key, and the server when it runs.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
    key: WitnessKey,
    listen: SocketAddr,
    running: Option<Running>,
}

impl Witness {
    /// Makes its key in a new folder.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(folder: PathBuf, name: &str) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        let out = folder.join("key");
        let made = run(Command::new(binary("strongroom"))
            .args(["witness", "keygen", "--name", name, "--out"])
            .arg(&out));
        let key = String::from_utf8(made.stdout).expect("a key");
        Self {
            folder,
            key: key.trim().parse().expect("a key"),
            listen: address::free(),
            running: None,
        }
    }

    /// Its key.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Its private key, for those who would sign as it does.
    ///
    /// # Panics
    /// When the file is not as it should be.
    pub fn private(&self) -> SigningKey {
        let line = fs::read_to_string(self.folder.join("key")).expect("a key");
        let encoded = line.trim().splitn(5, '+').last().expect("a seed");
        let typed = Base64::decode_vec(encoded).expect("a seed");
        SigningKey::from_bytes(typed[1..].try_into().expect("a seed"))
    }

    /// Writes the configuration for these logs, with further text at its end.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, logs: &[VerifierKey], more: &str) {
        let mut text = format!(
            "listen = \"{}\"\nkey = \"key\"\ndata = \"data\"\n",
            self.listen
        );
        for key in logs {
            let origin = key.name().as_str();
            let key = key.to_string();
            text.push_str(&format!("[[log]]\norigin = {origin:?}\nkeys = [{key:?}]\n"));
        }
        text.push_str(more);
        fs::write(self.folder.join("witness.toml"), text).expect("the configuration");
    }

    /// Runs a subcommand with its configuration to the end.
    pub fn command(&self, name: &str) -> Output {
        output(
            Command::new(binary("strongroom"))
                .args(["--json", "witness", name, "--config"])
                .arg(self.folder.join("witness.toml")),
        )
    }

    /// Begins with the logs that it has no state of.
    ///
    /// # Panics
    /// When it refuses.
    pub fn begin(&self) {
        let done = self.command("init");
        assert!(done.status.success(), "{done:?}");
    }

    /// Starts the server and waits until it answers.
    pub fn start(&mut self) {
        let mut command = Command::new(binary("strongroom"));
        command
            .args(["witness", "serve", "--config"])
            .arg(self.folder.join("witness.toml"));
        let mut running = Running::start(&mut command, &self.folder.join("log"));
        until("a witness that answers", || {
            if let Some(status) = running.ended() {
                panic!("the witness ended with {status}: {}", running.said());
            }
            TcpStream::connect(self.listen).ok()
        });
        self.running = Some(running);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// The process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> Pid {
        self.running.as_ref().expect("a witness that runs").pid()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it listens.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The folder of what it keeps of a log.
    pub fn bodies(&self, log: &VerifierKey) -> PathBuf {
        let log = Sha256::digest(log.name().as_str());
        self.folder.join("bodies").join(format!("{log:x}"))
    }

    /// Which entries it keeps of a log, a chunk each: the first, and the one behind the last.
    ///
    /// # Panics
    /// When its index is none.
    pub fn kept(&self, log: &VerifierKey) -> Vec<(u64, u64)> {
        let index = fs::read_to_string(self.bodies(log).join("index")).unwrap_or_default();
        let range = |line: &str| {
            let (from, to) = line.split_once(' ')?.0.split_once('-')?;
            Some((from.parse().ok()?, to.parse().ok()?))
        };
        let lines = index.lines().map(|line| range(line).expect("a line"));
        lines.collect()
    }

    /// What it has said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// `POST /add-checkpoint`; `None` when there is no answer.
    pub fn add(&self, request: &AddCheckpoint) -> Option<Answer> {
        let answer = self.post(request.to_string().as_bytes())?;
        let content_type = answer.header("content-type").map(str::to_owned);
        Answer::read(answer.status, content_type.as_deref(), &answer.body).ok()
    }

    /// The same of any bytes.
    pub fn post(&self, body: &[u8]) -> Option<http::Answer> {
        let mut stream = TcpStream::connect(self.listen).ok()?;
        let request = http::request("POST", "/add-checkpoint", Some(body));
        http::exchange(&mut stream, &request).ok()
    }
}

/// What the owner of a witness's key answers to a checkpoint, whatever it has cosigned before.
///
/// # Panics
/// When no log of that key signed it.
pub fn cosign(witness: &Witness, log: &VerifierKey, signed: &SignedCheckpoint) -> String {
    let time = Timestamp::new(1_700_000_000).expect("a time");
    cosign_at(witness, log, signed, time)
}

/// The same, of a time of its own.
///
/// # Panics
/// As [`cosign`].
pub fn cosign_at(
    witness: &Witness,
    log: &VerifierKey,
    signed: &SignedCheckpoint,
    time: Timestamp,
) -> String {
    let log = Log {
        origin: signed.checkpoint().origin().clone(),
        keys: vec![log.clone()],
    };
    let request = AddCheckpoint::new(0, Vec::new(), signed).expect("a request");
    let Decision::Cosign(consistent) = decide(Some(&log), None, request) else {
        panic!("the log did not sign it");
    };
    let signature = witness.private().sign(&consistent.message(time)).to_bytes();
    let cosignature = consistent.cosign(witness.key(), time, &signature);
    cosignature.expect("its signature").line().to_string()
}

/// A signer whose policy names witnesses.
#[derive(Debug)]
pub struct Witnessed {
    /// The signer's world.
    pub world: World,
    /// The witnesses; they run once they were started.
    pub witnesses: Vec<Witness>,
    /// The log's key, once it is known.
    pub log_key: Option<VerifierKey>,
    /// Whether the witnesses keep bodies, and are reached by TLS.
    keeps: bool,
    _folder: TempDir,
}

/// How many bytes of the disk witnesses leave free, in the tests.
pub const FREE_BYTES: u64 = 4 << 20;
/// How long entries wait for those that fill their tile, in the tests.
const AFTER_SECS: u64 = 1;

impl Witnessed {
    /// The world of the tests, with so many witnesses in its bundle.
    pub fn new(witnesses: usize) -> Self {
        Self::with(witnesses, |edit| World::with(|bundle| edit(bundle)))
    }

    /// A world that is made with the bundle that names them.
    ///
    /// # Panics
    /// When any of it cannot be made.
    pub fn with(witnesses: usize, world: impl FnOnce(&dyn Fn(&mut Bundle)) -> World) -> Self {
        Self::named(witnesses, &[], world)
    }

    /// The world of the tests, with so many witnesses that keep what is encrypted to these auditors.
    ///
    /// # Panics
    /// When any of it cannot be made.
    pub fn keeping(witnesses: usize, auditors: &[String]) -> Self {
        let site = Self::named(witnesses, auditors, |edit| {
            World::with(|bundle| edit(bundle))
        });
        for witness in &site.witnesses {
            let pki = &site.world.pki;
            pki.server_named(witness.key.name().as_str(), witness.listen.ip());
        }
        Self {
            keeps: true,
            ..site
        }
    }

    fn named(
        witnesses: usize,
        auditors: &[String],
        world: impl FnOnce(&dyn Fn(&mut Bundle)) -> World,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let witnesses: Vec<Witness> = (1..=witnesses)
            .map(|number| {
                let name = format!("w{number}.example");
                Witness::new(folder.path().join(&name), &name)
            })
            .collect();
        let keys: Vec<String> = witnesses.iter().map(|one| one.key.to_string()).collect();
        let (verbs, auditors) = match auditors {
            [] => (r#"["journal", "witness"]"#, String::new()),
            named => (
                r#"["journal", "witness", "bodies"]"#,
                format!("auditors = {named:?}\n"),
            ),
        };
        let text = format!(
            "[[client]]\nname = {RELAY:?}\nuri = \"urn:strongroom:client:{RELAY}\"\n\
             verbs = {verbs}\n[witnesses]\nkeys = {keys:?}\n{auditors}"
        );
        let world = world(&|bundle| bundle.set("witnesses.toml", &text)).with_checkpoints();
        world.pki.client(RELAY);
        Self {
            world,
            witnesses,
            log_key: None,
            keeps: false,
            _folder: folder,
        }
    }

    /// Starts the daemon and waits until its log has a key. It releases nothing yet.
    pub fn launch(&mut self) -> Signerd {
        let daemon = self.world.launch();
        until_up(self.world.health());
        let mut client = until("the signing API", || self.try_client("walletd"));
        let key = until("a key of the log", || log(&mut client).log_key);
        self.log_key = Some(key.parse().expect("a key"));
        daemon
    }

    /// A client, once the daemon listens.
    pub fn try_client(&self, name: &str) -> Option<Client> {
        TcpStream::connect(self.world.api()).ok()?;
        Some(self.world.client(name))
    }

    /// Starts all witnesses, which have seen nothing yet.
    ///
    /// # Panics
    /// Before [`Self::launch`].
    pub fn start_witnesses(&mut self) {
        let key = self.log_key.clone().expect("a log");
        let tables: Vec<String> = self.witnesses.iter().map(|one| self.tables(one)).collect();
        for (witness, more) in self.witnesses.iter_mut().zip(tables) {
            witness.configure(std::slice::from_ref(&key), &more);
            witness.begin();
            witness.start();
        }
    }

    /// What a witness's configuration says of TLS and bodies.
    fn tables(&self, witness: &Witness) -> String {
        if !self.keeps {
            return String::new();
        }
        let pki = &self.world.pki;
        let (certificate, key) = pki.files(witness.key.name().as_str());
        format!(
            "[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nclient_roots = {roots:?}\n\
             [bodies]\nfolder = \"bodies\"\nrelays = [\"urn:strongroom:client:{RELAY}\"]\n\
             free_bytes = {FREE_BYTES}\n",
            roots = pki.authority(),
        )
    }

    /// Starts a relay between the daemon and the witnesses.
    pub fn relay(&self) -> Running {
        self.relay_of("relay", self.world.api())
    }

    /// Starts a relay of this name for the daemon at this address.
    ///
    /// # Panics
    /// Before [`Self::launch`].
    pub fn relay_of(&self, name: &str, daemon: SocketAddr) -> Running {
        let key = self.log_key.as_ref().expect("a log").to_string();
        let mut text = format!("log_key = {key:?}\nbodies_after_secs = {AFTER_SECS}\n");
        for witness in &self.witnesses {
            let (url, key) = (self.url(witness), witness.key.to_string());
            text.push_str(&format!("[[witness]]\nurl = {url:?}\nkey = {key:?}\n"));
            if self.keeps {
                let ca = self.world.pki.authority();
                text.push_str(&format!("ca = {ca:?}\nbodies = true\n"));
            }
        }
        let config = self.world.folder().join(format!("{name}.toml"));
        fs::write(&config, text).expect("the configuration");
        let (certificate, key) = self.world.pki.files(RELAY);
        let mut command = Command::new(binary("strongroom"));
        command
            .args(["witness", "relay", "--config"])
            .arg(&config)
            .args(["--connect", &daemon.to_string(), "--ca"])
            .arg(self.world.pki.authority())
            .arg("--certificate")
            .arg(certificate)
            .arg("--key")
            .arg(key);
        Running::start(&mut command, &config.with_extension("log"))
    }

    /// Where a witness is reached.
    pub fn url(&self, witness: &Witness) -> String {
        let scheme = if self.keeps { "https" } else { "http" };
        format!("{scheme}://{}", witness.listen)
    }

    /// Daemon, witnesses and relay, started and ready.
    pub fn start(&mut self) -> (Signerd, Running) {
        let daemon = self.launch();
        self.start_witnesses();
        let relay = self.relay();
        (daemon.ready(), relay)
    }
}

/// Waits until a daemon has its device, whether or not it may release anything.
pub fn until_up(health: SocketAddr) {
    until("a daemon with its device", || {
        let (status, text) = ask_health(health, "/readyz")?;
        let up = status == 200 || text.contains("unwitnessed") || text.contains("sealed");
        up.then_some(())
    });
}

/// How the log stands.
///
/// # Panics
/// When the daemon does not say.
pub fn log(client: &mut Client) -> LogStatus {
    client.keys().journal.expect("a log")
}
