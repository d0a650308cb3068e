//! What was proved, for people and for scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bounds::{Bound, Leaves, Passing, Question, Worth};
use num_bigint::BigInt;
use policy::{Policy, REFERENCE_DECIMALS};
use serde::Serialize;
use tx::{Amount, Effect, EffectKind, Name};

use super::asked::Asked;
use super::claims::Agreeing;
use super::replay::Replayed;

/// All answers.
#[derive(Debug, Serialize)]
pub struct Report {
    answers: Vec<Answered>,
    never: Vec<Never>,
    failed: usize,
    #[serde(skip)]
    shows_steps: bool,
}

/// The answer to a question.
#[derive(Debug, Serialize)]
pub struct Answered {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Name>,
    /// What leaves, in words.
    what: String,
    within_millis: u64,
    /// Who agrees to everything; of several choices, the one by which most leaves.
    people: BTreeSet<Name>,
    /// The most, in base units or 10^-8 of the currency; nothing where no limit bounds it.
    most: Option<String>,
    /// The same in units.
    most_in_units: Option<String>,
    /// Whether requests are known that let as much leave.
    is_exact: bool,
    /// How much leaves by the requests that are known; nothing of values, of which none are looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reached: Option<String>,
    /// How many requests those are.
    requests: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness: Option<Replayed>,
    #[serde(skip)]
    who: String,
}

/// Whether a kind of effect passes.
#[derive(Debug, Serialize)]
pub struct Never {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Name>,
    kind: EffectKind,
    /// The allows by which it would; nothing where none does.
    passes_by: BTreeSet<Name>,
    /// By each of them such an effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    examples: Vec<Example>,
}

/// An effect that would pass.
#[derive(Debug, Serialize)]
struct Example {
    by: Name,
    client: Name,
    /// Whose intent it would be; nobody's, where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Name>,
    effect: Effect,
    /// Of the hours that statements name, those that would be open.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    hours: BTreeSet<Name>,
}

impl Answered {
    /// The answer of a bound.
    pub fn of(
        policy: &Policy,
        asked: &Asked,
        (question, bound): (Question, Bound),
        witness: Option<Replayed>,
    ) -> Self {
        let units = |number: &BigInt| in_units(policy, &question, number);
        let at_most = asked.at_most.map(number);
        Self {
            claim: asked.claim.clone(),
            what: what(policy, &question),
            within_millis: question.span_millis,
            most: bound.most.as_ref().map(BigInt::to_string),
            most_in_units: bound.most.as_ref().map(units),
            is_exact: bound.is_exact(),
            reached: Some(bound.reached.to_string()),
            requests: bound.steps.len(),
            holds: holds(at_most.as_ref(), bound.most.as_ref()),
            at_most: at_most.as_ref().map(units),
            witness,
            who: who(&asked.people, &question.people),
            people: question.people,
        }
    }

    /// The answer to what all that leaves is worth.
    pub fn of_worth(
        policy: &Policy,
        asked: &Asked,
        (question, most): (Worth, Option<BigInt>),
    ) -> Self {
        let units = |number: &BigInt| in_currency(policy, number);
        let at_most = asked.at_most.map(number);
        Self {
            claim: asked.claim.clone(),
            what: what_is_worth(policy, &question),
            within_millis: question.span_millis,
            most: most.as_ref().map(BigInt::to_string),
            most_in_units: most.as_ref().map(units),
            is_exact: false,
            reached: None,
            requests: 0,
            holds: holds(at_most.as_ref(), most.as_ref()),
            at_most: at_most.as_ref().map(units),
            witness: None,
            who: who(&asked.people, &question.people),
            people: question.people,
        }
    }

    fn has_failed(&self) -> bool {
        let replay = self.witness.as_ref();
        self.holds == Some(false) || replay.is_some_and(|replay| replay.failed.is_some())
    }
}

