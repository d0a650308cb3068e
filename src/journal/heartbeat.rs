//! A heartbeat that is overdue freezes everything, durably, before anything else is decided.

use policy::{Entry, FreezeScope, Lapse, State, StateError};
use tx::{Interval, Time};

use crate::{
    Reading,
    command::Stopped,
    govern::{Governing, govern},
    group::OpenGroup,
    writer::Writer,
};

/// For how long the wall clock must have gone as the boot clock did before what it says freezes for good: no
/// single reading does. Meanwhile nothing is signed or released anyway.
const SETTLED_MILLIS: u64 = 20_000;

/// How far the clocks can be believed where something cannot be taken back.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The boot clock's reading since which no jump was seen.
    since: Option<u64>,
    is_settled: bool,
    /// The earliest that it can be, and what the wall clock says now: not what it said before.
    read: Option<Interval>,
}

impl Settled {
    /// Takes a reading of the clocks, of which the time keeper says whether the wall clock jumped.
    pub(crate) fn take(&mut self, now: Interval, reading: Reading, jumped: bool) {
        let since = self
            .since
            .filter(|_| !jumped)
            .unwrap_or(reading.boot_millis);
        self.since = Some(since);
        self.is_settled = reading.boot_millis.saturating_sub(since) >= SETTLED_MILLIS;
        let lo = now.lo;
        let hi = lo.max(Time::from_millis(reading.wall_millis));
        self.read = Some(Interval { lo, hi });
    }

    /// Whether the heartbeat is overdue by what the clocks say now.
    fn lapsed(&self, state: &State) -> Option<Lapse> {
        state.lapsed(self.read?)
    }
}

impl Writer {
    /// Freezes everything where the heartbeat is surely overdue.
    pub(crate) fn freeze_if_overdue(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
    ) -> Result<(), Stopped> {
        let Some(lapse) = self.settled.lapsed(state) else {
            return Ok(());
        };
        let is_sure = group.now.lo > lapse.due;
        if !(is_sure || self.settled.is_settled) {
            return Ok(());
        }
        let Lapse { since, due } = lapse;
        let entry = Entry::Frozen {
            scope: FreezeScope::All,
            reason: format!("no heartbeat since {since}; it was due at {due}"),
        };
        group.push(state, entry)?;
        tracing::error!(%since, %due, "everything is frozen: the heartbeat is overdue");
        Ok(())
    }

    /// What officers and others decide about. A heartbeat that comes too late does not keep from
    /// freezing what it is too late for.
    pub(crate) fn govern(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        asked: Governing,
    ) -> Result<(), Stopped> {
        match (asked, self.settled.lapsed(state)) {
            (Governing::Stated(entry, reply), Some(Lapse { due, .. }))
                if matches!(*entry, Entry::Heartbeat(_)) =>
            {
                reply.send(Ok(Err(StateError::Lapsed { due })));
                Ok(())
            }
            (asked, _) => govern(state, group, asked),
        }
    }
}
