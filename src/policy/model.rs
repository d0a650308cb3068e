//! The policy as it governs: what a verified bundle says, with every name resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tlog::cosignature::Quorum;
use tx::{AccountClass, Address, Amount, Asset, Chain, EffectKind, Name, evm::Functions};

use crate::{
    Addresses, ArgumentConditions, BundleHash, Digest, FunctionId, Hours, PriceRule,
    bundle::AuditorKey,
    passkey::{ApprovalPage, Passkey},
};

/// A whole policy. Every collection is a set: no order in it means anything.
#[derive(Clone, Debug)]
pub struct Policy {
    /// SHA-256 of the bundle's manifest.
    pub hash: BundleHash,
    /// The fleet it is for.
    pub fleet: Name,
    /// Its sequence: higher replaces lower.
    pub sequence: u64,
    /// Who may change it.
    pub governance: Governance,
    /// Who may replace people under a freeze, where the officers cannot.
    pub recovery: Option<Recovery>,
    /// How often people must say that they are there, if they must.
    pub heartbeat: Option<Heartbeat>,
    /// The witnesses without whose cosignatures nothing that was signed is released, if there are any.
    pub witnesses: Option<Quorum>,
    /// To whom what the entries say is encrypted, for witnesses to keep; nobody where it is empty.
    pub auditors: BTreeSet<AuditorKey>,
    /// The serial numbers of the devices that may be used; any that the configuration says, where none are named.
    pub devices: Option<BTreeSet<String>>,
    /// Where people use passkeys, if they may.
    pub approval_page: Option<ApprovalPage>,
    /// The people.
    pub people: BTreeMap<Name, Person>,
    /// The people that each group stands for. Whatever names people names them, not the group.
    pub groups: BTreeMap<Name, BTreeSet<Name>>,
    /// Certificates of the authorities that certify clients, PEM.
    pub client_roots: Vec<String>,
    /// The clients.
    pub clients: BTreeMap<Name, Client>,
    /// Who issues intents.
    pub sources: BTreeMap<Name, Source>,
    /// The own accounts.
    pub accounts: BTreeMap<Name, Account>,
    /// The classes between which own value may move, from and to.
    pub edges: BTreeSet<(AccountClass, AccountClass)>,
    /// The assets, by the names that amounts use.
    pub assets: BTreeMap<Name, AssetUnit>,
    /// What is set for each chain.
    pub chains: BTreeMap<Chain, ChainSettings>,
    /// Where sequences start, by key and chain: a bundle is written before its keys exist, so it
    /// cannot name their addresses.
    pub sequences: BTreeMap<(Name, Chain), SequenceStart>,
    /// The functions of contracts that may be called, and the contracts of the assets that are tokens.
    pub functions: Functions,
    /// The books.
    pub books: BTreeMap<Name, Book>,
    /// Hours of the week.
    pub hours: BTreeMap<Name, Hours>,
    /// Who attests what, and what is taken of it.
    pub attestations: Attestations,
    /// What may happen.
    pub allows: Vec<Statement<Allow>>,
    /// What is refused.
    pub denies: Vec<Statement<Deny>>,
    /// What needs people.
    pub requires: Vec<Statement<Require>>,
    /// What needs attesters to have said something lately.
    pub requires_attested: Vec<Statement<AttestedNeed>>,
    /// What is bounded.
    pub limits: Vec<Statement<Limit>>,
    /// What may happen under a freeze.
    pub evacuates: Vec<Statement<Evacuate>>,
}

/// Who may change the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governance {
    /// How many signatures of different people a bundle needs.
    pub threshold: u32,
    /// The people whose signatures count.
    pub officers: BTreeSet<Name>,
    /// How long a bundle waits that is not shown to be narrower, in milliseconds; 0: not at all.
    pub delay_millis: u64,
    /// How long a freeze stands that enough officers lift, in milliseconds.
    pub unfreeze_delay_millis: u64,
}

/// Who may replace people, slowly and under a freeze, where the officers cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How many signatures of different people a bundle needs.
    pub threshold: u32,
    /// The people whose signatures count.
    pub people: BTreeSet<Name>,
    /// How long such a bundle waits, in milliseconds.
    pub delay_millis: u64,
}

/// How often people must say that they are there: without that, everything freezes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Within how long of the last time, in milliseconds.
    pub within_millis: u64,
    /// How many different people must say so together.
    pub threshold: u32,
    /// The people whose word counts.
    pub people: BTreeSet<Name>,
}

