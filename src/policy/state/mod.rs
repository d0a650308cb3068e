//! The state: what follows from the journal's entries, and from nothing else.

mod attempt;
mod attested;
mod books;
mod charges;
mod decided;
mod epoch;
mod fates;
mod fold;
mod freezes;
mod governing;
mod heartbeat;
mod hot;
mod lanes;
mod outstanding;
mod present;
mod r_used;
mod recall;
mod registered;
mod restore;
mod rows;
mod supposed;
mod times;
mod told;
mod transactions;
mod validate;
mod view;
mod watched;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use thiserror::Error;
use tx::{
    Address, Asset, Chain, ConflictKey, Decoded, IntentId, IntentPayload, Interval, Name, Registry,
    RegistryError, Time,
};

use crate::{
    AttemptId, BundleHash, BundleQuorum, Checkpoint, Digest, FreezeScope, KeyRegistration, Limit,
    NumberedDigest, Policy, RequestId, Room, Statement, Widening,
    book::Shelf,
    passkey::AssertionError,
    statement::{Head, StatementError},
    window::{ChargesError, GroupKey, Seen, Windows},
};

use attempt::Consumers;
pub use attempt::{AttemptState, IntentState, KeyDigest, RequestState, RequestStatus};
pub use attested::{FinalState, PriceState, Unpriced};
pub use books::{BookState, BookStep};
pub use decided::Decided;
use epoch::Epoch;
pub use fates::FateSaid;
pub(crate) use fates::Standing;
pub use freezes::FreezeState;
pub use governing::Proposed;
pub use heartbeat::{AnswerableCheckpoint, Heard, HeartbeatState, Lapse};
pub use hot::{HotState, HotStateError};
pub(crate) use lanes::lane_of;
pub use outstanding::SettledRows;
pub(crate) use present::Present;
pub use r_used::RRepeated;
pub use recall::NotRecalled;
use recall::Numbered;
pub use registered::RegisteredIntent;
pub use restore::RestoreError;
pub use rows::{Consumed, Row, RowError, RowKey};
pub use supposed::Supposed;
pub use times::{Credited, TimeState};
pub use transactions::RegisteredTransaction;
pub use watched::{HeadState, ReconciledState};

