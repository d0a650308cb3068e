//! What would be charged: each effect with all that is true of it now.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use tx::{
    AccountClass, Address, Amount, Asset, Destination, Effect, EffectKind, Intent, IntentId, Name,
};

use super::Case;
use crate::{ArgumentBooks, AttemptId, Classes, Fact, NotRecalled, SignedBy, book::Held};

/// So many characters of a call are told in a reason.
const CALL_LENGTH_MAX: usize = 600;

/// What a payment and its intent have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Paid<'a> {
    pub(super) asset: &'a Asset,
    pub(super) amount: Amount,
    pub(super) to: Option<&'a Address>,
    pub(super) tag: Option<&'a str>,
}

impl<'a> Paid<'a> {
    pub(super) fn by_effect(effect: &'a Effect) -> Self {
        Self {
            asset: &effect.asset,
            amount: effect.amount,
            to: effect.to.as_ref().map(|to| &to.address),
            tag: effect.tag.as_deref(),
        }
    }

    pub(super) fn by_intent(intent: &'a Intent) -> Self {
        Self {
            asset: &intent.asset,
            amount: intent.amount,
            to: Some(&intent.destination),
            tag: intent.tag.as_deref(),
        }
    }
}

impl fmt::Display for Paid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payment of {} {}", self.amount, self.asset)?;
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        match self.tag {
            Some(tag) => write!(f, " with tag {tag}"),
            None => Ok(()),
        }
    }
}

/// Whom an effect belongs to.
#[derive(Clone, Default)]
struct Origin {
    source: Option<Name>,
    intent: Option<IntentId>,
    signed_by: SignedBy,
}

impl Origin {
    /// Of what pays the intent.
    fn of(case: &Case<'_>, intent: &IntentId) -> Self {
        let signers = case.signers.get(intent).cloned().unwrap_or_default();
        Self {
            source: Some(intent.source.clone()),
            intent: Some(intent.clone()),
            signed_by: SignedBy::of(signers, case.policy),
        }
    }

    /// Of what pays no intent: the source that all have in common, and the signers.
    fn common(case: &Case<'_>) -> Self {
        let intents = case.request.intents.iter();
        let sources: BTreeSet<&Name> = intents.map(|signed| &signed.intent.id.source).collect();
        let signers = case.signers.values().cloned();
        let signers = signers.reduce(|these, others| &these & &others);
        Self {
            source: sources
                .first()
                .filter(|_| sources.len() == 1)
                .copied()
                .cloned(),
            intent: None,
            signed_by: SignedBy::of(signers.unwrap_or_default(), case.policy),
        }
    }
}

/// The facts of the request, sorted.
pub(super) fn facts(case: &Case<'_>) -> Result<Vec<Fact>, NotRecalled> {
    let intents = || case.request.intents.iter().map(|signed| &signed.intent);
    let common = Origin::common(case);
    // Equal payments are interchangeable, so that giving the smallest id to the next of them
    // makes the same facts in whatever order payments and intents come.
    let mut unassigned: BTreeMap<Paid<'_>, BTreeSet<&IntentId>> = BTreeMap::new();
    for intent in intents() {
        unassigned
            .entry(Paid::by_intent(intent))
            .or_default()
            .insert(&intent.id);
    }
    let mut facts: Vec<Fact> = Vec::new();
    for effect in case.decoded.effects() {
        let is_payment = effect.kind == EffectKind::Payment;
        let is_asked_for = is_payment || effect.kind == EffectKind::OwnTransfer;
        let ids = unassigned
            .get_mut(&Paid::by_effect(effect))
            .filter(|_| is_asked_for);
        let origin = match ids.and_then(BTreeSet::pop_first) {
            Some(intent) => Origin::of(case, intent),
            None if is_payment => Origin::default(),
            None => common.clone(),
        };
        facts.push(fact(case, effect.clone(), origin)?);
    }
    for intent in intents().filter(|intent| is_reissue(case, intent)) {
        let origin = Origin::of(case, &intent.id);
        let reissued = fact(case, reissue(case, intent), origin)?;
        facts.push(Fact {
            dead: dead(case, intent)?,
            ..reissued
        });
    }
    facts.sort();
    Ok(facts)
}

/// Whether the intent is attempted outside of what its attempts share since it was last issued. So is one that
/// is taken up again after the intent was issued elsewhere: what was never signed may have counted as dead then.
fn is_reissue(case: &Case<'_>, intent: &Intent) -> bool {
    let attempted = case.intents.get(&intent.id);
    attempted.is_some_and(|known| known.is_disjoint(case.keys()))
}

