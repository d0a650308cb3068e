//! Sums of what was authorised, so that no payment is counted twice.

use std::collections::BTreeMap;

use serde::Serialize;
use tx::{Amount, Asset, Time};

use super::{Period, Row, Standing};
use crate::status::Unit;

/// The sum of one kind of effect in an asset over a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Which period.
    pub period: String,
    /// Which asset.
    pub asset: Asset,
    /// Which kind of effect.
    pub kind: String,
    /// How many conflict sets have any.
    pub sets: u64,
    /// How much, in base units; nothing beyond 2^256.
    pub base_units: Option<Amount>,
    /// The same as people write it, where the policy named a unit.
    pub amount: String,
}

/// What one conflict set can have paid at most.
struct Set {
    since: Time,
    largest: BTreeMap<Kind, Amount>,
}

/// What is summed apart: an asset, a kind, and how it is written.
type Kind = (Asset, String, String, u8);

/// Attempts of one conflict set exclude one another on chain, so that of each only the largest counts,
/// in the period of the first. What was never signed does not count.
pub fn totals(rows: &[Row], period: Period) -> Vec<Total> {
    let mut sets: BTreeMap<u64, Set> = BTreeMap::new();
    for attempt in rows.chunk_by(|one, next| one.entry == next.entry) {
        add(&mut sets, attempt);
    }
    let mut sums: BTreeMap<(String, Kind), (u64, Option<Amount>)> = BTreeMap::new();
    for set in sets.into_values() {
        for (kind, amount) in set.largest {
            let sum = sums
                .entry((period.of(set.since), kind))
                .or_insert((0, Some(Amount::ZERO)));
            sum.0 += 1;
            sum.1 = sum.1.and_then(|sum| sum.checked_add(amount));
        }
    }
    sums.into_iter()
        .map(|((period, (asset, kind, name, decimals)), (sets, sum))| {
            let unit = Unit { name, decimals };
            let written = sum.filter(|_| !unit.name.is_empty());
            Total {
                period,
                asset,
                kind,
                sets,
                base_units: sum,
                amount: written.map(|sum| unit.write(sum)).unwrap_or_default(),
            }
        })
        .collect()
}

fn add(sets: &mut BTreeMap<u64, Set>, attempt: &[Row]) {
    let signed = attempt
        .iter()
        .filter(|row| row.standing != Standing::NotSigned);
    let mut sums: BTreeMap<Kind, Amount> = BTreeMap::new();
    for row in signed {
        let set = sets.entry(row.conflict_set);
        set.or_insert_with(|| Set {
            since: row.time,
            largest: BTreeMap::new(),
        });
        let kind = (
            row.asset.clone(),
            row.kind.clone(),
            row.unit.clone(),
            row.decimals,
        );
        let sum = sums.entry(kind).or_insert(Amount::ZERO);
        *sum = sum.checked_add(row.base_units).unwrap_or(Amount::MAX);
    }
    let Some(set) = attempt
        .first()
        .and_then(|row| sets.get_mut(&row.conflict_set))
    else {
        return;
    };
    for (kind, sum) in sums {
        let largest = set.largest.entry(kind).or_insert(Amount::ZERO);
        *largest = sum.max(*largest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A payment of `base_units` by the attempt at `entry`, in a conflict set.
    fn paid(entry: u64, conflict_set: u64, base_units: u64, standing: Standing) -> Row {
        let day = entry.min(27) + 1;
        Row {
            time: format!("2026-11-{day:02}T00:00:00Z").parse().unwrap(),
            entry,
            client: String::new(),
            request: String::new(),
            intent: String::new(),
            kind: "payment".into(),
            chain: "eip155:1".into(),
            account: "hot".into(),
            keys: Vec::new(),
            asset: "eip155:1/native".parse().unwrap(),
            amount: String::new(),
            decimals: 3,
            unit: "eth".into(),
            base_units: base_units.into(),
            destination: String::new(),
            tag: String::new(),
            allowed_by: Vec::new(),
            approved_by: Vec::new(),
            policy: String::new(),
            conflict_set,
            standing,
            txid: String::new(),
        }
    }

    #[test]
    fn what_excludes_itself_is_counted_once_at_its_largest() {
        let rows = [
            paid(1, 1, 1000, Standing::Signed),
            paid(1, 1, 500, Standing::Signed),
            // Replaces it, a day later, and pays more.
            paid(2, 1, 1700, Standing::Signed),
            paid(3, 1, 9999, Standing::NotSigned),
            paid(4, 4, 40, Standing::Authorised),
            paid(5, 5, 9999, Standing::NotSigned),
        ];
        let month = totals(&rows, Period::Month);
        assert_eq!(month.len(), 1);
        assert_eq!(
            (month[0].sets, month[0].base_units),
            (2, Some(1740u64.into()))
        );
        assert_eq!(month[0].amount, "1.74 eth");
        let days: Vec<_> = totals(&rows, Period::Day)
            .into_iter()
            .map(|total| (total.period, total.amount))
            .collect();
        let day = |day: &str, amount: &str| (day.to_owned(), amount.to_owned());
        assert_eq!(
            days,
            [day("2026-11-02", "1.7 eth"), day("2026-11-05", "0.04 eth")]
        );
    }

    #[test]
    fn a_sum_that_is_too_large_is_said_to_be() {
        let mut rows = [
            paid(1, 1, 1, Standing::Signed),
            paid(2, 2, 1, Standing::Signed),
        ];
        rows[0].base_units = Amount::MAX;
        let total = totals(&rows, Period::Month).remove(0);
        assert_eq!((total.base_units, total.amount), (None, String::new()));
    }
}
