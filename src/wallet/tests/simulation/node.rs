//! What goes wrong with a node.

use wallet::nodes::NodeError;

use super::random::Random;

#[derive(Clone, Debug, Default)]
pub struct NodeFaults {
    /// Nothing is answered.
    pub down: bool,
    /// Blocks behind the chain.
    pub lag: u64,
    /// Receipts are lost: it says that there is none.
    pub no_receipts: bool,
    /// It shows hashes of another chain.
    pub forked: bool,
    /// Every receipt says that the transaction failed.
    pub fails_all: bool,
    /// It adds to every nonce.
    pub nonce_lie: u64,
    /// It calls blocks finalized that are not, by so many.
    pub boast: u64,
    /// Bytes are taken and the answer is lost.
    pub send_lost: bool,
    /// Random errors, once in so many calls.
    pub every: u64,
}

/// What happens to bytes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// They never arrive, and nothing is heard.
    Lost,
    /// They arrive, and nothing is heard.
    Done,
    /// A refusal that proves nothing.
    Refused,
}

impl NodeFaults {
    pub fn strike(&self, random: &mut Random) -> Result<(), NodeError> {
        if !self.down && !random.once_in(self.every) {
            return Ok(());
        }
        Err(match random.below(4) {
            0 => NodeError::Unreachable {
                detail: "connection refused".into(),
            },
            1 => NodeError::NoAnswer {
                detail: "timed out".into(),
            },
            2 => NodeError::Refused {
                code: -32603,
                message: "internal error".into(),
            },
            _ => NodeError::Garbage {
                detail: "expected a number".into(),
            },
        })
    }

    pub fn strike_send(&self, random: &mut Random) -> Fault {
        if self.send_lost {
            return Fault::Done;
        }
        if self.down {
            return Fault::Lost;
        }
        if !random.once_in(self.every) {
            return Fault::None;
        }
        match random.below(3) {
            0 => Fault::Lost,
            1 => Fault::Done,
            _ => Fault::Refused,
        }
    }
}
