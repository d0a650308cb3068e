//! A withdrawal: an intent and what has become of it.

pub use api::wallet::WaitingReason;
use serde::{Deserialize, Serialize};
use tx::{Amount, Chain, Intent, Name, Time};

use crate::{lane::LaneId, ledger::Account};

/// A withdrawal's number in this store: rises with each that is accepted, and is the cursor of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WithdrawalNumber(pub u64);

/// What a client asks for. Its `(source, id)` is its idempotency key, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWithdrawal {
    /// The client that asks, by its name in the configuration.
    pub client: Name,
    /// Whose money it is.
    pub account: Account,
    /// What is to be paid.
    pub intent: Intent,
}

impl NewWithdrawal {
    /// Whether a stored withdrawal is what is asked for. The signer's epoch is this coordinator's to
    /// say, and stays what it was: who asks knows of none.
    pub fn is(&self, had: &Withdrawal) -> bool {
        let asked = Intent {
            epoch: had.intent.epoch,
            ..self.intent.clone()
        };
        asked == had.intent && self.account == had.account
    }
}

/// A withdrawal as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its number.
    pub number: WithdrawalNumber,
    /// The client that asked.
    pub client: Name,
    /// Whose money it is.
    pub account: Account,
    /// What is to be paid; fixed for ever.
    pub intent: Intent,
    /// How far it is.
    pub stage: Stage,
    /// Why it does not go on, where something stands in the way.
    pub waiting: Option<Waiting>,
    /// Not looked at again before.
    pub not_before: Time,
    /// The lane that pays it, from [`Stage::Assigned`] on.
    pub lane: Option<LaneId>,
    /// When it was asked for.
    pub requested_at: Time,
    /// When it last changed.
    pub changed_at: Time,
}

/// How far a withdrawal is (`docs/withdrawals.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Asked for.
    Requested,
    /// Whoever asks is who they say: here the client's certificate, bound to the intent.
    Authenticated,
    /// The funds are frozen and the limit consumed.
    Held,
    /// Beyond a limit: a person decides.
    Manual,
    /// To be paid.
    Approved,
    /// An attempt with a conflict key is durable; the signer may have been asked.
    Assigned,
    /// Signed bytes are durable.
    Signed,
    /// The bytes were given to a node.
    Broadcast,
    /// In a block that may still leave the chain.
    Included,
    /// Paid, for good: the hold is settled.
    Final,
    /// Included, and failed on the chain: it cost a fee and paid nothing. Once that is final it is
    /// paid anew.
    FailedOnChain,
    /// Not paid and never will be: the hold is released.
    Released,
    /// Paid by a transaction that is in the chain for good and did not do what it should: a person
    /// says what came of it.
    Halted,
}

/// Why a withdrawal does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Waiting {
    /// A stable name.
    pub reason: WaitingReason,
    /// What happened, for people: one line without secrets.
    pub detail: String,
    /// Everything that spoke against it at the signer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<api::signing::Reason>,
    /// The people or attesters that the signer's policy asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<api::signing::Need>,
    /// Since when.
    pub since: Time,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 13] = [
        Self::Requested,
        Self::Authenticated,
        Self::Held,
        Self::Manual,
        Self::Approved,
        Self::Assigned,
        Self::Signed,
        Self::Broadcast,
        Self::Included,
        Self::Final,
        Self::FailedOnChain,
        Self::Released,
        Self::Halted,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Authenticated => "authenticated",
            Self::Held => "held",
            Self::Manual => "manual",
            Self::Approved => "approved",
            Self::Assigned => "assigned",
            Self::Signed => "signed",
            Self::Broadcast => "broadcast",
            Self::Included => "included",
            Self::Final => "final",
            Self::FailedOnChain => "failed-on-chain",
            Self::Released => "released",
            Self::Halted => "halted",
        }
    }

    /// Whether nothing will happen any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Final | Self::Released)
    }

    /// Whether the next stage may follow this one. The store refuses every other step.
    pub fn may_become(self, next: Self) -> bool {
        use Stage::{
            Approved, Assigned, Authenticated, Broadcast, FailedOnChain, Final, Halted, Held,
            Included, Manual, Released, Requested, Signed,
        };
        matches!(
            (self, next),
            (Requested, Authenticated)
                | (Authenticated, Held)
                | (Held, Manual | Approved)
                // A person, or the user before a conflict key is taken.
                | (Manual, Approved | Released)
                | (Approved, Assigned | Released)
                // Back: by a certificate that nothing was or can be signed.
                | (Assigned, Signed | Approved)
                | (Signed, Broadcast | Included)
                | (Broadcast, Included)
                // Back: the block left the chain.
                | (Included, Final | FailedOnChain | Broadcast)
                // A fee was paid and nothing else; or every attempt is certified dead.
                | (FailedOnChain, Approved | Released)
                | (Signed | Broadcast, Approved | Released | FailedOnChain | Final)
                | (Approved | Assigned | Signed | Broadcast | Included | FailedOnChain, Halted)
                // A person's word on what is in the chain for good.
                | (Halted, Final | FailedOnChain)
        )
    }
}

impl Withdrawal {
    /// The chain it is paid on.
    pub fn chain(&self) -> Chain {
        self.intent.asset.chain
    }

    /// How much, in base units.
    pub fn amount(&self) -> Amount {
        self.intent.amount
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_stays_over() {
        for next in Stage::ALL {
            assert!(!Stage::Final.may_become(next), "{next:?}");
            assert!(!Stage::Released.may_become(next), "{next:?}");
        }
    }

    #[test]
    fn nothing_is_released_between_assignment_and_a_certificate() {
        assert!(!Stage::Assigned.may_become(Stage::Released));
        assert!(!Stage::Included.may_become(Stage::Released));
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for stage in Stage::ALL {
            let wire = serde_json::to_value(stage).unwrap();
            assert_eq!(wire, stage.name());
        }
    }
}
