//! The signing API's journal: checkpoints, proofs, and how the signer's log stands.

use serde::{Deserialize, Serialize};
use tx::Time;

/// The most entries that are proved in one answer.
pub const PROOFS_PER_ANSWER_MAX: usize = 256;
/// The most entries in a page of bodies.
pub const BODIES_PER_PAGE_MAX: usize = 256;
/// A page of bodies ends with the one that reaches this many bytes.
pub const BODIES_PAGE_BYTES: usize = 8 << 20;
/// The longest checkpoint that is taken, in bytes.
pub const CHECKPOINT_MAX: usize = 64 * 1024;
/// The most cosignatures in one request.
pub const COSIGNATURES_MAX: usize = 16;
/// How long `GET /v1/journal/checkpoint?covers=` waits at most, in seconds.
pub const COVERS_SECS: u64 = 10;

/// `POST /v1/journal/proofs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofsRequest {
    /// The size of the tree to prove in, at most that of the newest checkpoint.
    pub size: u64,
    /// The entries, each below `size`.
    pub entries: Vec<u64>,
}

/// The answer to `POST /v1/journal/proofs`: one proof for each entry, in the order that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofsAnswer {
    /// The proofs.
    pub proofs: Vec<EntryProof>,
}

/// The proof that a tree contains an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryProof {
    /// The entry.
    pub entry: u64,
    /// The RFC 6962 audit path, 64 hexadecimal digits a node, from the leaf.
    pub path: Vec<String>,
}

/// The answer to `GET /v1/journal/consistency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyAnswer {
    /// The proof by RFC 6962 that the larger tree begins with the smaller one, 64 hexadecimal digits a node.
    pub path: Vec<String>,
}

/// The answer to `GET /v1/journal/bodies`: entries in order, as far as the newest checkpoint covers them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodiesAnswer {
    /// The entries from the one that was asked for.
    pub bodies: Vec<JournalBody>,
    /// How many entries the newest checkpoint covers: there is more while the last one here is not the
    /// last of these.
    pub covered: u64,
    /// SHA-256 of the bundle that governs now, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// One entry of the journal: the commitment that its leaf holds, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalBody {
    /// The entry.
    pub entry: u64,
    /// The leaf's commitment, 64 hexadecimal digits.
    pub commitment: String,
    /// What was committed to; absent for signatures that a freeze holds, which do not leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<BodyOpening>,
}

/// What a commitment is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyOpening {
    /// The salt, 64 hexadecimal digits.
    pub salt: String,
    /// The body, exactly as it was committed to.
    pub body: String,
    /// The text that the body names by its SHA-256, where it does and the journal has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<String>,
}

/// The answer to `GET /v1/journal/bundles/{hash}`: a bundle that governed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleAnswer {
    /// The files, the manifest and its signatures among them.
    pub files: Vec<BundleFile>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Its path in the bundle.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// `POST /v1/journal/checkpoint`: a checkpoint that somebody has seen. One that the signer's log does
/// not contain seals the signer; any other changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenCheckpoint {
    /// The signed note, exactly.
    pub checkpoint: String,
}

/// `POST /v1/journal/cosignatures`: what witnesses said of one of the signer's newest checkpoints. All of
/// them verify, or nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosignaturesRequest {
    /// The checkpoint's size.
    pub size: u64,
    /// The lines of the note, as witnesses returned them, 1 to [`COSIGNATURES_MAX`].
    pub cosignatures: Vec<String>,
}

/// The answer to `POST /v1/journal/cosignatures`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosignaturesAnswer {
    /// How many of the named witnesses have cosigned the checkpoint.
    pub cosigned: u64,
    /// How many are needed.
    pub needed: u64,
    /// How many entries are witnessed: by this checkpoint or by a longer one.
    pub witnessed: u64,
}

/// The witnesses, in [`LogStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessStatus {
    /// How many the policy names.
    pub named: u64,
    /// How many of them must have cosigned.
    pub needed: u64,
    /// How many entries are witnessed since the daemon started.
    pub witnessed: u64,
}

/// What could be lost unnoticed, in [`LogStatus`]: entries that nobody outside is known to have seen in
/// a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// How many entries.
    pub entries: u64,
    /// Since when, in seconds; 0 when there are none.
    pub secs: u64,
}

/// How the signer's log stands, in the answer to `GET /v1/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogStatus {
    /// The log's name in its checkpoints.
    pub origin: String,
    /// How many entries are durable.
    pub entries: u64,
    /// How many entries wait for a checkpoint.
    pub uncovered: u64,
    /// How many entries the newest checkpoint covers; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// The key that signs checkpoints, as a C2SP verifier key; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_key: Option<String>,
    /// Why the last checkpoint was not made, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The witnesses; absent when the policy names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<WitnessStatus>,
    /// What could be lost unnoticed, if the machine were set back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// How far the entries were read and verified again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubStatus>,
}

/// How far the entries were read and verified again while the signer runs, in [`LogStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubStatus {
    /// How many entries since the start; each of them once a day, where that can be done.
    pub entries: u64,
    /// When all of them had been read the last time; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,
}

impl CosignaturesRequest {
    /// Whether it brings a number of cosignatures that is taken.
    pub fn is_bounded(&self) -> bool {
        (1..=COSIGNATURES_MAX).contains(&self.cosignatures.len())
    }
}

impl ProofsRequest {
    /// Whether it asks for a number of proofs that is given.
    pub fn is_bounded(&self) -> bool {
        (1..=PROOFS_PER_ANSWER_MAX).contains(&self.entries.len())
    }
}
