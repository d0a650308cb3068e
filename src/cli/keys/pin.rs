//! PINs: from a file only its owner can read, or typed.

use std::path::Path;

use ::keys::{
    pin::{PinError, parse, typed},
    protocol::Pin,
};
use zeroize::Zeroizing;

use super::error::KeysError;
use crate::files;

/// Longer than any PIN.
const FILE_MAX_BYTES: u64 = 1024;

/// What a PIN that is typed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One that is set already.
    Known,
    /// One that is set now, asked for twice.
    Chosen,
}

/// Reads a PIN from a file, or asks for it.
///
/// # Errors
/// [`KeysError::File`], [`KeysError::Pin`].
pub fn read(file: Option<&Path>, what: &'static str, entry: Entry) -> Result<Pin, KeysError> {
    let refused = |source| KeysError::Pin { what, source };
    let Some(path) = file else {
        let first = typed(what).map_err(refused)?;
        if entry == Entry::Chosen && typed("the same again").map_err(refused)? != first {
            return Err(refused(PinError::Unusable("the two are not the same")));
        }
        return Ok(first);
    };
    files::check_private(path).map_err(KeysError::File)?;
    let bytes = files::read(path, FILE_MAX_BYTES).map_err(KeysError::File)?;
    parse(&Zeroizing::new(bytes)).map_err(refused)
}
