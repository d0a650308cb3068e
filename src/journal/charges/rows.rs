//! What the blocks of a file are.

use std::sync::Arc;

use policy::ClosedBlock;
use sha2::{Digest, Sha256};
use tlog::{CompactTree, Hash};

use crate::segment::{Fields, LogId, check};

const MAGIC: [u8; 8] = *b"SRCHARGE";
const VERSION: u32 = 1;
const LABEL: &str = "strongroom-charges-v1";

/// Which file it is, and what the tree was before its first block.
#[derive(Clone, Debug)]
pub(super) struct Header {
    log: LogId,
    pub(super) tree: CompactTree,
}

impl Header {
    pub(super) fn new(log: LogId, tree: &CompactTree) -> Self {
        Self {
            log,
            tree: tree.clone(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut header = Vec::new();
        header.extend(MAGIC);
        header.extend(VERSION.to_be_bytes());
        header.extend(self.log.as_bytes());
        header.extend(self.tree.size().to_be_bytes());
        header.extend(self.tree.size().count_ones().to_be_bytes());
        for peak in self.tree.peaks() {
            header.extend(peak.as_bytes());
        }
        header.extend(check(LABEL, &self.log, &header));
        header
    }

    /// The header of the file that begins with this block, at the front of its rows.
    pub(super) fn read(log: &LogId, first: u64, rows: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(rows);
        let begins = fields.array() == Some(MAGIC)
            && fields.u32() == Some(VERSION)
            && fields.array() == Some(*log.as_bytes())
            && fields.u64() == Some(first)
            && fields.u32() == Some(first.count_ones());
        if !begins {
            return None;
        }
        let peaks = (0..first.count_ones()).map(|_| fields.hash());
        let tree = CompactTree::from_peaks(first, peaks.collect::<Option<_>>()?).ok()?;
        let header = Self { log: *log, tree };
        rows.starts_with(&header.encode()).then_some(header)
    }
}

/// What a block is.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) bytes: u32,
    pub(super) hash: Hash,
    pub(super) summary: Arc<[u8]>,
}

impl Row {
    const FIXED_BYTES: u64 = 40;

    /// `None` for a block that is longer than any.
    pub(super) fn of(block: &ClosedBlock) -> Option<Self> {
        Some(Self {
            bytes: u32::try_from(block.charges.len()).ok()?,
            hash: Hash::new(Sha256::digest(&block.charges).into()),
            summary: Arc::clone(&block.summary),
        })
    }

    pub(super) fn leaf(&self, number: u64) -> Hash {
        ClosedBlock::leaf_of(number, self.hash.as_bytes(), &self.summary)
    }

    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let summary_bytes = u32::try_from(self.summary.len()).ok()?;
        let mut row = Vec::new();
        row.extend(self.bytes.to_be_bytes());
        row.extend(self.hash.as_bytes());
        row.extend(summary_bytes.to_be_bytes());
        row.extend(&*self.summary);
        Some(row)
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> u64 {
        (self.summary.len() as u64).saturating_add(Self::FIXED_BYTES)
    }

    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let bytes = fields.u32()?;
        let hash = fields.hash()?;
        let length = fields.length()?;
        Some(Self {
            bytes,
            hash,
            summary: fields.take(length)?.into(),
        })
    }
}
