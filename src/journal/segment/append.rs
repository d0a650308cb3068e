//! Appending: one write and one `fdatasync` a group.

use tlog::{CompactTree, Hash, TreeHead};

use super::error::{AppendError, DiskError, Place, Stop};
use super::format::{
    MAX_BLOB_BYTES, MAX_BODY_BYTES, MAX_GROUP_BYTES, MAX_GROUP_RECORDS, blob_hash,
};
use super::group::{self, GroupHeader};
use super::header::SEGMENT_HEADER_BYTES;
use super::index::GroupSpots;
use super::leaf::Leaf;
use super::log::{Active, Appended, Record, ReserveState, SegmentLog};
use super::reserve;

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
        self.commit(&prepared)
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
            match self.commit(&prepared) {
                Err(AppendError::DiskFull { .. }) if self.reserve == ReserveState::Held => {}
                outcome => return self.finished(outcome),
            }
        }
        self.make_room().map_err(|error| self.stopped_by(error))?;
        let outcome = self.commit(&prepared);
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
            if !known && self.index.blob(&hash).is_none() {
                missing.push((hash, blob));
            }
        }
        missing
    }

    /// Lays a group out in the buffer.
    fn prepare(
        &mut self,
        records: &[Record<'_>],
        blobs: &[(Hash, &[u8])],
    ) -> Result<Prepared, AppendError> {
        check_bounds(records, blobs)?;
        let mut tree = self.tree.clone();
        let mut leaves = Vec::with_capacity(records.len());
        for record in records {
            let leaf = Leaf::commit(&record.salt, record.body).hash();
            tree.append(leaf).map_err(|_full| AppendError::LogFull)?;
            leaves.push(leaf);
        }
        let head = TreeHead {
            size: self.tree.size(),
            root: tree.root(),
        };
        group::encode(&mut self.buffer, &self.id, &head, records, blobs)
            .ok_or(AppendError::LogFull)?;
        Ok(Prepared { tree, leaves })
    }

    /// Goes on to a new segment when the group in the buffer does not fit into this one.
    fn roll_if_full(&mut self) -> Result<(), DiskError> {
        let active = &self.active;
        let end = active.end.saturating_add(self.buffer.len() as u64);
        let empty = active.end <= SEGMENT_HEADER_BYTES as u64;
        let Some(number) = active.number.checked_add(1) else {
            return Ok(());
        };
        if empty || end <= self.segment_bytes {
            return Ok(());
        }
        self.active = Active::create(&self.folder, self.id, number, &self.tree)?;
        self.put_anchor()
    }

    /// Writes the group in the buffer, makes it durable and only then counts it.
    fn commit(&mut self, prepared: &Prepared) -> Result<Appended, AppendError> {
        // Before the write: afterwards it would be too late to refuse.
        let spots = self.spots(prepared).ok_or(AppendError::LogFull)?;
        let Active { file, end, .. } = &self.active;
        let written = file.write(&self.buffer, *end).and_then(|()| file.sync());
        written.map_err(|error| self.stopped_by(error))?;

        self.index.add(spots);
        self.active.end = self.active.end.saturating_add(self.buffer.len() as u64);
        let first = self.tree.size();
        self.tree = prepared.tree.clone();
        let head = self.tree.head();
        Ok(Appended { first, head })
    }

    /// Removes what the failed write left and gives up the reserve.
    fn make_room(&mut self) -> Result<(), DiskError> {
        self.active.file.truncate(self.active.end)?;
        if self.reserve == ReserveState::Held {
            self.reserve = ReserveState::Missing;
            reserve::release(&self.folder)?;
        }
        Ok(())
    }

    /// Where the entries and blobs of the buffer will be.
    fn spots(&self, prepared: &Prepared) -> Option<GroupSpots> {
        let header = GroupHeader::decode(&self.buffer, &self.id)?;
        let items = group::items(&self.buffer, &header)?;
        let place = Place {
            segment: self.active.number,
            offset: self.active.end,
        };
        GroupSpots::of(place, &items, &prepared.leaves)
    }
}

/// A group that is laid out and not yet written.
struct Prepared {
    /// The tree with the group.
    tree: CompactTree,
    /// The group's leaf hashes.
    leaves: Vec<Hash>,
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
