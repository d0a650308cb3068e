//! The configuration of a witness.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tlog::note::VerifierKey;
use tlog::witness::Log;

use super::error::WitnessError;
use crate::files;

/// The largest configuration that is read.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// The most logs of one witness.
const LOGS_MAX: usize = 1024;
/// The most that a chunk may be let have: it is in memory while it is taken.
const CHUNK_BYTES_MAX: u64 = 1 << 30;

/// A witness's configuration. Relative paths start at the file's folder.
#[derive(Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate; without one it speaks plain HTTP, and what it says is signed all the same.
    pub tls: Option<TlsConfig>,
    /// Its key.
    pub key: PathBuf,
    /// The folder of its state.
    pub data: PathBuf,
    /// The logs that it cosigns, with the keys that they sign with.
    pub logs: Vec<Log>,
    /// What is borne.
    pub bounds: Bounds,
    /// What is kept for auditors, if anything is.
    pub bodies: Option<BodiesConfig>,
}

/// The files of a witness's TLS, PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Its certificate chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Who certifies the relays that may put bodies.
    pub client_roots: Option<PathBuf>,
}

/// What is kept for auditors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodiesConfig {
    /// Where.
    pub folder: PathBuf,
    /// Who may put: a URI of the subject's alternative names in a client's certificate.
    pub relays: Vec<String>,
    /// The most bytes of a chunk.
    #[serde(default = "chunk_bytes")]
    pub chunk_bytes: u64,
    /// The most bytes of all chunks.
    #[serde(default = "total_bytes")]
    pub total_bytes: u64,
    /// How many bytes of the disk are left free: cosigning writes there too.
    #[serde(default = "free_bytes")]
    pub free_bytes: u64,
}

fn chunk_bytes() -> u64 {
    64 << 20
}

fn total_bytes() -> u64 {
    1 << 40
}

fn free_bytes() -> u64 {
    256 << 20
}

impl TlsConfig {
    fn below(self, folder: &Path) -> Self {
        Self {
            certificate: folder.join(self.certificate),
            key: folder.join(self.key),
            client_roots: self.client_roots.map(|roots| folder.join(roots)),
        }
    }
}

impl BodiesConfig {
    fn below(self, folder: &Path) -> Self {
        Self {
            folder: folder.join(self.folder),
            ..self
        }
    }

    fn check(&self, tls: Option<&TlsConfig>) -> Result<(), String> {
        if tls.is_none_or(|tls| tls.client_roots.is_none()) {
            return Err(
                "bodies: they are put over TLS alone, which takes client_roots in [tls]".to_owned(),
            );
        }
        if self.relays.is_empty() {
            return Err("bodies: relays names nobody who may put them".to_owned());
        }
        if !(1..=CHUNK_BYTES_MAX).contains(&self.chunk_bytes) {
            return Err(format!("bodies: chunk_bytes is 1 to {CHUNK_BYTES_MAX}"));
        }
        Ok(())
    }
}

/// What a witness bears.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Connections at the same time.
    pub connections: usize,
    /// Requests a second, twice as many at once.
    pub requests_per_second: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 64,
            requests_per_second: 1_000,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    listen: SocketAddr,
    key: PathBuf,
    data: PathBuf,
    log: Vec<LogText>,
    #[serde(default)]
    bounds: Bounds,
    tls: Option<TlsConfig>,
    bodies: Option<BodiesConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogText {
    origin: String,
    keys: Vec<String>,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// [`WitnessError::File`], [`WitnessError::Config`].
    pub fn read(path: &Path) -> Result<Self, WitnessError> {
        let refused = |reason: String| WitnessError::Config {
            path: path.to_owned(),
            reason,
        };
        let text: Text = toml(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let logs: Vec<Log> = text
            .log
            .iter()
            .map(log)
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        check(&logs, &text.bounds).map_err(refused)?;
        let tls = text.tls.map(|tls| tls.below(folder));
        let bodies = text.bodies.map(|bodies| bodies.below(folder));
        if let Some(bodies) = &bodies {
            bodies.check(tls.as_ref()).map_err(refused)?;
        }
        Ok(Self {
            listen: text.listen,
            tls,
            bodies,
            key: folder.join(text.key),
            data: folder.join(text.data),
            logs,
            bounds: text.bounds,
        })
    }
}

/// Reads a file of TOML.
///
/// # Errors
/// [`WitnessError::File`], [`WitnessError::Config`].
pub(super) fn toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, WitnessError> {
    let refused = |reason: String| WitnessError::Config {
        path: path.to_owned(),
        reason,
    };
    let bytes = files::read(path, FILE_MAX_BYTES).map_err(WitnessError::File)?;
    let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
    toml::from_str(&text).map_err(|error| refused(error.to_string()))
}

fn log(text: &LogText) -> Result<Log, String> {
    let origin = text.origin.parse();
    let origin = origin.map_err(|error| format!("origin {:?}: {error}", text.origin))?;
    let keys: Vec<VerifierKey> = text
        .keys
        .iter()
        .map(|key| key.parse().map_err(|error| format!("key {key:?}: {error}")))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(format!("log {origin} has no keys"));
    }
    Ok(Log { origin, keys })
}

fn check(logs: &[Log], bounds: &Bounds) -> Result<(), String> {
    if logs.is_empty() || logs.len() > LOGS_MAX {
        return Err(format!("there are 1 to {LOGS_MAX} logs"));
    }
    let mut origins: Vec<_> = logs.iter().map(|log| &log.origin).collect();
    origins.sort();
    if let Some([one, _]) = origins.array_windows().find(|[one, other]| one == other) {
        return Err(format!("log {one} stands there twice"));
    }
    if !(1..=4096).contains(&bounds.connections) || bounds.requests_per_second == 0 {
        return Err("bounds: 1 to 4096 connections, at least 1 request a second".to_owned());
    }
    Ok(())
}
