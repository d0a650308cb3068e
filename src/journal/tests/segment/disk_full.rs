//! A disk that fails stops the log for good; one that is full still takes a last entry.

use std::io::ErrorKind;

use strongroom_journal::segment::{AppendError, DiskAction, ReserveState, SegmentLog, Stop};

use super::{append_each, body, create, open, record};
use crate::memory_disk::{Call, Fault, MemoryDisk};

#[test]
fn a_full_disk_stops_the_log_and_takes_one_last_entry() {
    // At every fill level: in a write, in a new segment's header, in an anchor.
    let mut in_new_segment = 0;
    for room in (0..12_000).step_by(256) {
        let disk = MemoryDisk::default();
        let mut log = create(&disk);
        disk.set_capacity(Some(disk.used_bytes() + room));
        let entries = fill(&mut log);
        assert_eq!(log.stop(), Some(Stop::DiskFull), "room {room}");
        let outcome = log.append(&[record(b"more")], &[]);
        assert!(matches!(
            outcome,
            Err(AppendError::Stopped { by: Stop::DiskFull })
        ));
        assert_eq!(log.size(), entries);

        log.append_final(&record(b"stopped: disk full")).unwrap();
        assert_eq!(log.stop(), Some(Stop::Finished), "room {room}");
        assert_eq!(
            log.reader().read(entries).unwrap().body,
            b"stopped: disk full"
        );
        drop(log);
        in_new_segment += usize::from(disk.image().contains_key("0000000001.seg"));

        disk.set_capacity(None);
        let (mut log, opened, bodies) = open(&disk).unwrap();
        assert_eq!(bodies.len() as u64, entries + 1);
        assert_eq!((opened.cut_bytes, opened.reserve), (0, ReserveState::Held));
        append_each(&mut log, &[b"room again"]);
    }
    assert!(in_new_segment > 0);
}

#[test]
fn a_full_disk_opens_without_a_reserve() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    disk.set_capacity(Some(disk.used_bytes() + 100));
    fill(&mut log);
    log.append_final(&record(b"stopped")).unwrap();
    disk.set_capacity(Some(disk.used_bytes() + 10));
    let (mut log, opened, _) = open(&disk).unwrap();
    assert_eq!(opened.reserve, ReserveState::Missing);
    let outcome = log.append(&[record(b"more")], &[]);
    assert!(matches!(outcome, Err(AppendError::DiskFull { .. })));
    let outcome = log.append_final(&record(b"stopped"));
    assert!(matches!(outcome, Err(AppendError::DiskFull { .. })));
    // Somebody made room.
    disk.set_capacity(None);
    log.append_final(&record(b"stopped")).unwrap();
    assert_eq!(open(&disk).unwrap().2.len(), 2);
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        let (disk, mut log) = stopped(Call::SyncData, kind, 0);
        let by = Stop::Failed(DiskAction::Sync);
        assert_eq!(log.stop(), Some(by));
        disk.take_calls();
        refuses_everything(&mut log, by);
        assert_eq!(disk.take_calls(), []);
        // It may be there or not: here it is.
        assert_eq!(open(&disk).unwrap().2.len(), 2);
    }
}

#[test]
fn a_short_write_stops_the_log_and_is_cut_off() {
    // Where there is no room the file ends with what was written.
    for written_bytes in [0, 1, 103, 104, 511, 512, 600] {
        let disk = MemoryDisk::default();
        append_each(&mut create(&disk), &[b"one"]);
        let (mut log, ..) = open(&disk).unwrap();
        disk.fail(fault(Call::Write, ErrorKind::Other, written_bytes));
        log.append(&[record(&body(2, 700))], &[]).unwrap_err();
        refuses_everything(&mut log, Stop::Failed(DiskAction::Write));
        let (_, opened, bodies) = open(&disk).unwrap();
        assert_eq!(bodies, [b"one"]);
        assert_eq!(opened.cut_bytes, written_bytes as u64);
    }
    // Where there is, zeros follow.
    for (written_bytes, cut_bytes) in [(0, 0), (512, 1024)] {
        let (disk, mut log) = stopped(Call::Write, ErrorKind::Other, written_bytes);
        refuses_everything(&mut log, Stop::Failed(DiskAction::Write));
        let (_, opened, bodies) = open(&disk).unwrap();
        assert_eq!(bodies, [b"one"]);
        assert_eq!(opened.cut_bytes, cut_bytes);
    }
}

