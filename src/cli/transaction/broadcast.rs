//! `tx broadcast`: a transaction goes out at most knowingly.
//!
//! Once the bytes have left, no answer means that it may have happened. Whatever the node says, it is
//! asked whether it knows the transaction before anything is called a failure.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};
use tx::Chain;

use super::error::TransactionError;
use super::signed::{Signed, SignedEvm, SignedUtxo};
use crate::rpc::{Node, RpcError};

/// Bitcoin Core's code for a transaction that is in the chain already (`RPC_VERIFY_ALREADY_IN_CHAIN`).
const ALREADY_IN_CHAIN: i64 = -27;

/// The answer of `tx broadcast`.
#[derive(Debug, Serialize)]
pub struct Broadcast {
    txid: String,
    status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// The node took it.
    Sent,
    /// The node had it already.
    Known,
}

impl fmt::Display for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Status::Sent => "sent",
            Status::Known => "known to the node already",
        };
        writeln!(f, "{}\n  {status}", self.txid)
    }
}

/// Sends a transaction.
///
/// # Errors
/// [`TransactionError::NotTaken`] when the node said no and does not know it;
/// [`TransactionError::Unknown`] when it may have happened; [`TransactionError::Rpc`] when nothing
/// was sent.
pub fn broadcast(node: &Node, signed: &Signed) -> Result<Broadcast, TransactionError> {
    let sent = match signed {
        Signed::Evm(signed) => send_evm(node, signed)?,
        Signed::Utxo(signed) => send_utxo(node, signed),
    };
    let txid = match signed {
        Signed::Evm(signed) => signed.txid.clone(),
        Signed::Utxo(signed) => signed.txid.clone(),
    };
    match sent {
        Ok(answered) if answered.eq_ignore_ascii_case(&txid) => Ok(Broadcast {
            txid,
            status: Status::Sent,
        }),
        Ok(answered) => Err(TransactionError::OtherTxid {
            txid,
            answered: answered.escape_debug().take(80).collect(),
        }),
        Err(error)
            if error.refusal() == Some(ALREADY_IN_CHAIN) && matches!(signed, Signed::Utxo(_)) =>
        {
            Ok(Broadcast {
                txid,
                status: Status::Known,
            })
        }
        Err(error) => after_error(node, signed, txid, error),
    }
}

fn send_evm(node: &Node, signed: &SignedEvm) -> Result<Result<String, RpcError>, TransactionError> {
    let expected = signed.unsigned.chain();
    let actual: String = node
        .call("eth_chainId", json!([]))
        .map_err(TransactionError::Rpc)?;
    let Chain::Evm(id) = expected else {
        return Err(TransactionError::ChainUnnamed);
    };
    if actual != format!("{id:#x}") {
        let actual = format!(
            "chain id {}",
            actual.escape_debug().take(80).collect::<String>()
        );
        return Err(TransactionError::OtherChain { expected, actual });
    }
    Ok(node.call(
        "eth_sendRawTransaction",
        json!([hex::encode_prefixed(&signed.raw)]),
    ))
}

fn send_utxo(node: &Node, signed: &SignedUtxo) -> Result<String, RpcError> {
    node.call("sendrawtransaction", json!([hex::encode(&signed.raw)]))
}

fn after_error(
    node: &Node,
    signed: &Signed,
    txid: String,
    error: RpcError,
) -> Result<Broadcast, TransactionError> {
    if error.refusal().is_none() && !error.may_have_happened() {
        return Err(TransactionError::Rpc(error));
    }
    if is_known(node, signed) {
        return Ok(Broadcast {
            txid,
            status: Status::Known,
        });
    }
    if error.may_have_happened() {
        return Err(TransactionError::Unknown {
            txid,
            source: error,
        });
    }
    Err(TransactionError::NotTaken {
        txid,
        source: error,
    })
}

/// Whether the node says that it has the transaction. Any trouble means that it does not say so.
fn is_known(node: &Node, signed: &Signed) -> bool {
    let found: Result<Value, RpcError> = match signed {
        Signed::Evm(signed) => node.call("eth_getTransactionByHash", json!([signed.txid])),
        Signed::Utxo(signed) => node.call("getrawtransaction", json!([signed.txid, true])),
    };
    found.is_ok_and(|found| found.is_object())
}
