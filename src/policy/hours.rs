//! Weekly hours: when in the week it is, by the clocks of a place.
//!
//! What the clocks of a place show is a rule that the bundle has in full, so that a signer needs no
//! database of time zones, and the rule is signed with all else.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Interval, Name, Time};

use crate::Selector;

const MINUTE_MILLIS: u64 = 60_000;
const DAY_MINUTES: u32 = 24 * 60;
const DAY_MILLIS: u64 = 24 * 60 * MINUTE_MILLIS;
const WEEK_MILLIS: u64 = 7 * DAY_MILLIS;
/// 1970-01-01 was a Thursday; weeks begin on Mondays.
const EPOCH_DAYS_OF_WEEK: u64 = 3;

/// Hours of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The stretches, none of which begins before the one before it has ended.
    pub open: BTreeSet<Stretch>,
    /// What the clocks show.
    pub clocks: Clocks,
}

/// A stretch of the week, in minutes since Monday 00:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    /// Its first minute.
    pub from: u32,
    /// The first minute behind it.
    pub until: u32,
}

/// What the clocks of a place show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Coordinated Universal Time, for ever.
    Utc,
    /// A rule that ends.
    Zone(Zone),
}

/// What the clocks of a time zone show, for some years.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// From when on it is known.
    pub from: Time,
    /// Until when it is known.
    pub until: Time,
    /// By how many minutes the clocks are ahead of UTC at first.
    pub offset_minutes: i32,
    /// When they are set, and to what, between `from` and `until`.
    pub changes: BTreeMap<Time, i32>,
}

/// What is so from a point in time on.
#[derive(Clone, Copy, Debug)]
struct Spell {
    is_open: bool,
    /// Until when at least.
    until: Time,
}

impl Stretch {
    /// The minutes of a week.
    pub const WEEK_MINUTES: u32 = 7 * DAY_MINUTES;
}

impl Hours {
    /// Whether it is within the hours whatever the time is in the interval. False where the rule does
    /// not say.
    pub fn surely(&self, now: Interval) -> bool {
        self.always(now, |is_open| is_open)
    }

    /// Whether it may be within the hours. True where the rule does not say.
    pub fn possibly(&self, now: Interval) -> bool {
        !self.always(now, |is_open| !is_open)
    }

    /// Whether each spell in the interval is such.
    fn always(&self, now: Interval, is_such: impl Fn(bool) -> bool) -> bool {
        let mut at = now.lo;
        // Hours that are neither always nor never meet one that is not such within the week: there are
        // at most as many spells as two for each stretch and one for each change of the clocks.
        loop {
            match self.spell(at) {
                Some(spell) if !is_such(spell.is_open) => return false,
                Some(spell) if spell.until > now.hi => return true,
                // It ends after it began; if it did not, this would go on all the same.
                Some(spell) => at = spell.until.max(at.after_millis(1)),
                None => return false,
            }
        }
    }

    /// What is so at a point in time, as far as the rule says.
    fn spell(&self, at: Time) -> Option<Spell> {
        let (offset_minutes, until) = self.clocks.shown(at)?;
        let of_week = millis_of_week(at, offset_minutes)?;
        let millis = |minutes: u32| u64::from(minutes).saturating_mul(MINUTE_MILLIS);
        let whole = self
            .open
            .iter()
            .map(|one| one.until.saturating_sub(one.from));
        let whole = whole.fold(0, u32::saturating_add);
        if whole == 0 || whole == Stretch::WEEK_MINUTES {
            let is_open = whole > 0;
            return Some(Spell { is_open, until });
        }
        let mut open = self.open.iter();
        let current = open.find(|one| (millis(one.from)..millis(one.until)).contains(&of_week));
        let edge = match current {
            Some(one) => millis(one.until),
            None => {
                let starts = self.open.iter().map(|one| millis(one.from));
                starts
                    .filter(|start| *start > of_week)
                    .min()
                    .unwrap_or(WEEK_MILLIS)
            }
        };
        Some(Spell {
            is_open: current.is_some(),
            until: at.after_millis(edge.saturating_sub(of_week)).min(until),
        })
    }
}

