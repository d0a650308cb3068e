//! Holds a process to its places (landlock(7)): it, its threads and whatever it might run open nothing else, as whoever
//! they are.
//!
//! Nothing is executed from anywhere, and no place makes devices. TCP, signals to others and abstract sockets are held where the
//! kernel can: from 6.7 and 6.12 on.

use std::{io, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, make_bitflags,
};
use thiserror::Error;

use super::places::{Places, Tcp};

/// What a kernel must be able to hold (5.19), and what is held where it is.
const LEAST: ABI = ABI::V2;
const MOST: ABI = ABI::V6;

/// The process cannot be held to its places.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The kernel has no landlock, or was started without it.
    #[error(
        "the kernel does not hold processes to files (landlock): it needs Linux 5.19 with `landlock` in its list of security modules (lsm=)"
    )]
    Kernel(#[source] RulesetError),
    /// The kernel says that it did, and that nothing is held.
    #[error("the kernel does not hold processes to files (landlock)")]
    Unheld,
    /// A place that is there cannot be opened.
    #[error("{path} cannot be opened")]
    Place {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// Holds this thread, and those that it will start, to places. One that is not there, or out of this user's reach, is passed
/// over: it cannot be opened then when it comes later either.
///
/// # Errors
/// [`FilesError`].
pub fn restrict(places: &Places) -> Result<(), FilesError> {
    let mut rules = ruleset(&places.tcp).map_err(FilesError::Kernel)?;
    for (paths, rights) in [(&places.reads, reading()), (&places.writes, writing())] {
        for path in paths {
            rules = with_place(rules, path, rights)?;
        }
    }
    let status = rules.restrict_self().map_err(FilesError::Kernel)?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _)
        | (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => {
            Err(FilesError::Unheld)
        }
        _ => Ok(()),
    }
}

/// Whether this kernel could.
///
/// # Errors
/// [`FilesError::Kernel`].
pub fn probe() -> Result<(), FilesError> {
    ruleset(&Tcp::default())
        .map(drop)
        .map_err(FilesError::Kernel)
}

fn ruleset(tcp: &Tcp) -> Result<RulesetCreated, RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(MOST))?
        .scope(Scope::from_all(MOST))?;
    match tcp {
        Tcp::Connects => ruleset.create(),
        Tcp::Listens(ports) => {
            let ruleset = ruleset.handle_access(AccessNet::from_all(MOST))?.create()?;
            let bind = |port: &u16| Ok(NetPort::new(*port, AccessNet::BindTcp));
            ruleset.add_rules(ports.iter().map(bind))
        }
    }
}

fn with_place(
    rules: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, FilesError> {
    let place = match PathFd::new(path) {
        Ok(place) => place,
        Err(PathFdError::OpenCall { source, .. }) if is_out_of_reach(&source) => return Ok(rules),
        Err(error) => {
            return Err(FilesError::Place {
                path: path.display().to_string(),
                source: io::Error::other(error),
            });
        }
    };
    // A file has no right of folders.
    let rights = match path.is_dir() {
        true => rights,
        false => rights & AccessFs::from_file(MOST),
    };
    let rule = PathBeneath::new(place, rights);
    rules.add_rule(rule).map_err(FilesError::Kernel)
}

/// It is not there, or who this process is comes to no such place.
fn is_out_of_reach(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn reading() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | ReadDir})
}

/// All but to execute, and to make a device.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_all(MOST) & !make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock})
}
