//! What no crash leaves is refused, each by its name.

use strongroom_journal::segment::{
    LogId, MAX_GROUP_BYTES, OpenOptions, Place, SECTOR_BYTES, Sealed, SegmentLog,
};

use super::{append_each, body, create, open, open_with, options, record, without_room};
use crate::memory_disk::{Image, MemoryDisk};

const SEGMENTS: [&str; 3] = ["0000000000.seg", "0000000001.seg", "0000000002.seg"];
const HEADER: usize = 4096;
/// The most room a segment has.
const ROOM_BYTES: usize = 512 * 1024;

/// Three segments: two groups, two groups, one group; the anchor names four entries.
fn small_log() -> Image {
    let disk = MemoryDisk::default();
    fill(&mut create(&disk));
    let image = without_room(disk.image());
    assert_eq!(image.len(), 5);
    image
}

fn fill(log: &mut SegmentLog) {
    for seed in 0..5 {
        append_each(log, &[&body(seed, 1000)]);
    }
}

fn sealed(image: &Image) -> Sealed {
    open(&MemoryDisk::from_image(image)).unwrap_err()
}

fn at(segment: u32, offset: usize) -> Place {
    let offset = offset as u64;
    Place { segment, offset }
}

/// Where the second group of a segment begins.
const SECOND: usize = HEADER + 1536;

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let image = small_log();
    for name in image.keys().filter(|name| *name != "reserve") {
        for byte in 0..image[name].len() {
            let mut image = image.clone();
            image.get_mut(name).unwrap()[byte] ^= 1 << (byte % 8);
            let outcome = open(&MemoryDisk::from_image(&image));
            assert!(outcome.is_err(), "{name} byte {byte}");
        }
    }
}

#[test]
fn a_flipped_bit_has_the_name_of_its_place() {
    let flipped = |segment: usize, byte: usize| {
        let mut image = small_log();
        image.get_mut(SEGMENTS[segment]).unwrap()[byte] ^= 1;
        sealed(&image)
    };
    assert_eq!(flipped(1, 500), Sealed::SegmentHeaderDamaged { segment: 1 });
    let place = at(0, HEADER);
    let valid_offset = SECOND as u64;
    let followed = Sealed::DamagedBeforeValid {
        place,
        valid_offset,
    };
    assert_eq!(flipped(0, HEADER + 20), followed);
    assert_eq!(flipped(0, HEADER + 700), followed);
    // The last group of a segment, and the last group of all: no torn write flips bits.
    let place = at(0, SECOND);
    assert_eq!(
        flipped(0, SECOND + 20),
        Sealed::GroupHeaderDamaged { place }
    );
    assert_eq!(flipped(0, SECOND + 700), Sealed::LastGroupDamaged { place });
    let place = at(2, HEADER);
    assert_eq!(
        flipped(2, HEADER + 20),
        Sealed::GroupHeaderDamaged { place }
    );
    assert_eq!(flipped(2, HEADER + 700), Sealed::LastGroupDamaged { place });
}

#[test]
fn a_damaged_group_before_room() {
    let with = |room: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut image = small_log();
        let file = image.get_mut(SEGMENTS[2]).unwrap();
        change(file);
        file.extend(vec![0; room]);
        let disk = MemoryDisk::from_image(&image);
        open(&disk).map(|(_, opened, bodies)| (bodies.len(), opened.cut_bytes))
    };
    let place = at(2, HEADER);
    let flipped = |file: &mut Vec<u8>| file[HEADER + 700] ^= 1;
    let damaged = Sealed::LastGroupDamaged { place };
    assert_eq!(with(ROOM_BYTES, &flipped), Err(damaged));
    let damaged = Sealed::GroupDamaged { place };
    assert_eq!(with(ROOM_BYTES + 1, &flipped), Err(damaged.clone()));
    let lost = |file: &mut Vec<u8>| file[HEADER + 512..HEADER + 1024].fill(0);
    assert_eq!(with(ROOM_BYTES, &lost), Ok((4, 1536)));
    // What follows is not room: the group was acknowledged.
    assert_eq!(with(ROOM_BYTES + 1, &lost), Err(damaged.clone()));
    let followed = |file: &mut Vec<u8>| {
        lost(file);
        file.resize(file.len() + 3000, 0);
        file.push(1);
    };
    assert_eq!(with(5000, &followed), Err(damaged));
}

