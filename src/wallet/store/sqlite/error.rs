//! What SQLite's errors mean here. Their own texts name tables and paths, and are not passed on.

use sqlx::Error;

use crate::store::StoreError;

/// The meaning of an error.
pub(super) fn of(error: Error) -> StoreError {
    match error {
        Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse::<u32>().ok());
            of_code(code.unwrap_or(0))
        }
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => {
            corrupt("a column cannot be read")
        }
        Error::PoolTimedOut => unavailable("every connection is in use"),
        _ => unavailable("the connection failed"),
    }
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
