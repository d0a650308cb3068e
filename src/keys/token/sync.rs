//! Writing a token's files through to the disk. SoftHSM 2.6.1 never does: a key that it reported
//! as generated is lost with the power (found by `strace`, which shows no fsync).

use std::{
    env, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::{
    device::{Essentials, Quirks},
    protocol::Failure,
};

/// Where SoftHSM's configuration is when nothing else says so.
const SOFTHSM_CONFIG: &str = "/etc/softhsm/softhsm2.conf";

/// After objects were made or destroyed.
pub(crate) fn after_change(profile: &Essentials) -> Result<(), Failure> {
    if !profile.quirks.contains(Quirks::SYNC_SOFTHSM_FILES) {
        return Ok(());
    }
    own_tokens()
        .and_then(|directory| sync_tree(&directory, 3))
        .map_err(|_| Failure::SyncFailed)
}

/// Whether the disk under the token's files is full.
pub(super) fn is_full(profile: &Essentials) -> bool {
    if !profile.quirks.contains(Quirks::SYNC_SOFTHSM_FILES) {
        return false;
    }
    let Ok(directory) = own_tokens() else {
        return false;
    };
    // Less than an object's files need.
    rustix::fs::statvfs(&directory)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < 65_536 || disk.f_favail < 4)
}

/// Of the configuration that the module in this process reads.
fn own_tokens() -> io::Result<PathBuf> {
    let config = env::var_os("SOFTHSM2_CONF").map(PathBuf::from);
    softhsm_tokens(config.as_deref())
}

/// Where SoftHSM has its tokens: `directories.tokendir` of its configuration, or of that which it has when nothing
/// names another.
///
/// # Errors
/// When it cannot be read, or names no folder.
pub fn softhsm_tokens(config: Option<&Path>) -> io::Result<PathBuf> {
    let text = fs::read_to_string(config.unwrap_or(Path::new(SOFTHSM_CONFIG)))?;
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == "directories.tokendir")
        .map(|(_, value)| PathBuf::from(value.trim()))
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Files before the folder that names them. `levels` bounds the walk: SoftHSM has two.
fn sync_tree(directory: &Path, levels: u8) -> io::Result<()> {
    let Some(below) = levels.checked_sub(1) else {
        return Ok(());
    };
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => sync_tree(&entry.path(), below)?,
            kind if kind.is_file() => File::open(entry.path())?.sync_all()?,
            _ => {}
        }
    }
    File::open(directory)?.sync_all()
}
