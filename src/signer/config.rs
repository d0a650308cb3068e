//! The daemon's configuration: where things are on this machine. What may be signed is not here
//! but in the policy.

mod device;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use api::server::{Bounds, Files};
use policy::BundleHash;
use serde::Deserialize;
use thiserror::Error;

pub use device::{Device, MAIN, PinFrom, Place};

/// The configuration file, TOML. Paths are taken as they are, relative ones from the folder of the
/// file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data folder: journal and bundles.
    pub data: PathBuf,
    /// The folder of the bundle that shall govern.
    pub policy: PathBuf,
    /// The folder of books that are loaded apart from the bundle, where there are any: of each `NAME.txt`,
    /// `NAME.statement` and `NAME.statement.sig`.
    #[serde(default)]
    pub books: Option<PathBuf>,
    /// The first bundle's fingerprint, `sha256:…`, pinned at the first start.
    pub genesis: Genesis,
    /// The user of the system that the server runs as, where it is started as root.
    #[serde(default)]
    pub user: Option<String>,
    /// The API.
    pub api: Api,
    /// The officers' listener, if there is one.
    #[serde(default)]
    pub officers: Option<Officers>,
    /// Health and metrics.
    pub health: Health,
    /// The device.
    pub device: Device,
    /// Bounds on what clients may do.
    #[serde(default)]
    pub bounds: Bounds,
    /// Logs.
    #[serde(default)]
    pub log: Log,
}

/// A bundle's fingerprint as people write it: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Genesis(pub BundleHash);

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
    /// Revocation lists of the client authorities, PEM; a client whose authority has none here, or
    /// an expired one, is not let in.
    pub crls: Vec<PathBuf>,
}

impl Api {
    /// The files of its TLS.
    pub fn files(&self) -> Files<'_> {
        Files {
            certificate: &self.certificate,
            key: &self.key,
            crls: &self.crls,
        }
    }
}

/// A listener of its own for what people say: intents and approvals, vetoes and freezes, and nothing that signs.
/// Its TLS is the API's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Officers {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// The listener of health and metrics, plain HTTP for the machine's own monitoring.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// Logs: one JSON object a line, to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
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
    /// The file cannot be read.
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
        key: &'static str,
        /// Its value.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
}