impl Never {
    pub fn of(kind: EffectKind, passing: BTreeMap<Name, Passing>, claim: Option<Name>) -> Self {
        let passes_by = passing.keys().cloned().collect();
        let examples = passing.into_iter().map(|(by, passing)| Example {
            by,
            client: passing.client,
            source: passing.source,
            effect: passing.effect,
            hours: passing.hours,
        });
        Self {
            claim,
            kind,
            passes_by,
            examples: examples.collect(),
        }
    }

    fn has_failed(&self) -> bool {
        self.claim.is_some() && !self.passes_by.is_empty()
    }
}

impl Report {
    pub fn new(answers: Vec<Answered>, never: Vec<Never>, shows_steps: bool) -> Self {
        let failed = answers.iter().filter(|answer| answer.has_failed()).count();
        let passing = never.iter().filter(|never| never.has_failed()).count();
        let mut report = Self {
            answers,
            never,
            failed: failed + passing,
            shows_steps,
        };
        if !shows_steps {
            let witnesses = report.answers.iter_mut();
            for witness in witnesses.filter_map(|answer| answer.witness.as_mut()) {
                witness.steps.clear();
            }
        }
        report
    }

    /// Whether every claim holds, and every replay came to its end.
    pub fn holds(&self) -> bool {
        self.failed == 0
    }
}

fn number(amount: Amount) -> BigInt {
    BigInt::from_bytes_be(num_bigint::Sign::Plus, &amount.to_be_bytes())
}

fn in_units(policy: &Policy, question: &Question, number: &BigInt) -> String {
    let asset = question.asset();
    let mut units = policy.assets.iter();
    let Some((name, unit)) = units.find(|(_, unit)| unit.asset == asset) else {
        return format!("{number} base units of {asset}");
    };
    format!("{} {name}", decimal(number, unit.decimals))
}

fn in_currency(policy: &Policy, number: &BigInt) -> String {
    let currency = policy.attestations.currency.as_ref();
    let currency = currency.map_or("", Name::as_str);
    format!("{} {currency}", decimal(number, REFERENCE_DECIMALS))
}

