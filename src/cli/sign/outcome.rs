//! Checking an answer: the receipt is of the request, and what was signed is what was sent.

use api::receipt::Decision;
use api::signing::{SignAnswer, SignRequest};
use base64ct::{Base64, Encoding};
use bitcoin::psbt::Psbt;
use tx::Transaction;
use tx::evm::Functions;

use super::error::SignError;
use crate::transaction::error::TransactionError;
use crate::transaction::parcel::Parcel;
use crate::transaction::signed::{Signed, SignedEvm, SignedUtxo};

/// Checks an answer to this request, whose transaction was understood as `parcel`.
///
/// # Errors
/// [`SignError::Receipt`], [`SignError::Unreadable`], [`SignError::Other`].
pub fn check(
    answer: &SignAnswer,
    request: &SignRequest,
    (parcel, functions): (&Parcel, &Functions),
) -> Result<Decision, SignError> {
    let decision = answer.verify(request).map_err(SignError::Receipt)?;
    let chain = request.transaction.chain();
    let raw = &answer.transaction.raw;
    let signed = Parcel::read_signed(raw, chain, functions).map_err(SignError::Unreadable)?;
    let txid = match (&request.transaction, parcel, &signed) {
        (Transaction::Eip2718 { from, .. }, Parcel::Evm { unsigned, .. }, Signed::Evm(signed)) => {
            check_evm(from, unsigned, signed)?
        }
        (Transaction::Psbt { psbt, .. }, Parcel::Utxo(_), Signed::Utxo(signed)) => {
            check_utxo(psbt, signed)?
        }
        _ => {
            return Err(SignError::Other {
                what: "kind of transaction",
            });
        }
    };
    if !txid.eq_ignore_ascii_case(&answer.transaction.txid) {
        return Err(SignError::Other {
            what: "transaction id",
        });
    }
    Ok(decision)
}

fn check_evm<'a>(
    from: &str,
    unsigned: &tx::evm::Unsigned,
    signed: &'a SignedEvm,
) -> Result<&'a str, SignError> {
    if signed.unsigned.payload() != unsigned.payload() {
        return Err(SignError::Other {
            what: "transaction",
        });
    }
    // The signature was recovered: it is of whom it should be, or of somebody else.
    if !signed.from.to_string().eq_ignore_ascii_case(from) {
        return Err(SignError::Other { what: "sender" });
    }
    Ok(&signed.txid)
}

/// A txid commits to all but the witnesses, and those are all that signing adds (BIP-141).
fn check_utxo<'a>(psbt: &str, signed: &'a SignedUtxo) -> Result<&'a str, SignError> {
    let unreadable = |reason| SignError::Unreadable(TransactionError::Unreadable { reason });
    let bytes = Base64::decode_vec(psbt).map_err(|_| unreadable("the PSBT is not base64"))?;
    let psbt = Psbt::deserialize(&bytes).map_err(|_| unreadable("the PSBT cannot be read"))?;
    if psbt.unsigned_tx.compute_txid() != signed.transaction.compute_txid() {
        return Err(SignError::Other {
            what: "transaction",
        });
    }
    Ok(&signed.txid)
}
