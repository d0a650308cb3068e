//! Small bundles at random, the same ones always.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    Account, Allow, Book, BundleHash, ChainSettings, Client, ClientIdentity, Deny, Governance,
    Group, Limit, Location, Measure, Need, Policy, Require, Selector, SequenceStart, Source,
    SourceSelector, Statement, To, Verb,
};
use tx::{AccountClass, Address, Amount, Asset, Chain, EffectKind, Name, Network};

use super::signer::Ask;
use crate::{Forms, Leaves, Question};

/// A whole minute.
pub const START: u64 = 1_789_999_980_000;
pub const BTC: Chain = Chain::Bitcoin(Network::Regtest);
pub const ETH: Chain = Chain::Evm(1);
/// Small multiples of the generator of secp256k1.
pub const KEYS: [(&str, &str); 3] = [
    (
        "k0",
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
    (
        "k1",
        "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    ),
    (
        "k2",
        "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
    ),
];
/// Whose intent a payment is that is none, but the approval of a spender.
pub const SPENDER: &str = "spender";
/// Whose intent a payment is that is none, but what a call sends.
pub const CALLER: &str = "caller";
/// Amounts from 1, and two payments in a Bitcoin transaction.
pub const FORMS: Forms = Forms {
    least: |_| 1,
    most: |_| None,
    batch: |chain| if chain == BTC { 2 } else { 1 },
    size: |_| (1, 1_000_000),
};

/// A bundle and what is asked about it.
#[derive(Clone, Debug)]
pub struct Case {
    pub policy: Policy,
    pub question: Question,
    pub chain: Chain,
    /// The most that all limits let leave in any one window, and that window.
    pub total: (u64, u64),
    /// How much is moved between own accounts, where that is tried.
    pub moves: bool,
    /// How long one unit of the windows and the span is, in milliseconds.
    pub unit: u64,
    /// The most that calls may send in a window as long as that of all limits, where any is declared.
    pub calls: Option<u64>,
}

impl Case {
    pub fn is_own(&self, to: &Address) -> bool {
        KEYS.iter().any(|(key, _)| own(key, self.chain) == *to)
    }

    /// How much of what was asked about leaves.
    pub fn leaves(&self, ask: &Ask) -> u64 {
        let Leaves::Payments { asset, outside } = &self.question.leaves else {
            return ask.fee;
        };
        let book = outside
            .as_ref()
            .and_then(|book| self.policy.books.get(book));
        let counts = |to: &Address| {
            !self.is_own(to) && !book.is_some_and(|book| book.addresses.contains(to))
        };
        // Whom a spender sends it to, nobody sees.
        let unseen = [SPENDER, CALLER];
        let leaving = ask.payments.iter().filter(|(to, of, _, source)| {
            of == asset && (unseen.contains(&source.as_str()) || counts(to))
        });
        leaving.map(|(_, _, amount, _)| amount).sum()
    }
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The `n`th address that is not ours; the first ones are named.
pub fn stranger(chain: Chain, n: u8) -> Address {
    match chain {
        Chain::Evm(_) => Address::evm(chain, [n; 20]).unwrap(),
        _ => Address::from_script(chain, &[&[0x00, 0x14], [n; 20].as_slice()].concat()).unwrap(),
    }
}

pub fn own(key: &str, chain: Chain) -> Address {
    let (_, public) = KEYS.iter().find(|(known, _)| *known == key).unwrap();
    public
        .parse::<tx::PublicKey>()
        .unwrap()
        .address(chain)
        .unwrap()
}

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }

    pub fn in_100(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What a bundle is made from.
struct Making {
    dice: Dice,
    chain: Chain,
    accounts: u64,
    clients: u64,
    sources: u64,
    asset: Asset,
}

fn numbered(what: &str, count: u64) -> Vec<Name> {
    (0..count)
        .map(|number| name(&format!("{what}{number}")))
        .collect()
}

impl Making {
    fn of(number: u64) -> Self {
        let mut dice = Dice(number);
        let is_batched = dice.in_100(20);
        let chain = if is_batched { BTC } else { ETH };
        Self {
            accounts: if is_batched {
                1
            } else {
                2 + u64::from(dice.in_100(20))
            },
            clients: 1 + u64::from(!is_batched && dice.in_100(25)),
            sources: 1 + u64::from(is_batched || dice.in_100(20)),
            asset: match !is_batched && dice.in_100(30) {
                true => Asset::erc20(stranger(chain, 99)),
                false => Asset::native(chain),
            },
            chain,
            dice,
        }
    }

    /// One limit on everything, and others.
    fn add_statements(&mut self, policy: &mut Policy, (cap, window_millis): (u64, u64)) {
        let total = Selector {
            effects: Some([EffectKind::Payment].into()),
            assets: Some([self.asset.clone()].into()),
            ..Selector::default()
        };
        let says = Limit {
            measure: Measure::Amount,
            window_millis,
            cap: Amount::from(cap),
            group: BTreeSet::new(),
            over: None,
            outstanding: false,
        };
        policy
            .limits
            .push(statement("total", (total.clone(), says)));
        for _ in 0..self.dice.below(4) {
            policy.limits.push(statement("limit", self.limit()));
        }
        for number in 0..1 + self.dice.below(2) {
            let mut selector = self.selector();
            if number == 0 && self.dice.in_100(60) {
                selector = total.clone();
            }
            policy.allows.push(statement("allow", (selector, Allow)));
        }
        let fees = (self.fee_allow(), Allow);
        policy.allows.push(statement("fees", fees));
        if self.dice.in_100(30) {
            policy
                .denies
                .push(statement("deny", (self.selector(), Deny)));
        }
        if self.dice.in_100(30) {
            let says = Require { need: need() };
            let require = (self.selector(), says);
            policy.requires.push(statement("require", require));
        }
    }

    fn one_of(&mut self, what: &str, count: u64) -> BTreeSet<Name> {
        let chosen = self.dice.below(count);
        [name(&format!("{what}{chosen}"))].into()
    }

    /// What a statement about payments selects.
    fn selector(&mut self) -> Selector {
        let mut selector = Selector {
            effects: Some([EffectKind::Payment].into()),
            assets: Some([self.asset.clone()].into()),
            ..Selector::default()
        };
        if self.dice.in_100(25) {
            selector.accounts = Some(self.one_of("a", self.accounts));
        }
        if self.dice.in_100(15) {
            selector.clients = Some(self.one_of("c", self.clients));
        }
        if self.dice.in_100(20) {
            let sources = self.one_of("s", self.sources);
            selector.sources = Some(sources.into_iter().map(SourceSelector::Named).collect());
        }
        match self.dice.below(7) {
            0 => selector.to = Some([To::Book(name("known"))].into()),
            1 => selector.to_except = Some([To::Book(name("known"))].into()),
            2 => selector.to = Some([To::Address(stranger(self.chain, 3))].into()),
            _ => {}
        }
        if self.dice.in_100(20) {
            selector.amount_over = Some(Amount::from(self.dice.below(3)));
        }
        if self.dice.in_100(20) {
            selector.amount_max = Some(Amount::from(1 + self.dice.below(3)));
        }
        selector
    }

    fn groups(&mut self) -> BTreeSet<Group> {
        let all = [
            Group::Destination,
            Group::Client,
            Group::Source,
            Group::Account,
        ];
        let mut groups = BTreeSet::new();
        for group in all {
            if self.dice.in_100(25) {
                groups.insert(group);
            }
        }
        groups
    }

    fn limit(&mut self) -> (Selector, Limit) {
        let mut selector = self.selector();
        let mut measure = match self.dice.below(5) {
            0 | 1 => Measure::Count,
            _ => Measure::Amount,
        };
        if self.dice.in_100(15) {
            selector = Selector {
                effects: Some([EffectKind::Fee].into()),
                ..Selector::default()
            };
            measure = Measure::Count;
        } else if self.dice.in_100(15) {
            selector.effects = Some([EffectKind::Payment, EffectKind::OwnTransfer].into());
        }
        let limit = Limit {
            measure,
            window_millis: 1 + self.dice.below(3),
            cap: Amount::from(1 + self.dice.below(4)),
            group: self.groups(),
            over: self.dice.in_100(20).then(need),
            outstanding: false,
        };
        (selector, limit)
    }

    fn fee_allow(&mut self) -> Selector {
        let mut selector = Selector {
            effects: Some([EffectKind::Fee].into()),
            ..Selector::default()
        };
        if self.dice.in_100(20) {
            let of = match self.dice.below(3) {
                0 => SourceSelector::None,
                number => SourceSelector::Named(name(&format!("s{}", number - 1))),
            };
            selector.sources = Some([of].into());
        }
        if self.dice.in_100(15) {
            selector.accounts = Some(self.one_of("a", self.accounts));
        }
        selector
    }
}

fn need() -> Need {
    Need::of(1, [name("ann")].into())
}

pub fn statement<K>(text: &str, (selector, says): (Selector, K)) -> Statement<K> {
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

/// The bundle of a number.
pub fn bundle(number: u64) -> Case {
    let mut of = Making::of(number);
    let is_batched = of.chain == BTC;
    let mut policy = empty(&of);
    let cap = 2 + of.dice.below(if is_batched { 2 } else { 3 });
    let total = (cap, 1 + of.dice.below(3));
    of.add_statements(&mut policy, total);
    let moves = !is_batched && of.dice.in_100(25);
    if moves {
        policy.allows.push(statement("moves", (own_moves(), Allow)));
        policy.edges.insert((AccountClass::Hot, AccountClass::Hot));
    }
    let question = Question {
        leaves: Leaves::Payments {
            asset: of.asset.clone(),
            outside: of.dice.in_100(35).then(|| name("known")),
        },
        span_millis: 1 + of.dice.below(4),
        people: of
            .dice
            .in_100(30)
            .then(|| name("ann"))
            .into_iter()
            .collect(),
        clients: None,
    };
    Case {
        policy,
        question,
        chain: of.chain,
        total,
        moves,
        unit: 1,
        calls: None,
    }
}

fn own_moves() -> Selector {
    Selector {
        effects: Some([EffectKind::OwnTransfer].into()),
        ..Selector::default()
    }
}

fn nobody() -> Governance {
    Governance {
        threshold: 1,
        officers: BTreeSet::new(),
        delay_millis: 0,
        unfreeze_delay_millis: 0,
    }
}

fn account(chain: Chain, number: usize) -> Account {
    Account {
        class: AccountClass::Hot,
        chains: [chain].into(),
        keys: [name(&format!("k{number}"))].into(),
        addresses: BTreeSet::new(),
    }
}

/// A bundle without statements.
fn empty(of: &Making) -> Policy {
    let accounts = numbered("a", of.accounts);
    let clients = numbered("c", of.clients);
    let account = |(number, name): (usize, &Name)| (name.clone(), account(of.chain, number));
    let client = |client: &Name| {
        let of = Client {
            identity: ClientIdentity::Uri(client.to_string()),
            verbs: [Verb::Sign].into(),
            accounts: accounts.iter().cloned().collect(),
            people: BTreeSet::new(),
        };
        (client.clone(), of)
    };
    let source = |source: Name| {
        let of = Source {
            clients: clients.iter().cloned().collect(),
            signers: BTreeSet::new(),
        };
        (source, of)
    };
    let start = SequenceStart {
        next: 0,
        finalized: 0,
    };
    let starts = KEYS.iter().map(|(key, _)| ((name(key), ETH), start));
    let settings = ChainSettings {
        locktime_height_max: 0,
        max_ahead: 1_000,
    };
    let known = Book {
        addresses: [1, 2].map(|n| stranger(of.chain, n)).into(),
        apart: None,
    };
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
        clients: clients.iter().map(client).collect(),
        sources: numbered("s", of.sources).into_iter().map(source).collect(),
        accounts: accounts.iter().enumerate().map(account).collect(),
        edges: BTreeSet::new(),
        assets: BTreeMap::new(),
        chains: [(of.chain, settings)].into(),
        sequences: starts.collect(),
        functions: tx::evm::Functions::default(),
        books: [(name("known"), known)].into(),
        hours: BTreeMap::new(),
        allows: Vec::new(),
        denies: Vec::new(),
        requires: Vec::new(),
        requires_attested: Vec::new(),
        limits: Vec::new(),
        evacuates: Vec::new(),
        attestations: policy::Attestations::default(),
    }
}
