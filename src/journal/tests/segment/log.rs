//! What is appended is there, in order, after opening too.

use std::convert::Infallible;
use std::fmt;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use strongroom_journal::disk::FsDisk;
use strongroom_journal::lock::{LockError, Owner};
use strongroom_journal::segment::{
    AppendError, CreateError, Leaf, LogId, MAX_BLOB_BYTES, MAX_BODY_BYTES, MAX_GROUP_RECORDS,
    OpenError, OpenOptions, ReadError, ReserveState, Sealed, SegmentLog, Stop,
};
use tlog::{CompactTree, Hash, TreeHead};

use super::{LOG, append_each, body, create, open, open_with, options, record};
use crate::memory_disk::{Call, MemoryDisk};

#[test]
fn a_real_disk_keeps_the_log_and_admits_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let blob = vec![0_u8; 100_000];
    let id = LogId::random().unwrap();
    let disk = FsDisk::new(Owner::acquire(folder.path()).unwrap());
    let mut log = SegmentLog::create(Box::new(disk), id, &OpenOptions::default()).unwrap();
    log.append(&[record(b"one"), record(b"second")], &[&blob])
        .unwrap();
    log.append(&[record(b"third one")], &[]).unwrap();
    log.write_anchor().unwrap();

    let second = Owner::acquire(folder.path());
    assert!(matches!(second, Err(LockError::Held { .. })));
    let head = log.head();
    drop(log);

    let disk = FsDisk::new(Owner::acquire(folder.path()).unwrap());
    let mut bodies = Vec::new();
    let expected = OpenOptions {
        log: Some(id),
        ..OpenOptions::default()
    };
    let (log, opened) = SegmentLog::open(Box::new(disk), &expected, |_, body| {
        bodies.push(body.to_vec());
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert_eq!(bodies, [b"one".as_slice(), b"second", b"third one"]);
    assert_eq!((opened.head, opened.cut_bytes), (head, 0));
    assert_eq!(opened.reserve, ReserveState::Held);
    assert_eq!(log.reader().read(1).unwrap().body, b"second");
    assert_eq!(log.reader().blob(&sha256(&blob)).unwrap(), blob);
}

#[test]
fn a_folder_that_is_not_there_has_no_owner() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Owner::acquire(&folder.path().join("absent"));
    assert!(matches!(outcome, Err(LockError::Folder { .. })));
}

#[test]
fn a_group_is_one_write_and_one_sync() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    disk.take_calls();
    let bodies: Vec<Vec<u8>> = (0..64).map(|seed| body(seed, 30)).collect();
    let records: Vec<_> = bodies.iter().map(|body| record(body)).collect();
    log.append(&records, &[&[7; 2000]]).unwrap();
    assert_eq!(disk.take_calls(), [Call::Write, Call::SyncData]);
}

#[test]
fn a_blob_is_written_once_and_read_by_its_hash() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    let blob = body(3, 40_000);
    log.append(&[record(b"a")], &[&blob, &blob]).unwrap();
    let before = disk.used_bytes();
    log.append(&[record(b"b")], &[&blob]).unwrap();
    assert!(disk.used_bytes() - before < 10_000);

    let (log, _, bodies) = open(&disk).unwrap();
    assert_eq!(bodies, [b"a", b"b"]);
    assert_eq!(log.reader().blob(&sha256(&blob)).unwrap(), blob);
    let unknown = log.reader().blob(&sha256(b"unknown"));
    assert!(matches!(unknown, Err(ReadError::NoBlob { .. })));
}

#[test]
fn bounds_are_refused_by_name_and_change_nothing() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    disk.take_calls();
    let (large, huge) = (vec![1; MAX_BODY_BYTES + 1], vec![1; MAX_BLOB_BYTES + 1]);
    let most = body(1, MAX_BODY_BYTES);

    assert!(matches!(log.append(&[], &[]), Err(AppendError::GroupEmpty)));
    let outcome = log.append(&vec![record(b"x"); MAX_GROUP_RECORDS + 1], &[]);
    assert!(matches!(
        outcome,
        Err(AppendError::TooManyRecords { records: 1025 })
    ));
    let outcome = log.append(&[record(b"x"), record(&large)], &[]);
    assert!(matches!(
        outcome,
        Err(AppendError::BodyTooLarge { position: 1, .. })
    ));
    let outcome = log.append(&[record(b"x")], &[&huge]);
    assert!(matches!(
        outcome,
        Err(AppendError::BlobTooLarge { position: 0, .. })
    ));
    let outcome = log.append(&[record(&most); 4], &[]);
    assert!(matches!(outcome, Err(AppendError::GroupTooLarge { .. })));

    assert_eq!(disk.take_calls(), []);
    assert_eq!((log.size(), log.stop()), (0, None));
    log.append(&[record(&most); 3], &[]).unwrap();
    assert_eq!(log.reader().read(2).unwrap().body, most);
}

