//! What was proved, for people and for scripts.

use std::collections::BTreeSet;
use std::fmt;

use bounds::{Bound, Leaves, Question};
use num_bigint::BigInt;
use policy::Policy;
use serde::Serialize;
use tx::{Amount, EffectKind, Name};

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
    /// The most, in base units; nothing where no limit bounds it.
    most: Option<String>,
    /// The same in units.
    most_in_units: Option<String>,
    /// Whether requests are known that let as much leave.
    is_exact: bool,
    /// How much leaves by the requests that are known.
    reached: String,
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
        let holds = at_most.as_ref().map(|at_most| {
            let most = bound.most.as_ref();
            most.is_some_and(|most| most <= at_most)
        });
        Self {
            claim: asked.claim.clone(),
            what: what(policy, &question),
            within_millis: question.span_millis,
            most: bound.most.as_ref().map(BigInt::to_string),
            most_in_units: bound.most.as_ref().map(units),
            is_exact: bound.is_exact(),
            reached: bound.reached.to_string(),
            requests: bound.steps.len(),
            at_most: at_most.as_ref().map(units),
            holds,
            witness,
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
    pub fn of(kind: EffectKind, passes_by: BTreeSet<Name>, claim: Option<Name>) -> Self {
        Self {
            claim,
            kind,
            passes_by,
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
    let places = usize::from(unit.decimals);
    let digits = format!("{:0>width$}", number.to_string(), width = places + 1);
    let (whole, fraction) = digits
        .split_at_checked(digits.len() - places)
        .unwrap_or((&digits, ""));
    match fraction.trim_end_matches('0') {
        "" => format!("{whole} {name}"),
        fraction => format!("{whole}.{fraction} {name}"),
    }
}

fn what(policy: &Policy, question: &Question) -> String {
    let asset = question.asset();
    let mut units = policy.assets.iter();
    let unit = units.find(|(_, unit)| unit.asset == asset);
    let asset = unit.map_or_else(|| asset.to_string(), |(name, _)| name.to_string());
    let clients = question.clients.iter().flatten().map(Name::as_str);
    let clients: Vec<&str> = clients.collect();
    let by = match clients.as_slice() {
        [] => String::new(),
        clients => format!(", asked by {}", clients.join(" or ")),
    };
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
        if self.most.is_some() && !self.is_exact {
            write!(
                f,
                " (not shown to be reached: {} base units are)",
                self.reached
            )?;
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
        let names: Vec<&str> = self.passes_by.iter().map(Name::as_str).collect();
        match names.as_slice() {
            [] => write!(f, "no effect of kind {kind} passes without people"),
            names => write!(
                f,
                "an effect of kind {kind} would pass without people, by {}",
                names.join(", ")
            ),
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