#[test]
fn room_in_a_segment_that_is_not_the_last() {
    let mut image = small_log();
    image.get_mut(SEGMENTS[0]).unwrap().extend([0; 512]);
    let place = at(0, SECOND + 1536);
    assert_eq!(sealed(&image), Sealed::SegmentCutShort { place });
}

#[test]
fn a_damaged_group_before_garbage() {
    let mut image = small_log();
    let file = image.get_mut(SEGMENTS[2]).unwrap();
    file[HEADER + 700] ^= 1;
    file.extend([1; SECTOR_BYTES]);
    let place = at(2, HEADER);
    assert_eq!(sealed(&image), Sealed::GroupDamaged { place });
}

#[test]
fn zeros_in_an_acknowledged_group_are_not_a_torn_write() {
    for sector in 0..3 {
        let mut image = small_log();
        let start = HEADER + sector * SECTOR_BYTES;
        image.get_mut(SEGMENTS[0]).unwrap()[start..start + SECTOR_BYTES].fill(0);
        let place = at(0, HEADER);
        let valid_offset = SECOND as u64;
        assert_eq!(
            sealed(&image),
            Sealed::DamagedBeforeValid {
                place,
                valid_offset
            }
        );
    }
}

#[test]
fn a_missing_segment() {
    let mut image = small_log();
    image.remove(SEGMENTS[1]);
    assert_eq!(sealed(&image), Sealed::SegmentMissing { segment: 1 });
    image.remove(SEGMENTS[0]);
    assert_eq!(sealed(&image), Sealed::SegmentMissing { segment: 0 });
    image.remove(SEGMENTS[2]);
    assert_eq!(sealed(&image), Sealed::LogMissing { anchored: 4 });
    image.remove("anchor");
    assert_eq!(sealed(&image), Sealed::Absent);
}

#[test]
fn swapped_and_copied_segments() {
    let original = small_log();
    let mut image = original.clone();
    image.insert(SEGMENTS[0].to_owned(), original[SEGMENTS[1]].clone());
    image.insert(SEGMENTS[1].to_owned(), original[SEGMENTS[0]].clone());
    assert_eq!(
        sealed(&image),
        Sealed::SegmentMisplaced {
            segment: 0,
            says: 1
        }
    );
    let mut image = original.clone();
    image.insert("0000000003.seg".to_owned(), original[SEGMENTS[2]].clone());
    assert_eq!(
        sealed(&image),
        Sealed::SegmentMisplaced {
            segment: 3,
            says: 2
        }
    );
    let mut image = original.clone();
    image.insert("3.seg".to_owned(), original[SEGMENTS[2]].clone());
    let name = "3.seg".to_owned();
    assert_eq!(sealed(&image), Sealed::SegmentName { name });
}

#[test]
fn a_segment_of_another_history_of_the_same_log() {
    let other = MemoryDisk::default();
    let mut log = create(&other);
    append_each(&mut log, &[&body(9, 1000), &body(8, 1000), &body(7, 1000)]);
    let mut image = small_log();
    image.insert(SEGMENTS[1].to_owned(), other.image()[SEGMENTS[1]].clone());
    let (segment, says, found) = (1, 2, 2);
    assert_eq!(
        sealed(&image),
        Sealed::SegmentDiscontinuous {
            segment,
            says,
            found
        }
    );
}

