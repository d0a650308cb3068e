//! The signing API's governance: which bundle governs, which one waits.

use serde::{Deserialize, Serialize};
use tx::{Interval, Time};

/// The answer to `GET /v1/governance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GovernanceAnswer {
    /// The fleet, as statements of officers name it.
    pub fleet: String,
    /// The bundle that governs, 64 hexadecimal digits.
    pub policy: String,
    /// Its sequence.
    pub sequence: u64,
    /// Who may change it.
    pub officers: Vec<String>,
    /// How many of them must sign a bundle.
    pub threshold: u32,
    /// How long a bundle waits that is not shown to be narrower.
    pub delay_secs: u64,
    /// The bundle that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<ProposedBundle>,
    /// Who may replace people under a freeze, where the officers cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoverySet>,
    /// How long a freeze stands that enough officers lift.
    pub unfreeze_delay_secs: u64,
    /// What is frozen.
    pub freezes: Vec<FrozenScope>,
    /// The last entry by which something was un-frozen, which a statement that freezes answers; 0 for none.
    pub unfrozen: u64,
    /// The books that the bundle lets be loaded apart from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub books: Vec<LoadedBook>,
    /// What is asked of people who must say that they are there, and what they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatStatus>,
    /// The time by which it waits: by `lo`.
    pub time: Interval,
}

/// Who may replace people under a freeze, where the officers cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverySet {
    /// Whose signatures count.
    pub people: Vec<String>,
    /// How many of them must sign a bundle.
    pub threshold: u32,
    /// How long it waits.
    pub delay_secs: u64,
}

/// When people last said that they are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatStatus {
    /// Whose word counts.
    pub people: Vec<String>,
    /// How many of them must say so together.
    pub threshold: u32,
    /// When it is due.
    pub due: HeartbeatDue,
    /// The entry of the last one; nothing before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// A signed checkpoint that the next one may answer; nothing where none is made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// When the heartbeat is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatDue {
    /// Within how long of the last one.
    pub within_secs: u64,
    /// From when on it is counted.
    pub since: Time,
    /// When everything freezes, by `hi`.
    pub due: Time,
    /// Whether that has come.
    pub overdue: bool,
}

/// A book that is loaded apart from the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadedBook {
    /// Its name.
    pub book: String,
    /// The chain of its addresses.
    pub chain: String,
    /// Who may sign what is in it.
    pub signers: Vec<String>,
    /// How many of them must.
    pub threshold: u32,
    /// How long a content cools.
    pub cooling_secs: u64,
    /// The sequence of the newest content, which the next one answers; 0 before the first.
    pub sequence: u64,
    /// Its file, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How many addresses it has.
    pub addresses: u64,
    /// Whether the signer has the files that say what is in it. Otherwise nothing is sure of it.
    pub is_there: bool,
    /// The contents that are cooling, oldest first.
    pub cooling: Vec<BookContent>,
}

/// A content of a book that is cooling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookContent {
    /// Its sequence.
    pub sequence: u64,
    /// The entry that loaded it, which a veto answers.
    pub entry: u64,
    /// Its file, 64 hexadecimal digits.
    pub file: String,
    /// From this time on, by `lo`, it has cooled.
    pub not_before: Time,
    /// Whether an officer vetoed it.
    pub vetoed: bool,
}

/// Something that is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenScope {
    /// What: `everything`, `account …`, `chain …` or `key …`.
    pub scope: String,
    /// The entry that last froze it, which a statement that un-freezes answers.
    pub entry: u64,
    /// From this time on, by `lo`, it is frozen no longer, once enough officers said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// A bundle that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedBundle {
    /// The entry that proposed it, which a veto answers.
    pub entry: u64,
    /// The bundle, 64 hexadecimal digits.
    pub hash: String,
    /// Its sequence.
    pub sequence: u64,
    /// The people who signed it.
    pub signed_by: Vec<String>,
    /// Before this time, by `lo`, it does not govern.
    pub not_before: Time,
    /// Whether the recovery set signed it, and not the officers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_recovery: bool,
}
