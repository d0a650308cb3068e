//! `[device]`: the devices that hold the keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use keys::{MemberId, pool::MEMBERS_MAX};
use serde::Deserialize;
use tx::Name;

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
        /// The token's label, where the serial number is not enough.
        label: Option<String>,
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
            (true, true, Place::Token { module, label }) => (Some(module.clone()), label.clone()),
            (true, false, Place::Token { module, .. }) => (Some(module.clone()), self.token),
            _ => (self.module, self.token),
        };
        Ok(Device {
            name: self.name,
            place: place(module, token, self.serial.as_deref(), self.keystore)?,
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
    label: Option<String>,
    serial: Option<&str>,
    keystore: Option<PathBuf>,
) -> Result<Place, &'static str> {
    Ok(match (module, label, keystore) {
        (Some(_), None, None) if serial.is_none() => {
            return Err("device: module without token or serial");
        }
        (Some(module), label, None) => Place::Token { module, label },
        (None, None, Some(folder)) => Place::Keystore(folder),
        (None, None, None) => {
            return Err("device: neither module and token nor keystore is named");
        }
        (_, _, Some(_)) => {
            return Err("device: keystore stands in place of module and token, not beside them");
        }
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
            place: place(
                table.module,
                table.token,
                table.serial.as_deref(),
                table.keystore,
            )?,
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
    /// Relative paths start at this folder.
    pub(super) fn resolve(&mut self, folder: &Path) {
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

fn default_sessions() -> u16 {
    2
}

fn default_call_timeout_ms() -> u64 {
    2000
}
