//! The restore gate: nothing new is begun until database, signer and chain agree.

use tx::Time;

use super::{EvmLane, draft::Draft, lane::Effects};
use crate::{
    chains::common::{self, Backoff},
    change::{Change, Gate},
    lane::Effect,
    signer::Comparison,
    withdrawal::WaitingReason,
};

/// What is known about the signer's journal since the process began.
#[derive(Debug)]
pub(super) struct Restore {
    out: bool,
    /// What the lane was when the comparison was asked for.
    basis: Option<Basis>,
    comparison: Option<Comparison>,
    trouble: Option<String>,
    backoff: Backoff,
    not_before: Time,
}

/// A comparison says something about the nonce only if it is asked for while nothing is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basis {
    next_nonce: u64,
    outstanding: bool,
}

impl Default for Restore {
    fn default() -> Self {
        Self {
            out: false,
            basis: None,
            comparison: None,
            trouble: None,
            backoff: Backoff::SIGNER,
            not_before: Time::default(),
        }
    }
}

impl Restore {
    pub(super) fn due(&self) -> Option<Time> {
        (!self.out && self.comparison.is_none()).then_some(self.not_before)
    }

    fn compare_again(&mut self) {
        self.comparison = None;
    }
}

impl EvmLane {
    fn is_closed(&self) -> bool {
        matches!(self.view.row.gate, Gate::Closed { .. })
    }

    fn basis(&self) -> Basis {
        Basis {
            next_nonce: self.view.row.next_nonce,
            outstanding: !self.sets.unsigned().is_empty(),
        }
    }

    pub(super) fn hear_compared(&mut self, comparison: Result<Comparison, String>, now: Time) {
        let restore = &mut self.restore;
        restore.out = false;
        match comparison {
            Ok(comparison) => {
                restore.comparison = Some(comparison);
                restore.trouble = None;
                restore.backoff.reset();
            }
            Err(detail) => {
                restore.trouble = Some(detail);
                restore.not_before = restore.backoff.fail(now);
            }
        }
    }

    pub(super) fn plan_comparison(&mut self, now: Time, effects: &mut Effects) {
        let writing = self.writing.out.is_some();
        let restore = &self.restore;
        let asked = restore.out || restore.comparison.is_some() || now < restore.not_before;
        if !self.is_closed() || writing || asked {
            return;
        }
        self.restore.out = true;
        self.restore.basis = Some(self.basis());
        effects.push(Effect::Compare);
    }

    pub(super) fn draft_gate(&mut self, draft: &mut Draft) {
        self.draft_stranger(draft);
        self.draft_undecided(draft);
        if draft.halted || !self.is_closed() {
            return;
        }
        match self.what_is_missing(draft) {
            Ok(()) => {
                draft.open = true;
                draft.push(Change::Gate(Gate::Open));
                self.restore.compare_again();
            }
            Err(detail) => {
                let gate = Gate::Closed { detail };
                if !draft.halted && gate != self.view.row.gate {
                    draft.record(Change::Gate(gate));
                }
            }
        }
        // Nothing is begun by the commit that opens the gate: the view is compared with it first.
        draft.open = false;
    }

    /// Somebody else signs with the key, or the nodes show another chain: only a person can tell.
    fn draft_stranger(&self, draft: &mut Draft) {
        let Some((nonce, used)) = &self.watch.stranger else {
            return;
        };
        let height = used.block.height;
        let txid = &used.txid;
        let detail =
            format!("nonce {nonce} was used by {txid} in block {height}, which is not ours");
        let set = self.sets.get(*nonce);
        let attempts = set.into_iter().flat_map(|set| &set.attempts);
        let attempts = attempts.filter_map(|number| self.view.attempts.get(number));
        let now = draft.now;
        for attempt in attempts {
            draft.note(&self.view, &attempt.pays, |before| {
                let reason = WaitingReason::LaneClosed;
                Some(common::waiting(before, reason, &detail, now))
            });
        }
        draft.halt(detail);
    }

    fn what_is_missing(&mut self, draft: &mut Draft) -> Result<(), String> {
        self.compare_with_signer(draft)?;
        let next = self.view.row.next_nonce;
        let Some(head) = self.watch.head() else {
            let trouble = self.watch.trouble(draft.now);
            let trouble = trouble.unwrap_or_else(|| "it is being looked at".to_owned());
            return Err(format!("the chain: {trouble}"));
        };
        if head.nonce_most > next {
            let seen = head.nonce_most;
            return Err(format!(
                "the chain has nonces below {seen}, and the next is {next}"
            ));
        }
        Ok(())
    }

    fn compare_with_signer(&mut self, draft: &mut Draft) -> Result<(), String> {
        let Some(comparison) = &self.restore.comparison else {
            let trouble = self.restore.trouble.as_deref();
            let trouble = trouble.unwrap_or("its journal is being compared");
            return Err(format!("the signer: {trouble}"));
        };
        if !comparison.unknown.is_empty() {
            let count = comparison.unknown.len();
            for adopt in comparison.unknown.clone() {
                draft.push(Change::Adopt(Box::new(adopt)));
            }
            draft
                .changes
                .extend(comparison.to.map(|to| Change::Compared { to }));
            self.restore.compare_again();
            return Err(format!(
                "{count} attempts are taken over from the signer's journal"
            ));
        }
        let (to, epoch, signer_next) = (comparison.to, comparison.epoch, comparison.next_nonce);
        self.compare_epoch(epoch, draft)?;
        let basis = self.basis();
        if basis.outstanding || !draft.unsigned.is_empty() {
            return Err("the signer has not answered for an attempt".to_owned());
        }
        if self.restore.basis != Some(basis) {
            self.restore.compare_again();
            return Err("the signer: its journal is being compared".to_owned());
        }
        if signer_next != Some(basis.next_nonce) {
            let signer = signer_next.map_or("none".to_owned(), |next| next.to_string());
            let detail = format!(
                "the signer's next nonce is {signer}, and the store's {}",
                basis.next_nonce
            );
            draft.halt(detail.clone());
            return Err(detail);
        }
        if to > self.view.row.compared_to {
            draft.changes.extend(to.map(|to| Change::Compared { to }));
        }
        Ok(())
    }

    /// The signer takes its own epoch or the next one.
    fn compare_epoch(&self, signer: u64, draft: &mut Draft) -> Result<(), String> {
        let ours = self.view.row.epoch;
        if signer > ours {
            draft.push(Change::EpochSeen { epoch: signer });
        } else if signer.saturating_add(1) < ours {
            let detail = format!("the signer's epoch is {signer}, and the lane's {ours}");
            draft.halt(detail.clone());
            return Err(detail);
        }
        Ok(())
    }
}
