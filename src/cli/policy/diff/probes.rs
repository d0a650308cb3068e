//! Requests that are made up of what two bundles say: whoever may ask, every kind of destination, and
//! amounts, rates and times at the edges of what either says.
//!
//! They are examples and no proof: `policy prove` shows what holds for all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use policy::{Addresses, FreezeScope, Limit, Measure, Policy, Selector, Statement, To, Verb};
use tx::{Address, Amount, Asset, AssetKind, Chain, EffectKind, Interval, Name, Time};

use super::super::cases::file::{Approved, Called, Case, Earlier, Payment, Prices};
use super::super::decided::Expected;
use super::super::{offline, words};
use super::called::{self, Call};
use super::standing::Standing;

/// The most that are made; what would be more is thinned evenly.
const MOST: usize = 20_000;
/// The first Monday of 2026.
const WEEK_MILLIS: u64 = 1_767_571_200_000;
const HOUR_MILLIS: u64 = 3_600_000;
const MINUTE_MILLIS: u64 = 60_000;
/// The most transactions that are signed before, where a limit counts them.
const EARLIER_MOST: u64 = 40;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    client: Name,
    account: Name,
    asset: Asset,
    amount: Amount,
    to: Destination,
    does: Does,
    source: Option<Name>,
    tag: Option<String>,
    /// In base units a gas or vbyte.
    fee_rate: Option<Amount>,
    time: Option<Time>,
    /// What was paid before: how many minutes, how much, how often.
    earlier: Option<(u64, Amount, u64)>,
    standing: Standing,
}

/// What it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Does {
    /// It pays.
    Pays,
    /// It approves whom it would pay as a spender.
    Approves,
    /// It calls; the amount goes with it.
    Calls(Call),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Destination {
    Address(Address),
    Own(Name),
}

/// All that are made of two bundles, the same for the same two.
pub fn of(old: &Policy, new: &Policy) -> Vec<Probe> {
    let made = Making { old, new }.all();
    let step = made.len().div_ceil(MOST).max(1);
    made.into_iter().step_by(step).collect()
}

struct Making<'a> {
    old: &'a Policy,
    new: &'a Policy,
}

