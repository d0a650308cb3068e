//! What `status` answers of a coordinator.

use std::fmt;

use api::wallet::{GateState, LaneReport, StatusAnswer};
use serde::Serialize;

use super::report::Readiness;
use crate::client::plain;
use crate::lanes::view;

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
            view::lane(f, lane)?;
        }
        for count in &status.stages {
            writeln!(f, "stage {:<15} {}", count.stage.name(), count.count)?;
        }
        Ok(())
    }
}
