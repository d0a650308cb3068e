//! What the checks find, and the verdict that follows.

use std::collections::{BTreeMap, BTreeSet};

use tx::Name;

use super::met::{self, About, Approvals};
use crate::{
    AttestedNeed, Digest, Need, Reason, ReasonCode, Refusal, Statement, UnmetNeed, Verdict,
    verdict::Spoke,
};

/// Everything that was found so far. Sets, so that no order of checks or statements shows.
pub(super) struct Findings<'a> {
    approvals: &'a Approvals<'a>,
    reasons: BTreeSet<Reason>,
    /// Every need that has to be met, who asks for it, and what it must be approved of.
    asked: BTreeMap<Need, Asked<'a>>,
    /// What attesters have to say first.
    unattested: BTreeSet<UnmetNeed>,
    met: BTreeMap<Digest, BTreeSet<Name>>,
    pub(super) carried: BTreeSet<Digest>,
    pub(super) covering: Vec<Vec<usize>>,
    pub(super) spoke: Vec<Spoke>,
}

/// What permits a request that nothing speaks against.
pub(super) struct Permitting {
    /// The needs that people met, and who.
    pub(super) met: BTreeMap<Digest, BTreeSet<Name>>,
    /// The needs that carry it over a limit.
    pub(super) carried: BTreeSet<Digest>,
    /// The allows that cover each fact, by their places in the policy, in the order of the facts.
    pub(super) covering: Vec<Vec<usize>>,
    /// The limits that spoke.
    pub(super) spoke: Vec<Spoke>,
}

/// Why a need has to be met.
#[derive(Default)]
struct Asked<'a> {
    unmet: BTreeSet<UnmetNeed>,
    about: BTreeSet<About<'a>>,
}

/// Makes reasons.
pub(super) struct Spoken;

impl Spoken {
    /// A reason that stands in no statement.
    pub(super) fn built_in(
        code: ReasonCode,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Reason {
        Reason {
            code,
            statement: None,
            at: None,
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }

    /// A reason of a statement.
    pub(super) fn of<K>(
        statement: &Statement<K>,
        code: ReasonCode,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Reason {
        Reason {
            statement: Some(statement.name.clone()),
            at: Some(statement.at.clone()),
            ..Self::built_in(code, detail, remedy)
        }
    }
}

impl<'a> Findings<'a> {
    pub(super) fn new(approvals: &'a Approvals<'a>) -> Self {
        Self {
            approvals,
            reasons: BTreeSet::new(),
            asked: BTreeMap::new(),
            unattested: BTreeSet::new(),
            met: BTreeMap::new(),
            carried: BTreeSet::new(),
            covering: Vec::new(),
            spoke: Vec::new(),
        }
    }

    pub(super) fn refuse(&mut self, reason: Reason) {
        self.reasons.insert(reason);
    }

    pub(super) fn refuse_built_in(
        &mut self,
        code: ReasonCode,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.refuse(Spoken::built_in(code, detail, remedy));
    }

    /// Whether people have met the need by itself, of all of this; it is not asked for when not.
    pub(super) fn is_met(&mut self, need: &Need, about: &BTreeSet<About<'_>>) -> bool {
        let fingerprint = need.fingerprint();
        let mut people = BTreeSet::new();
        for about in about {
            let approved = self.approvals.get(about);
            let approved = approved.and_then(|approved| approved.get(&fingerprint));
            match approved.and_then(|approved| met::counted(need, approved)) {
                Some(counted) => people.extend(counted),
                None => return false,
            }
        }
        let met = !people.is_empty();
        if met {
            self.met.entry(fingerprint).or_default().extend(people);
        }
        met
    }

    /// Asks for people to approve of all of this.
    pub(super) fn need<K>(
        &mut self,
        statement: &Statement<K>,
        need: &Need,
        about: &BTreeSet<About<'a>>,
    ) {
        let asked = self.asked.entry(need.clone()).or_default();
        asked.unmet.insert(UnmetNeed {
            statement: statement.name.clone(),
            at: statement.at.clone(),
            threshold: need.threshold,
            people: need.people.clone(),
            attested: None,
        });
        asked.about.extend(about);
    }

    /// Asks for so many attesters, for whom nobody stands in.
    pub(super) fn unattested(&mut self, require: &Statement<AttestedNeed>, needed: u32) {
        self.unattested.insert(UnmetNeed {
            statement: require.name.clone(),
            at: require.at.clone(),
            threshold: needed,
            people: BTreeSet::new(),
            attested: Some(require.says),
        });
    }

    /// All reasons speak before any need, all needs before what permits.
    pub(super) fn outcome(mut self) -> Result<Permitting, Verdict> {
        let unmet = self.unmet();
        if !self.reasons.is_empty() {
            return Err(Verdict::Refuse(Refusal {
                reasons: self.reasons.into_iter().collect(),
                needs: unmet.into_iter().collect(),
            }));
        }
        if !unmet.is_empty() {
            return Err(Verdict::Pending(unmet.into_iter().collect()));
        }
        Ok(Permitting {
            met: self.met,
            carried: self.carried,
            covering: self.covering,
            spoke: self.spoke,
        })
    }

    /// Gives the needs of each intent, or of the transaction, people of their own, and says which have not enough.
    fn unmet(&mut self) -> BTreeSet<UnmetNeed> {
        let nobody = BTreeMap::new();
        let mut unmet = std::mem::take(&mut self.unattested);
        let all = self.asked.values().flat_map(|asked| &asked.about);
        let all: BTreeSet<About<'_>> = all.copied().collect();
        for about in all {
            let approved = self.approvals.get(&about).unwrap_or(&nobody);
            let of_it = self
                .asked
                .iter()
                .filter(|(_, asked)| asked.about.contains(&about));
            let (needs, asked): (Vec<&Need>, Vec<&Asked<'_>>) = of_it.unzip();
            let assigned = met::assigned(&needs, approved);
            for ((need, asked), people) in needs.into_iter().zip(asked).zip(assigned) {
                match people {
                    Some(people) => {
                        let met = self.met.entry(need.fingerprint()).or_default();
                        met.extend(people);
                    }
                    None => unmet.extend(asked.unmet.iter().cloned()),
                }
            }
        }
        unmet
    }
}
