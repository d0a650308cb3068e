//! The coordinator's own daily limits: beyond them a person decides. They are a second line before
//! the signer's, which cannot be moved from here.

use serde::{Deserialize, Serialize};
use tx::{Amount, Asset, Time};

/// The length of a day in milliseconds; days are those of UTC.
pub const DAY_MILLIS: u64 = 86_400_000;

/// A daily limit on one asset. An asset without one cannot be withdrawn: no row means deny.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DailyLimit {
    /// The asset.
    pub asset: Asset,
    /// The most that all customers together withdraw in a day before a person decides.
    pub total: Amount,
    /// The most that one customer withdraws in a day before a person decides.
    pub customer: Amount,
}

/// The number of the day, counted from 1970-01-01 in UTC.
pub fn day_of(time: Time) -> u64 {
    time.millis() / DAY_MILLIS
}
