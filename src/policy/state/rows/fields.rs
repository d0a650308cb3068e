//! The fields of rows.

use super::Consumed;
use crate::{AttemptState, IntentState, KeyDigest, RequestHash, RequestStatus, code::Code};

impl Code for RequestStatus {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Committed => to.push(0),
            Self::Signed { index } => {
                to.push(1);
                index.write(to);
            }
            Self::Failed => to.push(2),
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Some(Self::Committed),
            1 => u64::read(from).map(|index| Self::Signed { index }),
            2 => Some(Self::Failed),
            _ => None,
        }
    }
}

impl Code for AttemptState {
    fn write(&self, to: &mut Vec<u8>) {
        self.at.write(to);
        self.request_hash.0.write(to);
        self.set.write(to);
        self.origin.write(to);
        self.account.write(to);
        self.chain.write(to);
        self.keys.write(to);
        self.to.write(to);
        self.unsigned.write(to);
        self.fee_terms.write(to);
        self.status.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            at: Code::read(from)?,
            request_hash: RequestHash(Code::read(from)?),
            set: Code::read(from)?,
            origin: Code::read(from)?,
            account: Code::read(from)?,
            chain: Code::read(from)?,
            keys: Code::read(from)?,
            to: Code::read(from)?,
            unsigned: Code::read(from)?,
            fee_terms: Code::read(from)?,
            status: Code::read(from)?,
        })
    }
}

impl Code for KeyDigest {
    fn write(&self, to: &mut Vec<u8>) {
        self.key.write(to);
        self.digest.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            key: Code::read(from)?,
            digest: Code::read(from)?,
        })
    }
}

impl Code for IntentState {
    fn write(&self, to: &mut Vec<u8>) {
        self.payload.write(to);
        self.anchors.write(to);
        self.attempts.write(to);
        self.expires.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            payload: Code::read(from)?,
            anchors: Code::read(from)?,
            attempts: Code::read(from)?,
            expires: Code::read(from)?,
        })
    }
}

impl Code for Consumed {
    fn write(&self, to: &mut Vec<u8>) {
        self.anchors.write(to);
        self.attempts.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            anchors: Code::read(from)?,
            attempts: Code::read(from)?,
        })
    }
}
