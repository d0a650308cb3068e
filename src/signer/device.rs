//! The key child as the supervisor starts it, and the mark that a PIN was rejected.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use keys::{
    Backend, Profile, TokenSelector,
    pin::{PinError, parse, typed},
    pool::greeting,
    profile::ProfileError,
    protocol::{Hello, Pin, Text},
};
use thiserror::Error;
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use tx::Name;
use zeroize::Zeroizing;

use crate::{
    config::{self, MAIN, PinFrom, Place},
    hardening::places::{Places, Tcp},
    log,
};

/// The file in the data folder that says the device rejected the PIN; of a replica its name stands behind.
/// It is made here and removed by a person: a daemon that tries again by itself locks the token.
const PIN_REJECTED: &str = "pin-rejected";

/// A running key child.
#[derive(Debug)]
pub struct KeyChild {
    process: Child,
    /// It logged in.
    pub ready: bool,
    /// The device rejected the PIN.
    pub rejected: bool,
}

/// Why no key child is started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The PIN cannot be read.
    #[error("the PIN file {} cannot be used: {reason}", path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
        /// Why, without the PIN.
        reason: String,
    },
    /// The PIN was not typed.
    #[error("the PIN of {device} cannot be asked for")]
    Pin {
        /// The device.
        device: Name,
        /// Why.
        #[source]
        source: PinError,
    },
    /// The firmware profile cannot be used.
    #[error("the firmware profile cannot be used: {reason}")]
    Profile {
        /// Why.
        reason: String,
    },
    /// A value of the configuration is too long for the child protocol.
    #[error("{key} is too long")]
    TooLong {
        /// Which.
        key: &'static str,
    },
    /// The process or its socket.
    #[error("the process cannot be started")]
    Process(#[source] io::Error),
}

/// Asks for the PIN at the terminal, where that is how it is given.
///
/// # Errors
/// [`StartError::Pin`].
pub fn ask(config: &config::Device) -> Result<Option<Pin>, StartError> {
    if config.pin != PinFrom::Prompt {
        return Ok(None);
    }
    let what = match &config.place {
        Place::Token { label, .. } => {
            let token = label.as_ref().or(config.serial.as_ref());
            let token = token.map_or("", String::as_str);
            format!("the PIN of the token {token} (device {})", config.name)
        }
        Place::Keystore(_) => format!("the passphrase of the keystore (device {})", config.name),
    };
    let typed = typed(&what).map_err(|source| StartError::Pin {
        device: config.name.clone(),
        source,
    })?;
    Ok(Some(typed))
}

/// Starts a key child and greets it, with the PIN that was typed or that of the file; returns the socket for the
/// server.
///
/// # Errors
/// [`StartError`].
pub fn start(
    config: &config::Device,
    typed: Option<&Pin>,
) -> Result<(KeyChild, OwnedFd), StartError> {
    let profile = profile(config)?;
    let pin = match (&config.pin, typed) {
        (PinFrom::File(path), _) => from_file(path)?,
        (PinFrom::Prompt, Some(pin)) => pin.clone(),
        (PinFrom::Prompt, None) => {
            return Err(StartError::Pin {
                device: config.name.clone(),
                source: PinError::Unusable("it was not asked for: start the daemon anew"),
            });
        }
    };
    let hello = hello(config, &profile, pin)?;
    let (mut near, far) = UnixStream::pair().map_err(StartError::Process)?;
    let places = Places::of_key_child(config, &profile);
    let process = Command::new("/proc/self/exe")
        .args(["--role", "key-child"])
        .args(flags(&places, config.user.as_deref()))
        .env_clear()
        .envs(&config.environment)
        .stdin(Stdio::from(OwnedFd::from(far)))
        .kill_on_drop(true)
        .spawn()
        .map_err(StartError::Process)?;
    near.write_all(&greeting(hello))
        .map_err(StartError::Process)?;
    Ok((
        KeyChild {
            process,
            ready: false,
            rejected: false,
        },
        near.into(),
    ))
}

/// How its places and its user are said to a key child, which has no configuration.
fn flags<'a>(places: &'a Places, user: Option<&'a str>) -> Vec<&'a OsStr> {
    let network = (places.tcp == Tcp::Connects).then_some("--network");
    let said = |flag: &'static str, place| [OsStr::new(flag), Path::as_os_str(place)];
    let reads = places.reads.iter().flat_map(|place| said("--read", place));
    let writes = places.writes.iter();
    let writes = writes.flat_map(|place| said("--write", place));
    let user = user.into_iter().flat_map(|user| ["--user", user]);
    let others = network.into_iter().chain(user).map(OsStr::new);
    others.chain(reads).chain(writes).collect()
}

/// A device's firmware profile.
///
/// # Errors
/// [`StartError::Profile`].
pub fn profile(config: &config::Device) -> Result<Profile, StartError> {
    Profile::read(&config.profile).map_err(unusable)
}

fn unusable(error: ProfileError) -> StartError {
    StartError::Profile {
        reason: log::chain(&error),
    }
}