impl Making<'_> {
    fn policies(&self) -> [&Policy; 2] {
        [self.old, self.new]
    }

    fn all(&self) -> BTreeSet<Probe> {
        let mut all = BTreeSet::new();
        for base in self.bases() {
            for time in self.times().into_iter().map(Some).chain([None]) {
                let amounts = self.amounts(&base.asset).into_iter();
                all.extend(amounts.chain([base.amount]).map(|amount| Probe {
                    amount,
                    time,
                    ..base.clone()
                }));
            }
            all.extend(
                self.fee_rates(base.asset.chain)
                    .into_iter()
                    .map(|rate| Probe {
                        fee_rate: Some(rate),
                        ..base.clone()
                    }),
            );
            all.extend(self.tags().into_iter().map(|tag| Probe {
                tag: Some(tag),
                ..base.clone()
            }));
            all.extend(self.histories(&base));
            all.extend(self.standing(&base));
        }
        all.extend(self.calls());
        all.extend(self.approvals());
        all
    }

    /// The same by the least amount and by amounts at the edges, under a freeze, as a re-issue, and without what
    /// attesters say.
    fn standing(&self, base: &Probe) -> Vec<Probe> {
        let standings = Standing::told_apart(self.policies()).into_iter();
        let standings = standings.filter(|standing| standing.is_of(base.source.is_some()));
        let amounts = self.amounts(&base.asset);
        let of = |standing| {
            let amounts = amounts.iter().copied().chain([base.amount]);
            amounts.map(move |amount| Probe {
                amount,
                standing,
                ..base.clone()
            })
        };
        standings.flat_map(of).collect()
    }

    /// Everyone who may ask, for every spender of each token by nothing and by amounts at the edges, where either
    /// bundle allows approvals.
    fn approvals(&self) -> BTreeSet<Probe> {
        let mut allows = self
            .policies()
            .into_iter()
            .flat_map(|policy| &policy.allows);
        if !allows.any(|allow| allow.selector.gives(EffectKind::Approval)) {
            return BTreeSet::new();
        }
        let mut all = BTreeSet::new();
        for base in self.bases().into_iter().filter(can_approve) {
            let base = Probe {
                does: Does::Approves,
                ..base
            };
            let amounts = self.amounts(&base.asset).into_iter();
            all.extend(amounts.chain([Amount::ZERO, one()]).map(|amount| Probe {
                amount,
                ..base.clone()
            }));
            let times = self.times().into_iter().map(Some);
            all.extend(times.map(|time| Probe {
                time,
                ..base.clone()
            }));
            all.extend(self.histories(&base));
        }
        all
    }

    /// Everyone who may ask, for every call with nothing and with amounts at the edges.
    fn calls(&self) -> BTreeSet<Probe> {
        let mut all = BTreeSet::new();
        for (client, account) in self.grants() {
            for call in called::of(self.policies()) {
                let base = Probe {
                    client: client.clone(),
                    account: account.clone(),
                    asset: Asset::native(call.contract.chain()),
                    amount: one(),
                    to: Destination::Address(call.contract.clone()),
                    does: Does::Calls(call),
                    source: None,
                    tag: None,
                    fee_rate: None,
                    time: None,
                    earlier: None,
                    standing: Standing::Usual,
                };
                let amounts = self.amounts(&base.asset).into_iter();
                all.extend(amounts.chain([base.amount]).map(|amount| Probe {
                    amount,
                    ..base.clone()
                }));
                let times = self.times().into_iter().map(Some);
                all.extend(times.map(|time| Probe {
                    time,
                    ..base.clone()
                }));
                all.extend(self.histories(&base));
            }
        }
        all
    }

    /// Everyone who may ask, for the least amount to everyone who may be paid.
    fn bases(&self) -> Vec<Probe> {
        let mut bases = Vec::new();
        for (client, account) in self.grants() {
            let chains = self.policies().into_iter();
            let chains = chains.filter_map(|policy| policy.accounts.get(&account));
            let chains: BTreeSet<Chain> = chains.flat_map(|it| it.chains.clone()).collect();
            for asset in self.assets(&chains) {
                for to in self.destinations(&asset) {
                    for source in self.sources(&to) {
                        bases.push(Probe {
                            client: client.clone(),
                            account: account.clone(),
                            asset: asset.clone(),
                            amount: Amount::from(1_u64),
                            to: to.clone(),
                            does: Does::Pays,
                            source,
                            tag: None,
                            fee_rate: None,
                            time: None,
                            earlier: None,
                            standing: Standing::Usual,
                        });
                    }
                }
            }
        }
        bases
    }

    fn grants(&self) -> BTreeSet<(Name, Name)> {
        let clients = self
            .policies()
            .into_iter()
            .flat_map(|policy| &policy.clients);
        let clients = clients.filter(|(_, client)| client.verbs.contains(&Verb::Sign));
        let grants = clients.flat_map(|(name, client)| {
            let accounts = client.accounts.iter();
            accounts.map(|account| (name.clone(), account.clone()))
        });
        grants.collect()
    }

    fn assets(&self, chains: &BTreeSet<Chain>) -> BTreeSet<Asset> {
        let assets = self
            .policies()
            .into_iter()
            .flat_map(|policy| policy.assets.values());
        let assets = assets.map(|unit| unit.asset.clone());
        assets
            .filter(|asset| chains.contains(&asset.chain))
            .collect()
    }

    /// A stranger, own accounts, addresses that statements name, and of each book one that is in both
    /// bundles' and one that is in either's alone.
    fn destinations(&self, asset: &Asset) -> BTreeSet<Destination> {
        let chain = asset.chain;
        let mut found = BTreeSet::new();
        found.extend(offline::made_up_address("stranger", chain).map(Destination::Address));
        for policy in self.policies() {
            let accounts = policy.accounts.iter();
            let accounts = accounts.filter(|(_, account)| account.chains.contains(&chain));
            found.extend(accounts.map(|(name, _)| Destination::Own(name.clone())));
            let named = selectors(policy).flat_map(|selector| {
                let to = selector.to.iter().flatten();
                to.chain(selector.to_except.iter().flatten())
            });
            found.extend(named.filter_map(|to| match to {
                To::Address(address) if address.chain() == chain => {
                    Some(Destination::Address(address.clone()))
                }
                To::Address(_) | To::Book(_) | To::OwnClass(_) | To::OwnAccount(_) => None,
            }));
        }
        found.extend(self.of_books(chain).into_iter().map(Destination::Address));
        found
    }

    fn of_books(&self, chain: Chain) -> BTreeSet<Address> {
        let names = self
            .policies()
            .into_iter()
            .flat_map(|policy| policy.books.keys());
        let names: BTreeSet<&Name> = names.collect();
        let nothing = Addresses::default();
        let mut found = BTreeSet::new();
        for name in names {
            let of =
                |policy: &'_ Policy| policy.books.get(name).map(|book| &book.addresses).cloned();
            let (old, new) = (of(self.old), of(self.new));
            let (old, new) = (
                old.as_ref().unwrap_or(&nothing),
                new.as_ref().unwrap_or(&nothing),
            );
            let on_chain = |address: &&Address| address.chain() == chain;
            let in_both = |address: &&Address| on_chain(address) && new.contains(address);
            found.extend(old.iter().find(in_both).cloned());
            found.extend(old.without(new).find(on_chain).cloned());
            found.extend(new.without(old).find(on_chain).cloned());
        }
        found
    }

    /// Own value is nobody's intent.
    fn sources(&self, to: &Destination) -> BTreeSet<Option<Name>> {
        let mut sources = BTreeSet::from([None]);
        if let Destination::Address(_) = to {
            let named = self
                .policies()
                .into_iter()
                .flat_map(|policy| policy.sources.keys());
            sources.extend(named.cloned().map(Some));
        }
        sources
    }

    /// At the edges of every amount that is named of the asset.
    fn amounts(&self, asset: &Asset) -> BTreeSet<Amount> {
        let mut named = BTreeSet::new();
        for policy in self.policies() {
            for selector in selectors(policy).filter(|selector| speaks_of(selector, asset)) {
                named.extend(selector.amount_max.into_iter().chain(selector.amount_over));
            }
            let limits = policy.limits.iter();
            let limits = limits.filter(|limit| speaks_of(&limit.selector, asset));
            named.extend(limits.filter_map(|limit| match limit.says.measure {
                Measure::Amount => Some(limit.says.cap),
                Measure::Reference => Some(self.at_floor(limit, asset)),
                Measure::Count => None,
            }));
        }
        edges(named)
    }

    /// How much of an asset fits into a limit on values where it is worth its floor.
    fn at_floor(&self, limit: &Statement<Limit>, asset: &Asset) -> Amount {
        let mut priced = self.policies().into_iter();
        let rule = priced.find_map(|policy| policy.attestations.prices.get(asset));
        rule.map_or(limit.says.cap, |rule| rule.most_within(limit.says.cap))
    }

    fn fee_rates(&self, chain: Chain) -> BTreeSet<Amount> {
        let selectors = self.policies().into_iter().flat_map(selectors);
        let of_chain = selectors.filter(|selector| {
            let assets = selector.assets.iter().flatten();
            let mut chains = selector.chains.iter().flatten().copied();
            let mut of_assets = assets.map(|asset| asset.chain);
            chains.any(|one| one == chain) || of_assets.any(|one| one == chain)
        });
        let rates = of_chain.flat_map(|it| it.fee_rate_max.into_iter().chain(it.fee_rate_over));
        edges(rates.collect())
    }

    /// One hour for each way in which hours of either bundle are open or not.
    fn times(&self) -> BTreeSet<Time> {
        let hours = self
            .policies()
            .into_iter()
            .flat_map(|policy| policy.hours.values());
        let hours: Vec<_> = hours.collect();
        if hours.is_empty() {
            return BTreeSet::new();
        }
        let mut ways: BTreeMap<Vec<bool>, Time> = BTreeMap::new();
        for quarter in 0..7 * 24 * 4 {
            let at = Time::from_millis(WEEK_MILLIS + quarter * HOUR_MILLIS / 4);
            let now = Interval { lo: at, hi: at };
            let open = hours.iter().map(|hours| hours.surely(now)).collect();
            ways.entry(open).or_insert(at);
        }
        ways.into_values().collect()
    }

    fn tags(&self) -> BTreeSet<String> {
        let selectors = self.policies().into_iter().flat_map(selectors);
        selectors
            .flat_map(|selector| selector.tags.clone().into_iter().flatten())
            .collect()
    }

    /// Half of what a limit holds, signed just within and just before each window, and the other half with
    /// one unit more.
    fn histories(&self, base: &Probe) -> BTreeSet<Probe> {
        let limits = self
            .policies()
            .into_iter()
            .flat_map(|policy| &policy.limits);
        let limits: Vec<&Statement<Limit>> = limits
            .filter(|limit| speaks_of(&limit.selector, &base.asset))
            .filter(|limit| match &base.does {
                Does::Pays => moves(&limit.selector),
                Does::Approves => selects(&limit.selector, EffectKind::Approval),
                Does::Calls(_) => selects(&limit.selector, EffectKind::Call),
            })
            .collect();
        let windows: BTreeSet<u64> = limits
            .iter()
            .map(|limit| limit.says.window_millis)
            .collect();
        let mut found = BTreeSet::new();
        for limit in limits {
            let cap = match limit.says.measure {
                Measure::Reference => self.at_floor(limit, &base.asset),
                Measure::Amount | Measure::Count => limit.says.cap,
            };
            let (earlier, times, amount) = match limit.says.measure {
                Measure::Amount | Measure::Reference => {
                    let half = halved(cap);
                    let rest = cap
                        .checked_sub(half)
                        .and_then(|rest| rest.checked_add(one()));
                    (half, 1, rest.unwrap_or(half))
                }
                Measure::Count => (one(), cap.to_u64().unwrap_or(u64::MAX), one()),
            };
            if times > EARLIER_MOST || times == 0 || earlier.is_zero() {
                continue;
            }
            for window in &windows {
                let within =
                    window.saturating_sub(MINUTE_MILLIS).max(MINUTE_MILLIS) / MINUTE_MILLIS;
                for minutes in [within, within.saturating_add(2)] {
                    found.insert(Probe {
                        amount,
                        earlier: Some((minutes, earlier, times)),
                        ..base.clone()
                    });
                }
            }
        }
        found
    }
}