/// The state of the signer: a fold over journal entries.
///
/// It holds no transaction, no signature and no intent, only what later decisions hang on:
/// fingerprints, conflict keys, charges.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// How many entries were applied.
    entries: u64,
    /// When the last entry was decided.
    time: Option<Interval>,
    /// As of when windows are counted: not before the last entry.
    lo: Time,
    fleet: Option<Name>,
    next_call: u64,
    /// The bundle that governs, and its sequence.
    /// The first bundle that governed.
    first: Option<BundleHash>,
    active: Option<(BundleHash, u64)>,
    /// The bundle that waits, if one does.
    proposed: Option<Proposed>,
    /// Bundles that officers kept from replacing the one that governs.
    vetoed: BTreeSet<BundleHash>,
    /// The bundle that governs since it has waited: it need not be narrower than the one before it.
    waited: Option<(BundleHash, BundleQuorum)>,
    present: Option<Present>,
    windows: Windows,
    /// Whether the last entry said which policy governs: whether it does already, is not of the state.
    turned: bool,
    registrations: BTreeMap<Name, KeyRegistration>,
    attempts: HashMap<AttemptId, AttemptState>,
    requests: HashMap<Name, HashMap<RequestId, AttemptId>>,
    /// The attempts of each client, oldest first.
    authorised: HashMap<Name, Numbered>,
    intents: HashMap<IntentId, IntentState>,
    consumers: HashMap<ConflictKey, Consumers>,
    /// The conflict set that is anchored to a key.
    anchors: HashMap<ConflictKey, AttemptId>,
    /// The next new sequence of an account, where one was signed.
    sequences: HashMap<Address, u64>,
    lanes: HashMap<String, u64>,
    /// When each destination was first paid, as `lo`.
    paid: HashMap<Address, Time>,
    /// What the signature of each `r` is of.
    r_used: HashMap<Digest, KeyDigest>,
    /// How many entries' rows are kept where they can be recalled from.
    settled: u64,
    /// Where they are read for what limits count.
    rows: Option<Arc<dyn SettledRows>>,
    /// Rows in memory that were recalled and not written since.
    recalled: Vec<RowKey>,
    /// What was recalled and is not there.
    absent: HashSet<RowKey>,
    /// What was ever frozen, and how that stands.
    freezes: BTreeMap<FreezeScope, FreezeState>,
    /// The last entry by which something was un-frozen, 0 where there is none.
    unfrozen: u64,
    /// The last checkpoint that was authorised.
    checkpoint: Option<Checkpoint>,
    /// How many entries there are up to the last that is no checkpoint.
    to_cover: u64,
    /// How many entries the last state root covers.
    rooted: u64,
    /// How many entries have their bodies pruned.
    pruned: u64,
    /// Statements by which the signer went on after it was sealed.
    resumed: BTreeSet<Digest>,
    /// Heads of this log that it does not contain, and that count for nothing since then.
    lost: BTreeSet<Head>,
    /// The epoch, where officers began one.
    begun: Option<Epoch>,
    /// Intents that people are to approve.
    registered: BTreeMap<IntentId, RegisteredIntent>,
    /// Transactions that people are to approve, by their clients' ids of the requests.
    transactions: BTreeMap<(Name, RequestId), RegisteredTransaction>,
    /// What each attester said last of each asset's price.
    prices: BTreeMap<(Asset, Name), PriceState>,
    /// How the books stand that are loaded apart from the bundle.
    books: BTreeMap<Name, BookState>,
    /// What they hold, as far as whoever decides has put it there: no fold hangs on it.
    shelves: BTreeMap<Name, Arc<Shelf>>,
    /// What each attester said last of each account's final sequences.
    finals: BTreeMap<(Address, Name), FinalState>,
    /// When people last said that they are there, where the bundle asks for that.
    heartbeat: Option<HeartbeatState>,
    /// Whether people are supposed to be there, for tools.
    supposed_alive: bool,
    /// What a log says of the books that are loaded apart, for tools that have no shelves.
    told: Option<Box<told::Told>>,
    /// What attesters said of attempts, each in the order of their names.
    fates: HashMap<AttemptId, Vec<FateSaid>>,
    /// What each attester said last of each chain's height.
    heads: BTreeMap<(Chain, Name), HeadState>,
    /// Up to where each attester said last that the journal agrees with the chains.
    reconciled: BTreeMap<Name, ReconciledState>,
    /// What each attester said last of the time.
    times: BTreeMap<Name, TimeState>,
    /// By whom `lo` was moved on last.
    credited: Option<Credited>,
}

