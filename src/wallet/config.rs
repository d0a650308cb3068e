//! The configuration: where things are on this machine, who may ask, and how chains are used. What
//! may be signed is not here but in the signer's policy.

mod check;

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use api::server::Bounds;
use serde::Deserialize;
use thiserror::Error;
use tx::{Chain, Name};

use crate::{
    chains::{evm, utxo},
    limit::DailyLimit,
    web::Grant,
};

/// The configuration file, TOML. Paths are taken as they are, relative ones from the folder of the
/// file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data folder: the database.
    pub data: PathBuf,
    /// The API.
    pub api: Api,
    /// Who may ask.
    #[serde(default, rename = "client")]
    pub clients: Vec<Client>,
    /// The signer.
    pub signer: Signer,
    /// Health and metrics.
    pub health: Health,
    /// Lanes.
    #[serde(default)]
    pub lanes: Lanes,
    /// Bounds on what clients may do.
    #[serde(default)]
    pub bounds: Bounds,
    /// Logs.
    #[serde(default)]
    pub log: Log,
    /// The chains on which is paid.
    #[serde(default, rename = "chain")]
    pub chains: Vec<ChainConfig>,
    /// Daily limits; an asset without one cannot be withdrawn.
    #[serde(default, rename = "limit")]
    pub limits: Vec<DailyLimit>,
}

/// The API's listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities that certify clients, PEM.
    pub roots: Vec<PathBuf>,
    /// Their revocation lists, PEM; a client whose authority has none here, or an expired one, is
    /// not let in.
    pub crls: Vec<PathBuf>,
}

/// Who may ask, and for what.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its name, in records and logs.
    pub name: Name,
    /// The URI in its certificate's subject alternative name.
    pub uri: String,
    /// The source of the withdrawals that it asks for.
    pub source: Name,
    /// What it may. What is not granted is denied.
    pub grants: BTreeSet<Grant>,
}

/// How the signer is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Where it listens: `host:port`.
    pub connect: String,
    /// The name in its certificate, where that is not the host.
    #[serde(default)]
    pub server_name: Option<String>,
    /// The authority that certifies it, PEM.
    pub ca: PathBuf,
    /// The coordinator's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The key of the signer's log, as `strongroom status` shows it: with it, nothing is sent before
    /// the log provably contains its decision.
    #[serde(default)]
    pub log_key: Option<String>,
    /// How long one call may take.
    #[serde(default = "signer_timeout_secs")]
    pub timeout_secs: u64,
}

/// The listener of health and metrics, plain HTTP for the machine's own monitoring.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// How lanes are run.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lanes {
    /// How long a lane is owned without being renewed; another process takes it after that.
    pub lease_secs: u64,
    /// Calls to the signer at the same time.
    pub signer_calls: u32,
    /// Questions and transactions given to the nodes of one chain at the same time.
    pub node_calls: u32,
}

/// Logs: one JSON object a line, to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
}

/// A chain on which is paid.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// The chain.
    pub chain: Chain,
    /// Its nodes: one, or two of which both must agree on what is final.
    pub nodes: Vec<Node>,
    /// The accounts at the signer that pay. Any of them may pay any withdrawal.
    pub accounts: Vec<Name>,
    /// For an EVM chain.
    #[serde(default)]
    pub evm: Option<evm::Config>,
    /// For a UTXO chain.
    #[serde(default)]
    pub utxo: Option<utxo::Config>,
}

/// A node's JSON-RPC.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Where it is: `http://host:port`.
    pub url: String,
    /// The user, where it asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The file with the user's password; its last line feed is not part of it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The file that the node writes a password of its own to, instead of user and password.
    #[serde(default)]
    pub cookie_file: Option<PathBuf>,
    /// How long one call may take.
    #[serde(default = "node_timeout_secs")]
    pub timeout_secs: u64,
}

fn signer_timeout_secs() -> u64 {
    15
}

fn node_timeout_secs() -> u64 {
    10
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of the address no more than the host: a path or a query may be a provider's key.
        let (_, rest) = self.url.split_once("://").unwrap_or_default();
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (_, host) = host.rsplit_once('@').unwrap_or(("", host));
        f.debug_struct("Node")
            .field("host", &host)
            .field("user", &self.user)
            .field("password_file", &self.password_file)
            .field("cookie_file", &self.cookie_file)
            .field("timeout_secs", &self.timeout_secs)
            .finish()
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lease_secs: 15,
            signer_calls: 64,
            node_calls: 64,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
        }
    }
}

/// Why a configuration is not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file, or one that it names, cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no configuration.
    #[error("{path} is no configuration: {message}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What the parser says, with the line.
        message: String,
    },
    /// A value is out of its range.
    #[error("{path}: {key} is {value}, not from {least} to {most}")]
    Range {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A value cannot be used.
    #[error("{path}: {key} {what}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong.
        what: String,
    },
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file and the line or key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|error| ConfigError::Form {
            path: path.into(),
            message: error.to_string(),
        })?;
        check::check(&config, path)?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn resolve(&mut self, folder: &Path) {
        let paths = [
            &mut self.data,
            &mut self.api.certificate,
            &mut self.api.key,
            &mut self.signer.ca,
            &mut self.signer.certificate,
            &mut self.signer.key,
        ];
        let nodes = self.chains.iter_mut().flat_map(|chain| &mut chain.nodes);
        let secrets = nodes.flat_map(|node| [&mut node.password_file, &mut node.cookie_file]);
        let all = paths
            .into_iter()
            .chain(&mut self.api.roots)
            .chain(&mut self.api.crls)
            .chain(secrets.flatten());
        for path in all {
            *path = folder.join(&*path);
        }
    }
}
