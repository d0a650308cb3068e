//! A turn of the writer: a group is put together, flushed and answered.
//!
//! What comes while a group is put together joins it. A flush takes as long for many entries as for few, and
//! who just missed one would wait for two. The clocks are read again for those who join: no entry has a time
//! from before its command came.

use std::sync::{Arc, PoisonError};

use policy::{Entry, State};
use tx::Interval;

#[cfg(test)]
use crate::defect::{self, Defect};
use crate::{
    Reading,
    command::{Command, Stopped},
    credit::Credit,
    group::{OpenGroup, ROOTS_MAX, SUMMARIES_MAX},
    roots::Done,
    store::Group,
    writer::{FORGOTTEN_MAX, Writer, stopped},
};

/// For how long a group lets commands join it.
const JOINED_MILLIS: u64 = 2;

/// The commands that have come meanwhile, one by one.
pub(crate) type Arrivals<'a> = dyn FnMut() -> Option<Command> + 'a;

impl Writer {
    /// One group: evaluate, flush, answer. It needs no thread, and waits for nothing but the store.
    pub(crate) fn turn(&mut self, arrived: &mut Arrivals<'_>) {
        self.stop_if_damaged();
        if let Some(stopped) = self.stopped.get() {
            for command in self.waiting.drain(..) {
                command.refuse(stopped);
            }
            if let Some((_, reply)) = self.awaited.take() {
                reply.send(Err(stopped.clone()));
            }
            return;
        }
        let reading = self.clock.read();
        let (now, jump) = self.now(reading);
        let (now, credited) = match self.credit(reading) {
            Some(Credit { now, entry }) => (now, entry),
            None => (now, None),
        };
        let mut group = OpenGroup::new(now, self.next_index, std::mem::take(&mut self.growth));
        let of_time = jump.map(jumped).into_iter().chain(credited);
        let prepared = self.prepare(&mut group, of_time, arrived);
        let OpenGroup {
            entries,
            blobs,
            replies,
            growth,
            frozen,
            ..
        } = group;
        #[cfg(test)]
        let (prepared, entries, replies) = self.answered_early(prepared, entries, replies);
        self.growth = growth;
        let outcome = prepared.and_then(|()| self.flush(Group { entries, blobs }));
        if let Err(stopped) = &outcome {
            self.stop(stopped);
        }
        for reply in replies {
            reply.send(outcome.clone());
        }
        if outcome.is_ok() {
            self.keep_charges();
            self.remove_pruned();
            self.give(frozen);
            self.anchor_if_due();
        }
    }

    pub(crate) fn now(&mut self, reading: Reading) -> (Interval, Option<i64>) {
        let (now, jump) = self.time.advance(reading.wall_millis, reading.boot_millis);
        #[cfg(test)]
        let now = defect::believed(now, reading.wall_millis);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.boot_millis = reading.boot_millis;
        self.settled.take(now, reading, jump.is_some());
        (now, jump)
    }

    /// Applies the commands to the state, in order, collecting entries and answers.
    fn prepare(
        &mut self,
        group: &mut OpenGroup,
        of_time: impl Iterator<Item = Entry>,
        arrived: &mut Arrivals<'_>,
    ) -> Result<(), Stopped> {
        let state = Arc::clone(&self.state);
        // A panic aborts the process, so that a poisoned lock is never seen.
        let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
        let began = self.boot_millis;
        self.pass(&mut state, group, of_time)?;
        let done = self.roots.done(ROOTS_MAX);
        for done in done.map_err(|error| stopped(&error))? {
            match done {
                Done::Built(built) => self.take_root(&mut state, group, built)?,
                Done::Kept { block, read_from } => {
                    self.forget_charges(block);
                    self.read_from = read_from;
                }
            }
        }
        group.growth.forget(&mut state, FORGOTTEN_MAX);
        for entry in self.refusals.due(self.boot_millis, SUMMARIES_MAX) {
            group.push(&mut state, entry)?;
        }
        self.process_all(&mut state, group)?;
        while self.boot_millis.saturating_sub(began) < JOINED_MILLIS && self.join(group, arrived) {
            let (now, jump) = self.now(self.clock.read());
            group.now = now;
            self.pass(&mut state, group, jump.map(jumped).into_iter())?;
            if jump.is_some() {
                // However often the wall clock jumps: a group has room for one of these only.
                group.close();
            }
            self.process_all(&mut state, group)?;
        }
        // Nothing comes behind the entry that ends the log.
        if self.stopped.get().is_none() && group.is_to_be_covered() {
            self.order_awaited(&mut state, group)?;
        }
        self.count(group);
        state.forget_recalled(|key| group.growth.holds(key));
        Ok(())
    }

    /// Lets the state know the time of the group, and says what comes of that.
    fn pass(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        of_time: impl Iterator<Item = Entry>,
    ) -> Result<(), Stopped> {
        let advanced = state.advance(group.now.lo);
        advanced.map_err(|error| stopped(&error))?;
        for entry in of_time {
            group.push(state, entry)?;
        }
        self.freeze_if_overdue(state, group)
    }

    /// Processes what waits, as far as the group has room.
    fn process_all(&mut self, state: &mut State, group: &mut OpenGroup) -> Result<(), Stopped> {
        while self.stopped.get().is_none()
            && group.has_room()
            && let Some(command) = self.waiting.pop_front()
        {
            group.commands = group.commands.saturating_add(1);
            self.process(state, group, command)?;
        }
        self.count(group);
        Ok(())
    }

    /// Counts time from the entries that it is counted from, at the reading that they have.
    fn count(&mut self, group: &mut OpenGroup) {
        if std::mem::take(&mut group.counts) {
            self.time.count(self.boot_millis);
        }
    }

    /// Whether there are commands that join the group.
    fn join(&mut self, group: &OpenGroup, arrived: &mut Arrivals<'_>) -> bool {
        if self.stopped.get().is_some() {
            return false;
        }
        while group.has_room_for(self.waiting.len())
            && let Some(command) = arrived()
        {
            self.wait(command);
        }
        !self.waiting.is_empty() && group.has_room()
    }

    fn flush(&mut self, group: Group) -> Result<(), Stopped> {
        if group.entries.is_empty() {
            return Ok(());
        }
        self.append(group).map_err(|error| stopped(&error))
    }
}

fn jumped(millis: i64) -> Entry {
    Entry::ClockJump { millis }
}

/// What a group is flushed and answered with.
#[cfg(test)]
type Prepared = (
    Result<(), Stopped>,
    Vec<crate::NewEntry>,
    Vec<crate::Reply<Result<(), Stopped>>>,
);

#[cfg(test)]
impl Writer {
    /// What two defects answer before it is durable.
    fn answered_early(
        &mut self,
        prepared: Result<(), Stopped>,
        mut entries: Vec<crate::NewEntry>,
        replies: Vec<crate::Reply<Result<(), Stopped>>>,
    ) -> Prepared {
        let halves = defect::is(Defect::GroupInHalves) && entries.len() > 1;
        if prepared.is_err() || !(halves || defect::is(Defect::ChargeAfterSign)) {
            return (prepared, entries, replies);
        }
        if halves {
            let rest = entries.split_off(entries.len() / 2);
            let first = std::mem::replace(&mut entries, rest);
            let flushed = self.flush(Group {
                entries: first,
                blobs: Vec::new(),
            });
            if flushed.is_err() {
                return (flushed, entries, replies);
            }
        }
        for reply in replies {
            reply.send(Ok(()));
        }
        (prepared, entries, Vec::new())
    }
}
