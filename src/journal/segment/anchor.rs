//! The small file that remembers how long the log was.

use tlog::TreeHead;

use super::error::Sealed;
use super::format::{CHECK_BYTES, Fields, LogId, VERSION, check};

/// Length of the anchor's file in bytes.
pub(super) const ANCHOR_BYTES: usize = 116;

const MAGIC: [u8; 8] = *b"SRANCHOR";
const LABEL: &str = "strongroom-anchor-v1";

/// A head that was durable before the anchor was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) log: LogId,
    pub(super) head: TreeHead,
}

impl Anchor {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(ANCHOR_BYTES);
        file.extend(MAGIC);
        file.extend(VERSION.to_be_bytes());
        file.extend(self.log.as_bytes());
        file.extend(self.head.size.to_be_bytes());
        file.extend(self.head.root.as_bytes());
        file.extend(check(LABEL, &self.log, &file));
        file
    }

    pub(super) fn decode(file: &[u8]) -> Result<Self, Sealed> {
        let mut fields = Fields(file);
        if fields.array() != Some(MAGIC) {
            return Err(Sealed::AnchorDamaged);
        }
        match fields.u32() {
            Some(VERSION) => Self::decode_v1(file, fields).ok_or(Sealed::AnchorDamaged),
            Some(version) => Err(Sealed::AnchorVersion { version }),
            None => Err(Sealed::AnchorDamaged),
        }
    }

    fn decode_v1(file: &[u8], mut fields: Fields<'_>) -> Option<Self> {
        let log = LogId::new(fields.array()?);
        let head = TreeHead {
            size: fields.u64()?,
            root: fields.hash()?,
        };
        let (checked, sum) = file.split_last_chunk::<CHECK_BYTES>()?;
        let whole = file.len() == ANCHOR_BYTES && check(LABEL, &log, checked) == *sum;
        whole.then_some(Self { log, head })
    }
}
