//! The journal's entries, version 1: what was decided, in a form that stands for ever.
//!
//! A body is the JSON of a [`Record`]. Fields are only ever added in a new version; a reader
//! refuses what it does not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tx::{
    AccountClass, Address, Amount, Chain, ConflictKey, Effect, EffectKind, FeeTerms, IntentId,
    Interval, Name, Scheme, Time, Transaction, ValidUntil,
};

use crate::{
    ArgumentBooks, Proof, Reason, RequestHash, RequestId, SignedIntent, approval::Says,
    passkey::Assertion,
};

/// Serde, `Display` and `FromStr` of a 32-byte newtype by 64 hexadecimal digits.
macro_rules! hex_newtype {
    ($type:ident) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::str::FromStr for $type {
            type Err = hex::FromHexError;

            fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&hex::encode(self.0))
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hex_newtype;

/// One journal body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of the form: 1.
    pub v: u8,
    /// When it was decided.
    pub time: Interval,
    /// What was decided.
    pub entry: Entry,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Entry {
    /// The log begins, for this fleet.
    Genesis {
        /// The fleet.
        fleet: Name,
    },
    /// The daemon started.
    Started {
        /// Its version.
        version: String,
        /// Bytes of a torn last group that were cut, 0 when there was none.
        cut_bytes: u64,
        /// The kernel's boot id, for which boot-clock readings can be compared.
        boot_id: String,
    },
    /// The daemon stopped of itself.
    Stopped {
        /// Why.
        reason: String,
    },
    /// A bundle governs from here on.
    PolicyActivated {
        /// The bundle.
        hash: BundleHash,
        /// Its sequence.
        sequence: u64,
        /// The people whose signatures were counted.
        signed_by: BTreeSet<Name>,
    },
    /// A bundle was offered that is not shown to be narrower: it may govern once it has waited.
    PolicyProposed(PolicyProposed),
    /// An officer keeps the bundle that waits from governing.
    PolicyVetoed(Box<PolicyVetoed>),
    /// A book that is loaded apart from the bundle has another content from here on.
    BookLoaded(Box<BookLoaded>),
    /// A content of a book has cooled.
    BookCooled {
        /// The book.
        book: Name,
        /// The content's sequence.
        sequence: u64,
    },
    /// An officer keeps what a content of a book added, or took out, from counting as cooled.
    BookVetoed(Box<BookVetoed>),
    /// A bundle or a book was offered and not taken.
    PolicyRefused {
        /// Why.
        reason: String,
    },
    /// A key of the device is ours from here on, under this name, for ever.
    KeyRegistered(KeyRegistration),
    /// A transaction was authorised and charged.
    Attempt(Box<Attempt>),
    /// Further calls of the device will be made for an attempt.
    Call {
        /// The attempt.
        attempt: AttemptId,
        /// The calls.
        calls: Vec<NumberedDigest>,
    },
    /// All signatures of an attempt were made and verified.
    Signed(Box<Signed>),
    /// An attempt's calls ended without a signature, or without an answer.
    Failed {
        /// The attempt.
        attempt: AttemptId,
        /// What happened, without secrets.
        reason: String,
    },
    /// A request was refused, or waits for people.
    Refused(Box<Refused>),
    /// Requests that were refused beyond the rate at which each is recorded.
    RefusedMany(RefusedMany),
    /// Nothing in the scope is signed or released from here on.
    Frozen {
        /// What is frozen.
        scope: FreezeScope,
        /// Who or what froze it, and why.
        reason: String,
    },
    /// An officer says that nothing in the scope is signed or released from here on.
    FrozenBy(Box<FrozenBy>),
    /// Officers say that what is in the scope may be signed again.
    Unfrozen(Box<Unfrozen>),
    /// A client registered an intent, for people to approve.
    IntentRegistered(Box<IntentRegistered>),
    /// People approved or rejected an intent.
    IntentDecided(Box<IntentDecided>),
    /// A client registered a transaction that pays no intent, for people to approve.
    TransactionRegistered(Box<TransactionRegistered>),
    /// People approved or rejected a transaction.
    TransactionDecided(Box<TransactionDecided>),
    /// An attester said what it saw.
    Attested(Box<Attested>),
    /// People said that they are there, by a statement ([`crate::statement::Heartbeat`]).
    Heartbeat(Box<Resumed>),
    /// The wall clock moved as the boot clock does not explain.
    ClockJump {
        /// Milliseconds by which the wall clock moved more than the boot clock.
        millis: i64,
    },
    /// `lo` was moved on by what enough outsiders signed.
    TimeCredited {
        /// Who.
        by: TimeSource,
        /// By how many milliseconds.
        millis: u64,
    },
    /// A key was tested with a digest of its own purpose.
    SelfTest {
        /// The calls.
        calls: Vec<NumberedDigest>,
    },
    /// A key of the log may sign the tree of all entries before this one.
    Checkpoint(Checkpoint),
    /// What all that is remembered came to after the first entries.
    StateRoot(StateRoot),
    /// The signer was sealed here, and officers let it go on.
    Resumed(Box<Resumed>),
    /// The signer was sealed here, or had lost its journal, and officers began a new epoch.
    EpochBegan(Box<Resumed>),
    /// Officers let the bodies of the first entries go, which are kept elsewhere.
    Pruned(Box<Pruned>),
}

/// An attempt's name: the index of its journal entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub u64);

/// SHA-256 of a bundle's manifest, which names the hash of every file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleHash(pub [u8; 32]);

hex_newtype!(BundleHash);

/// Who signs what time it is at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeSource {
    /// Witnesses, with each cosignature.
    Witnesses,
    /// Attesters of the bundle who say it.
    Attesters,
}

