//! Effects: what a transaction does, one thing each.

use serde::{Deserialize, Serialize};

use crate::{AccountClass, Address, Amount, Asset, Call, Name};

/// One thing a transaction does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What is done.
    pub kind: EffectKind,
    /// The account that pays for it.
    pub account: Name,
    /// What is moved.
    pub asset: Asset,
    /// How much at most, in base units.
    pub amount: Amount,
    /// Where to; a fee has none.
    pub to: Option<Destination>,
    /// The destination tag or memo, on chains that have one.
    pub tag: Option<String>,
    /// What is called, of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<Call>>,
}

/// The kinds of effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EffectKind {
    /// Value leaves to a destination that is not our own.
    Payment,
    /// Value moves to another of our own accounts.
    OwnTransfer,
    /// Value comes back to the account it came from.
    Change,
    /// What the transaction may cost at most, in the chain's native asset.
    Fee,
    /// An own account consumes its own sequence and does nothing else.
    Cancellation,
    /// A call of a declared function of a contract, which is no transfer; its amount is the value sent.
    Call,
    /// A spender may take of a token from now on, up to the amount, in place of whatever they might before.
    Approval,
    /// Who may act for an account changes.
    Authority,
    /// Bytes are published.
    Data,
    /// A deposit for storage is locked.
    Rent,
    /// An intent is attempted again outside the conflict set of its earlier attempts.
    Reissue,
}

/// Where an effect goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The address.
    pub address: Address,
    /// Whose it is, when it is one of ours.
    pub own: Option<Own>,
}

/// The own account behind an address, from the registry and never from a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// The account.
    pub account: Name,
    /// Its class.
    pub class: AccountClass,
}

impl EffectKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Payment,
        Self::OwnTransfer,
        Self::Change,
        Self::Fee,
        Self::Cancellation,
        Self::Call,
        Self::Approval,
        Self::Authority,
        Self::Data,
        Self::Rent,
        Self::Reissue,
    ];

    /// The kind in one word, as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::OwnTransfer => "own-transfer",
            Self::Change => "change",
            Self::Fee => "fee",
            Self::Cancellation => "cancellation",
            Self::Call => "call",
            Self::Approval => "approval",
            Self::Authority => "authority",
            Self::Data => "data",
            Self::Rent => "rent",
            Self::Reissue => "reissue",
        }
    }

    /// Whether somebody else gets a right by it. No statement covers it that does not name it: whoever wrote an
    /// allow without `effect` thought of what moves.
    pub fn gives_right(self) -> bool {
        matches!(self, Self::Approval | Self::Authority)
    }

    /// Whether value or a right may leave to someone else by it, so that an unattended allow needs
    /// a window limit.
    pub fn is_outward(self) -> bool {
        matches!(
            self,
            Self::Payment | Self::Call | Self::Approval | Self::Authority | Self::Rent
        )
    }
}
