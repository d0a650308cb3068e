//! Appending: one write and one `fdatasync` a group.

use std::sync::Arc;

use tlog::{Hash, TreeHead};

use super::error::{AppendError, DiskError, Place, Stop};
use super::format::{
    MAX_BLOB_BYTES, MAX_BODY_BYTES, MAX_GROUP_BYTES, MAX_GROUP_RECORDS, ROOM_BYTES, blob_hash,
};
use super::group;
use super::header::SEGMENT_HEADER_BYTES;
use super::index::{GroupSpots, Laid};
use super::leaf::Leaf;
use super::log::{Active, Appended, Record, ReserveState, SegmentLog};
use super::read::Shared;
use super::reserve;
use super::tip::{FullTile, Tip};
#[cfg(test)]
use crate::defect::{self, Defect};

impl SegmentLog {
    /// Appends a group: all its entries are durable when this returns, or none counts.
    ///
    /// Blobs that the log has already are not written again. An entry's body should name its blobs by
    /// SHA-256: nothing else binds them to it.
    ///
    /// A failed write or sync is never tried again: the log is stopped, and what the disk holds of
    /// the group is known when it is next opened.
    ///
    /// # Errors
    /// [`AppendError`]: a bound, which changes nothing, or what stopped the log.
    pub fn append(
        &mut self,
        records: &[Record<'_>],
        blobs: &[&[u8]],
    ) -> Result<Appended, AppendError> {
        if let Some(by) = self.stop {
            return Err(AppendError::Stopped { by });
        }
        let blobs = self.missing(blobs);
        let prepared = self.prepare(records, &blobs)?;
        self.roll_if_full()
            .map_err(|error| self.stopped_by(error))?;
        self.commit(&prepared, self.segment_bytes)
    }

    /// Appends one last entry, after which the log takes no more; also when the disk is full, for
    /// which the reserve is given up.
    ///
    /// # Errors
    /// As [`SegmentLog::append`]. A bound does not stop the log; when even the reserve is not room enough,
    /// [`AppendError::DiskFull`] again.
    pub fn append_final(&mut self, record: &Record<'_>) -> Result<Appended, AppendError> {
        match self.stop {
            None | Some(Stop::DiskFull) => {}
            Some(by) => return Err(AppendError::Stopped { by }),
        }
        let prepared = self.prepare(std::slice::from_ref(record), &[])?;
        if self.stop.is_none() {
            match self.commit(&prepared, NO_ROOM) {
                Err(AppendError::DiskFull { .. }) if self.reserve == ReserveState::Held => {}
                outcome => return self.finished(outcome),
            }
        }
        self.make_room().map_err(|error| self.stopped_by(error))?;
        let outcome = self.commit(&prepared, NO_ROOM);
        self.finished(outcome)
    }

    fn finished(
        &mut self,
        outcome: Result<Appended, AppendError>,
    ) -> Result<Appended, AppendError> {
        if outcome.is_ok() {
            self.stop = Some(Stop::Finished);
        }
        outcome
    }

    /// Those blobs the log does not have, each once, with their SHA-256.
    fn missing<'a>(&self, blobs: &[&'a [u8]]) -> Vec<(Hash, &'a [u8])> {
        let mut missing: Vec<(Hash, &[u8])> = Vec::new();
        for blob in blobs {
            let hash = blob_hash(blob);
            let known = missing.iter().any(|(other, _)| *other == hash);
            if !known && !self.shared.has_blob(&hash) {
                missing.push((hash, blob));
            }
        }
        missing
    }

    /// Lays a group out in the buffer.
    fn prepare<'a>(
        &mut self,
        records: &'a [Record<'a>],
        blobs: &'a [(Hash, &'a [u8])],
    ) -> Result<Prepared<'a>, AppendError> {
        check_bounds(records, blobs)?;
        let mut tip = Tip::clone(&self.tip);
        let mut full = Vec::new();
        let mut leaves = Vec::with_capacity(records.len());
        for record in records {
            let leaf = Leaf::commit(&record.salt, record.body);
            let hash = tip.append(&leaf, &mut full);
            leaves.push(hash.map_err(|_full| AppendError::LogFull)?);
        }
        let head = TreeHead {
            size: self.size(),
            root: tip.tree.root(),
        };
        group::encode(&mut self.buffer, &self.shared.id, &head, records, blobs)
            .ok_or(AppendError::LogFull)?;
        Ok(Prepared {
            tip: Arc::new(tip),
            full,
            leaves,
            records,
            blobs,
        })
    }

    /// Goes on to a new segment when the group in the buffer does not fit into this one.
    fn roll_if_full(&mut self) -> Result<(), DiskError> {
        let active = &mut self.active;
        let end = active.end_after(&self.buffer);
        let empty = active.end <= SEGMENT_HEADER_BYTES as u64;
        let Some(number) = active.number.checked_add(1) else {
            return Ok(());
        };
        if empty || end <= self.segment_bytes {
            return Ok(());
        }
        // Only the last segment may have room; durable before there is another.
        if active.size_bytes != active.end {
            active.cut()?;
            active.file.sync()?;
        }
        let Shared { folder, id, .. } = &*self.shared;
        self.active = Active::create(folder, *id, number, &self.tip.tree)?;
        self.shared.roll(number, &self.active.file);
        self.put_anchor()
    }

    /// Writes the group in the buffer, with room up to `room_end`, makes it durable and only then counts it.
    fn commit(&mut self, prepared: &Prepared<'_>, room_end: u64) -> Result<Appended, AppendError> {
        // Before the write: afterwards it would be too late to refuse.
        let spots = self.spots(prepared).ok_or(AppendError::LogFull)?;
        let written = self.active.write(&mut self.buffer, room_end);
        #[cfg(test)]
        if defect::is(Defect::AnchorFirst) {
            self.tip = Arc::clone(&prepared.tip);
            self.put_anchor().map_err(|error| self.stopped_by(error))?;
        }
        let synced = written.and_then(|()| self.active.sync());
        synced.map_err(|error| self.stopped_by(error))?;

        self.active.end = self.active.end_after(&self.buffer);
        let first = self.size();
        self.tip = Arc::clone(&prepared.tip);
        self.shared.write_tiles(&prepared.full);
        self.shared.publish(&self.tip, spots);
        let head = self.head();
        Ok(Appended { first, head })
    }

    /// Removes what the failed write left and gives up the reserve.
    fn make_room(&mut self) -> Result<(), DiskError> {
        self.active.cut()?;
        if self.reserve == ReserveState::Held {
            self.reserve = ReserveState::Missing;
            reserve::release(&self.shared.folder)?;
        }
        Ok(())
    }

    /// Where the entries and blobs of the buffer will be.
    fn spots(&self, prepared: &Prepared<'_>) -> Option<GroupSpots> {
        let place = Place {
            segment: self.active.number,
            offset: self.active.end,
        };
        let laid = Laid {
            first: self.size(),
            place,
            bytes: self.buffer.len() as u64,
        };
        let bodies = prepared.records.iter().map(|record| record.body);
        let blobs = prepared.blobs.iter().map(|(hash, blob)| (*blob, *hash));
        GroupSpots::of(laid, bodies.zip(&prepared.leaves), blobs)
    }
}

