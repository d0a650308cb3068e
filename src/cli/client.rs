//! How the commands reach a daemon: its address, the certificates, and a profile that holds them.

mod error;
mod profile;
mod wallet;

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::client::{Client, ClientError, Protocol, Settings, wallet as coordinator};
use api::governance::GovernanceAnswer;
use api::intents::IntentAnswer;
use api::journal::{BodiesAnswer, BundleAnswer, ConsistencyAnswer, ProofsAnswer, ProofsRequest};
use api::problem::ProblemKind;
use api::signing::{
    EvaluateAnswer, KeysAnswer, Receipt, RequestAnswer, SignAnswer, SignRequest, SignedIntent,
    Statement,
};
use api::transactions::{TransactionAnswer, TransactionRequest};
use clap::Args;
use tlog::tile::Resource;
use tokio::runtime::{Builder, Runtime};
use tx::IntentId;
use zeroize::Zeroizing;

pub use self::error::{SignerError, need_text, plain, reason_text};
use self::profile::Profile;
pub use self::wallet::{Wallet, WalletError};
use crate::files;

/// The largest PEM file that is read.
const PEM_MAX_BYTES: u64 = 1 << 20;

/// How long to wait before a busy signer is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(200);
/// How often it is.
const BUSY_MAX: usize = 50;

/// How to reach a daemon.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// A TOML file with connect, ca, certificate, key, and if needed server_name, health, log_key and
    /// timeout_secs [default: client.toml for a signer, wallet.toml for a coordinator, in
    /// ~/.config/strongroom, if there is one].
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Where the daemon listens.
    #[arg(long, value_name = "HOST:PORT")]
    connect: Option<String>,
    /// The certificate of the authority that certifies the daemon, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Your client certificate, PEM.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name in the daemon's certificate, where it is not the host.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// How long to wait for each answer [default: 30].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout_secs: Option<u64>,
}

/// A signer, and what is needed to ask it.
pub struct Signer {
    client: Client,
    runtime: Runtime,
    health: Option<String>,
}

/// A client's certificate, and its key.
pub struct Credentials {
    /// The chain, PEM.
    pub certificate: Vec<u8>,
    /// The private key, PEM.
    pub key: Zeroizing<Vec<u8>>,
}

impl PeerArgs {
    /// The signer, by profile, certificates and key. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SignerError::Profile`], [`SignerError::Missing`], [`SignerError::Settings`], and those of files.
    pub fn signer(&self) -> Result<Signer, SignerError> {
        let reach = self.reach("client.toml")?;
        Ok(Signer {
            client: Client::new(&reach.settings()).map_err(SignerError::Settings)?,
            runtime: runtime()?,
            health: reach.health,
        })
    }

    /// The signer again, for calls that share one connection.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn shared(&self) -> Result<Client, SignerError> {
        let reach = self.reach("client.toml")?;
        let settings = Settings {
            protocol: Protocol::Http2,
            ..reach.settings()
        };
        Client::new(&settings).map_err(SignerError::Settings)
    }

    /// The client's certificate, to be shown to others than the daemon.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn credentials(&self) -> Result<Credentials, SignerError> {
        let reach = self.reach("client.toml")?;
        Ok(Credentials {
            certificate: reach.certificate,
            key: reach.key,
        })
    }

    /// The same of a coordinator.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn wallet(&self) -> Result<Wallet, SignerError> {
        let reach = self.reach("wallet.toml")?;
        let client = coordinator::Client::new(&reach.settings()).map_err(SignerError::Settings)?;
        Ok(Wallet::new(client, runtime()?))
    }

    /// Both: whichever it is that listens.
    ///
    /// # Errors
    /// As [`Self::signer`].
    pub fn either(&self) -> Result<(Signer, Wallet), SignerError> {
        let reach = self.reach("client.toml")?;
        let wallet = coordinator::Client::new(&reach.settings()).map_err(SignerError::Settings)?;
        let signer = Signer {
            client: Client::new(&reach.settings()).map_err(SignerError::Settings)?,
            runtime: runtime()?,
            health: reach.health,
        };
        Ok((signer, Wallet::new(wallet, runtime()?)))
    }

    /// The key of the signer's log that the profile pins.
    ///
    /// # Errors
    /// [`SignerError::Profile`], and those of files.
    pub fn log_key(&self) -> Result<Option<String>, SignerError> {
        Self::log_key_in(self.profile.as_deref())
    }

    /// The same of a profile, where there is nobody to reach.
    ///
    /// # Errors
    /// As [`Self::log_key`].
    pub fn log_key_in(profile: Option<&Path>) -> Result<Option<String>, SignerError> {
        Ok(Profile::find(profile, "client.toml")?.log_key)
    }

    /// What the command line says, over the profile.
    fn reach(&self, usual: &str) -> Result<Reach, SignerError> {
        let profile = Profile::find(self.profile.as_deref(), usual)?;
        let missing = |option| SignerError::Missing { option };
        let said = |said: &Option<PathBuf>, told, option| {
            let path = said.clone().or(told).ok_or(missing(option))?;
            if option == "--key" {
                files::check_private(&path).map_err(SignerError::File)?;
            }
            files::read(&path, PEM_MAX_BYTES).map_err(SignerError::File)
        };
        let connect = self.connect.clone().or(profile.connect);
        let seconds = self.timeout_secs.or(profile.timeout_secs);
        Ok(Reach {
            connect: connect.ok_or(missing("--connect"))?,
            roots: said(&self.ca, profile.ca, "--ca")?,
            certificate: said(&self.certificate, profile.certificate, "--certificate")?,
            key: Zeroizing::new(said(&self.key, profile.key, "--key")?),
            server_name: self.server_name.clone().or(profile.server_name),
            health: profile.health,
            timeout: Duration::from_secs(seconds.unwrap_or(30)),
        })
    }
}

