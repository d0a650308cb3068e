//! What a lane's changes mean: the one meaning that the lane and every store share.

mod attempts;
mod blocks;
mod live;
mod undo;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::signing::SignAnswer;
use thiserror::Error;
use tx::{ConflictKey, Time, utxo::Outpoint};

pub use self::live::Attempts;
use self::undo::Applying;
pub(crate) use self::undo::{Applied, Step};
use crate::{
    attempt::{Attempt, AttemptNumber},
    change::{Change, Coin, Gate},
    evidence::BlockRef,
    lane::{LaneRow, LaneView},
    withdrawal::{Stage, Withdrawal, WithdrawalNumber},
};

/// How many blocks a view keeps, and for how many a spent coin is remembered: more than ever leave a
/// chain.
pub const BLOCKS_KEPT: usize = 200;
/// How many blocks a mined coin waits for, its own included.
const COINBASE_MATURITY: u64 = 100;

/// Why changes cannot be made. None of them is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The attempt is not among those of live sets.
    #[error("attempt {} is not in the view", attempt.0)]
    UnknownAttempt {
        /// Which.
        attempt: AttemptNumber,
    },
    /// A new attempt has another number than the next.
    #[error("attempt {} is not the next, {}", attempt.0, next.0)]
    AttemptNumber {
        /// Which.
        attempt: AttemptNumber,
        /// The next.
        next: AttemptNumber,
    },
    /// A new attempt contradicts itself or its lane.
    #[error("attempt {}: {what}", attempt.0)]
    Malformed {
        /// Which.
        attempt: AttemptNumber,
        /// What is wrong.
        what: &'static str,
    },
    /// The attempt's stage does not allow it.
    #[error("attempt {} is {from} and cannot become {to}", attempt.0)]
    AttemptStep {
        /// Which.
        attempt: AttemptNumber,
        /// The stage it is in.
        from: &'static str,
        /// The stage it should come to.
        to: &'static str,
    },
    /// The withdrawal's stage does not allow it.
    #[error("withdrawal {} is {} and cannot become {}", withdrawal.0, from.name(), to.name())]
    WithdrawalStep {
        /// Which.
        withdrawal: WithdrawalNumber,
        /// The stage it is in.
        from: Stage,
        /// The stage it should come to.
        to: Stage,
    },
    /// The withdrawal is not known, or is paid by another set.
    #[error("withdrawal {} is not to be had", withdrawal.0)]
    NotToBeHad {
        /// Which.
        withdrawal: WithdrawalNumber,
    },
    /// The withdrawals of an adopted attempt have no numbers: only the store knows them.
    #[error("attempt {} was adopted: load the view again", attempt.0)]
    Unnumbered {
        /// Which.
        attempt: AttemptNumber,
    },
    /// Another set has reserved it.
    #[error("{key} is reserved")]
    Reserved {
        /// What.
        key: ConflictKey,
    },
    /// It is no coin of the lane that could be spent.
    #[error("{key} is no coin of the lane")]
    NoCoin {
        /// What.
        key: ConflictKey,
    },
    /// The nonce is not the lane's next.
    #[error("nonce {nonce} is not the next, {next}")]
    Nonce {
        /// The attempt's.
        nonce: u64,
        /// The lane's.
        next: u64,
    },
    /// Another attempt is not signed yet.
    #[error("attempt {} is not signed yet", attempt.0)]
    Unsigned {
        /// Which.
        attempt: AttemptNumber,
    },
    /// The lane may not begin new payouts, or was halted.
    #[error("the lane's gate is not open, or halted")]
    Gate,
    /// The certificate is about something else.
    #[error("the certificate does not fit attempt {}", attempt.0)]
    Certificate {
        /// Which.
        attempt: AttemptNumber,
    },
    /// A block does not fit those that were read.
    #[error("block {height} does not fit: {what}")]
    Block {
        /// Its height.
        height: u64,
        /// Why.
        what: &'static str,
    },
}

impl LaneView {
    /// A lane in which nothing is under way.
    pub fn new(row: LaneRow) -> Self {
        Self {
            row,
            attempts: Attempts::default(),
            withdrawals: BTreeMap::new(),
            coins: BTreeMap::new(),
            spent: BTreeMap::new(),
            blocks: VecDeque::new(),
        }
    }

    /// Makes changes, in their order, all or none. `at` is the commit's time, and `queued` finds the
    /// withdrawals that the changes assign, as [`crate::lane::Event::Queued`] brought them. Sets of
    /// which no attempt is live any more leave the view, and their withdrawals with them.
    ///
    /// What was adopted is numbered by the store: after a commit with [`Change::Adopt`] the view is
    /// loaded again.
    ///
    /// # Errors
    /// [`ApplyError`]: the first condition that does not hold. The view is as it was.
    pub fn apply(
        &mut self,
        changes: &[Change],
        queued: impl Fn(WithdrawalNumber) -> Option<Withdrawal>,
        at: Time,
    ) -> Result<(), ApplyError> {
        self.apply_recorded(changes, &queued, at).map(|_| ())
    }

