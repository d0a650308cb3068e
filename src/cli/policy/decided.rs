//! What was decided, in names.

use std::collections::BTreeSet;

use policy::{Reason, ReasonCode, UnmetNeed, Verdict};
use serde::{Deserialize, Serialize};
use tx::Name;

use super::words;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    pub word: Expected,
    pub allowed_by: BTreeSet<Name>,
    pub refused_by: BTreeSet<Name>,
    pub needs: BTreeSet<Name>,
    /// How many of whom it waits for, where that is known.
    pub waits: BTreeSet<(u32, BTreeSet<Name>)>,
    /// Why it was refused, for people.
    pub details: Vec<String>,
}

/// The word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// It is signed.
    Permit,
    /// It waits for people.
    Pending,
    /// It is refused.
    Refuse,
}

impl Expected {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Pending => "pending",
            Self::Refuse => "refuse",
        }
    }
}

impl Decided {
    /// What a verdict says.
    pub fn of(verdict: Verdict) -> Self {
        let names = |needs: &[UnmetNeed]| needs.iter().map(|need| need.statement.clone()).collect();
        let waits = |needs: &[UnmetNeed]| {
            let needs = needs.iter();
            needs
                .map(|need| (need.threshold, need.people.clone()))
                .collect()
        };
        match verdict {
            Verdict::Permit(permit) => Self::permitted(permit.attempt().allowed_by.clone()),
            Verdict::Pending(needs) => Self {
                waits: waits(&needs),
                ..Self::not_permitted(&[], names(&needs))
            },
            Verdict::Refuse(refusal) => Self {
                // People lift what a freeze alone holds, and nothing else that is refused.
                waits: match refusal.reasons.iter().all(is_frozen) {
                    true => waits(&refusal.needs),
                    false => BTreeSet::new(),
                },
                ..Self::not_permitted(&refusal.reasons, names(&refusal.needs))
            },
        }
    }

    /// It is signed, by these statements.
    pub const fn permitted(allowed_by: BTreeSet<Name>) -> Self {
        Self {
            word: Expected::Permit,
            allowed_by,
            refused_by: BTreeSet::new(),
            needs: BTreeSet::new(),
            waits: BTreeSet::new(),
            details: Vec::new(),
        }
    }

    /// It is refused for reasons, or waits where there are none.
    pub fn not_permitted(reasons: &[Reason], needs: BTreeSet<Name>) -> Self {
        let word = match reasons.is_empty() && !needs.is_empty() {
            true => Expected::Pending,
            false => Expected::Refuse,
        };
        Self {
            word,
            allowed_by: BTreeSet::new(),
            refused_by: reasons.iter().filter_map(said_by).collect(),
            needs,
            waits: BTreeSet::new(),
            details: reasons.iter().map(|one| one.detail.clone()).collect(),
        }
    }

    /// Whether the other one is another verdict, or waits for other people.
    pub fn asks_otherwise(&self, other: &Self) -> bool {
        self.word != other.word || self.waits != other.waits
    }

    /// Who spoke for it, or against it.
    pub const fn by(&self) -> &BTreeSet<Name> {
        match self.word {
            Expected::Permit => &self.allowed_by,
            Expected::Pending => &self.needs,
            Expected::Refuse => &self.refused_by,
        }
    }
}

impl std::fmt::Display for Decided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word.word())?;
        match self.by().is_empty() {
            true => Ok(()),
            false => write!(f, " by {}", words::names(self.by())),
        }
    }
}

fn is_frozen(reason: &Reason) -> bool {
    reason.code == ReasonCode::Frozen
}

/// The statement that spoke, or else the code.
fn said_by(reason: &Reason) -> Option<Name> {
    let code = serde_json::to_value(reason.code).ok();
    let code = code.as_ref().and_then(serde_json::Value::as_str);
    let code = code.and_then(|code| code.parse().ok());
    reason.statement.clone().or(code)
}
