//! Signed transactions, as they are broadcast.

use alloy_rlp::{Decodable, Header};
use bitcoin::consensus::encode::deserialize;
use bitcoin::secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use bitcoin::secp256k1::{Message, Secp256k1};
use sha3::{Digest, Keccak256};
use tx::evm::{Functions, Unsigned};
use tx::{Address, Chain, PublicKey};

use super::error::TransactionError;

/// The fields of a signature at the end of an EVM transaction.
const SIGNATURE_FIELDS: usize = 3;

/// The fields of a legacy transaction before them.
const LEGACY_FIELDS: usize = 6;

/// A signed transaction.
#[derive(Debug)]
pub enum Signed {
    /// Of an EVM chain.
    Evm(Box<SignedEvm>),
    /// Of a Bitcoin-like chain.
    Utxo(SignedUtxo),
}

/// A signed transaction of an EVM chain.
#[derive(Debug)]
pub struct SignedEvm {
    /// The bytes to broadcast.
    pub raw: Vec<u8>,
    /// Its id.
    pub txid: String,
    /// Who signed it.
    pub from: Address,
    /// What was signed.
    pub unsigned: Unsigned,
}

/// A signed transaction of a Bitcoin-like chain.
#[derive(Debug)]
pub struct SignedUtxo {
    /// The bytes to broadcast.
    pub raw: Vec<u8>,
    /// Its id.
    pub txid: String,
    /// The chain, if somebody said it.
    pub chain: Option<Chain>,
    /// The transaction.
    pub transaction: bitcoin::Transaction,
}

impl SignedUtxo {
    /// Reads the network form.
    ///
    /// # Errors
    /// [`TransactionError::Unreadable`], and [`TransactionError::Unsigned`] when an input has neither
    /// a script nor a witness.
    pub fn read(raw: Vec<u8>, chain: Option<Chain>) -> Result<Self, TransactionError> {
        let reason = "these bytes are no transaction of a Bitcoin-like chain";
        let transaction: bitcoin::Transaction =
            deserialize(&raw).map_err(|_| TransactionError::Unreadable { reason })?;
        if transaction
            .input
            .iter()
            .any(|input| input.script_sig.is_empty() && input.witness.is_empty())
        {
            return Err(TransactionError::Unsigned);
        }
        Ok(Self {
            txid: transaction.compute_txid().to_string(),
            raw,
            chain,
            transaction,
        })
    }
}

/// The bytes of an EVM transaction, split into fields but not understood.
pub struct EvmFields<'a> {
    prefix: Option<u8>,
    items: Vec<&'a [u8]>,
}

impl<'a> EvmFields<'a> {
    /// Splits an envelope (EIP-2718) into its fields, if these bytes are one.
    pub fn split(raw: &'a [u8]) -> Option<Self> {
        let (prefix, list) = match raw {
            [first, ..] if *first >= 0xc0 => (None, raw),
            [first @ 0x01..=0x7f, list @ ..] => (Some(*first), list),
            _ => return None,
        };
        Some(Self {
            prefix,
            items: items(list)?,
        })
    }

    /// The chain that it names.
    pub fn chain(&self) -> Option<Chain> {
        let id = match (self.prefix, self.signature()) {
            (Some(_), _) => number(self.items.first()?)?,
            (None, None) => number(self.items.get(LEGACY_FIELDS)?)?,
            // EIP-155: v = 35 + 2 · chain id + parity.
            (None, Some([v, _, _])) => number(v)?.checked_sub(35)? / 2,
        };
        format!("eip155:{id}").parse().ok()
    }

    /// The three fields of the signature, if there is one.
    pub fn signature(&self) -> Option<[&'a [u8]; SIGNATURE_FIELDS]> {
        let fields = match self.prefix {
            None => LEGACY_FIELDS,
            Some(0x01) => 8,
            Some(_) => 9,
        };
        let (_, tail) = self.items.split_at_checked(fields)?;
        let tail: [&[u8]; SIGNATURE_FIELDS] = tail.try_into().ok()?;
        // An unsigned legacy transaction ends with two empty strings (EIP-155).
        let [_, r, _] = tail;
        (r != [0x80]).then_some(tail)
    }

    /// The bytes that were signed.
    fn unsigned(&self, chain: Chain) -> Option<Vec<u8>> {
        let Chain::Evm(id) = chain else { return None };
        let fields = self.items.len().checked_sub(SIGNATURE_FIELDS)?;
        let mut payload = self.items.get(..fields)?.concat();
        if self.prefix.is_none() {
            payload.extend(alloy_rlp::encode(id));
            payload.extend([0x80, 0x80]);
        }
        let mut out: Vec<u8> = self.prefix.into_iter().collect();
        Header {
            list: true,
            payload_length: payload.len(),
        }
        .encode(&mut out);
        out.extend(payload);
        Some(out)
    }
}

