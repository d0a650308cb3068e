//! The PKCS#11 modules that tests run against, and how each is reached.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::repository;

/// A PKCS#11 module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// SoftHSM, as Debian 12 has it.
    SoftHsm,
    /// openCryptoki with its software token, with the libraries of Debian 13.
    OpenCryptoki,
    /// Kryoptic, with the libraries of Debian 13.
    Kryoptic,
}

/// Its configuration, tokens, locks, shared memory and log, and the socket of its daemon.
const OPENCRYPTOKI_WRITES: [&str; 6] = [
    "/etc/opencryptoki",
    "/var/lib/opencryptoki",
    "/run/lock/opencryptoki",
    "/run/opencryptoki",
    "/dev/shm",
    "/var/log/opencryptoki",
];

impl Module {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SoftHsm, Self::OpenCryptoki, Self::Kryoptic];

    /// Its path, as programs that load it see it.
    pub const fn path(self) -> &'static str {
        match self {
            Self::SoftHsm => "/usr/lib/softhsm/libsofthsm2.so",
            Self::OpenCryptoki => "/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0",
            Self::Kryoptic => "/usr/lib/x86_64-linux-gnu/libkryoptic_pkcs11.so",
        }
    }

    /// Whether it was installed.
    pub fn is_there(self) -> bool {
        match self {
            Self::SoftHsm => Path::new(self.path()).exists(),
            Self::OpenCryptoki | Self::Kryoptic => {
                repository(&format!("target/debian13{}", self.path())).exists()
            }
        }
    }

    /// Its firmware profile.
    pub fn profile(self) -> PathBuf {
        repository(match self {
            Self::SoftHsm => "firmware-profiles/softhsm-2.6.toml",
            Self::OpenCryptoki => "firmware-profiles/opencryptoki-3.23.toml",
            Self::Kryoptic => "firmware-profiles/kryoptic-1.5.toml",
        })
    }

    /// The variable by which it finds its configuration, and the file's name.
    pub(crate) fn configuration(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::SoftHsm => Some(("SOFTHSM2_CONF", "softhsm2.conf")),
            Self::OpenCryptoki => None,
            Self::Kryoptic => Some(("KRYOPTIC_CONF", "kryoptic.conf")),
        }
    }

    /// The user that its key child must be: openCryptoki serves one group, which its daemon's user is in.
    pub(crate) fn user(self) -> Option<&'static str> {
        match self {
            Self::OpenCryptoki => Some("pkcsslotd"),
            Self::SoftHsm | Self::Kryoptic => None,
        }
    }

    /// What it writes, beside SoftHSM's tokens, where `tokens` is the folder of its own.
    pub(crate) fn writes(self, tokens: &Path) -> Vec<PathBuf> {
        match self {
            Self::SoftHsm => Vec::new(),
            Self::OpenCryptoki => OPENCRYPTOKI_WRITES.map(PathBuf::from).into(),
            Self::Kryoptic => vec![tokens.to_owned()],
        }
    }

    /// Writes its configuration, for tokens in `folder`.
    pub(crate) fn configure(self, folder: &Path) {
        let text = match self {
            Self::SoftHsm => format!(
                "directories.tokendir = {}\nobjectstore.backend = file\nobjectstore.umask = 0077\n\
                 log.level = ERROR\nslots.removable = false\n",
                folder.join("tokens").display()
            ),
            Self::OpenCryptoki => return,
            Self::Kryoptic => format!(
                "[[slots]]\nslot = 0\ndbtype = \"sqlite\"\ndbargs = {:?}\n",
                folder.join("tokens/token.sql")
            ),
        };
        if let Some((_, name)) = self.configuration() {
            fs::write(folder.join(name), text).expect("the module's configuration");
        }
    }

    /// A program that loads it, with the tokens of `folder`.
    pub fn program(self, folder: &Path, program: &Path) -> Command {
        let mut command = match self {
            Self::SoftHsm => Command::new(program),
            Self::OpenCryptoki | Self::Kryoptic => {
                let mut inside = Command::new(repository("softhsm-tests/modules/inside"));
                inside.arg(folder.join("opencryptoki")).arg(program);
                inside
            }
        };
        if let Some((variable, name)) = self.configuration() {
            command.env(variable, folder.join(name));
        }
        command
    }
}