#[test]
fn nothing_is_created_over_a_log_and_none_is_made_up() {
    let disk = MemoryDisk::default();
    assert_eq!(open(&disk).unwrap_err(), Sealed::Absent);
    drop(create(&disk));
    let again = SegmentLog::create(Box::new(disk.clone()), LOG, &options());
    assert!(matches!(again, Err(CreateError::AlreadyThere { .. })));
    let (log, opened, bodies) = open(&disk).unwrap();
    assert_eq!((log.size(), opened.log, bodies.len()), (0, LOG, 0));
}

#[test]
fn the_caller_may_refuse_an_entry() {
    let disk = MemoryDisk::default();
    append_each(&mut create(&disk), &[b"good", b"bad", b"never seen"]);
    let outcome = SegmentLog::open(Box::new(disk), &options(), |_, body| match body {
        b"good" => Ok(()),
        b"bad" => Err(fmt::Error),
        other => panic!("{other:?}"),
    });
    assert!(matches!(outcome, Err(OpenError::Fold { index: 1, .. })));
}

#[test]
fn a_final_entry_ends_the_log_until_it_is_opened_again() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    log.append_final(&record(b"stopped")).unwrap();
    let by = Stop::Finished;
    assert_eq!(log.stop(), Some(by));
    let outcome = log.append(&[record(b"more")], &[]);
    assert!(matches!(
        outcome,
        Err(AppendError::Stopped { by: Stop::Finished })
    ));
    let outcome = log.append_final(&record(b"more"));
    assert!(matches!(
        outcome,
        Err(AppendError::Stopped { by: Stop::Finished })
    ));
    log.write_anchor().unwrap();

    let (mut log, _, bodies) = open(&disk).unwrap();
    assert_eq!(bodies, [b"stopped"]);
    assert_eq!(log.append(&[record(b"more")], &[]).unwrap().first, 1);
}

#[test]
fn damage_since_opening_is_found_when_it_is_read() {
    let disk = MemoryDisk::default();
    append_each(&mut create(&disk), &[&body(0, 300)]);
    let mut image = disk.image();
    image.get_mut("0000000000.seg").unwrap()[4096 + 104 + 36 + 150] ^= 1;
    let (log, ..) = open(&disk).unwrap();
    disk.overwrite(&image);
    assert!(matches!(
        log.reader().read(0),
        Err(ReadError::Damaged { .. })
    ));
    assert!(matches!(
        log.reader().read(1),
        Err(ReadError::NoEntry { index: 1, size: 1 })
    ));
}

#[test]
fn heads_known_from_elsewhere_must_be_in_the_log() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    append_each(&mut log, &[b"one"]);
    let known = log.head();
    append_each(&mut log, &[b"two", b"three"]);
    let with = |head| OpenOptions {
        heads: vec![log.head(), head],
        ..options()
    };

    assert_eq!(open_with(&disk, &with(known)).unwrap().1.head, log.head());
    let fork = TreeHead {
        root: sha256(b"fork"),
        ..known
    };
    let outcome = open_with(&disk, &with(fork)).unwrap_err();
    assert_eq!(outcome, Sealed::ForkedFromHead { known: fork });
    let later = TreeHead { size: 4, ..known };
    let outcome = open_with(&disk, &with(later)).unwrap_err();
    assert_eq!(
        outcome,
        Sealed::ShorterThanHead {
            known: later,
            found: 3
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_appended_is_read_and_folded(
        groups in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..5), 0..20
        ),
        reopen_every in 1_usize..5,
    ) {
        let disk = MemoryDisk::default();
        let mut log = create(&disk);
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        let mut tree = CompactTree::new();
        for (at, group) in groups.iter().enumerate() {
            let records: Vec<_> = group.iter().map(|body| record(body)).collect();
            let appended = log.append(&records, &[]).unwrap();
            prop_assert_eq!(appended.first, bodies.len() as u64);
            for body in group {
                let leaf = Leaf::commit(&record(body).salt, body);
                tree.append(leaf.hash()).unwrap();
            }
            bodies.extend(group.iter().cloned());
            prop_assert_eq!(appended.head, tree.head());
            if at % reopen_every == 0 {
                log = open(&disk).unwrap().0;
            }
        }
        let (log, opened, folded) = open(&disk).unwrap();
        prop_assert_eq!(&folded, &bodies);
        prop_assert_eq!(opened.head, tree.head());
        prop_assert_eq!(opened.cut_bytes, 0);
        let read: Vec<_> = log.reader().entries(0..u64::MAX).map(|entry| entry.unwrap()).collect();
        prop_assert_eq!(read.len(), bodies.len());
        for ((index, stored), (at, body)) in read.iter().zip(bodies.iter().enumerate()) {
            prop_assert_eq!(*index, at as u64);
            prop_assert_eq!(&stored.body, body);
            prop_assert_eq!(stored.salt, record(body).salt);
        }
    }
}

fn sha256(bytes: &[u8]) -> Hash {
    Hash::new(Sha256::digest(bytes).into())
}