impl TryFrom<String> for Genesis {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.strip_prefix("sha256:")
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| "genesis is sha256: and 64 hexadecimal digits".into())
    }
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
        config.check(path)?;
        config.share_user();
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let sessions = self.device.members();
        let sessions = sessions.map(|(_, device)| u64::from(device.sessions));
        let sessions = sessions.map(|sessions| ("device.sessions", sessions, 1, 64));
        let device = [(
            "device.call_timeout_ms",
            self.device.call_timeout_ms,
            50,
            60_000,
        )];
        let ranges = sessions.chain(device).chain(self.bounds.ranges());
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Range {
                    path: path.into(),
                    key,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }

    /// Key children for which none is named are of the server's user.
    fn share_user(&mut self) {
        let main = &mut self.device;
        for device in main.replicas.iter_mut().map(|one| &mut one.user) {
            *device = device.take().or_else(|| self.user.clone());
        }
        main.user = main.user.take().or_else(|| self.user.clone());
    }

    fn resolve(&mut self, folder: &Path) {
        let paths = [
            &mut self.data,
            &mut self.policy,
            &mut self.api.certificate,
            &mut self.api.key,
        ];
        let books = self.books.iter_mut();
        for path in paths.into_iter().chain(&mut self.api.crls).chain(books) {
            *path = folder.join(&*path);
        }
        self.device.resolve(folder);
        for replica in &mut self.device.replicas {
            replica.resolve(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use keys::MemberId;

    use super::*;

    const TOKEN: &str = "module = \"/usr/lib/softhsm/libsofthsm2.so\"\ntoken = \"strongroom\"";

    const GOOD: &str = r#"
data = "data"
policy = "policy"
genesis = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
[api]
listen = "127.0.0.1:0"
certificate = "server.pem"
key = "server.key"
crls = ["crl.pem"]
[health]
listen = "127.0.0.1:0"
[device]
module = "/usr/lib/softhsm/libsofthsm2.so"
token = "strongroom"
pin_file = "pin"
profile = "softhsm.toml"
"#;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signerd.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let config = read(GOOD).unwrap();
        assert!(config.data.is_absolute());
        let module = "/usr/lib/softhsm/libsofthsm2.so";
        assert_eq!(config.device.place.path(), Path::new(module));
        let keystore = read(&GOOD.replace(TOKEN, "keystore = \"keys\"")).unwrap();
        let folder = keystore.device.place.path();
        assert!(folder.is_absolute() && folder.ends_with("keys"));
    }

    #[test]
    fn a_device_is_a_token_or_a_keystore() {
        let cases = [
            ("", "neither module and token nor keystore"),
            ("module = \"a.so\"", "module without token"),
            ("token = \"a\"", "token without module"),
            (
                "keystore = \"a\"\ntoken = \"a\"",
                "in place of module and token",
            ),
            (
                "keystore = \"a\"\nmodule = \"a.so\"",
                "in place of module and token",
            ),
        ];
        for (named, why) in cases {
            let error = read(&GOOD.replace(TOKEN, named)).unwrap_err();
            assert!(error.to_string().contains(why), "{named}: {error}");
        }
        let by_serial = read(&GOOD.replace(TOKEN, "module = \"a.so\"\nserial = \"1\"")).unwrap();
        let Place::Token { label, .. } = by_serial.device.place else {
            panic!("a token");
        };
        assert_eq!((label, by_serial.device.serial), (None, Some("1".into())));
    }

    #[test]
    fn unknown_and_absurd_values_are_named() {
        let unknown = read(&format!("{GOOD}\npermissive = true")).unwrap_err();
        assert!(unknown.to_string().contains("permissive"), "{unknown}");
        let sessions = read(&format!("{GOOD}\nsessions = 0")).unwrap_err();
        assert!(
            sessions.to_string().contains("device.sessions is 0"),
            "{sessions}"
        );
        let genesis = read(&GOOD.replace("sha256:", "sha1:")).unwrap_err();
        assert!(
            genesis.to_string().contains("64 hexadecimal digits"),
            "{genesis}"
        );
    }

    #[test]
    fn a_key_child_without_a_user_of_its_own_has_the_servers() {
        let users = |text: &str| {
            let config = read(text).unwrap();
            let members = config.device.members();
            members
                .map(|(_, device)| device.user.clone())
                .collect::<Vec<_>>()
        };
        let both = format!("user = \"server\"\n{GOOD}");
        assert_eq!(users(GOOD), [None]);
        assert_eq!(users(&both), [Some("server".into())]);
        let own = format!("{both}user = \"keys\"\n{REPLICA}serial = \"2\"\n");
        assert_eq!(users(&own), [Some("keys".into()), Some("keys".into())]);
        let of_replica = format!("{both}{REPLICA}serial = \"2\"\nuser = \"other\"\n");
        assert_eq!(
            users(&of_replica),
            [Some("server".into()), Some("other".into())]
        );
    }

    const REPLICA: &str = "[[device.replica]]\nname = \"second\"\npin_file = \"pin-2\"\n";

    #[test]
    fn a_replica_is_as_the_device_but_for_what_it_says() {
        let replica = format!("{REPLICA}serial = \"2\"\nsessions = 4\n");
        let config = read(&format!("{GOOD}{replica}")).unwrap();
        let members: Vec<_> = config.device.members().collect();
        let (main, second) = (members[0].1, members[1].1);
        assert_eq!((members[0].0, members[1].0), (MemberId(0), MemberId(1)));
        assert_eq!((main.name.as_str(), second.name.as_str()), (MAIN, "second"));
        assert_eq!((main.sessions, second.sessions), (2, 4));
        assert_eq!(main.place, second.place);
        assert_eq!(main.profile, second.profile);
        let pin_file = second.pin.path().unwrap();
        assert!(pin_file.is_absolute() && pin_file.ends_with("pin-2"));
        assert_eq!(config.device.member(MemberId(1)).unwrap().name, second.name);
        assert!(config.device.member(MemberId(2)).is_none());
        // Configurations without replicas are as they were.
        assert!(read(GOOD).unwrap().device.replicas.is_empty());
    }

    #[test]
    fn a_replica_is_another_device_with_another_name() {
        let cases = [
            (REPLICA.to_owned(), "the same token again"),
            (
                REPLICA.replace("second", "main") + "serial = \"2\"\n",
                "called the same",
            ),
            (
                format!("{REPLICA}serial = \"2\"\n{REPLICA}serial = \"3\"\n"),
                "called the same",
            ),
            (
                format!("{REPLICA}keystore = \"k\"\ntoken = \"a\"\n"),
                "in place of module and token",
            ),
            (
                format!("{REPLICA}checkpoint_key = \"a\"\n"),
                "unknown field",
            ),
            (
                (0..8)
                    .map(|number| {
                        let named = REPLICA.replace("second", &format!("r{number}"));
                        format!("{named}serial = \"{number}\"\n")
                    })
                    .collect(),
                "more than seven",
            ),
        ];
        for (replicas, why) in cases {
            let error = read(&format!("{GOOD}{replicas}")).unwrap_err();
            assert!(error.to_string().contains(why), "{replicas}: {error}");
        }
        let absurd = format!("{GOOD}{REPLICA}serial = \"2\"\nsessions = 65\n");
        let error = read(&absurd).unwrap_err().to_string();
        assert!(error.contains("device.sessions is 65"), "{error}");
    }
}
