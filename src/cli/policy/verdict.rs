//! A verdict in both forms: which statements spoke, and what would permit what they refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use policy::{AllowedBy, AssetUnit, Location, Reason, Room, UnmetNeed, Verdict};
use serde::Serialize;
use tx::{Amount, Asset, Effect, Name};

use super::words::{length, names};

/// What the signer would answer.
#[derive(Debug, Serialize)]
pub struct Report {
    verdict: Word,
    /// What the transaction does, as the signer understands it.
    effects: Vec<Effect>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_by: Vec<AllowedBy>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<Room>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    needs: Vec<UnmetNeed>,
    /// Books that are loaded apart and of which it is not known what they hold.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    unsure_of: BTreeSet<Name>,
    #[serde(skip)]
    units: BTreeMap<Name, AssetUnit>,
    #[serde(skip)]
    signer: Signer,
}

/// Whose verdict it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// One that has signed nothing yet.
    New,
    /// The one of an exported log.
    OfLog,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Permit,
    Pending,
    Refuse,
}

impl Report {
    /// The report of a verdict on a transaction with these effects.
    pub fn of(
        verdict: Verdict,
        effects: Vec<Effect>,
        (units, signer): (BTreeMap<Name, AssetUnit>, Signer),
    ) -> Self {
        let mut report = Self {
            verdict: Word::Refuse,
            effects,
            allowed_by: Vec::new(),
            limits: Vec::new(),
            reasons: Vec::new(),
            needs: Vec::new(),
            unsure_of: BTreeSet::new(),
            units,
            signer,
        };
        match verdict {
            Verdict::Refuse(refusal) => {
                report.reasons = refusal.reasons;
                report.needs = refusal.needs;
            }
            Verdict::Pending(needs) => {
                report.verdict = Word::Pending;
                report.needs = needs;
            }
            Verdict::Permit(permit) => {
                report.verdict = Word::Permit;
                report.allowed_by = permit.allowed_by();
                report.limits = permit.room().to_vec();
            }
        }
        report
    }

    /// The same, not sure of these books: a signer that has them may answer otherwise.
    pub fn unsure_of(self, unsure_of: BTreeSet<Name>) -> Self {
        Self { unsure_of, ..self }
    }

    /// Whether it would be signed now.
    pub fn permits(&self) -> bool {
        self.verdict == Word::Permit
    }

    fn amount(&self, amount: Amount, asset: &Asset) -> String {
        match self.units.iter().find(|(_, unit)| unit.asset == *asset) {
            Some((name, unit)) => format!("{} {name}", decimal(amount, unit.decimals.into())),
            None => format!("{amount} base units of {asset}"),
        }
    }

    fn effect(&self, effect: &Effect) -> String {
        let kind = serde_json::to_value(effect.kind).ok();
        let kind = kind.as_ref().and_then(serde_json::Value::as_str);
        let amount = self.amount(effect.amount, &effect.asset);
        let mut text = format!(
            "{} of {amount} from {}",
            kind.unwrap_or_default(),
            effect.account
        );
        if let Some(to) = &effect.to {
            text.push_str(&format!(" to {}", to.address));
            if let Some(own) = &to.own {
                text.push_str(&format!(" (own account {})", own.account));
            }
        }
        if let Some(call) = &effect.call {
            text.push_str(&format!(": {call}"));
        }
        text
    }
}

/// The amount in units of this many decimal places.
pub fn decimal(amount: Amount, places: usize) -> String {
    let digits = format!("{:0>width$}", amount.to_string(), width = places + 1);
    let (whole, fraction) = digits
        .split_at_checked(digits.len() - places)
        .unwrap_or((&digits, ""));
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

fn at(name: &Name, at: &Location) -> String {
    format!("{name} ({}:{})", at.file, at.line)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict {
            Word::Permit if self.signer == Signer::OfLog => {
                "would be signed, by the signer of this log\n"
            }
            Word::Permit => "would be signed, by a signer that has signed nothing yet\n",
            Word::Pending => "would wait\n",
            Word::Refuse => "would be refused\n",
        })?;
        if !self.unsure_of.is_empty() {
            let books = names(&self.unsure_of);
            writeln!(
                f,
                "  unsure   whether {books} holds whom it pays: that is loaded apart, and a signer that has it may \
                 answer otherwise"
            )?;
        }
        for effect in &self.effects {
            writeln!(f, "  does     {}", self.effect(effect))?;
        }
        for allowed in &self.allowed_by {
            let statements = allowed.statements.iter();
            let spoke: Vec<_> = statements.map(|(name, place)| at(name, place)).collect();
            let by = match spoke.as_slice() {
                [] => "what is built in".to_owned(),
                _ => spoke.join(", "),
            };
            writeln!(
                f,
                "  allowed  {}: by {by}",
                self.effect(&allowed.fact.effect)
            )?;
        }
        for room in &self.limits {
            let (limit, used, cap) = (&room.limit, room.used, room.cap);
            let minutes = room.window_millis / 60_000;
            writeln!(
                f,
                "  limit    {limit}: {used} of {cap} used in {minutes} min"
            )?;
        }
        for reason in &self.reasons {
            let named = reason.statement.as_ref().zip(reason.at.as_ref());
            let statement = named.map(|(name, place)| format!(" by {}", at(name, place)));
            let code = serde_json::to_value(reason.code).ok();
            let code = code.as_ref().and_then(serde_json::Value::as_str);
            writeln!(
                f,
                "  refused  {}{}: {}\n           {}",
                code.unwrap_or_default(),
                statement.unwrap_or_default(),
                reason.detail,
                reason.remedy,
            )?;
        }
        for need in &self.needs {
            let statement = at(&need.statement, &need.at);
            if let Some(attested) = &need.attested {
                let (kind, within) = (attested.attested.as_str(), length(attested.within_millis));
                let threshold = need.threshold;
                writeln!(
                    f,
                    "  needs    {threshold} attesters, {kind} within {within}: {statement}"
                )?;
                continue;
            }
            let people: Vec<&str> = need.people.iter().map(Name::as_str).collect();
            let people = people.join(", ");
            writeln!(f, "  needs    {} of {people}: {statement}", need.threshold)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_units() {
        for (amount, places, shown) in [
            (0, 18, "0"),
            (1, 8, "0.00000001"),
            (150_000_000, 8, "1.5"),
            (2_000_000, 6, "2"),
            (7, 0, "7"),
        ] {
            assert_eq!(decimal(Amount::from(amount as u64), places), shown);
        }
    }
}