#[test]
fn removed_repeated_and_reordered_groups() {
    let original = small_log();
    let first = original[SEGMENTS[0]][HEADER..SECOND].to_vec();
    let second = original[SEGMENTS[0]][SECOND..].to_vec();
    let with = |groups: &[&[u8]]| {
        let mut image = original.clone();
        let header = &original[SEGMENTS[0]][..HEADER];
        let file = [header, &groups.concat()].concat();
        image.insert(SEGMENTS[0].to_owned(), file);
        sealed(&image)
    };
    let place = at(0, HEADER);
    let removed = Sealed::GroupOutOfOrder {
        place,
        expected: 0,
        says: 1,
    };
    assert_eq!(with(&[&second]), removed);
    assert_eq!(with(&[&second, &first]), removed);
    let place = at(0, SECOND);
    let repeated = Sealed::GroupOutOfOrder {
        place,
        expected: 1,
        says: 0,
    };
    assert_eq!(with(&[&first, &first, &second]), repeated);
    let segment = 1;
    let discontinuous = Sealed::SegmentDiscontinuous {
        segment,
        says: 2,
        found: 1,
    };
    assert_eq!(with(&[&first]), discontinuous);
    let place = at(0, SECOND);
    let cut = Sealed::SegmentCutShort { place };
    assert_eq!(with(&[&first, &second[..700]]), cut);
}

#[test]
fn other_logs() {
    let other = MemoryDisk::default();
    let found = LogId::new([0x0f; 32]);
    let boxed = Box::new(other.clone());
    fill(&mut SegmentLog::create(boxed, found, &options()).unwrap());
    let other = other.image();

    let mut image = small_log();
    image.insert(SEGMENTS[1].to_owned(), other[SEGMENTS[1]].clone());
    assert_eq!(sealed(&image), Sealed::ForeignSegment { segment: 1, found });
    let mut image = small_log();
    image.insert("anchor".to_owned(), other["anchor"].clone());
    assert_eq!(sealed(&image), Sealed::ForeignAnchor { found });
    let mut image = small_log();
    let file = image.get_mut(SEGMENTS[2]).unwrap();
    file.extend(&other[SEGMENTS[0]][HEADER..SECOND]);
    let place = at(2, SECOND);
    assert_eq!(sealed(&image), Sealed::GroupHeaderDamaged { place });

    let expected = super::LOG;
    let only = OpenOptions {
        log: Some(expected),
        ..options()
    };
    let outcome = open_with(&MemoryDisk::from_image(&other), &only).unwrap_err();
    assert_eq!(outcome, Sealed::ForeignLog { expected, found });
}

#[test]
fn a_log_cut_back_behind_its_anchor() {
    let mut image = small_log();
    image.remove(SEGMENTS[2]);
    open(&MemoryDisk::from_image(&image)).unwrap();
    for cut in [HEADER, HEADER + 50, SECOND, SECOND + 600] {
        let mut image = image.clone();
        image.get_mut(SEGMENTS[1]).unwrap().truncate(cut);
        let found = if cut < SECOND { 2 } else { 3 };
        let shorter = Sealed::ShorterThanAnchor { anchored: 4, found };
        let disk = MemoryDisk::from_image(&image);
        assert_eq!(open(&disk).unwrap_err(), shorter);
        // A refused folder is evidence: nothing was changed.
        assert_eq!(disk.image(), image);
    }
}

#[test]
fn another_history_than_the_anchor() {
    let other = MemoryDisk::default();
    let mut log = create(&other);
    for seed in 10..15 {
        append_each(&mut log, &[&body(seed, 1000)]);
    }
    let mut image = other.image();
    image.insert("anchor".to_owned(), small_log()["anchor"].clone());
    assert_eq!(sealed(&image), Sealed::ForkedFromAnchor { anchored: 4 });
}

#[test]
fn anchors_that_are_not() {
    let mut image = small_log();
    image.remove("anchor");
    assert_eq!(sealed(&image), Sealed::AnchorMissing { entries: 5 });
    let mut image = small_log();
    image.get_mut("anchor").unwrap().push(0);
    assert_eq!(sealed(&image), Sealed::AnchorDamaged);
    let mut image = small_log();
    image.get_mut("anchor").unwrap()[11] = 2;
    assert_eq!(sealed(&image), Sealed::AnchorVersion { version: 2 });
    let mut image = small_log();
    image.get_mut(SEGMENTS[0]).unwrap()[11] = 2;
    assert_eq!(
        sealed(&image),
        Sealed::SegmentVersion {
            segment: 0,
            version: 2
        }
    );
}

