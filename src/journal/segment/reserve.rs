//! Space held back, so that a full disk still takes the record that says so.

use sha2::{Digest, Sha256};

use super::error::DiskError;
use super::files::Folder;
use super::format::RESERVE_NAME;
use super::log::ReserveState;

/// Makes the reserve unless it is there already.
///
/// Its bytes are never read. They do not compress, as file systems that compress would
/// otherwise hold back nothing.
pub(super) fn hold(
    folder: &Folder,
    names: &[String],
    bytes: usize,
) -> Result<ReserveState, DiskError> {
    if names.iter().any(|name| name == RESERVE_NAME) {
        return Ok(ReserveState::Held);
    }
    let mut filler = Vec::with_capacity(bytes);
    let mut block: [u8; 32] = Sha256::digest(RESERVE_NAME).into();
    while filler.len() < bytes {
        filler.extend_from_slice(&block);
        block = Sha256::digest(block).into();
    }
    match folder.put(RESERVE_NAME, &filler) {
        Ok(_) => Ok(ReserveState::Held),
        Err(error) if error.is_disk_full() => Ok(ReserveState::Missing),
        Err(error) => Err(error),
    }
}

/// Gives the space back to the disk.
pub(super) fn release(folder: &Folder) -> Result<(), DiskError> {
    folder.remove(RESERVE_NAME)?;
    folder.sync()
}
