//! The policy: bundle, state and evaluation.
//!
//! Pure: no I/O, no clock, no randomness. [`State`] is a fold over journal entries, [`evaluate`]
//! a function of it; the rules of `docs/semantics.md` are implemented here and nowhere else.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

// The unit tests share the fixture of the tests of the public API.
#[cfg(test)]
extern crate self as strongroom_policy;

pub mod approval;
pub mod book;
pub mod bundle;
pub mod passkey;
pub mod statement;

mod addresses;
mod argument;
mod code;
mod entry;
mod evaluate;
mod hours;
mod model;
mod narrower;
mod price;
mod refused;
mod request;
mod requirement;
mod select;
mod state;
mod text;
mod time;
mod verdict;
mod window;

pub use addresses::Addresses;
pub use argument::{ArgumentBooks, ArgumentCondition, ArgumentConditions, FunctionId, Integer};
pub use entry::{
    Asked, Attempt, AttemptId, Attested, Blob, BookLoaded, BookVetoed, BundleHash, BundleQuorum,
    Checkpoint, Classes, Digest, Entry, Fact, FreezeScope, FrozenBy, IntentDecided,
    IntentRegistered, KeyAlgorithm, KeyPurpose, KeyRegistration, NumberedDigest, PolicyProposed,
    PolicyVetoed, ProposedTransaction, Pruned, Record, Refused, RefusedMany, Resumed,
    SignatureRecord, Signed, SignedBy, StateRoot, TimeSource, TransactionDecided,
    TransactionRegistered, Unfrozen,
};
pub use evaluate::{EvaluateError, evaluate};
pub use hours::{Clocks, Hours, Stretch, Zone};
pub use model::{
    Account, Allow, AssetUnit, AttestationKind, Attestations, AttestedNeed, Attester, Book,
    BookApart, ChainSettings, Client, ClientIdentity, Deny, Evacuate, Governance, Group, Heartbeat,
    Limit, Location, Measure, Need, Passkeys, Person, Policy, Recovery, Rejection, Require,
    Selector, SequenceStart, SignerSelector, Source, SourceSelector, Statement, To, Verb,
};
pub use narrower::{Widening, beside_people, widenings};
pub use price::{Price, PriceError, PriceRule, REFERENCE_DECIMALS, reference_value};
pub use request::{Proof, Request, RequestHash, RequestId, RequestIdError, SignedIntent};
pub use requirement::{AskedBy, Requirement};
pub use state::{
    AnswerableCheckpoint, AttemptState, BookState, BookStep, Consumed, Credited, Decided, FateSaid,
    FinalState, FreezeState, HeadState, Heard, HeartbeatState, HotState, HotStateError,
    IntentState, KeyDigest, Lapse, NotRecalled, PriceState, Proposed, RRepeated, ReconciledState,
    RegisteredIntent, RegisteredTransaction, RequestState, RequestStatus, RestoreError, Row,
    RowError, RowKey, SettledRows, State, StateError, Supposed, TimeState, Unpriced,
};
pub use statement::intent_signed;
pub use text::shortened;
pub use time::{TimeKeeper, at_least};
pub use verdict::{AllowedBy, Permit, Reason, ReasonCode, Refusal, Room, UnmetNeed, Verdict};
pub use window::{
    ChargeBlocks, ChargeState, ChargeStateError, ChargesError, ClosedBlock, KeptBlocks, UnreadBlock,
};
