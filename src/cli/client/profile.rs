//! The file that spares an operator the options.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::SignerError;
use crate::files;

/// The largest profile that is read.
const PROFILE_MAX_BYTES: u64 = 64 << 10;
/// Where profiles are looked for, below the home folder.
const FOLDER: &str = ".config/strongroom";

/// How to reach a daemon. Relative paths start at the file's folder.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// Where it listens: `host:port`.
    pub connect: Option<String>,
    /// The authority that certifies it.
    pub ca: Option<PathBuf>,
    /// The client's certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The name in the signer's certificate.
    pub server_name: Option<String>,
    /// The key that signs the log's checkpoints, as it was pinned.
    pub log_key: Option<String>,
    /// Where health is told: `host:port`.
    pub health: Option<String>,
    /// How long to wait for each answer.
    pub timeout_secs: Option<u64>,
}

impl Profile {
    /// Reads the file that was named, or the usual one if there is one.
    pub(super) fn find(named: Option<&Path>, usual: &str) -> Result<Self, SignerError> {
        if let Some(path) = named {
            return Self::read(path);
        }
        let usual = std::env::var_os("HOME").map(|home| Path::new(&home).join(FOLDER).join(usual));
        match usual.filter(|path| path.exists()) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self, SignerError> {
        let refused = |reason: String| SignerError::Profile {
            path: path.to_owned(),
            reason,
        };
        let bytes = files::read(path, PROFILE_MAX_BYTES).map_err(SignerError::File)?;
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        let mut profile: Self =
            toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for path in [&mut profile.ca, &mut profile.certificate, &mut profile.key] {
            *path = path.take().map(|path| folder.join(path));
        }
        if profile
            .timeout_secs
            .is_some_and(|seconds| !(1..=3600).contains(&seconds))
        {
            return Err(refused("timeout_secs is not from 1 to 3600".to_owned()));
        }
        Ok(profile)
    }
}
