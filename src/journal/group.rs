//! A group while it is being put together.

use std::sync::Arc;

use policy::{Blob, Entry, Record, State, StateError};
use serde::Serialize;
use tx::Interval;

use crate::{
    NewEntry,
    command::{Reply, Stopped},
    credit::is_owed,
    roots::{Frozen, Growth},
    segment::{MAX_BLOB_BYTES, MAX_BODY_BYTES, MAX_GROUP_BYTES, MAX_GROUP_RECORDS, Salt},
    writer::stopped,
};

/// Most commands that share a flush. Each adds one entry at most.
pub(crate) const COMMANDS_MAX: usize = 256;
/// Most summaries of refusals in a group, and as many again when the journal ends with it.
pub(crate) const SUMMARIES_MAX: usize = 256;
/// Most state roots in a group; more wait for the next one.
pub(crate) const ROOTS_MAX: usize = 16;
/// Bytes of bodies and blobs after which a group takes no further command.
const FULL_BYTES: usize = 4 * 1024 * 1024;
/// More than what stands around the items of a group, and than all summaries at an end.
const AROUND_BYTES: usize = 1024 * 1024;

// Whatever a group holds, one more command and the end of the journal fit in.
const _: () = assert!(COMMANDS_MAX + 2 * SUMMARIES_MAX + ROOTS_MAX < MAX_GROUP_RECORDS);
const _: () =
    assert!(FULL_BYTES + MAX_BODY_BYTES + MAX_BLOB_BYTES + AROUND_BYTES < MAX_GROUP_BYTES);

/// Why an entry was not added. Nothing changed.
#[derive(Debug)]
pub(crate) enum Untaken {
    /// Its body is longer than a store takes.
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// It does not follow from the state.
    State(StateError),
}

/// Entries and answers of one turn of the writer.
pub(crate) struct OpenGroup {
    /// The time of what is added next.
    pub(crate) now: Interval,
    /// How many commands it took.
    pub(crate) commands: usize,
    pub(crate) entries: Vec<NewEntry>,
    pub(crate) blobs: Vec<Vec<u8>>,
    /// Drawn for this group, and dropped with it: no salt is kept from one group to the next.
    salts: Vec<Salt>,
    form: Form,
    /// What is answered once the outcome of the flush is known.
    pub(crate) replies: Vec<Reply<Result<(), Stopped>>>,
    /// Bytes of bodies and blobs so far.
    bytes: usize,
    first_index: u64,
    /// What entries wrote, since the last root.
    pub(crate) growth: Growth,
    /// What roots are due of, once the group is durable.
    pub(crate) frozen: Vec<Frozen>,
    /// Whether it has an entry that time is counted from.
    pub(crate) counts: bool,
    /// Whether it has what witnesses are to know of before it goes on: calls of a device, or signatures.
    goes_on: bool,
    /// Whether it takes nothing more: the time is to be read anew.
    is_over: bool,
}

impl OpenGroup {
    pub(crate) fn new(now: Interval, first_index: u64, growth: Growth) -> Self {
        Self {
            now,
            commands: 0,
            entries: Vec::new(),
            blobs: Vec::new(),
            salts: Vec::new(),
            form: Form::new(now),
            replies: Vec::new(),
            bytes: 0,
            first_index,
            growth,
            frozen: Vec::new(),
            counts: false,
            goes_on: false,
            is_over: false,
        }
    }

