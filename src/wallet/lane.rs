//! A lane: a sending address or account whose attempts one worker owns. The core of the coordinator:
//! it takes events and returns effects, and makes no I/O.
//!
//! A lane knows only what is durable ([`LaneView`]) and what it has heard since it was loaded. A
//! process that dies loses what was heard, and nothing else: going on after a crash is loading the
//! view and handling [`Event::Started`].

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    str::FromStr,
    sync::Arc,
};

use api::signing::{RequestAnswer, SignAnswer, SignRequest};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tx::{Address, Chain, Name, Time};

use crate::{
    attempt::AttemptNumber,
    change::{Change, Coin, Gate},
    evidence::BlockRef,
    signer::{Comparison, SignOutcome},
    view::Attempts,
    withdrawal::{Withdrawal, WithdrawalNumber},
};

/// A lane's name, as the signer has it: `eip155:1:0x…` for an EVM address, `<chain>:<account>` for an
/// account of a UTXO chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneId {
    /// The chain.
    pub chain: Chain,
    /// Whose transactions.
    pub sender: Sender,
}

/// Whose transactions a lane orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// An EVM address.
    Address(Address),
    /// An account with all its keys.
    Account(Name),
}

/// Why a text is no [`LaneId`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("{text:?} is no lane")]
pub struct LaneIdError {
    text: String,
}

/// The lane's own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The lane.
    pub id: LaneId,
    /// The account at the signer.
    pub account: Name,
    /// The lease under which it is owned: rises with each takeover.
    pub lease: u64,
    /// What requests carry as `lane_epoch`. A new lease takes the next one if the signer has accepted
    /// an attempt of this one, and else keeps it: the signer takes an epoch only after the one before.
    pub epoch: u64,
    /// Whether the signer has accepted an attempt of this epoch.
    pub epoch_seen: bool,
    /// The number of the next attempt.
    pub next_attempt: AttemptNumber,
    /// EVM: the next nonce. It rises when an attempt over it is signed, and never falls. At most one
    /// attempt is reserved and unsigned in a lane, over this nonce or one that is signed already.
    pub next_nonce: u64,
    /// Whether it may begin new payouts.
    pub gate: Gate,
    /// The journal index up to which the signer's requests were compared with this store.
    pub compared_to: Option<u64>,
}

/// Everything durable that a lane works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Its row.
    pub row: LaneRow,
    /// The attempts of every set in which one is live.
    pub attempts: Attempts,
    /// The withdrawals of these sets.
    pub withdrawals: BTreeMap<WithdrawalNumber, Withdrawal>,
    /// UTXO: own coins that no block spends.
    pub coins: BTreeMap<tx::utxo::Outpoint, Coin>,
    /// UTXO: coins that a block spends which is not deep yet, with that block's height and the
    /// transaction's id.
    pub spent: BTreeMap<tx::utxo::Outpoint, (Coin, u64, String)>,
    /// UTXO: the blocks read last, the best one at the end; at least as many as can leave the chain.
    pub blocks: VecDeque<BlockRef>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<A> {
    /// The view was loaded; nothing is known besides.
    Started,
    /// The one commit that was asked for is durable: its changes, in order.
    Committed(Vec<Change>),
    /// The one commit that was asked for wrote nothing, and could be made again.
    CommitFailed,
    /// Withdrawals that may be paid, in their order. They are this lane's until it returns them.
    Queued(Vec<Withdrawal>),
    /// What a call of the signer came to.
    Signer(AttemptNumber, SignOutcome),
    /// What the signer knows of an attempt's request, or that it could not be asked. `None` only if
    /// it answered that it does not know it.
    Inquired(AttemptNumber, Result<Option<Box<RequestAnswer>>, String>),
    /// The signer's view of this lane, or that it could not be asked.
    Compared(Result<Comparison, String>),
    /// What giving bytes to a node came to.
    Sent(AttemptNumber, SendOutcome),
    /// The answer to a question.
    Answered(A),
    /// Time has passed.
    Tick,
}

/// What giving bytes to a node came to. None of it proves that the node, or another, does not have
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The node took them, or has them already.
    Taken,
    /// The node says no. It may be wrong, and others may have them.
    Rejected {
        /// What it says, for people.
        detail: String,
    },
    /// Nothing is known.
    Unknown {
        /// What happened, for people.
        detail: String,
    },
}

/// What is to be done. Effects are begun in their order.
#[derive(Clone, Debug)]
pub enum Effect<Q> {
    /// Make these changes durable, together. There is at most one commit out at any time.
    Commit(Vec<Change>),
    /// Ask the signer exactly this.
    Sign(AttemptNumber, Arc<SignRequest>),
    /// Ask the signer what it knows of an attempt's request, without asking for a signature.
    Inquire(AttemptNumber),
    /// Give a node these stored bytes.
    Send(AttemptNumber, Arc<SignAnswer>),
    /// Ask a question about the chain.
    Ask(Q),
    /// Compare the signer's requests on this lane with this store.
    Compare,
    /// This many withdrawals are wanted from now on, besides those it has; it replaces what was
    /// wanted before.
    Want(usize),
    /// These withdrawals are not this lane's any more: the store says what becomes of them.
    Return(Vec<WithdrawalNumber>),
    /// Nothing need be done before this time, unless something happens.
    Wake(Time),
}

/// A lane's machine.
pub trait Lane: Send + 'static {
    /// What it asks about the chain.
    type Question: Send + fmt::Debug + 'static;
    /// What it is answered.
    type Answer: Send + fmt::Debug + 'static;

    /// What it knows to be durable.
    fn view(&self) -> &LaneView;

    /// Takes what happened and says what is to be done.
    fn handle(&mut self, event: Event<Self::Answer>, now: Time) -> Vec<Effect<Self::Question>>;

    /// Why the view is not what the store has and must be loaded again, if it must.
    fn lost(&self) -> Option<&str> {
        None
    }
}

/// Answers a lane's questions from nodes, and gives them its bytes.
#[async_trait]
pub trait Observer: Send + Sync + 'static {
    /// What is asked.
    type Question: Send + fmt::Debug + 'static;
    /// What is answered. What could not be found out is said in it: asking does not fail.
    type Answer: Send + fmt::Debug + 'static;

    /// Answers a question.
    async fn ask(&self, question: Self::Question) -> Self::Answer;

    /// Gives every node these bytes. One that takes them is enough.
    async fn send(&self, answer: &SignAnswer) -> SendOutcome;
}

impl LaneId {
    /// The signer's id for an attempt's request: `<lane>:<number>`, at most 128 characters.
    pub fn request_id(&self, number: AttemptNumber) -> String {
        format!("{self}:{}", number.0)
    }

    fn parse(text: &str) -> Option<Self> {
        let (chain, sender) = text.rsplit_once(':')?;
        let chain: Chain = chain.parse().ok()?;
        let sender = match chain {
            Chain::Evm(_) => Sender::Address(Address::parse(chain, sender).ok()?),
            _ => Sender::Account(sender.parse().ok()?),
        };
        Some(Self { chain, sender })
    }
}

impl FromStr for LaneId {
    type Err = LaneIdError;

    fn from_str(text: &str) -> Result<Self, LaneIdError> {
        Self::parse(text).ok_or_else(|| LaneIdError { text: text.into() })
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sender {
            Sender::Address(address) => write!(f, "{}:{address}", self.chain),
            Sender::Account(account) => write!(f, "{}:{account}", self.chain),
        }
    }
}

impl Serialize for LaneId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LaneId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