impl TimeSource {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Witnesses => "witnesses",
            Self::Attesters => "attesters",
        }
    }
}

impl Entry {
    /// Whether room, delays or cooling are counted from it, by its `lo`. Time that passed before it and is
    /// credited later would be counted as if it had passed since.
    pub fn is_counted_from(&self) -> bool {
        // Every kind by name: a new one has to be thought about here.
        match self {
            Self::Genesis { .. }
            | Self::PolicyProposed(_)
            | Self::BookLoaded(_)
            | Self::Attempt(_)
            | Self::Unfrozen(_)
            | Self::IntentDecided(_)
            | Self::TransactionDecided(_)
            | Self::Resumed(_)
            | Self::EpochBegan(_) => true,
            Self::Started { .. }
            | Self::Stopped { .. }
            | Self::PolicyActivated { .. }
            | Self::PolicyVetoed(_)
            | Self::BookCooled { .. }
            | Self::BookVetoed(_)
            | Self::PolicyRefused { .. }
            | Self::KeyRegistered(_)
            | Self::Call { .. }
            | Self::Signed(_)
            | Self::Failed { .. }
            | Self::Refused(_)
            | Self::RefusedMany(_)
            | Self::Frozen { .. }
            | Self::FrozenBy(_)
            | Self::IntentRegistered(_)
            | Self::TransactionRegistered(_)
            | Self::Attested(_)
            | Self::Heartbeat(_)
            | Self::ClockJump { .. }
            | Self::TimeCredited { .. }
            | Self::SelfTest { .. }
            | Self::Checkpoint(_)
            | Self::StateRoot(_)
            | Self::Pruned(_) => false,
        }
    }
}

/// Bytes in an entry: in place up to [`Blob::INLINE_MAX`], else by hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blob {
    /// The text itself.
    Inline(String),
    /// SHA-256 of the text, in hexadecimal; the journal keeps it beside the entry.
    Sha256(String),
}

impl Blob {
    /// The longest text kept in place, in bytes.
    pub const INLINE_MAX: usize = 32 * 1024;

    /// `text` in place, or its hash when it is too long for that.
    pub fn of(text: &str) -> Self {
        if text.len() <= Self::INLINE_MAX {
            Self::Inline(text.into())
        } else {
            Self::Sha256(hex::encode(Sha256::digest(text)))
        }
    }
}

impl KeyPurpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Spend, Self::Checkpoint, Self::Test];

    /// The purpose in one word, as it stands in a key's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spend => "spend",
            Self::Checkpoint => "checkpoint",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "ed25519",
            Self::Bip340 => "bip340",
        })
    }
}

