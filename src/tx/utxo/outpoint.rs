//! Outpoints.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::text::serde_by_text;

/// An output of an earlier transaction. Its text is `<txid>:<vout>`, the id as explorers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outpoint {
    /// The transaction's id in the byte order of the protocol, the reverse of the shown one.
    pub txid: [u8; 32],
    /// The output's position, from 0.
    pub vout: u32,
}

/// The text is no `<txid>:<vout>`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no <txid>:<output>")]
pub struct OutpointError {
    text: String,
}

impl FromStr for Outpoint {
    type Err = OutpointError;

    fn from_str(text: &str) -> Result<Self, OutpointError> {
        parse(text)
            .filter(|outpoint| outpoint.to_string() == text)
            .ok_or_else(|| OutpointError { text: text.into() })
    }
}

fn parse(text: &str) -> Option<Outpoint> {
    let (shown, vout) = text.split_once(':')?;
    let mut txid = [0; 32];
    hex::decode_to_slice(shown, &mut txid).ok()?;
    txid.reverse();
    let vout = vout.parse().ok()?;
    Some(Outpoint { txid, vout })
}

impl fmt::Display for Outpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown_txid(self.txid), self.vout)
    }
}

/// A transaction's id as explorers show it.
pub(super) fn shown_txid(mut txid: [u8; 32]) -> String {
    txid.reverse();
    hex::encode(txid)
}

serde_by_text!(Outpoint, "an outpoint, <txid>:<output>");
