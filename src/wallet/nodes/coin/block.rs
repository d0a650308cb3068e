//! A block's bytes. Its hash stands for its transactions' ids, and these for what they spend and
//! make: whoever gives the bytes, they can be no other than the chain's.
//!
//! Litecoin appends an extension block (LIP-3), which no id stands for, and marks the transaction
//! that commits to it (LIP-2).

use sha2::{Digest, Sha256};
use thiserror::Error;
use tx::utxo::Outpoint;

use super::decimal::SATOSHI_MAX;
use crate::nodes::CoinTransaction;

/// Witnesses follow (BIP-144).
const WITNESS_FLAG: u8 = 0x01;

/// What a transaction does in the extension block follows: in a block nothing, but for the mark.
const MWEB_FLAG: u8 = 0x08;

/// Where a coinbase's input points.
const NOWHERE: Outpoint = Outpoint {
    txid: [0; 32],
    vout: u32::MAX,
};

/// Why bytes are not the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum BlockError {
    /// The header has another hash.
    #[error("the bytes are those of another block")]
    Hash,
    /// There are other transactions than the header stands for.
    #[error("the block's transactions are not those that its header stands for")]
    Merkle,
    /// They end early or late, or say what no block can.
    #[error("the bytes are no block")]
    Form,
}

/// What the bytes of a block say.
#[derive(Debug)]
pub(super) struct Block {
    /// The hash of the one before it, as shown.
    pub(super) previous: String,
    /// Its transactions, in order.
    pub(super) transactions: Vec<CoinTransaction>,
}

/// What is still to be read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

struct Parsed {
    txid: [u8; 32],
    inputs: Vec<Outpoint>,
    outputs: Vec<(u64, Vec<u8>)>,
    extended: bool,
}

/// Reads the block with this hash.
pub(super) fn read(bytes: &[u8], hash: &str) -> Result<Block, BlockError> {
    let mut reader = Reader(bytes);
    let header = reader.array::<80>().ok_or(BlockError::Form)?;
    if shown(twice(&[&header])) != hash {
        return Err(BlockError::Hash);
    }
    let mut header = Reader(&header);
    let (previous, root) = header.links().ok_or(BlockError::Form)?;
    let (transactions, ids) = reader.transactions().ok_or(BlockError::Form)?;
    if merkle_root(ids) != Some(root) {
        return Err(BlockError::Merkle);
    }
    Ok(Block {
        previous: shown(previous),
        transactions,
    })
}

/// The id of a transaction, as shown.
pub(super) fn txid(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader(bytes);
    let parsed = reader.transaction()?;
    reader.0.is_empty().then(|| shown(parsed.txid))
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A count or a length, in its shortest form as everywhere on the chain.
    fn count(&mut self) -> Option<usize> {
        let (count, least) = match self.byte()? {
            0xfd => (u16::from_le_bytes(self.array()?).into(), 0xfd),
            0xfe => (u32::from_le_bytes(self.array()?).into(), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            count => (count.into(), 0),
        };
        (count >= least).then(|| usize::try_from(count).ok())?
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    /// What was read since `start`.
    fn since(&self, start: Self) -> Option<&'a [u8]> {
        let length = start.0.len().checked_sub(self.0.len())?;
        start.0.get(..length)
    }

    /// A header's hash of the block before it, and root of its transactions.
    fn links(&mut self) -> Option<([u8; 32], [u8; 32])> {
        self.take(4)?;
        Some((self.array()?, self.array()?))
    }

    fn transactions(&mut self) -> Option<(Vec<CoinTransaction>, Vec<[u8; 32]>)> {
        let count = self.count()?;
        let (mut transactions, mut ids) = (Vec::new(), Vec::new());
        let mut extended = false;
        for position in 0..count {
            let start = *self;
            let parsed = self.transaction()?;
            let coinbase = position == 0;
            if coinbase != (parsed.inputs == [NOWHERE])
                || parsed.inputs.contains(&NOWHERE) != coinbase
            {
                return None;
            }
            ids.push(parsed.txid);
            extended = parsed.extended;
            transactions.push(CoinTransaction {
                txid: shown(parsed.txid),
                coinbase,
                inputs: if coinbase { Vec::new() } else { parsed.inputs },
                outputs: parsed.outputs,
                raw: self.since(start)?.to_vec(),
            });
        }
        // The last one's mark announces the extension block.
        (extended || self.0.is_empty()).then_some((transactions, ids))
    }

    fn transaction(&mut self) -> Option<Parsed> {
        let version = self.array::<4>()?;
        let flags = self.flags()?;
        let start = *self;
        let inputs = self.inputs()?;
        let outputs = self.outputs()?;
        let effects = self.since(start)?;
        if flags & WITNESS_FLAG != 0 {
            self.witnesses(inputs.len())?;
        }
        let extended = flags & MWEB_FLAG != 0;
        if extended && self.byte()? != 0 {
            return None;
        }
        let lock_time = self.array::<4>()?;
        Some(Parsed {
            txid: twice(&[&version, effects, &lock_time]),
            inputs,
            outputs,
            extended,
        })
    }

    /// The flags of the extended form, 0 in the plain one: no transaction has no inputs.
    fn flags(&mut self) -> Option<u8> {
        if self.0.first() != Some(&0) {
            return Some(0);
        }
        let [_, flags] = self.array()?;
        let known = flags != 0 && flags & !(WITNESS_FLAG | MWEB_FLAG) == 0;
        known.then_some(flags)
    }

    fn inputs(&mut self) -> Option<Vec<Outpoint>> {
        let count = self.count()?;
        let mut inputs = Vec::new();
        for _ in 0..count {
            inputs.push(Outpoint {
                txid: self.array()?,
                vout: u32::from_le_bytes(self.array()?),
            });
            self.bytes()?;
            self.array::<4>()?;
        }
        (!inputs.is_empty()).then_some(inputs)
    }

    fn outputs(&mut self) -> Option<Vec<(u64, Vec<u8>)>> {
        let count = self.count()?;
        let mut outputs = Vec::new();
        for _ in 0..count {
            let amount = u64::from_le_bytes(self.array()?);
            if amount > SATOSHI_MAX {
                return None;
            }
            outputs.push((amount, self.bytes()?.to_vec()));
        }
        Some(outputs)
    }

    fn witnesses(&mut self, inputs: usize) -> Option<()> {
        for _ in 0..inputs {
            for _ in 0..self.count()? {
                self.bytes()?;
            }
        }
        Some(())
    }
}

/// The root over the transactions' ids; none where a transaction stands twice so that the root stays
/// the same (CVE-2012-2459).
fn merkle_root(mut level: Vec<[u8; 32]>) -> Option<[u8; 32]> {
    while level.len() > 1 {
        let mut above = Vec::with_capacity(level.len().div_ceil(2));
        for pair in level.chunks(2) {
            above.push(match pair {
                [left, right] if left == right => return None,
                [left, right] => twice(&[left, right]),
                [last] => twice(&[last, last]),
                _ => return None,
            });
        }
        level = above;
    }
    level.pop()
}

fn twice(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    Sha256::digest(hash.finalize()).into()
}

fn shown(mut hash: [u8; 32]) -> String {
    hash.reverse();
    hex::encode(hash)
}
