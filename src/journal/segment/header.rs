//! The page a segment begins with.

use tlog::{CompactTree, Hash};

use super::error::{Place, Sealed};
use super::format::{CHECK_BYTES, Fields, LogId, VERSION, check};

/// Length of a segment's header in bytes: room for the 63 peaks of the largest tree.
pub(super) const SEGMENT_HEADER_BYTES: usize = 4096;

const MAGIC: [u8; 8] = *b"SRSEGMNT";
const LABEL: &str = "strongroom-segment-v1";

/// What a segment says of itself and of everything before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) log: LogId,
    pub(super) number: u32,
    /// All entries of earlier segments.
    pub(super) before: CompactTree,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let peaks = self.before.peaks();
        // A tree has at most 63 peaks.
        let count = u32::try_from(peaks.len()).unwrap_or(u32::MAX);
        let mut page = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        page.extend(MAGIC);
        page.extend(VERSION.to_be_bytes());
        page.extend(count.to_be_bytes());
        page.extend(self.log.as_bytes());
        page.extend(u64::from(self.number).to_be_bytes());
        page.extend(self.before.size().to_be_bytes());
        page.extend(self.before.root().as_bytes());
        peaks.iter().for_each(|peak| page.extend(peak.as_bytes()));
        page.resize(SEGMENT_HEADER_BYTES.saturating_sub(CHECK_BYTES), 0xff);
        page.extend(check(LABEL, &self.log, &page));
        page
    }

    /// Reads the page of the file that is named as segment `number`.
    pub(super) fn decode(page: &[u8], number: u32) -> Result<Self, Sealed> {
        let damaged = Sealed::SegmentHeaderDamaged { segment: number };
        let mut fields = Fields(page);
        if fields.array() != Some(MAGIC) {
            return Err(damaged);
        }
        let claim = match fields.u32() {
            Some(VERSION) => Claim::read(page, fields).ok_or(damaged)?,
            Some(version) => {
                return Err(Sealed::SegmentVersion {
                    segment: number,
                    version,
                });
            }
            None => return Err(damaged),
        };
        if claim.number != u64::from(number) {
            return Err(Sealed::SegmentMisplaced {
                segment: number,
                says: claim.number,
            });
        }
        match CompactTree::from_peaks(claim.size, claim.peaks) {
            Ok(before) if before.root() == claim.root => Ok(Self {
                log: claim.log,
                number,
                before,
            }),
            _ => Err(Sealed::Malformed {
                place: Place {
                    segment: number,
                    offset: 0,
                },
            }),
        }
    }
}

/// The fields of a page whose checksum holds.
struct Claim {
    log: LogId,
    number: u64,
    size: u64,
    root: Hash,
    peaks: Vec<Hash>,
}

impl Claim {
    fn read(page: &[u8], mut fields: Fields<'_>) -> Option<Self> {
        let count = fields.length()?;
        let log = LogId::new(fields.array()?);
        let (checked, sum) = page.split_last_chunk::<CHECK_BYTES>()?;
        if check(LABEL, &log, checked) != *sum {
            return None;
        }
        Some(Self {
            log,
            number: fields.u64()?,
            size: fields.u64()?,
            root: fields.hash()?,
            peaks: (0..count).map(|_| fields.hash()).collect::<Option<_>>()?,
        })
    }
}
