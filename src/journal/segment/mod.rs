//! The segment log: where entries are, before anything else knows of them.
//!
//! # Files, in one folder
//! | name | holds |
//! | --- | --- |
//! | `0000000000.seg`, `0000000001.seg`, … | the entries, in order, each file of bounded size |
//! | `anchor` | how long the log was when this was written |
//! | `reserve` | 1 MiB of nothing, given up when the disk is full |
//! | `tree.leaves`, `tree.1`, `tree.2`, … | the tree over the entries: rebuildable, verified when read, never synced |
//! | `log.damaged` | what was found damaged while the log was open; see [`crate::Scrubber`] |
//! | `scrubbed` | when the log was last read whole, in milliseconds since the epoch |
//! | `*.tmp` | files not yet complete; removed at opening |
//! | `lock` | see [`crate::lock`] |
//!
//! # Format 1
//! Integers are big-endian. `check(label, …)` is SHA-256(label || log id || …): found damage, and
//! groups of another log, not forgery (who can write here can compute it; see below).
//!
//! A **segment** begins with one page of 4,096 bytes, from which it can be checked alone:
//! ```text
//! magic "SRSEGMNT" 8 | version u32 | peaks u32 | log id 32 | segment number u64 | first entry's index u64
//! | root over all earlier entries 32 | peaks of that tree, peaks × 32 | 0xFF … | check("strongroom-segment-v1", the page so far) 32
//! ```
//! **Groups** follow, each a whole number of 512-byte sectors, so that a torn write never touches a
//! sector of an acknowledged group:
//! ```text
//! magic "SRGROUP1" 8 | first entry's index u64 | records u32 | blobs u32 | group's bytes u32 | payload bytes u32
//! | zero sectors u32 | 0 u32 | root over all entries up to this group's last 32 | check("strongroom-group-header-v1", header so far) 32
//! records: body bytes u32 | salt 32 | body
//! blobs:   blob bytes u32 | SHA-256 32 | blob
//! 0xFF … | check("strongroom-group-v1", the group so far) 32
//! ```
//! The root chains a group to every entry before it: a group removed, repeated, moved or of another log does not fit.
//! A blob is bound by its hash in the body of an entry, which the root covers.
//!
//! The **anchor**: `magic "SRANCHOR" 8 | version u32 | log id 32 | entries u64 | root 32 | check("strongroom-anchor-v1", anchor so far) 32`.
//!
//! The last segment may end with **room**: zeros, up to the next multiple of 512 KiB. A group that finds
//! no room is written together with new room in one write; one that finds room changes no length, and
//! its flush costs the file system no metadata. A segment is cut to its last group before the next is made.
//!
//! # What a crash can leave
//! A group is one write and one `fdatasync`, and no other group is written until that returned. So a
//! crash leaves at most one group, the last of the last segment, of which any sector may be missing, and
//! any part of the room it was written with:
//! - the file ends before the group does, or
//! - it has its length, and sectors that were not written read as zeros, whether they were room or
//!   new. The header counts the all-zero sectors the group had when written: *more* of them explains a
//!   wrong checksum, a flipped bit does not. Nothing but zeros follows, less than 512 KiB.
//!
//! That, and nothing else, is cut off at opening and reported in [`Opened::cut_bytes`]; all other
//! damage is a [`Sealed`] reason. Room is cut off too, unreported: what was never synced is not relied on. Assumed of disk and file system: a sector is written whole or not
//! at all, and a new sector that was not written reads as zeros (ext4 in its default mode, XFS).
//! Old contents of the disk showing through (ext4 with `data=writeback`) are [`Sealed`], not cut.
//!
//! A last group that is complete but was never acknowledged counts. Before it is acted upon, opening
//! writes it again and syncs: after a failed `fsync` Linux may show pages that never reached the disk and hold them to be clean.
//!
//! # What cannot be seen here
//! Who can write to the folder can cut the log, and replace anchor and all. Without witnesses the following pass unseen:
//! a whole older copy of the folder; the loss of complete groups after the anchor; zeros over a sector, or a
//! cut, in the last group after the anchor. [`OpenOptions::heads`] takes heads known from
//! elsewhere (signed checkpoints, witnesses) and closes that as far as they reach.

mod anchor;
mod append;
mod error;
mod examine;
mod files;
#[cfg(test)]
mod forged;
mod format;
mod group;
mod header;
mod index;
mod landmarks;
mod leaf;
mod leaves;
mod log;
mod nodes;
mod open;
mod pins;
mod prune;
mod read;
mod reserve;
mod scan;
mod scrub;
mod search;
mod tiles;
mod tip;
mod verify;

pub use error::{
    AppendError, CreateError, DiskAction, DiskError, OpenError, Place, ReadError, Sealed, Stop,
};
pub use examine::Examined;
pub(crate) use files::{Folder, NamedFile};
pub(crate) use format::{Fields, check, is_segment};
pub use format::{
    LogId, MAX_BLOB_BYTES, MAX_BODY_BYTES, MAX_GROUP_BYTES, MAX_GROUP_RECORDS, SECTOR_BYTES,
};
pub(crate) use landmarks::Landmarks;
pub use leaf::{LEAF_BYTES, Leaf, NoRandomness, SALT_BYTES, Salt};
pub(crate) use log::LogOn;
pub use log::{AnchorRule, Appended, OpenOptions, Opened, Record, ReserveState, SegmentLog};
pub use open::Before;
pub use read::{Entries, Reader, Stored};
pub(crate) use scan::Fault;
pub(crate) use scrub::{Scrub, Step};