const fn one() -> Amount {
    Amount::ONE
}

fn halved(amount: Amount) -> Amount {
    let mut carried = 0;
    let bytes = amount.to_be_bytes().map(|byte| {
        let half = byte >> 1 | carried;
        carried = byte << 7;
        half
    });
    Amount::from_be_bytes(bytes)
}

/// Each, one less and one more; nothing of nothing.
fn edges(named: BTreeSet<Amount>) -> BTreeSet<Amount> {
    let around = named.into_iter().flat_map(|amount| {
        let less = amount.checked_sub(one());
        let more = amount.checked_add(one());
        [less, Some(amount), more].into_iter().flatten()
    });
    around.filter(|amount| !amount.is_zero()).collect()
}

/// Whether a payment that nobody asks for would be an approval, were it one: of a token, to somebody else.
fn can_approve(base: &Probe) -> bool {
    let is_token = matches!(base.asset.kind, AssetKind::Erc20(_));
    is_token && base.source.is_none() && matches!(base.to, Destination::Address(_))
}

/// Whether it selects what moves, and not fees alone.
fn moves(selector: &Selector) -> bool {
    let moves = [EffectKind::Payment, EffectKind::OwnTransfer];
    moves.into_iter().any(|kind| selects(selector, kind))
}

fn selects(selector: &Selector, kind: EffectKind) -> bool {
    let effects = selector.effects.as_ref();
    effects.is_none_or(|effects| effects.contains(&kind))
}

