//! What `status` answers of a coordinator.

use std::fmt;

use api::wallet::{GateState, LaneReport, StatusAnswer};
use serde::Serialize;

use super::report::Readiness;
use crate::client::plain;

/// The answer of `status`.
#[derive(Debug, Serialize)]
pub struct Coordinator {
    #[serde(skip_serializing_if = "Option::is_none")]
    readiness: Option<Readiness>,
    #[serde(flatten)]
    status: StatusAnswer,
}

impl Coordinator {
    /// What it said.
    pub fn new(status: StatusAnswer, readiness: Option<Readiness>) -> Self {
        Self { readiness, status }
    }

    /// Whether it pays what it is asked for: it is ready, it reaches the signer, and no lane waits for
    /// a person.
    pub fn is_well(&self) -> bool {
        let halted = |lane: &LaneReport| lane.gate == GateState::Halted;
        self.readiness
            .as_ref()
            .is_none_or(|readiness| readiness.ready)
            && self.status.signer.reachable
            && !self.status.lanes.iter().any(halted)
    }
}

impl fmt::Display for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(readiness) = &self.readiness {
            write!(f, "{readiness}")?;
        }
        let status = &self.status;
        writeln!(f, "walletd {}", plain(&status.version))?;
        writeln!(f, "time    {}", status.time)?;
        let detail = status
            .signer
            .detail
            .as_deref()
            .unwrap_or("it does not answer");
        match status.signer.reachable {
            true => writeln!(f, "signer  reachable")?,
            false => writeln!(f, "signer  NOT REACHABLE: {}", plain(detail))?,
        }
        for chain in &status.chains {
            write!(f, "chain {}", chain.chain)?;
            let known =
                |what, height: Option<u64>| height.map(|height| format!(" {what} {height}"));
            let heights = [("height", chain.height), ("finalized", chain.finalized)];
            let heights = heights.into_iter().filter_map(|(what, it)| known(what, it));
            write!(f, "{}", heights.collect::<String>())?;
            match &chain.detail {
                Some(detail) => writeln!(f, ": {}", plain(detail))?,
                None => writeln!(f)?,
            }
        }
        for lane in &status.lanes {
            show(f, lane)?;
        }
        for count in &status.stages {
            writeln!(f, "stage {:<15} {}", count.stage.name(), count.count)?;
        }
        Ok(())
    }
}

fn show(f: &mut fmt::Formatter<'_>, lane: &LaneReport) -> fmt::Result {
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