/// A key of the device, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRegistration {
    /// Its name in the device.
    pub name: Name,
    /// What it may be used for, fixed when it was generated.
    pub purpose: KeyPurpose,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
    /// Its public key in hexadecimal: 33 bytes, SEC 1 compressed, for secp256k1; 32 for Ed25519 and for BIP-340.
    pub public: String,
    /// The device's serial number.
    pub device: String,
    /// The assurance level: `hsm-logged`, `hsm`, `wrapped` or `software`.
    pub assurance: String,
}

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPurpose {
    /// Transactions.
    Spend,
    /// The journal's checkpoints.
    Checkpoint,
    /// Self-tests.
    Test,
}

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// ECDSA over secp256k1.
    Secp256k1,
    /// EdDSA over edwards25519 (RFC 8032).
    Ed25519,
    /// Schnorr signatures over secp256k1 (BIP-340).
    Bip340,
}

impl From<Scheme> for KeyAlgorithm {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ecdsa => Self::Secp256k1,
            Scheme::Bip340 => Self::Bip340,
        }
    }
}

/// A transaction that was authorised and charged: the facts from which every limit is computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The client.
    pub client: Name,
    /// The client's id of the request.
    pub request: RequestId,
    /// The fingerprint of the request.
    pub request_hash: RequestHash,
    /// The lane: the sending address, or the account where the chain has no sending address.
    pub lane: String,
    /// The epoch of the lane's owner.
    pub lane_epoch: u64,
    /// The request's transaction, as the JSON of [`tx::Transaction`].
    pub transaction: Blob,
    /// The chain.
    pub chain: Chain,
    /// The account that is debited.
    pub account: Name,
    /// What the transaction consumes.
    pub keys: BTreeSet<ConflictKey>,
    /// The conflict set it is charged in: that of this attempt, or itself when absent.
    pub set: Option<AttemptId>,
    /// The unsigned attempt of the same request that this one takes up again.
    pub resumes: Option<AttemptId>,
    /// The intents that it pays.
    pub intents: Vec<SignedIntent>,
    /// The conflicting attempts that the client declared.
    pub replaces: Vec<AttemptId>,
    /// The statements that the request brought.
    pub proofs: Vec<Proof>,
    /// What is charged.
    pub facts: Vec<Fact>,
    /// What it offers for inclusion.
    pub fee_terms: FeeTerms,
    /// Until when it can be included.
    pub valid_until: ValidUntil,
    /// The statements that allowed it, by name.
    pub allowed_by: BTreeSet<Name>,
    /// The needs that were met, by [`crate::Need::fingerprint`], and by whom.
    pub met: BTreeMap<Digest, BTreeSet<Name>>,
    /// Those of them that carried it over a limit: it does not count in limits with such an `over`.
    /// A fingerprint and no name, so that renaming a limit forgets nothing.
    pub carried: BTreeSet<Digest>,
    /// The bundle that allowed it.
    pub policy: BundleHash,
    /// The calls of the device that it authorises.
    pub calls: Vec<NumberedDigest>,
}

/// One effect, with all that was true of it when it was charged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The effect.
    pub effect: Effect,
    /// The client that asked.
    pub client: Name,
    /// The source of the intent it belongs to, when there is exactly one.
    pub source: Option<Name>,
    /// The intent that it pays.
    pub intent: Option<IntentId>,
    /// Who signed the intent that it pays; without one of its own, who signed all of the request's.
    #[serde(default, skip_serializing_if = "SignedBy::is_nobody")]
    pub signed_by: SignedBy,
    /// The classes it belonged to.
    pub classes: Classes,
    /// Its value in the reference currency, in its smallest unit, where a price was attested.
    pub reference: Option<Amount>,
    /// Of a re-issue, all attempts of the intent before it, where every one of them was dead; else none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dead: BTreeSet<AttemptId>,
}

/// What the bundle of the time said of an effect's parties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// The class of the debited account.
    pub account: AccountClass,
    /// The books that held the destination, or may have.
    pub books: BTreeSet<Name>,
    /// Those of them in which the destination was cooling: it had been added, or was taken out, not long ago.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub books_cooling: BTreeSet<Name>,
    /// The books that hold addresses among the arguments of a call, by the arguments' names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, ArgumentBooks>,
    /// When the destination was first paid; nothing of one that never was, and of own ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_paid: Option<Time>,
    /// The hours that it may have been when it was charged.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hours: BTreeSet<Name>,
    /// Those of them that it surely was.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hours_surely: BTreeSet<Name>,
}

/// Signers of a source whose signatures counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBy {
    /// Their keys: algorithm and base64.
    pub keys: BTreeSet<String>,
    /// The people whose keys these were.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub people: BTreeSet<Name>,
}