    /// As [`Self::apply`], and says what changed.
    pub(crate) fn apply_recorded(
        &mut self,
        changes: &[Change],
        queued: &dyn Fn(WithdrawalNumber) -> Option<Withdrawal>,
        at: Time,
    ) -> Result<Applied, ApplyError> {
        let mut applying = Applying::new(self, queued, at);
        for change in changes {
            if let Err(error) = applying.change(change) {
                applying.undo();
                return Err(error);
            }
        }
        Ok(applying.finish())
    }

    /// The attempts of a set, oldest first.
    pub fn set(&self, set: AttemptNumber) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.attempts.set(set)
    }

    /// The sets with their attempts, both oldest first.
    pub fn sets(&self) -> BTreeMap<AttemptNumber, Vec<&Attempt>> {
        let mut sets: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for attempt in self.attempts.values() {
            sets.entry(attempt.set).or_default().push(attempt);
        }
        sets
    }

    /// The withdrawals of a set: those that any of its attempts pays.
    pub fn withdrawals_of(&self, set: AttemptNumber) -> BTreeSet<WithdrawalNumber> {
        self.set(set)
            .flat_map(|attempt| attempt.pays.iter().copied())
            .collect()
    }

    /// The attempts that the signer may have been asked for and whose bytes are not durable, oldest
    /// first.
    pub fn unsigned(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.attempts.unsigned()
    }

    /// Whether a live attempt consumes the key.
    pub fn is_reserved(&self, key: &ConflictKey) -> bool {
        self.holder(key).is_some()
    }

    /// The oldest live set that consumes the key.
    pub(crate) fn holder(&self, key: &ConflictKey) -> Option<AttemptNumber> {
        self.attempts
            .values()
            .filter(|attempt| attempt.is_live() && attempt.keys.contains(key))
            .map(|attempt| attempt.set)
            .min()
    }

    /// UTXO: what live attempts consume.
    pub fn reserved_outpoints(&self) -> BTreeSet<Outpoint> {
        self.attempts
            .values()
            .filter(|attempt| attempt.is_live())
            .flat_map(|attempt| attempt.keys.iter().filter_map(outpoint))
            .collect()
    }

    /// UTXO: the coins that a new attempt may spend: confirmed, mature, and not reserved.
    pub fn spendable_coins(&self) -> impl Iterator<Item = &Coin> {
        let reserved = self.reserved_outpoints();
        let tip = self.tip().map_or(0, |block| block.height);
        let mature = move |coin: &Coin| {
            !coin.coinbase || tip.saturating_add(1) >= coin.height.saturating_add(COINBASE_MATURITY)
        };
        self.coins
            .values()
            .filter(move |coin| !reserved.contains(&coin.outpoint) && mature(coin))
    }

    /// UTXO: the best block.
    pub fn tip(&self) -> Option<&BlockRef> {
        self.blocks.back()
    }

    /// How far the signer's journal is known by an attempt that it signed, so that a restart compares
    /// no more than what came after.
    ///
    /// Sound while the gate is open: up to the last comparison the store knew everything of this lane.
    /// Since then the signer has authorised on it only what a holder of its lease asked for, and each
    /// had made the attempt durable in this store before, so that none below `answer` is unknown here,
    /// whoever held the lease. What other lanes authorised below is theirs to compare. Only a second
    /// coordinator on a copy of this database could add what is unknown; the epoch ends that as soon as
    /// one of both is ahead, the chain shows it as a stranger's, and a lane that halts over it is
    /// compared from the journal's beginning once a person opens it.
    pub(crate) fn compared_by(&self, answer: &SignAnswer) -> Option<Change> {
        let to = answer.attempt;
        let further = self.row.compared_to < Some(to);
        (self.is_open() && further).then_some(Change::Compared { to })
    }

    /// Whether new payouts may begin.
    pub fn is_open(&self) -> bool {
        self.row.gate == Gate::Open
    }
}

impl Stage {
    /// Whether a withdrawal in this stage belongs to a live set of a lane.
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Assigned | Self::Signed | Self::Broadcast | Self::Included | Self::Halted
        )
    }
}

/// The outpoint of a key that is one.
pub fn outpoint(key: &ConflictKey) -> Option<Outpoint> {
    match key {
        ConflictKey::Outpoint { txid, vout, .. } => Some(Outpoint {
            txid: *txid,
            vout: *vout,
        }),
        _ => None,
    }
}
