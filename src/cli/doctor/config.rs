//! The part of signerd's configuration that is looked at. Whether it is one is signerd's to say:
//! `signerd --check` refuses what it does not know.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ::policy::BundleHash;
use serde::Deserialize;

use crate::failure::{Exit, Explained};
use crate::files::{self, FileError};

/// The largest configuration that is read.
const CONFIG_MAX_BYTES: u64 = 1 << 20;

/// Where things are on this machine.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub data: PathBuf,
    pub policy: PathBuf,
    genesis: String,
    pub api: Api,
    pub health: Health,
    pub device: Device,
}

#[derive(Debug, Deserialize)]
pub(super) struct Api {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub crls: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub listen: SocketAddr,
}

#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub module: Option<PathBuf>,
    pub token: Option<String>,
    pub keystore: Option<PathBuf>,
    pub serial: Option<String>,
    pub pin_file: PathBuf,
    pub profile: PathBuf,
    pub checkpoint_key: Option<tx::Name>,
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ConfigError {
    /// The file.
    #[error(transparent)]
    File(FileError),
    /// Its content.
    #[error("{} is no configuration of signerd", path.display())]
    Form { path: PathBuf, reason: String },
}

impl Explained for ConfigError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Form { .. } => "doctor-config",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => error.next(),
            Self::Form { .. } => "Run `signerd --config FILE --check`.".into(),
        }
    }

    fn why(&self) -> Vec<String> {
        match self {
            Self::File(FileError::Io { source, .. }) => vec![source.to_string()],
            Self::File(_) => Vec::new(),
            Self::Form { reason, .. } => vec![reason.trim_end().to_owned()],
        }
    }
}

impl Config {
    /// Reads the file. Relative paths start at its folder, as signerd takes them.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = files::read(path, CONFIG_MAX_BYTES).map_err(ConfigError::File)?;
        let form = |reason: String| ConfigError::Form {
            path: path.to_owned(),
            reason,
        };
        let text = String::from_utf8(bytes).map_err(|error| form(error.to_string()))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| form(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let paths = [
            &mut config.data,
            &mut config.policy,
            &mut config.api.certificate,
            &mut config.api.key,
            &mut config.device.pin_file,
            &mut config.device.profile,
        ];
        let device = config.device.module.iter_mut();
        let device = device.chain(&mut config.device.keystore);
        for path in paths.into_iter().chain(&mut config.api.crls).chain(device) {
            *path = folder.join(&*path);
        }
        Ok(config)
    }

    /// The fingerprint of the first bundle, if it is one.
    pub(super) fn genesis(&self) -> Option<BundleHash> {
        self.genesis.strip_prefix("sha256:")?.parse().ok()
    }
}
