//! A signer in miniature: a policy, the state, and transactions that no codec made.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use strongroom_policy::{
    Account, Allow, Attempt, AttemptId, Attestations, Blob, Book, BundleHash, ChainSettings,
    Client, ClientIdentity, Clocks, Entry, Governance, Group, Hours, KeyAlgorithm, KeyPurpose,
    KeyRegistration, Limit, Location, Measure, Need, Permit, Policy, Reason, ReasonCode, Record,
    Request, RequestHash, Selector, SequenceStart, SignedIntent, Source, State, Statement, Stretch,
    Verdict, evaluate,
};
use tx::{
    AccountClass, Address, Amount, Asset, Chain, ConflictKey, Destination, Effect, EffectKind,
    FeeTerms, Intent, IntentId, Interval, Name, Network, Signing, Time, ValidUntil,
    testing::Synthetic,
};

pub const BTC: Chain = Chain::Bitcoin(Network::Regtest);
pub const ETH: Chain = Chain::Evm(1);
pub const SECOND: u64 = 1_000;
pub const DAY: u64 = 24 * 60 * 60 * SECOND;
pub const START: u64 = 1_790_000_000_000;
/// The generator of secp256k1 and its multiples.
const POINTS: [(&str, &str); 5] = [
    (
        "k1",
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
    (
        "k2",
        "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    ),
    (
        "k3",
        "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
    ),
    (
        "k4",
        "02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13",
    ),
    (
        "k5",
        "022f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4",
    ),
];

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn names<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<Name> {
    texts.into_iter().map(name).collect()
}

pub fn amount(value: u64) -> Amount {
    Amount::from(value)
}

pub fn btc() -> Asset {
    Asset::native(BTC)
}

pub fn eth() -> Asset {
    Asset::native(ETH)
}

/// The address of a key of the fixture.
pub fn own(key: &str, chain: Chain) -> Address {
    remembered((key.into(), chain), || {
        let (_, point) = POINTS.iter().find(|(known, _)| *known == key).unwrap();
        let public: tx::PublicKey = point.parse().unwrap();
        public.address(chain).unwrap()
    })
}

/// The `n`th stranger.
pub fn stranger(chain: Chain, n: u8) -> Address {
    remembered((n.to_string(), chain), || match chain {
        Chain::Evm(_) => Address::evm(chain, [n; 20]).unwrap(),
        _ => Address::from_script(chain, &[&[0x00, 0x14], [n; 20].as_slice()].concat()).unwrap(),
    })
}

/// One of many strangers, none of whom is [`stranger`].
pub fn stranger_of(chain: Chain, n: u32) -> Address {
    let mut program = [0xee; 20];
    program[..4].copy_from_slice(&n.to_be_bytes());
    Address::from_script(chain, &[&[0x00, 0x14], program.as_slice()].concat()).unwrap()
}

/// Deriving addresses is most of what a run would cost.
fn remembered(which: (String, Chain), derive: impl FnOnce() -> Address) -> Address {
    thread_local! {
        static KNOWN: RefCell<HashMap<(String, Chain), Address>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| known.entry(which).or_insert_with(derive).clone())
}

pub fn statement<K>(text: &str, selector: Selector, says: K) -> Statement<K> {
    Statement {
        name: name(text),
        at: Location {
            file: "policy.toml".into(),
            line: 1,
        },
        selector,
        says,
    }
}

pub fn effects(kinds: &[EffectKind]) -> Selector {
    Selector {
        effects: Some(kinds.iter().copied().collect()),
        ..Selector::default()
    }
}

pub fn need(threshold: u32, people: &[&str]) -> Need {
    Need::of(threshold, names(people.iter().copied()))
}

/// A hard limit on the payments of one asset.
pub fn limit(text: &str, asset: Asset, cap: u64, window_millis: u64) -> Statement<Limit> {
    let selector = Selector {
        assets: Some([asset].into()),
        ..effects(&[EffectKind::Payment])
    };
    let says = Limit {
        measure: Measure::Amount,
        window_millis,
        cap: amount(cap),
        group: BTreeSet::new(),
        over: None,
        outstanding: false,
    };
    statement(text, selector, says)
}

pub fn grouped(mut limit: Statement<Limit>, groups: &[Group]) -> Statement<Limit> {
    limit.says.group = groups.iter().copied().collect();
    limit
}

fn account(class: AccountClass, keys: &[&str], addresses: &[Address]) -> Account {
    Account {
        class,
        chains: [BTC, ETH].into(),
        keys: names(keys.iter().copied()),
        addresses: addresses.iter().cloned().collect(),
    }
}

fn from_the_first() -> SequenceStart {
    SequenceStart {
        next: 0,
        finalized: 0,
    }
}

/// Governance by nobody, at once.
fn nobody() -> Governance {
    Governance {
        threshold: 1,
        officers: BTreeSet::new(),
        delay_millis: 0,
        unfreeze_delay_millis: 0,
    }
}

const EVERYTHING: [EffectKind; 5] = [
    EffectKind::Payment,
    EffectKind::Fee,
    EffectKind::OwnTransfer,
    EffectKind::Approval,
    EffectKind::Reissue,
];

/// Two hot accounts, a retired and a cold one; two clients; everything allowed and nothing
/// limited.
pub fn policy() -> Policy {
    let client = |text: &str| Client {
        identity: ClientIdentity::Uri(format!("spiffe://{text}")),
        verbs: BTreeSet::new(),
        accounts: names(["hot", "hot2", "old"]),
        people: BTreeSet::new(),
    };
    let source = || Source {
        clients: names(["walletd", "other"]),
        signers: BTreeSet::new(),
    };
    let settings = ChainSettings {
        locktime_height_max: 0,
        max_ahead: 100,
    };
    let start = from_the_first();
    let sequences = ["k1", "k2", "k3", "k4"].map(|key| ((name(key), ETH), start));
    Policy {
        hash: BundleHash([1; 32]),
        fleet: name("main"),
        sequence: 1,
        governance: nobody(),
        recovery: None,
        heartbeat: None,
        witnesses: None,
        auditors: BTreeSet::new(),
        devices: None,
        approval_page: None,
        people: BTreeMap::new(),
        groups: BTreeMap::new(),
        client_roots: Vec::new(),
        clients: [
            (name("walletd"), client("walletd")),
            (name("other"), client("other")),
        ]
        .into(),
        sources: [(name("payouts"), source()), (name("refunds"), source())].into(),
        accounts: [
            (name("hot"), account(AccountClass::Hot, &["k1", "k2"], &[])),
            (name("hot2"), account(AccountClass::Hot, &["k3"], &[])),
            (name("old"), account(AccountClass::Retired, &["k4"], &[])),
            (
                name("cold"),
                account(
                    AccountClass::Cold,
                    &[],
                    &[stranger(BTC, 200), stranger(ETH, 200)],
                ),
            ),
        ]
        .into(),
        edges: [(AccountClass::Hot, AccountClass::Cold)].into(),
        assets: BTreeMap::new(),
        chains: [(BTC, settings.clone()), (ETH, settings)].into(),
        sequences: sequences.into(),
        functions: tx::evm::Functions::default(),
        books: BTreeMap::new(),
        hours: [(name("first-day"), first_day())].into(),
        attestations: Attestations::default(),
        allows: vec![statement("everything", effects(&EVERYTHING), Allow)],
        denies: Vec::new(),
        requires: Vec::new(),
        requires_attested: Vec::new(),
        limits: Vec::new(),
        evacuates: Vec::new(),
    }
}

/// Weekly hours that end within two minutes of the beginning of every history.
fn first_day() -> Hours {
    let minutes = (START / 60_000 + 3 * 1440) % (7 * 1440);
    let until = u32::try_from(minutes + 2).unwrap();
    Hours {
        open: [Stretch { from: 0, until }].into(),
        clocks: Clocks::Utc,
    }
}

pub fn book(addresses: impl IntoIterator<Item = Address>) -> Book {
    Book {
        addresses: addresses.into_iter().collect(),
        apart: None,
    }
}

/// A request with its transaction.
#[derive(Clone, Debug)]
pub struct Ask {
    pub request: Request,
    pub transaction: Synthetic,
}

impl Ask {
    fn new(chain: Chain, id: &str, fee_terms: FeeTerms, fee: u64) -> Self {
        let request = Request {
            client: name("walletd"),
            id: id.parse().unwrap(),
            hash: RequestHash([0; 32]),
            lane_epoch: 0,
            intents: Vec::new(),
            replaces: Vec::new(),
            transaction: Blob::Inline(id.into()),
            proofs: Vec::new(),
        };
        let fee = Effect {
            kind: EffectKind::Fee,
            account: name("hot"),
            asset: Asset::native(chain),
            amount: amount(fee),
            to: None,
            tag: None,
            call: None,
        };
        let transaction = Synthetic {
            chain,
            account: name("hot"),
            effects: vec![fee],
            conflict_keys: BTreeSet::new(),
            valid_until: ValidUntil::Unbounded,
            fee_terms,
            signings: vec![Signing {
                key: name("k1"),
                scheme: tx::Scheme::Ecdsa,
                digest: [7; 32],
            }],
        };
        Self {
            request,
            transaction,
        }
    }

    /// A Bitcoin transaction that spends these outpoints, with this fee, of 100 vbyte.
    pub fn utxo(id: &str, inputs: impl IntoIterator<Item = u32>, fee: u64) -> Self {
        let mut ask = Self::new(BTC, id, FeeTerms::Utxo { fee, vsize: 100 }, fee);
        ask.transaction.conflict_keys = inputs.into_iter().map(outpoint).collect();
        ask
    }

    /// An Ethereum transaction of key k1 with this nonce, and both caps at `cap`.
    pub fn evm(id: &str, nonce: u64, cap: u64) -> Self {
        let terms = FeeTerms::Evm {
            max_fee_per_gas: amount(cap),
            max_priority_fee_per_gas: amount(cap),
            gas_limit: 1,
        };
        let mut ask = Self::new(ETH, id, terms, cap);
        ask.transaction.conflict_keys = [ConflictKey::Nonce {
            account: own("k1", ETH),
            nonce,
        }]
        .into();
        ask
    }

    /// A transaction that consumes nothing and ends by itself.
    pub fn keyless(id: &str, until: Time) -> Self {
        let mut ask = Self::utxo(id, [], 1);
        ask.transaction.valid_until = ValidUntil::Time(until);
        ask
    }

    /// The sending key, of an EVM transaction.
    pub fn from(mut self, account: &str, key: &str) -> Self {
        for effect in &mut self.transaction.effects {
            effect.account = name(account);
        }
        self.transaction.account = name(account);
        self.transaction.signings[0].key = name(key);
        let keys = std::mem::take(&mut self.transaction.conflict_keys);
        let moved = keys.into_iter().map(|conflict| match conflict {
            ConflictKey::Nonce { nonce, .. } => ConflictKey::Nonce {
                account: own(key, ETH),
                nonce,
            },
            other => other,
        });
        self.transaction.conflict_keys = moved.collect();
        self
    }

    /// Pays a stranger, for an intent with the id `intent`.
    pub fn pay(self, intent: &str, units: u64, to: u8) -> Self {
        let intent = self.intent(intent, units, to);
        self.payment(units, to).bring(intent)
    }

    /// Pays a stranger, for nothing.
    pub fn payment(self, units: u64, to: u8) -> Self {
        let to = stranger(self.transaction.chain, to);
        self.effect(EffectKind::Payment, units, Some((to, None)))
    }

    /// What would be the intent of a payment.
    pub fn intent(&self, id: &str, units: u64, to: u8) -> Intent {
        let chain = self.transaction.chain;
        Intent {
            id: IntentId {
                source: name("payouts"),
                id: id.parse().unwrap(),
            },
            epoch: 1,
            asset: Asset::native(chain),
            amount: amount(units),
            destination: stranger(chain, to),
            tag: None,
            max_fee: amount(1 << 40),
            expires: Time::from_millis(START + 1_000 * DAY),
        }
    }

    pub fn bring(mut self, intent: Intent) -> Self {
        self.request.intents.push(SignedIntent {
            intent,
            signatures: Vec::new(),
        });
        self
    }

    /// Adds an effect in the chain's coin, before the fee.
    pub fn effect(
        mut self,
        kind: EffectKind,
        units: u64,
        to: Option<(Address, Option<(&str, AccountClass)>)>,
    ) -> Self {
        let effect = Effect {
            kind,
            account: self.transaction.account.clone(),
            asset: Asset::native(self.transaction.chain),
            amount: amount(units),
            to: to.map(|(address, own)| Destination {
                address,
                own: own.map(|(account, class)| tx::Own {
                    account: name(account),
                    class,
                }),
            }),
            tag: None,
            call: None,
        };
        self.transaction.effects.insert(0, effect);
        self
    }

    pub fn replaces(mut self, attempts: impl IntoIterator<Item = AttemptId>) -> Self {
        self.request.replaces.extend(attempts);
        self
    }

    pub fn lane_epoch(mut self, epoch: u64) -> Self {
        self.request.lane_epoch = epoch;
        self
    }

    pub fn client(mut self, client: &str) -> Self {
        self.request.client = name(client);
        self
    }

    /// Another content under the same id.
    pub fn rehashed(mut self, byte: u8) -> Self {
        self.request.hash = RequestHash([byte; 32]);
        self
    }
}

pub fn outpoint(vout: u32) -> ConflictKey {
    ConflictKey::Outpoint {
        chain: BTC,
        txid: [9; 32],
        vout,
    }
}

/// The state and the time.
#[derive(Clone)]
pub struct Signer {
    pub state: State,
    pub now: Interval,
    pub records: Vec<Record>,
}

impl Signer {
    pub fn new(policy: Policy) -> Self {
        let start = Time::from_millis(START);
        let mut signer = Self {
            state: State::new(),
            now: Interval {
                lo: start,
                hi: start,
            },
            records: Vec::new(),
        };
        let fleet = policy.fleet.clone();
        signer.push(Entry::Genesis { fleet });
        for (key, point) in POINTS {
            signer.push(Entry::KeyRegistered(registration(key, point)));
        }
        signer.activate(policy);
        signer
    }

    pub fn push(&mut self, entry: Entry) -> u64 {
        let index = self.state.entries();
        let record = Record {
            v: 1,
            time: self.now,
            entry,
        };
        self.state.apply(index, &record).unwrap();
        self.records.push(record);
        index
    }

    pub fn activate(&mut self, policy: Policy) {
        self.push(Entry::PolicyActivated {
            hash: policy.hash,
            sequence: policy.sequence,
            signed_by: BTreeSet::new(),
        });
        self.state.activate(Arc::new(policy)).unwrap();
    }

    pub fn pass(&mut self, millis: u64) {
        self.now = Interval {
            lo: self.now.lo.after_millis(millis),
            hi: self.now.hi.after_millis(millis),
        };
    }

    pub fn evaluate(&self, ask: &Ask) -> Verdict {
        let decoded = ask.transaction.clone().decoded();
        evaluate(&self.state, self.now, &decoded, &ask.request).unwrap()
    }

    /// The permit, or what stands in its way.
    pub fn permit(&self, ask: &Ask) -> Result<Permit, Verdict> {
        match self.evaluate(ask) {
            Verdict::Permit(permit) => Ok(*permit),
            other => Err(other),
        }
    }

    /// Charges what is permitted.
    pub fn charge(&mut self, ask: &Ask) -> Result<(AttemptId, Attempt), Verdict> {
        let attempt = self.permit(ask)?.into_attempt();
        let index = self.push(Entry::Attempt(Box::new(attempt.clone())));
        Ok((AttemptId(index), attempt))
    }

    /// Charges what must be permitted.
    pub fn charged(&mut self, ask: &Ask) -> AttemptId {
        self.charge(ask).unwrap().0
    }

    pub fn reasons(&self, ask: &Ask) -> Vec<Reason> {
        match self.evaluate(ask) {
            Verdict::Refuse(refusal) => refusal.reasons,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The codes of the reasons, each once.
    pub fn codes(&self, ask: &Ask) -> BTreeSet<ReasonCode> {
        self.reasons(ask)
            .into_iter()
            .map(|reason| reason.code)
            .collect()
    }
}

pub fn registration(key: &str, public: &str) -> KeyRegistration {
    KeyRegistration {
        name: name(key),
        purpose: KeyPurpose::Spend,
        algorithm: KeyAlgorithm::Secp256k1,
        public: public.into(),
        device: "1".into(),
        assurance: "software".into(),
    }
}
