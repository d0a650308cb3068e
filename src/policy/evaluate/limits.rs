//! Limits: what the window holds once this request is in it.

use std::collections::BTreeMap;

use tx::{Amount, Asset, Time};

use super::{Case, Findings, Spoken, findings::Spoke};
use crate::{
    ChargesError, Limit, Measure, ReasonCode, Statement,
    select::Subject,
    window::{Fading, GroupKey, Seen},
};

pub(super) fn check(case: &Case<'_>, findings: &mut Findings<'_>) -> Result<(), ChargesError> {
    for (place, limit) in case.policy.limits.iter().enumerate() {
        for (group, asked) in asked(case, limit) {
            let seen = Seen {
                limit: place,
                group: &group,
                set: case.set,
            };
            let fading = case.state.windows().fading(case.present, seen, case.lo)?;
            let until = case.state.full_until(limit.says.window_millis);
            Part {
                limit,
                group: &group,
                fading,
                full_until: until.filter(|until| case.lo < *until),
            }
            .check(asked, findings)?;
        }
    }
    Ok(())
}

/// One limit in one group.
struct Part<'a> {
    limit: &'a Statement<Limit>,
    group: &'a GroupKey,
    fading: Fading<'a>,
    /// Until when the epoch fills the window.
    full_until: Option<Time>,
}

/// What the request measures in each group; `None` at 2^256.
fn asked(case: &Case<'_>, limit: &Statement<Limit>) -> BTreeMap<GroupKey, Option<Amount>> {
    let terms = case.decoded.fee_terms();
    let mut asked = BTreeMap::new();
    for fact in &case.facts {
        let subject = Subject::of_fact(fact, &terms);
        if !limit.selector.matches(&subject) {
            continue;
        }
        let group = GroupKey::of(&limit.says.group, &subject);
        let sum: &mut Option<Amount> = asked.entry(group).or_insert(Some(Amount::ZERO));
        *sum = sum.and_then(|sum| sum.checked_add(limit.says.measured(fact.effect.amount)));
    }
    asked
}

impl Part<'_> {
    fn check(self, asked: Option<Amount>, findings: &mut Findings<'_>) -> Result<(), ChargesError> {
        let with = asked.and_then(|asked| self.with(asked));
        let (Some(asked), Some(with)) = (asked, with) else {
            findings.refuse(self.overflow());
            return Ok(());
        };
        findings.spoke.push(Spoke {
            limit: self.limit.name.clone(),
            group: self.group.clone(),
            cap: self.limit.says.cap,
            used: with,
            window_millis: self.limit.says.window_millis,
        });
        if with <= self.limit.says.cap {
            return Ok(());
        }
        match &self.limit.says.over {
            Some(need) => {
                if findings.need(self.limit, need) {
                    findings.carried.insert(need.fingerprint());
                }
            }
            None => findings.refuse(self.full(asked)?),
        }
        Ok(())
    }

    /// What the window holds with the request. One that the epoch filled holds its cap at least, and has
    /// no conflict set: what was lost is in none.
    fn with(&self, asked: Amount) -> Option<Amount> {
        let with = self.fading.with(asked).to_amount()?;
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
        let unit = self.unit();
        let used = self.fading.used().to_amount().unwrap_or(Amount::MAX);
        let used = self.full_until.map_or(used, |_| used.max(cap));
        let detail = format!(
            "{} has a cap of {cap}{unit}, {used}{unit} used, {asked}{unit} asked",
            self.named()
        );
        let limit = self.limit;
        let remedy = match asked > cap {
            true => format!("ask for at most {cap}{unit}"),
            false => self.wait(asked)?,
        };
        Ok(Spoken::of(limit, ReasonCode::Limit, detail, remedy))
    }

    /// When there is room again.
    fn wait(self, asked: Amount) -> Result<String, ChargesError> {
        let epoch = self.full_until;
        let returns = self.fading.room_returns(asked, self.limit.says.cap)?;
        if let (Some(epoch), None) = (epoch, returns) {
            return Ok(format!("a new epoch fills it until {epoch}"));
        }
        Ok(match returns.max(epoch) {
            Some(time) => format!("there is room for it from {time}, if nothing else is signed"),
            None => "wait until enough has left the window, or ask for less".to_owned(),
        })
    }

    /// The limit and the group, such as `limit daily (account hot)`.
    fn named(&self) -> String {
        let which = self.group.shown().into_iter();
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

    /// What is counted, after a space.
    fn unit(&self) -> String {
        let assets = self.limit.selector.assets.iter().flatten();
        let assets: Vec<String> = assets.map(Asset::to_string).collect();
        match self.limit.says.measure {
            Measure::Count => " effects".to_owned(),
            Measure::Amount if assets.is_empty() => String::new(),
            Measure::Amount => format!(" {}", assets.join("+")),
        }
    }
}
