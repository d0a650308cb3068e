//! The charges that can still be in a window, as bytes: from them every limit is counted.
//!
//! # Format 1, as in rows
//! ```text
//! version u8 | charged at | set | needs that carried it over a limit [32] | fee terms text (JSON) | facts [fact]
//! fact: kind text (JSON) | account text | asset text | ?own: account text, class text (JSON)
//!       | client text | ?source text | class of the account text (JSON) | books [text] | amount
//!       | ?to: chain text, bytes | ?tag text
//! ```

use thiserror::Error;

use super::State;
use crate::{
    Entry,
    code::{Code as _, read_whole},
    window::Charge,
};

const VERSION: u8 = 1;

/// Why bytes are no charge.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChargeError {
    /// They are of another version than 1.
    #[error("a charge has version {found}, not 1")]
    Version {
        /// The version.
        found: u8,
    },
    /// They are no charge, or another spelling of one.
    #[error("a charge is malformed")]
    Form,
    /// The charge is older than the one before it.
    #[error("a charge is older than the one before it")]
    Order,
}

impl State {
    /// The charges that can still be in a window, oldest first: one for each attempt.
    pub fn charges(&self) -> impl Iterator<Item = Vec<u8>> {
        self.charges.iter().map(bytes)
    }

    /// The charge that this entry made, asked at once after it was applied.
    pub fn charge_written(&self, entry: &Entry) -> Option<Vec<u8>> {
        match entry {
            Entry::Attempt(_) => self.charges.last().map(bytes),
            _ => None,
        }
    }

    /// Keeps a charge behind those that it has.
    pub(super) fn keep_charge(&mut self, bytes: &[u8]) -> Result<(), ChargeError> {
        let fields = match bytes.split_first() {
            Some((&VERSION, fields)) => fields,
            Some((&found, _)) => return Err(ChargeError::Version { found }),
            None => return Err(ChargeError::Form),
        };
        let charge = read_whole(fields).ok_or(ChargeError::Form)?;
        match self.charges.keep(charge) {
            true => Ok(()),
            false => Err(ChargeError::Order),
        }
    }
}

fn bytes(charge: &Charge) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    charge.write(&mut bytes);
    bytes
}