#[test]
fn trailing_zeros_and_garbage() {
    let with = |tail: &[u8]| {
        let mut image = small_log();
        image.get_mut(SEGMENTS[2]).unwrap().extend(tail);
        let disk = MemoryDisk::from_image(&image);
        open(&disk).map(|(_, opened, bodies)| (bodies.len(), opened.cut_bytes))
    };
    let place = at(2, SECOND);
    // Room, and more zeros than room can be: a large group of which nothing was written.
    assert_eq!(with(&[0]).unwrap(), (5, 0));
    assert_eq!(with(&[0; ROOM_BYTES]).unwrap(), (5, 0));
    assert_eq!(
        with(&[0; ROOM_BYTES + 1]).unwrap(),
        (5, ROOM_BYTES as u64 + 1)
    );
    // Sectors of a group whose first one was not written.
    let headless = [vec![0; SECTOR_BYTES], vec![1; 700], vec![0; 3000]].concat();
    assert_eq!(with(&headless).unwrap(), (5, 1536));
    let torn = |written: usize, zeros: usize| {
        let mut tail = vec![0; MAX_GROUP_BYTES + zeros];
        tail[written - 1] = 1;
        with(&tail)
    };
    assert_eq!(
        torn(MAX_GROUP_BYTES, ROOM_BYTES).unwrap(),
        (5, MAX_GROUP_BYTES as u64)
    );
    // More than one torn group and room can be.
    for (written, zeros) in [(600, ROOM_BYTES + 1), (MAX_GROUP_BYTES + 1, ROOM_BYTES)] {
        let bytes = (MAX_GROUP_BYTES + zeros) as u64;
        let zeros = torn(written, zeros).unwrap_err();
        assert_eq!(zeros, Sealed::TrailingZeros { place, bytes });
    }
    let bytes = MAX_GROUP_BYTES as u64 + 1;
    let zeros = with(&vec![0; MAX_GROUP_BYTES + 1]).unwrap_err();
    assert_eq!(zeros, Sealed::TrailingZeros { place, bytes });
    // A beginning of a group, and none.
    assert_eq!(with(b"SRGR").unwrap(), (5, 4));
    let garbage = Sealed::TrailingGarbage { place, bytes: 4 };
    assert_eq!(with(b"SRGX").unwrap_err(), garbage);
    let garbage = Sealed::GroupHeaderDamaged { place };
    assert_eq!(with(&[1; 600]).unwrap_err(), garbage);
}

#[test]
fn a_short_segment_header() {
    for bytes in [0, 1, HEADER - 1] {
        let mut image = small_log();
        image.get_mut(SEGMENTS[2]).unwrap().truncate(bytes);
        assert_eq!(sealed(&image), Sealed::SegmentHeaderDamaged { segment: 2 });
    }
}

#[test]
fn a_zeroed_header_before_a_whole_group() {
    let mut image = small_log();
    let disk = MemoryDisk::from_image(&image);
    let (mut log, ..) = open(&disk).unwrap();
    log.append(&[record(b"sixth")], &[]).unwrap();
    drop(log);
    image = disk.image();
    let file = image.get_mut(SEGMENTS[2]).unwrap();
    file[HEADER..HEADER + SECTOR_BYTES].fill(0);
    let place = at(2, HEADER);
    let valid_offset = SECOND as u64;
    assert_eq!(
        sealed(&image),
        Sealed::DamagedBeforeValid {
            place,
            valid_offset
        }
    );
}

#[test]
fn zero_sectors_that_were_written_explain_no_flipped_bit() {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    log.append(&[record(b"one")], &[&[0; 1600]]).unwrap();
    let image = without_room(disk.image());
    for byte in HEADER..image[SEGMENTS[0]].len() {
        let mut image = image.clone();
        image.get_mut(SEGMENTS[0]).unwrap()[byte] ^= 0x10;
        let place = at(0, HEADER);
        let expected = match byte - HEADER {
            0..104 => Sealed::GroupHeaderDamaged { place },
            _ => Sealed::LastGroupDamaged { place },
        };
        assert_eq!(sealed(&image), expected, "byte {byte}");
    }
}