impl SignedEvm {
    /// Reads a signed envelope: finds what was signed, by whom.
    ///
    /// # Errors
    /// [`TransactionError::Unreadable`], and [`TransactionError::NotUnderstood`] for what the signer
    /// does not sign.
    pub fn read(raw: &[u8], functions: &Functions) -> Result<Self, TransactionError> {
        let unreadable = |reason| TransactionError::Unreadable { reason };
        let fields = EvmFields::split(raw)
            .ok_or_else(|| unreadable("these bytes are no EVM transaction"))?;
        let signature = fields.signature().ok_or(TransactionError::Unsigned)?;
        let chain = fields
            .chain()
            .ok_or_else(|| unreadable("it names no chain"))?;
        let bytes = fields
            .unsigned(chain)
            .ok_or_else(|| unreadable("it has too few fields"))?;
        let unsigned = Unsigned::parse_with(chain, &hex::encode_prefixed(&bytes), functions)
            .map_err(|refusal| TransactionError::refused(tx::Refusal::Evm(refusal)))?;
        let from = signer(chain, &bytes, signature)
            .ok_or_else(|| unreadable("its signature is of nobody"))?;
        let txid = hex::encode_prefixed(Keccak256::digest(raw));
        Ok(Self {
            raw: raw.to_vec(),
            txid,
            from,
            unsigned,
        })
    }
}

/// Who made a signature over the bytes.
fn signer(chain: Chain, bytes: &[u8], [v, r, s]: [&[u8]; SIGNATURE_FIELDS]) -> Option<Address> {
    let v = number(v)?;
    // Typed envelopes have the parity itself, EIP-155 35 + 2 · chain id + parity.
    let parity = if v > 1 { v.checked_sub(35)? % 2 } else { v };
    let recovery = RecoveryId::from_i32(i32::try_from(parity).ok()?).ok()?;
    let compact = [scalar(r)?, scalar(s)?].concat();
    let signature = RecoverableSignature::from_compact(&compact, recovery).ok()?;
    let message = Message::from_digest(Keccak256::digest(bytes).into());
    let key = Secp256k1::verification_only()
        .recover_ecdsa(&message, &signature)
        .ok()?;
    PublicKey::from_bytes(key.serialize()).ok()?.address(chain)
}

fn items(list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = list;
    let header = Header::decode(&mut rest).ok()?;
    if !header.list || header.payload_length != rest.len() {
        return None;
    }
    let mut items = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let header = Header::decode(&mut rest).ok()?;
        rest = rest.get(header.payload_length..)?;
        items.push(start.get(..start.len().checked_sub(rest.len())?)?);
    }
    Some(items)
}

fn number(mut item: &[u8]) -> Option<u64> {
    let number = u64::decode(&mut item).ok()?;
    item.is_empty().then_some(number)
}

fn scalar(mut item: &[u8]) -> Option<[u8; 32]> {
    let digits = Header::decode_bytes(&mut item, false).ok()?;
    let mut bytes = [0; 32];
    bytes
        .get_mut(32_usize.checked_sub(digits.len())?..)?
        .copy_from_slice(digits);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of EIP-155: key 0x46 repeated, chain 1, nonce 9, 20 gwei, 1 ether to 0x35….
    const EIP155_SIGNED: &str = "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
    const EIP155_UNSIGNED: &str = "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";

    #[test]
    fn the_example_of_eip_155() {
        let raw = hex::decode(EIP155_SIGNED).unwrap();
        let signed = SignedEvm::read(&raw, Functions::NONE).unwrap();
        assert_eq!(
            signed.from.to_string(),
            "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"
        );
        assert_eq!(signed.unsigned.payload(), format!("0x{EIP155_UNSIGNED}"));
        assert_eq!(
            signed.txid,
            "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"
        );
    }

    #[test]
    fn unsigned_is_told_from_signed() {
        let unsigned = hex::decode(EIP155_UNSIGNED).unwrap();
        let fields = EvmFields::split(&unsigned).unwrap();
        assert!(fields.signature().is_none());
        assert_eq!(fields.chain(), Some(Chain::Evm(1)));
        assert!(matches!(
            SignedEvm::read(&unsigned, Functions::NONE),
            Err(TransactionError::Unsigned)
        ));
    }

    #[test]
    fn damage_is_an_error() {
        let raw = hex::decode(EIP155_SIGNED).unwrap();
        for cut in 0..raw.len() {
            assert!(SignedEvm::read(&raw[..cut], Functions::NONE).is_err());
        }
        assert!(SignedEvm::read(&[raw, vec![0]].concat(), Functions::NONE).is_err());
        assert!(SignedUtxo::read(vec![1, 2, 3], None).is_err());
    }
}
