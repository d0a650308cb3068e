//! Writes of lanes' commits that wait for the end of the transaction: what several lanes write to one
//! table is one statement. Each costs a change of threads and back, which is most of what a payout
//! would cost otherwise.

use super::rows::INSERT_ATTEMPTS;

/// A statement over the rows that were gathered for it. They run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Late {
    /// Lanes' rows, each if its lease is still the commit's.
    Lanes,
    /// New attempts.
    Attempts,
    /// What they pay.
    Pays,
    /// Attempts that went on, each if it is still in the stage it was read in.
    Stages,
    /// Withdrawals leave their sets; one may come to another at once.
    SetsOver,
    /// Withdrawals come to sets: each has one at most.
    Sets,
    /// Conflict keys are free again.
    Free,
    /// Conflict keys are taken; what another lane holds stays its.
    Held,
    /// Withdrawals that went on, each if it is still in the stage it was read in.
    Moves,
    /// Holds that end, each once.
    Holds,
    /// Coins that no block spends any more.
    Unspent,
    /// Coins that left the chain.
    Gone,
    /// Coins that are there.
    Coins,
    /// Coins that a block spends.
    Spent,
    /// Blocks that left the chain, or are deep.
    BlocksGone,
    /// Blocks that were read.
    Blocks,
}

/// How many rows a statement must change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// One for each of its rows.
    Each,
    /// As many as there are.
    Some,
}

const LANES: &str =
    "WITH v (id, lease, epoch, epoch_seen, next_attempt, next_nonce, gate, compared_to) AS (VALUES";
const LANES_UNDER_THEIR_LEASE: &str = ") UPDATE lanes SET epoch = v.epoch, epoch_seen = v.epoch_seen, \
     next_attempt = v.next_attempt, next_nonce = v.next_nonce, gate = v.gate, \
     compared_to = v.compared_to FROM v WHERE lanes.id = v.id AND lanes.lease = v.lease";
const COINS: &str =
    "INSERT INTO coins (lane, outpoint, amount, key, script, previous, height, coinbase) VALUES";
const COINS_AGAIN: &str = " ON CONFLICT (lane, outpoint) DO UPDATE SET amount = excluded.amount, key = excluded.key, \
     script = excluded.script, previous = excluded.previous, height = excluded.height, \
     coinbase = excluded.coinbase";

impl Late {
    /// What stands before the rows and behind them.
    pub(super) fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Lanes => (LANES, LANES_UNDER_THEIR_LEASE),
            Self::Attempts => (INSERT_ATTEMPTS, ""),
            Self::Pays => (
                "INSERT INTO attempt_withdrawals (lane, number, position, withdrawal) VALUES",
                "",
            ),
            Self::Stages => (
                "WITH v (lane, number, was, stage, evidence, live, answer) AS (VALUES",
                ") UPDATE attempts SET stage = v.stage, evidence = v.evidence, live = v.live, \
                 answer = coalesce(v.answer, attempts.answer) FROM v \
                 WHERE attempts.lane = v.lane AND attempts.number = v.number \
                 AND attempts.stage = v.was",
            ),
            Self::SetsOver => ("DELETE FROM live_sets WHERE withdrawal IN (VALUES", ")"),
            Self::Sets => (
                "INSERT INTO live_sets (withdrawal, lane, set_number) VALUES",
                "",
            ),
            Self::Free => ("DELETE FROM reservations WHERE key IN (VALUES", ")"),
            Self::Held => (
                "INSERT INTO reservations (key, lane, set_number) VALUES",
                " ON CONFLICT (key) DO UPDATE SET set_number = excluded.set_number \
                 WHERE reservations.lane = excluded.lane",
            ),
            Self::Moves => (
                "WITH v (number, was, stage, waiting, not_before, lane, changed_at) AS (VALUES",
                ") UPDATE withdrawals SET stage = v.stage, waiting = v.waiting, \
                 not_before = v.not_before, lane = v.lane, changed_at = v.changed_at FROM v \
                 WHERE withdrawals.number = v.number AND withdrawals.stage = v.was",
            ),
            Self::Holds => (
                "WITH v (withdrawal, state, changed_at) AS (VALUES",
                ") UPDATE holds SET state = v.state, changed_at = v.changed_at FROM v \
                 WHERE holds.withdrawal = v.withdrawal AND holds.state = 'held'",
            ),
            Self::Unspent => ("DELETE FROM spends WHERE (lane, outpoint) IN (VALUES", ")"),
            Self::Gone => ("DELETE FROM coins WHERE (lane, outpoint) IN (VALUES", ")"),
            Self::Coins => (COINS, COINS_AGAIN),
            Self::Spent => (
                "INSERT INTO spends (lane, outpoint, height, txid) VALUES",
                " ON CONFLICT (lane, outpoint) DO UPDATE SET height = excluded.height, \
                 txid = excluded.txid",
            ),
            Self::BlocksGone => ("DELETE FROM blocks WHERE (lane, height) IN (VALUES", ")"),
            Self::Blocks => ("INSERT INTO blocks (lane, height, hash) VALUES", ""),
        }
    }

    /// How many rows it must change.
    pub(super) fn changes(self) -> Changes {
        match self {
            Self::Lanes | Self::Stages | Self::Held | Self::Moves | Self::Holds => Changes::Each,
            Self::Attempts
            | Self::Pays
            | Self::SetsOver
            | Self::Sets
            | Self::Free
            | Self::Unspent
            | Self::Gone
            | Self::Coins
            | Self::Spent
            | Self::BlocksGone
            | Self::Blocks => Changes::Some,
        }
    }
}
