//! Groups whose checksums hold over what was never appended: a program's error, or somebody who
//! can compute SHA-256.

use std::convert::Infallible;
use std::path::Path;

use tlog::{CompactTree, TreeHead, leaf_hash};

use super::format::{LogId, blob_hash, check, segment_name};
use super::group::{self, GROUP_HEADER_BYTES};
use super::header::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::leaf::{Leaf, Salt};
use super::{OpenError, OpenOptions, Place, Record, Sealed, SegmentLog};
use crate::disk::FsDisk;
use crate::lock::Owner;

const LOG: LogId = LogId::new([0x4c; 32]);
const SALT: Salt = Salt::new([0x5a; 32]);
const PLACE: Place = Place {
    segment: 0,
    offset: SEGMENT_HEADER_BYTES as u64,
};

/// Opens a log whose first segment goes on with `group`.
fn sealed(group: &[u8]) -> Option<Sealed> {
    let folder = tempfile::tempdir().unwrap();
    SegmentLog::create(disk(folder.path()), LOG, &small()).unwrap();
    let segment = folder.path().join(segment_name(0));
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend(group);
    std::fs::write(&segment, bytes).unwrap();
    opened(folder.path())
}

fn opened(folder: &Path) -> Option<Sealed> {
    let nothing = |_: u64, _: &[u8]| Ok::<(), Infallible>(());
    match SegmentLog::open(disk(folder), &small(), nothing) {
        Ok(_) => None,
        Err(OpenError::Sealed { source }) => Some(source),
        Err(other) => panic!("{other:?}"),
    }
}

fn disk(folder: &Path) -> Box<FsDisk> {
    Box::new(FsDisk::new(Owner::acquire(folder).unwrap()))
}

fn small() -> OpenOptions {
    OpenOptions {
        reserve_bytes: 512,
        ..OpenOptions::default()
    }
}

/// A group of one entry and one blob, honest but for `root` and the blob's name.
fn forge(root: Option<tlog::Hash>, blob_name: &[u8]) -> Vec<u8> {
    let mut tree = CompactTree::new();
    tree.append(Leaf::commit(&SALT, b"body").hash()).unwrap();
    let head = TreeHead {
        size: 0,
        root: root.unwrap_or_else(|| tree.root()),
    };
    let record = Record {
        salt: SALT,
        body: b"body",
    };
    let mut buffer = Vec::new();
    let blobs = [(blob_hash(blob_name), b"blob".as_slice())];
    group::encode(&mut buffer, &LOG, &head, &[record], &blobs).unwrap();
    buffer
}

/// Changes a field and makes both checksums hold again.
fn change(mut group: Vec<u8>, at: usize, field: u32) -> Vec<u8> {
    group[at..at + 4].copy_from_slice(&field.to_be_bytes());
    let header = check(
        "strongroom-group-header-v1",
        &LOG,
        &group[..GROUP_HEADER_BYTES - 32],
    );
    group[GROUP_HEADER_BYTES - 32..GROUP_HEADER_BYTES].copy_from_slice(&header);
    let end = group.len() - 32;
    let whole = check("strongroom-group-v1", &LOG, &group[..end]);
    group[end..].copy_from_slice(&whole);
    group
}

#[test]
fn an_honest_group_opens() {
    assert_eq!(sealed(&forge(None, b"blob")), None);
}

#[test]
fn a_root_the_entries_do_not_lead_to() {
    let group = forge(Some(leaf_hash(b"another")), b"blob");
    assert_eq!(sealed(&group), Some(Sealed::GroupRoot { place: PLACE }));
}

#[test]
fn a_body_that_was_exchanged() {
    let group = change(forge(None, b"blob"), GROUP_HEADER_BYTES + 36, 0);
    assert_eq!(sealed(&group), Some(Sealed::GroupRoot { place: PLACE }));
}

#[test]
fn a_blob_that_is_not_what_it_is_named() {
    let group = forge(None, b"another blob");
    assert_eq!(sealed(&group), Some(Sealed::BlobHash { place: PLACE }));
}

#[test]
fn counts_and_lengths_that_do_not_fit() {
    // Records, blobs, bytes and payload bytes of the header; the first body's length.
    let fields = [
        (16, 0),
        (16, 2),
        (16, 1025),
        (20, 0),
        (20, 2),
        (24, 1024),
        (28, 900),
        (28, 10),
    ];
    for (at, field) in fields
        .into_iter()
        .chain([(GROUP_HEADER_BYTES, 5), (GROUP_HEADER_BYTES, u32::MAX)])
    {
        let group = change(forge(None, b"blob"), at, field);
        let malformed = Some(Sealed::Malformed { place: PLACE });
        assert_eq!(sealed(&group), malformed, "{field} at {at}");
    }
}

#[test]
fn a_segment_whose_peaks_are_not_its_root() {
    let folder = tempfile::tempdir().unwrap();
    SegmentLog::create(disk(folder.path()), LOG, &small()).unwrap();
    let mut before = CompactTree::new();
    before.append(leaf_hash(b"one")).unwrap();
    let header = SegmentHeader {
        log: LOG,
        number: 0,
        before,
    };
    let mut page = header.encode();
    // The tree's size, now without a peak for it.
    page[56..64].copy_from_slice(&2_u64.to_be_bytes());
    page[12..16].copy_from_slice(&2_u32.to_be_bytes());
    let end = SEGMENT_HEADER_BYTES - 32;
    let sum = check("strongroom-segment-v1", &LOG, &page[..end]);
    page[end..].copy_from_slice(&sum);
    std::fs::write(folder.path().join(segment_name(0)), page).unwrap();
    let place = Place { offset: 0, ..PLACE };
    assert_eq!(opened(folder.path()), Some(Sealed::Malformed { place }));
}
