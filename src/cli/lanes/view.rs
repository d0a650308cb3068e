//! A lane, as text.

use std::fmt;

use api::wallet::{GateState, LaneReport};

use crate::client::plain;

/// Two lines.
pub fn lane(f: &mut fmt::Formatter<'_>, lane: &LaneReport) -> fmt::Result {
    let gate = match lane.gate {
        GateState::Open => "open",
        GateState::Halted => "HALTED",
        _ => "closed",
    };
    let detail = lane.detail.as_deref().map(plain);
    let why = detail.map(|detail| format!(": {detail}"));
    let (name, why) = (plain(&lane.lane), why.unwrap_or_default());
    writeln!(f, "lane {name} of {} is {gate}{why}", lane.account)?;
    write!(f, "  epoch {}, lease {}", lane.epoch, lane.lease)?;
    if let Some(nonce) = lane.next_nonce {
        write!(f, ", next nonce {nonce}")?;
    }
    write!(f, ", next attempt {}", lane.next_attempt)?;
    match lane.compared_to {
        Some(to) => writeln!(f, ", compared to entry {to}"),
        None => writeln!(f),
    }
}
