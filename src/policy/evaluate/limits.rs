//! Limits: what the window holds once this request is in it.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Amount, Asset, Name, Time};

use super::{Case, Findings, Spoken, met::About};
use crate::{
    ChargesError, Fact, Group, Limit, Measure, ReasonCode, Statement, reference_value,
    select::{Reading, Subject},
    verdict::Spoke,
    window::{GroupKey, Seen, Usage, address_hash},
};

pub(super) fn check<'a>(
    case: &'a Case<'_>,
    findings: &mut Findings<'a>,
) -> Result<(), ChargesError> {
    let terms = case.decoded.fee_terms();
    let facts = case.facts.iter();
    let subjects: Vec<_> = facts
        .map(|fact| (fact, Subject::of_fact(fact, &terms, case.lo)))
        .map(|(fact, subject)| (fact, subject, subject.to.map(address_hash)))
        .collect();
    findings.spoke.reserve(case.policy.limits.len());
    // The groups of the facts, once for all limits that count the same things apart.
    let mut groups: BTreeMap<&BTreeSet<Group>, Vec<Option<GroupKey>>> = BTreeMap::new();
    let mut measured = Vec::with_capacity(subjects.len());
    for (place, limit) in case.policy.limits.iter().enumerate() {
        measured.clear();
        let groups = groups.entry(&limit.says.group).or_default();
        measure(case, limit, &subjects, groups, &mut measured);
        for asset in unpriced(limit, &measured) {
            findings.refuse(no_price(case, limit, asset));
        }
        measured.sort_by(|one, other| one.group.cmp(&other.group));
        for measured in measured.chunk_by(|one, other| one.group == other.group) {
            let Some(Measured { group, hash, .. }) = measured.first() else {
                continue;
            };
            let seen = Seen {
                limit: place,
                group,
                destination: *hash,
                set: case.set,
            };
            let until = case.state.full_until(limit.says.window_millis);
            Part {
                case,
                limit,
                measured,
                seen,
                usage: case.state.windows().usage(case.present, seen, case.lo)?,
                full_until: until.filter(|until| case.lo < *until),
            }
            .check(findings)?;
        }
    }
    Ok(())
}

/// A fact that a limit measures.
struct Measured<'a> {
    fact: &'a Fact,
    /// The group that it is measured in.
    group: GroupKey,
    /// The hash of its destination.
    hash: Option<u64>,
}

/// One limit in one group.
struct Part<'p, 'a, 'c> {
    case: &'a Case<'c>,
    limit: &'a Statement<Limit>,
    /// What it measures in the group.
    measured: &'p [Measured<'a>],
    seen: Seen<'p>,
    usage: Usage,
    /// Until when the epoch fills the window.
    full_until: Option<Time>,
}

/// The assets of which a limit asks for the value, and which have no price now.
fn unpriced<'a>(limit: &Statement<Limit>, measured: &[Measured<'a>]) -> BTreeSet<&'a Asset> {
    if limit.says.measure != Measure::Reference {
        return BTreeSet::new();
    }
    let facts = measured.iter().map(|one| one.fact);
    let unpriced = facts.filter(|fact| fact.reference.is_none());
    unpriced.map(|fact| &fact.effect.asset).collect()
}

fn no_price(case: &Case<'_>, limit: &Statement<Limit>, asset: &Asset) -> crate::Reason {
    let unpriced = case.state.price(asset, case.hi).err();
    let (holding, needed) = unpriced.map_or((0, 0), |one| (one.holding, one.needed));
    Spoken::of(
        limit,
        ReasonCode::Price,
        format!(
            "limit {} asks what {asset} is worth, and prices of {holding} of the {needed} \
             attesters that are needed hold",
            limit.name
        ),
        "have attesters sign what it is worth now, with `strongroom attest price`",
    )
}

/// The facts that the limit measures, and the group of each.
fn measure<'a>(
    case: &Case<'_>,
    limit: &Statement<Limit>,
    subjects: &[(&'a Fact, Subject<'_>, Option<u64>)],
    groups: &mut Vec<Option<GroupKey>>,
    measured: &mut Vec<Measured<'a>>,
) {
    if !case.hours.takes(&limit.selector) {
        return;
    }
    groups.resize(subjects.len(), None);
    for ((fact, subject, hash), group) in subjects.iter().zip(groups) {
        if limit.selector.matches(subject, Reading::Takes) {
            let group = group.get_or_insert_with(|| GroupKey::of(&limit.says.group, subject));
            measured.push(Measured {
                fact,
                group: group.clone(),
                hash: *hash,
            });
        }
    }
}

