//! Nodes by their configuration.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use rpc::{Credentials, CredentialsError, Node, Settings, SettingsError};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{CoinRpc, EvmRpc};
use crate::config;

/// A block of 4,000,000 weight is at most 8 MB of hexadecimal digits; an EVM block with its
/// transactions, or a receipt with its logs, is less.
const ANSWER_MAX_BYTES: usize = 32 << 20;

/// Bitcoin Core works on four calls at once and lets sixteen wait.
const CALLS_MAX: usize = 8;

/// The longest file with credentials: a cookie has 75 bytes.
const FILE_MAX_BYTES: u64 = 4096;

/// Why a node cannot be used as it is configured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address.
    #[error("a node's address cannot be used")]
    Settings(#[source] SettingsError),
    /// Neither a user with a password file, nor a cookie file, nor nothing.
    #[error("a node has a user without a password file, or two ways to log in")]
    Login,
    /// A file with credentials cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It holds none.
    #[error("the credentials in {} cannot be used", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CredentialsError,
    },
}

/// A node of the EVM chain with this id. Nothing is connected yet.
///
/// # Errors
/// [`ConnectError`].
pub fn connect_evm(chain_id: u64, node: &config::Node) -> Result<EvmRpc, ConnectError> {
    Ok(EvmRpc::new(chain_id, open(node)?))
}

/// A Core-like node. Nothing is connected yet.
///
/// # Errors
/// [`ConnectError`].
pub fn connect_coin(node: &config::Node) -> Result<CoinRpc, ConnectError> {
    Ok(CoinRpc::new(open(node)?))
}

fn open(node: &config::Node) -> Result<Node, ConnectError> {
    let settings = Settings {
        url: &node.url,
        credentials: credentials(node)?,
        timeout: Duration::from_secs(node.timeout_secs),
        answer_max_bytes: ANSWER_MAX_BYTES,
        calls_max: CALLS_MAX,
        idle_max: CALLS_MAX,
    };
    let opened = Node::new(settings).map_err(ConnectError::Settings)?;
    // A node writes its cookie anew with each start: a few bytes, read where it is refused.
    let node = node.clone();
    Ok(opened.renewing(move || credentials(&node).ok().flatten()))
}

fn credentials(node: &config::Node) -> Result<Option<Credentials>, ConnectError> {
    let (path, credentials) = match (&node.user, &node.password_file, &node.cookie_file) {
        (None, None, None) => return Ok(None),
        (Some(user), Some(path), None) => (path, Credentials::password(user, &read(path)?)),
        (None, None, Some(path)) => (path, Credentials::cookie(&read(path)?)),
        _ => return Err(ConnectError::Login),
    };
    credentials
        .map(Some)
        .map_err(|source| ConnectError::Credentials {
            path: path.clone(),
            source,
        })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, ConnectError> {
    let mut bytes = Zeroizing::new(Vec::new());
    fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|source| ConnectError::File {
            path: path.into(),
            source,
        })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(rest: &str) -> config::Node {
        toml::from_str(&format!("url = 'http://127.0.0.1:1/key'\n{rest}")).unwrap()
    }

    #[test]
    fn a_login_is_whole_and_stays_on_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let shown = path.display();
        let logins = [
            node(&format!("user = 'u'\npassword_file = '{shown}'")),
            node(&format!("cookie_file = '{shown}'")),
        ];
        for login in logins {
            let error = connect_coin(&login).unwrap_err();
            assert!(matches!(error, ConnectError::File { .. }), "{error:?}");
            fs::write(&path, "\n").unwrap();
            let error = connect_coin(&login).unwrap_err();
            assert!(matches!(error, ConnectError::Credentials { .. }));
            fs::write(&path, "hunter2\n").unwrap();
            connect_coin(&login).unwrap();
            let elsewhere = config::Node {
                url: "http://192.0.2.1/".into(),
                ..login
            };
            let ConnectError::Settings(error) = connect_coin(&elsewhere).unwrap_err() else {
                panic!("credentials for another machine");
            };
            assert!(matches!(error, SettingsError::CredentialsExposed { .. }));
            fs::remove_file(&path).unwrap();
        }
        for half in [
            "user = 'u'",
            "password_file = 'p'",
            "cookie_file = 'c'\nuser = 'u'",
        ] {
            let error = connect_coin(&node(half)).unwrap_err();
            assert!(matches!(error, ConnectError::Login), "{half}: {error:?}");
        }
    }

    #[test]
    fn the_address_is_not_shown() {
        let node = connect_evm(1, &node("")).unwrap();
        assert!(!format!("{node:?}").contains("key"));
        for url in [
            "http://node:8545/v3/key",
            "http://node:8545?key=1",
            "http://user:key@node:8545/",
            "node:8545/key",
        ] {
            let mut node = self::node("user = 'u'");
            node.url = url.into();
            let shown = format!("{node:?}");
            assert!(!shown.contains("key"), "{shown}");
            assert_eq!(
                shown.contains("node:8545"),
                url.starts_with("http"),
                "{shown}"
            );
        }
    }
}
