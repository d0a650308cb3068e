//! A Core-like node.

mod block;
mod decimal;

use async_trait::async_trait;
use rpc::{Call, CallError};
use serde::{Deserialize, Deserializer, de, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use tx::{Chain, Network};

use self::decimal::Satoshi;
use super::{CoinBlock, CoinNode, NodeError, hexadecimal::bytes, sent};
use crate::{evidence::BlockRef, lane::SendOutcome};

/// `RPC_INVALID_PARAMETER`: what `getblockhash` says of a height beyond the best block.
const INVALID_PARAMETER: i64 = -8;

/// `RPC_VERIFY_ERROR` and `RPC_VERIFY_REJECTED`: the transaction is not taken. Why stands in the text
/// only, which changes from release to release.
const NOT_TAKEN: [i64; 2] = [-25, -26];

/// `RPC_VERIFY_ALREADY_IN_CHAIN`.
const ALREADY_IN_CHAIN: i64 = -27;

/// `RPC_IN_WARMUP`: the node has not looked at anything yet.
const IN_WARMUP: i64 = -28;

/// The most blocks for which a fee rate is estimated.
const TARGET_BLOCKS_MAX: u16 = 1008;

/// A Core-like node, by its JSON-RPC.
#[derive(Debug)]
pub struct CoinRpc {
    node: rpc::Node,
}

/// The id of a block or of a transaction: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Id(String);

/// Bytes in hexadecimal digits.
struct Hex(Vec<u8>);

#[derive(Deserialize)]
struct ChainAnswer {
    chain: String,
    blocks: u64,
    bestblockhash: Id,
}

#[derive(Deserialize)]
struct HeaderAnswer {
    hash: Id,
    height: u64,
}

#[derive(Deserialize)]
struct FeeAnswer {
    #[serde(default)]
    feerate: Option<Satoshi>,
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 64 && text.bytes().all(digit) {
            true => Ok(Self(text)),
            false => Err(de::Error::custom("not 64 lower-case hexadecimal digits")),
        }
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        bytes(&text)
            .map(Self)
            .ok_or_else(|| de::Error::custom("not hexadecimal digits"))
    }
}

impl CoinRpc {
    /// The node.
    pub fn new(node: rpc::Node) -> Self {
        Self { node }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, NodeError> {
        Ok(self.node.call(method, params).await?)
    }

    /// Whether the node has the transaction, in its pool or in its chain. In its chain it finds it
    /// only with an index.
    async fn has(&self, txid: &str) -> bool {
        let found: Result<Hex, _> = self.ask("getrawtransaction", json!([txid])).await;
        found.is_ok_and(|Hex(raw)| block::txid(&raw).is_some_and(|found| found == txid))
    }
}

#[async_trait]
impl CoinNode for CoinRpc {
    fn name(&self) -> &str {
        self.node.name()
    }

    async fn is_of(&self, chain: Chain) -> Result<bool, NodeError> {
        let Some((name, genesis)) = identity(chain) else {
            return Ok(false);
        };
        let Id(first) = self.ask("getblockhash", json!([0])).await?;
        let answer: ChainAnswer = self.ask("getblockchaininfo", json!([])).await?;
        Ok(first == genesis && answer.chain == name)
    }

    async fn tip(&self) -> Result<BlockRef, NodeError> {
        let answer: ChainAnswer = self.ask("getblockchaininfo", json!([])).await?;
        Ok(BlockRef {
            height: answer.blocks,
            hash: answer.bestblockhash.0,
        })
    }

    async fn hash_at(&self, height: u64) -> Result<Option<String>, NodeError> {
        match self.node.call("getblockhash", json!([height])).await {
            Ok(Id(hash)) => Ok(Some(hash)),
            Err(CallError::Refused {
                code: INVALID_PARAMETER,
                ..
            }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn block(&self, hash: &str) -> Result<CoinBlock, NodeError> {
        // As bytes, not as JSON: that the hash stands for them can be checked.
        let calls = [
            call("getblock", json!([hash, 0])),
            call("getblockheader", json!([hash, true])),
        ];
        let answers: Vec<Result<Box<RawValue>, CallError>> = self.node.batch(&calls).await?;
        let mut answers = answers.into_iter();
        let Hex(bytes) = part(&mut answers, "getblock")?;
        let header: HeaderAnswer = part(&mut answers, "getblockheader")?;
        if header.hash.0 != hash {
            return Err(garbage("the header of another block"));
        }
        let block = block::read(&bytes, hash).map_err(|error| garbage(&error.to_string()))?;
        Ok(CoinBlock {
            block: BlockRef {
                height: header.height,
                hash: hash.into(),
            },
            previous: block.previous,
            transactions: block.transactions,
        })
    }

    async fn fee_rate_sat_vb(&self, target_blocks: u16) -> Result<Option<u64>, NodeError> {
        let params = json!([target_blocks.clamp(1, TARGET_BLOCKS_MAX)]);
        let answer: FeeAnswer = self.ask("estimatesmartfee", params).await?;
        match answer.feerate {
            Some(Satoshi(0)) => Err(garbage("a fee rate of nothing")),
            // By the thousand vbytes.
            Some(Satoshi(rate)) => Ok(Some(rate.div_ceil(1000))),
            None => Ok(None),
        }
    }

    async fn send(&self, raw: &str) -> SendOutcome {
        let Some(txid) = bytes(raw).and_then(|bytes| block::txid(&bytes)) else {
            return SendOutcome::Rejected {
                detail: "it is no transaction".into(),
            };
        };
        match self.node.call("sendrawtransaction", json!([raw])).await {
            Ok(Id(answered)) if answered == txid => SendOutcome::Taken,
            Ok(Id(answered)) => SendOutcome::Unknown {
                detail: format!("the node calls {txid} {answered}"),
            },
            Err(CallError::Refused { code, .. }) if code == ALREADY_IN_CHAIN => SendOutcome::Taken,
            Err(error @ CallError::Refused { code, .. }) if code == IN_WARMUP => {
                SendOutcome::Unknown {
                    detail: NodeError::from(error).to_string(),
                }
            }
            Err(CallError::Refused { code, .. })
                if NOT_TAKEN.contains(&code) && self.has(&txid).await =>
            {
                SendOutcome::Taken
            }
            Err(error) => sent(&error),
        }
    }
}

/// What a node of the chain calls it, and the hash of its first block.
fn identity(chain: Chain) -> Option<(&'static str, &'static str)> {
    let (network, hashes) = match chain {
        Chain::Bitcoin(network) => (
            network,
            [
                "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
                "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
            ],
        ),
        Chain::Litecoin(network) => (
            network,
            [
                "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2",
                "4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0",
                "530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9",
            ],
        ),
        _ => return None,
    };
    let [mainnet, testnet, regtest] = hashes;
    Some(match network {
        Network::Mainnet => ("main", mainnet),
        Network::Testnet => ("test", testnet),
        Network::Regtest => ("regtest", regtest),
    })
}

fn call(method: &'static str, params: Value) -> Call {
    Call { method, params }
}

fn part<T: DeserializeOwned>(
    answers: &mut impl Iterator<Item = Result<Box<RawValue>, CallError>>,
    method: &'static str,
) -> Result<T, NodeError> {
    let answer = answers
        .next()
        .ok_or_else(|| garbage("a part of the answer is missing"))??;
    let read = serde_json::from_str(answer.get());
    read.map_err(|error| CallError::unexpected(method, &error.to_string()).into())
}

fn garbage(detail: &str) -> NodeError {
    NodeError::Garbage {
        detail: detail.into(),
    }
}
