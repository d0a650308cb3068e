//! Changes under way: what they touch is kept, so that they can be taken back and written down.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use api::signing::SignAnswer;
use tx::{Time, utxo::Outpoint};

use super::ApplyError;
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    change::{Change, Coin, Gate},
    evidence::BlockRef,
    lane::{LaneRow, LaneView},
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// A spent coin, with the height and the transaction that spend it.
type Spent = (Coin, u64, String);

/// Changes under way on a view.
pub(super) struct Applying<'a> {
    pub(super) view: &'a mut LaneView,
    pub(super) at: Time,
    queued: &'a dyn Fn(WithdrawalNumber) -> Option<Withdrawal>,
    applied: Applied,
}

/// What changes did to a view: of everything that they touched, what it was before.
pub(crate) struct Applied {
    /// The row before.
    pub(crate) row: LaneRow,
    /// The attempts before; `None` for new ones.
    pub(crate) attempts: BTreeMap<AttemptNumber, Option<Attempt>>,
    /// The withdrawals before; `None` for those that were not in the view.
    pub(crate) withdrawals: BTreeMap<WithdrawalNumber, Option<Withdrawal>>,
    /// The coins before.
    pub(crate) coins: BTreeMap<Outpoint, Option<Coin>>,
    /// The spent coins before.
    pub(crate) spent: BTreeMap<Outpoint, Option<Spent>>,
    /// The blocks before, if they changed.
    pub(crate) blocks: Option<VecDeque<BlockRef>>,
    /// The attempts that have left the view, as they are now.
    pub(crate) left: BTreeMap<AttemptNumber, Attempt>,
    /// The withdrawals that have left the view, as they are now.
    pub(crate) freed: BTreeMap<WithdrawalNumber, Withdrawal>,
    /// Every step of a withdrawal, in order.
    pub(crate) steps: Vec<Step>,
}

/// A step of a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) withdrawal: WithdrawalNumber,
    pub(crate) from: Stage,
    pub(crate) to: Stage,
    pub(crate) attempt: AttemptNumber,
}

impl<'a> Applying<'a> {
    pub(super) fn new(
        view: &'a mut LaneView,
        queued: &'a dyn Fn(WithdrawalNumber) -> Option<Withdrawal>,
        at: Time,
    ) -> Self {
        let applied = Applied {
            row: view.row.clone(),
            attempts: BTreeMap::new(),
            withdrawals: BTreeMap::new(),
            coins: BTreeMap::new(),
            spent: BTreeMap::new(),
            blocks: None,
            left: BTreeMap::new(),
            freed: BTreeMap::new(),
            steps: Vec::new(),
        };
        Self {
            view,
            at,
            queued,
            applied,
        }
    }

    pub(super) fn change(&mut self, change: &Change) -> Result<(), ApplyError> {
        match change {
            Change::Assign(attempt) => self.assign(attempt),
            Change::Replace(attempt) => self.replace(attempt),
            Change::Adopt(adopt) => self.adopt(adopt),
            Change::Signed { attempt, answer } => self.signed(*attempt, answer),
            Change::Void {
                attempt,
                certificate,
            } => self.void(*attempt, certificate),
            Change::Wait { .. } => {
                self.wait(change);
                Ok(())
            }
            Change::Broadcast { attempt, at } => self.broadcast(*attempt, *at),
            Change::Included { attempt, inclusion } => self.included(*attempt, inclusion),
            Change::Excluded { attempt } => self.excluded(*attempt),
            Change::Final {
                attempt,
                inclusion,
                tip,
            } => self.settled(*attempt, AttemptStage::Final(inclusion.clone()), tip),
            Change::Failed {
                attempt,
                inclusion,
                tip,
            } => self.settled(*attempt, AttemptStage::Failed(inclusion.clone()), tip),
            Change::Unproven {
                attempt,
                inclusion,
                tip,
            } => self.unproven(*attempt, inclusion, tip),
            Change::Settled { attempt, outcome } => self.judged(*attempt, *outcome),
            Change::Dead {
                attempt,
                certificate,
            } => self.dead(*attempt, certificate),
            Change::EpochSeen { epoch } => {
                self.epoch_seen(*epoch);
                Ok(())
            }
            Change::Compared { to } => {
                self.view.row.compared_to = self.view.row.compared_to.max(Some(*to));
                Ok(())
            }
            Change::Gate(gate) => self.gate(gate),
            Change::Block(read) => self.block(read),
            Change::Rewind { to } => self.rewind(to),
        }
    }