impl<'a> Part<'_, 'a, '_> {
    fn check(self, findings: &mut Findings<'a>) -> Result<(), ChargesError> {
        let asked = self.asked();
        let with = asked.and_then(|asked| self.with(asked));
        let (Some(asked), Some(with)) = (asked, with) else {
            findings.refuse(self.overflow());
            return Ok(());
        };
        findings.spoke.push(Spoke {
            limit: self.seen.limit,
            group: self.seen.group.clone(),
            used: with,
        });
        if with <= self.limit.says.cap {
            return Ok(());
        }
        match &self.limit.says.over {
            Some(need) => {
                findings.need(self.limit, need, &self.approved_by());
                // Of use only where all needs are met.
                findings.carried.insert(need.fingerprint());
            }
            None => findings.refuse(self.full(asked)?),
        }
        Ok(())
    }

    /// What the request measures; `None` at 2^256.
    fn asked(&self) -> Option<Amount> {
        let mut measures = self.measured.iter().map(|one| {
            let value = one.fact.reference.unwrap_or_default();
            self.limit.says.measured(one.fact.effect.amount, value)
        });
        measures.try_fold(Amount::ZERO, |sum, one| sum.checked_add(one))
    }

    /// What people approve of where they let it be full: all that it measures something of.
    fn approved_by(&self) -> BTreeSet<About<'a>> {
        let measured = self.measured.iter();
        measured
            .flat_map(|one| self.case.approved_by(one.fact))
            .collect()
    }

    /// What the window holds with the request. One that the epoch filled holds its cap at least, and has
    /// no conflict set: what was lost is in none.
    fn with(&self, asked: Amount) -> Option<Amount> {
        let with = self.usage.with(asked).to_amount()?;
        match self.full_until {
            Some(_) => Some(with.max(self.limit.says.cap.checked_add(asked)?)),
            None => Some(with),
        }
    }

    fn overflow(&self) -> crate::Reason {
        Spoken::of(
            self.limit,
            ReasonCode::Overflow,
            format!("what {} counts is 2^256 or more", self.named()),
            "ask for less",
        )
    }

    fn full(self, asked: Amount) -> Result<crate::Reason, ChargesError> {
        let cap = self.limit.says.cap;
        let shown = |amount| self.shown(amount);
        let used = self.usage.used.to_amount().unwrap_or(Amount::MAX);
        let used = self.full_until.map_or(used, |_| used.max(cap));
        let detail = format!(
            "{} has a cap of {}, {} {}, {} asked",
            self.named(),
            shown(cap),
            shown(used),
            match self.limit.says.outstanding {
                true => "outstanding",
                false => "used",
            },
            shown(asked),
        );
        let limit = self.limit;
        let remedy = match asked > cap {
            true => format!("ask for at most {}", shown(cap)),
            false => self.wait(asked)?,
        };
        Ok(Spoken::of(limit, ReasonCode::Limit, detail, remedy))
    }

    /// When there is room again.
    fn wait(self, asked: Amount) -> Result<String, ChargesError> {
        let epoch = self.full_until;
        let (case, room) = (self.case, (asked, self.limit.says.cap));
        let windows = case.state.windows();
        let returns = windows.room_returns(case.present, self.seen, case.lo, room)?;
        if let (Some(epoch), None) = (epoch, returns) {
            return Ok(format!("a new epoch fills it until {epoch}"));
        }
        let time = returns.max(epoch);
        if self.limit.says.outstanding {
            let by = time
                .map(|time| format!(", and from {time} at the latest, if nothing else is signed"));
            let by = by.unwrap_or_default();
            return Ok(format!(
                "there is room for it once attesters say of enough that it is final or dead{by}"
            ));
        }
        Ok(match time {
            Some(time) => format!("there is room for it from {time}, if nothing else is signed"),
            None => "wait until enough has left the window, or ask for less".to_owned(),
        })
    }

    /// The limit and the group, such as `limit daily (account hot)`.
    fn named(&self) -> String {
        let which = self.seen.group.shown().into_iter();
        let which: Vec<String> = which
            .map(|(group, which)| format!("{group} {which}"))
            .collect();
        let name = &self.limit.name;
        if which.is_empty() {
            format!("limit {name}")
        } else {
            format!("limit {name} ({})", which.join(", "))
        }
    }

    /// How much is counted, and of what.
    fn shown(&self, amount: Amount) -> String {
        let assets = self.limit.selector.assets.iter().flatten();
        let assets: Vec<String> = assets.map(Asset::to_string).collect();
        match self.limit.says.measure {
            Measure::Count => format!("{amount} effects"),
            Measure::Amount if assets.is_empty() => amount.to_string(),
            Measure::Amount => format!("{amount} {}", assets.join("+")),
            Measure::Reference => {
                let currency = self.case.policy.attestations.currency.as_ref();
                let currency = currency.map_or("", Name::as_str);
                format!("{} {currency}", reference_value(amount))
            }
        }
    }
}