/// A person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Public keys in OpenSSH's one-line form, without a comment; `verify-required` stands before a
    /// security key that has to show who touches it.
    pub keys: BTreeSet<String>,
    /// Passkeys, which approve intents for needs that count them, and sign nothing else.
    pub passkeys: BTreeSet<Passkey>,
}

/// A client of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// How it is recognised.
    pub identity: ClientIdentity,
    /// What it may ask.
    pub verbs: BTreeSet<Verb>,
    /// The accounts it may ask about.
    pub accounts: BTreeSet<Name>,
    /// Who runs it: they approve nothing that it asks for.
    pub people: BTreeSet<Name>,
}

/// How a client is recognised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientIdentity {
    /// The URI in its certificate's subject alternative name.
    Uri(String),
    /// SHA-256 of its certificate's SubjectPublicKeyInfo.
    Spki([u8; 32]),
}

/// What a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// To sign.
    Sign,
    /// What the verdict would be.
    Evaluate,
    /// Public keys and room left.
    Keys,
    /// What became of requests.
    Requests,
    /// Checkpoints of the journal, its commitments and proofs; no body of an entry.
    Journal,
    /// The bodies of the journal's entries, and the bundles that governed: all that was ever asked and
    /// decided, for auditors.
    Bodies,
    /// To bring witnesses' cosignatures of checkpoints.
    Witness,
    /// To see which bundle waits, and to bring statements of officers.
    Govern,
    /// To register intents, and to see how they stand.
    Intents,
    /// To see how intents stand, and to bring approvals and rejections.
    Approve,
    /// To bring statements of attesters, as every other client may.
    Attest,
}

/// Who issues intents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The clients that may bring its intents.
    pub clients: BTreeSet<Name>,
    /// Public keys one of which must have signed each intent; none: unsigned intents.
    pub signers: BTreeSet<String>,
}

/// An own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it is for.
    pub class: AccountClass,
    /// The chains it is used on.
    pub chains: BTreeSet<Chain>,
    /// The names of its keys in the device.
    pub keys: BTreeSet<Name>,
    /// Own addresses that are signed for elsewhere.
    pub addresses: BTreeSet<Address>,
}

/// An asset and how people write its amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetUnit {
    /// The asset.
    pub asset: Asset,
    /// How many decimal places one unit has.
    pub decimals: u8,
}

/// What is set for a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSettings {
    /// The highest block height allowed as a lock time.
    pub locktime_height_max: u32,
    /// How many sequences may be signed beyond the final one.
    pub max_ahead: u64,
}

/// Where the sequence of an own account starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceStart {
    /// The first number that may be signed.
    pub next: u64,
    /// The number below which everything is known to be final.
    pub finalized: u64,
}

/// Who attests what, and what is taken of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attestations {
    /// The attesters.
    pub attesters: BTreeMap<Name, Attester>,
    /// How many different attesters a kind of statement needs.
    pub needed: BTreeMap<AttestationKind, u32>,
    /// The currency in which assets have prices.
    pub currency: Option<Name>,
    /// How amounts of the assets that have a price are valued.
    pub prices: BTreeMap<Asset, PriceRule>,
}

/// An independent watcher, by whose statements the signer knows what it cannot see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attester {
    /// Public keys, as those of a [`Person`].
    pub keys: BTreeSet<String>,
    /// The kinds of statement that are taken from it.
    pub says: BTreeSet<AttestationKind>,
}

/// The kinds of statement that attesters make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttestationKind {
    /// What an asset is worth.
    Price,
    /// Which sequences of an account are final, and which attempts.
    Final,
    /// Which attempts can never be included.
    Dead,
    /// Which height a chain has.
    Head,
    /// Up to which entry the journal agrees with the chains.
    Reconciled,
    /// What time it is at least.
    Time,
}

/// A list of destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// The addresses that the bundle lists; none of a book that is loaded apart from it.
    pub addresses: Addresses,
    /// Who says what is in it, where that is not the bundle.
    pub apart: Option<BookApart>,
}

/// A book that is loaded apart from the bundle, under a sequence of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookApart {
    /// The chain of its addresses.
    pub chain: Chain,
    /// How many signatures of different people an update needs.
    pub threshold: u32,
    /// The people whose signatures count.
    pub signers: BTreeSet<Name>,
    /// How long what was added or taken out is cooling, in milliseconds of `lo`.
    pub cooling_millis: u64,
}