/// Everything that is needed to reach a daemon.
struct Reach {
    connect: String,
    roots: Vec<u8>,
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    server_name: Option<String>,
    health: Option<String>,
    timeout: Duration,
}

impl Reach {
    fn settings(&self) -> Settings<'_> {
        Settings {
            server: &self.connect,
            server_name: self.server_name.as_deref(),
            roots: &self.roots,
            certificate: &self.certificate,
            key: &self.key,
            protocol: Protocol::Http1,
            timeout: self.timeout,
        }
    }
}

/// The entry of what was taken, by the signer's receipt: none where nothing changed.
fn entry_of(receipt: Option<&Receipt>, said: &Statement) -> Result<Option<u64>, SignerError> {
    let entry = receipt.map(|receipt| receipt.verify_statement(said).map(|()| receipt.entry));
    entry.transpose().map_err(SignerError::Receipt)
}

impl Signer {
    /// Where health is told, if the profile says so.
    pub fn health(&self) -> Option<&str> {
        self.health.as_deref()
    }

    /// Has a request signed.
    ///
    /// # Errors
    /// [`SignerError::Sign`].
    pub fn sign(&self, request: &SignRequest) -> Result<SignAnswer, SignerError> {
        self.runtime
            .block_on(self.client.sign(request))
            .map_err(SignerError::Sign)
    }

