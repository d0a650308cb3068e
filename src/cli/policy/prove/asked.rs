//! Questions: those of claims, and those that are asked of every bundle.

use std::collections::BTreeSet;

use bounds::{Leaves, Question, Worth};
use policy::bundle::length_millis;
use policy::{Measure, Need, Policy};
use tx::{Amount, Chain, EffectKind, Name};

use super::super::error::PolicyError;
use super::claims::{Agreeing, Claim};

const HOUR_MILLIS: u64 = 3_600_000;
const DAY_MILLIS: u64 = 24 * HOUR_MILLIS;
/// The spans that are asked of every bundle.
const SPANS_MILLIS: [u64; 4] = [HOUR_MILLIS, DAY_MILLIS, 7 * DAY_MILLIS, 30 * DAY_MILLIS];
/// So many choices of people are tried; of more, everyone agrees.
const CHOICES_MAX: usize = 500;

/// A question, and what the answer must be.
#[derive(Clone, Debug)]
pub struct Asked {
    pub claim: Option<Name>,
    pub what: What,
    pub span_millis: u64,
    pub people: Agreeing,
    pub clients: Option<BTreeSet<Name>>,
    pub at_most: Option<Amount>,
}

/// What leaves.
#[derive(Clone, Debug)]
pub enum What {
    /// So much of one asset.
    Of(Leaves),
    /// All assets that have a price, by what they are worth.
    Worth {
        /// A book: only what leaves for others than it has.
        outside: Option<Name>,
    },
}

/// Kinds that are rights or bytes rather than payments: nothing should let them pass unseen.
pub fn kinds() -> impl Iterator<Item = EffectKind> {
    [
        EffectKind::Authority,
        EffectKind::Approval,
        EffectKind::Call,
        EffectKind::Data,
        EffectKind::Rent,
    ]
    .into_iter()
}

/// What is asked of every bundle.
pub fn of_every_bundle(policy: &Policy) -> Vec<Asked> {
    let asked_of = |what: What, span_millis: u64, people: usize| Asked {
        claim: None,
        what,
        span_millis,
        people: Agreeing::Any(people),
        clients: None,
        at_most: None,
    };
    let asked = |leaves: Leaves, span, people| asked_of(What::Of(leaves), span, people);
    let mut all = Vec::new();
    let most_people = needs(policy).map(|need| need.threshold as usize).max();
    for unit in policy.assets.values() {
        let payments = |outside: Option<Name>| Leaves::Payments {
            asset: unit.asset.clone(),
            outside,
        };
        let spans = SPANS_MILLIS.into_iter();
        all.extend(spans.map(|span| asked(payments(None), span, 0)));
        let books = policy.books.iter();
        let books = books.filter(|(_, book)| {
            let apart = book.apart.as_ref();
            apart.is_some_and(|apart| apart.chain == unit.asset.chain)
                || book.addresses.chains().contains(&unit.asset.chain)
        });
        all.extend(books.map(|(name, _)| asked(payments(Some(name.clone())), DAY_MILLIS, 0)));
        let tiers = 1..=most_people.unwrap_or(0);
        all.extend(tiers.map(|people| asked(payments(None), DAY_MILLIS, people)));
    }
    let chains: BTreeSet<Chain> = policy.chains.keys().copied().collect();
    for chain in chains {
        all.push(asked(Leaves::Fees { chain }, DAY_MILLIS, 0));
    }
    if bounds_values(policy) {
        let worth = || What::Worth { outside: None };
        let spans = SPANS_MILLIS.into_iter();
        all.extend(spans.map(|span| asked_of(worth(), span, 0)));
        let tiers = 1..=most_people.unwrap_or(0);
        all.extend(tiers.map(|people| asked_of(worth(), DAY_MILLIS, people)));
    }
    all
}

/// Whether assets are valued, and anything is bounded by it.
fn bounds_values(policy: &Policy) -> bool {
    let mut limits = policy.limits.iter();
    policy.attestations.currency.is_some()
        && limits.any(|limit| limit.says.measure == Measure::Reference)
}

impl Asked {
    /// What claims ask.
    ///
    /// # Errors
    /// [`PolicyError::Claim`].
    pub fn of_claims(policy: &Policy, claims: &[Claim]) -> Result<Vec<Self>, PolicyError> {
        let amounts = claims.iter().filter(|claim| {
            claim.never.is_none() || claim.at_most.is_some() || claim.within.is_some()
        });
        amounts.map(|claim| Self::of(policy, claim)).collect()
    }

    fn of(policy: &Policy, claim: &Claim) -> Result<Self, PolicyError> {
        let wrong = |what: String| PolicyError::Claim {
            what: format!("{}: {what}", claim.name),
        };
        let (what, at_most) = match claim.value {
            true => value(policy, claim).map_err(wrong)?,
            false => leaves(policy, claim).map_err(wrong)?,
        };
        let within = claim.within.as_deref().unwrap_or("24h");
        let asked = Self {
            claim: Some(claim.name.clone()),
            what,
            span_millis: length_millis(within).map_err(|error| wrong(error.to_string()))?,
            people: claim.people.clone(),
            clients: claim.client.clone(),
            at_most,
        };
        asked.names_who_is_there(policy).map_err(wrong)?;
        Ok(asked)
    }

