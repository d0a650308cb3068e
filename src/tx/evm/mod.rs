//! EVM chains: EIP-1559, EIP-2930 and EIP-155 transfers of the native coin and of ERC-20 tokens, approvals of
//! spenders of tokens that the bundle declares, and calls of functions that it declares.

pub(crate) mod address;

mod abi;
mod calldata;
mod effects;
mod functions;
mod known;
mod payload;
mod refusal;
mod rlp;
mod unsigned;

pub use abi::{AbiFault, Parameter, Signature, SignatureError, Type, Value, ValueError};
pub use calldata::{TokenCall, TokenFunction};
pub use functions::{
    ArgumentsError, CALLDATA_BYTES_MAX, CallData, DeclareError, Function, Functions,
};
pub use known::KnownCall;
pub use refusal::Refusal;
pub use rlp::RlpFault;
pub use unsigned::{Action, Fees, Terms, Unsigned};

use std::collections::BTreeSet;

use crate::{
    Address, Chain, ConflictKey, Decoded, KeySignature, OwnKey, Registry, Scheme,
    SignedTransaction, Signing, ValidUntil, decoded::Body,
};

/// Understands `payload`, sent by `from`, as a transaction of `chain`.
pub(crate) fn decode(
    chain: Chain,
    from: &str,
    payload: &str,
    registry: &Registry,
    functions: &Functions,
) -> Result<Decoded, Refusal> {
    let unsigned = Unsigned::parse_with(chain, payload, functions)?;
    let from = Address::parse(chain, from).map_err(Refusal::FromForm)?;
    let key = signing_key(&from, registry)?;
    let nonce = unsigned.terms().nonce;
    Ok(Decoded {
        chain,
        account: key.account.clone(),
        effects: effects::effects(&unsigned, &from, key, registry)?,
        conflict_keys: BTreeSet::from([ConflictKey::Nonce {
            account: from,
            nonce,
        }]),
        valid_until: ValidUntil::Unbounded,
        fee_terms: unsigned.fee_terms(),
        signings: vec![Signing {
            key: key.name.clone(),
            scheme: Scheme::Ecdsa,
            digest: address::keccak256(&unsigned.encode()),
        }],
        body: Body::Evm(unsigned),
    })
}

/// Puts the one signature into the transaction.
pub(crate) fn assemble(
    unsigned: Unsigned,
    signatures: &[KeySignature],
) -> Result<SignedTransaction, Refusal> {
    let [signature] = signatures else {
        let found = signatures.len();
        return Err(Refusal::SignatureCount { found });
    };
    let KeySignature::Ecdsa(signature) = signature else {
        return Err(Refusal::SignatureScheme);
    };
    if signature.recovery_id > 1 {
        let found = signature.recovery_id;
        return Err(Refusal::RecoveryId { found });
    }
    let raw = unsigned.encode_signed(signature);
    Ok(SignedTransaction {
        txid: hex::encode_prefixed(address::keccak256(&raw)),
        raw: hex::encode(raw),
    })
}

fn signing_key<'a>(from: &Address, registry: &'a Registry) -> Result<&'a OwnKey, Refusal> {
    let address = from.clone();
    match (registry.key(from), registry.own(from)) {
        (Some(key), _) => Ok(key),
        (None, Some(_)) => Err(Refusal::FromWithoutKey { address }),
        (None, None) => Err(Refusal::FromUnknown { address }),
    }
}
