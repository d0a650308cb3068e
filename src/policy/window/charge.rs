//! What is kept of an attempt so that any limit, present or future, can be computed from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use tx::{
    AccountClass, Address, Amount, Asset, Call, EffectKind, FeeTerms, Interval, Name, Own, Time,
};

use super::{GroupKey, destinations::address_hash};
use crate::{
    ArgumentBooks, Attempt, AttemptId, Digest, Fact, Limit, Selector, SignedBy, Statement,
    code::Code,
    hours::{InHours, spoken},
    select::{Books, Called, Parties, People, Reading, Recorded, Subject},
    state::Present,
};

/// The charge of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(super) id: AttemptId,
    pub(super) at: Time,
    /// The latest that it may have been by then.
    pub(super) hi: Time,
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
    /// What it was worth in the reference currency, where that was known.
    pub(super) reference: Option<Amount>,
    pub(super) to: Option<Address>,
    /// When the destination had been paid first, by then.
    pub(super) first_paid: Option<Time>,
    pub(super) tag: Option<Box<str>>,
    /// What was called, of a call.
    pub(super) call: Option<Arc<ChargedCall>>,
}

/// A call, with the books that held addresses among its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChargedCall {
    call: Call,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    books: BTreeMap<String, ArgumentBooks>,
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
    books_cooling: BTreeSet<Name>,
    hours: BTreeSet<Name>,
    hours_surely: BTreeSet<Name>,
    signed_by: SignedBy,
}

impl Charge {
    /// The charge of an attempt that was made then.
    pub(crate) fn of(id: AttemptId, time: Interval, attempt: &Attempt) -> Self {
        Self {
            id,
            at: time.lo,
            hi: time.hi,
            set: attempt.set.unwrap_or(id),
            previous: None,
            carried: attempt.carried.iter().copied().collect(),
            fee_terms: attempt.fee_terms,
            facts: attempt.facts.iter().map(ChargedFact::of).collect(),
        }
    }

    /// The attempt that it is of.
    pub(crate) fn attempt(&self) -> AttemptId {
        self.id
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
    /// by the classes of the time or by the present ones, so that no edit of books, classes, people, hours
    /// or accounts makes it count less. A destination is as old as it was, by whatever age is asked for now. A sum of 2^256 or more, which no limit of the time would have
    /// allowed, counts as 2^256 − 1: more than any cap but that one.
    pub(super) fn measures(
        &self,
        limit: &Statement<Limit>,
        present: &Present,
    ) -> BTreeMap<GroupKey, Amount> {
        let mut measures = BTreeMap::new();
        for fact in &self.facts {
            let recorded = fact.recorded(self);
            let now = Subject {
                parties: present.parties(recorded.account, recorded.to, fact.shape.books()),
                call: fact.called(Some(present)),
                ..recorded
            };
            let selector = &limit.selector;
            let counts = (selector.matches(&recorded, Reading::Takes)
                && fact.shape.is_in(selector))
                || (selector.matches(&now, Reading::Takes) && self.is_in(selector, present));
            if counts {
                let group = GroupKey::of(&limit.says.group, &recorded);
                let sum: &mut Amount = measures.entry(group).or_default();
                let value = fact.value(present);
                let measured = limit.says.measured(fact.amount, value);
                *sum = sum.checked_add(measured).unwrap_or(Amount::MAX);
            }
        }
        measures
    }

    /// Whether it may have been made in the hours of a selector, as they are now.
    fn is_in(&self, selector: &Selector, present: &Present) -> bool {
        if selector.hours.is_none() && selector.hours_except.is_none() {
            return true;
        }
        let made = Interval {
            lo: self.at,
            hi: self.hi,
        };
        InHours::of(&present.policy.hours, made).takes(selector)
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
            books_cooling: fact.classes.books_cooling.clone(),
            hours: fact.classes.hours.clone(),
            hours_surely: fact.classes.hours_surely.clone(),
            signed_by: fact.signed_by.clone(),
        };
        Self {
            shape: Arc::new(shape),
            amount: fact.effect.amount,
            reference: fact.reference,
            to: to.map(|to| to.address.clone()),
            first_paid: fact.classes.first_paid,
            tag: fact.effect.tag.as_deref().map(Box::from),
            call: fact.effect.call.as_deref().map(|call| {
                Arc::new(ChargedCall {
                    call: call.clone(),
                    books: fact.classes.arguments.clone(),
                })
            }),
        }
    }

