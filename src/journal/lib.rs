//! The journal: one durable, append-only history of every decision.
//!
//! A segment log of salted Merkle leaves is the signer's one durable state; [`policy::State`] is a
//! fold over it. A single writer evaluates requests and commits them in groups; what it hands out
//! as [`Committed`] is durable.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

// The simulation shares the fixtures of the tests of the public API, which know the crates by these names.
#[cfg(test)]
extern crate policy as strongroom_policy;
#[cfg(test)]
extern crate self as strongroom_journal;

pub mod charges;
pub mod disk;
pub mod lock;
pub mod map;
pub mod segment;

mod books;
mod bundles;
mod checkpoint;
mod clock;
mod command;
mod committed;
mod credit;
#[cfg(test)]
mod defect;
mod embedded;
mod gate;
mod govern;
mod group;
mod heartbeat;
mod journal;
mod known;
mod open;
mod overlay;
mod process;
mod prune;
mod refusals;
mod replay;
mod roots;
mod scrub;
mod seal;
mod self_test;
#[cfg(test)]
#[path = "tests/simulation/mod.rs"]
mod simulation;
mod store;
mod turn;
mod unseal;
mod writer;

pub use books::{BookFileError, BookStore, read_book};
pub use bundles::{BundleStore, FolderError, read_folder};
pub use clock::{Clock, Reading, SystemClock};
pub use command::{
    Activation, CheckpointOutcome, CheckpointWhen, Registered, Release, Reply, SelfTestOutcome,
    SignCommand, SignOutcome, Stopped,
};
pub use committed::{CheckpointOrder, Committed, SelfTestOrder, SignOrder};
pub use gate::{Cleared, Hold, Leaving, Uncleared};
pub use govern::Lifted;
pub use journal::{Busy, EntryError, Journal, WriterThread};
pub use known::{CheckpointFile, Remembered};
pub use open::{OpenJournalError, Opening, Start, create, create_on, open, open_on, open_with};
pub use prune::{PruneError, PrunedBodies, carry_out as carry_out_prune, prune};
pub use replay::{BundleError, Bundles, FoldError, Replay};
pub use roots::{RecallError, RootError, Rooting, Rows, SnapshotError, SnapshotUse};
pub use scrub::{Pauses, ScrubThread, Scrubbed, Scrubber};
pub use seal::SealName;
pub use self_test::{SELF_TEST, SelfTest};
pub use store::{Bodies, Group, NewEntry, ReadError, Store, StoreError, StoredEntry, Tree};
pub use unseal::{
    EmptyFolder, LostHead, ReportedKey, ResumeError, Resumption, SealReport, SealedFolder, is_epoch,
};
