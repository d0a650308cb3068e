//! Requests as an honest coordinator makes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::signing::{SignRequest, SignedIntent};
use tx::{Address, Amount, Asset, Intent, IntentId, Time, Transaction};

/// The source of the tests' intents.
pub const SOURCE: &str = "payouts";

/// An intent of [`SOURCE`] that is good for an hour.
///
/// # Panics
/// When a part is malformed.
pub fn intent(id: &str, asset: &Asset, amount: u128, destination: &str) -> Intent {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let expires = now + Duration::from_secs(3600);
    Intent {
        id: IntentId { source: SOURCE.parse().expect("a name"), id: id.parse().expect("an id") },
        asset: asset.clone(),
        amount: units(amount),
        destination: Address::parse(asset.chain, destination).expect("an address"),
        tag: None,
        max_fee: units(10_000_000_000_000_000_000),
        expires: Time::from_millis(u64::try_from(expires.as_millis()).expect("a date")),
    }
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
    let signed = |intent| SignedIntent { intent, signatures: Vec::new() };
    SignRequest {
        request_id: id.to_owned(),
        lane_epoch: 0,
        intents: intents.into_iter().map(signed).collect(),
        replaces: Vec::new(),
        transaction,
        proofs: Vec::new(),
    }
}
