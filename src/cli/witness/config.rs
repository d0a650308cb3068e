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

/// A witness's configuration. Relative paths start at the file's folder.
#[derive(Debug)]
pub struct Config {
    /// Where it listens: plain HTTP. What it says is signed.
    pub listen: SocketAddr,
    /// Its key.
    pub key: PathBuf,
    /// The folder of its state.
    pub data: PathBuf,
    /// The logs that it cosigns, with the keys that they sign with.
    pub logs: Vec<Log>,
    /// What is borne.
    pub bounds: Bounds,
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
        Ok(Self {
            listen: text.listen,
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
