//! A person's word on a payment that is in the chain for good and of which the chain does not say
//! whether it paid.

pub use api::wallet::Outcome;
use tx::Name;

/// What a person found out, and what is to be done. It counts only for an attempt that is
/// [`crate::attempt::AttemptStage::Unproven`]: no other transaction over its conflict key can be mined
/// any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The transaction that was looked at, by its id in the chain. A withdrawal that is paid anew may
    /// come to the same with another.
    pub txid: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Who says so.
    pub by: Name,
    /// Why, for people.
    pub why: String,
}