impl SignedBy {
    /// Whether nobody signed.
    pub fn is_nobody(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A digest, the key that signs it, and the number of the call that may be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedDigest {
    /// The call's number: never used twice in a journal.
    pub call: u64,
    /// The key.
    pub key: Name,
    /// The algorithm.
    pub algorithm: KeyAlgorithm,
    /// The digest.
    pub digest: Digest,
}

/// What a checkpoint says, and the call of the device that it authorises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// How many entries it covers: those before its own.
    pub size: u64,
    /// RFC 6962 root over their leaves.
    pub root: Digest,
    /// The key that signs it, of purpose [`KeyPurpose::Checkpoint`].
    pub key: Name,
    /// The call's number.
    pub call: u64,
}

/// What all that is remembered came to after the first entries, so that a start can go on from there
/// and an auditor can say whether it was so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateRoot {
    /// The version of what is hashed: 2.
    pub v: u8,
    /// How many entries it is of: the first ones of the log.
    pub covers: u64,
    /// SHA-256 over the hashes of what is remembered, as the journal has them.
    pub hash: Digest,
}

impl StateRoot {
    /// The present version.
    pub const VERSION: u8 = 2;
}

/// A statement by which a sealed signer goes on ([`crate::statement::Unseal`]) or begins a new epoch
/// ([`crate::statement::NewEpoch`]), whole, so that whoever reads the log can verify it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    /// SHA-256 of the statement.
    pub hash: Digest,
    /// The statement.
    pub statement: String,
    /// The armoured signatures over it.
    pub signatures: String,
    /// The officers whose signatures were counted.
    pub signed_by: BTreeSet<Name>,
}

/// Which bodies are gone from here on, and the statement ([`crate::statement::Prune`]) that lets them go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// How many entries, from the first on.
    pub before: u64,
    /// The statement.
    pub by: Resumed,
}

/// Whose signatures let a bundle replace the running one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BundleQuorum {
    /// Enough officers'.
    #[default]
    Officers,
    /// Enough of the recovery set's, and not enough officers'.
    Recovery,
}

impl BundleQuorum {
    /// Whether it is that of the officers.
    pub fn is_officers(&self) -> bool {
        *self == Self::Officers
    }
}

/// A bundle that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyProposed {
    /// The bundle.
    pub hash: BundleHash,
    /// Its sequence.
    pub sequence: u64,
    /// The people whose signatures were counted.
    pub signed_by: BTreeSet<Name>,
    /// The `lo` before which it does not govern, by the delay of the bundle that was running.
    pub not_before: Time,
    /// Whose signatures they are.
    #[serde(default, skip_serializing_if = "BundleQuorum::is_officers")]
    pub quorum: BundleQuorum,
}

/// Which bundle does not govern, and the statement ([`crate::statement::Veto`]) that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyVetoed {
    /// The bundle.
    pub bundle: BundleHash,
    /// The statement.
    pub by: Resumed,
}

/// The new content of a book, and the statement ([`crate::statement::BookUpdate`]) that says so. The file
/// itself is kept beside the journal, by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookLoaded {
    /// The book.
    pub book: Name,
    /// The chain of its addresses.
    pub chain: Chain,
    /// Its sequence: one above what it replaces.
    pub sequence: u64,
    /// SHA-256 of the file.
    pub file: Digest,
    /// How many addresses it has.
    pub addresses: u64,
    /// The `lo` from which on it has cooled, by the cooling of the bundle that was running.
    pub not_before: Time,
    /// The statement.
    pub by: Resumed,
}

/// Which content of a book does not cool, and the statement ([`crate::statement::BookVeto`]) that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookVetoed {
    /// The book.
    pub book: Name,
    /// The content's sequence.
    pub sequence: u64,
    /// The statement.
    pub by: Resumed,
}

/// What is frozen, and the statement ([`crate::statement::Freeze`]) that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenBy {
    /// What is frozen.
    pub scope: FreezeScope,
    /// The statement.
    pub by: Resumed,
}

/// What is un-frozen, and the statement ([`crate::statement::Unfreeze`]) that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfrozen {
    /// What is un-frozen.
    pub scope: FreezeScope,
    /// The `lo` from which on it is, by the delay of the bundle that was running.
    pub from: Time,
    /// The statement.
    pub by: Resumed,
}