/// One statement: nothing hangs on another, and their order means nothing.
#[derive(Clone, Debug)]
pub struct Statement<K> {
    /// Its name, unique among its kind.
    pub name: Name,
    /// Where it stands.
    pub at: Location,
    /// The effects it speaks about.
    pub selector: Selector,
    /// What it says of them.
    pub says: K,
}

/// A place in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// The file, relative to the bundle.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// Which effects a statement speaks about: those that meet every condition that is present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The clients.
    pub clients: Option<BTreeSet<Name>>,
    /// The sources.
    pub sources: Option<BTreeSet<SourceSelector>>,
    /// The debited accounts.
    pub accounts: Option<BTreeSet<Name>>,
    /// The classes of the debited account.
    pub classes: Option<BTreeSet<AccountClass>>,
    /// The chains.
    pub chains: Option<BTreeSet<Chain>>,
    /// The assets.
    pub assets: Option<BTreeSet<Asset>>,
    /// The kinds of effect.
    pub effects: Option<BTreeSet<EffectKind>>,
    /// The functions that are called, and what must be true of their arguments. Binds calls alone.
    pub functions: Option<BTreeMap<FunctionId, ArgumentConditions>>,
    /// The destinations.
    pub to: Option<BTreeSet<To>>,
    /// Destinations that are not meant, even where `to` names them.
    pub to_except: Option<BTreeSet<To>>,
    /// Amounts up to and including this, in base units.
    pub amount_max: Option<Amount>,
    /// Amounts above this, in base units.
    pub amount_over: Option<Amount>,
    /// Fee rates up to and including this, in base units a gas or vbyte. Binds fees alone.
    pub fee_rate_max: Option<Amount>,
    /// Fee rates above this. Binds fees alone.
    pub fee_rate_over: Option<Amount>,
    /// The destination tags.
    pub tags: Option<BTreeSet<String>>,
    /// How long ago the destination was first paid, at least, in milliseconds.
    pub age_min: Option<u64>,
    /// How long ago that was, less than this; also where the destination was never paid.
    pub age_below: Option<u64>,
    /// Who signed the intents, one of them at least.
    pub signed_by: Option<BTreeSet<SignerSelector>>,
    /// The hours in which the statement speaks; of a limit, those in which what it counts was charged.
    pub hours: Option<BTreeSet<Name>>,
    /// Hours in which it does not.
    pub hours_except: Option<BTreeSet<Name>>,
    /// Whether all earlier attempts of the intent are dead. Binds re-issues alone.
    pub dead: Option<bool>,
}

/// A source, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceSelector {
    /// No source, or several in one transaction.
    None,
    /// This source.
    Named(Name),
}

/// Who signs intents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignerSelector {
    /// This person, by whichever of their keys.
    Person(Name),
    /// Whoever has this key: algorithm and base64.
    Key(String),
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// This address.
    Address(Address),
    /// Every address in this book.
    Book(Name),
    /// Own accounts of this class.
    OwnClass(AccountClass),
    /// This own account.
    OwnAccount(Name),
}

/// An effect may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow;

/// An effect is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deny;

/// An effect needs something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Require {
    /// What.
    pub need: Need,
}

/// What attesters must have said lately before an effect may happen. No people stand in for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestedNeed {
    /// What: one of [`AttestationKind::WITHIN`].
    pub attested: AttestationKind,
    /// How long what was said holds, in milliseconds, by `hi`.
    pub within_millis: u64,
}

/// What people do before an effect may happen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// How many of them.
    pub threshold: u32,
    /// Who may.
    pub people: BTreeSet<Name>,
    /// How long each approval waits before it counts, in milliseconds of `lo`.
    pub delay_millis: u64,
    /// How long an approval holds at the most, in milliseconds.
    pub valid_millis: u64,
    /// What a rejection does.
    pub rejection: Rejection,
    /// Whether people may say so by a passkey.
    pub passkeys: Passkeys,
}

/// Whether what people say by a passkey counts for a need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passkeys {
    /// It does not: people sign by SSH.
    #[default]
    Refused,
    /// It does, as an SSH signature does.
    Count,
}

/// What one person's rejection does to what waits for a need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// It keeps the need from being met until the same person approves.
    #[default]
    Blocks,
    /// It closes the intent for ever.
    Final,
}

