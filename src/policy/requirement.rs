//! The needs that may ask for people before an intent is paid, as far as the intent alone says.
//!
//! Which account pays, at which hour, and how full a limit is then, is not known of an intent. What may ask is
//! listed, and people can meet it; what does ask is found when a transaction is evaluated.

mod transaction;

use std::collections::{BTreeMap, BTreeSet};

use tx::{Amount, Asset, EffectKind, Intent, Name, Own};

pub(crate) use self::transaction::of_transaction;
use crate::{Digest, Need, Policy, Selector, SourceSelector, To, state::Present};

/// A need, and the statements that may ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The need.
    pub need: Need,
    /// Who may ask.
    pub asked_by: BTreeSet<AskedBy>,
}

/// A statement that has a need.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AskedBy {
    /// A requirement, always.
    Require(Name),
    /// A limit, where it has no room.
    Limit(Name),
    /// An evacuation, under a freeze.
    Evacuate(Name),
}

/// The needs that may ask for people before the intent is paid, by their fingerprints.
pub(crate) fn requirements(present: &Present, intent: &Intent) -> BTreeMap<Digest, Requirement> {
    let paid = Paid::of(present, intent);
    asking(&present.policy, |selector| paid.may_match(selector))
}

/// The needs of the statements that may speak.
fn asking(policy: &Policy, may_match: impl Fn(&Selector) -> bool) -> BTreeMap<Digest, Requirement> {
    let mut found = BTreeMap::new();
    let mut add = |selector: &Selector, need: &Need, asked_by: AskedBy| {
        if !may_match(selector) {
            return;
        }
        let requirement = found
            .entry(need.fingerprint())
            .or_insert_with(|| Requirement {
                need: need.clone(),
                asked_by: BTreeSet::new(),
            });
        requirement.asked_by.insert(asked_by);
    };
    for one in &policy.requires {
        add(
            &one.selector,
            &one.says.need,
            AskedBy::Require(one.name.clone()),
        );
    }
    for one in &policy.limits {
        if let Some(over) = &one.says.over {
            add(&one.selector, over, AskedBy::Limit(one.name.clone()));
        }
    }
    for one in &policy.evacuates {
        add(
            &one.selector,
            &one.says.need,
            AskedBy::Evacuate(one.name.clone()),
        );
    }
    found
}

/// What a book that is loaded apart is taken to do with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Apart {
    Holds,
    Lacks,
}

/// What is known of a transaction that pays an intent.
struct Paid<'a> {
    policy: &'a Policy,
    intent: &'a Intent,
    books: &'a BTreeSet<Name>,
    own: Option<&'a Own>,
}

impl<'a> Paid<'a> {
    fn of(present: &'a Present, intent: &'a Intent) -> Self {
        Self {
            policy: &present.policy,
            intent,
            books: present.books(Some(&intent.destination)),
            own: present.registry.own(&intent.destination),
        }
    }

    /// Whether an effect of such a transaction may meet every condition: what is not known may be anything.
    fn may_match(&self, selector: &Selector) -> bool {
        let chain = self.intent.asset.chain;
        holds(&selector.chains, |chains| chains.contains(&chain))
            && holds(&selector.sources, |sources| self.is_of(sources))
            && holds(&selector.clients, |clients| self.may_ask(clients))
            && (self.payment_may_match(selector) || self.fee_may_match(selector))
    }

    fn is_of(&self, sources: &BTreeSet<SourceSelector>) -> bool {
        // A batch may pay intents of several sources, and its fee is of none then.
        let source = &self.intent.id.source;
        let named = |selector: &SourceSelector| match selector {
            SourceSelector::None => true,
            SourceSelector::Named(named) => named == source,
        };
        sources.iter().any(named)
    }

    fn may_ask(&self, clients: &BTreeSet<Name>) -> bool {
        let source = self.policy.sources.get(&self.intent.id.source);
        source.is_some_and(|source| !source.clients.is_disjoint(clients))
    }

    fn payment_may_match(&self, selector: &Selector) -> bool {
        let kind = match self.own {
            Some(_) => EffectKind::OwnTransfer,
            None => EffectKind::Payment,
        };
        let kinds = [kind, EffectKind::Reissue];
        let is_fee_alone = selector.fee_rate_max.is_some() || selector.fee_rate_over.is_some();
        let tag = self.intent.tag.as_ref();
        !is_fee_alone
            && holds(&selector.effects, |of| {
                kinds.iter().any(|kind| of.contains(kind))
            })
            && self.may_match_amount(selector, &self.intent.asset, self.intent.amount)
            && holds(&selector.amount_max, |most| self.intent.amount <= *most)
            && holds(&selector.to, |to| self.is_among(to, Apart::Holds))
            && holds(&selector.to_except, |to| !self.is_among(to, Apart::Lacks))
            && holds(&selector.tags, |tags| {
                tag.is_some_and(|tag| tags.contains(tag))
            })
    }

    /// A fee of any amount up to the highest.
    fn fee_may_match(&self, selector: &Selector) -> bool {
        let native = Asset::native(self.intent.asset.chain);
        holds(&selector.effects, |of| of.contains(&EffectKind::Fee))
            && selector.to.is_none()
            && selector.tags.is_none()
            && self.may_match_amount(selector, &native, self.intent.max_fee)
    }

    fn may_match_amount(&self, selector: &Selector, asset: &Asset, most: Amount) -> bool {
        holds(&selector.assets, |assets| assets.contains(asset))
            && holds(&selector.amount_over, |least| most > *least)
    }

    /// What a book has that is loaded apart may be another when the intent is paid.
    fn is_among(&self, to: &BTreeSet<To>, apart: Apart) -> bool {
        to.iter().any(|to| match to {
            To::Book(book) if self.policy.book_apart(book).is_some() => apart == Apart::Holds,
            To::Address(address) => *address == self.intent.destination,
            To::Book(book) => self.books.contains(book),
            To::OwnClass(class) => self.own.is_some_and(|own| own.class == *class),
            To::OwnAccount(account) => self.own.is_some_and(|own| own.account == *account),
        })
    }
}

/// A condition that is absent holds.
fn holds<T>(condition: &Option<T>, met: impl FnOnce(&T) -> bool) -> bool {
    condition.as_ref().is_none_or(met)
}