fn speaks_of(selector: &Selector, asset: &Asset) -> bool {
    let assets = selector.assets.as_ref();
    assets.is_none_or(|assets| assets.contains(asset))
}

/// The conditions of every statement.
pub fn selectors(policy: &Policy) -> impl Iterator<Item = &Selector> {
    let allows = policy.allows.iter().map(|one| &one.selector);
    let denies = policy.denies.iter().map(|one| &one.selector);
    let requires = policy.requires.iter().map(|one| &one.selector);
    let attested = policy.requires_attested.iter().map(|one| &one.selector);
    let limits = policy.limits.iter().map(|one| &one.selector);
    let evacuates = policy.evacuates.iter().map(|one| &one.selector);
    allows
        .chain(denies)
        .chain(requires)
        .chain(attested)
        .chain(limits)
        .chain(evacuates)
}

impl Destination {
    /// As cases write it.
    fn text(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Own(account) => format!("own-account:{account}"),
        }
    }
}

impl Probe {
    /// The request as a case of a bundle; nothing where the bundle cannot write it down.
    pub fn case(&self, policy: &Policy, number: usize) -> Option<Case> {
        let unit = |amount: Amount| {
            let known = policy.assets.values().any(|unit| unit.asset == self.asset);
            known.then(|| words::amount(policy, &self.asset, amount))
        };
        // Nothing is called or approved, or what cannot be written down.
        let call = |amount: Amount| match &self.does {
            Does::Calls(call) => Some(Some(Called {
                function: call.function.clone(),
                contract: Some(call.contract.qualified()),
                args: call.args.clone(),
                value: Some(unit(amount)?),
            })),
            Does::Pays | Does::Approves => Some(None),
        };
        let approve = |amount: Amount| match &self.does {
            Does::Approves => Some(Some(Approved {
                spender: self.to.text(),
                amount: unit(amount)?,
            })),
            Does::Pays | Does::Calls(_) => Some(None),
        };
        let pay = |amount: Amount| {
            if self.does != Does::Pays {
                return Some(Vec::new());
            }
            let payment = Payment {
                to: self.to.text(),
                amount: unit(amount)?,
                source: self.source.clone(),
                tag: self.tag.clone(),
            };
            Some(vec![payment])
        };
        let earlier = match self.earlier {
            None => Vec::new(),
            Some((minutes, amount, times)) => vec![Earlier {
                times: u32::try_from(times).ok()?,
                pay: pay(amount)?,
                call: call(amount)?,
                approve: approve(amount)?,
                ..Earlier::ago(format!("{minutes}m"))
            }],
        };
        Some(Case {
            name: format!("probe-{number}").parse().ok()?,
            time: self.time,
            prices: Prices::Floors,
            attested: self.standing.attested(),
            reissue: self.standing.before(),
            frozen: (self.standing == Standing::Frozen).then_some(FreezeScope::All),
            client: self.client.clone(),
            account: self.account.clone(),
            key: None,
            pay: pay(self.amount)?,
            call: call(self.amount)?,
            approve: approve(self.amount)?,
            transaction: None,
            replaces: None,
            chain: None,
            fee_rate: self.fee_rate_text(),
            earlier,
            expect: Expected::Permit,
            allowed_by: None,
            refused_by: None,
            needs: None,
        })
    }

