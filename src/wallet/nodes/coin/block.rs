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

#[cfg(test)]
mod tests {
    use super::*;

    /// Bitcoin's block 0.
    const GENESIS: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c0101000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000";
    const GENESIS_HASH: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
    const GENESIS_TXID: &str = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";

    /// The signed P2WPKH example of BIP-143.
    const SEGWIT: &str = "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000";
    const SEGWIT_TXID: &str = "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609";

    /// The last transaction of a Litecoin regtest block with an extension block.
    const MWEB: &str = "02000000000801f28580db0c77f6ea0b3db684c34b5da71839c0e9c0ef2d4a0a921408e79e4c370000000000ffffffff014c51814a00000000225820698b30671b7d6648b078810873cf0adf13e31759f82cd4e39531ddd328ff52580000000000";
    const MWEB_TXID: &str = "f2e47397dc4a75906115cec300b77a916708a67a8e466fcb5a962c25f4b6646b";

    fn genesis() -> Vec<u8> {
        hex::decode(GENESIS).unwrap()
    }

    /// A coinbase or a spend of an invented coin, told apart by its amount.
    fn transaction(coinbase: bool, amount: u64) -> Vec<u8> {
        let (txid, vout) = match coinbase {
            true => (NOWHERE.txid, NOWHERE.vout),
            false => ([7; 32], 0),
        };
        let mut bytes = vec![1, 0, 0, 0, 1];
        bytes.extend(txid);
        bytes.extend(vout.to_le_bytes());
        bytes.extend([0, 0xff, 0xff, 0xff, 0xff, 1]);
        bytes.extend(amount.to_le_bytes());
        bytes.extend([1, 0x51, 0, 0, 0, 0]);
        bytes
    }

    /// A block whose header stands for `committed`, with these transactions in it.
    fn block(committed: &[Vec<u8>], transactions: &[Vec<u8>]) -> (Vec<u8>, String) {
        let ids = committed.iter().map(|bytes| twice(&[bytes])).collect();
        let root = merkle_root(ids).unwrap();
        let mut bytes = [[2; 36].as_slice(), &root, &[0; 12]].concat();
        let hash = shown(twice(&[&bytes]));
        bytes.push(u8::try_from(transactions.len()).unwrap());
        bytes.extend(transactions.concat());
        (bytes, hash)
    }

    fn refused(block: (Vec<u8>, String)) -> Option<BlockError> {
        read(&block.0, &block.1).err()
    }

    #[test]
    fn bitcoins_first_block_is_read() {
        let block = read(&genesis(), GENESIS_HASH).unwrap();
        assert_eq!(block.previous, "0".repeat(64));
        let [coinbase] = block.transactions.as_slice() else {
            panic!("{block:?}");
        };
        assert_eq!(coinbase.txid, GENESIS_TXID);
        assert!(coinbase.coinbase && coinbase.inputs.is_empty());
        assert_eq!(coinbase.outputs[0].0, 5_000_000_000);
        assert_eq!(coinbase.outputs[0].1.len(), 67);
        assert_eq!(coinbase.raw, genesis()[81..]);
    }

    #[test]
    fn no_bit_of_it_can_be_another() {
        let bytes = genesis();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed, GENESIS_HASH).is_err(), "bit {bit} of {at}");
            }
            assert!(read(&bytes[..at], GENESIS_HASH).is_err(), "{at} bytes");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(read(&longer, GENESIS_HASH).err(), Some(BlockError::Form));
    }

    #[test]
    fn an_id_leaves_out_witnesses_and_the_mark_of_the_extension_block() {
        for (raw, id) in [(SEGWIT, SEGWIT_TXID), (MWEB, MWEB_TXID)] {
            let raw = hex::decode(raw).unwrap();
            assert_eq!(txid(&raw).as_deref(), Some(id));
            assert_eq!(txid(&[raw.as_slice(), &[0]].concat()), None);
            for end in 0..raw.len() {
                assert_eq!(txid(&raw[..end]), None, "{end}");
            }
        }
        assert_eq!(txid(&genesis()[81..]).as_deref(), Some(GENESIS_TXID));
    }

    #[test]
    fn counts_have_one_form_and_promise_nothing() {
        for count in [
            [0xfd, 0xfc, 0, 0, 0, 0, 0, 0, 0],
            [0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0],
            [0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        ] {
            assert_eq!(Reader(&count).count(), None, "{count:?}");
        }
        assert_eq!(Reader(&[0xfd, 0xfd, 0]).count(), Some(253));
        assert_eq!(Reader(&[0xff; 9]).bytes(), None);
        // 2^64 - 1 inputs.
        let bytes = [[1, 0, 0, 0].as_slice(), &[0xff; 9]].concat();
        assert_eq!(txid(&bytes), None);
    }

    #[test]
    fn transactions_are_those_of_the_header() {
        let [a, b, c] = [(true, 1), (false, 2), (false, 3)].map(|(first, n)| transaction(first, n));
        let all = [a.clone(), b.clone(), c.clone()];
        let (bytes, hash) = block(&all, &all);
        assert_eq!(read(&bytes, &hash).unwrap().transactions.len(), 3);
        for other in [
            vec![a.clone(), b.clone()],
            vec![a.clone(), c.clone(), b.clone()],
            // The same root, with the last transaction twice (CVE-2012-2459).
            vec![a.clone(), b.clone(), c.clone(), c.clone()],
        ] {
            assert_eq!(refused(block(&all, &other)), Some(BlockError::Merkle));
        }
        assert_eq!(refused(block(&all, &[])), Some(BlockError::Merkle));
    }

    #[test]
    fn the_first_transaction_and_no_other_is_a_coinbase() {
        let (coinbase, spend) = (transaction(true, 1), transaction(false, 2));
        for wrong in [
            vec![spend.clone()],
            vec![coinbase.clone(), transaction(true, 2)],
            vec![spend, coinbase],
        ] {
            assert_eq!(refused(block(&wrong, &wrong)), Some(BlockError::Form));
        }
    }

    #[test]
    fn no_output_has_more_than_there_is() {
        let most = [transaction(true, SATOSHI_MAX)];
        assert_eq!(refused(block(&most, &most)), None);
        let more = [transaction(true, SATOSHI_MAX + 1)];
        assert_eq!(refused(block(&more, &more)), Some(BlockError::Form));
    }
}