    /// What it was worth when it was charged, and at least what its amount is worth by the present floor:
    /// no price and no bundle makes it less than what was recorded, and what was charged without a price
    /// counts too.
    fn value(&self, present: &Present) -> Amount {
        let rule = present.policy.attestations.prices.get(&self.shape.asset);
        let least = rule.map_or(Amount::ZERO, |rule| rule.least(self.amount));
        self.reference.unwrap_or_default().max(least)
    }

    fn called<'a>(&'a self, present: Option<&'a Present>) -> Option<Called<'a>> {
        self.call.as_deref().map(|charged| Called {
            call: &charged.call,
            books: &charged.books,
            present,
        })
    }

    fn recorded<'a>(&'a self, charge: &'a Charge) -> Subject<'a> {
        let shape = &*self.shape;
        Subject {
            kind: shape.kind,
            account: &shape.account,
            asset: &shape.asset,
            amount: self.amount,
            to: self.to.as_ref(),
            tag: self.tag.as_deref(),
            call: self.called(None),
            client: &shape.client,
            source: shape.source.as_ref(),
            fee_terms: &charge.fee_terms,
            at: charge.at,
            first_paid: self.first_paid,
            keys: &shape.signed_by.keys,
            dead: false,
            parties: Parties {
                class: Some(shape.class),
                books: Books {
                    recorded: shape.books(),
                    present: None,
                },
                own: shape.own.as_ref(),
                people: People::Recorded(&shape.signed_by.people),
            },
        }
    }
}

impl Shape {
    /// The books that held the destination then.
    fn books(&self) -> Recorded<'_> {
        Recorded {
            all: &self.books,
            cooling: &self.books_cooling,
        }
    }

    /// Whether it may have been charged in the hours of a selector, as they were then.
    fn is_in(&self, selector: &Selector) -> bool {
        spoken(
            selector,
            |name| self.hours.contains(name),
            |name| self.hours_surely.contains(name),
        )
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
        marked(&self.books, &self.books_cooling).write(to);
        self.hours.write(to);
        self.hours_surely.write(to);
        self.signed_by.keys.write(to);
        self.signed_by.people.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let (kind, account, asset) = (Code::read(from)?, Code::read(from)?, Code::read(from)?);
        let (own, client, source) = (Code::read(from)?, Code::read(from)?, Code::read(from)?);
        let class = Code::read(from)?;
        let (books, books_cooling) = unmarked(Code::read(from)?)?;
        Some(Self {
            kind,
            account,
            asset,
            own,
            client,
            source,
            class,
            books,
            books_cooling,
            hours: Code::read(from)?,
            hours_surely: Code::read(from)?,
            signed_by: SignedBy {
                keys: Code::read(from)?,
                people: Code::read(from)?,
            },
        })
    }
}

/// Before the name of a book in which a destination was cooling. No name has it.
const COOLING: char = '?';

/// One list of both sets, so that a block without anything that was cooling has the bytes that it always had.
fn marked(books: &BTreeSet<Name>, cooling: &BTreeSet<Name>) -> Vec<Box<str>> {
    let marked = books.iter().map(|book| match cooling.contains(book) {
        true => format!("{COOLING}{book}").into(),
        false => book.as_str().into(),
    });
    marked.collect()
}

fn unmarked(listed: Vec<Box<str>>) -> Option<(BTreeSet<Name>, BTreeSet<Name>)> {
    let (mut books, mut cooling) = (BTreeSet::new(), BTreeSet::new());
    for text in &listed {
        let book: Name = text.trim_start_matches(COOLING).parse().ok()?;
        if text.starts_with(COOLING) {
            cooling.insert(book.clone());
        }
        books.insert(book);
    }
    // In their order and once each, as they are written.
    (*listed == *marked(&books, &cooling)).then_some((books, cooling))
}
