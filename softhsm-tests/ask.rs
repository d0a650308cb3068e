//! Requests as an honest coordinator makes them.

use api::signing::{SignRequest, SignedIntent};
use tx::{Address, Amount, Asset, Intent, IntentId, Time, Transaction};

/// The source of the tests' intents.
pub const SOURCE: &str = "payouts";

/// An intent of [`SOURCE`] that does not expire while anybody tests: the same arguments give the same
/// content.
///
/// # Panics
/// When a part is malformed.
pub fn intent(id: &str, asset: &Asset, amount: u128, destination: &str) -> Intent {
    Intent {
        id: IntentId {
            source: SOURCE.parse().expect("a name"),
            id: id.parse().expect("an id"),
        },
        epoch: 1,
        asset: asset.clone(),
        amount: units(amount),
        destination: Address::parse(asset.chain, destination).expect("an address"),
        tag: None,
        max_fee: units(10_000_000_000_000_000_000),
        expires: Time::from_millis(4_000_000_000_000),
    }
}

/// The same request with intents of another epoch.
pub fn of_epoch(mut request: SignRequest, epoch: u64) -> SignRequest {
    for signed in &mut request.intents {
        signed.intent.epoch = epoch;
    }
    request
}

/// An amount in base units.
///
/// # Panics
/// Never: every `u128` is an amount.
pub fn units(amount: u128) -> Amount {
    amount.to_string().parse().expect("an amount")
}

/// A request for a transaction that pays these intents and replaces nothing.
pub fn request(id: &str, transaction: Transaction, intents: Vec<Intent>) -> SignRequest {
    let signed = |intent| SignedIntent {
        intent,
        signatures: Vec::new(),
    };
    SignRequest {
        request_id: id.to_owned(),
        lane_epoch: 0,
        intents: intents.into_iter().map(signed).collect(),
        replaces: Vec::new(),
        transaction,
        proofs: Vec::new(),
    }
}
