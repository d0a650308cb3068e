//! Signatures and receipts, as the simulated signer writes them.

use api::signing::{Receipt, SignRequest};
use sha2::{Digest, Sha256};
use tx::{ConflictKey, Decoded, EcdsaSignature, Interval, KeySignature, Time};

/// No signature, but one for each digest, and always the same.
pub(super) fn signature(digest: [u8; 32]) -> KeySignature {
    let part = |label: &[u8]| {
        let mut bytes: [u8; 32] = Sha256::new()
            .chain_update(label)
            .chain_update(digest)
            .finalize()
            .into();
        // Between 2^251 and 2^254: low, and never short.
        bytes[0] = (bytes[0] & 0x3f) | 0x08;
        bytes
    };
    KeySignature::Ecdsa(EcdsaSignature {
        r: part(b"r"),
        s: part(b"s"),
        recovery_id: 0,
    })
}

/// As the real journal writes it: its lists are sorted.
pub(super) fn receipt(index: u64, request: &SignRequest, decoded: &Decoded, now: Time) -> Receipt {
    let transaction = serde_json::to_string(&request.transaction).unwrap();
    let mut intents = request.intents.clone();
    intents.sort_by(|one, other| one.intent.cmp(&other.intent));
    let mut replaces = request.replaces.clone();
    replaces.sort_unstable();
    let body = serde_json::json!({
        "v": 1,
        "time": Interval { lo: now, hi: now },
        "entry": { "attempt": {
            "client": "walletd",
            "request": request.request_id,
            "request_hash": hex::encode(request.fingerprint().unwrap()),
            "lane": lane_of(decoded),
            "lane_epoch": request.lane_epoch,
            "transaction": { "inline": transaction },
            "chain": request.transaction.chain(),
            "account": decoded.account(),
            "keys": decoded.conflict_keys(),
            "intents": intents,
            "replaces": replaces,
            "proofs": [],
            "fee_terms": decoded.fee_terms(),
            "facts": [],
            "allowed_by": [],
            "policy": "07".repeat(32),
            "calls": [],
        }},
    });
    Receipt {
        version: 1,
        log: "ab".repeat(32),
        entry: index,
        salt: "5a".repeat(32),
        body: body.to_string(),
        inclusion: None,
    }
}

fn lane_of(decoded: &Decoded) -> String {
    let sender = decoded.conflict_keys().iter().find_map(|key| match key {
        ConflictKey::Nonce { account, .. } => Some(account.qualified()),
        _ => None,
    });
    sender.unwrap_or_else(|| format!("{}:{}", decoded.chain(), decoded.account()))
}
