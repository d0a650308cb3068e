//! A crash loses nothing that was acknowledged and never seals the log.

use proptest::prelude::*;
use strongroom_journal::segment::{AppendError, OpenOptions, SECTOR_BYTES, SegmentLog};

use super::{LOG, append_each, body, create, groups_end, open, options, record, without_room};
use crate::memory_disk::{Image, MemoryDisk};

const SEGMENT: &str = "0000000000.seg";

/// A log of two groups and room, and where the last one begins in its file.
fn two_groups(last: &[u8], blobs: &[&[u8]]) -> (Image, usize) {
    let disk = MemoryDisk::default();
    let mut log = create(&disk);
    append_each(&mut log, &[b"acknowledged"]);
    let start = groups_end(&disk.image()[SEGMENT]);
    log.append(&[record(last)], blobs).unwrap();
    (disk.image(), start)
}

#[test]
fn a_crash_at_every_byte_of_the_last_group_leaves_the_prefix() {
    let (image, start) = two_groups(&body(9, 1200), &[]);
    let (size, end) = (image[SEGMENT].len(), groups_end(&image[SEGMENT]));
    assert!(end < size, "there is room");
    assert_eq!((end - start) % SECTOR_BYTES, 0);
    for cut in start..=size {
        let mut image = image.clone();
        image.get_mut(SEGMENT).unwrap().truncate(cut);
        let disk = MemoryDisk::from_image(&image);
        let (mut log, opened, bodies) = open(&disk).unwrap();
        let whole = cut >= end;
        assert_eq!(bodies.len(), 1 + usize::from(whole), "cut at {cut}");
        let torn = if whole { 0 } else { cut - start };
        assert_eq!(opened.cut_bytes, torn as u64, "cut at {cut}");
        log.append(&[record(b"afterwards")], &[]).unwrap();
        let (_, opened, again) = open(&disk).unwrap();
        assert_eq!((again.len(), opened.cut_bytes), (bodies.len() + 1, 0));
    }
}

#[test]
fn sectors_that_were_not_written_leave_the_prefix() {
    // The blob has zero sectors of its own, which explain nothing.
    let blob = [body(2, 400), vec![0; 1100]].concat();
    let (image, start) = two_groups(&body(9, 700), &[&blob]);
    let sectors = (groups_end(&image[SEGMENT]) - start) / SECTOR_BYTES;
    let bare = without_room(image.clone());
    let mut torn = 0;
    for (image, lost) in [image, bare]
        .iter()
        .flat_map(|image| (1..1_u32 << sectors).map(move |lost| (image, lost)))
    {
        let mut image = image.clone();
        let file = image.get_mut(SEGMENT).unwrap();
        let before = file.clone();
        for sector in (0..sectors).filter(|sector| lost >> sector & 1 == 1) {
            file[start + sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(0);
        }
        let whole = *file == before;
        let cut = match (lost & 1, groups_end(file) - start.min(groups_end(file))) {
            _ if whole => 0,
            // With its header it is known how long the group was.
            (0, _) => sectors * SECTOR_BYTES,
            (_, written) => written,
        };
        let (_, opened, bodies) = open(&MemoryDisk::from_image(&image)).unwrap();
        assert_eq!(opened.cut_bytes, cut as u64, "lost {lost:b}");
        assert_eq!(bodies.len(), 1 + usize::from(whole), "lost {lost:b}");
        torn += usize::from(!whole);
    }
    // Of five sectors one is zero anyway: to lose it alone is to lose nothing.
    assert_eq!((sectors, torn), (5, 60));
}

#[test]
fn a_group_that_was_only_in_memory_is_made_durable_before_it_counts() {
    let (image, start) = two_groups(b"never acknowledged", &[]);
    let disk = MemoryDisk::from_image(&image);
    // The failed sync that Linux forgot: the page cache shows the group, the disk has nothing.
    disk.forget(SEGMENT, start);
    let (_, _, bodies) = open(&disk).unwrap();
    assert_eq!(bodies.len(), 2);
    let image = disk.after_power_loss(|| 1);
    assert_eq!(open(&MemoryDisk::from_image(&image)).unwrap().2.len(), 2);
}

#[test]
fn what_a_crash_left_unfinished_is_removed() {
    let (mut image, _) = two_groups(b"two", &[]);
    image.insert("0000000001.seg.tmp".to_owned(), vec![1; 100]);
    image.insert("anchor.tmp".to_owned(), vec![]);
    let disk = MemoryDisk::from_image(&image);
    open(&disk).unwrap();
    assert_eq!(
        disk.image().keys().collect::<Vec<_>>(),
        [SEGMENT, "anchor", "reserve"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Power goes after any number of disk calls, of what was not synced anything is lost; again and again.
    #[test]
    fn power_loss_anywhere(
        lives in prop::collection::vec((0_usize..60, 1_usize..12, any::<u64>()), 1..5)
    ) {
        let mut disk = MemoryDisk::default();
        let mut acknowledged: Vec<Vec<u8>> = Vec::new();
        let mut attempted: Option<Vec<u8>> = None;
        let mut created = false;
        for (calls, appends, seed) in lives {
            disk.lose_power_after(calls);
            if let Some(mut log) = start(&disk, &mut created) {
                attempted = live(&mut log, appends, &mut acknowledged);
            }
            let mut chance = Chance(seed);
            let image = disk.after_power_loss(|| chance.next());
            disk = MemoryDisk::from_image(&image);
            let survivors = disk.clone();
            let found = match open(&survivors) {
                Ok((_, _, found)) => found,
                Err(_) if !created => {
                    prop_assert!(acknowledged.is_empty());
                    continue;
                }
                Err(sealed) => return Err(TestCaseError::fail(format!("{sealed}"))),
            };
            created = true;
            if found.len() > acknowledged.len() {
                acknowledged.extend(attempted.take());
            }
            prop_assert_eq!(&found, &acknowledged);
            attempted = None;
        }
    }
}

/// Opens the log, or creates it as long as that was never seen to work.
fn start(disk: &MemoryDisk, created: &mut bool) -> Option<SegmentLog> {
    let options: OpenOptions = options();
    let each = |_: u64, _: &[u8]| Ok::<(), std::fmt::Error>(());
    if let Ok((log, _)) = SegmentLog::open(Box::new(disk.clone()), &options, each) {
        *created = true;
        return Some(log);
    }
    let log = SegmentLog::create(Box::new(disk.clone()), LOG, &options).ok()?;
    *created = true;
    Some(log)
}

/// Appends until the power goes; gives the body whose fate is unknown.
fn live(log: &mut SegmentLog, appends: usize, acknowledged: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
    for _ in 0..appends {
        let body = body(acknowledged.len() as u8, 700 + acknowledged.len());
        match log.append(&[record(&body)], &[]) {
            Ok(_) => acknowledged.push(body),
            Err(AppendError::Failed { .. }) => return Some(body),
            Err(other) => panic!("{other:?}"),
        }
        if acknowledged.len().is_multiple_of(3) && log.write_anchor().is_err() {
            return None;
        }
    }
    None
}

/// SplitMix64: a seed is enough to see a failure again.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }
}
