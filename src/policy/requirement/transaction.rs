//! The needs that may ask for people before a transaction is signed that pays no intent.
//!
//! Nearly all is known of it. What is not - the hour, how full a limit is, what a book holds that is loaded apart,
//! how long a destination is known - may be anything.

use std::collections::{BTreeMap, BTreeSet};

use tx::{AccountClass, Address, Decoded, Effect, Name, Time};

use super::{Requirement, asking};
use crate::{
    ArgumentBooks, Classes, Digest, Fact, Selector, SignedBy,
    select::{Reading, Subject},
    state::Present,
};

/// The needs, by their fingerprints.
pub(crate) fn of_transaction(
    present: &Present,
    client: &Name,
    understood: &Decoded,
) -> BTreeMap<Digest, Requirement> {
    let effects = understood.effects().iter();
    let facts: Vec<Fact> = effects
        .map(|effect| fact(present, client, effect))
        .collect();
    let terms = understood.fee_terms();
    asking(&present.policy, |selector| {
        facts.iter().any(|fact| {
            let subject = Subject::of_fact(fact, &terms, Time::default());
            may_match(selector, &subject, fact)
        })
    })
}

fn may_match(selector: &Selector, subject: &Subject<'_>, fact: &Fact) -> bool {
    let asks_age = selector.age_min.is_some() || selector.age_below.is_some();
    let to = fact.effect.to.as_ref();
    let has_age = to.is_some_and(|to| to.own.is_none());
    if asks_age && !has_age {
        return false;
    }
    let of_any_age = Selector {
        age_min: None,
        age_below: None,
        ..selector.clone()
    };
    of_any_age.matches(subject, Reading::Takes)
}

/// The effect, with what the bundle says of it.
fn fact(present: &Present, client: &Name, effect: &Effect) -> Fact {
    let policy = &present.policy;
    let account = policy.accounts.get(&effect.account);
    let to = effect.to.as_ref().map(|to| &to.address);
    let held = held(present, to);
    Fact {
        client: client.clone(),
        source: None,
        intent: None,
        signed_by: SignedBy::default(),
        classes: Classes {
            account: account.map_or(AccountClass::Retired, |account| account.class),
            books: held.books,
            books_cooling: held.cooling,
            arguments: arguments(present, effect),
            first_paid: None,
            hours: BTreeSet::new(),
            hours_surely: BTreeSet::new(),
        },
        reference: None,
        dead: BTreeSet::new(),
        effect: effect.clone(),
    }
}

/// The books that list the address, and those loaded apart, which may hold it or not.
fn held(present: &Present, address: Option<&Address>) -> ArgumentBooks {
    let apart = present.policy.books.iter();
    let apart = apart.filter(|(_, book)| address.is_some() && book.apart.is_some());
    let cooling: BTreeSet<Name> = apart.map(|(name, _)| name.clone()).collect();
    ArgumentBooks {
        books: present.books(address) | &cooling,
        cooling,
    }
}

fn arguments(present: &Present, effect: &Effect) -> BTreeMap<String, ArgumentBooks> {
    let arguments = effect.call.iter().flat_map(|call| &call.arguments);
    let books = arguments.filter_map(|argument| {
        let address = Address::parse(effect.asset.chain, &argument.value).ok()?;
        Some((argument.name.clone(), held(present, Some(&address))))
    });
    books.collect()
}