    fn gate(&mut self, gate: &Gate) -> Result<(), ApplyError> {
        let halted = |gate: &Gate| matches!(gate, Gate::Halted { .. });
        if halted(&self.view.row.gate) && !halted(gate) {
            return Err(ApplyError::Gate);
        }
        self.view.row.gate = gate.clone();
        Ok(())
    }

    fn wait(&mut self, change: &Change) {
        let Change::Wait {
            withdrawals,
            waiting,
            not_before,
        } = change
        else {
            return;
        };
        for number in withdrawals {
            if let Some(withdrawal) = self.withdrawal_mut(*number) {
                withdrawal.waiting.clone_from(waiting);
                withdrawal.not_before = *not_before;
            }
        }
    }

    /// An attempt to be looked at.
    pub(super) fn attempt(&self, number: AttemptNumber) -> Result<&Attempt, ApplyError> {
        let unknown = ApplyError::UnknownAttempt { attempt: number };
        self.view.attempts.get(&number).ok_or(unknown)
    }

    /// Keeps what an attempt was.
    fn keep(&mut self, number: AttemptNumber) {
        if let Some(attempt) = self.view.attempts.get(&number) {
            let touched = self.applied.attempts.entry(number);
            touched.or_insert_with(|| Some(attempt.clone()));
        }
    }

    /// An attempt comes to another stage; what it was is kept.
    pub(super) fn become_stage(&mut self, number: AttemptNumber, stage: AttemptStage) {
        self.keep(number);
        self.view.attempts.become_stage(number, stage);
    }

    /// An attempt is signed; what it was is kept.
    pub(super) fn become_signed(&mut self, number: AttemptNumber, answer: &Arc<SignAnswer>) {
        self.become_stage(number, AttemptStage::Signed);
        self.view.attempts.answered(number, Arc::clone(answer));
    }

    pub(super) fn add_attempt(&mut self, attempt: Attempt) {
        self.applied.attempts.entry(attempt.number).or_insert(None);
        self.view.attempts.insert(attempt.number, attempt);
    }

    /// A withdrawal of the view to be changed: what it was is kept.
    fn withdrawal_mut(&mut self, number: WithdrawalNumber) -> Option<&mut Withdrawal> {
        let withdrawal = self.view.withdrawals.get_mut(&number)?;
        let touched = self.applied.withdrawals.entry(number);
        touched.or_insert_with(|| Some(withdrawal.clone()));
        withdrawal.changed_at = self.at;
        Some(withdrawal)
    }

    /// A withdrawal that is in no live set, brought into the view.
    pub(super) fn take(&mut self, number: WithdrawalNumber) -> Result<&Withdrawal, ApplyError> {
        if !self.view.withdrawals.contains_key(&number) {
            let found = (self.queued)(number);
            let withdrawal = found.ok_or(ApplyError::NotToBeHad { withdrawal: number })?;
            self.applied.withdrawals.entry(number).or_insert(None);
            self.view.withdrawals.insert(number, withdrawal);
        }
        let taken = self.view.withdrawals.get(&number);
        taken
            .filter(|withdrawal| !withdrawal.stage.is_under_way())
            .ok_or(ApplyError::NotToBeHad { withdrawal: number })
    }

