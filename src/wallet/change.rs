//! Durable writes. A [`Commit`] is one database transaction; each [`Change`] in it carries its own
//! condition, and if one does not hold nothing is written.

use std::sync::Arc;

use api::signing::SignAnswer;
use serde::{Deserialize, Serialize};
use tx::{Intent, Name, Time, utxo::Outpoint};

use crate::{
    attempt::{Attempt, AttemptNumber},
    evidence::{BlockRef, DeathCertificate, Inclusion, VoidCertificate},
    lane::LaneId,
    settlement::Outcome,
    withdrawal::{Waiting, WithdrawalNumber},
};

/// Changes that are made together or not at all, by the owner of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The lane.
    pub lane: LaneId,
    /// The lease under which it is owned: one that another has taken since writes nothing.
    pub lease: u64,
    /// When.
    pub at: Time,
    /// What changes.
    pub changes: Vec<Change>,
}

/// One change of what a lane knows. The store and [`crate::lane::LaneView::apply`] give each the same
/// meaning, which a test compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new conflict set with its first attempt. Withdrawals: approved → assigned, each into its one
    /// live set. EVM: the nonce, which must be the lane's next, is reserved. UTXO: the outpoints are
    /// reserved; one that already is writes nothing.
    Assign(Box<Attempt>),
    /// A further attempt of a set that is live, over the same anchor. Further outpoints are reserved.
    Replace(Box<Attempt>),
    /// Found in the signer's journal and not here: this store is older than the journal. The attempt
    /// becomes a set of its own, or one of the set that holds its anchor, signed if it has bytes.
    /// Intents that are known here follow it from approved on; others become withdrawals of
    /// [`crate::ledger::Account::Suspense`], for a person to assign.
    Adopt(Box<Adopt>),
    /// The signer's verified answer. Reserved → signed; withdrawals assigned → signed. EVM: the
    /// lane's next nonce is committed, if the set is new.
    Signed {
        /// The attempt.
        attempt: AttemptNumber,
        /// The answer, whose receipt was verified.
        answer: Arc<SignAnswer>,
    },
    /// The attempt will never be signed. If it was the set's only one its reservations are
    /// released and its withdrawals go assigned → approved.
    Void {
        /// The attempt.
        attempt: AttemptNumber,
        /// The proof.
        certificate: VoidCertificate,
    },
    /// Why withdrawals wait, or that they no longer do; they are not looked at before a time.
    Wait {
        /// The withdrawals.
        withdrawals: Vec<WithdrawalNumber>,
        /// Why.
        waiting: Option<Waiting>,
        /// Not looked at before.
        not_before: Time,
    },
    /// A node was given the bytes. Signed → broadcast; withdrawals too.
    Broadcast {
        /// The attempt.
        attempt: AttemptNumber,
        /// When.
        at: Time,
    },
    /// The attempt is in a block. Withdrawals → included.
    Included {
        /// The attempt.
        attempt: AttemptNumber,
        /// Where.
        inclusion: Inclusion,
    },
    /// Its block left the chain. Included → broadcast; withdrawals too.
    Excluded {
        /// The attempt.
        attempt: AttemptNumber,
    },
    /// The attempt is in its block for good and did what it should. Withdrawals → final, their holds
    /// are settled, the fee is posted; the set's other attempts are dead by it; reservations of the
    /// set end.
    Final {
        /// The attempt.
        attempt: AttemptNumber,
        /// Where.
        inclusion: Inclusion,
        /// The best or finalized block when that was known.
        tip: BlockRef,
    },
    /// The attempt is in its block for good and failed there. The fee is posted; the set's other
    /// attempts are dead by it; withdrawals → failed-on-chain → approved, to be paid anew.
    Failed {
        /// The attempt.
        attempt: AttemptNumber,
        /// Where.
        inclusion: Inclusion,
        /// The best or finalized block when that was known.
        tip: BlockRef,
    },
    /// The attempt is in its block for good with success, and its token did not log the transfer.
    /// Withdrawals → halted, until a person says whether it paid; their holds stay. The set's other
    /// attempts are dead by it.
    Unproven {
        /// The attempt.
        attempt: AttemptNumber,
        /// Where.
        inclusion: Inclusion,
        /// The finalized block when that was known.
        tip: BlockRef,
    },
    /// A person says whether an unproven attempt paid: as [`Change::Final`] or [`Change::Failed`]. Made
    /// by [`crate::store::Store::settle`] alone.
    Settled {
        /// The attempt.
        attempt: AttemptNumber,
        /// Whether it paid.
        outcome: Outcome,
    },
    /// An attempt is dead by a transaction of another set or by nobody's. A set whose attempts are all
    /// dead or void frees its withdrawals: → approved.
    Dead {
        /// The attempt.
        attempt: AttemptNumber,
        /// The proof.
        certificate: DeathCertificate,
    },
    /// The signer has accepted an attempt of the lane's epoch: the next lease takes another.
    EpochSeen {
        /// The epoch.
        epoch: u64,
    },
    /// The signer's journal was compared with this store up to an index.
    Compared {
        /// The journal's index.
        to: u64,
    },
    /// The lane's gate.
    Gate(Gate),
    /// UTXO: a block was read, with what it means for the lane.
    Block(Box<BlockRead>),
    /// UTXO: the blocks above this height left the chain, with what they had made and spent.
    Rewind {
        /// The highest block that stays.
        to: BlockRef,
    },
}

/// An attempt from the signer's journal, with the intents it pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopt {
    /// The attempt; `pays` is filled in by the store.
    pub attempt: Attempt,
    /// The intents, in the order of the attempt's outputs.
    pub intents: Vec<Intent>,
}

/// Whether a lane may begin new payouts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Gate {
    /// Not until database, signer and chain agree: after every start and takeover.
    Closed {
        /// What is still to be compared, or what differs, for people.
        detail: String,
    },
    /// It may.
    Open,
    /// Something contradicts what is known. Only a person opens it again.
    Halted {
        /// What, for people.
        detail: String,
    },
}

/// What a block means for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRead {
    /// The block.
    pub block: BlockRef,
    /// The hash of the one before it.
    pub previous: String,
    /// Own coins that it makes.
    pub made: Vec<Coin>,
    /// Own coins that it spends.
    pub spent: Vec<Spend>,
}

/// A coin of the lane's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: Outpoint,
    /// In satoshi.
    pub amount: u64,
    /// The key that spends it, by its name at the signer.
    pub key: Name,
    /// The script that holds it.
    pub script: Arc<[u8]>,
    /// The bytes of the transaction that made it, without its witness or with.
    pub previous: Arc<[u8]>,
    /// The height of its block.
    pub height: u64,
    /// Whether it was mined: 100 blocks must pass.
    pub coinbase: bool,
}

/// A coin that was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// Which.
    pub outpoint: Outpoint,
    /// The transaction that spends it, as shown.
    pub txid: String,
}