/// An intent that people are to approve. Its content is fixed by that, as by its first use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentRegistered {
    /// Who registered it.
    pub client: Name,
    /// The intent, with the signatures of its source's signers.
    pub signed: SignedIntent,
    /// The keys of the source's signers that have signed it: whose they are, may not approve it.
    pub signers: BTreeSet<String>,
    /// The needs that could ask for people before it is paid, by [`crate::Need::fingerprint`].
    pub needs: BTreeSet<Digest>,
}

/// What people said of an intent, and the statement ([`crate::approval::Approval`]) that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentDecided {
    /// The intent.
    pub intent: IntentId,
    /// The need that it was said for.
    pub need: Digest,
    /// What was said.
    pub says: Says,
    /// When it holds no longer.
    pub expires: Time,
    /// Whether the intent is closed by it, for ever.
    pub closes: bool,
    /// The statement.
    pub statement: String,
    /// The armoured signatures over it; empty where a passkey signed.
    pub signatures: String,
    /// A passkey's assertion over it, where no SSH key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<Assertion>,
    /// The people whose signatures were counted, and the key that each of them signed with.
    pub signed_by: BTreeMap<Name, String>,
}

/// A transaction that pays no intent, as a client wants it signed under the id of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedTransaction {
    /// The client.
    pub client: Name,
    /// The client's id of the request by which it will ask for the signatures.
    pub request: RequestId,
    /// The transaction.
    pub transaction: Transaction,
    /// When nobody's approval of it holds any longer.
    pub expires: Time,
}

impl ProposedTransaction {
    /// The transaction's one text: the JSON that a request's [`Blob`] has of it.
    pub fn json(&self) -> String {
        // Strings and numbers alone: nothing in it fails.
        serde_json::to_string(&self.transaction).unwrap_or_default()
    }

    /// SHA-256("strongroom-transaction-v1\n" || JSON): of one transaction to the byte.
    pub fn digest(&self) -> Digest {
        let hash = Sha256::new()
            .chain_update("strongroom-transaction-v1\n")
            .chain_update(self.json());
        Digest(hash.finalize().into())
    }
}

/// A transaction that people are to approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionRegistered {
    /// The transaction, and who asks for it.
    pub proposed: ProposedTransaction,
    /// [`ProposedTransaction::digest`].
    pub digest: Digest,
    /// What it does, as it was understood.
    pub effects: Vec<Effect>,
    /// The needs that could ask for people before it is signed, by [`crate::Need::fingerprint`].
    pub needs: BTreeSet<Digest>,
}

/// What people said of a transaction, and the statement ([`crate::approval::TransactionApproval`]) that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionDecided {
    /// The entry that registered the transaction.
    pub transaction: u64,
    /// The need that it was said for.
    pub need: Digest,
    /// What was said.
    pub says: Says,
    /// When it holds no longer.
    pub expires: Time,
    /// Whether the transaction is closed by it, for good.
    pub closes: bool,
    /// The statement.
    pub statement: String,
    /// The armoured signatures over it.
    pub signatures: String,
    /// The people whose signatures were counted, and the key that each of them signed with.
    pub signed_by: BTreeMap<Name, String>,
}

/// What an attester saw: its statement ([`crate::statement::Attestation`]), whole, so that whoever reads the log
/// can verify it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// SHA-256 of the statement.
    pub hash: Digest,
    /// Who says it.
    pub attester: Name,
    /// The key that it is signed with.
    pub key: String,
    /// The statement.
    pub statement: String,
    /// The armoured signature over it.
    pub signature: String,
}

/// A digest of exactly 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

hex_newtype!(Digest);

/// An attempt whose signatures were all made and verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The attempt.
    pub attempt: AttemptId,
    /// The signatures, in the order of the attempt's calls.
    pub signatures: Vec<SignatureRecord>,
    /// The transaction's id as explorers show it.
    pub txid: String,
    /// The bytes to broadcast, in hexadecimal.
    pub raw: Blob,
}

/// A verified signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureRecord {
    /// The call that made it.
    pub call: u64,
    /// `r`; with BIP-340 the x coordinate of `R`.
    pub r: Digest,
    /// `s`; low with ECDSA.
    pub s: Digest,
    /// The parity of `R.y` with ECDSA; with BIP-340 it is always even.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_id: Option<u8>,
}

