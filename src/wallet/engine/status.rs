//! How the lanes are, for health and for people.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use tx::Name;

use crate::{change::Gate, lane::LaneId};

/// How a lane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// The lane.
    pub id: LaneId,
    /// The account at the signer.
    pub account: Name,
    /// How it is.
    pub state: LaneState,
}

/// How a lane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneState {
    /// It is not owned yet, or its view is being loaded.
    Starting {
        /// What stands in the way, if anything does.
        detail: Option<String>,
    },
    /// Another process owns it.
    Elsewhere,
    /// It works.
    Running {
        /// Whether it may begin payouts.
        gate: Gate,
    },
    /// It cannot work.
    Broken {
        /// Why, for people.
        detail: String,
    },
}

impl LaneStatus {
    /// Why it begins no payouts, if it does not.
    pub fn obstacle(&self) -> Option<String> {
        match &self.state {
            LaneState::Running { gate: Gate::Open } => None,
            LaneState::Running {
                gate: Gate::Closed { detail },
            } => Some(format!("closed: {detail}")),
            LaneState::Running {
                gate: Gate::Halted { detail },
            } => Some(format!("halted: {detail}")),
            LaneState::Starting { detail: None } => Some("starting".into()),
            LaneState::Starting {
                detail: Some(detail),
            } => Some(format!("starting: {detail}")),
            LaneState::Elsewhere => Some("another process owns it".into()),
            LaneState::Broken { detail } => Some(format!("broken: {detail}")),
        }
    }
}

/// All lanes.
#[derive(Debug, Default)]
pub(super) struct Statuses(Mutex<BTreeMap<LaneId, LaneStatus>>);

impl Statuses {
    pub(super) fn all(&self) -> Vec<LaneStatus> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    pub(super) fn set(&self, id: &LaneId, account: &Name, state: LaneState) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(id) {
            Some(status) => status.state = state,
            None => {
                let status = LaneStatus {
                    id: id.clone(),
                    account: account.clone(),
                    state,
                };
                all.insert(id.clone(), status);
            }
        }
    }

    /// The gate of a lane that works; `true` if it is another than before.
    pub(super) fn gate(&self, id: &LaneId, gate: &Gate) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(status) = all.get_mut(id) else {
            return false;
        };
        if matches!(&status.state, LaneState::Running { gate: known } if known == gate) {
            return false;
        }
        status.state = LaneState::Running { gate: gate.clone() };
        true
    }
}
