//! Which effects a statement speaks about.

use std::collections::BTreeSet;

use tx::{AccountClass, Address, Amount, Asset, EffectKind, FeeTerms, Name, Own};

use crate::{Fact, Selector, SourceSelector, To};

/// What a selector looks at: a fact of a request, or one that was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: EffectKind,
    pub(crate) account: &'a Name,
    pub(crate) asset: &'a Asset,
    pub(crate) amount: Amount,
    pub(crate) to: Option<&'a Address>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) client: &'a Name,
    pub(crate) source: Option<&'a Name>,
    pub(crate) fee_terms: &'a FeeTerms,
    pub(crate) parties: Parties<'a>,
}

/// What a bundle says of an effect's parties: the one of the time, or the present one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties<'a> {
    /// The debited account's class; `None` when the bundle does not know the account.
    pub(crate) class: Option<AccountClass>,
    pub(crate) books: &'a BTreeSet<Name>,
    pub(crate) own: Option<&'a Own>,
}

impl<'a> Subject<'a> {
    /// A fact by the classes that stand in it.
    pub(crate) fn of_fact(fact: &'a Fact, fee_terms: &'a FeeTerms) -> Self {
        let effect = &fact.effect;
        Self {
            kind: effect.kind,
            account: &effect.account,
            asset: &effect.asset,
            amount: effect.amount,
            to: effect.to.as_ref().map(|to| &to.address),
            tag: effect.tag.as_deref(),
            client: &fact.client,
            source: fact.source.as_ref(),
            fee_terms,
            parties: Parties {
                class: Some(fact.classes.account),
                books: &fact.classes.books,
                own: effect.to.as_ref().and_then(|to| to.own.as_ref()),
            },
        }
    }
}

impl Selector {
    /// Whether the subject meets every condition that is present.
    pub(crate) fn matches(&self, subject: &Subject<'_>) -> bool {
        self.matches_origin(subject)
            && self.matches_destination(subject)
            && self.matches_value(subject)
    }

    fn matches_origin(&self, subject: &Subject<'_>) -> bool {
        let class = |classes: &BTreeSet<AccountClass>| {
            subject
                .parties
                .class
                .is_some_and(|class| classes.contains(&class))
        };
        holds(&self.clients, |set| set.contains(subject.client))
            && holds(&self.sources, |set| names_source(set, subject.source))
            && holds(&self.accounts, |set| set.contains(subject.account))
            && holds(&self.classes, class)
            && holds(&self.chains, |set| set.contains(&subject.asset.chain))
            && holds(&self.assets, |set| set.contains(subject.asset))
            && holds(&self.effects, |set| set.contains(&subject.kind))
    }

    /// An effect without a destination meets no `to`, and no `to_except` keeps it out.
    fn matches_destination(&self, subject: &Subject<'_>) -> bool {
        let among = |set: &BTreeSet<To>| set.iter().any(|to| to.names(subject));
        holds(&self.to, among)
            && holds(&self.to_except, |set| !among(set))
            && holds(&self.tags, |set| {
                subject.tag.is_some_and(|tag| set.contains(tag))
            })
    }

    /// Only a fee has a rate: a condition on the rate is met by no other effect.
    fn matches_value(&self, subject: &Subject<'_>) -> bool {
        let is_fee = subject.kind == EffectKind::Fee;
        holds(&self.amount_max, |most| subject.amount <= *most)
            && holds(&self.amount_over, |least| subject.amount > *least)
            && holds(&self.fee_rate_max, |rate| {
                is_fee && subject.fee_terms.rate_at_most(*rate)
            })
            && holds(&self.fee_rate_over, |rate| {
                is_fee && !subject.fee_terms.rate_at_most(*rate)
            })
    }
}

impl To {
    fn names(&self, subject: &Subject<'_>) -> bool {
        let Some(address) = subject.to else {
            return false;
        };
        let own = subject.parties.own;
        match self {
            Self::Address(named) => named == address,
            Self::Book(book) => subject.parties.books.contains(book),
            Self::OwnClass(class) => own.is_some_and(|own| own.class == *class),
            Self::OwnAccount(account) => own.is_some_and(|own| own.account == *account),
        }
    }
}

fn names_source(set: &BTreeSet<SourceSelector>, source: Option<&Name>) -> bool {
    set.iter().any(|selector| match (selector, source) {
        (SourceSelector::None, None) => true,
        (SourceSelector::Named(named), Some(source)) => named == source,
        _ => false,
    })
}

/// A condition that is absent holds.
fn holds<T>(condition: &Option<T>, met: impl FnOnce(&T) -> bool) -> bool {
    condition.as_ref().is_none_or(met)
}
