//! What limits use, computed from exported entries: by the letter of `docs/semantics.md`, and not by the code that the
//! signer runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use alloy_primitives::U256;
use policy::statement::{Attestation, Fate, Seen};
use serde::Deserialize;
use serde_json::Value;
use tx::{Asset, Time};

use crate::audit::lines;

const MINUTE_MILLIS: u64 = 60_000;
pub const HOUR_MILLIS: u64 = 60 * MINUTE_MILLIS;
const DAY_MILLIS: u64 = 24 * HOUR_MILLIS;

/// What is measured.
#[derive(Clone, Debug)]
pub enum Measured {
    Amount,
    Count,
    /// By the prices that were attested by then.
    Value(Rule),
}

/// How amounts of an asset are valued.
#[derive(Clone, Debug)]
pub struct Rule {
    pub decimals: u64,
    /// What one unit is worth at the least, in 10^-18 of the currency.
    pub floor: U256,
    pub haircut_bp: u64,
}

/// A limit as the reference knows it.
#[derive(Clone, Debug)]
pub struct Bound {
    pub name: &'static str,
    pub kind: &'static str,
    /// One of these, or any.
    pub assets: Vec<Asset>,
    pub amount_max: u128,
    pub window_millis: u64,
    pub measured: Measured,
    pub group: fn(&Fact) -> Vec<String>,
    /// Whether it shows groups alone; else how much it uses, even where that is nothing.
    pub is_grouped: bool,
    /// Whether what is settled counts no longer.
    pub outstanding: bool,
    /// What carries attempts over it, by its fingerprint.
    pub over: Option<String>,
    /// A listed book that destinations were in, and who is in it now; one that is loaded apart is what was recorded.
    pub to: Option<(&'static str, Vec<&'static str>)>,
}

impl Bound {
    pub fn of(name: &'static str, kind: &'static str, asset: Asset) -> Self {
        Self {
            name,
            kind,
            assets: vec![asset],
            amount_max: u128::MAX,
            window_millis: DAY_MILLIS,
            measured: Measured::Amount,
            group: |_| Vec::new(),
            is_grouped: false,
            outstanding: false,
            over: None,
            to: None,
        }
    }

    fn measure(&self, fact: &Fact, history: &History) -> u128 {
        let amount: u128 = fact.effect.amount.parse().unwrap();
        let mut assets = self.assets.iter().map(ToString::to_string);
        let is_asset = self.assets.is_empty() || assets.any(|asset| asset == fact.effect.asset);
        let is_to = self.to.as_ref().is_none_or(|(book, now)| {
            let to = fact.effect.to.as_ref();
            let is_now = |to: &To| now.iter().any(|one| to.address.ends_with(one));
            fact.classes.books.contains(*book) || to.is_some_and(is_now)
        });
        let counts =
            fact.effect.kind == self.kind && is_asset && is_to && amount <= self.amount_max;
        match (counts, &self.measured) {
            (false, _) => 0,
            (true, Measured::Count) => 1,
            (true, Measured::Amount) => amount,
            (true, Measured::Value(rule)) => {
                let value = history.value(fact, rule);
                assert_eq!(fact.reference.as_deref(), Some(value.to_string().as_str()));
                value
            }
        }
    }

    /// What each group uses at `lo`: of every set of attempts the most expensive one.
    pub fn used(&self, told: &Told, lo: Time) -> BTreeMap<Vec<String>, u128> {
        let mut sets: BTreeMap<(Vec<String>, u64), u128> = BTreeMap::new();
        for (entry, charged) in &told.attempts {
            if charged.at.millis() + self.window_millis <= lo.millis() {
                continue;
            }
            let is_over = |over: &String| charged.attempt.carried.contains(over);
            if self.over.as_ref().is_some_and(is_over) {
                continue;
            }
            let set = charged.attempt.set.unwrap_or(*entry);
            if self.outstanding && told.is_settled(set) {
                continue;
            }
            let mut one: BTreeMap<Vec<String>, u128> = BTreeMap::new();
            for fact in &charged.attempt.facts {
                let measured = self.measure(fact, &charged.history);
                if measured > 0 {
                    *one.entry((self.group)(fact)).or_default() += measured;
                }
            }
            for (group, sum) in one {
                let most = sets.entry((group, set)).or_default();
                *most = sum.max(*most);
            }
        }
        let mut used = BTreeMap::new();
        for ((group, _), most) in sets {
            *used.entry(group).or_default() += most;
        }
        used
    }
}

