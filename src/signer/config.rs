//! The daemon's configuration: where things are on this machine. What may be signed is not here
//! but in the policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use api::server::{Bounds, Files};
use keys::{MemberId, pool::MEMBERS_MAX};
use policy::BundleHash;
use serde::Deserialize;
use thiserror::Error;
use tx::Name;

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

/// A device that holds the keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "DeviceTable")]
pub struct Device {
    /// How it is called in logs and metrics: [`MAIN`], or a replica's name.
    pub name: Name,
    /// Which kind of device, and where it is.
    pub place: Place,
    /// The device's serial number, where it is to be held or the label is not enough.
    pub serial: Option<String>,
    /// Where the PIN or passphrase is from.
    pub pin: PinFrom,
    /// The firmware profile.
    pub profile: PathBuf,
    /// Sessions, and threads of the key child, that sign.
    pub sessions: u16,
    /// How long a call may take before the child is taken to hang.
    pub call_timeout_ms: u64,
    /// The key that signs the journal's checkpoints.
    pub checkpoint_key: Option<Name>,
    /// The keys of self-tests.
    pub self_test_keys: Vec<Name>,
    /// Whether the device is behind a network.
    pub network: bool,
    /// Environment of the key child.
    pub environment: BTreeMap<String, String>,
    /// What its module reads beside what [`Places`](crate::hardening::places::Places) knows of.
    pub reads: Vec<PathBuf>,
    /// What its module writes besides.
    pub writes: Vec<PathBuf>,
    /// The user of the system that its key child runs as.
    pub user: Option<String>,
    /// Others that hold the same keys; they have none of their own.
    pub replicas: Vec<Device>,
}

/// The name of the device that is no replica.
pub const MAIN: &str = "main";

impl Device {
    /// All devices that hold the keys: this one, then its replicas in the order of the configuration.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, &Self)> {
        let all = std::iter::once(self).chain(&self.replicas);
        (0..).map(MemberId).zip(all)
    }

    /// One of them.
    pub fn member(&self, member: MemberId) -> Option<&Self> {
        match member.index().checked_sub(1) {
            None => Some(self),
            Some(replica) => self.replicas.get(replica),
        }
    }
}

/// Which kind of device, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A PKCS#11 token.
    Token {
        /// The module's file.
        module: PathBuf,
        /// The token's label.
        label: String,
    },
    /// An encrypted keystore, by its folder.
    Keystore(PathBuf),
}

impl Place {
    /// The file or folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Token { module: path, .. } | Self::Keystore(path) => path,
        }
    }

    fn path_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Token { module: path, .. } | Self::Keystore(path) => path,
        }
    }

    /// The key of `[device]` that names it.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Token { .. } => "device.module",
            Self::Keystore(_) => "device.keystore",
        }
    }
}

/// Where the PIN or passphrase of a device is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinFrom {
    /// A file, which is read whenever a key child is started.
    File(PathBuf),
    /// Somebody who types it when the daemon starts. The supervisor keeps it for as long as it runs, to start key
    /// children that ended.
    Prompt,
}

impl PinFrom {
    /// The file, where it is from one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Prompt => None,
        }
    }

    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Prompt => None,
        }
    }
}

/// `[device]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceTable {
    /// The PKCS#11 module.
    module: Option<PathBuf>,
    /// The token's label.
    token: Option<String>,
    /// The folder of an encrypted keystore, in place of module and token.
    keystore: Option<PathBuf>,
    /// The device's serial number, where it is to be held or the label is not enough.
    serial: Option<String>,
    /// The file with the PIN or passphrase; its last line feed is not part of it.
    pin_file: Option<PathBuf>,
    /// Whether the PIN or passphrase is asked for at the terminal, at each start, in place of the file.
    #[serde(default)]
    pin_prompt: bool,
    /// The firmware profile.
    profile: PathBuf,
    /// Sessions, and threads of the key child, that sign.
    #[serde(default = "default_sessions")]
    sessions: u16,
    /// How long a call may take before the child is taken to hang.
    #[serde(default = "default_call_timeout_ms")]
    call_timeout_ms: u64,
    /// The key that signs the journal's checkpoints, by its name in the device: Ed25519, generated
    /// with `--purpose checkpoint`. Without one there are no checkpoints.
    checkpoint_key: Option<Name>,
    /// The keys of self-tests, which are made when a device is taken into service and every hour, by their
    /// names in it: generated with `--purpose test`, one of each algorithm that others have. Without them
    /// there are no self-tests.
    #[serde(default)]
    self_test_keys: Vec<Name>,
    /// Whether the device is behind a network: otherwise its module makes no socket but local ones.
    #[serde(default)]
    network: bool,
    /// Environment of the key child, such as `SOFTHSM2_CONF`. It has no other.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// Files and folders that the module reads, beside its own folder, the system's libraries, the files that
    /// `environment` names, and SoftHSM's tokens.
    #[serde(default)]
    reads: Vec<PathBuf>,
    /// Files and folders that the module writes as well, such as `/dev/bus/usb`.
    #[serde(default)]
    writes: Vec<PathBuf>,
    /// The user of the system that the key child runs as; the server's where none is named.
    user: Option<String>,
    /// Further devices that hold the same keys.
    #[serde(default)]
    replica: Vec<ReplicaTable>,
}

