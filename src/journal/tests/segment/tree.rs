//! Proofs of any entry at any size, from files that may be lost, short, damaged or foreign.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use strongroom_journal::segment::{
    AppendError, Leaf, LogId, OpenOptions, Opened, ReadError, Reader, Salt, SegmentLog, Stop,
};
use tlog::{
    CompactTree, Hash, MemoryTree, NodeId, NodeSource, TreeHead, consistency_proof,
    inclusion_proof, verify_consistency, verify_inclusion,
};

use super::{LOG, open_with, record, without_room};
use crate::memory_disk::{Call, Fault, Image, MemoryDisk};

/// Full tiles of two levels, and some entries beyond.
const ENTRIES: u64 = 65_536 + 700;

/// What the tree must be, made otherwise.
struct Oracle {
    tree: MemoryTree,
    heads: Vec<TreeHead>,
    leaves: Vec<Leaf>,
}

impl Oracle {
    fn of(entries: u64) -> Self {
        let (mut tree, mut compact) = (MemoryTree::new(), CompactTree::new());
        let (mut heads, mut leaves) = (vec![compact.head()], Vec::new());
        for index in 0..entries {
            let leaf = Leaf::commit(&salt(), &body(index));
            tree.append(leaf.hash()).unwrap();
            compact.append(leaf.hash()).unwrap();
            heads.push(compact.head());
            leaves.push(leaf);
        }
        Self {
            tree,
            heads,
            leaves,
        }
    }

    /// Everything a reader proves between two sizes and of an entry.
    fn check(&self, reader: &Reader, index: u64, old: u64, new: u64) {
        let head = &self.heads[new as usize];
        let proof = inclusion_proof(reader, index, new).unwrap();
        assert_eq!(proof, inclusion_proof(&self.tree, index, new).unwrap());
        let leaf = self.leaves[index as usize].hash();
        verify_inclusion(leaf, index, head, &proof).unwrap();
        let proof = consistency_proof(reader, old, new).unwrap();
        verify_consistency(&self.heads[old as usize], head, &proof).unwrap();
    }

    fn check_commitments(&self, reader: &Reader, from: u64, to: u64) {
        let leaves = self.leaves[from as usize..to as usize].iter();
        let expected: Vec<Hash> = leaves.map(Leaf::commitment).collect();
        assert_eq!(reader.commitments(from..to).unwrap(), expected);
    }

    /// A proof of every 97th entry, and of the last.
    fn check_all(&self, reader: &Reader) {
        let size = reader.size();
        assert_eq!(reader.head(), self.heads[size as usize]);
        for index in (0..size).step_by(97).chain(size.checked_sub(1)) {
            self.check(reader, index, index, size);
        }
        self.check_commitments(reader, 0, size);
    }
}

fn oracle() -> &'static Oracle {
    static ORACLE: OnceLock<Oracle> = OnceLock::new();
    ORACLE.get_or_init(|| Oracle::of(ENTRIES))
}

/// The first 3,000 entries, which are made sooner.
fn small() -> &'static Oracle {
    static ORACLE: OnceLock<Oracle> = OnceLock::new();
    ORACLE.get_or_init(|| Oracle::of(3_000))
}

/// Segments that do not end while tiles are what matters.
fn options() -> OpenOptions {
    OpenOptions {
        segment_bytes: 1024 * 1024,
        ..super::options()
    }
}

fn create(disk: &MemoryDisk) -> SegmentLog {
    SegmentLog::create(Box::new(disk.clone()), LOG, &options()).unwrap()
}

fn open(disk: &MemoryDisk) -> (SegmentLog, Opened) {
    let (log, opened, _) = open_with(disk, &options()).unwrap();
    (log, opened)
}

fn salt() -> Salt {
    Salt::new([7; 32])
}