/// What attesters had said of prices by an entry: of each asset each attester's last word.
#[derive(Clone, Debug, Default)]
pub struct History(BTreeMap<String, BTreeMap<String, U256>>);

impl History {
    /// What a fact is worth, in 10^-8 of the currency, rounded up.
    fn value(&self, fact: &Fact, rule: &Rule) -> u128 {
        let said = self.0.get(&fact.effect.asset);
        let mut prices: Vec<U256> = said
            .into_iter()
            .flat_map(BTreeMap::values)
            .copied()
            .collect();
        prices.sort();
        // The higher one of the two in the middle.
        let median = prices[prices.len() / 2];
        let whole = U256::from(10_000_u64);
        let raised = median * (whole + U256::from(rule.haircut_bp));
        let worth = raised.max(rule.floor * whole);
        let amount: U256 = fact.effect.amount.parse().unwrap();
        let units = U256::from(10_u64).pow(U256::from(rule.decimals + 18 - 8)) * whole;
        let value = (amount * worth).div_ceil(units);
        value.to()
    }
}

/// What the reference reads of an authorised attempt.
#[derive(Deserialize)]
struct Attempt {
    set: Option<u64>,
    facts: Vec<Fact>,
    #[serde(default)]
    carried: BTreeSet<String>,
}

#[derive(Deserialize)]
pub struct Fact {
    pub effect: Effect,
    pub client: String,
    pub source: Option<String>,
    classes: Classes,
    reference: Option<String>,
}

#[derive(Deserialize)]
pub struct Effect {
    kind: String,
    pub account: String,
    asset: String,
    amount: String,
    pub to: Option<To>,
}

#[derive(Deserialize)]
pub struct To {
    pub address: String,
}

#[derive(Deserialize)]
struct Classes {
    #[serde(default)]
    books: BTreeSet<String>,
}

struct Charged {
    at: Time,
    attempt: Attempt,
    /// What was known of prices then.
    history: History,
}

/// What an export tells.
pub struct Told {
    /// The attempts, with the indices of their entries.
    attempts: Vec<(u64, Charged)>,
    /// By attempt, who called it final and who dead.
    fates: BTreeMap<(u64, Fate), BTreeSet<String>>,
}

impl Told {
    /// Of an export. Two attesters have to say what is final or dead.
    pub fn of(folder: &Path) -> Self {
        let mut told = Self {
            attempts: Vec::new(),
            fates: BTreeMap::new(),
        };
        let mut history = History::default();
        for line in lines(folder) {
            let line: Value = serde_json::from_str(&line).unwrap();
            let Some(body) = line["opening"]["body"].as_str() else {
                continue;
            };
            let record: Value = serde_json::from_str(body).unwrap();
            if let Some(attempt) = record["entry"].get("attempt") {
                let charged = Charged {
                    at: serde_json::from_value(record["time"]["lo"].clone()).unwrap(),
                    attempt: serde_json::from_value(attempt.clone()).unwrap(),
                    history: history.clone(),
                };
                told.attempts
                    .push((line["entry"].as_u64().unwrap(), charged));
            }
            if let Some(said) = record["entry"].get("attested") {
                told.take(said["statement"].as_str().unwrap(), &mut history);
            }
        }
        told
    }

    fn take(&mut self, text: &str, history: &mut History) {
        let said = Attestation::parse(text).unwrap();
        let who = said.attester.to_string();
        match said.seen {
            Seen::Price { asset, price, .. } => {
                let prices = history.0.entry(asset.to_string()).or_default();
                prices.insert(who, smallest(&price.to_string()));
            }
            Seen::Fate { attempt, fate, .. } => {
                self.fates.entry((attempt.0, fate)).or_default().insert(who);
            }
            _ => {}
        }
    }

    /// Whether one of its attempts is final, or all of them are dead.
    fn is_settled(&self, set: u64) -> bool {
        let is_of =
            |(entry, charged): &&(u64, Charged)| charged.attempt.set.unwrap_or(*entry) == set;
        let is = |entry: u64, fate: Fate| {
            let said = self.fates.get(&(entry, fate));
            said.is_some_and(|who| who.len() >= 2)
        };
        let mut of_set = self.attempts.iter().filter(is_of);
        let mut again = of_set.clone();
        again.any(|(entry, _)| is(*entry, Fate::Final))
            || of_set.all(|(entry, _)| is(*entry, Fate::Dead))
    }
}

/// A price in 10^-18 of the currency.
fn smallest(price: &str) -> U256 {
    let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
    format!("{whole}{fraction:0<18}").parse().unwrap()
}
