//! What is durable, and the one way to it. SQLite now; the statements are PostgreSQL's as well.

mod sqlite;

use async_trait::async_trait;
use thiserror::Error;
use tx::{Amount, Asset, Chain, IntentId, IntentKey, Name, Time};

pub use self::sqlite::{Durability, Options, SqliteStore};
use crate::{
    change::Commit,
    lane::{LaneId, LaneRow, LaneView},
    ledger::{Account, Balance},
    limit::DailyLimit,
    settlement::Settlement,
    withdrawal::{NewWithdrawal, Stage, Waiting, Withdrawal, WithdrawalNumber},
};

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The lane is another's by now; nothing was written.
    #[error("the lane {lane} has a newer lease")]
    Fenced {
        /// The lane.
        lane: LaneId,
    },
    /// A condition does not hold; nothing was written.
    #[error("{what}")]
    Conflict {
        /// Which.
        what: String,
    },
    /// The database is busy, locked or full, or cannot be reached; nothing is known to be written, and
    /// it can be tried again.
    #[error("the database cannot be used now: {detail}")]
    Unavailable {
        /// What it says, without paths.
        detail: String,
    },
    /// The database holds something that this program did not write.
    #[error("the database is not sound: {what}")]
    Corrupt {
        /// What.
        what: String,
    },
}

/// What became of a request for a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Accepted {
    /// It is new and durable: funds held, limits consumed, approved or waiting for a person.
    New(Withdrawal),
    /// It was asked for before, with the same content.
    Same(Withdrawal),
    /// Its id was used before with another content; this is what is stored.
    Different(Withdrawal),
    /// The account has too little.
    InsufficientFunds {
        /// What it has.
        available: Amount,
    },
    /// There is no limit on the asset, so nothing of it may leave.
    NoLimit,
}

/// What became of a wish to change a withdrawal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decided {
    /// It is done, or was done before.
    Done(Withdrawal),
    /// It is too late for that, or too early; it is as it was.
    NotNow(Withdrawal),
    /// There is no such withdrawal.
    Unknown,
}

/// Which withdrawals are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this source.
    pub source: Option<Name>,
    /// Of this customer.
    pub account: Option<Account>,
    /// In these stages; all if empty.
    pub stages: Vec<Stage>,
}

/// One recorded step: of a withdrawal, the ledger or a lane. It is what webhooks deliver and what
/// `…/explain` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its id, rising, for ever the same.
    pub event: u64,
    /// When.
    pub at: Time,
    /// What it is about, such as `withdrawal.signed`.
    pub topic: String,
    /// The withdrawal it is about.
    pub withdrawal: Option<WithdrawalNumber>,
    /// More, as JSON.
    pub body: serde_json::Value,
}

/// A deposit that an operator books by hand: from the wallet to a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Its id, unique for ever.
    pub id: IntentKey,
    /// Who books it.
    pub client: Name,
    /// Who gets it.
    pub account: Account,
    /// What.
    pub asset: Asset,
    /// How much.
    pub amount: Amount,
    /// Why, for people.
    pub memo: String,
}

/// What is left today of the limits on an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// For all customers together.
    pub total: Amount,
    /// For one customer.
    pub customer: Amount,
}

/// A lane that this store may not know yet, as the signer describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLane {
    /// The lane.
    pub id: LaneId,
    /// The account at the signer.
    pub account: Name,
    /// The lane's epoch at the signer.
    pub signer_epoch: u64,
    /// EVM: the next new nonce at the signer; 0 elsewhere.
    pub next_nonce: u64,
}