/// A request that was not signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The client.
    pub client: Name,
    /// The client's id of the request.
    pub request: RequestId,
    /// The fingerprint of the request.
    pub request_hash: RequestHash,
    /// The request's transaction, as the JSON of [`tx::Transaction`].
    pub transaction: Blob,
    /// What it says beside the transaction; nothing where that is long.
    pub asked: Option<Asked>,
    /// The bundle that refused it.
    pub policy: BundleHash,
    /// All that spoke against it.
    pub reasons: Vec<Reason>,
    /// The requirements it waits for; it is refused when there are none.
    pub needs: BTreeSet<Name>,
}

/// What a request says beside its transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The epoch of the lane's owner.
    pub lane_epoch: u64,
    /// The intents that it would pay.
    pub intents: Vec<SignedIntent>,
    /// The conflicting attempts that it declares.
    pub replaces: Vec<AttemptId>,
    /// The statements that it brings.
    pub proofs: Vec<Proof>,
}

/// Requests refused beyond the recording rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedMany {
    /// The client.
    pub client: Name,
    /// How many.
    pub count: u64,
    /// RFC 6962 root over the request fingerprints, in order.
    pub root: Digest,
    /// The first reason of the first of them.
    pub first: String,
}

/// What a freeze holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FreezeScope {
    /// Everything.
    All,
    /// One account.
    Account(Name),
    /// One chain.
    Chain(Chain),
    /// One key.
    Key(Name),
    /// Whatever goes to a destination in a book, or in what may be one.
    Book(Name),
    /// Whatever goes to an own account of a class.
    OwnClass(AccountClass),
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for FreezeScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Account(account) => write!(f, "account {account}"),
            Self::Chain(chain) => write!(f, "chain {chain}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Book(book) => write!(f, "book {book}"),
            Self::OwnClass(class) => write!(f, "own-class {}", class.as_str()),
        }
    }
}

impl FromStr for FreezeScope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "everything" {
            return Ok(Self::All);
        }
        match text.split_once(' ').ok_or(())? {
            ("account", account) => account.parse().map(Self::Account).map_err(|_| ()),
            ("chain", chain) => chain.parse().map(Self::Chain).map_err(|_| ()),
            ("key", key) => key.parse().map(Self::Key).map_err(|_| ()),
            ("book", book) => book.parse().map(Self::Book).map_err(|_| ()),
            ("own-class", class) => AccountClass::of(class).map(Self::OwnClass).ok_or(()),
            _ => Err(()),
        }
    }
}

impl FromStr for AttemptId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Fact {
    /// The scopes of freezes that hold it by where it goes: the books that have the destination, or may, and the
    /// class of an own one; of a call also those of addresses among its arguments. What comes back to the account
    /// that it came from goes nowhere.
    pub(crate) fn destination_scopes(&self) -> BTreeSet<FreezeScope> {
        let Effect { kind, to, call, .. } = &self.effect;
        if matches!(kind, EffectKind::Change | EffectKind::Cancellation) {
            return BTreeSet::new();
        }
        let arguments = self.classes.arguments.values();
        let books = arguments.flat_map(|held| &held.books);
        let books = books.chain(&self.classes.books);
        let arguments = call.iter().flat_map(|call| &call.arguments);
        let own = arguments.filter_map(|argument| argument.own.as_ref());
        let own = own.chain(to.iter().filter_map(|to| to.own.as_ref()));
        let classes = own.map(|own| FreezeScope::OwnClass(own.class));
        classes
            .chain(books.cloned().map(FreezeScope::Book))
            .collect()
    }
}

impl Attempt {
    /// The destinations of its payments, one as often as it is paid.
    pub(crate) fn paid(&self) -> impl Iterator<Item = &Address> {
        let payments = self
            .facts
            .iter()
            .filter(|fact| fact.effect.kind == EffectKind::Payment);
        let destinations = payments.filter_map(|fact| fact.effect.to.as_ref());
        destinations.map(|to| &to.address)
    }

    /// The sequences that the attempt consumes: (account, number).
    pub fn sequences(&self) -> impl Iterator<Item = (&Address, u64)> {
        self.keys.iter().filter_map(|key| match key {
            ConflictKey::Nonce { account, nonce } => Some((account, *nonce)),
            _ => None,
        })
    }
}