    fn fee_rate_text(&self) -> Option<String> {
        self.fee_rate.map(|rate| match self.asset.chain {
            Chain::Evm(_) => format!("{rate} wei"),
            _ => format!("{rate} sat/vb"),
        })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (amount, asset, account) = (self.amount, &self.asset, &self.account);
        write!(f, "{amount} base units of {asset} from {account}")?;
        match &self.to {
            Destination::Address(address) => write!(f, " to {address}")?,
            Destination::Own(account) => write!(f, " to the own account {account}")?,
        }
        match &self.does {
            Does::Pays => {}
            Does::Approves => f.write_str(" by approving the spender")?,
            Does::Calls(call) => {
                write!(f, " with a call of {}", call.function)?;
                for (number, (name, text)) in call.args.iter().enumerate() {
                    let word = if number == 0 { " where" } else { " and" };
                    write!(f, "{word} {name} = {text}")?;
                }
            }
        }
        match &self.source {
            Some(source) => write!(f, " for {source}")?,
            None => f.write_str(" without an intent")?,
        }
        write!(f, ", asked for by {}", self.client)?;
        if let Some(tag) = &self.tag {
            write!(f, ", with the tag {tag}")?;
        }
        if let Some(rate) = &self.fee_rate {
            write!(f, ", at {rate} base units a gas or vbyte")?;
        }
        if let Some(time) = &self.time {
            write!(f, ", at {time}")?;
        }
        if let Some((minutes, amount, times)) = &self.earlier {
            write!(f, ", {minutes} minutes after {times} of {amount}")?;
        }
        self.standing.fmt(f)
    }
}
