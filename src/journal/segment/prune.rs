//! Removing old segments, whose leaves stay.

use super::error::DiskError;
use super::format::segment_name;
use super::log::SegmentLog;
use super::open::first_segment;

impl SegmentLog {
    /// Removes the segments all of whose entries stand before this one, the oldest first. Their leaves are in
    /// the files of the tree, and durable before anything goes; whoever asks has seen that they are right.
    ///
    /// # Errors
    /// [`DiskError`]; what is left takes space and nothing else.
    pub(crate) fn remove_before(&mut self, entry: u64) -> Result<(), DiskError> {
        let shared = &self.shared;
        let Some(kept) = shared.segment_with(entry).filter(|_| entry > 0) else {
            return Ok(());
        };
        if self.reader().first_segment() >= Some(kept) {
            return Ok(());
        }
        let first = first_segment(&shared.folder.list()?);
        shared.tiles.sync()?;
        shared.folder.sync()?;
        shared.forget_before(kept);
        for number in first..kept {
            shared.folder.remove(&segment_name(number))?;
            // In this order on the disk as well: what is left has no gap.
            shared.folder.sync()?;
        }
        Ok(())
    }
}