fn body(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// Appends entries up to `size`, as many in a group as that.
fn extend(log: &mut SegmentLog, size: u64, group: u64) -> Result<(), AppendError> {
    while log.size() < size {
        let end = size.min(log.size() + group);
        let bodies: Vec<_> = (log.size()..end).map(body).collect();
        let record = |body| strongroom_journal::segment::Record { salt: salt(), body };
        let records: Vec<_> = bodies.iter().map(|body| record(body.as_slice())).collect();
        log.append(&records, &[])?;
    }
    Ok(())
}

/// The disk of a log of that many entries.
fn image(entries: u64) -> Image {
    let disk = MemoryDisk::default();
    extend(&mut create(&disk), entries, 1000).unwrap();
    disk.image()
}

fn large() -> &'static Image {
    static LARGE: OnceLock<Image> = OnceLock::new();
    LARGE.get_or_init(|| without_room(image(ENTRIES)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn proofs_of_any_entry_at_any_size(
        picks in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 20)
    ) {
        static READER: OnceLock<Reader> = OnceLock::new();
        let reader = READER.get_or_init(|| {
            let (log, opened) = open(&MemoryDisk::from_image(large()));
            assert_eq!((opened.head.size, opened.rebuilt_tiles), (ENTRIES, 0));
            log.reader()
        });
        for (one, other, third) in picks {
            let new = 1 + one % ENTRIES;
            oracle().check(reader, other % new, third % (new + 1), new);
            let from = other % new;
            oracle().check_commitments(reader, from, new.min(from + 600));
        }
    }
}

#[test]
fn files_hold_whole_tiles_in_order() {
    let image = large();
    assert_eq!(image["tree.leaves"].len(), 258 * 256 * 32);
    assert_eq!(image["tree.1"].len(), 256 * 32);
    assert!(!image.contains_key("tree.2"));
    for index in [0_usize, 1, 255, 256, 66_000] {
        let at = index * 32;
        let commitment = oracle().leaves[index].commitment();
        assert_eq!(image["tree.leaves"][at..at + 32], *commitment.as_bytes());
    }
    let node = oracle().tree.read_nodes(&[NodeId { level: 8, index: 5 }]);
    assert_eq!(image["tree.1"][160..192], *node.unwrap()[0].as_bytes());
}

#[test]
fn what_is_not_there_has_no_proof() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    extend(&mut log, 300, 300).unwrap();
    let reader = log.reader();
    for (level, index) in [
        (0, 300),
        (8, 1),
        (2, 75),
        (9, 0),
        (63, 0),
        (64, 0),
        (255, 0),
    ] {
        let id = NodeId { level, index };
        let found = reader.read_nodes(&[id]);
        assert!(matches!(found, Err(ReadError::NoNode { .. })), "{id:?}");
    }
    let beyond = reader.commitments(10..301);
    assert!(matches!(
        beyond,
        Err(ReadError::NoEntry {
            index: 300,
            size: 300
        })
    ));
    assert_eq!(reader.commitments(300..300).unwrap(), []);
}

#[test]
fn every_size_up_to_some_tiles() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    let reader = log.reader();
    for size in (1..20).chain(250..=260).chain(509..=517).chain(767..=770) {
        extend(&mut log, size, 100).unwrap();
        small().check(&reader, size - 1, size / 2, size);
        small().check(&reader, size / 3, size - 1, size);
    }
    small().check_all(&reader);
}

/// Opens what `change` made of a log's files; gives how many tiles were not as they should be.
fn rebuilt(change: impl FnOnce(&mut Image)) -> u64 {
    let mut image = large().clone();
    change(&mut image);
    let disk = MemoryDisk::from_image(&image);
    let (log, opened) = open(&disk);
    assert_eq!(opened.head, *oracle().heads.last().unwrap());
    assert!(disk.image() == *large(), "the files are as they were");
    oracle().check(&log.reader(), 12_345, 65_000, ENTRIES);
    opened.rebuilt_tiles
}