/// Why an entry does not follow from those before it. It was not applied, and nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// A row that the entry hangs on was not recalled: nothing is known of the entry.
    #[error("what the entry hangs on was not recalled")]
    NotRecalled(#[source] NotRecalled),
    /// The record, or the state root in it, is of a version that is not read.
    #[error("the record has version {found}, which is not read")]
    Version {
        /// The version.
        found: u8,
    },
    /// The entry's index is not the next one.
    #[error("the entry has index {found}, not {expected}")]
    Index {
        /// The next index.
        expected: u64,
        /// The index.
        found: u64,
    },
    /// The log does not begin with its one genesis.
    #[error("the log begins with its one genesis")]
    Genesis,
    /// `hi` is before `lo`, or `lo` is before that of an earlier entry.
    #[error("the time goes backwards")]
    Time,
    /// The attempt is not known.
    #[error("attempt {attempt} is not known")]
    UnknownAttempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The attempt was signed before.
    #[error("attempt {attempt} is signed already")]
    AlreadySigned {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A call's number was used before.
    #[error("call {call} is not a new number")]
    Call {
        /// The number.
        call: u64,
    },
    /// The bundle is older than the one that governs, or another of the same sequence.
    #[error("the bundle of sequence {found} does not replace that of {present}")]
    PolicySequence {
        /// The sequence that governs.
        present: u64,
        /// The sequence.
        found: u64,
    },
    /// A bundle waits already: it governs, or an officer vetoes it.
    #[error("bundle {hash} waits already; one officer can veto it")]
    Waiting {
        /// The one that waits.
        hash: BundleHash,
    },
    /// A bundle has not waited as long as it must.
    #[error("the bundle may not govern before {not_before}")]
    Early {
        /// From when on.
        not_before: Time,
    },
    /// Something waits longer or shorter than the running bundle says.
    #[error("the entry says {said}, and it must be {must}")]
    Delay {
        /// What the entry says.
        said: Time,
        /// What follows.
        must: Time,
    },
    /// An officer vetoed the bundle: it can be offered under another sequence.
    #[error("an officer vetoed bundle {hash}")]
    Vetoed {
        /// The bundle.
        hash: BundleHash,
    },
    /// There is no bundle that waits, or it is another one.
    #[error("no bundle waits that the statement is about")]
    NotProposed,
    /// Something was un-frozen since the statement was made.
    #[error(
        "the statement does not answer the entry {last}, by which something was last un-frozen"
    )]
    Unfrozen {
        /// That entry, 0 where there is none.
        last: u64,
    },
    /// It is frozen already.
    #[error("that is frozen already")]
    FrozenAlready,
    /// It is not frozen by the entry that the statement answers, or un-frozen already.
    #[error("no freeze stands that the statement is about")]
    NotFrozen,
    /// A bundle that has not waited is not shown to be narrower than the running one.
    #[error("the bundle must wait: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Wider(BTreeSet<Widening>),
    /// The bundle is not the one that governs.
    #[error("bundle {hash} does not govern")]
    Policy {
        /// The bundle.
        hash: BundleHash,
    },
    /// A limit's window is longer than charges are kept.
    #[error("the window of limit {limit} is longer than charges are kept")]
    Window {
        /// The limit.
        limit: Name,
    },
    /// Keys and addresses cannot all be ours as the policy and the registrations say.
    #[error("the registry of own keys and addresses cannot be built")]
    Registry(#[source] RegistryError),
    /// The name stands for another key, or the key has another name.
    #[error("key {key} is registered otherwise")]
    KeyDiffers {
        /// The name.
        key: Name,
    },
    /// A spending key that is no compressed point on secp256k1.
    #[error("key {key} is no public key of its algorithm")]
    KeyForm {
        /// The name.
        key: Name,
    },
    /// A checkpoint does not cover exactly the entries before it.
    #[error("a checkpoint of {found} entries stands behind {expected}")]
    CheckpointSize {
        /// How many entries there are.
        expected: u64,
        /// How many it covers.
        found: u64,
    },
    /// A key that shall be tested is not registered for tests, or with another algorithm.
    #[error("key {key} is not registered for self-tests")]
    SelfTestKey {
        /// The key.
        key: Name,
    },
    /// A key that shall sign is frozen.
    #[error("key {key} is frozen")]
    KeyFrozen {
        /// The key.
        key: Name,
    },
    /// The key that shall sign a checkpoint is not registered for that.
    #[error("key {key} is not registered to sign checkpoints")]
    CheckpointKey {
        /// The name.
        key: Name,
    },
    /// The request's id stands for another request, or the request is not taken up as it must be.
    #[error("request {request} of {client} is another or was attempted before")]
    Request {
        /// The client.
        client: Name,
        /// The id.
        request: RequestId,
    },
    /// The conflict set is not the one that the keys give.
    #[error("the attempt is charged in another conflict set than its own")]
    Set,
    /// The intent was used with other content, or is named twice.
    #[error("intent {intent} differs from its first use or is named twice")]
    Intent {
        /// The intent.
        intent: IntentId,
    },
    /// A state root covers entries that are not there, or no more than the one before it.
    #[error("a state root of {covers} entries stands behind one of {before} and {entries} entries")]
    StateRoot {
        /// How many it covers.
        covers: u64,
        /// How many the last one covers.
        before: u64,
        /// How many entries there are.
        entries: u64,
    },
    /// The intent is registered.
    #[error("the intent is registered already, by entry {entry}")]
    RegisteredAlready {
        /// The entry.
        entry: u64,
    },
    /// The intent is not registered, or not any longer.
    #[error("the intent is not registered, or nothing was said of it for a week")]
    NotRegistered,
    /// The intent was rejected for ever.
    #[error("intent {intent} was rejected for ever")]
    IntentClosed {
        /// The intent.
        intent: IntentId,
    },
    /// The intent has expired.
    #[error("the intent expired at {expires}")]
    IntentExpires {
        /// When.
        expires: Time,
    },
    /// The client may not bring intents of the source.
    #[error("the client may not bring intents of the source of {intent}")]
    IntentSource {
        /// The intent.
        intent: IntentId,
    },
    /// No signer of the source signed the intent.
    #[error("intent {intent} is not signed by a signer of its source")]
    IntentUnsigned {
        /// The intent.
        intent: IntentId,
    },
    /// There is no room.
    #[error("{most} are registered or said, which is all that is kept")]
    IntentsFull {
        /// How many there may be.
        most: usize,
    },
    /// No statement asks for people of this need before the intent is paid.
    #[error("nothing asks for need {need} before the intent is paid")]
    NotAsked {
        /// The need.
        need: Digest,
    },
    /// An approval is not, to the byte, what the signer renders.
    #[error("the text is not the one that follows from the intent and the bundle that governs")]
    Rendered,
    /// People said so by a passkey, and the need wants SSH signatures.
    #[error("no passkey counts for need {need}")]
    PasskeysRefused {
        /// The need.
        need: Digest,
    },
    /// A passkey's assertion is none about the text, by the approval page.
    #[error("the passkey's assertion does not count")]
    Assertion(#[source] AssertionError),
    /// Somebody rejected the intent since the statement was made.
    #[error("the statement does not answer the last rejection of the intent, entry {last}")]
    Rejected {
        /// That entry, 0 where there is none.
        last: u64,
    },
    /// A transaction is not understood.
    #[error("the transaction is not understood ({})", .0.code())]
    Transaction(#[source] Box<tx::Refusal>),
    /// No statement may ask for people before the transaction is signed.
    #[error("nothing asks for people before this transaction is signed")]
    NobodyAsked,
    /// A transaction is longer than people are asked to read.
    #[error("people approve transactions of at most {bytes_max} bytes of JSON")]
    TransactionLong {
        /// How many there may be.
        bytes_max: usize,
    },
    /// A transaction is not to be approved any longer, or for too long.
    #[error("the transaction expires at {expires}, which has passed or is more than 7 days ahead")]
    TransactionExpires {
        /// When.
        expires: Time,
    },
    /// There is no room.
    #[error("{most} transactions are registered or said of, which is all that is kept")]
    TransactionsFull {
        /// How many there may be.
        most: usize,
    },
    /// The transaction was rejected for good.
    #[error("the transaction was rejected for good, by entry {entry}")]
    TransactionClosed {
        /// The entry.
        entry: u64,
    },
    /// It adds nothing to what is known.
    #[error("that was said already")]
    SaidAlready,
    /// Nobody whose word counts signed.
    #[error(
        "it is signed by none of those whose word counts: {}, unless they ask for it themselves",
        .people.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
    )]
    NobodyCounts {
        /// The people of the need.
        people: BTreeSet<Name>,
    },
    /// The bundle names no attester who says such a thing.
    #[error("the bundle names no attester {attester} for such a statement")]
    NoAttester {
        /// Who says it.
        attester: Name,
    },
    /// The bundle has no price of the asset in the currency.
    #[error("the bundle asks for no price of {asset} in {currency}")]
    NotPriced {
        /// The asset.
        asset: Asset,
        /// The currency.
        currency: Name,
    },
    /// The account is not one of ours that has sequences.
    #[error("{account} is no own account with sequences")]
    NotOurs {
        /// The account.
        account: Address,
    },
    /// A sequence is said to be final that was never signed.
    #[error("no sequence of {account} from {next} on was signed")]
    NeverSigned {
        /// The account.
        account: Address,
        /// The first that was not.
        next: u64,
    },
    /// The attester said something newer of it.
    #[error("its number is not above {last}, which the attester said last")]
    NotNewer {
        /// The last number.
        last: u64,
    },
    /// Its number is above the milliseconds of its time.
    #[error("its number is above the milliseconds of {at}, when it was seen")]
    NumberAhead {
        /// When.
        at: Time,
    },
    /// The attempt is of another request.
    #[error("attempt {attempt} is of another request")]
    OtherRequest {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Nothing becomes of an attempt that is not signed.
    #[error("attempt {attempt} is not signed")]
    NotSigned {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The attester said that the attempt is final.
    #[error("the attester said that attempt {attempt} is final")]
    IsFinal {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A re-issue says that earlier attempts are dead, and not all of them are.
    #[error("not all earlier attempts of a re-issued intent are dead")]
    NotDead,
    /// The bundle describes no such chain.
    #[error("no [[chain]] of the bundle describes {chain}")]
    NoChain {
        /// The chain.
        chain: Chain,
    },
    /// The attester said more before.
    #[error("it says less than {last}, which the attester said before")]
    Lower {
        /// What it said.
        last: u64,
    },
    /// The journal has no such root.
    #[error("the first {size} entries have another root")]
    OtherRoot {
        /// How many entries.
        size: u64,
    },
    /// The journal has no so many entries.
    #[error("it is about {size} entries, and there are {entries}")]
    NoEntries {
        /// How many it says.
        size: u64,
        /// How many there are.
        entries: u64,
    },
    /// It was seen in the future.
    #[error("it was seen at {at}, which has not come")]
    NotSeenYet {
        /// When.
        at: Time,
    },
    /// Attesters did not say that it is as late as `lo` was moved on to.
    #[error("too few attesters say that it is {lo} at least")]
    NotAttested {
        /// Where to.
        lo: Time,
    },
    /// The bundle names no recovery set.
    #[error("the running bundle has no [recovery]")]
    NoRecovery,
    /// The recovery set acts under a freeze alone.
    #[error("the recovery set replaces people while everything is frozen, and it is not")]
    RecoveryFrozen,
    /// The recovery set replaces people and nothing else.
    #[error("the recovery set signed it, and it changes {}", .0.iter().copied().collect::<Vec<_>>().join(", "))]
    RecoveryDiffers(BTreeSet<&'static str>),
    /// The bundle asks nobody to say that they are there.
    #[error("the bundle asks for no heartbeat")]
    NoHeartbeat,
    /// A heartbeat answers no checkpoint of this log that is lately enough.
    #[error(
        "it answers none of this log's latest checkpoints, of {size} entries: \
         make one of the checkpoint that the signer shows now"
    )]
    HeartbeatCheckpoint {
        /// How many entries it says there were.
        size: u64,
    },
    /// A heartbeat answers a checkpoint that is not newer than the one before.
    #[error("people said so of {last} entries already")]
    HeartbeatOlder {
        /// How many.
        last: u64,
    },
    /// The heartbeat is overdue and everything is about to be frozen, which comes first.
    #[error("the heartbeat was due at {due}: everything freezes first; bring it again in a minute")]
    Lapsed {
        /// When.
        due: Time,
    },
    /// What a missing heartbeat froze is lifted once there is one again.
    #[error(
        "the heartbeat was due at {due}, so that everything would freeze again at once: \
         bring a heartbeat first"
    )]
    HeartbeatFirst {
        /// When.
        due: Time,
    },
    /// The intent was issued in another epoch.
    #[error("intent {intent} was issued in another epoch")]
    IntentEpoch {
        /// The intent.
        intent: IntentId,
    },
    /// A statement about a book counts for nothing.
    #[error("the statement does not change the book")]
    Book(#[source] StatementError),
    /// There is no such content of the book that cools, or an officer vetoed it.
    #[error("no content {sequence} of book {book} is cooling")]
    NotCooling {
        /// The book.
        book: Name,
        /// The content's sequence.
        sequence: u64,
    },
    /// So many contents of the book are cooling already.
    #[error("{most} contents of the book are cooling, which is all that is kept")]
    BooksFull {
        /// How many there may be.
        most: usize,
    },
    /// A statement does not let the signer go on from here.
    #[error("the statement does not un-seal this journal")]
    Unseal(#[source] StatementError),
    /// A statement was used before, or is not the one that its hash says, or was signed by others.
    #[error("the statement was used before, or is not the one that the entry says")]
    Statement,
    /// Charges that the windows hang on are not known. What the state says counts for nothing then.
    #[error("the windows cannot be counted")]
    Charges(#[source] ChargesError),
    /// The lane is owned by a later epoch.
    #[error("lane {lane} has a later epoch")]
    Lane {
        /// The lane.
        lane: String,
    },
}

impl State {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries, from the first on, have their bodies pruned.
    pub fn pruned(&self) -> u64 {
        self.pruned
    }

    /// The first bundle that governed, by the entry that says so.
    pub fn first_bundle(&self) -> Option<BundleHash> {
        self.first
    }

    /// The policy that governs, once [`State::activate`] was called.
    pub fn policy(&self) -> Option<&Arc<Policy>> {
        self.present.as_ref().map(|present| &present.policy)
    }

    /// Own keys and addresses: registered spending keys that an account of the policy names, and
    /// the addresses that it lists. Empty without a policy.
    pub fn registry(&self) -> Arc<Registry> {
        self.present
            .as_ref()
            .map(|present| Arc::clone(&present.registry))
            .unwrap_or_default()
    }

    /// The key of this name, as it was registered.
    pub fn registration(&self, key: &Name) -> Option<&KeyRegistration> {
        self.registrations.get(key)
    }

    /// Every registered key, by name.
    pub fn registrations(&self) -> impl Iterator<Item = &KeyRegistration> {
        self.registrations.values()
    }

    /// How many entries were applied: the index of the next one.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The number of the next call of the device.
    pub fn next_call(&self) -> u64 {
        self.next_call
    }

    /// One call for each digest of a transaction, numbered from [`State::next_call`].
    pub fn calls_for(&self, decoded: &Decoded) -> Vec<NumberedDigest> {
        // Numbers that ran out would repeat, and `apply` refuses a number twice.
        (self.next_call..=u64::MAX)
            .zip(decoded.signings())
            .map(|(call, signing)| NumberedDigest {
                call,
                key: signing.key.clone(),
                algorithm: signing.scheme.into(),
                digest: Digest(signing.digest),
            })
            .collect()
    }

    /// An attempt.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn attempt(&self, id: AttemptId) -> Result<Option<&AttemptState>, NotRecalled> {
        self.found(self.attempts.get(&id), || RowKey::Attempt(id))
    }

    /// What became of a client's request: of its latest attempt.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn request(
        &self,
        client: &Name,
        request: &RequestId,
    ) -> Result<Option<RequestState>, NotRecalled> {
        let requests = self.requests.get(client);
        let latest = requests.and_then(|requests| requests.get(request)).copied();
        let latest = self.found(latest, || RowKey::Request(client.clone(), request.clone()))?;
        let Some(latest) = latest else {
            return Ok(None);
        };
        let attempt = self.attempt(latest)?;
        Ok(attempt.map(|attempt| attempt.request_state(latest)))
    }

    /// What is known of an intent.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn intent(&self, intent: &IntentId) -> Result<Option<&IntentState>, NotRecalled> {
        self.found(self.intents.get(intent), || RowKey::Intent(intent.clone()))
    }

    /// The content that an intent's first use fixed.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn intent_payload(&self, intent: &IntentId) -> Result<Option<IntentPayload>, NotRecalled> {
        Ok(self.intent(intent)?.map(IntentState::payload))
    }

    /// The epoch of a lane's owner; `None` before the first attempt on it, unless officers said the lowest.
    pub fn lane_epoch(&self, lane: &str) -> Option<u64> {
        let known = self.lanes.get(lane).copied();
        known.max(self.least_lane_epoch())
    }

    /// Lets go of what is in no window any longer at `lo`. Answers do not hang on it, only memory
    /// and speed do: every question is asked with its own time.
    ///
    /// # Errors
    /// [`ChargesError`]: nothing more is decided then.
    pub fn advance(&mut self, lo: Time) -> Result<(), ChargesError> {
        if lo <= self.lo {
            return Ok(());
        }
        self.lo = lo;
        self.windows.advance(self.present.as_ref(), lo)
    }

    /// Every limit's use at `now`: each group in use, and limits without groups always.
    ///
    /// # Errors
    /// As [`State::room_where`].
    pub fn room(&self, now: Interval) -> Result<Vec<Room>, ChargesError> {
        self.room_where(now, |_| true)
    }

    /// As [`State::room`], for these limits alone: one that is counted by destination has as many
    /// groups as there are destinations, and its whole window is read.
    ///
    /// # Errors
    /// [`ChargesError`].
    pub fn room_where(
        &self,
        now: Interval,
        wanted: impl Fn(&Limit) -> bool,
    ) -> Result<Vec<Room>, ChargesError> {
        let mut rooms = Vec::new();
        let lo = self.lo_of(now);
        let Some(present) = &self.present else {
            return Ok(rooms);
        };
        let limits = present.policy.limits.iter().enumerate();
        for (place, limit) in limits.filter(|(_, limit)| wanted(&limit.says)) {
            let mut groups = self.windows.groups(present, place, lo)?;
            if limit.says.group.is_empty() {
                groups.insert(GroupKey::whole());
            }
            for group in groups {
                rooms.push(self.room_in(present, (place, limit), &group, now)?);
            }
        }
        rooms.sort();
        Ok(rooms)
    }

    /// A limit's use in one group.
    fn room_in(
        &self,
        present: &Present,
        (place, limit): (usize, &Statement<Limit>),
        group: &GroupKey,
        now: Interval,
    ) -> Result<Room, ChargesError> {
        let seen = Seen {
            limit: place,
            group,
            destination: None,
            set: None,
        };
        let usage = self.windows.usage(present, seen, self.lo_of(now))?;
        let used = usage.used.to_amount().unwrap_or(tx::Amount::MAX);
        let (cap, window_millis) = (limit.says.cap, limit.says.window_millis);
        Ok(Room {
            limit: limit.name.clone(),
            group: group.shown(),
            cap,
            used: match self.is_full(window_millis, now) {
                true => used.max(cap),
                false => used,
            },
            window_millis,
        })
    }

    /// Whether a window of this length is full because the epoch began within it.
    fn is_full(&self, window_millis: u64, now: Interval) -> bool {
        let until = self.full_until(window_millis);
        until.is_some_and(|until| self.lo_of(now) < until)
    }

    /// `lo`, which never goes backwards.
    pub(crate) fn lo_of(&self, now: Interval) -> Time {
        self.lo.max(now.lo)
    }

    pub(crate) fn present(&self) -> Option<&Present> {
        self.present.as_ref()
    }

    pub(crate) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The attempts that consume one of the keys.
    pub(crate) fn conflicting<'a>(
        &'a self,
        keys: impl IntoIterator<Item = &'a ConflictKey>,
    ) -> Result<BTreeSet<AttemptId>, NotRecalled> {
        let mut conflicting = BTreeSet::new();
        for key in keys {
            let consumers =
                self.found(self.consumers.get(key), || RowKey::Consumed(key.clone()))?;
            conflicting.extend(consumers.into_iter().flat_map(Consumers::iter));
        }
        Ok(conflicting)
    }

    /// How many attempts one of the keys has, at the most.
    pub(crate) fn most_attempts<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a ConflictKey>,
    ) -> Result<usize, NotRecalled> {
        let mut most = 0;
        for key in keys {
            let consumers =
                self.found(self.consumers.get(key), || RowKey::Consumed(key.clone()))?;
            most = most.max(consumers.map_or(0, Consumers::count));
        }
        Ok(most)
    }

    /// The oldest conflict set whose anchor is among the keys.
    pub(crate) fn set_of<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a ConflictKey>,
    ) -> Result<Option<AttemptId>, NotRecalled> {
        let mut oldest: Option<AttemptId> = None;
        for key in keys {
            // The row of a key says of both: who consumes it, and whether a set is anchored to it.
            self.found(self.consumers.get(key), || RowKey::Consumed(key.clone()))?;
            let anchored = self.anchors.get(key).copied();
            oldest = oldest.into_iter().chain(anchored).min();
        }
        Ok(oldest)
    }

    /// The next new sequence of an account, where one was signed.
    pub fn next_sequence(&self, account: &Address) -> Option<u64> {
        self.sequences.get(account).copied()
    }

    /// When a payment to the destination was first authorised, as `lo`.
    pub(crate) fn first_paid(&self, destination: &Address) -> Result<Option<Time>, NotRecalled> {
        let paid = self.paid.get(destination).copied();
        self.found(paid, || RowKey::Paid(destination.clone()))
    }

    /// Whether a statement was used already.
    pub fn was_resumed_by(&self, statement: &Digest) -> bool {
        self.resumed.contains(statement)
    }

    /// Whether officers accepted that what led to this head is lost.
    pub fn is_lost(&self, head: &Head) -> bool {
        self.lost.contains(head)
    }

    /// The governing bundle's hash, as the journal says.
    pub fn active(&self) -> Option<BundleHash> {
        self.active.map(|(hash, _)| hash)
    }
}