impl Clocks {
    /// By how many minutes the clocks are ahead of UTC at a point in time, and until when they are.
    fn shown(&self, at: Time) -> Option<(i32, Time)> {
        let zone = match self {
            Self::Utc => return Some((0, Time::from_millis(u64::MAX))),
            Self::Zone(zone) => zone,
        };
        if at < zone.from || at >= zone.until {
            return None;
        }
        let before = zone.changes.range(..=at).next_back();
        let offset = before.map_or(zone.offset_minutes, |(_, offset)| *offset);
        let behind = at.after_millis(1);
        let next = zone
            .changes
            .range(behind..)
            .next()
            .map(|(change, _)| *change);
        Some((offset, next.unwrap_or(zone.until)))
    }
}

/// Milliseconds since Monday 00:00 by clocks that are so much ahead of UTC.
fn millis_of_week(at: Time, offset_minutes: i32) -> Option<u64> {
    let since_monday = at
        .millis()
        .checked_add(EPOCH_DAYS_OF_WEEK.saturating_mul(DAY_MILLIS))?;
    let minute = i64::try_from(MINUTE_MILLIS).ok()?;
    let ahead = i64::from(offset_minutes).checked_mul(minute)?;
    // A week more, so that it is never before the first Monday.
    let shown = since_monday.checked_add(WEEK_MILLIS)?;
    shown.checked_add_signed(ahead)?.checked_rem(WEEK_MILLIS)
}

/// Which hours it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct InHours<'a> {
    surely: BTreeSet<&'a Name>,
    possibly: BTreeSet<&'a Name>,
}

impl<'a> InHours<'a> {
    pub(crate) fn of(all: &'a BTreeMap<Name, Hours>, now: Interval) -> Self {
        let names = |holds: fn(&Hours, Interval) -> bool| {
            let such = all.iter().filter(|(_, hours)| holds(hours, now));
            such.map(|(name, _)| name).collect()
        };
        Self {
            surely: names(Hours::surely),
            possibly: names(Hours::possibly),
        }
    }

    /// Whether a statement that gives speaks now: whatever the time is, it is in its hours.
    pub(crate) fn gives(&self, selector: &Selector) -> bool {
        spoken(
            selector,
            |name| self.surely.contains(name),
            |name| self.possibly.contains(name),
        )
    }

    /// Whether a statement that takes speaks now: it may be in its hours.
    pub(crate) fn takes(&self, selector: &Selector) -> bool {
        spoken(
            selector,
            |name| self.possibly.contains(name),
            |name| self.surely.contains(name),
        )
    }

    /// The hours that it surely is.
    pub(crate) fn surely(&self) -> BTreeSet<Name> {
        self.surely.iter().copied().cloned().collect()
    }

    /// The hours that it may be.
    pub(crate) fn possibly(&self) -> BTreeSet<Name> {
        self.possibly.iter().copied().cloned().collect()
    }
}

