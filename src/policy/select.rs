//! Which effects a statement speaks about.

mod called;

use std::collections::BTreeSet;

use tx::{AccountClass, Address, Amount, Asset, EffectKind, FeeTerms, Name, Own, Time};

pub(crate) use self::called::Called;
use crate::{
    ArgumentCondition, Fact, Policy, Selector, SignedBy, SignerSelector, SourceSelector, To,
    statement::bare,
};

/// What a selector looks at: a fact of a request, or one that was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: EffectKind,
    pub(crate) account: &'a Name,
    pub(crate) asset: &'a Asset,
    pub(crate) amount: Amount,
    pub(crate) to: Option<&'a Address>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) call: Option<Called<'a>>,
    pub(crate) client: &'a Name,
    pub(crate) source: Option<&'a Name>,
    pub(crate) fee_terms: &'a FeeTerms,
    /// When it is charged, or was.
    pub(crate) at: Time,
    /// When the destination had been paid first by then.
    pub(crate) first_paid: Option<Time>,
    pub(crate) keys: &'a BTreeSet<String>,
    /// Whether it is a re-issue of an intent of which every attempt is dead. Of what was charged it is not
    /// known, and no limit asks.
    pub(crate) dead: bool,
    pub(crate) parties: Parties<'a>,
}

/// What a bundle says of an effect's parties: the one of the time, or the present one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties<'a> {
    /// The debited account's class; `None` when the bundle does not know the account.
    pub(crate) class: Option<AccountClass>,
    pub(crate) books: Books<'a>,
    pub(crate) own: Option<&'a Own>,
    pub(crate) people: People<'a>,
}

/// Which books hold a destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Books<'a> {
    pub(crate) recorded: Recorded<'a>,
    /// The books that the present policy lists by itself, and those of them that hold it now. What is loaded
    /// apart is as it was recorded: no fold hangs on its content.
    pub(crate) present: Option<(&'a Policy, &'a BTreeSet<Name>)>,
}

/// The books that held a destination when it was charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded<'a> {
    /// All that may have.
    pub(crate) all: &'a BTreeSet<Name>,
    /// Those of them in which it was cooling.
    pub(crate) cooling: &'a BTreeSet<Name>,
}

/// What a statement does: where it is not sure that a book holds a destination, it is taken so that less is
/// allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It allows.
    Gives,
    /// It denies, requires or bounds.
    Takes,
}

/// How sure it has to be that a book holds a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Surely,
    Maybe,
}

impl Books<'_> {
    fn hold(self, book: &Name, held: Held) -> bool {
        if let Some((policy, listed)) = self.present
            && policy.book_apart(book).is_none()
        {
            return listed.contains(book);
        }
        let Recorded { all, cooling } = self.recorded;
        all.contains(book) && (held == Held::Maybe || !cooling.contains(book))
    }
}

/// Whose keys signed an intent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum People<'a> {
    /// These people's, when it was charged.
    Recorded(&'a BTreeSet<Name>),
    /// Theirs whom the present policy gives the keys.
    Present(&'a Policy),
}

impl<'a> Subject<'a> {
    /// A fact that is charged at `at`, by the classes that stand in it.
    pub(crate) fn of_fact(fact: &'a Fact, fee_terms: &'a FeeTerms, at: Time) -> Self {
        let effect = &fact.effect;
        Self {
            kind: effect.kind,
            account: &effect.account,
            asset: &effect.asset,
            amount: effect.amount,
            to: effect.to.as_ref().map(|to| &to.address),
            tag: effect.tag.as_deref(),
            call: effect.call.as_deref().map(|call| Called {
                call,
                books: &fact.classes.arguments,
                present: None,
            }),
            client: &fact.client,
            source: fact.source.as_ref(),
            fee_terms,
            at,
            first_paid: fact.classes.first_paid,
            keys: &fact.signed_by.keys,
            dead: !fact.dead.is_empty(),
            parties: Parties {
                class: Some(fact.classes.account),
                books: Books {
                    recorded: Recorded {
                        all: &fact.classes.books,
                        cooling: &fact.classes.books_cooling,
                    },
                    present: None,
                },
                own: effect.to.as_ref().and_then(|to| to.own.as_ref()),
                people: People::Recorded(&fact.signed_by.people),
            },
        }
    }

    /// How long ago the destination was first paid, in milliseconds: 0 where it never was. An own one
    /// has no age, and neither has what has no destination.
    fn age_millis(&self) -> Option<u64> {
        self.to.filter(|_| self.parties.own.is_none())?;
        let first = self.first_paid.unwrap_or(self.at);
        Some(self.at.millis_since(first))
    }
}

impl SignedBy {
    /// These keys, and whose they are.
    pub(crate) fn of(keys: BTreeSet<String>, policy: &Policy) -> Self {
        let people = policy.people.keys();
        let signed = |name: &&Name| People::Present(policy).signed(name, &keys);
        let people = people.filter(signed).cloned().collect();
        Self { keys, people }
    }
}

impl People<'_> {
    fn signed(self, name: &Name, keys: &BTreeSet<String>) -> bool {
        match self {
            Self::Recorded(people) => people.contains(name),
            Self::Present(policy) => policy.people.get(name).is_some_and(|person| {
                let mut lines = person.keys.iter();
                lines.any(|line| keys.contains(bare(line)))
            }),
        }
    }
}