#[test]
fn files_that_are_lost_short_damaged_or_foreign_are_rebuilt() {
    let file = |image: &mut Image, name: &str| image.get_mut(name).unwrap().clone();
    assert_eq!(rebuilt(|_| ()), 0);
    assert_eq!(rebuilt(|image| drop(image.remove("tree.leaves"))), 258);
    assert_eq!(rebuilt(|image| drop(image.remove("tree.1"))), 1);
    assert_eq!(
        rebuilt(|image| image.retain(|name, _| !name.starts_with("tree"))),
        259
    );
    let short = |image: &mut Image| {
        image
            .get_mut("tree.leaves")
            .unwrap()
            .truncate(8192 * 200 + 1)
    };
    assert_eq!(rebuilt(short), 58);
    let flipped = |image: &mut Image| image.get_mut("tree.leaves").unwrap()[8192 * 9 + 77] ^= 1;
    assert_eq!(rebuilt(flipped), 1);
    let flipped = |image: &mut Image| image.get_mut("tree.1").unwrap()[8191] ^= 0x80;
    assert_eq!(rebuilt(flipped), 1);
    let zeros = |image: &mut Image| image.get_mut("tree.leaves").unwrap()[8192..8192 * 4].fill(0);
    assert_eq!(rebuilt(zeros), 3);
    let swapped = |image: &mut Image| {
        let leaves = file(image, "tree.leaves");
        image.insert("tree.1".into(), leaves[..8192].to_vec());
    };
    assert_eq!(rebuilt(swapped), 1);
}

#[test]
fn damage_to_an_open_log_is_found_and_mended_when_it_is_read() {
    let disk = MemoryDisk::from_image(large());
    let (log, _) = open(&disk);
    for names in [
        ["tree.leaves"].as_slice(),
        &["tree.1"],
        &["tree.leaves", "tree.1"],
    ] {
        let reader = open(&disk).0.reader();
        let mut damaged = large().clone();
        for name in names {
            damaged.get_mut(*name).unwrap()[32 * 70] ^= 4;
        }
        disk.overwrite(&damaged);
        oracle().check(&reader, 70, 65_536, ENTRIES);
        assert!(disk.image() == *large(), "{names:?}");
        oracle().check_commitments(&reader, 0, 300);
    }
    drop(log);
}

/// However many lowest tiles are read between two proofs.
#[test]
fn a_proof_reads_its_lowest_tile_and_no_other_once_those_above_are_known() {
    let disk = MemoryDisk::from_image(large());
    let reader = open(&disk).0.reader();
    let read_for = |index| {
        let _before = disk.take_calls();
        inclusion_proof(&reader, index, ENTRIES).unwrap();
        disk.take_calls()
    };
    assert_eq!(read_for(65_000), [Call::Read, Call::Read]);
    for tile in 0..250 {
        assert_eq!(read_for(tile * 256 + 7), [Call::Read], "tile {tile}");
    }
}

#[test]
fn entries_that_are_damaged_too_prove_nothing() {
    let disk = MemoryDisk::from_image(&image(600));
    let reader = open(&disk).0.reader();
    let mut damaged = disk.image();
    damaged.get_mut("tree.leaves").unwrap()[40] ^= 1;
    // The first body's last byte: behind two headers, a length and a salt.
    damaged.get_mut("0000000000.seg").unwrap()[4096 + 104 + 36 + 7] ^= 1;
    disk.overwrite(&damaged);
    assert!(inclusion_proof(&reader, 3, 600).is_err());
    small().check(&reader, 300, 512, 600);
}