/// `[[device.replica]]` as it is written. What is left out is as in `[device]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplicaTable {
    /// How it is called in logs and metrics, and in the mark of a rejected PIN.
    name: Name,
    /// The PKCS#11 module.
    module: Option<PathBuf>,
    /// The token's label.
    token: Option<String>,
    /// The folder of an encrypted keystore, in place of module and token.
    keystore: Option<PathBuf>,
    /// The device's serial number, where it is to be held or the label is not enough.
    serial: Option<String>,
    /// The file with the PIN or passphrase.
    pin_file: Option<PathBuf>,
    /// Whether it is asked for at the terminal.
    #[serde(default)]
    pin_prompt: bool,
    /// The firmware profile.
    profile: Option<PathBuf>,
    /// Sessions, and threads of the key child, that sign.
    sessions: Option<u16>,
    /// Whether the device is behind a network.
    network: Option<bool>,
    /// Environment of the key child.
    environment: Option<BTreeMap<String, String>>,
    /// Files and folders that the module reads besides.
    reads: Option<Vec<PathBuf>>,
    /// Files and folders that the module writes besides.
    writes: Option<Vec<PathBuf>>,
    /// The user of the system that the key child runs as.
    user: Option<String>,
}

impl ReplicaTable {
    /// A device beside `main`, which has no replicas yet.
    fn beside(self, main: &Device) -> Result<Device, &'static str> {
        let same = (self.module.is_none(), self.token.is_none(), &main.place);
        let (module, token) = match same {
            (_, _, _) if self.keystore.is_some() => (self.module, self.token),
            (true, true, Place::Token { module, label }) => {
                (Some(module.clone()), Some(label.clone()))
            }
            (true, false, Place::Token { module, .. }) => (Some(module.clone()), self.token),
            _ => (self.module, self.token),
        };
        Ok(Device {
            name: self.name,
            place: place(module, token, self.keystore)?,
            serial: self.serial,
            pin: pin(self.pin_file, self.pin_prompt)?,
            profile: self.profile.unwrap_or_else(|| main.profile.clone()),
            sessions: self.sessions.unwrap_or(main.sessions),
            network: self.network.unwrap_or(main.network),
            environment: self.environment.unwrap_or_else(|| main.environment.clone()),
            reads: self.reads.unwrap_or_else(|| main.reads.clone()),
            writes: self.writes.unwrap_or_else(|| main.writes.clone()),
            user: self.user.or_else(|| main.user.clone()),
            ..main.clone()
        })
    }
}

fn place(
    module: Option<PathBuf>,
    token: Option<String>,
    keystore: Option<PathBuf>,
) -> Result<Place, &'static str> {
    Ok(match (module, token, keystore) {
        (Some(module), Some(label), None) => Place::Token { module, label },
        (None, None, Some(folder)) => Place::Keystore(folder),
        (None, None, None) => {
            return Err("device: neither module and token nor keystore is named");
        }
        (_, _, Some(_)) => {
            return Err("device: keystore stands in place of module and token, not beside them");
        }
        (Some(_), None, None) => return Err("device: module without token"),
        (None, Some(_), None) => return Err("device: token without module"),
    })
}

fn pin(file: Option<PathBuf>, is_typed: bool) -> Result<PinFrom, &'static str> {
    match (file, is_typed) {
        (Some(file), false) => Ok(PinFrom::File(file)),
        (None, true) => Ok(PinFrom::Prompt),
        (None, false) => Err("device: neither pin_file nor pin_prompt"),
        (Some(_), true) => Err("device: pin_prompt stands in place of pin_file, not beside it"),
    }
}

impl TryFrom<DeviceTable> for Device {
    type Error = &'static str;

    fn try_from(table: DeviceTable) -> Result<Self, &'static str> {
        let name = MAIN.parse().map_err(|_| "device: no name")?;
        let mut device = Self {
            name,
            place: place(table.module, table.token, table.keystore)?,
            serial: table.serial,
            pin: pin(table.pin_file, table.pin_prompt)?,
            profile: table.profile,
            sessions: table.sessions,
            call_timeout_ms: table.call_timeout_ms,
            checkpoint_key: table.checkpoint_key,
            self_test_keys: table.self_test_keys,
            network: table.network,
            environment: table.environment,
            reads: table.reads,
            writes: table.writes,
            user: table.user,
            replicas: Vec::new(),
        };
        let replicas = table.replica.into_iter();
        let replicas: Result<_, _> = replicas.map(|one| one.beside(&device)).collect();
        device.replicas = replicas?;
        device.check_replicas()?;
        Ok(device)
    }
}

impl Device {
    fn resolve(&mut self, folder: &Path) {
        let paths = [self.place.path_mut(), &mut self.profile];
        let paths = paths.into_iter().chain(self.pin.path_mut());
        let places = self.reads.iter_mut().chain(&mut self.writes);
        for path in paths.chain(places) {
            *path = folder.join(&*path);
        }
    }

    /// Each is called otherwise, and is another device: two children on one would each try its PIN.
    fn check_replicas(&self) -> Result<(), &'static str> {
        if self.replicas.len() >= usize::from(MEMBERS_MAX) {
            return Err("device: more than seven replicas");
        }
        let mut names = BTreeSet::new();
        let mut places = Vec::new();
        for (_, device) in self.members() {
            if !names.insert(&device.name) {
                return Err("device.replica: two are called the same, or one is called main");
            }
            let place = (&device.place, &device.serial, &device.environment);
            if places.contains(&place) {
                return Err(
                    "device.replica: the same token again; name another label, serial or environment",
                );
            }
            places.push(place);
        }
        Ok(())
    }
}

/// Logs: one JSON object a line, to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
}

fn default_sessions() -> u16 {
    2
}

fn default_call_timeout_ms() -> u64 {
    2000
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
