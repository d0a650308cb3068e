//! The segment log against a disk in RAM that fails, fills up and loses power, and against a real one.

mod crash;
mod damage;
mod disk_full;
mod log;
mod tree;

use std::convert::Infallible;

use strongroom_journal::segment::{
    LogId, OpenError, OpenOptions, Opened, Record, SECTOR_BYTES, Salt, Sealed, SegmentLog,
};

use crate::memory_disk::{Image, MemoryDisk};

const LOG: LogId = LogId::new([0x4c; 32]);

/// Small files, so that a few entries make several segments.
fn options() -> OpenOptions {
    OpenOptions {
        segment_bytes: 8 * 1024,
        reserve_bytes: 4 * 1024,
        ..OpenOptions::default()
    }
}

fn create(disk: &MemoryDisk) -> SegmentLog {
    SegmentLog::create(Box::new(disk.clone()), LOG, &options()).unwrap()
}

/// Opens a log and gives the bodies it was folded from.
fn open(disk: &MemoryDisk) -> Result<(SegmentLog, Opened, Vec<Vec<u8>>), Sealed> {
    open_with(disk, &options())
}

fn open_with(
    disk: &MemoryDisk,
    options: &OpenOptions,
) -> Result<(SegmentLog, Opened, Vec<Vec<u8>>), Sealed> {
    let mut bodies = Vec::new();
    let outcome = SegmentLog::open(Box::new(disk.clone()), options, |index, body| {
        assert_eq!(index, bodies.len() as u64);
        bodies.push(body.to_vec());
        Ok::<(), Infallible>(())
    });
    match outcome {
        Ok((log, opened)) => Ok((log, opened, bodies)),
        Err(OpenError::Sealed { source }) => Err(source),
        Err(other) => panic!("{other:?}"),
    }
}

fn record(body: &[u8]) -> Record<'_> {
    let mut salt = [0x5a; 32];
    salt[0] = body.len() as u8;
    Record {
        salt: Salt::new(salt),
        body,
    }
}

/// Appends each body as a group of its own.
fn append_each(log: &mut SegmentLog, bodies: &[&[u8]]) {
    for body in bodies {
        let appended = log.append(&[record(body)], &[]).unwrap();
        assert_eq!(appended.head, log.head());
    }
}

/// A body like the real ones: text, none of it zero.
fn body(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| b'a' + (at as u8 ^ seed) % 26).collect()
}

/// Where the groups of a segment end: what follows is room.
fn groups_end(segment: &[u8]) -> usize {
    let mut sectors = segment.chunks(SECTOR_BYTES).enumerate();
    let written = sectors.rfind(|(_, sector)| sector.iter().any(|byte| *byte != 0));
    written.map_or(0, |(at, _)| (at + 1) * SECTOR_BYTES)
}

/// The image with every segment cut to its groups.
pub fn without_room(mut image: Image) -> Image {
    for (name, file) in &mut image {
        if name.ends_with(".seg") {
            file.truncate(groups_end(file));
        }
    }
    image
}