/// The store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Accepts withdrawals: for each, in one transaction, the withdrawal with its first stages, the
    /// hold, the limits and the events, or nothing. The answers are in their order. Requests that
    /// wait together share one database transaction; each is accepted or refused by itself.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing of all these is known to be written; ask again.
    async fn accept(&self, new: Vec<NewWithdrawal>, at: Time) -> Result<Vec<Accepted>, StoreError>;

    /// A person lets a withdrawal beyond a limit go on.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn approve(&self, id: &IntentId, by: &Name, at: Time) -> Result<Decided, StoreError>;

    /// The user or a person ends a withdrawal that no attempt was ever made for: manual or
    /// approved → released. The hold is released and the limit given back by a compensating row.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn release(&self, id: &IntentId, by: &Name, at: Time) -> Result<Decided, StoreError>;

    /// A person says what came of an unproven payment of a withdrawal: halted → final, approved or
    /// released, with `withdrawal.settled` recorded. The lease of the attempt's lane rises with it, as
    /// by [`Self::open_lane`]. Said again it is done; another word on the same transaction is
    /// [`Decided::NotNow`], and so is one on a transaction that may still leave the chain.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn settle(
        &self,
        id: &IntentId,
        settlement: &Settlement,
        at: Time,
    ) -> Result<Decided, StoreError>;

    /// A withdrawal by its id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn withdrawal(&self, id: &IntentId) -> Result<Option<Withdrawal>, StoreError>;

    /// Withdrawals after a cursor, in the order of their numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn withdrawals(
        &self,
        filter: &Filter,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError>;

    /// The attempts for a withdrawal, oldest first, with their lanes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn attempts(
        &self,
        withdrawal: WithdrawalNumber,
    ) -> Result<Vec<(LaneId, crate::attempt::Attempt)>, StoreError>;

    /// How many withdrawals of each chain are in each stage, stage by stage. Those that have ended
    /// are not counted for it: it costs as much as there are open ones.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn counts(&self) -> Result<Vec<(Stage, Chain, u64)>, StoreError>;

    /// Recorded events after a cursor, in order; of one withdrawal or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn events(
        &self,
        withdrawal: Option<WithdrawalNumber>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError>;

    /// Books a deposit; `false` if it was booked before with the same content.
    ///
    /// # Errors
    /// [`StoreError`], [`StoreError::Conflict`] if it was booked with another content.
    async fn credit(&self, credit: &Credit, at: Time) -> Result<bool, StoreError>;

    /// An account's balances.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn balances(&self, account: &Account) -> Result<Vec<(Asset, Balance)>, StoreError>;

    /// Sets the daily limits; assets that are not among them cannot be withdrawn from now on. What
    /// was used today stays used.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn set_limits(&self, limits: &[DailyLimit], at: Time) -> Result<(), StoreError>;

    /// What is left of an asset's limits on the day of `at`, for all customers and for this one;
    /// `None` where nothing of the asset may leave.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn room(
        &self,
        asset: &Asset,
        account: &Account,
        at: Time,
    ) -> Result<Option<Room>, StoreError>;

    /// Makes a lane's row if there is none. A new lane begins with the signer's epoch plus one and
    /// the signer's next nonce, and with a closed gate.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ensure_lane(&self, lane: &NewLane, at: Time) -> Result<(), StoreError>;

    /// Takes a lane whose lease has ended, or that this owner has. The lease's number rises, the
    /// gate closes unless it is halted, and the epoch rises if it was seen. `None` if another
    /// has it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn acquire(
        &self,
        lane: &LaneId,
        owner: &str,
        at: Time,
        until: Time,
    ) -> Result<Option<LaneRow>, StoreError>;

    /// Prolongs a lease.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another has taken the lane.
    async fn renew(&self, lane: &LaneId, lease: u64, until: Time) -> Result<(), StoreError>;

    /// A person had a halted lane looked at: it is closed, so that everything is compared again, with
    /// the signer's journal from its beginning, before it opens, or halts again. The lease's number
    /// rises with it: whoever works on the lane holds the old view, can write nothing any more, and
    /// takes the lane anew. A lane that is not halted stays as it is. Answers with its row; `None` if there is no such lane.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_lane(
        &self,
        lane: &LaneId,
        by: &Name,
        at: Time,
    ) -> Result<Option<LaneRow>, StoreError>;

    /// Everything durable about a lane.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn load(&self, lane: &LaneId) -> Result<LaneView, StoreError>;

    /// The lanes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn lanes(&self) -> Result<Vec<LaneRow>, StoreError>;

    /// Makes changes durable, all or none.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Conflict`] and the others.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// Which of these request ids the lane has attempts for.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn knows(&self, lane: &LaneId, attempts: &[u64]) -> Result<Vec<bool>, StoreError>;

    /// Withdrawals of a chain that may be paid: approved, their time come, after a number.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn approved(
        &self,
        chain: Chain,
        at: Time,
        after: Option<WithdrawalNumber>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError>;

    /// Says why withdrawals of no lane wait, or that they no longer do.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn wait(
        &self,
        withdrawals: &[WithdrawalNumber],
        waiting: Option<&Waiting>,
        not_before: Time,
        at: Time,
    ) -> Result<(), StoreError>;
}