    /// One step of a withdrawal of the view.
    pub(super) fn step(
        &mut self,
        number: WithdrawalNumber,
        to: Stage,
        attempt: AttemptNumber,
    ) -> Result<(), ApplyError> {
        let lane = self.view.row.id.clone();
        let withdrawal = self
            .withdrawal_mut(number)
            .ok_or(ApplyError::NotToBeHad { withdrawal: number })?;
        let from = withdrawal.stage;
        if !from.may_become(to) {
            return Err(ApplyError::WithdrawalStep {
                withdrawal: number,
                from,
                to,
            });
        }
        withdrawal.stage = to;
        if to.is_under_way() || to == Stage::Final {
            withdrawal.lane = Some(lane);
            withdrawal.waiting = None;
        } else if to == Stage::Approved {
            withdrawal.lane = None;
        }
        self.applied.steps.push(Step {
            withdrawal: number,
            from,
            to,
            attempt,
        });
        Ok(())
    }

    pub(super) fn add_coin(&mut self, coin: Coin) {
        let before = self.view.coins.insert(coin.outpoint, coin.clone());
        self.applied.coins.entry(coin.outpoint).or_insert(before);
    }

    pub(super) fn remove_coin(&mut self, outpoint: Outpoint) -> Option<Coin> {
        let coin = self.view.coins.remove(&outpoint)?;
        let touched = self.applied.coins.entry(outpoint);
        touched.or_insert_with(|| Some(coin.clone()));
        Some(coin)
    }

    pub(super) fn add_spent(&mut self, outpoint: Outpoint, spent: Spent) {
        let before = self.view.spent.insert(outpoint, spent);
        self.applied.spent.entry(outpoint).or_insert(before);
    }

    pub(super) fn remove_spent(&mut self, outpoint: Outpoint) -> Option<Spent> {
        let spent = self.view.spent.remove(&outpoint)?;
        let touched = self.applied.spent.entry(outpoint);
        touched.or_insert_with(|| Some(spent.clone()));
        Some(spent)
    }

    pub(super) fn blocks_mut(&mut self) -> &mut VecDeque<BlockRef> {
        let blocks = &self.view.blocks;
        self.applied.blocks.get_or_insert_with(|| blocks.clone());
        &mut self.view.blocks
    }

    /// Lets go what is not under way any more.
    pub(super) fn finish(self) -> Applied {
        let Self {
            view, mut applied, ..
        } = self;
        let live = |set: AttemptNumber| view.set(set).any(Attempt::is_live);
        let touched = applied.attempts.keys();
        let over: Vec<AttemptNumber> = touched
            .filter_map(|number| view.attempts.get(number))
            .filter(|attempt| !attempt.is_live() && !live(attempt.set))
            .flat_map(|attempt| view.set(attempt.set).map(|member| member.number))
            .collect();
        for number in over {
            if let Some(attempt) = view.attempts.remove(&number) {
                applied.left.insert(number, attempt);
            }
        }
        for number in applied.withdrawals.keys() {
            let free = view.withdrawals.get(number);
            if free.is_some_and(|withdrawal| !withdrawal.stage.is_under_way())
                && let Some(withdrawal) = view.withdrawals.remove(number)
            {
                applied.freed.insert(*number, withdrawal);
            }
        }
        applied
    }

    /// Puts everything back.
    pub(super) fn undo(self) {
        let Self { view, applied, .. } = self;
        view.row = applied.row;
        for (number, before) in applied.attempts {
            match before {
                Some(attempt) => view.attempts.insert(number, attempt),
                None => view.attempts.remove(&number),
            };
        }
        restore(&mut view.withdrawals, applied.withdrawals);
        restore(&mut view.coins, applied.coins);
        restore(&mut view.spent, applied.spent);
        if let Some(blocks) = applied.blocks {
            view.blocks = blocks;
        }
    }
}

fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, before: BTreeMap<K, Option<V>>) {
    for (key, value) in before {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}