    /// Whether it takes a further command.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for(0)
    }

    /// Whether it takes a further command besides so many that wait for it.
    pub(crate) fn has_room_for(&self, waiting: usize) -> bool {
        let commands = self.commands.saturating_add(waiting);
        self.bytes < FULL_BYTES && commands < COMMANDS_MAX && !self.is_over
    }

    /// Takes no further command.
    pub(crate) fn close(&mut self) {
        self.is_over = true;
    }

    /// Whether a checkpoint that was asked for ahead is ordered with it.
    pub(crate) fn is_to_be_covered(&self) -> bool {
        self.goes_on && !self.is_over
    }

    /// The index that the next entry gets.
    fn next_index(&self) -> u64 {
        self.first_index
            .saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    /// Applies an entry to the state and adds it; returns its index.
    ///
    /// # Errors
    /// When it is not taken: then code and state disagree, and nothing more is signed.
    pub(crate) fn push(&mut self, state: &mut State, entry: Entry) -> Result<u64, Stopped> {
        let index = self.next_index();
        self.offer(state, entry)?
            .map_err(|untaken| untaken.stops(index))
    }

    /// As [`OpenGroup::push`], for an entry that may be too large, or that the state may refuse.
    pub(crate) fn offer(
        &mut self,
        state: &mut State,
        entry: Entry,
    ) -> Result<Result<u64, Untaken>, Stopped> {
        let index = self.next_index();
        let record = Record {
            v: 1,
            time: self.now,
            entry,
        };
        // Before the state changes: what it holds must be in the journal.
        let salt = self.salt()?;
        let entry = self.form.encode(&record, salt)?;
        let bytes = entry.body.len();
        if bytes > MAX_BODY_BYTES {
            return Ok(Err(Untaken::TooLarge { bytes }));
        }
        match state.apply(index, &record) {
            // What it says is not wrong: what it hangs on is not known.
            Err(error @ (StateError::Charges(_) | StateError::NotRecalled(_))) => {
                return Err(stopped(&error));
            }
            Err(error) => return Ok(Err(Untaken::State(error))),
            Ok(()) => {}
        }
        #[cfg(test)]
        crate::defect::folded(index, &record, None);
        self.frozen
            .extend(self.growth.take(state, index, &record.entry));
        self.counts |= record.entry.is_counted_from();
        self.goes_on |= matches!(
            record.entry,
            Entry::Attempt(_) | Entry::Call { .. } | Entry::Signed(_)
        );
        self.is_over |= is_owed(state, self.now, &record.entry);
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.push(entry);
        Ok(Ok(index))
    }

    fn salt(&mut self) -> Result<Salt, Stopped> {
        if self.salts.is_empty() {
            self.salts = Salt::several().map_err(|error| stopped(&error))?;
        }
        self.salts
            .pop()
            .ok_or_else(|| Stopped::because("no random bytes"))
    }

    /// Keeps the text of a blob that is named by its hash.
    pub(crate) fn keep(&mut self, blob: &Blob, text: &str) {
        if matches!(blob, Blob::Sha256(_)) {
            self.bytes = self.bytes.saturating_add(text.len());
            self.blobs.push(text.as_bytes().to_vec());
        }
    }

    /// Answers with what a command gave, once the group is durable; where it stops the journal, once that is
    /// stopped.
    pub(crate) fn answer<T: Send + 'static>(
        &mut self,
        reply: Reply<Result<T, Stopped>>,
        given: Result<T, Stopped>,
    ) -> Result<(), Stopped> {
        match given {
            Ok(value) => {
                let answer = move |durable: Result<(), _>| reply.send(durable.map(|()| value));
                self.replies.push(Reply::new(answer));
                Ok(())
            }
            Err(stopped) => {
                let why = stopped.clone();
                let answer = move |_: Result<(), _>| reply.send(Err(why));
                self.replies.push(Reply::new(answer));
                Err(stopped)
            }
        }
    }

    /// An entry that is not applied to the state: the very last.
    pub(crate) fn record(now: Interval, entry: Entry) -> Result<NewEntry, Stopped> {
        let salt = Salt::random().map_err(|error| stopped(&error))?;
        let record = Record {
            v: 1,
            time: now,
            entry,
        };
        Form::new(now).encode(&record, salt)
    }
}

impl Untaken {
    /// Where the entry at `index` had to be taken.
    pub(crate) fn stops(self, index: u64) -> Stopped {
        let reason = match self {
            Self::TooLarge { bytes } => format!("entry {index} would have {bytes} bytes"),
            Self::State(error) => {
                format!("entry {index} does not follow from the state: {error}")
            }
        };
        Stopped::because(reason)
    }
}

/// How records become bodies. To put the time in words takes as long as all the rest of a short entry, and most
/// entries of a group have one time.
struct Form {
    time: Interval,
    /// A body up to its entry; empty until there is one.
    head: Vec<u8>,
    /// The last body, kept for its memory.
    body: Vec<u8>,
}

impl Form {
    const fn new(time: Interval) -> Self {
        Self {
            time,
            head: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The JSON of a record, byte for byte as [`serde_json::to_vec`] has it.
    fn encode(&mut self, record: &Record, salt: Salt) -> Result<NewEntry, Stopped> {
        self.body.clear();
        let Record { v, time, entry } = record;
        if self.head.is_empty() || self.time != *time {
            self.time = *time;
            self.head.clear();
            self.head.extend_from_slice(b"{\"v\":");
            write(&mut self.head, v)?;
            self.head.extend_from_slice(b",\"time\":");
            write(&mut self.head, time)?;
            self.head.extend_from_slice(b",\"entry\":");
        }
        self.body.extend_from_slice(&self.head);
        write(&mut self.body, entry)?;
        self.body.push(b'}');
        Ok(NewEntry {
            salt: *salt.as_bytes(),
            body: Arc::from(self.body.as_slice()),
        })
    }
}

fn write(bytes: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Stopped> {
    serde_json::to_writer(bytes, value)
        .map_err(|error| Stopped::because(format!("an entry has no JSON form: {error}")))
}

#[cfg(test)]
mod tests {
    use policy::FreezeScope;
    use proptest::prelude::*;
    use tx::Time;

    use super::*;

    fn entries() -> impl Strategy<Value = Entry> {
        let reason = ".{0,40}".prop_map(|reason| Entry::PolicyRefused { reason });
        let frozen = ".{0,40}".prop_map(|reason| Entry::Frozen {
            scope: FreezeScope::All,
            reason,
        });
        let jump = any::<i64>().prop_map(|millis| Entry::ClockJump { millis });
        prop_oneof![reason, frozen, jump]
    }

    proptest! {
        #[test]
        fn a_body_is_the_json_of_its_record(
            records in prop::collection::vec((entries(), 0..3_u64, 0..3_u64), 1..9),
        ) {
            let mut form = Form::new(Interval { lo: Time::default(), hi: Time::default() });
            for (entry, lo, more) in records {
                let lo = Time::from_millis(1_700_000_000_000 + lo);
                let time = Interval { lo, hi: lo.after_millis(more * 500) };
                let record = Record { v: 1, time, entry };
                let written = form.encode(&record, Salt::new([1; 32])).unwrap();
                prop_assert_eq!(&*written.body, serde_json::to_vec(&record).unwrap());
            }
        }
    }
}