    /// A name that stands for nobody would make a claim that holds of nothing.
    fn names_who_is_there(&self, policy: &Policy) -> Result<(), String> {
        let clients = self.clients.iter().flatten();
        if let Some(client) = clients
            .into_iter()
            .find(|name| !policy.clients.contains_key(*name))
        {
            return Err(format!("the bundle has no client {client}"));
        }
        if let Agreeing::These(people) = &self.people
            && let Some(person) = people
                .iter()
                .find(|name| !policy.people.contains_key(*name))
        {
            return Err(format!("the bundle has no person {person}"));
        }
        match &self.what {
            What::Of(Leaves::Fees { chain }) if !policy.chains.contains_key(chain) => {
                Err(format!("the bundle has no chain {chain}"))
            }
            _ => Ok(()),
        }
    }

    /// The question of what leaves of one asset, with these people agreeing.
    pub fn question(&self, leaves: &Leaves, people: BTreeSet<Name>) -> Question {
        Question {
            leaves: leaves.clone(),
            span_millis: self.span_millis,
            people,
            clients: self.clients.clone(),
        }
    }

    /// The question of what all is worth that leaves, with these people agreeing.
    pub fn worth(&self, outside: &Option<Name>, people: BTreeSet<Name>) -> Worth {
        Worth {
            outside: outside.clone(),
            span_millis: self.span_millis,
            people,
            clients: self.clients.clone(),
        }
    }

    /// Each choice of people that meets other needs than the others; at least one.
    pub fn agreeing(&self, policy: &Policy) -> Vec<BTreeSet<Name>> {
        let count = match &self.people {
            Agreeing::These(people) => return vec![people.clone()],
            Agreeing::Any(count) => *count,
        };
        let named: BTreeSet<&Name> = needs(policy).flat_map(|need| &need.people).collect();
        let named: Vec<&Name> = named.into_iter().collect();
        let all: BTreeSet<Name> = named.iter().map(|name| (*name).clone()).collect();
        let Some(choices) = choices(&named, count) else {
            return vec![all];
        };
        let mut seen = BTreeSet::new();
        let mut agreeing = Vec::new();
        for people in choices {
            let met = needs(policy).filter(|need| {
                let agreeing = need.people.intersection(&people).count();
                agreeing >= need.threshold as usize
            });
            let met: BTreeSet<_> = met.map(Need::fingerprint).collect();
            if seen.insert(met) {
                agreeing.push(people);
            }
        }
        if agreeing.is_empty() {
            agreeing.push(BTreeSet::new());
        }
        agreeing
    }
}

/// What a claim about one asset, or about fees, asks, and how much it claims.
fn leaves(policy: &Policy, claim: &Claim) -> Result<(What, Option<Amount>), String> {
    let most = claim.at_most.as_deref().map(|text| policy.amount(text));
    let most = most.transpose().map_err(|error| error.to_string())?;
    let named = claim.asset.as_ref().map(|name| {
        let unit = policy.assets.get(name);
        unit.ok_or_else(|| format!("the bundle has no asset {name}"))
    });
    let unit = named.transpose()?.or(most.as_ref().map(|(unit, _)| *unit));
    let asset = unit.map(|unit| unit.asset.clone());
    if let (Some((unit, _)), Some(asset)) = (&most, &asset)
        && unit.asset != *asset
    {
        return Err("`asset` and `at_most` name two assets".to_owned());
    }
    let leaves = match (claim.fees, asset) {
        (Some(chain), _) => Leaves::Fees { chain },
        (None, Some(asset)) => Leaves::Payments {
            asset,
            outside: outside(policy, claim)?,
        },
        (None, None) => {
            return Err("say of which asset, the fees of which chain, or `value`".to_owned());
        }
    };
    Ok((What::Of(leaves), most.map(|(_, most)| most)))
}

/// What a claim about values asks, and how much it claims.
fn value(policy: &Policy, claim: &Claim) -> Result<(What, Option<Amount>), String> {
    if policy.attestations.currency.is_none() {
        return Err("the bundle has no currency that assets are valued in".to_owned());
    }
    if claim.asset.is_some() || claim.fees.is_some() {
        return Err("`value` is of all assets, and of no fees".to_owned());
    }
    let most = claim.at_most.as_deref().map(|text| policy.value(text));
    let most = most.transpose().map_err(|error| error.to_string())?;
    let outside = outside(policy, claim)?;
    Ok((What::Worth { outside }, most))
}

/// What people may meet.
fn needs(policy: &Policy) -> impl Iterator<Item = &Need> {
    let requires = policy.requires.iter().map(|one| &one.says.need);
    requires.chain(
        policy
            .limits
            .iter()
            .filter_map(|one| one.says.over.as_ref()),
    )
}

/// Every choice of so many; `None` where there are too many.
fn choices(of: &[&Name], count: usize) -> Option<Vec<BTreeSet<Name>>> {
    let count = count.min(of.len());
    let mut chosen: Vec<BTreeSet<Name>> = vec![BTreeSet::new()];
    for (number, name) in of.iter().enumerate() {
        let left = of.len() - number;
        let mut next = Vec::new();
        for people in chosen {
            if people.len() < count {
                let mut with = people.clone();
                with.insert((*name).clone());
                next.push(with);
            }
            if people.len() + left > count {
                next.push(people);
            }
        }
        if next.len() > CHOICES_MAX {
            return None;
        }
        chosen = next;
    }
    Some(chosen)
}

fn outside(policy: &Policy, claim: &Claim) -> Result<Option<Name>, String> {
    let Some(text) = &claim.outside else {
        return Ok(None);
    };
    let name = text
        .strip_prefix("book:")
        .and_then(|name| name.parse().ok());
    let name: Name = name.ok_or_else(|| format!("{text:?} is no book:<name>"))?;
    match policy.books.contains_key(&name) {
        true => Ok(Some(name)),
        false => Err(format!("the bundle has no book {name}")),
    }
}