/// A number of so many decimal places.
fn decimal(number: &BigInt, places: u8) -> String {
    let places = usize::from(places);
    let digits = format!("{:0>width$}", number.to_string(), width = places + 1);
    let (whole, fraction) = digits
        .split_at_checked(digits.len() - places)
        .unwrap_or((&digits, ""));
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// Whether no more leaves than is claimed, where anything is.
fn holds(at_most: Option<&BigInt>, most: Option<&BigInt>) -> Option<bool> {
    at_most.map(|at_most| most.is_some_and(|most| most <= at_most))
}

/// What all is worth, and of which assets that is not said.
fn what_is_worth(policy: &Policy, question: &Worth) -> String {
    let units = policy.assets.iter();
    let unpriced = units.filter(|(_, unit)| !policy.attestations.prices.contains_key(&unit.asset));
    let unpriced: Vec<&str> = unpriced.map(|(name, _)| name.as_str()).collect();
    let outside = question.outside.iter();
    let outside: String = outside
        .map(|book| format!(" outside book {book}"))
        .collect();
    let but = match unpriced.as_slice() {
        [] => String::new(),
        unpriced => format!(" (but {}, without a price)", unpriced.join(", ")),
    };
    let by = asked_by(question.clients.as_ref());
    format!("the value of all assets{but}{outside}{by}")
}

fn asked_by(clients: Option<&BTreeSet<Name>>) -> String {
    let clients: Vec<&str> = clients.into_iter().flatten().map(Name::as_str).collect();
    match clients.as_slice() {
        [] => String::new(),
        clients => format!(", asked by {}", clients.join(" or ")),
    }
}

fn what(policy: &Policy, question: &Question) -> String {
    let asset = question.asset();
    let mut units = policy.assets.iter();
    let unit = units.find(|(_, unit)| unit.asset == asset);
    let asset = unit.map_or_else(|| asset.to_string(), |(name, _)| name.to_string());
    let by = asked_by(question.clients.as_ref());
    match &question.leaves {
        Leaves::Payments { outside: None, .. } => format!("{asset}{by}"),
        Leaves::Payments {
            outside: Some(book),
            ..
        } => format!("{asset} outside book {book}{by}"),
        Leaves::Fees { chain } => format!("fees on {chain}{by}"),
    }
}

fn who(asked: &Agreeing, people: &BTreeSet<Name>) -> String {
    let names: Vec<&str> = people.iter().map(Name::as_str).collect();
    match (asked, names.as_slice()) {
        (_, []) => "without people".to_owned(),
        (Agreeing::Any(1), [name]) => format!("with one person, as {name}"),
        (Agreeing::Any(count), names) => format!("with {count} people, as {}", names.join(" and ")),
        (Agreeing::These(_), names) => format!("with {}", names.join(" and ")),
    }
}

/// A length of time in its largest whole unit.
fn length(millis: u64) -> String {
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h")] {
        if millis.is_multiple_of(unit) && (millis > unit || name == "h") {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{}m", millis / 60_000)
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, within, who) = (&self.what, length(self.within_millis), &self.who);
        let most = match &self.most_in_units {
            Some(most) => format!("at most {most}"),
            None => "no limit bounds it".to_owned(),
        };
        match (&self.claim, self.holds) {
            (Some(claim), Some(true)) => write!(f, "holds  {claim}: ")?,
            (Some(claim), Some(false)) => write!(f, "FAILED {claim}: ")?,
            (Some(claim), None) => write!(f, "       {claim}: ")?,
            _ => {}
        }
        write!(f, "{what} in {within} {who}: {most}")?;
        if let Some(at_most) = &self.at_most {
            write!(f, ", claimed {at_most}")?;
        }
        if let Some(reached) = &self.reached
            && self.most.is_some()
            && !self.is_exact
        {
            write!(f, " (not shown to be reached: {reached} base units are)")?;
        }
        if let Some(witness) = &self.witness {
            match &witness.failed {
                None => write!(f, "; {} requests reach it, each permitted", self.requests)?,
                Some(why) => write!(f, "; THE REPLAY FAILED: {why}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = serde_json::to_value(self.kind).ok();
        let kind = kind.as_ref().and_then(serde_json::Value::as_str);
        let kind = kind.unwrap_or_default();
        match (&self.claim, self.has_failed()) {
            (Some(claim), true) => write!(f, "FAILED {claim}: ")?,
            (Some(claim), false) => write!(f, "holds  {claim}: ")?,
            _ => {}
        }
        let examples: Vec<String> = self.examples.iter().map(Example::to_string).collect();
        match examples.as_slice() {
            [] => write!(f, "no effect of kind {kind} passes without people"),
            examples => write!(
                f,
                "an effect of kind {kind} would pass without people, by {}",
                examples.join(", by ")
            ),
        }
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Effect {
            account,
            asset,
            amount,
            to,
            tag,
            ..
        } = &self.effect;
        let (by, client) = (&self.by, &self.client);
        write!(
            f,
            "{by}: {client} asks for {amount} of {asset}, by account {account}"
        )?;
        if let Some(to) = to {
            write!(f, " to {}", to.address)?;
        }
        if let Some(tag) = tag {
            write!(f, " under tag {tag}")?;
        }
        if let Some(source) = &self.source {
            write!(f, " for {source}")?;
        }
        let hours: Vec<&str> = self.hours.iter().map(Name::as_str).collect();
        match hours.as_slice() {
            [] => Ok(()),
            hours => write!(f, " in {}", hours.join(" and ")),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for answer in &self.answers {
            writeln!(f, "{answer}")?;
            let steps = answer.witness.iter().flat_map(|witness| &witness.steps);
            for step in steps.filter(|_| self.shows_steps) {
                writeln!(f, "       {step}")?;
            }
        }
        for never in &self.never {
            writeln!(f, "{never}")?;
        }
        match self.failed {
            0 => Ok(()),
            failed => writeln!(f, "{failed} claims or replays failed"),
        }
    }
}