/// Whether one of the selector's hours is `within`, and none that it excepts `without`.
pub(crate) fn spoken(
    selector: &Selector,
    within: impl Fn(&Name) -> bool,
    without: impl Fn(&Name) -> bool,
) -> bool {
    let hours = selector.hours.as_ref();
    let excepted = selector.hours_except.as_ref();
    hours.is_none_or(|names| names.iter().any(within))
        && excepted.is_none_or(|names| !names.iter().any(without))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Interval {
        between(text, text)
    }

    fn between(lo: &str, hi: &str) -> Interval {
        Interval {
            lo: time(lo),
            hi: time(hi),
        }
    }

    fn stretch(day: u32, from: u32, until: u32) -> Stretch {
        let start = day * DAY_MINUTES;
        Stretch {
            from: start + from * 60,
            until: start + until * 60,
        }
    }

    fn office(clocks: Clocks) -> Hours {
        let open = (0..5).map(|day| stretch(day, 8, 18)).collect();
        Hours { open, clocks }
    }

    fn zurich() -> Clocks {
        Clocks::Zone(Zone {
            from: time("2026-01-01T00:00:00Z"),
            until: time("2027-01-01T00:00:00Z"),
            offset_minutes: 60,
            changes: [
                (time("2026-03-29T01:00:00Z"), 120),
                (time("2026-10-25T01:00:00Z"), 60),
            ]
            .into(),
        })
    }

    #[test]
    fn a_week_is_that_of_the_clocks() {
        let utc = office(Clocks::Utc);
        // A Friday.
        assert!(!utc.possibly(at("2026-11-20T07:59:59.999Z")));
        assert!(utc.surely(at("2026-11-20T08:00:00Z")));
        assert!(utc.surely(at("2026-11-20T17:59:59.999Z")));
        assert!(!utc.possibly(at("2026-11-20T18:00:00Z")));
        assert!(!utc.possibly(at("2026-11-21T12:00:00Z")));
        let zurich = office(zurich());
        assert!(zurich.surely(at("2026-11-20T07:00:00Z")));
        assert!(!zurich.possibly(at("2026-11-20T17:00:00Z")));
        // In summer an hour earlier.
        assert!(zurich.surely(at("2026-07-17T06:00:00Z")));
        assert!(!zurich.possibly(at("2026-07-17T16:00:00Z")));
    }

    #[test]
    fn what_is_not_known_gives_nothing_and_takes() {
        let utc = office(Clocks::Utc);
        let evening = between("2026-11-20T17:00:00Z", "2026-11-20T18:00:00Z");
        assert!(!utc.surely(evening) && utc.possibly(evening));
        let night = between("2026-11-20T18:00:00Z", "2026-11-23T07:59:59.999Z");
        assert!(!utc.surely(night) && !utc.possibly(night));
        let years = between("2026-11-20T18:00:00Z", "9999-01-01T00:00:00Z");
        assert!(!utc.surely(years) && utc.possibly(years));
        let zurich = office(zurich());
        for unknown in ["2025-12-31T23:59:59Z", "2027-01-01T00:00:00Z"] {
            assert!(!zurich.surely(at(unknown)) && zurich.possibly(at(unknown)));
        }
        // A whole week is always, and still ends where the clocks are not known.
        let always = Hours {
            open: (0..7).map(|day| stretch(day, 0, 24)).collect(),
            ..zurich
        };
        assert!(always.surely(between("2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z")));
        assert!(!always.surely(between("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")));
    }

    /// Minute by minute, by arithmetic that knows no spells.
    fn open_at(hours: &Hours, minute: i64) -> Option<bool> {
        let time = |minute: i64| Time::from_millis(u64::try_from(minute * 60_000).unwrap());
        let offset = match &hours.clocks {
            Clocks::Utc => 0,
            Clocks::Zone(zone) => {
                if time(minute) < zone.from || time(minute) >= zone.until {
                    return None;
                }
                let mut offset = zone.offset_minutes;
                for (change, to) in &zone.changes {
                    if *change <= time(minute) {
                        offset = *to;
                    }
                }
                offset
            }
        };
        let of_week = (minute + i64::from(offset) + 3 * 1440).rem_euclid(7 * 1440);
        let of_week = u32::try_from(of_week).unwrap();
        let mut open = hours.open.iter();
        Some(open.any(|one| (one.from..one.until).contains(&of_week)))
    }

    fn hours() -> impl Strategy<Value = Hours> {
        let quarter = 15;
        let edges = prop::collection::btree_set(0..=7 * 96_u32, 0..9);
        let open = edges.prop_map(move |edges| {
            let edges: Vec<u32> = edges.into_iter().collect();
            let pairs = edges.chunks_exact(2);
            pairs
                .map(|pair| Stretch {
                    from: pair[0] * quarter,
                    until: pair[1] * quarter,
                })
                .collect()
        });
        let minutes = |minute: i64| Time::from_millis(u64::try_from(minute).unwrap() * 60_000);
        let zone = (0..500_i64, 12_000..15_000_i64, -840..840_i32).prop_flat_map(
            move |(from, until, offset_minutes)| {
                let changes = btree_map(from + 1..until, -840..840_i32, 0..4);
                changes.prop_map(move |changes| {
                    let changes = changes.into_iter();
                    Clocks::Zone(Zone {
                        from: minutes(from),
                        until: minutes(until),
                        offset_minutes,
                        changes: changes.map(|(at, to)| (minutes(at), to)).collect(),
                    })
                })
            },
        );
        (open, prop_oneof![Just(Clocks::Utc), zone])
            .prop_map(|(open, clocks)| Hours { open, clocks })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn an_interval_is_all_of_its_minutes(hours in hours(), lo in 0..15_000_i64, length in 0..3_000_i64) {
            let minute = |minute: i64| Time::from_millis(u64::try_from(minute).unwrap() * 60_000);
            let now = Interval { lo: minute(lo), hi: minute(lo + length) };
            let all: BTreeSet<Option<bool>> =
                (lo..=lo + length).map(|minute| open_at(&hours, minute)).collect();
            prop_assert_eq!(hours.surely(now), all == [Some(true)].into());
            prop_assert_eq!(hours.possibly(now), all != [Some(false)].into());
        }
    }
}
