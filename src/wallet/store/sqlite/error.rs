//! What SQLite's errors mean here. Their own texts name tables and paths, and are not passed on.

use rusqlite::Error;

use crate::store::StoreError;

/// The meaning of an error.
pub(super) fn of(error: Error) -> StoreError {
    let code = match &error {
        Error::SqliteFailure(failure, _) | Error::SqlInputError { error: failure, .. } => {
            u32::try_from(failure.extended_code)
        }
        Error::InvalidPath(_) | Error::NulError(_) => return unavailable("it cannot be opened"),
        _ => return corrupt("a column cannot be read"),
    };
    of_code(code.unwrap_or(0))
}

/// SQLite's extended result code: its last byte is the primary one.
fn of_code(code: u32) -> StoreError {
    match code & 0xff {
        5 | 6 => unavailable("it is locked by another process"),
        7 => unavailable("there is no memory"),
        8 => unavailable("it is read-only"),
        10 => unavailable("the disk fails"),
        13 => unavailable("the disk is full"),
        3 | 14 | 23 => unavailable("it cannot be opened"),
        11 => corrupt("a page is damaged"),
        26 => corrupt("the file is no database"),
        19 => StoreError::Conflict {
            what: "a constraint of the database does not hold".into(),
        },
        _ => corrupt("a statement does not fit its tables"),
    }
}

pub(super) fn unavailable(detail: &str) -> StoreError {
    StoreError::Unavailable {
        detail: detail.into(),
    }
}

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt { what: what.into() }
}

pub(super) fn conflict(what: impl Into<String>) -> StoreError {
    StoreError::Conflict { what: what.into() }
}

/// The same error for another who waited.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Fenced { lane } => StoreError::Fenced { lane: lane.clone() },
        StoreError::Conflict { what } => StoreError::Conflict { what: what.clone() },
        StoreError::Unavailable { detail } => StoreError::Unavailable {
            detail: detail.clone(),
        },
        StoreError::Corrupt { what } => StoreError::Corrupt { what: what.clone() },
    }
}
