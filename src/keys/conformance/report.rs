//! What a run found.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::{
    device::TokenIdentity,
    key::KeyAlgorithm,
    profile::{Profile, Verified},
};

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The profile's name.
    pub profile: String,
    /// The token's manufacturer, model and firmware, as it reports them.
    pub device: String,
    /// How well it keeps keys, as the profile says.
    pub assurance: &'static str,
    /// What was tried, in order.
    pub cases: Vec<Case>,
    /// What the profile says, beside what was seen.
    pub facts: Vec<Fact>,
    /// How fast it signs.
    pub speed: Vec<Speed>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a case, with what was seen or why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "what")]
#[non_exhaustive]
pub enum Outcome {
    /// As it must be.
    Passed(String),
    /// The device does not do it, and the profile does not say that it does.
    Refused(String),
    /// It could not be tried here.
    NotTried(String),
    /// Not as it must be: the device is not to be used with this profile.
    Failed(String),
}

/// A fact of the profile beside what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fact {
    /// The profile's field.
    pub field: &'static str,
    /// What the profile says.
    pub claimed: String,
    /// How the profile knows.
    pub verified: Verified,
    /// What was seen; nothing where a run cannot tell.
    pub seen: Option<String>,
    /// Whether the two agree, where both say something.
    pub agrees: bool,
}

/// How fast it signs, through the module and in one process, without Strongroom's protocol.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Speed {
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// Sessions at once.
    pub sessions: usize,
    /// Signatures a second.
    pub per_second: f64,
}

/// What is written down meanwhile.
#[derive(Debug)]
pub(super) struct Notes {
    cases: Vec<Case>,
    facts: Vec<Fact>,
    speed: Vec<Speed>,
}

impl Outcome {
    /// Its one word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Refused(_) => "refused",
            Self::NotTried(_) => "not tried",
            Self::Failed(_) => "FAILED",
        }
    }

    /// What was seen, or why.
    pub fn what(&self) -> &str {
        match self {
            Self::Passed(what)
            | Self::Refused(what)
            | Self::NotTried(what)
            | Self::Failed(what) => what,
        }
    }
}

impl Report {
    /// Whether nothing failed and nothing differs from the profile.
    pub fn conforms(&self) -> bool {
        let failed = |case: &Case| matches!(case.outcome, Outcome::Failed(_));
        !self.cases.iter().any(failed) && self.facts.iter().all(|fact| fact.agrees)
    }
}

impl Notes {
    /// With the facts that no run can tell.
    pub(super) fn new(profile: &Profile) -> Self {
        Self {
            cases: Vec::new(),
            facts: super::facts::not_run(profile),
            speed: Vec::new(),
        }
    }

    pub(super) fn case(&mut self, name: impl Display, outcome: Outcome) {
        let name = name.to_string();
        self.cases.push(Case { name, outcome });
    }

    /// In the place of one that was not seen.
    pub(super) fn fact(&mut self, fact: Fact) {
        let stays = |known: &Fact| known.seen.is_some() || known.field != fact.field;
        self.facts.retain(stays);
        self.facts.push(fact);
    }

    pub(super) fn speed(&mut self, speed: Speed) {
        self.speed.push(speed);
    }

    pub(super) fn into_report(self, identity: TokenIdentity, profile: &Profile) -> Report {
        let TokenIdentity {
            manufacturer,
            model,
            firmware,
            ..
        } = identity;
        Report {
            profile: profile.name.clone(),
            device: format!(
                "{}, {}, firmware {firmware}",
                manufacturer.as_str(),
                model.as_str()
            ),
            assurance: profile.assurance.value.as_str(),
            cases: self.cases,
            facts: self.facts,
            speed: self.speed,
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} ({})", self.profile, self.device, self.assurance)?;
        writeln!(f, "\ncases")?;
        for Case { name, outcome } in &self.cases {
            writeln!(f, "  {:<9}  {name}: {}", outcome.as_str(), outcome.what())?;
        }
        writeln!(f, "\nthe profile")?;
        for fact in &self.facts {
            let word = match (&fact.seen, fact.agrees) {
                (None, _) => "not run",
                (Some(_), true) => "agrees",
                (Some(_), false) => "DIFFERS",
            };
            let seen = fact.seen.as_deref().unwrap_or("-");
            writeln!(
                f,
                "  {word:<9}  {}: it says {}; seen: {seen}",
                fact.field, fact.claimed
            )?;
        }
        writeln!(f, "\nspeed")?;
        for Speed {
            algorithm,
            sessions,
            per_second,
        } in &self.speed
        {
            writeln!(
                f,
                "  {algorithm}, {sessions} sessions: {per_second:.0} signatures/s"
            )?;
        }
        let sum = if self.conforms() {
            "it conforms"
        } else {
            "it does NOT conform"
        };
        writeln!(f, "\n{sum}")
    }
}