    /// Asks what would be answered. Nothing is consumed.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn evaluate(&self, request: &SignRequest) -> Result<EvaluateAnswer, SignerError> {
        self.runtime
            .block_on(self.client.evaluate(request))
            .map_err(SignerError::Ask)
    }

    /// The keys of the client's accounts, and the room left.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn keys(&self) -> Result<KeysAnswer, SignerError> {
        self.runtime
            .block_on(self.client.keys())
            .map_err(SignerError::Ask)
    }

    /// Which bundle governs, and which one waits.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn governance(&self) -> Result<GovernanceAnswer, SignerError> {
        self.ask(|| self.client.governance())
    }

    /// Brings a statement of officers, and gives the entry that has it.
    ///
    /// # Errors
    /// [`SignerError::Ask`], [`SignerError::Receipt`].
    pub fn state(&self, statement: &Statement) -> Result<Option<u64>, SignerError> {
        let answer = self.ask(|| self.client.state(statement))?;
        entry_of(answer.receipt.as_ref(), statement)
    }

    /// Brings a statement of an attester, and gives the entry that has it: none where it was said before.
    ///
    /// # Errors
    /// [`SignerError::Ask`], [`SignerError::Receipt`].
    pub fn attest(&self, statement: &Statement) -> Result<Option<u64>, SignerError> {
        let answer = self.ask(|| self.client.attest(statement))?;
        entry_of(answer.receipt.as_ref(), statement)
    }

    /// Registers an intent for people to approve.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn register(&self, intent: &SignedIntent) -> Result<IntentAnswer, SignerError> {
        self.ask(|| self.client.register(intent))
    }

    /// Registers a transaction that pays no intent for people to approve.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn register_transaction(
        &self,
        request: &TransactionRequest,
    ) -> Result<TransactionAnswer, SignerError> {
        self.ask(|| self.client.register_transaction(request))
    }

    /// How an intent stands that people are to approve.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn intent(&self, id: &IntentId) -> Result<IntentAnswer, SignerError> {
        self.ask(|| self.client.intent(id))
    }

    /// Brings what a person said of an intent.
    ///
    /// # Errors
    /// [`SignerError::Ask`], [`SignerError::Receipt`].
    pub fn approve(
        &self,
        id: &IntentId,
        statement: &Statement,
    ) -> Result<IntentAnswer, SignerError> {
        let answer = self.ask(|| self.client.approve(id, statement))?;
        entry_of(answer.receipt.as_ref(), statement)?;
        Ok(answer)
    }

    /// How a transaction stands that people are to approve.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn transaction(&self, entry: u64) -> Result<TransactionAnswer, SignerError> {
        self.ask(|| self.client.transaction(entry))
    }

    /// Brings what a person said of a transaction.
    ///
    /// # Errors
    /// [`SignerError::Ask`], [`SignerError::Receipt`].
    pub fn approve_transaction(
        &self,
        entry: u64,
        statement: &Statement,
    ) -> Result<TransactionAnswer, SignerError> {
        let answer = self.ask(|| self.client.approve_transaction(entry, statement))?;
        entry_of(answer.receipt.as_ref(), statement)?;
        Ok(answer)
    }

    /// What became of a request.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn request(&self, id: &str) -> Result<RequestAnswer, SignerError> {
        self.ask(|| self.client.request(id))
    }

    /// The newest checkpoint, or one that covers an entry.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn checkpoint(&self, covers: Option<u64>) -> Result<String, SignerError> {
        self.ask(|| self.client.checkpoint(covers))
    }

    /// Proofs of inclusion.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn proofs(&self, request: &ProofsRequest) -> Result<ProofsAnswer, SignerError> {
        self.ask(|| self.client.proofs(request))
    }

    /// A proof of consistency.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn consistency(&self, from: u64, to: u64) -> Result<ConsistencyAnswer, SignerError> {
        self.ask(|| self.client.consistency(from, to))
    }

    /// Entries of the journal.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn bodies(&self, from: u64, count: usize) -> Result<BodiesAnswer, SignerError> {
        self.ask(|| self.client.bodies(from, count))
    }

    /// A bundle that governed.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn bundle(&self, hash: [u8; 32]) -> Result<BundleAnswer, SignerError> {
        self.ask(|| self.client.bundle(hash))
    }

    /// A tile, or a bundle of commitments.
    ///
    /// # Errors
    /// [`SignerError::Ask`].
    pub fn resource(&self, resource: Resource) -> Result<Vec<u8>, SignerError> {
        self.ask(|| self.client.resource(resource))
    }

    /// Lets time pass.
    pub fn pause(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    /// Asks a question, and again for as long as the signer is only busy: who copies a journal asks more
    /// in a second than a client may.
    fn ask<T, F>(&self, call: impl Fn() -> F) -> Result<T, SignerError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        for _ in 0..BUSY_MAX {
            let answer = self.runtime.block_on(call()).map_err(SignerError::Ask);
            match answer {
                Err(error)
                    if is_problem(&error, ProblemKind::TooManyRequests)
                        || is_problem(&error, ProblemKind::Busy) =>
                {
                    self.pause(BUSY_PAUSE);
                }
                answer => return answer,
            }
        }
        self.runtime.block_on(call()).map_err(SignerError::Ask)
    }
}

/// One thread: a command makes one call at a time.
///
/// # Errors
/// [`SignerError::Runtime`].
pub fn runtime() -> Result<Runtime, SignerError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SignerError::Runtime)
}

/// Whether an answer says that the client may not use the verb.
pub fn is_not_granted(error: &SignerError) -> bool {
    is_problem(error, ProblemKind::NotGranted)
}

/// Whether an answer says that there is no such verb: it is another daemon's.
pub fn is_absent(error: &SignerError) -> bool {
    is_problem(error, ProblemKind::NotFound)
}

fn is_problem(error: &SignerError, kind: ProblemKind) -> bool {
    let SignerError::Ask(ClientError::Problem(problem)) = error else {
        return false;
    };
    problem.kind == kind
}
