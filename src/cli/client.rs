//! How the commands reach a signer: its address, the certificates, and a profile that holds them.

mod error;
mod profile;

use std::path::PathBuf;
use std::time::Duration;

use api::client::{Client, ClientError, Protocol, Settings};
use api::signing::{EvaluateAnswer, KeysAnswer, SignAnswer, SignRequest};
use clap::Args;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

pub use self::error::{SignerError, plain};
use self::profile::Profile;
use crate::files;

/// The largest PEM file that is read.
const PEM_MAX_BYTES: u64 = 1 << 20;

/// How to reach a signer.
#[derive(Debug, Args)]
pub struct SignerArgs {
    /// A TOML file with connect, ca, certificate, key, and if needed server_name, health and
    /// timeout_secs [default: ~/.config/strongroom/client.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Where the signer listens.
    #[arg(long, value_name = "HOST:PORT")]
    connect: Option<String>,
    /// The certificate of the authority that certifies the signer, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Your client certificate, PEM.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The name in the signer's certificate, where it is not the host.
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

impl SignerArgs {
    /// Reads profile, certificates and key. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SignerError::Profile`], [`SignerError::Missing`], [`SignerError::Settings`], and those of files.
    pub fn signer(&self) -> Result<Signer, SignerError> {
        let profile = self.merged()?;
        let connect = profile.connect.ok_or(SignerError::Missing {
            option: "--connect",
        })?;
        let ca = profile.ca.ok_or(SignerError::Missing { option: "--ca" })?;
        let certificate = profile.certificate.ok_or(SignerError::Missing {
            option: "--certificate",
        })?;
        let key = profile
            .key
            .ok_or(SignerError::Missing { option: "--key" })?;
        files::check_private(&key).map_err(SignerError::File)?;
        let read = |path: &PathBuf| files::read(path, PEM_MAX_BYTES).map_err(SignerError::File);
        let (roots, chain, key) = (read(&ca)?, read(&certificate)?, Zeroizing::new(read(&key)?));
        let settings = Settings {
            server: &connect,
            server_name: profile.server_name.as_deref(),
            roots: &roots,
            certificate: &chain,
            key: &key,
            protocol: Protocol::Http1,
            timeout: Duration::from_secs(profile.timeout_secs.unwrap_or(30)),
        };
        Ok(Signer {
            client: Client::new(&settings).map_err(SignerError::Settings)?,
            runtime: runtime()?,
            health: profile.health,
        })
    }

    /// The profile, under what the command line says.
    fn merged(&self) -> Result<Profile, SignerError> {
        let profile = Profile::find(self.profile.as_deref())?;
        Ok(Profile {
            connect: self.connect.clone().or(profile.connect),
            ca: self.ca.clone().or(profile.ca),
            certificate: self.certificate.clone().or(profile.certificate),
            key: self.key.clone().or(profile.key),
            server_name: self.server_name.clone().or(profile.server_name),
            health: profile.health,
            timeout_secs: self.timeout_secs.or(profile.timeout_secs),
        })
    }
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
    let SignerError::Ask(ClientError::Problem(problem)) = error else {
        return false;
    };
    problem.kind == api::problem::ProblemKind::NotGranted
}