impl Selector {
    /// Whether the statement speaks of a fact, in the hours in which it speaks at all and with a destination
    /// that was never paid: as [`crate::evaluate`] asks, for those who ask it of facts that nobody has asked
    /// for. Nothing is cooling in such facts.
    pub fn speaks_of(&self, fact: &Fact, fee_terms: &FeeTerms) -> bool {
        let subject = Subject::of_fact(fact, fee_terms, Time::default());
        self.matches(&subject, Reading::Takes)
    }

    /// As [`Selector::speaks_of`], of what allows by it: a right is given by none that does not name it.
    pub fn lets(&self, fact: &Fact, fee_terms: &FeeTerms) -> bool {
        let subject = Subject::of_fact(fact, fee_terms, Time::default());
        self.matches(&subject, Reading::Gives)
    }

    /// Whether what allows by it, an allow or an evacuate, is about effects of a kind. Without `effect` it is about
    /// whatever moves, and about no right.
    pub fn gives(&self, kind: EffectKind) -> bool {
        match &self.effects {
            Some(effects) => effects.contains(&kind),
            None => !kind.gives_right(),
        }
    }

    /// Whether the subject meets every condition that is present.
    pub(crate) fn matches(&self, subject: &Subject<'_>, reading: Reading) -> bool {
        // First what costs least and tells most apart.
        self.matches_kind(subject.kind, reading)
            && self.matches_value(subject)
            && self.matches_origin(subject)
            && self.matches_destination(subject, reading)
            && self.matches_call(subject, reading)
    }

    fn matches_kind(&self, kind: EffectKind, reading: Reading) -> bool {
        match reading {
            Reading::Gives => self.gives(kind),
            Reading::Takes => holds(&self.effects, |set| set.contains(&kind)),
        }
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
            && holds(&self.dead, |dead| {
                subject.kind == EffectKind::Reissue && subject.dead == *dead
            })
            && holds(&self.signed_by, |set| {
                set.iter().any(|signer| signer.signed(subject))
            })
    }

    /// An effect without a destination meets no `to`, and no `to_except` keeps it out. What has no age
    /// meets no condition on it.
    fn matches_destination(&self, subject: &Subject<'_>, reading: Reading) -> bool {
        let (to, except) = match reading {
            Reading::Gives => (Held::Surely, Held::Maybe),
            Reading::Takes => (Held::Maybe, Held::Surely),
        };
        let among = |set: &BTreeSet<To>, held| set.iter().any(|to| to.names(subject, held));
        holds(&self.to, |set| among(set, to))
            && holds(&self.to_except, |set| !among(set, except))
            && holds(&self.tags, |set| {
                subject.tag.is_some_and(|tag| set.contains(tag))
            })
            && holds(&self.age_min, |least| {
                subject.age_millis().is_some_and(|age| age >= *least)
            })
            && holds(&self.age_below, |most| {
                subject.age_millis().is_some_and(|age| age < *most)
            })
    }

    /// Only a call has a function and arguments: a condition on them is met by no other effect.
    fn matches_call(&self, subject: &Subject<'_>, reading: Reading) -> bool {
        holds(&self.functions, |functions| {
            let called = subject.call.as_ref().zip(subject.to);
            called.is_some_and(|(called, contract)| called.is_among(functions, contract, reading))
        })
    }

    /// The destinations that conditions on arguments name.
    pub(crate) fn argument_destinations(&self) -> BTreeSet<To> {
        let functions = self.functions.iter().flatten();
        let conditions = functions.flat_map(|(_, conditions)| conditions.values());
        let named = conditions.filter_map(|condition| match condition {
            ArgumentCondition::To(to) => Some(to.iter().cloned()),
            ArgumentCondition::Among(_) | ArgumentCondition::Within { .. } => None,
        });
        named.flatten().collect()
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

impl SignerSelector {
    fn signed(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Key(key) => subject.keys.contains(key),
            Self::Person(name) => subject.parties.people.signed(name, subject.keys),
        }
    }
}

impl To {
    fn names(&self, subject: &Subject<'_>, held: Held) -> bool {
        let Parties { books, own, .. } = subject.parties;
        let names = |address| self.is_at(address, (books, own), held);
        subject.to.is_some_and(names)
    }

    /// Whether it is an address, in these books and of that account.
    fn is_at(
        &self,
        address: &Address,
        (books, own): (Books<'_>, Option<&Own>),
        held: Held,
    ) -> bool {
        match self {
            Self::Address(named) => named == address,
            Self::Book(book) => books.hold(book, held),
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
#[inline]
fn holds<T>(condition: &Option<T>, met: impl FnOnce(&T) -> bool) -> bool {
    condition.as_ref().is_none_or(met)
}
