//! What is kept of attempts so that any limit, present or future, can be computed from it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use tx::{AccountClass, Address, Amount, Asset, EffectKind, FeeTerms, Name, Own, Time};

use super::{GroupKey, left};
use crate::{
    Attempt, AttemptId, Digest, Fact, Limit, Statement,
    code::Code,
    select::{Parties, Subject},
};

/// The charge of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) at: Time,
    pub(crate) set: AttemptId,
    pub(crate) carried: Box<[Digest]>,
    fee_terms: FeeTerms,
    facts: Box<[ChargedFact]>,
}

/// One fact, with all that many facts have in common in one place.
#[derive(Clone, Debug)]
struct ChargedFact {
    shape: Arc<Shape>,
    amount: Amount,
    to: Option<Address>,
    tag: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shape {
    kind: EffectKind,
    account: Name,
    asset: Asset,
    own: Option<Own>,
    client: Name,
    source: Option<Name>,
    class: AccountClass,
    books: BTreeSet<Name>,
}

/// The charges that can still be in a window, in the order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChargeBook {
    charges: VecDeque<Charge>,
    shapes: HashSet<Arc<Shape>>,
}

impl Charge {
    /// What the charge measures in each group of a limit. A fact counts when the limit matches it
    /// by the classes of the time or by the present ones, so that no edit of books, classes or
    /// accounts makes it count less. A sum of 2^256 or more, which no limit of the time would have
    /// allowed, counts as 2^256 − 1: more than any cap but that one.
    pub(crate) fn measures<'a>(
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

impl ChargeBook {
    /// Keeps an attempt's charge, made at `at` in `set`; `destination` gives an address that is
    /// kept already in place of its copy.
    pub(crate) fn push(
        &mut self,
        attempt: &Attempt,
        at: Time,
        set: AttemptId,
        destination: impl Fn(&Address) -> Address,
    ) -> &Charge {
        let fact = |fact: &Fact| ChargedFact {
            shape: self.shape(fact),
            amount: fact.effect.amount,
            to: fact.effect.to.as_ref().map(|to| destination(&to.address)),
            tag: fact.effect.tag.as_deref().map(Box::from),
        };
        let facts = attempt.facts.iter().map(fact).collect();
        self.charges.push_back_mut(Charge {
            at,
            set,
            facts,
            carried: attempt.carried.iter().copied().collect(),
            fee_terms: attempt.fee_terms,
        })
    }

    fn shape(&mut self, fact: &Fact) -> Arc<Shape> {
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
        self.interned(Arc::new(shape))
    }

    /// Drops what no window can hold any longer.
    pub(crate) fn advance(&mut self, lo: Time) {
        let gone = |charge: &mut Charge| left(charge.at, Limit::WINDOW_MILLIS_MAX, lo);
        while self.charges.pop_front_if(gone).is_some() {}
    }

    /// Forgets what facts had in common that are no longer kept.
    pub(crate) fn tidy(&mut self) {
        self.shapes.retain(|shape| Arc::strong_count(shape) > 1);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Charge> {
        self.charges.iter()
    }

    pub(crate) fn last(&self) -> Option<&Charge> {
        self.charges.back()
    }

    /// Keeps a charge that was kept before, behind the others; whether it is not older than they are.
    #[must_use]
    pub(crate) fn keep(&mut self, mut charge: Charge) -> bool {
        if self.last().is_some_and(|last| last.at > charge.at) {
            return false;
        }
        for fact in &mut charge.facts {
            fact.shape = self.interned(Arc::clone(&fact.shape));
        }
        self.charges.push_back(charge);
        true
    }

    fn interned(&mut self, shape: Arc<Shape>) -> Arc<Shape> {
        if let Some(known) = self.shapes.get(&shape) {
            return Arc::clone(known);
        }
        self.shapes.insert(Arc::clone(&shape));
        shape
    }
}

impl Code for Charge {
    fn write(&self, to: &mut Vec<u8>) {
        self.at.write(to);
        self.set.write(to);
        self.carried.write(to);
        self.fee_terms.write(to);
        self.facts.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            at: Code::read(from)?,
            set: Code::read(from)?,
            carried: Code::read(from)?,
            fee_terms: Code::read(from)?,
            facts: Code::read(from)?,
        })
    }
}

impl Code for ChargedFact {
    fn write(&self, to: &mut Vec<u8>) {
        self.shape.write(to);
        self.amount.write(to);
        self.to.write(to);
        self.tag.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            shape: Shape::read(from).map(Arc::new)?,
            amount: Code::read(from)?,
            to: Code::read(from)?,
            tag: Code::read(from)?,
        })
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