#[test]
fn a_tile_that_cannot_be_written_stops_nothing() {
    for call in [Call::Create, Call::Write] {
        let disk = MemoryDisk::default();
        let mut log = create(&disk);
        extend(&mut log, 200, 200).unwrap();
        let after = usize::from(call == Call::Write);
        let kind = std::io::ErrorKind::StorageFull;
        disk.fail(Fault {
            call,
            after,
            kind,
            written_bytes: 100,
        });
        extend(&mut log, 600, 100).unwrap();
        assert_eq!(log.stop(), None::<Stop>);
        small().check_all(&log.reader());
        let (log, opened) = open(&disk);
        assert_eq!(opened.rebuilt_tiles, 0, "mended when it was read");
        small().check_all(&log.reader());
    }
}

#[test]
fn a_reader_does_not_wait_for_a_flush() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    extend(&mut log, 300, 100).unwrap();
    let reader = log.reader();
    let held = disk.hold_syncs();
    thread::scope(|scope| {
        let writer = scope.spawn(|| extend(&mut log, 301, 1));
        held.wait();
        assert_eq!(reader.read(299).unwrap().body, body(299));
        small().check_all(&reader);
        assert_eq!(reader.size(), 300, "nothing is shown before it is durable");
        assert!(!writer.is_finished());
        drop(held);
        writer.join().unwrap().unwrap();
    });
    small().check_all(&reader);
    assert_eq!(reader.size(), 301);
}

#[test]
fn two_readers_and_a_writer() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    extend(&mut log, 1, 1).unwrap();
    let (ended, readers) = (AtomicBool::new(false), [log.reader(), log.reader()]);
    thread::scope(|scope| {
        for (seed, reader) in (1_u64..).zip(&readers) {
            let ended = &ended;
            scope.spawn(move || {
                let mut seed = seed;
                let mut last = 0;
                while !ended.load(Ordering::Relaxed) {
                    let head = reader.head();
                    assert_eq!(head, small().heads[head.size as usize]);
                    assert!(head.size >= last);
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let index = (seed >> 33) % head.size;
                    small().check(reader, index, last, head.size);
                    assert_eq!(reader.read(index).unwrap().body, body(index));
                    last = head.size;
                }
            });
        }
        extend(&mut log, 3_000, 7).unwrap();
        ended.store(true, Ordering::Relaxed);
    });
    small().check_all(&readers[0]);
}

/// Power goes at every call of the disk while tiles are written, and any of what was not synced is lost.
#[test]
fn power_lost_at_every_call_leaves_a_tree_that_proves() {
    for at in 0.. {
        let mut ended = false;
        for seed in 1..3_u64 {
            let disk = MemoryDisk::default();
            let mut log = SegmentLog::create(Box::new(disk.clone()), LOG, &options()).unwrap();
            disk.lose_power_after(at);
            ended = extend(&mut log, 900, 150).is_ok();
            let mut chance = super::crash::Chance(seed * 1000 + at as u64);
            let lost = MemoryDisk::from_image(&disk.after_power_loss(|| chance.next()));
            let (mut log, opened) = open(&lost);
            assert!(opened.head.size >= if ended { 900 } else { 0 });
            extend(&mut log, 1_100, 90).unwrap();
            small().check_all(&log.reader());
            let (log, opened) = open(&lost);
            assert_eq!(opened.rebuilt_tiles, 0);
            small().check_all(&log.reader());
        }
        if ended {
            return;
        }
    }
}

#[test]
fn a_new_log_in_a_folder_with_the_files_of_another() {
    let mut left = large().clone();
    left.retain(|name, _| name.starts_with("tree"));
    let disk = MemoryDisk::from_image(&left);
    let id = LogId::new([9; 32]);
    let mut log = SegmentLog::create(Box::new(disk.clone()), id, &options()).unwrap();
    let records: Vec<_> = (0..600_u64).map(|_| record(b"another")).collect();
    log.append(&records, &[]).unwrap();
    let reader = log.reader();
    let leaf = reader.read(20).unwrap().leaf().hash();
    let proof = inclusion_proof(&reader, 20, 600).unwrap();
    verify_inclusion(leaf, 20, &reader.head(), &proof).unwrap();
}