impl Active {
    /// Writes a group in one write, with room for those after it when there is none for this one.
    fn write(&mut self, group: &mut Vec<u8>, room_end: u64) -> Result<(), DiskError> {
        let end = self.end_after(group);
        if end <= self.size_bytes {
            return self.file.write(group, self.end);
        }
        let (group_bytes, with_room) = (group.len(), with_room(end, room_end));
        let bytes = usize::try_from(with_room.saturating_sub(self.end));
        group.resize(bytes.unwrap_or(group_bytes), 0);
        let written = self.file.write(group, self.end);
        group.truncate(group_bytes);
        match written {
            // Room is no reason to stop: the group alone may fit.
            Err(error) if error.is_disk_full() && with_room > end => {
                self.cut()?;
                self.file.write(group, self.end)?;
                self.size_bytes = end;
            }
            outcome => {
                outcome?;
                self.size_bytes = with_room;
            }
        }
        Ok(())
    }

    /// Makes what was written durable.
    fn sync(&self) -> Result<(), DiskError> {
        #[cfg(test)]
        if defect::is(Defect::NoFlush) {
            return Ok(());
        }
        #[cfg(test)]
        if defect::is(Defect::FlushedAgain) {
            return self.file.sync().or_else(|_| self.file.sync());
        }
        self.file.sync()
    }

    /// Cuts off what follows the last durable group.
    fn cut(&mut self) -> Result<(), DiskError> {
        self.file.truncate(self.end)?;
        self.size_bytes = self.end;
        Ok(())
    }

    /// Where the segment's groups end with this one.
    fn end_after(&self, group: &[u8]) -> u64 {
        self.end.saturating_add(group.len() as u64)
    }
}

/// Behind the last group there is none.
const NO_ROOM: u64 = 0;

/// How long a segment is made whose groups come to end at `end`; not over `room_end` for room alone.
fn with_room(end: u64, room_end: u64) -> u64 {
    end.next_multiple_of(ROOM_BYTES).min(room_end).max(end)
}

/// A group that is laid out and not yet written.
struct Prepared<'a> {
    /// The tree with the group.
    tip: Arc<Tip>,
    /// The tiles that the group makes full.
    full: Vec<FullTile>,
    /// The group's leaf hashes.
    leaves: Vec<Hash>,
    records: &'a [Record<'a>],
    blobs: &'a [(Hash, &'a [u8])],
}

fn check_bounds(records: &[Record<'_>], blobs: &[(Hash, &[u8])]) -> Result<(), AppendError> {
    if records.is_empty() {
        return Err(AppendError::GroupEmpty);
    }
    if records.len() > MAX_GROUP_RECORDS {
        let records = records.len();
        return Err(AppendError::TooManyRecords { records });
    }
    let bodies = || records.iter().map(|record| record.body);
    let blobs = || blobs.iter().map(|(_, blob)| *blob);
    if let Some((position, bytes)) = longer_than(MAX_BODY_BYTES, bodies()) {
        return Err(AppendError::BodyTooLarge { position, bytes });
    }
    if let Some((position, bytes)) = longer_than(MAX_BLOB_BYTES, blobs()) {
        return Err(AppendError::BlobTooLarge { position, bytes });
    }
    let bytes = group::payload_bytes(bodies().chain(blobs()))
        .and_then(group::group_bytes)
        .unwrap_or(usize::MAX);
    if bytes > MAX_GROUP_BYTES {
        return Err(AppendError::GroupTooLarge { bytes });
    }
    Ok(())
}

/// Position and length of the first that is too long.
fn longer_than<'a>(
    most_bytes: usize,
    items: impl Iterator<Item = &'a [u8]>,
) -> Option<(usize, usize)> {
    items
        .map(<[u8]>::len)
        .enumerate()
        .find(|(_, bytes)| *bytes > most_bytes)
}
