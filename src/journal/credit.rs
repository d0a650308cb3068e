//! What enough outsiders say of the time: it moves `lo` on where the clocks cannot know, behind a restart.

use std::sync::PoisonError;

use policy::{Entry, State, TimeSource, at_least};
use tlog::cosignature::{Quorum, Timestamp, WitnessKey};
use tx::{Interval, Time};

use crate::{Reading, writer::Writer};

/// Moved by less, it is not said in the journal: the clocks are allowed as much.
const NOTED_MILLIS: u64 = 5_000;

/// When each witness cosigned a checkpoint of this run last, as it says. Nobody else has such a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Cosigned(Vec<(WitnessKey, Timestamp)>);

impl Cosigned {
    /// Takes cosignatures that were verified.
    pub(crate) fn hear(&mut self, said: &[(WitnessKey, Timestamp)]) {
        for (key, time) in said {
            match self.0.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => *known = *time.max(known),
                None => self.0.push((key.clone(), *time)),
            }
        }
    }

    /// How late it is at least, by enough of these witnesses.
    fn at_least(&mut self, quorum: &Quorum) -> Option<Time> {
        // Nobody counts whom the policy does not name.
        self.0.retain(|(key, _)| quorum.witnesses().contains(key));
        let said = self.0.iter();
        let said = said.map(|(_, time)| Time::from_millis(time.secs().saturating_mul(1000)));
        at_least(said.collect(), quorum.needed())
    }
}

/// What is believed of the time, and what the journal is to say of it.
pub(crate) struct Credit {
    pub(crate) now: Interval,
    pub(crate) entry: Option<Entry>,
}

impl Writer {
    /// Takes what enough outsiders say, at a reading that was taken.
    pub(crate) fn credit(&mut self, reading: Reading) -> Option<Credit> {
        let (at_least, by) = self.outside()?;
        let Reading {
            wall_millis,
            boot_millis,
        } = reading;
        let millis = self.time.credit(at_least, wall_millis, boot_millis);
        let now = self.time.interval();
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.settled.take(now, reading, false);
        let is_noted = millis >= NOTED_MILLIS;
        if is_noted {
            tracing::info!(by = by.as_str(), millis, lo = %now.lo, "the earliest time is moved on");
        }
        Some(Credit {
            now,
            entry: is_noted.then_some(Entry::TimeCredited { by, millis }),
        })
    }

    /// The latest of what witnesses and attesters say that it is at least, each by enough of them.
    fn outside(&self) -> Option<(Time, TimeSource)> {
        let (attested, policy) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.attested_time(), state.policy().cloned())
        };
        let quorum = policy.as_ref().and_then(|policy| policy.witnesses.as_ref());
        let mut cosigned = self.cosigned.lock().unwrap_or_else(PoisonError::into_inner);
        let witnessed = quorum.and_then(|quorum| cosigned.at_least(quorum));
        let attested = attested.map(|time| (time, TimeSource::Attesters));
        let witnessed = witnessed.map(|time| (time, TimeSource::Witnesses));
        match (attested, witnessed) {
            (Some(one), Some(other)) if one.0 >= other.0 => Some(one),
            (one, None) => one,
            (_, other) => other,
        }
    }
}

/// Whether `lo` may be moved on now that an entry is applied: what follows in the group would be decided, and
/// counted, before that.
pub(crate) fn is_owed(state: &State, now: Interval, entry: &Entry) -> bool {
    let is_said = matches!(entry, Entry::Attested(_));
    is_said && state.attested_time().is_some_and(|time| time > now.lo)
}
