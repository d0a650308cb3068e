//! What is kept of an attempt so that any limit, present or future, can be computed from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tx::{AccountClass, Address, Amount, Asset, EffectKind, FeeTerms, Name, Own, Time};

use super::{GroupKey, destinations::address_hash};
use crate::{
    Attempt, AttemptId, Digest, Fact, Limit, Statement,
    code::Code,
    select::{Parties, Subject},
};

/// The charge of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(super) id: AttemptId,
    pub(super) at: Time,
    pub(super) set: AttemptId,
    /// The place of the charge before it in its set, while the series has that.
    pub(super) previous: Option<u64>,
    pub(super) carried: Box<[Digest]>,
    pub(super) fee_terms: FeeTerms,
    pub(super) facts: Box<[ChargedFact]>,
}

/// One fact, with all that many facts have in common in one place.
#[derive(Clone, Debug)]
pub(super) struct ChargedFact {
    pub(super) shape: Arc<Shape>,
    pub(super) amount: Amount,
    pub(super) to: Option<Address>,
    pub(super) tag: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    kind: EffectKind,
    account: Name,
    asset: Asset,
    own: Option<Own>,
    client: Name,
    source: Option<Name>,
    class: AccountClass,
    books: BTreeSet<Name>,
}

impl Charge {
    /// The charge of an attempt that was made at `at`.
    pub(crate) fn of(id: AttemptId, at: Time, attempt: &Attempt) -> Self {
        Self {
            id,
            at,
            set: attempt.set.unwrap_or(id),
            previous: None,
            carried: attempt.carried.iter().copied().collect(),
            fee_terms: attempt.fee_terms,
            facts: attempt.facts.iter().map(ChargedFact::of).collect(),
        }
    }

    /// Whether it was made in the set of an earlier one.
    pub(super) fn joins(&self) -> bool {
        self.set != self.id
    }

    /// The addresses that it says anything of.
    pub(super) fn destinations(&self) -> BTreeSet<&Address> {
        let destinations = self.facts.iter().filter_map(|fact| fact.to.as_ref());
        destinations.collect()
    }

    /// The hashes of those addresses, in the order of the addresses.
    pub(super) fn destination_hashes(&self) -> impl Iterator<Item = u64> {
        self.destinations().into_iter().map(address_hash)
    }

    /// What the charge measures in each group of a limit. A fact counts when the limit matches it
    /// by the classes of the time or by the present ones, so that no edit of books, classes or
    /// accounts makes it count less. A sum of 2^256 or more, which no limit of the time would have
    /// allowed, counts as 2^256 − 1: more than any cap but that one.
    pub(super) fn measures<'a>(
        &'a self,
        limit: &Statement<Limit>,
        present: impl Fn(&'a Name, Option<&'a Address>) -> Parties<'a>,
    ) -> BTreeMap<GroupKey, Amount> {
        let mut measures = BTreeMap::new();
        for fact in &self.facts {
            let recorded = fact.recorded(&self.fee_terms);
            let now = Subject {
                parties: present(recorded.account, recorded.to),
                ..recorded
            };
            if limit.selector.matches(&recorded) || limit.selector.matches(&now) {
                let group = GroupKey::of(&limit.says.group, &recorded);
                let sum: &mut Amount = measures.entry(group).or_default();
                let measured = limit.says.measured(fact.amount);
                *sum = sum.checked_add(measured).unwrap_or(Amount::MAX);
            }
        }
        measures
    }
}

impl ChargedFact {
    fn of(fact: &Fact) -> Self {
        let to = fact.effect.to.as_ref();
        let shape = Shape {
            kind: fact.effect.kind,
            account: fact.effect.account.clone(),
            asset: fact.effect.asset.clone(),
            own: to.and_then(|to| to.own.clone()),
            client: fact.client.clone(),
            source: fact.source.clone(),
            class: fact.classes.account,
            books: fact.classes.books.clone(),
        };
        Self {
            shape: Arc::new(shape),
            amount: fact.effect.amount,
            to: to.map(|to| to.address.clone()),
            tag: fact.effect.tag.as_deref().map(Box::from),
        }
    }

    fn recorded<'a>(&'a self, fee_terms: &'a FeeTerms) -> Subject<'a> {
        let shape = &*self.shape;
        Subject {
            kind: shape.kind,
            account: &shape.account,
            asset: &shape.asset,
            amount: self.amount,
            to: self.to.as_ref(),
            tag: self.tag.as_deref(),
            client: &shape.client,
            source: shape.source.as_ref(),
            fee_terms,
            parties: Parties {
                class: Some(shape.class),
                books: &shape.books,
                own: shape.own.as_ref(),
            },
        }
    }
}

impl Code for Shape {
    fn write(&self, to: &mut Vec<u8>) {
        self.kind.write(to);
        self.account.write(to);
        self.asset.write(to);
        self.own.write(to);
        self.client.write(to);
        self.source.write(to);
        self.class.write(to);
        self.books.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            kind: Code::read(from)?,
            account: Code::read(from)?,
            asset: Code::read(from)?,
            own: Code::read(from)?,
            client: Code::read(from)?,
            source: Code::read(from)?,
            class: Code::read(from)?,
            books: Code::read(from)?,
        })
    }
}
