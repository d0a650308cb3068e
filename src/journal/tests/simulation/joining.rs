//! Who joins a group while it is put together.

use std::{collections::VecDeque, sync::Arc};

use policy::{Entry, Record};

use super::{
    clock::SimClock,
    fixture::{START, name},
    machine::{Answer, Machine, Process},
    memory_disk::{Call, MemoryDisk},
};
use crate::{Clock as _, command::Command, create_on, group::COMMANDS_MAX, segment::OpenOptions};

/// A process that has served nothing yet.
fn begun() -> (Process, MemoryDisk, Arc<SimClock>) {
    let (disk, clock) = (MemoryDisk::default(), SimClock::new(START));
    create_on(Box::new(disk.clone()), name("main"), &clock).unwrap();
    let machine = Machine::new(disk.clone(), clock, OpenOptions::default());
    let core = machine.open(&disk).unwrap();
    let mut process = Process::new(core, START);
    // What a first turn has to say of the start.
    process.writer.turn(&mut || None);
    process.appended.lock().unwrap().clear();
    disk.take_calls();
    (process, disk, machine.clock)
}

fn note(process: &Process) -> Command {
    Command::PolicyRefused {
        reason: "it is unsigned".into(),
        reply: process.reply(|_: Result<(), _>| Answer::Other("noted")),
    }
}

fn appended(process: &Process) -> Vec<Record> {
    let bodies = std::mem::take(&mut *process.appended.lock().unwrap());
    let records = bodies.iter().map(|body| serde_json::from_slice(body));
    records.collect::<Result<_, _>>().unwrap()
}

fn flushes(disk: &MemoryDisk) -> usize {
    let calls = disk.take_calls().into_iter();
    calls.filter(|call| *call == Call::SyncData).count()
}

#[test]
fn who_comes_meanwhile_shares_the_flush_at_a_later_reading() {
    let (mut process, disk, clock) = begun();
    process.writer.wait(note(&process));
    let now = clock.read().wall_millis;
    let came = [true, false, true, true, false, true].map(|came| came.then(|| note(&process)));
    let mut coming = VecDeque::from(came);
    process.writer.turn(&mut || {
        let command = coming.pop_front()??;
        clock.tell(clock.now() + 1);
        Some(command)
    });
    let his = appended(&process).into_iter();
    let his: Vec<_> = his.map(|record| record.time.hi.millis() - now).collect();
    assert_eq!(his, [0, 1, 3, 3], "two came before the clocks were read");
    assert_eq!(flushes(&disk), 1);
    assert_eq!(coming.len(), 1, "who comes later waits for the next");
}

#[test]
fn nobody_joins_behind_the_end() {
    let (mut process, _disk, _clock) = begun();
    let reply = process.reply(|_: Result<(), _>| Answer::Other("ended"));
    let reason = "told to".into();
    process.writer.wait(Command::Stop { reason, reply });
    process.writer.turn(&mut || panic!("it takes no more"));
    let last = appended(&process).pop().unwrap();
    assert!(matches!(last.entry, Entry::Stopped { .. }), "{last:?}");
}

#[test]
fn as_many_join_as_there_is_room_for() {
    let (mut process, _disk, _clock) = begun();
    for _ in 0..COMMANDS_MAX - 3 {
        process.writer.wait(note(&process));
    }
    let mut coming: VecDeque<_> = (0..5).map(|_| note(&process)).collect();
    process.writer.turn(&mut || coming.pop_front());
    assert_eq!((appended(&process).len(), coming.len()), (COMMANDS_MAX, 2));
}

#[test]
fn a_wall_clock_that_jumps_meanwhile_ends_the_group() {
    let (mut process, _disk, clock) = begun();
    process.writer.wait(note(&process));
    let mut coming = VecDeque::from([note(&process), note(&process)]);
    process.writer.turn(&mut || {
        let command = coming.pop_front()?;
        clock.set_wrong_by(-3_600_000);
        Some(command)
    });
    let entries: Vec<_> = appended(&process).into_iter().map(|r| r.entry).collect();
    assert!(
        matches!(
            &entries[..],
            [Entry::PolicyRefused { .. }, Entry::ClockJump { .. }]
        ),
        "{entries:?}"
    );
    process.writer.turn(&mut || None);
    assert_eq!(appended(&process).len(), 2, "both have waited");
}
