//! Whether signed bytes are what was given to be signed, with signatures and nothing else. The
//! signer is not asked to be trusted where looking is cheap.

use sha2::{Digest, Sha256};
use sha3::Keccak256;
use thiserror::Error;
use tx::{SignedTransaction, Transaction, utxo};

/// Why signed bytes are not those of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what was signed is not what was sent: {what}")]
pub struct NotTheSame {
    what: &'static str,
}

/// Checks that `signed` is `unsigned` with signatures added, and that its id is its own. The
/// signatures themselves are the nodes' to check.
///
/// # Errors
/// [`NotTheSame`].
pub fn becomes(unsigned: &Transaction, signed: &SignedTransaction) -> Result<(), NotTheSame> {
    let raw = hex::decode(&signed.raw).map_err(|_| not("it is not hexadecimal"))?;
    match unsigned {
        Transaction::Eip2718 { payload, .. } => {
            let payload = hex::decode(payload).map_err(|_| not("the payload is none"))?;
            evm_contains(&payload, &raw).ok_or(not("the envelope differs"))?;
            let id = hex::encode_prefixed(Keccak256::digest(&raw));
            same(&signed.txid, &id)
        }
        Transaction::Psbt { chain, psbt } => {
            let view = utxo::view(*chain, psbt).map_err(|_| not("the PSBT is none"))?;
            let bytes = view.unsigned_bytes();
            utxo_contains(&bytes, &raw).ok_or(not("the transaction differs"))?;
            let mut id = Sha256::digest(Sha256::digest(&bytes));
            id.reverse();
            same(&signed.txid, &hex::encode(id))
        }
        _ => Err(not("the format is not known here")),
    }
}

fn not(what: &'static str) -> NotTheSame {
    NotTheSame { what }
}

fn same(found: &str, id: &str) -> Result<(), NotTheSame> {
    if found == id {
        Ok(())
    } else {
        Err(not("the id is of other bytes"))
    }
}

/// EIP-2718: both have one type, and the signed list begins with the unsigned one's fields.
fn evm_contains(unsigned: &[u8], signed: &[u8]) -> Option<()> {
    let (kind, unsigned) = unsigned.split_first()?;
    let (signed_kind, signed) = signed.split_first()?;
    let typed = matches!(kind, 0x01..=0x7f) && kind == signed_kind;
    let signature = list(signed)?.strip_prefix(list(unsigned)?)?;
    (typed && !signature.is_empty()).then_some(())
}

/// The content of an RLP list that fills `bytes`.
fn list(bytes: &[u8]) -> Option<&[u8]> {
    let (first, rest) = bytes.split_first()?;
    let (length, content) = match first {
        0xc0..=0xf7 => (usize::from(first.checked_sub(0xc0)?), rest),
        0xf8..=0xff => {
            let (digits, content) = rest.split_at_checked(usize::from(first.checked_sub(0xf7)?))?;
            let length = digits.iter().try_fold(0usize, |length, digit| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, content)
        }
        _ => return None,
    };
    (content.len() == length).then_some(content)
}

/// BIP-144: version, marker, inputs and outputs, witnesses, lock time. Only the witnesses are new:
/// every input is P2WPKH, whose script is empty.
fn utxo_contains(unsigned: &[u8], signed: &[u8]) -> Option<()> {
    let (version, rest) = unsigned.split_first_chunk::<4>()?;
    let (body, lock_time) = rest.split_last_chunk::<4>()?;
    let witnesses = signed
        .strip_prefix(version)?
        .strip_prefix(&[0x00, 0x01])?
        .strip_prefix(body)?
        .strip_suffix(lock_time)?;
    (!witnesses.is_empty()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evm(payload: &str) -> Transaction {
        Transaction::Eip2718 {
            chain: "eip155:1".parse().unwrap(),
            from: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
            payload: payload.into(),
        }
    }

    fn signed(raw: &str) -> SignedTransaction {
        let bytes = hex::decode(raw).unwrap();
        SignedTransaction {
            raw: raw.into(),
            txid: hex::encode_prefixed(Keccak256::digest(bytes)),
        }
    }

    #[test]
    fn an_envelope_with_a_signature_is_the_same() {
        // 0x02 ‖ rlp([1, 2]) and 0x02 ‖ rlp([1, 2, 1, 5, 6]).
        assert!(becomes(&evm("0x02c20102"), &signed("02c50102010506")).is_ok());
    }

    #[test]
    fn an_envelope_of_anything_else_is_not() {
        for raw in [
            "02c20102",
            "01c50102010506",
            "02c50103010506",
            "02c60102010506",
            "02",
            "",
        ] {
            assert!(becomes(&evm("0x02c20102"), &signed(raw)).is_err(), "{raw}");
        }
        let mut other = signed("02c50102010506");
        other.txid = format!("0x{}", "00".repeat(32));
        assert!(becomes(&evm("0x02c20102"), &other).is_err());
    }

    #[test]
    fn long_lists_have_their_length() {
        let content = "01".repeat(60);
        let whole = format!("02f83f{content}010203");
        assert!(becomes(&evm(&format!("0x02f83c{content}")), &signed(&whole)).is_ok());
        let short = format!("02f83e{content}010203");
        assert!(becomes(&evm(&format!("0x02f83c{content}")), &signed(&short)).is_err());
    }

    #[test]
    fn only_witnesses_may_be_added_to_a_coin_transaction() {
        let unsigned = [&[2, 0, 0, 0][..], &[7; 60], &[9, 0, 0, 0]].concat();
        let with = |body: [u8; 60], lock: u8| {
            [
                &[2, 0, 0, 0, 0, 1][..],
                &body,
                &[2, 1, 0xaa, 1, 0xbb],
                &[lock, 0, 0, 0],
            ]
            .concat()
        };
        assert!(utxo_contains(&unsigned, &with([7; 60], 9)).is_some());
        assert!(utxo_contains(&unsigned, &with([8; 60], 9)).is_none());
        assert!(utxo_contains(&unsigned, &with([7; 60], 8)).is_none());
        assert!(utxo_contains(&unsigned, &unsigned).is_none());
    }
}
