//! The time.

use std::time::{SystemTime, UNIX_EPOCH};

use tx::Time;

/// The time by this machine's clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Time::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
