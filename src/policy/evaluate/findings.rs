//! What the checks find, and the verdict that follows.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Amount, Name};

use super::met;
use crate::{
    AllowedBy, Digest, Need, Permit, Reason, ReasonCode, Refusal, Room, Statement, UnmetNeed,
    Verdict, window::GroupKey,
};

/// Everything that was found so far. Sets, so that no order of checks or statements shows.
pub(super) struct Findings<'a> {
    approvals: &'a BTreeMap<Digest, BTreeSet<Name>>,
    reasons: BTreeSet<Reason>,
    unmet: BTreeSet<UnmetNeed>,
    pub(super) met: BTreeMap<Digest, BTreeSet<Name>>,
    pub(super) carried: BTreeSet<Digest>,
    pub(super) allowed_by: Vec<AllowedBy>,
    pub(super) spoke: Vec<Spoke>,
}

/// A limit that spoke, and what it holds with this request.
pub(super) struct Spoke {
    pub(super) limit: Name,
    pub(super) group: GroupKey,
    pub(super) cap: Amount,
    pub(super) used: Amount,
    pub(super) window_millis: u64,
}

impl Spoke {
    pub(super) fn room(self) -> Room {
        Room {
            limit: self.limit,
            group: self.group.shown(),
            cap: self.cap,
            used: self.used,
            window_millis: self.window_millis,
        }
    }
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
    pub(super) fn new(approvals: &'a BTreeMap<Digest, BTreeSet<Name>>) -> Self {
        Self {
            approvals,
            reasons: BTreeSet::new(),
            unmet: BTreeSet::new(),
            met: BTreeMap::new(),
            carried: BTreeSet::new(),
            allowed_by: Vec::new(),
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

    /// Whether people have met the need; it is not asked for when not.
    pub(super) fn is_met(&mut self, need: &Need) -> bool {
        let fingerprint = need.fingerprint();
        let approved = self.approvals.get(&fingerprint);
        let people = approved.and_then(|approved| met::counted(need, approved));
        let met = people.map(|people| self.met.insert(fingerprint, people));
        met.is_some()
    }

    /// Asks for people; true when they have met the need.
    pub(super) fn need<K>(&mut self, statement: &Statement<K>, need: &Need) -> bool {
        if self.is_met(need) {
            return true;
        }
        self.unmet.insert(UnmetNeed {
            statement: statement.name.clone(),
            at: statement.at.clone(),
            threshold: need.threshold,
            people: need.people.clone(),
        });
        false
    }

    /// All reasons speak before any need, all needs before the permit.
    pub(super) fn verdict(self, permit: impl FnOnce(Self) -> Permit) -> Verdict {
        if !self.reasons.is_empty() {
            return Verdict::Refuse(Refusal {
                reasons: self.reasons.into_iter().collect(),
                needs: self.unmet.into_iter().collect(),
            });
        }
        if !self.unmet.is_empty() {
            return Verdict::Pending(self.unmet.into_iter().collect());
        }
        Verdict::Permit(Box::new(permit(self)))
    }
}
