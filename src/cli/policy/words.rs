//! What stands in a bundle, as people write it.

use std::collections::BTreeSet;

use policy::{
    Group, Limit, Measure, Need, Passkeys, Policy, Rejection, Statement, reference_value,
};
use tx::{Amount, Asset, Name};

use crate::status::Unit;

/// An amount in the unit that the bundle gives its asset.
pub fn amount(policy: &Policy, asset: &Asset, amount: Amount) -> String {
    match policy.assets.iter().find(|(_, unit)| unit.asset == *asset) {
        Some((name, unit)) => Unit {
            name: name.to_string(),
            decimals: unit.decimals,
        }
        .write(amount),
        None => format!("{amount} base units of {asset}"),
    }
}

/// How much a limit measures, such as its cap.
pub fn measured(policy: &Policy, limit: &Statement<Limit>, measure: Amount) -> String {
    match limit.says.measure {
        Measure::Amount => match limit.selector.assets.iter().flatten().next() {
            Some(asset) => amount(policy, asset, measure),
            None => format!("{measure} base units"),
        },
        Measure::Count if measure == Amount::from(1_u64) => "1 effect".to_owned(),
        Measure::Count => format!("{measure} effects"),
        Measure::Reference => {
            let currency = policy.attestations.currency.as_ref();
            let currency = currency.map_or("", Name::as_str);
            format!("{} {currency}", reference_value(measure))
        }
    }
}

/// A length of time: `24 h`, `30 days`.
pub fn length(millis: u64) -> String {
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match millis {
        0 => "0 s".to_owned(),
        ms if ms % DAY == 0 && ms > DAY => format!("{} days", ms / DAY),
        ms if ms % HOUR == 0 => format!("{} h", ms / HOUR),
        ms if ms % MINUTE == 0 => format!("{} min", ms / MINUTE),
        ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

/// `2 of alice, bob`, or who it is where there is no choice, and how they agree where that is not as usual.
pub fn need(need: &Need) -> String {
    let people = names(&need.people);
    let who = match (need.threshold, need.people.len()) {
        (1, 1) => people,
        (threshold, _) => format!("{threshold} of {people}"),
    };
    match terms(need) {
        None => who,
        Some(terms) => format!("{who} ({terms})"),
    }
}

/// How people agree, where that is not as usual.
pub fn terms(need: &Need) -> Option<String> {
    // Every field by name: a new one has to be given words here.
    let Need {
        threshold: _,
        people: _,
        delay_millis,
        valid_millis,
        rejection,
        passkeys,
    } = need;
    let mut terms = Vec::new();
    if *delay_millis > 0 {
        terms.push(format!("counts after {}", length(*delay_millis)));
    }
    if *valid_millis < Need::VALID_MILLIS_MAX {
        terms.push(format!("holds for {}", length(*valid_millis)));
    }
    if *rejection == Rejection::Final {
        terms.push("a rejection is final".to_owned());
    }
    if *passkeys == Passkeys::Count {
        terms.push("passkeys count".to_owned());
    }
    (!terms.is_empty()).then(|| terms.join(", "))
}

/// Names, one after the other.
pub fn names<'n>(names: impl IntoIterator<Item = &'n Name>) -> String {
    let names: Vec<&str> = names.into_iter().map(Name::as_str).collect();
    names.join(", ")
}

/// What is counted apart: `account and destination`.
pub fn groups(groups: &BTreeSet<Group>) -> String {
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    groups.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_of_the_largest_whole_unit() {
        for (millis, shown) in [
            (0, "0 s"),
            (1, "1 ms"),
            (90_000, "90 s"),
            (60_000, "1 min"),
            (3_600_000, "1 h"),
            (86_400_000, "24 h"),
            (2_592_000_000, "30 days"),
        ] {
            assert_eq!(length(millis), shown);
        }
    }

    #[test]
    fn needs_name_who_may_choose() {
        let of = |threshold, people: &[&str]| {
            let people = people.iter().map(|name| name.parse().unwrap());
            Need::of(threshold, people.collect())
        };
        assert_eq!(need(&of(1, &["ann"])), "ann");
        assert_eq!(need(&of(1, &["ben", "ann"])), "1 of ann, ben");
        assert_eq!(need(&of(2, &["ben", "ann"])), "2 of ann, ben");
        let slow = Need {
            delay_millis: 3_600_000,
            valid_millis: 43_200_000,
            rejection: Rejection::Final,
            passkeys: Passkeys::Count,
            ..of(1, &["ann"])
        };
        let terms = "ann (counts after 1 h, holds for 12 h, a rejection is final, passkeys count)";
        assert_eq!(need(&slow), terms);
    }
}
