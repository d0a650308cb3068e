//! Signed statements: texts that people and attesters sign with their own SSH keys.
//!
//! Every text begins with the same three lines, [`Header`], so that a signature over one kind, one
//! fleet or one question never counts for another.

mod attestation;
mod book;
mod decision;
mod epoch;
mod freeze;
mod header;
mod heartbeat;
mod intent;
mod key;
mod lines;
mod officers;
mod prune;
mod sshsig;
mod unseal;
mod veto;

pub use attestation::{Attestation, Fate, Seen, TransactionId, TransactionIdError};
pub use book::{BookUpdate, BookVeto};
pub use decision::StatementError;
pub(crate) use decision::opened;
pub use epoch::{Drain, EpochFound, NewEpoch, NextSequence};
pub use freeze::{Freeze, Unfreeze};
pub(crate) use header::canonical;
pub use header::{Answers, Header, HeaderError, Kind};
pub use heartbeat::Heartbeat;
pub(crate) use intent::intent_signers;
pub use intent::{intent_signed, intent_text, verify_intent};
pub use key::{KeyError, PublicKeyLine};
pub(crate) use key::{KeyMaterial, bare, people_with};
pub(crate) use officers::people_signed;
pub use officers::{QuorumError, officers_signed, one_officer_signed};
pub use prune::Prune;
pub use sshsig::{SignError, Signatures, SignaturesError, sign, verify};
pub use unseal::{Found, Head, Unseal};
pub use veto::Veto;