/// A measure is bounded over a rolling window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is measured.
    pub measure: Measure,
    /// The window's length in milliseconds.
    pub window_millis: u64,
    /// The most that the window holds, in base units, effects or 10^-8 of the reference currency.
    pub cap: Amount,
    /// What is counted apart.
    pub group: BTreeSet<Group>,
    /// What lets an attempt go over; without it the limit is hard.
    pub over: Option<Need>,
    /// Whether conflict sets count no longer once attesters say that one of their attempts is final, or
    /// that all of them are dead.
    pub outstanding: bool,
}

/// What a limit measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Base units of the one asset it selects.
    Amount,
    /// Effects.
    Count,
    /// What the effects are worth in the reference currency, in 10^-8 of it.
    Reference,
}

/// What a limit counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Each destination address.
    Destination,
    /// Each client.
    Client,
    /// Each source.
    Source,
    /// Each debited account.
    Account,
}

/// An effect may happen under a freeze, once its need is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evacuate {
    /// What.
    pub need: Need,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Destination => "destination",
            Self::Client => "client",
            Self::Source => "source",
            Self::Account => "account",
        })
    }
}

impl Attestations {
    /// How many different attesters must say what is taken of a kind; 0 where nobody is asked.
    pub fn needed(&self, kind: AttestationKind) -> u32 {
        self.needed.get(&kind).copied().unwrap_or(0)
    }
}

impl AttestationKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Price,
        Self::Final,
        Self::Dead,
        Self::Head,
        Self::Reconciled,
        Self::Time,
    ];

    /// Those that a requirement can ask for.
    pub const WITHIN: [Self; 3] = [Self::Head, Self::Reconciled, Self::Time];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Final => "final",
            Self::Dead => "dead",
            Self::Head => "head",
            Self::Reconciled => "reconciled",
            Self::Time => "time",
        }
    }
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 11] = [
        Self::Sign,
        Self::Evaluate,
        Self::Keys,
        Self::Requests,
        Self::Journal,
        Self::Bodies,
        Self::Witness,
        Self::Govern,
        Self::Intents,
        Self::Approve,
        Self::Attest,
    ];
}

impl Rejection {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Final => "final",
        }
    }
}

impl Passkeys {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Count => "count",
        }
    }
}

impl Need {
    /// The longest that an approval holds, and how long it does where nothing is said.
    pub const VALID_MILLIS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

    /// So many of these people, with nothing said of delay, length and rejection.
    pub fn of(threshold: u32, people: BTreeSet<Name>) -> Self {
        Self {
            threshold,
            people,
            delay_millis: 0,
            valid_millis: Self::VALID_MILLIS_MAX,
            rejection: Rejection::Blocks,
            passkeys: Passkeys::Refused,
        }
    }

    /// SHA-256 over all that it says: two needs of one fingerprint are one, wherever they stand.
    pub fn fingerprint(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(b"strongroom-need-v2\n");
        hash.update(self.threshold.to_be_bytes());
        hash.update(self.delay_millis.to_be_bytes());
        hash.update(self.valid_millis.to_be_bytes());
        hash.update(self.rejection.as_str());
        hash.update(b"\n");
        if self.passkeys == Passkeys::Count {
            // A name has no space: this is none of the people. Without it the hash is that of older needs.
            hash.update(b"passkeys count\n");
        }
        for person in &self.people {
            // A name has no line feed, so that no two sets have one encoding.
            hash.update(person.as_str());
            hash.update(b"\n");
        }
        Digest(hash.finalize().into())
    }
}

impl Policy {
    /// Every need that a statement has, of a requirement, a limit or an evacuation.
    pub fn needs(&self) -> impl Iterator<Item = &Need> {
        let requires = self.requires.iter().map(|require| &require.says.need);
        let overs = self
            .limits
            .iter()
            .filter_map(|limit| limit.says.over.as_ref());
        let evacuates = self.evacuates.iter().map(|evacuate| &evacuate.says.need);
        requires.chain(overs).chain(evacuates)
    }

    /// Who says what is in a book, where the bundle does not.
    pub fn book_apart(&self, book: &Name) -> Option<&BookApart> {
        self.books.get(book)?.apart.as_ref()
    }

    /// What is set for the codec of a chain.
    pub fn chain_rules(&self, chain: Chain) -> tx::ChainRules<'_> {
        tx::ChainRules {
            locktime_height_max: self
                .chains
                .get(&chain)
                .map_or(0, |set| set.locktime_height_max),
            functions: &self.functions,
        }
    }
}