#[test]
fn room_that_does_not_fit_is_done_without() {
    for room in [600, 1024, 1500, 3000] {
        let disk = MemoryDisk::default();
        append_each(&mut create(&disk), &[b"one"]);
        let (mut log, ..) = open(&disk).unwrap();
        let used = disk.used_bytes();
        disk.set_capacity(Some(used + room));
        let outcome = log.append(&[record(&body(2, 700))], &[]);
        if room < 1024 {
            assert!(matches!(outcome, Err(AppendError::DiskFull { .. })));
            continue;
        }
        outcome.unwrap();
        assert_eq!(disk.used_bytes(), used + 1024);
        disk.set_capacity(None);
        assert_eq!(open(&disk).unwrap().2.len(), 2);
    }
}

#[test]
fn a_group_that_finds_room_changes_no_length() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    append_each(&mut log, &[b"one"]);
    let used = disk.used_bytes();
    append_each(&mut log, &[b"two", b"three", b"four"]);
    assert_eq!(disk.used_bytes(), used);
    log.append_final(&record(b"stopped")).unwrap();
    assert_eq!(open(&disk).unwrap().2.len(), 5);
}

#[test]
fn a_short_write_on_a_full_disk_leaves_no_trace() {
    for written_bytes in [0, 1, 103, 104, 511, 512, 600] {
        let (disk, mut log) = stopped(Call::Write, ErrorKind::StorageFull, written_bytes);
        assert_eq!(log.stop(), Some(Stop::DiskFull));
        log.append_final(&record(b"stopped")).unwrap();
        let (_, opened, bodies) = open(&disk).unwrap();
        assert_eq!(bodies, [b"one".as_slice(), b"stopped"]);
        assert_eq!(opened.cut_bytes, 0);
    }
}

#[test]
fn a_segment_that_cannot_be_named_stops_the_log() {
    for call in [
        Call::Create,
        Call::Rename,
        Call::SyncDir,
        Call::Write,
        Call::SyncData,
    ] {
        let disk = MemoryDisk::default();
        let mut log = create(&disk);
        append_each(&mut log, &[&body(1, 3000)]);
        disk.fail(fault(call, ErrorKind::Other, 0));
        let outcome = log.append(&[record(&body(2, 3000))], &[]);
        assert!(
            matches!(outcome, Err(AppendError::Failed { .. })),
            "{call:?}"
        );
        let by = log.stop().unwrap();
        refuses_everything(&mut log, by);
        let (mut log, _, bodies) = open(&disk).unwrap();
        assert_eq!(bodies.len(), 1);
        append_each(&mut log, &[&body(2, 3000)]);
        assert_eq!(open(&disk).unwrap().2.len(), 2);
    }
}

#[test]
fn a_failed_anchor_stops_the_log() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    disk.fail(fault(Call::SyncData, ErrorKind::Other, 0));
    assert!(matches!(
        log.write_anchor(),
        Err(AppendError::Failed { .. })
    ));
    refuses_everything(&mut log, Stop::Failed(DiskAction::Sync));
}

/// Appends until there is no room; gives how many entries there were.
fn fill(log: &mut SegmentLog) -> u64 {
    for entries in 0.. {
        match log.append(&[record(&body(entries as u8, 1000))], &[]) {
            Ok(appended) => assert_eq!(appended.first, entries),
            Err(AppendError::DiskFull { .. }) => return entries,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the disk never fills")
}

/// A log of one entry that failed at its second.
fn stopped(call: Call, kind: ErrorKind, written_bytes: usize) -> (MemoryDisk, SegmentLog) {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    append_each(&mut log, &[b"one"]);
    disk.fail(fault(call, kind, written_bytes));
    let outcome = log.append(&[record(&body(2, 700))], &[]);
    assert!(outcome.is_err());
    assert_eq!(log.size(), 1);
    assert_eq!(log.reader().read(0).unwrap().body, b"one");
    (disk, log)
}

fn refuses_everything(log: &mut SegmentLog, stop: Stop) {
    let refusals = [
        log.append(&[record(b"x")], &[]).map(drop),
        log.append_final(&record(b"x")).map(drop),
        log.write_anchor(),
    ];
    for refusal in refusals {
        let Err(AppendError::Stopped { by }) = refusal else {
            panic!("{refusal:?}");
        };
        assert_eq!(by, stop);
    }
}

fn fault(call: Call, kind: ErrorKind, written_bytes: usize) -> Fault {
    Fault {
        call,
        after: 0,
        kind,
        written_bytes,
    }
}