/// All attempts of the intent, where every one of them is dead; else none.
fn dead(case: &Case<'_>, intent: &Intent) -> Result<BTreeSet<AttemptId>, NotRecalled> {
    let known = case.intents.get(&intent.id);
    let attempts = known.map(|known| known.attempts()).unwrap_or_default();
    for id in attempts {
        if !case.state.is_dead(*id, case.lo)? {
            return Ok(BTreeSet::new());
        }
    }
    Ok(attempts.iter().copied().collect())
}

fn reissue(case: &Case<'_>, intent: &Intent) -> Effect {
    Effect {
        kind: EffectKind::Reissue,
        account: case.decoded.account().clone(),
        asset: intent.asset.clone(),
        amount: intent.amount,
        to: Some(Destination {
            address: intent.destination.clone(),
            own: None,
        }),
        tag: intent.tag.clone(),
        call: None,
    }
}

fn fact(case: &Case<'_>, effect: Effect, origin: Origin) -> Result<Fact, NotRecalled> {
    let to = effect.to.as_ref().map(|to| &to.address);
    let class = case
        .policy
        .accounts
        .get(&effect.account)
        .map(|account| account.class);
    let stranger = effect.to.as_ref().filter(|to| to.own.is_none());
    let first_paid = match stranger {
        Some(to) => case.state.first_paid(&to.address)?,
        None => None,
    };
    let Origin {
        source,
        intent,
        signed_by,
    } = origin;
    let (books, books_cooling) = books(case, to);
    let arguments = argument_books(case, &effect);
    Ok(Fact {
        client: case.request.client.clone(),
        source,
        intent,
        signed_by,
        classes: Classes {
            // An account that the policy does not know is refused; no fact of it is charged.
            account: class.unwrap_or(AccountClass::Retired),
            books,
            books_cooling,
            arguments,
            first_paid,
            hours: case.hours.possibly(),
            hours_surely: case.hours.surely(),
        },
        reference: case.value(&effect),
        dead: BTreeSet::new(),
        effect,
    })
}

/// The books that hold addresses among the arguments of a call, or may.
fn argument_books(case: &Case<'_>, effect: &Effect) -> BTreeMap<String, ArgumentBooks> {
    let arguments = effect.call.iter().flat_map(|call| &call.arguments);
    let held = arguments.filter_map(|argument| {
        let address = Address::parse(effect.asset.chain, &argument.value).ok()?;
        let (books, cooling) = books(case, Some(&address));
        let held = ArgumentBooks { books, cooling };
        (!held.books.is_empty()).then(|| (argument.name.clone(), held))
    });
    held.collect()
}

/// The books that hold a destination or may, and those of them in which it is cooling.
fn books(case: &Case<'_>, to: Option<&Address>) -> (BTreeSet<Name>, BTreeSet<Name>) {
    let (mut books, mut cooling) = (case.present.books(to).clone(), BTreeSet::new());
    let Some(to) = to else {
        return (books, cooling);
    };
    for (name, book) in &case.policy.books {
        let apart = book.apart.as_ref();
        let held = apart.and_then(|apart| case.state.book_holds(name, apart, to));
        if held == Some(Held::Cooling) {
            cooling.insert(name.clone());
        }
        if held.is_some() {
            books.insert(name.clone());
        }
    }
    (books, cooling)
}

/// The fact in words, without what may differ between two equal ones.
pub(super) fn described(effect: &Effect) -> String {
    let kind = kind(effect.kind);
    let (amount, asset, account) = (effect.amount, &effect.asset, &effect.account);
    let mut text = format!("{kind} of {amount} {asset} from {account}");
    if let Some(to) = &effect.to {
        text.push_str(match effect.kind {
            EffectKind::Approval => " for the spender ",
            _ => " to ",
        });
        text.push_str(&to.address.to_string());
        if let Some(own) = &to.own {
            text.push_str(&format!(" (own account {})", own.account));
        }
    }
    if let Some(tag) = &effect.tag {
        text.push_str(&format!(" with tag {tag}"));
    }
    if let Some(call) = &effect.call {
        text.push_str(": ");
        // Arguments can be long, and stand whole in the journal where it is signed.
        let call = call.to_string();
        text.extend(call.chars().take(CALL_LENGTH_MAX));
        if call.len() > CALL_LENGTH_MAX {
            text.push_str("...");
        }
    }
    text
}

fn kind(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::Payment => "payment",
        EffectKind::OwnTransfer => "own transfer",
        EffectKind::Change => "change",
        EffectKind::Fee => "fee",
        EffectKind::Cancellation => "cancellation",
        EffectKind::Call => "call",
        EffectKind::Approval => "approval",
        EffectKind::Authority => "change of authority",
        EffectKind::Data => "data",
        EffectKind::Rent => "rent",
        EffectKind::Reissue => "re-issue",
        _ => "effect",
    }
}