/// Whether a key child could be greeted. A PIN that is typed is not asked for.
///
/// # Errors
/// [`StartError`].
pub fn check(config: &config::Device, profile: &Profile) -> Result<(), StartError> {
    let pin = config.pin.path().map(from_file).transpose()?;
    hello(config, profile, pin.unwrap_or_default()).map(drop)
}

/// What the child is told of its device.
///
/// # Errors
/// [`StartError`].
fn hello(config: &config::Device, profile: &Profile, pin: Pin) -> Result<Hello, StartError> {
    if !profile.knows_safe_firmware() {
        tracing::warn!(
            profile = profile.name,
            "the firmware profile does not know which firmware is safe: ask the vendor"
        );
    }
    Ok(Hello {
        backend: backend(&config.place)?,
        token: selector(config)?,
        pin,
        sessions: config.sessions,
        profile: profile.essentials().map_err(unusable)?,
    })
}

fn backend(place: &Place) -> Result<Backend, StartError> {
    let key = place.key();
    let path = place.path().to_str().ok_or(StartError::TooLong { key })?;
    let path = Text::new(path).map_err(|_| StartError::TooLong { key })?;
    Ok(match place {
        Place::Token { .. } => Backend::Module(path),
        Place::Keystore(_) => Backend::Keystore(path),
    })
}

/// The token, by its label, its serial number or both.
///
/// # Errors
/// [`StartError::TooLong`].
pub fn selector(config: &config::Device) -> Result<TokenSelector, StartError> {
    let serial = config.serial.as_deref().map(Text::new).transpose();
    let label = match &config.place {
        Place::Token { label, .. } => label.as_deref(),
        Place::Keystore(_) => Some(keys::KEYSTORE_LABEL),
    };
    Ok(TokenSelector {
        label: label
            .map(Text::new)
            .transpose()
            .map_err(|_| StartError::TooLong {
                key: "device.token",
            })?,
        serial: serial.map_err(|_| StartError::TooLong {
            key: "device.serial",
        })?,
    })
}

/// Where systemd puts what it hands to a service alone. Who may read is in a list there, which shows where the
/// rights of the group would.
const CREDENTIALS: &str = "/run/credentials";

fn from_file(path: &Path) -> Result<Pin, StartError> {
    let unusable = |reason: String| StartError::PinFile {
        path: path.to_owned(),
        reason,
    };
    let io = |error: io::Error| unusable(error.to_string());
    let mut file = File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    let others = match path.starts_with(CREDENTIALS) {
        true => 0o007,
        false => 0o077,
    };
    if mode & others != 0 {
        return Err(unusable(format!(
            "its mode is {mode:04o}: others than its owner may open it (chmod 600)"
        )));
    }
    let mut line = Zeroizing::new(Vec::new());
    file.read_to_end(&mut line).map_err(io)?;
    parse(&line).map_err(|error| unusable(error.to_string()))
}

/// How long a child may take to end after its server has: a login that is under way is not
/// interrupted (see [`keys::child::run`]).
const END_LIMIT: Duration = Duration::from_secs(10);

impl KeyChild {
    /// Waits until it has ended, as it does when its server has. One that does not is killed.
    pub async fn end(mut self) {
        let ended = timeout(END_LIMIT, self.process.wait()).await;
        if ended.is_err() {
            tracing::warn!("the key child did not end by itself and is killed");
            self.kill();
        }
    }

    /// Kills it; [`ended`] follows.
    pub fn kill(&mut self) {
        if let Err(error) = self.process.start_kill() {
            tracing::warn!(error = %error, "the key child could not be killed");
        }
    }
}

/// Waits for the end of the child, which says by its exit code whether the device rejected the PIN;
/// for ever, while there is none. How it ended, where that is known.
pub async fn ended(child: &mut Option<KeyChild>) -> Option<ExitStatus> {
    match child {
        Some(child) => {
            // An error of wait() means that it is no child of ours any more.
            let status = child.process.wait().await.ok();
            let code = status.and_then(|status| status.code());
            child.rejected |= code == Some(keys::child::EXIT_PIN_REJECTED);
            status
        }
        None => std::future::pending().await,
    }
}

/// The mark that a device rejected the PIN: each has its own.
pub fn mark_of(name: &Name) -> String {
    match name.as_str() {
        MAIN => PIN_REJECTED.to_owned(),
        replica => format!("{PIN_REJECTED}-{replica}"),
    }
}

/// Whether the device rejected the PIN and no person acted since.
pub fn is_pin_rejected(data: &Path, name: &Name) -> bool {
    data.join(mark_of(name)).exists()
}

/// Remembers, across restarts and power loss, that the device rejected the PIN.
///
/// # Errors
/// As the operating system reports them.
pub fn mark_pin_rejected(data: &Path, name: &Name) -> io::Result<()> {
    let mut file = File::create(data.join(mark_of(name)))?;
    file.write_all(
        b"The device rejected the PIN. Correct the PIN file, then remove this file.\n\
          Every further wrong try brings the token nearer to being locked.\n",
    )?;
    file.sync_all()?;
    File::open(data)?.sync_all()
}
