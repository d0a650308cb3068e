//! The restore gate: nothing new until database, signer and chain agree.

use tx::Time;

use super::lane::{Effects, UtxoLane};
use crate::{
    chains::common::Backoff,
    change::{Change, Gate},
    lane::Effect,
    signer::Comparison,
    text::shown,
};

/// The comparison with the signer's journal.
#[derive(Debug)]
pub(super) struct Restore {
    stage: Comparing,
    not_before: Time,
    backoff: Backoff,
    trouble: Option<String>,
}

#[derive(Debug)]
enum Comparing {
    Due,
    Out,
    Heard(Box<Comparison>),
    Done,
}

impl Default for Restore {
    fn default() -> Self {
        Self {
            stage: Comparing::Due,
            not_before: Time::default(),
            backoff: Backoff::SIGNER,
            trouble: None,
        }
    }
}

impl Restore {
    /// Whether the signer's journal held nothing that is not known here, since this process began.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Comparing::Done)
    }

    pub(super) fn hear(&mut self, comparison: Result<Comparison, String>, now: Time) {
        match comparison {
            Ok(comparison) => {
                self.stage = Comparing::Heard(Box::new(comparison));
                self.trouble = None;
            }
            Err(detail) => {
                self.stage = Comparing::Due;
                self.not_before = self.backoff.fail(now);
                self.trouble = Some(detail);
            }
        }
    }

    pub(super) fn plan(&mut self, now: Time, effects: &mut Effects) {
        if matches!(self.stage, Comparing::Due) && now >= self.not_before {
            self.stage = Comparing::Out;
            effects.push(Effect::Compare);
        }
    }

    pub(super) fn due(&self) -> Option<Time> {
        matches!(self.stage, Comparing::Due).then_some(self.not_before)
    }

    /// What was compared is durable.
    pub(super) fn committed(&mut self, changes: &[Change]) {
        let compared = |change: &Change| {
            let adopted = matches!(change, Change::Adopt(_));
            adopted || matches!(change, Change::Compared { .. } | Change::EpochSeen { .. })
        };
        if matches!(self.stage, Comparing::Heard(_)) && changes.iter().any(compared) {
            self.stage = Comparing::Done;
        }
    }

    /// The signer has authorised nothing yet, and nothing follows from it.
    fn nothing_heard(&mut self) {
        if matches!(self.stage, Comparing::Heard(_)) {
            self.stage = Comparing::Done;
        }
    }

    fn changes(&self, epoch: u64) -> Vec<Change> {
        let Comparing::Heard(comparison) = &self.stage else {
            return Vec::new();
        };
        let adopted = comparison.unknown.iter().cloned();
        let mut changes: Vec<_> = adopted
            .map(|adopt| Change::Adopt(Box::new(adopt)))
            .collect();
        if comparison.epoch > epoch {
            let epoch = comparison.epoch;
            changes.push(Change::EpochSeen { epoch });
        }
        changes.extend(comparison.to.map(|to| Change::Compared { to }));
        changes
    }
}

impl UtxoLane {
    /// What the comparison brought, and then the gate.
    pub(super) fn draft_gate(&mut self) -> Vec<Change> {
        let compared = self.restore.changes(self.view.row.epoch);
        if !compared.is_empty() {
            return compared;
        }
        self.restore.nothing_heard();
        let Gate::Closed { detail } = &self.view.row.gate else {
            return Vec::new();
        };
        match self.closed_for() {
            None => vec![Change::Gate(Gate::Open)],
            Some(why) if why != *detail => vec![Change::Gate(Gate::Closed { detail: why })],
            Some(_) => Vec::new(),
        }
    }

    /// What is still to be compared.
    fn closed_for(&self) -> Option<String> {
        let because = |what: &str, trouble: Option<&str>| {
            let text = trouble.map_or_else(|| what.into(), |trouble| format!("{what}: {trouble}"));
            Some(shown(&text))
        };
        if !self.restore.is_done() {
            let trouble = self.restore.trouble.as_deref();
            return because("the signer's journal is to be compared", trouble);
        }
        if let Some(stopped) = self.chain.stopped() {
            return because(&stopped, None);
        }
        if !self.chain.is_at_tip(self.view.tip()) {
            return because("the chain is to be read to its end", self.chain.trouble());
        }
        None
    }
}
